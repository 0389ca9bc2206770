package setup

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"calljournal/agent/config"
	"calljournal/packaging"
)

// Answers are what an administrator says, or lets stand.
type Answers struct {
	Name     string
	Address  string
	Username string
	Secret   config.Secret
	Trunks   []string
	Country  string // "": national numbers are not read
}

// Proposal is what is to be written, and what is to be done on the PBX's side.
type Proposal struct {
	Config File // calljournal.toml
	Secret File

	// Lines let calljournal in, with the secret; Shown are the same without it.
	Lines, Shown string
	// Socket is what the PBX must say besides before anybody can sign in, SocketIn
	// where; "" if it does, as far as can be seen from here.
	Socket, SocketIn string
	// Where says where Lines go, Reload what makes the PBX read them.
	Where  string
	Reload []string
	// There: the PBX knows a user of that name already.
	There bool
	// PBXFile is the PBX's own new file with Lines; nil where it is for the
	// administrator to put them in.
	PBXFile *File
}

// ConfigGroup is the group that the packages make; its members may read the
// configuration and ask the daemon.
const ConfigGroup = "calljournal"

// SecretName is the file beside the configuration that holds the secret.
func SecretName(kind string) string {
	if kind == config.KindFreeSWITCH {
		return "esl.secret"
	}
	return "ami.secret"
}

// Propose makes the texts. configPath is where the configuration is to be. What
// cannot work is refused in the words of config.
func Propose(m Machine, f Found, a Answers, configPath string) (Proposal, error) {
	local, remote, _ := strings.Cut(a.Username, "@")
	for _, part := range []string{local, remote} {
		if part != "" && !config.GoodName(part) {
			return Proposal{}, fmt.Errorf("the user %q: want letters, digits, dots, dashes and underscores, beginning with a letter or digit", a.Username)
		}
	}
	dir := filepath.Dir(configPath)
	p := Proposal{
		Secret: File{Path: filepath.Join(dir, SecretName(f.Profile.Kind)), Text: a.Secret.Reveal() + "\n", Mode: 0o600},
	}
	if !m.exists("/run/systemd/system") {
		// Only systemd hands over what root alone can read.
		p.Secret.Group = ConfigGroup
	}
	text := configText(f, a, p.Secret.Path)
	// What is written must load. The secret's file is not there yet.
	trial := setLine(text, "secret_file", "secret = "+strconv.Quote("stands for it"))
	if _, err := config.Parse(configPath, []byte(trial), config.OSEnv()); err != nil {
		var wrong *config.Error
		if errors.As(err, &wrong) && len(wrong.Problems) > 0 {
			return Proposal{}, fmt.Errorf("%s: %s", wrong.Problems[0].Key, wrong.Problems[0].Text)
		}
		return Proposal{}, err
	}
	p.Config = File{Path: configPath, Text: text, Mode: 0o644, Group: ConfigGroup}
	p.letIn(m, f, a, local)
	return p, nil
}

// letIn says what the PBX is to be told.
func (p *Proposal) letIn(m Machine, f Found, a Answers, local string) {
	if f.Profile.Kind == config.KindFreeSWITCH && !f.Listens {
		p.Reload = []string{`fs_cli -x "reload mod_event_socket"`}
		p.Socket, p.SocketIn = freeswitchSocket(a.Address), path.Join(cmp.Or(f.Conf, "conf"), "autoload_configs/event_socket.conf.xml")
	}
	p.There = f.UserThere && local == packaging.ExampleUser
	if f.Profile.WholeSocket || a.Username == "" {
		return
	}
	lines := func(secret string) string {
		if f.Profile.Kind == config.KindAsterisk {
			return asteriskLines(a, secret)
		}
		return freeswitchLines(local, secret)
	}
	p.Lines, p.Shown = lines(a.Secret.Reveal()), lines("(what is in "+p.Secret.Path+")")
	if f.Profile.Kind == config.KindFreeSWITCH {
		conf := cmp.Or(f.Conf, "conf")
		p.Where = path.Join(conf, f.Profile.UserFile)
		p.Reload = []string{"fs_cli -x reloadxml", `fs_cli -x "reload mod_event_socket"`}
		if p.There {
			p.Where += ", which is there: compare it"
		}
		return
	}
	p.Reload = []string{`asterisk -rx "manager reload"`}
	file := path.Join(cmp.Or(f.Conf, asteriskConf), f.Profile.UserFile)
	switch {
	case f.Profile.MadeIn != "":
		p.Where, p.Reload = f.Profile.MadeIn+", with these rights", nil
	case p.There:
		p.Where = managerConf + " or a file that it includes, where the user is already: compare it"
	case !f.Here && f.Profile.Own:
		p.Where = managerConf + " on the PBX, or a file that it includes"
	case !f.Here:
		p.Where = file + " on the PBX"
	case !f.Read:
		p.Where = managerConf + ", at its end"
	default:
		p.Where = file
	}
	if !f.Here && f.Profile.MadeIn == "" { // of one that is here Found.Change says what lacks
		general := asteriskGeneral(f, a.Address)
		p.Lines, p.Shown = general+p.Lines, general+p.Shown
	}
	if f.Here && f.Read && f.Profile.Own && !p.There && !m.exists(file) {
		p.PBXFile = &File{Path: under(m.Root, file), Text: "; Written by calljournal setup.\n" + p.Lines, Mode: 0o600, Group: "asterisk"}
	}
}

// asteriskLines are the lines of packaging.AsteriskUser for this installation.
func asteriskLines(a Answers, secret string) string {
	permit := packaging.ExamplePermit
	if from := source(a.Address); from != "" {
		permit = from + "/255.255.255.255"
	}
	return strings.NewReplacer(
		"["+packaging.ExampleUser+"]", "["+a.Username+"]",
		packaging.ExampleSecret, strings.ReplaceAll(secret, ";", `\;`),
		packaging.ExamplePermit, permit,
	).Replace(packaging.AsteriskUser)
}

// asteriskGeneral is what the manager interface as a whole must say, so that it is
// reached from here. A file that manager.conf includes adds to the section there.
func asteriskGeneral(f Found, address string) string {
	section, on := "[general]", ""
	if !f.Profile.Own {
		section += "(+)"
	}
	if !f.Listens {
		bind := "127.0.0.1"
		if source(address) != "" {
			bind = "0.0.0.0        ; permit says from where one may sign in"
		}
		on = "enabled = yes\nbindaddr = " + bind + "\n"
	}
	return section + "\n" + on + "timestampevents = yes     ; times are then the PBX's own\n\n"
}

// freeswitchSocket lets this machine reach the event socket, and no other.
func freeswitchSocket(address string) string {
	from := source(address)
	if from == "" {
		return packaging.FreeSWITCHSocket
	}
	return strings.NewReplacer(`"127.0.0.1"`, `"0.0.0.0"`, "loopback.auto", from+"/32").Replace(packaging.FreeSWITCHSocket)
}

func freeswitchLines(local, secret string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(secret)) // a strings.Builder takes everything
	return strings.NewReplacer(
		`id="`+packaging.ExampleUser+`"`, `id="`+local+`"`,
		packaging.ExampleSecret, escaped.String(),
	).Replace(packaging.FreeSWITCHUser)
}

// source is this machine's address as a PBX elsewhere sees it, "" if the PBX is
// here. Nothing is sent. Where it cannot be told, the administrator must.
func source(address string) string {
	const unknown = "ADDRESS-OF-THIS-MACHINE"
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsLoopback() {
		return ""
	}
	c, err := net.Dial("udp4", address)
	if err != nil {
		return unknown
	}
	defer c.Close()
	from, ok := c.LocalAddr().(*net.UDPAddr)
	switch {
	case !ok:
		return unknown
	case from.IP.IsLoopback():
		return ""
	}
	return from.IP.String()
}

// configText is the example configuration with what was found and said.
func configText(f Found, a Answers, secretPath string) string {
	text := packaging.Example
	for _, s := range []struct{ key, value string }{
		{"name", a.Name}, {"kind", f.Profile.Kind}, {"address", a.Address}, {"username", a.Username}, {"secret_file", secretPath},
		{"cdr_file", f.CDR}, {"recordings_dir", f.Recordings}, {"voicemail_dir", f.Voicemail}, {"fax_dir", f.Fax},
	} {
		switch {
		case s.value != "":
			text = setLine(text, s.key, s.key+" = "+strconv.Quote(s.value))
		case s.key == "username":
			text = setLine(text, s.key, `# username = "calljournal@pbx.example"`)
		}
	}
	if len(a.Trunks) > 0 {
		quoted := []string{}
		for _, t := range a.Trunks {
			quoted = append(quoted, strconv.Quote(t))
		}
		text = setLine(text, "trunks", "trunks = ["+strings.Join(quoted, ", ")+"]")
	}
	if a.Country != "" {
		text = strings.Replace(text, "\n# country = \"RU\"\n", "\ncountry = "+strconv.Quote(a.Country)+"\n", 1)
	}
	return text
}

// setLine puts line in the place of the one, in effect or commented out, that the
// [[pbx]] of the example has for key.
func setLine(text, key, line string) string {
	begin := strings.Index(text, "\n[[pbx]]\n")
	end := begin + strings.Index(text[begin:], "\n[http]\n")
	pbx := regexp.MustCompile(`(?m)^(# )?`+key+` = .*$`).ReplaceAllLiteralString(text[begin:end], line)
	return text[:begin] + pbx + text[end:]
}
