package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"calljournal/agent/api"
	"calljournal/agent/config"
)

// The words of erase, with a daemon that only answers.
func TestErase(t *testing.T) {
	for _, tt := range []struct {
		name, in    string
		yes         bool
		found       api.Erased
		want, fails string
	}{
		{"the input ends", "", false, api.Erased{Calls: 1}, "1 call of 74950000000 will be erased for good. Type yes to go on: \n", "nothing was erased"},
		{"no", "no\n", false, api.Erased{Calls: 2}, "2 calls of 74950000000 will be erased for good. Type yes to go on: ", "nothing was erased"},
		{"held", "", false, api.Erased{Held: 1}, "", "nothing was erased: 1 call of 74950000000 in progress, or ended a moment ago"},
		{"erased", "", true, api.Erased{Calls: 1, Held: 2}, "Erased: 1 call of 74950000000. ", ""},
		{"the rest", "yes\n", false, api.Erased{Calls: 1, Held: 2}, "Not erased: 2 calls in progress, or ended a moment ago.", ""},
		{"what is left", "yes\n", false, api.Erased{Calls: 1}, "its own call records), what others have fetched, and\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.found.Number = "74950000000"
			var said bytes.Buffer
			sh := &shell{ctx: t.Context(), in: strings.NewReader(tt.in), out: &said, errOut: &said, env: config.OSEnv(), given: true}
			sh.config = answering(t, tt.found)
			err := eraseVerb{Number: "74950000000", Yes: tt.yes}.Run(sh)
			if tt.fails == "" && err != nil || tt.fails != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.fails)) {
				t.Errorf("error %v, want %q", err, tt.fails)
			}
			if !strings.Contains(said.String(), tt.want) || tt.fails != "" && said.String() != tt.want {
				t.Errorf("it says %q, want %q", &said, tt.want)
			}
		})
	}
}

// answering is the configuration of a daemon that has one answer to everything.
func answering(t *testing.T, answer any) string {
	t.Helper()
	folder := temporary(t) // a socket's path is short
	socket, file := filepath.Join(folder, "c.sock"), filepath.Join(folder, "c.toml")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Skipf("no unix sockets here: %v", err)
	}
	s := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	if err := os.WriteFile(file, fmt.Appendf(nil, "[agent]\nsocket = %s\n", tomlText(socket)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
