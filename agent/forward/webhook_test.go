package forward

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"calljournal/storage"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hook is a webhook sink for a server.
func hook(t *testing.T, url string, change ...func(*Settings)) *webhook {
	t.Helper()
	s := settings(append([]func(*Settings){func(s *Settings) { s.URL, s.Secret = url, NewSecret(hookSecret) }}, change...)...)
	sink, err := newWebhook(s, "office", "j1", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	return sink.(*webhook)
}

func entries(seqs ...uint64) (batch []Entry) {
	for _, seq := range seqs {
		e := storage.Entry{Seq: seq, Op: storage.OpCall, Call: record(int(seq))}
		batch = append(batch, Entry{e, encoded(&e)})
	}
	return batch
}

func TestWebhook_WhatIsSent(t *testing.T) {
	type got struct {
		header http.Header
		body   []byte
	}
	var all []got
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
			}
			body = z
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		all = append(all, got{r.Header, b})
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	for _, zip := range []bool{false, true} {
		w := hook(t, server.URL+"/hooks/crm?a=b", func(s *Settings) { s.Gzip = zip })
		for _, seqs := range [][]uint64{{1, 2}, {1, 2}, {3}} {
			if err := w.Send(t.Context(), entries(seqs...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	verify, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range all {
		if err := verify.Verify(g.body, g.header); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
		var page struct {
			Journal, Agent string
			Entries        []json.RawMessage
		}
		if err := json.Unmarshal(g.body, &page); err != nil || page.Journal != "j1" || page.Agent != "office" || g.header.Get("Content-Type") != "application/json" {
			t.Errorf("request %d: %v: %s", i, err, g.body)
		}
		if e := entries(1)[0]; i == 0 && (len(page.Entries) != 2 || string(page.Entries[0]) != string(e.JSON)) {
			t.Errorf("entries: %s", g.body)
		}
	}
	id := func(i int) string { return all[i].header.Get("webhook-id") }
	if id(0) != id(1) || id(0) == id(2) || id(0) != id(3) || len(id(0)) < 20 || string(all[0].body) != string(all[1].body) {
		t.Errorf("ids: %s %s %s %s", id(0), id(1), id(2), id(3))
	}
}

func TestWebhook_Secrets(t *testing.T) {
	raw := []byte("0123456789abcdefghijklmn")
	for _, tt := range []struct{ secret, want string }{
		{"whsec_" + base64.StdEncoding.EncodeToString(raw), string(raw)},
		{base64.StdEncoding.EncodeToString(raw), string(raw)},
		{"not-base64, but a secret", "not-base64, but a secret"},
		{"whsec_", "whsec_"},
	} {
		if got := string(webhookKey(tt.secret)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.secret, got, tt.want)
		}
	}
}

func TestWebhook_Answers(t *testing.T) {
	const (
		fine    = "fine"
		refused = "refused"
		again   = "again"
	)
	for _, tt := range []struct {
		status int
		want   string
		after  time.Duration
		header string
	}{
		{200, fine, 0, ""}, {202, fine, 0, ""}, {204, fine, 0, ""},
		{301, again, 0, ""}, {302, again, 0, ""}, {307, again, 0, ""}, {304, again, 0, ""},
		{400, refused, 0, ""}, {404, refused, 0, ""}, {409, refused, 0, ""}, {410, refused, 0, ""}, {413, refused, 0, ""}, {422, refused, 0, ""}, {499, refused, 0, ""},
		{401, again, 0, ""}, {407, again, 0, ""}, {408, again, 0, ""}, {425, again, 0, ""},
		{429, again, 7 * time.Second, "7"}, {429, again, 0, "soon"}, {429, again, 0, "-1"},
		{500, again, 0, ""}, {503, again, 2 * time.Minute, "120"}, {503, again, time.Hour, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, {599, again, 0, ""},
	} {
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%d: the redirect was followed", tt.status) }))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if tt.status/100 == 3 {
				w.Header().Set("Location", elsewhere.URL)
			}
			if tt.header != "" {
				w.Header().Set("Retry-After", tt.header)
			}
			w.WriteHeader(tt.status)
			if tt.status != 204 && tt.status != 304 {
				_, _ = io.WriteString(w, "because\x1b[2J of "+r.URL.String()+" and "+hookSecret)
			}
		}))
		err := hook(t, server.URL+"/hooks/secret-path").Send(t.Context(), entries(1))
		var r *Refused
		var b *Busy
		got := fine
		switch {
		case errors.As(err, &r):
			got = refused
		case err != nil:
			got = again
		}
		errors.As(err, &b)
		if got != tt.want || tt.after > 0 && (b == nil || b.After < tt.after-2*time.Second || b.After > tt.after) || tt.after == 0 && b != nil && b.After != 0 {
			t.Errorf("%d %s: %s, %+v: %v", tt.status, tt.header, got, b, err)
		}
		if err != nil && tt.status != 304 && (!strings.Contains(err.Error(), "because") || strings.ContainsAny(err.Error(), "\x1b")) {
			t.Errorf("%d: the reason does not show, or shows raw: %q", tt.status, err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret-path") || strings.Contains(err.Error(), "MfKQ")) {
			t.Errorf("%d: a secret shows: %v", tt.status, err)
		}
		server.Close()
		elsewhere.Close()
	}
}

// Nothing secret shows, whatever goes wrong.
func TestWebhook_FaultsTellNoSecret(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	closed.Close()
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	}))
	defer cut.Close()
	garbage := rawServer(t, func(c net.Conn) { _, _ = io.WriteString(c, "SIP/2.0 200 /hooks/secret-path\r\n\r\n") })
	hang := rawServer(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	for name, url := range map[string]string{
		"nobody there": "http://" + address, "cut": cut.URL, "garbage": "http://" + garbage, "hangs": "http://" + hang, "no TLS": "https://" + garbage,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err := hook(t, url+"/hooks/secret-path").Send(ctx, entries(1))
		cancel()
		var r *Refused
		if err == nil || errors.As(err, &r) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "secret-path") || strings.Contains(err.Error(), "MfKQ") {
			t.Errorf("%s: a secret shows: %v", name, err)
		}
	}
	s := settings(func(s *Settings) { s.Secret = NewSecret(hookSecret) })
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s.Secret)
	if strings.Contains(log.String(), "MfKQ") || s.address() != "https://crm.example" {
		t.Errorf("%s, %s", log.String(), s.address())
	}
}

// rawServer says something, whatever it is told.
func rawServer(t *testing.T, say func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				say(c)
			}()
		}
	}()
	return l.Addr().String()
}

// An endless answer is not read to its end.
func TestWebhook_EndlessAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	if err := hook(t, server.URL).Send(t.Context(), entries(1)); err != nil {
		t.Error(err)
	}
}

func TestWebhook_ClientCertificateAndAuthority(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 || r.TLS.Version < tls.VersionTLS12 {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS10}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pemOf(kind, der), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := write("ca.pem", "CERTIFICATE", server.Certificate().Raw)
	cert, key := selfSigned(t)
	certPath, keyPath := write("cert.pem", "CERTIFICATE", cert), write("key.pem", "EC PRIVATE KEY", key)
	with := func(ca, cert, key string) func(*Settings) {
		return func(s *Settings) { s.TLSCA, s.TLSCert, s.TLSKey = ca, cert, key }
	}
	if err := hook(t, server.URL, with(ca, certPath, keyPath)).Send(t.Context(), entries(1)); err != nil {
		t.Error(err)
	}
	if err := hook(t, server.URL, with(ca, "", "")).Send(t.Context(), entries(1)); err == nil {
		t.Error("without a certificate")
	}
	if err := hook(t, server.URL, with("", certPath, keyPath)).Send(t.Context(), entries(1)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	for name, change := range map[string]func(*Settings){
		"no authority": with(filepath.Join(dir, "none"), "", ""), "empty authority": with(keyPath, "", ""), "no key": with("", certPath, filepath.Join(dir, "none")),
	} {
		if _, err := newWebhook(settings(change), "office", "j", time.Now); err == nil {
			t.Error(name)
		}
	}
}

func TestWebhook_Proxy(t *testing.T) {
	asked := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = r.URL.String() }))
	defer proxy.Close()
	if err := hook(t, "http://crm.invalid/hooks", func(s *Settings) { s.Proxy = proxy.URL }).Send(t.Context(), entries(1)); err != nil || asked != "http://crm.invalid/hooks" {
		t.Errorf("%q, %v", asked, err)
	}
}

func TestWebhook_Live(t *testing.T) {
	var body struct {
		Agent, Event string
		Extension    *string
		Call         struct{ ID string }
	}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("webhook-signature") == "" {
			t.Error(err, r.Header)
		}
	}))
	defer server.Close()
	if err := hook(t, server.URL).SendLive(t.Context(), &Event{Event: EventRinging, Extension: ptr("101"), Call: record(1)}); err != nil {
		t.Fatal(err)
	}
	if body.Agent != "office" || body.Event != EventRinging || body.Extension == nil || body.Call.ID != record(1).ID {
		t.Errorf("%+v", body)
	}
}
