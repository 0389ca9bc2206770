package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/doctor"
	"calljournal/agent/mail/mailtest"
	"calljournal/connectors"
	"calljournal/packaging"
	"calljournal/storage"
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// pbx is a link that says what it is told to.
type pbx struct {
	skew     time.Duration
	warnings []string
	err      error
}

func (p pbx) Run(ctx context.Context, session uint64, emit func(call.Event)) error {
	if p.err != nil {
		return p.err
	}
	at := call.MomentOf(now)
	emit(call.Event{Kind: call.LinkUp, Session: session, Seq: 1, At: at.Add(p.skew + time.Millisecond), Seen: at})
	emit(call.Event{Kind: call.Snapshot, Session: session, Seq: 2, At: at, Seen: at})
	<-ctx.Done()
	return nil
}

func (p pbx) Stats() connectors.Stats {
	return connectors.Stats{PBXVersion: "Asterisk 22.10.1", Warnings: p.warnings}
}

// site is a healthy installation, for one thing of it to be broken.
type site struct {
	t      *testing.T
	pbx    pbx
	root   string // of the machine
	config map[string]string
	synced bool
	status api.Status
	down   bool // no daemon
	now    time.Time
}

func newSite(t *testing.T) *site {
	s := &site{t: t, root: t.TempDir(), synced: true, now: now, status: api.Status{Agent: "office", State: api.StateWell},
		config: map[string]string{"timezone": "Europe/Moscow", "listen": "127.0.0.1:8420"}}
	s.write("etc/asterisk/manager.conf", 0o600, `
[general]
enabled = yes ; the interface
timestampevents = yes
[calljournal]
secret = x
read = system, call,agent,dialplan
write => reporting
permit = 127.0.0.1/255.255.255.255
writetimeout = 5000
`)
	s.write("usr/lib/systemd/system/calljournal.service", 0o644, packaging.Unit)
	s.write("etc/calljournal/ami.secret", 0o600, "of-the-pbx\n")
	if err := os.MkdirAll(s.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.root, name) }

func (s *site) write(name string, mode os.FileMode, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(s.path(name), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) mail(server, ca string) {
	s.config["more"] = fmt.Sprintf("[mail]\nserver = %q\nca = %q\nusername = \"journal@company.example\"\npassword = \"of-the-mail\"\nfrom = \"journal@company.example\"\n", server, ca)
}

func (s *site) edit(name, old, new string) {
	s.t.Helper()
	text, err := os.ReadFile(s.path(name))
	if err != nil || !strings.Contains(string(text), old) {
		s.t.Fatalf("%s does not hold %q: %v", name, old, err)
	}
	s.write(name, 0o600, strings.Replace(string(text), old, new, 1))
}

func (s *site) examine() []doctor.Finding {
	s.t.Helper()
	text := fmt.Sprintf(`
[agent]
name = "office"
data_dir = %q
socket = %q
timezone = %q
[http]
listen = %q
%s
[[pbx]]
name = "main"
kind = "asterisk"
address = "127.0.0.1:5038"
username = "calljournal"
secret_file = %q
%s
%s
`, s.path("data"), s.path("c.sock"), s.config["timezone"], s.config["listen"], s.config["http"], s.path("etc/calljournal/ami.secret"), s.config["pbx"], s.config["more"])
	if s.config["timezone"] == "" {
		text = strings.Replace(text, "timezone = \"\"\n", "", 1)
	}
	if !strings.Contains(text, "http.token") {
		text += "[[http.token]]\nname = \"central\"\nscope = \"sync\"\ntoken = \"9f8a7b6c5d4e3f2a1b0c\"\n"
	}
	path := s.path("etc/calljournal/calljournal.toml")
	s.write("etc/calljournal/calljournal.toml", 0o600, text)
	c, err := config.Load(path, config.Env{Getenv: func(string) string { return "" }, Hostname: os.Hostname})
	if err != nil {
		s.t.Fatal(err)
	}
	return doctor.Examine(s.t.Context(), doctor.Options{
		Config: c, Root: s.root, Now: func() time.Time { return s.now }, Patience: 2 * time.Second,
		Connect: func(config.PBX, *slog.Logger) (connectors.Connector, error) { return s.pbx, nil },
		Synced:  func() (bool, error) { return s.synced, nil },
		Status: func(context.Context) (api.Status, error) {
			if s.down {
				return api.Status{}, fmt.Errorf("%w: nobody", api.ErrNoDaemon)
			}
			return s.status, nil
		},
	})
}

func TestExamine_Healthy(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no unit to look at")
	}
	for _, f := range newSite(t).examine() {
		if f.Verdict != doctor.Well && f.Check != "disk" { // this machine's disk is not the test's affair
			t.Errorf("%+v", f)
		}
	}
}

func TestExamine_PlantedFaults(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes of files and units are planted")
	}
	closed := closedPort(t)
	for _, c := range []struct {
		name    string
		plant   func(*site)
		verdict doctor.Verdict
		check   string
		found   string
		remedy  string
	}{
		{"the secret can be read by everybody", func(s *site) { s.write("etc/calljournal/ami.secret", 0o644, "of-the-pbx\n") },
			doctor.Advice, "configuration", "ami.secret", "calljournal.toml"},
		{"a short token", func(s *site) {
			s.config["more"] = "[[http.token]]\nname = \"central\"\nscope = \"sync\"\ntoken = \"abc123\"\n"
		}, doctor.Advice, "configuration", "can be guessed", "calljournal.toml"},
		{"a department that nobody is in", func(s *site) {
			s.mail(closed, "")
			s.config["more"] += "[[alert]]\nname = \"missed\"\nto = [\"head@company.example\"]\ndepartment = [\"Salse\"]\n" +
				"[[employee]]\nextension = \"101\"\nname = \"Anna\"\ndepartment = \"Sales\"\n"
		}, doctor.Advice, "configuration", `"Salse"`, "calljournal.toml"},
		{"an extension that no call can have", func(s *site) {
			s.config["more"] = "[[employee]]\nextension = \"1-01\"\nname = \"Anna\"\n"
		}, doctor.Advice, "configuration", "1-01", "calljournal.toml"},
		{"nobody at the PBX's address", func(s *site) {
			s.pbx.err = &connectors.LinkError{Op: "connect", Address: "127.0.0.1:5038", Err: connectors.ErrUnreachable}
		}, doctor.Fault, "link", "unreachable", "manager.conf"},
		{"a wrong secret", func(s *site) {
			s.pbx.err = &connectors.LinkError{Op: "sign in", Address: "127.0.0.1:5038", Err: connectors.ErrLoginRefused}
		}, doctor.Fault, "link", "login refused", "user and secret"},
		{"another server at the address", func(s *site) {
			s.pbx.err = &connectors.LinkError{Op: "greet", Address: "127.0.0.1:5038", Err: connectors.ErrNotAPBX}
		}, doctor.Fault, "link", "not the protocol", "5038"},
		{"no stamps", func(s *site) {
			s.pbx.warnings = []string{"events carry no Timestamp: set timestampevents = yes in manager.conf"}
		}, doctor.Advice, "PBX's settings", "no Timestamp", "timestampevents = yes"},
		{"the PBX's clock is wrong", func(s *site) { s.pbx.skew = -time.Hour - time.Millisecond }, doctor.Fault, "clock", "1h0m0s behind", "NTP"},
		{"this machine's clock is nobody's affair", func(s *site) { s.synced = false }, doctor.Advice, "clock", "nothing keeps it right", "set-ntp"},
		{"no write timeout", func(s *site) { s.edit("etc/asterisk/manager.conf", "writetimeout = 5000", "") },
			doctor.Advice, "manager.conf", "writetimeout", "writetimeout = 5000"},
		{"an event filter", func(s *site) {
			s.edit("etc/asterisk/manager.conf", "writetimeout = 5000", "writetimeout = 5000\neventfilter = !Event: Hangup")
		}, doctor.Fault, "manager.conf", "eventfilter", "take eventfilter out"},
		{"a class is missing", func(s *site) { s.edit("etc/asterisk/manager.conf", "call,agent", "agent") },
			doctor.Fault, "manager.conf", `"call"`, "read = system,call"},
		{"anybody may sign in", func(s *site) { s.edit("etc/asterisk/manager.conf", "permit", "; permit") },
			doctor.Advice, "manager.conf", "from anywhere", "deny"},
		{"the journal's folder is open", func(s *site) { _ = os.Chmod(s.path("data"), 0o755) }, doctor.Fault, "folder", "mode 0755", "chmod 0700"},
		{"recordings are elsewhere", func(s *site) { s.config["pbx"] = fmt.Sprintf("recordings_dir = %q", s.path("none")) },
			doctor.Fault, "folder", "recordings_dir", "recordings_dir"},
		{"the interface is open to the network", func(s *site) { s.config["listen"] = "0.0.0.0:8420" },
			doctor.Fault, "http", "unencrypted", "tls_cert"},
		{"the certificate has expired", func(s *site) { s.certificate(now.Add(-time.Hour)) }, doctor.Fault, "http", "expired on 2026-11-23", "renew"},
		{"the certificate will expire", func(s *site) { s.certificate(now.Add(72 * time.Hour)) }, doctor.Advice, "http", "expires in 3 days", "renew"},
		{"a forwarder's far side is gone", func(s *site) {
			s.config["more"] = fmt.Sprintf("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"http://%s/hook\"\n", closed)
		}, doctor.Fault, "forward", closed, "firewall"},
		{"the mail server is gone", func(s *site) { s.mail(closed, "") }, doctor.Fault, "mail", closed, "[mail]"},
		{"the mail server does not know us", func(s *site) {
			post := mailtest.Start(s.t, mailtest.Options{TLS: "starttls", Username: "journal@company.example", Password: "another one"})
			s.mail(post.Addr, post.CA)
		}, doctor.Fault, "mail", "535", "password_file"},
		{"the mail server takes our mail", func(s *site) {
			post := mailtest.Start(s.t, mailtest.Options{TLS: "starttls", Username: "journal@company.example", Password: "of-the-mail"})
			s.mail(post.Addr, post.CA)
		}, doctor.Well, "mail", "signed in as journal@company.example over TLS 1.3", ""},
		{"no daemon", func(s *site) { s.down = true }, doctor.Advice, "daemon", "does not run", "service start"},
		{"the daemon is degraded", func(s *site) { s.status.Problems = []string{"the disk is full"} }, doctor.Fault, "daemon", "disk is full", "status"},
		{"dead letters", func(s *site) { s.status.Forwarders = []api.Forwarder{{Name: "crm", Dead: 3}} }, doctor.Advice, "forward", "3 entries", "forward dead crm"},
		{"a damaged journal", func(s *site) { s.down = true; s.damagedJournal() }, doctor.Fault, "journal", "damaged", "backup"},
		{"no service", func(s *site) { _ = os.Remove(s.path("usr/lib/systemd/system/calljournal.service")) },
			doctor.Advice, "service", "not installed", "service install"},
		{"a drop-in weakens the service", func(s *site) {
			s.write("etc/systemd/system/calljournal.service.d/own.conf", 0o644, "[Service]\nProtectSystem=no\n")
		}, doctor.Advice, "service", "ProtectSystem=strict", "calljournal.service.d"},
		{"no time zone", func(s *site) {
			s.config["timezone"] = ""
			if name, _ := now.In(time.Local).Zone(); name != "UTC" {
				s.config["timezone"] = "planted elsewhere"
			}
		}, doctor.Advice, "time zone", "UTC", "timezone ="},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			c.plant(s)
			if s.config["timezone"] == "planted elsewhere" {
				t.Skip("this machine's zone is not UTC, and it is the machine's that is looked at")
			}
			findings := s.examine()
			for _, f := range findings {
				if f.Check == c.check && f.Verdict == c.verdict && strings.Contains(f.Found, c.found) && strings.Contains(f.Remedy, c.remedy) {
					return
				}
			}
			t.Errorf("not found among %+v", findings)
		})
	}
}

// Nothing that a finding says may hold a secret: it goes into tickets.
func TestExamine_KeepsSecrets(t *testing.T) {
	s := newSite(t)
	s.config["more"] = fmt.Sprintf("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"http://%s/hidden-path\"\nsecret = \"hidden-key\"\n", closedPort(t))
	s.pbx.err = &connectors.LinkError{Op: "sign in", Address: "127.0.0.1:5038", Err: errors.Join(connectors.ErrLoginRefused)}
	for _, f := range s.examine() {
		if said := fmt.Sprint(f); strings.Contains(said, "hidden") || strings.Contains(said, "of-the-pbx") || strings.Contains(said, "9f8a7b6c") {
			t.Errorf("%+v", f)
		}
	}
}

func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *site) certificate(until time.Time) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-1000 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("cert.pem", 0o600, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.write("key.pem", 0o600, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	s.config["listen"] = "0.0.0.0:8420"
	s.config["http"] = fmt.Sprintf("tls_cert = %q\ntls_key = %q", s.path("cert.pem"), s.path("key.pem"))
}

func (s *site) damagedJournal() {
	s.t.Helper()
	path := s.path("data/journal.db")
	db, err := storage.Open(path, storage.Options{Agent: "office", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.t.Fatal(err)
	}
	record := call.Record{ID: "main:1.1", Rev: 1, StartedAt: call.MomentOf(now), EndedAt: call.MomentOf(now)}
	if err := db.Commit(&storage.Batch{Entries: []storage.Entry{{Op: storage.OpCall, Call: &record}}}); err != nil {
		s.t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		s.t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range raw[os.Getpagesize()*2:] {
		if i%7 == 0 {
			raw[os.Getpagesize()*2+i] ^= 0x55
		}
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		s.t.Fatal(err)
	}
}
