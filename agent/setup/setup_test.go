package setup_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"calljournal/agent/config"
	"calljournal/agent/setup"
	"calljournal/packaging"

	"github.com/google/go-cmp/cmp"
)

// root is a machine's files; a name that ends in a slash is a folder.
func root(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		folder := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			folder = path
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// machine has these files, these ports open, and no groups.
func machine(t *testing.T, files map[string]string, ports ...string) setup.Machine {
	t.Helper()
	return setup.Machine{
		Root:  root(t, files),
		Open:  func(a string) bool { return slices.Contains(ports, a) },
		Group: func(string) (int, bool) { return 0, false },
	}
}

const (
	generalWell = "[general]\nenabled = yes\nport = 5038\nbindaddr = 0.0.0.0\ntimestampevents = yes\n"
	freepbxTail = "[admin]\nsecret = amp111\n#include manager_additional.conf\n#include manager_custom.conf\n"
	eventSocket = `<configuration name="event_socket.conf"><settings>
<param name="listen-ip" value="::"/>
<!-- <param name="listen-port" value="9999"/> -->
<param name="listen-port" value="8022"/>
<param name="password" value="of-the-socket"/>
</settings></configuration>`
)

// The endpoints of an extension and of a trunk, as FreePBX writes them: both have
// outbound_auth, only the context tells them apart.
const freepbxEndpoints = `
[201]
type=endpoint
auth=201-auth
outbound_auth=201-auth
context=from-internal
[provider]
type=endpoint
outbound_auth=provider
context=from-pstn
[201]
type=aor
`

func TestFind(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		ports []string
		want  setup.Found
	}{
		{"Asterisk with manager.d", map[string]string{
			"etc/asterisk/manager.conf": generalWell + "#include \"manager.d/*.conf\"\n",
			"etc/asterisk/pjsip.conf": `
[phone](!)
type = endpoint
auth = phones
[101](phone)
[102](phone)
outbound_auth = x
[provider]
type = endpoint ; with a comment
outbound_auth = provider
[by-address]
type = endpoint
[by-address]
type = identify
endpoint = by-address
match = 192.0.2.1
`,
			"etc/asterisk/sip.conf":                     "[general]\nhost=192.0.2.1\n[old]\ntype=peer\nhost=sip.example\n[103]\ntype=friend\nhost=dynamic\n",
			"etc/asterisk/cdr.conf":                     "[csv]\nloguniqueid=yes\n",
			"var/log/asterisk/cdr-csv/Master.csv":       "",
			"var/spool/asterisk/monitor/":               "",
			"var/spool/asterisk/voicemail/default/101/": "",
		}, []string{"127.0.0.1:5038"}, setup.Found{
			Here: true, Conf: "/etc/asterisk", Address: "127.0.0.1:5038", Listens: true, Username: "calljournal", Read: true,
			Trunks:     []string{"PJSIP/provider-*", "PJSIP/by-address-*", "SIP/old-*"},
			Recordings: "/var/spool/asterisk/monitor", Voicemail: "/var/spool/asterisk/voicemail", CDR: "/var/log/asterisk/cdr-csv/Master.csv",
		}},
		{"Asterisk as it is shipped", map[string]string{
			"etc/asterisk/manager.conf":           "[general]\nenabled = no\nport = 5039\nbindaddr = 192.0.2.7\n[calljournal]\nsecret = x\n",
			"etc/asterisk/cdr.conf":               "[csv]\nusegmtime=yes\n",
			"var/log/asterisk/cdr-csv/Master.csv": "",
		}, nil, setup.Found{
			Here: true, Conf: "/etc/asterisk", Address: "192.0.2.7:5039", Username: "calljournal", UserThere: true,
			Change: []string{
				"set enabled = yes in [general] of /etc/asterisk/manager.conf: the manager interface is off",
				"set timestampevents = yes in [general] of /etc/asterisk/manager.conf: times are then the PBX's own",
			},
		}},
		{"FreePBX", map[string]string{
			"etc/freepbx.conf":                        "",
			"etc/asterisk/manager.conf":               generalWell + freepbxTail,
			"etc/asterisk/manager_additional.conf":    "[someone]\nsecret = x\n",
			"etc/asterisk/pjsip.conf":                 "#include pjsip.endpoint.conf\n",
			"etc/asterisk/pjsip.endpoint.conf":        freepbxEndpoints,
			"etc/asterisk/sip.conf":                   "#include sip_additional.conf\n",
			"etc/asterisk/sip_additional.conf":        "[old]\ntype=peer\ncontext=from-trunk-sip-old\nhost=sip.example\n",
			"var/spool/asterisk/monitor/2026/01/02/x": "",
		}, nil, setup.Found{
			Profile: setup.Profile{Name: "freepbx"},
			Here:    true, Conf: "/etc/asterisk", Address: "127.0.0.1:5038", Username: "calljournal", Read: true,
			Trunks: []string{"PJSIP/provider-*", "SIP/old-*"}, Recordings: "/var/spool/asterisk/monitor",
		}},
		{"Issabel", map[string]string{
			"etc/issabel.conf": "", "etc/amportal.conf": "",
			"etc/asterisk/manager.conf":        generalWell + freepbxTail,
			"etc/asterisk/manager_custom.conf": "[calljournal]\nsecret = x\n",
		}, nil, setup.Found{
			Profile: setup.Profile{Name: "issabel"},
			Here:    true, Conf: "/etc/asterisk", Address: "127.0.0.1:5038", Username: "calljournal", Read: true, UserThere: true,
		}},
		{"MikoPBX", map[string]string{
			"cf/conf/mikopbx.db":                              "",
			"etc/asterisk/manager.conf":                       generalWell,
			"storage/usbdisk1/mikopbx/astspool/monitor/2026/": "",
		}, nil, setup.Found{
			Profile: setup.Profile{Name: "mikopbx"},
			Here:    true, Conf: "/etc/asterisk", Address: "127.0.0.1:5038", Username: "calljournal",
			Trunks:     []string{"PJSIP/SIP-TRUNK-*", "PJSIP/SIP-PROVIDER-*", "IAX2/IAX-TRUNK-*", "IAX2/IAX-PROVIDER-*"},
			Recordings: "/storage/usbdisk1/mikopbx/astspool/monitor",
		}},
		{"FreeSWITCH", map[string]string{
			"etc/freeswitch/autoload_configs/event_socket.conf.xml": eventSocket,
			"etc/freeswitch/vars.xml":                               `<include><X-PRE-PROCESS cmd="set" data="domain=pbx.example"/></include>`,
			"var/lib/freeswitch/recordings/":                        "",
			"var/log/freeswitch/json_cdr/":                          "",
		}, []string{"127.0.0.1:8022"}, setup.Found{
			Profile: setup.Profile{Name: "freeswitch"},
			Here:    true, Conf: "/etc/freeswitch", Address: "127.0.0.1:8022", Listens: true, Username: "calljournal@pbx.example", Read: true,
			Trunks: []string{"sofia/external/*", "sofia/external-ipv6/*"}, Recordings: "/var/lib/freeswitch/recordings", CDR: "/var/log/freeswitch/json_cdr",
		}},
		{"FreeSWITCH as it is shipped", map[string]string{
			"etc/freeswitch/autoload_configs/event_socket.conf.xml": strings.ReplaceAll(eventSocket, "of-the-socket", "ClueCon"),
			"etc/freeswitch/vars.xml":                               `<include><X-PRE-PROCESS cmd="set" data="domain=$${local_ip_v4}"/></include>`,
			"etc/freeswitch/directory/default/calljournal.xml":      "",
		}, nil, setup.Found{
			Profile: setup.Profile{Name: "freeswitch"},
			Here:    true, Conf: "/etc/freeswitch", Address: "127.0.0.1:8022", Read: true, UserThere: true,
			Trunks: []string{"sofia/external/*", "sofia/external-ipv6/*"},
			Change: []string{"the event socket has the password that it was shipped with, by which whoever reaches the port controls the PBX: change it in " +
				"/etc/freeswitch/autoload_configs/event_socket.conf.xml"},
		}},
		{"FusionPBX", map[string]string{
			"etc/fusionpbx/config.conf":                             "",
			"etc/freeswitch/autoload_configs/event_socket.conf.xml": eventSocket,
			"var/lib/freeswitch/storage/voicemail/":                 "",
		}, nil, setup.Found{
			Profile: setup.Profile{Name: "fusionpbx"},
			Here:    true, Conf: "/etc/freeswitch", Address: "127.0.0.1:8022", Read: true, Secret: "of-the-socket",
			Trunks: []string{"sofia/external/*", "sofia/external-ipv6/*"}, Voicemail: "/var/lib/freeswitch/storage/voicemail",
		}},
		{"a PBX in a container", nil, []string{"127.0.0.1:5038"}, setup.Found{
			Address: "127.0.0.1:5038", Listens: true, Username: "calljournal",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := setup.Find(machine(t, c.files, c.ports...))
			if len(found) != 1 {
				t.Fatalf("found %d", len(found))
			}
			name := c.want.Profile.Name
			if name == "" {
				name = "asterisk"
			}
			c.want.Profile, _ = setup.Named(name)
			if d := cmp.Diff(c.want, found[0]); d != "" {
				t.Error(d)
			}
		})
	}
	if found := setup.Find(machine(t, nil)); len(found) != 0 {
		t.Errorf("found on an empty machine: %v", found)
	}
	// Of two, the one that listens comes first.
	both := machine(t, map[string]string{"etc/asterisk/manager.conf": generalWell, "etc/freeswitch/vars.xml": ""}, "127.0.0.1:8021")
	if found := setup.Find(both); len(found) != 2 || found[0].Profile.Name != "freeswitch" {
		t.Errorf("%v", found)
	}
}

func propose(t *testing.T, m setup.Machine, a setup.Answers) (setup.Found, setup.Proposal) {
	t.Helper()
	f := setup.Find(m)[0]
	a.Secret = config.NewSecret(`s"<&;cret`)
	p, err := setup.Propose(m, f, a, filepath.Join(t.TempDir(), "calljournal.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return f, p
}

func TestPropose(t *testing.T) {
	const local, user = "127.0.0.1:5038", "calljournal"
	for _, c := range []struct {
		name    string
		files   map[string]string
		answers setup.Answers
		where   string // "": nothing to be told
		writes  string // the PBX's own new file
		lines   string // among them
	}{
		{"Asterisk with manager.d", map[string]string{"etc/asterisk/manager.conf": "#include manager.d/*.conf"},
			setup.Answers{Address: local, Username: user}, "/etc/asterisk/manager.d/calljournal.conf", "etc/asterisk/manager.d/calljournal.conf", `secret = s"<&\;cret` + "\n"},
		{"the file is there", map[string]string{"etc/asterisk/manager.conf": "#include manager.d/*.conf", "etc/asterisk/manager.d/calljournal.conf": "[other]"},
			setup.Answers{Address: local, Username: user}, "/etc/asterisk/manager.d/calljournal.conf", "", "[calljournal]\n"},
		{"Asterisk without", map[string]string{"etc/asterisk/manager.conf": "[general]"},
			setup.Answers{Address: local, Username: "listener"}, "/etc/asterisk/manager.conf, at its end", "", "[listener]\n"},
		{"FreePBX", map[string]string{"etc/freepbx.conf": "", "etc/asterisk/manager.conf": freepbxTail},
			setup.Answers{Address: local, Username: user}, "/etc/asterisk/manager_custom.conf", "", "read = system,call,agent,dialplan\n"},
		{"Issabel", map[string]string{"etc/issabel.conf": "", "etc/asterisk/manager.conf": freepbxTail},
			setup.Answers{Address: local, Username: user}, "/etc/asterisk/manager_custom.conf", "", "write = reporting\n"},
		{"MikoPBX", map[string]string{"cf/conf/mikopbx.db": "", "etc/asterisk/manager.conf": "[general]"},
			setup.Answers{Address: local, Username: user}, "the web interface: System, Asterisk Manager Interface (AMI), with these rights", "", "deny = 0.0.0.0/0.0.0.0\n"},
		{"FreeSWITCH", map[string]string{"etc/freeswitch/vars.xml": ""},
			setup.Answers{Address: "127.0.0.1:8021", Username: "cj@pbx.example"}, "/etc/freeswitch/directory/default/calljournal.xml", "",
			`<user id="cj">` + "\n    <params>\n      " + `<param name="esl-password" value="s&#34;&lt;&amp;;cret"/>`},
		{"Asterisk elsewhere", map[string]string{"etc/asterisk/manager.conf": "[general]"},
			setup.Answers{Address: "[2001:db8::1]:5038", Username: user}, "/etc/asterisk/manager.conf, at its end", "", "permit = ADDRESS-OF-THIS-MACHINE/255.255.255.255\n"},
		{"FreeSWITCH by its socket", map[string]string{"etc/freeswitch/vars.xml": ""},
			setup.Answers{Address: "127.0.0.1:8021"}, "", "", ""},
		{"FusionPBX", map[string]string{"etc/fusionpbx/config.conf": "", "etc/freeswitch/vars.xml": ""},
			setup.Answers{Address: "127.0.0.1:8021"}, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machine(t, c.files)
			c.answers.Name, c.answers.Trunks = "main", []string{"PJSIP/a-*", "sofia/external/*"}
			f, p := propose(t, m, c.answers)
			if p.Where != c.where || !strings.Contains(p.Lines, c.lines) {
				t.Errorf("into %q:\n%s", p.Where, p.Lines)
			}
			if strings.Contains(p.Shown, "cret") && !strings.Contains(p.Shown, "(what is in ") || strings.Contains(p.Shown+p.Config.Text, "&") {
				t.Errorf("the secret shows:\n%s%s", p.Shown, p.Config.Text)
			}
			if (f.Profile.Kind == config.KindFreeSWITCH) != strings.Contains(p.Socket, `"listen-ip"`) {
				t.Errorf("of the socket it says %q", p.Socket)
			}
			switch {
			case c.writes == "" && p.PBXFile != nil:
				t.Errorf("would write %s", p.PBXFile.Path)
			case c.writes != "" && (p.PBXFile == nil || p.PBXFile.Path != filepath.Join(m.Root, c.writes)):
				t.Errorf("would not write %s", c.writes)
			}
			// Both files written, the configuration loads and says what was answered.
			for _, file := range []setup.File{p.Secret, p.Config} {
				if _, err := file.Write(m); err != nil {
					t.Fatal(err)
				}
			}
			got, err := config.Load(p.Config.Path, config.OSEnv())
			if err != nil {
				t.Fatal(err)
			}
			pbx := got.PBX[0]
			if len(got.PBX) != 1 || pbx.Kind != f.Profile.Kind || pbx.Address != c.answers.Address || pbx.Username != c.answers.Username ||
				pbx.Secret.Reveal() != `s"<&;cret` || !slices.Equal(pbx.Trunks, c.answers.Trunks) {
				t.Errorf("%s", got.Redacted())
			}
		})
	}
}

// What is found is in the configuration.
func TestPropose_Folders(t *testing.T) {
	_, p := propose(t, machine(t, map[string]string{
		"etc/asterisk/manager.conf": generalWell, "var/spool/asterisk/monitor/": "", "var/spool/asterisk/voicemail/": "", "var/spool/asterisk/fax/": "",
	}), setup.Answers{Name: "main", Address: "127.0.0.1:5038", Username: "calljournal"})
	for _, want := range []string{`recordings_dir = "/var/spool/asterisk/monitor"`, `voicemail_dir = "/var/spool/asterisk/voicemail"`, `fax_dir = "/var/spool/asterisk/fax"`, `# cdr_file = "`, `# trunks = [`} {
		if !strings.Contains(p.Config.Text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
}

// Of a PBX elsewhere nothing can be seen: all that it must say is shown, for where
// its kind of installation has it.
func TestPropose_Elsewhere(t *testing.T) {
	const address = "192.0.2.7:5038"
	for _, c := range []struct {
		profile       string
		listens       bool
		where         string
		shows, shuns  []string
		socket, avoid string
	}{
		{"asterisk", false, "/etc/asterisk/manager.conf on the PBX, or a file that it includes",
			[]string{"[general]\nenabled = yes\n", "timestampevents = yes", "[calljournal]"}, nil, "", ""},
		{"asterisk", true, "/etc/asterisk/manager.conf on the PBX, or a file that it includes",
			[]string{"[general]\ntimestampevents = yes"}, []string{"bindaddr"}, "", ""},
		{"freepbx", false, "/etc/asterisk/manager_custom.conf on the PBX", []string{"[general](+)\nenabled = yes\n"}, nil, "", ""},
		{"mikopbx", false, "the web interface: System, Asterisk Manager Interface (AMI), with these rights", []string{"[calljournal]"}, []string{"[general]"}, "", ""},
		{"freeswitch", false, "conf/directory/default/calljournal.xml", []string{`id="calljournal"`}, nil, `"listen-ip" value="0.0.0.0"`, "loopback.auto"},
	} {
		p, _ := setup.Named(c.profile)
		f := setup.Elsewhere(p)
		f.Listens = c.listens
		user := "calljournal"
		if p.Kind == config.KindFreeSWITCH {
			user += "@pbx.example"
		}
		got, err := setup.Propose(machine(t, nil), f, setup.Answers{Name: "main", Address: address, Username: user, Secret: config.NewSecret("s")},
			filepath.Join(t.TempDir(), "c.toml"))
		if err != nil || got.Where != c.where {
			t.Errorf("%s: into %q, %v", c.profile, got.Where, err)
		}
		for _, text := range []string{got.Lines, got.Shown} {
			for _, want := range c.shows {
				if !strings.Contains(text, want) {
					t.Errorf("%s: no %q in\n%s", c.profile, want, text)
				}
			}
			for _, no := range c.shuns {
				if strings.Contains(text, no) {
					t.Errorf("%s: %q in\n%s", c.profile, no, text)
				}
			}
		}
		if !strings.Contains(got.Socket, c.socket) || c.avoid != "" && strings.Contains(got.Socket, c.avoid) {
			t.Errorf("%s: of the socket it says\n%s", c.profile, got.Socket)
		}
	}
}

// Nothing that is answered can add a line to a file.
func TestPropose_Refuses(t *testing.T) {
	good := setup.Answers{Name: "main", Address: "127.0.0.1:5038", Username: "calljournal", Secret: config.NewSecret("s")}
	for name, spoil := range map[string]func(*setup.Answers){
		"user":    func(a *setup.Answers) { a.Username = "x]\nwrite = all" },
		"domain":  func(a *setup.Answers) { a.Username = `x@"/>` },
		"no user": func(a *setup.Answers) { a.Username = "" },
		"address": func(a *setup.Answers) { a.Address = "127.0.0.1:5038\"\nx = \"" },
		"name":    func(a *setup.Answers) { a.Name = "a b" },
		"trunk":   func(a *setup.Answers) { a.Trunks = []string{"[PJSIP"} },
	} {
		a := good
		spoil(&a)
		if p, err := setup.Propose(machine(t, nil), setup.Elsewhere(setup.Profiles()[3]), a, filepath.Join(t.TempDir(), "c.toml")); err == nil {
			t.Errorf("%s: %s%s", name, p.Config.Text, p.Lines)
		}
	}
}

func TestFile_Write(t *testing.T) {
	m := machine(t, nil)
	path := filepath.Join(t.TempDir(), "new", "calljournal.toml")
	f := setup.File{Path: path, Text: "a\n", Mode: 0o600, Group: "nobody-has-it"}
	write := func(text, wantKept string, before setup.State) {
		t.Helper()
		f.Text = text
		if got, err := f.State(); err != nil || got != before {
			t.Errorf("state %v, %v", got, err)
		}
		kept, err := f.Write(m)
		if err != nil || strings.TrimPrefix(kept, path) != wantKept {
			t.Errorf("kept %q, %v", kept, err)
		}
		b, err := os.ReadFile(path)
		if err != nil || string(b) != text {
			t.Errorf("%q, %v", b, err)
		}
	}
	write("a\n", "", setup.Absent)
	write("a\n", "", setup.Same)
	write("b\n", ".old", setup.Other)
	write("c\n", ".old1", setup.Other)
	if b, err := os.ReadFile(path + ".old1"); err != nil || string(b) != "b\n" {
		t.Errorf("kept: %q, %v", b, err)
	}
	write(packaging.Example, ".old2", setup.Other)
	write("d\n", "", setup.Example)
	if runtime.GOOS == "windows" {
		return
	}
	mode := func() os.FileMode {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Mode().Perm()
	}
	if mode() != 0o600 {
		t.Errorf("mode %v", mode())
	}
	m.Group = func(name string) (int, bool) { return os.Getgid(), name == f.Group }
	write("d\n", "", setup.Same)
	if mode() != 0o640 {
		t.Errorf("with a group: mode %v", mode())
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 4 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// A file that includes itself, or what is no file, ends the reading.
func TestReadAsterisk_Hostile(t *testing.T) {
	dir := root(t, map[string]string{
		"etc/asterisk/a.conf":      "[a]\nx=1\n#include a.conf\n#include sub\n#include ../../../../etc/passwd\n#exec rm\n=\n[b\n](\n[c](c)\n[d](!,d)\n[e](d)\ny => 2 \\; 3 ; 4\n",
		"etc/asterisk/sub/b.conf":  "",
		"etc/asterisk/passwd.conf": "",
	})
	f, err := setup.ReadAsterisk(dir, "/etc/asterisk/a.conf")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Named("e").Get("y"); got != "2 ; 3" {
		t.Errorf("%q", got)
	}
	if _, err := setup.ReadAsterisk(dir, "/etc/asterisk/none.conf"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := setup.ReadAsterisk(dir, "/etc/asterisk/sub"); err == nil {
		t.Error("a folder was read")
	}
}
