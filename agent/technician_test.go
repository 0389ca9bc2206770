package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
)

// Whoever looks after a daemon sees by what it runs and what it complains of, and
// no secret of any kind.
func TestTechnician(t *testing.T) {
	dir := shortFolder(t)
	text := `[agent]
name = "test"
socket = '` + filepath.Join(dir, "s") + `'
data_dir = '` + filepath.Join(dir, "data") + `'
[http]
listen = ""
[[http.token]]
name = "central"
scope = "sync"
token = "hush-token-0123456789abcdef"
[[http.token]]
name = "hashed"
scope = "journal"
token_hash = "sha256:` + strings.Repeat("5ec4e7", 10) + `5ec4"
[uplink]
url = "http://127.0.0.1:1"
token = "hush-uplink-0123456789abcdef"
[[forward]]
name = "crm"
kind = "webhook"
url = "http://127.0.0.1:1/hush/in-the-path?hush=1"
secret = "hush-hook"
[[forward]]
name = "bus"
kind = "nats"
url = "nats://127.0.0.1:1"
credentials = '` + filepath.Join(dir, "bus.creds") + `'
[[pbx]]
name = "main"
kind = "asterisk"
address = "127.0.0.1:1"
username = "u"
secret = "hush-pbx"
`
	if err := os.WriteFile(filepath.Join(dir, "bus.creds"), []byte("hush-creds"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(filepath.Join(dir, "calljournal.toml"), []byte(text), config.OSEnv())
	if err != nil {
		t.Fatal(err)
	}
	tried := make(chan struct{}, 1)
	d := start(t, c, map[string]*fakePBX{"main": {session: func(context.Context, uint64, func(call.Event)) error {
		select {
		case tried <- struct{}{}:
		default:
		}
		return errors.New("nobody listens, and +7 916 123-45-67 calls")
	}}}, nil)
	<-tried
	client := api.NewClient(c.Agent.Socket)
	defer client.Close()
	if live, err := client.Live(t.Context()); err != nil || len(live.Blind) != 1 || live.Blind[0] != "main" {
		t.Errorf("a link that is not up: %+v, %v", live, err)
	}
	conf, err := client.Config(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"name = 'central'", "127.0.0.1:1", "bus.creds", "service_level = '20s'", "secret = '(hidden)'"} {
		if !strings.Contains(conf.TOML, want) {
			t.Errorf("%s is not in force: %s", want, conf.TOML)
		}
	}
	for _, secret := range []string{"hush", "5ec4"} {
		if strings.Contains(conf.TOML, secret) {
			t.Errorf("%q is shown: %s", secret, conf.TOML)
		}
	}
	if conf.Path != c.Path {
		t.Errorf("from %q", conf.Path)
	}
	d.end(t) // whatever it had to say is said

	said := strings.Builder{}
	for _, e := range d.Said() {
		said.WriteString(e.Level + " " + e.Text + " " + strings.Join(e.About, " ") + "\n")
	}
	if !strings.Contains(said.String(), "nobody listens") || strings.Contains(said.String(), "123-45-67") || strings.Contains(said.String(), "hush") {
		t.Errorf("the log:\n%s", &said)
	}
}
