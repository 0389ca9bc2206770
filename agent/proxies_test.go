package agent_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
)

// What was read through a proxy of ours was read by its client.
func TestTrustedProxies(t *testing.T) {
	dir := shortFolder(t)
	c, err := config.Parse(filepath.Join(dir, "calljournal.toml"), []byte(`[agent]
name = "test"
socket = '`+filepath.Join(dir, "s")+`'
data_dir = '`+filepath.Join(dir, "data")+`'
[http]
listen = "127.0.0.1:0"
trusted_proxies = ["127.0.0.1"]
[[http.token]]
name = "reader"
scope = "journal"
token = "a-token-0123456789abcdef"
[[pbx]]
name = "main"
kind = "asterisk"
address = "127.0.0.1:1"
username = "u"
secret = "s"
`), config.OSEnv())
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, c, map[string]*fakePBX{"main": {session: func(ctx context.Context, _ uint64, _ func(call.Event)) error { <-ctx.Done(); return ctx.Err() }}}, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.Addr().String()+"/v1/calls", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer a-token-0123456789abcdef")
	req.Header.Set("X-Forwarded-For", "198.51.100.1, 203.0.113.9")
	answer, err := http.DefaultClient.Do(req)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	answer.Body.Close()
	client := api.NewClient(c.Agent.Socket)
	defer client.Close()
	page, err := client.Access(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Access {
		if e.Who == "token reader" {
			if e.Address != "203.0.113.9" {
				t.Errorf("read from %q", e.Address)
			}
			return
		}
	}
	t.Errorf("nobody read: %+v", page.Access)
}
