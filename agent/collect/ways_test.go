package collect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/collect"
	"calljournal/agent/uplink"
	"calljournal/storage"

	"github.com/klauspost/compress/gzip"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// realAgent is the journal and the HTTP interface of a daemon.
func realAgent(t *testing.T, name string) (*storage.DB, *api.Server) {
	t.Helper()
	db, err := storage.Open(filepath.Join(t.TempDir(), "journal.db"), storage.Options{Agent: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := api.New(api.Options{Agent: name, Version: "test", Store: db, Logger: quiet(), Now: time.Now})
	s.SetTokens([]api.Token{api.NewToken("centre", api.ScopeSync, agentToken)})
	return db, s
}

func commit(t *testing.T, db *storage.DB, from, to int) {
	t.Helper()
	var b storage.Batch
	for n := from; n < to; n++ {
		b.Entries = append(b.Entries, storage.Entry{Op: storage.OpCall, Call: testRecord(n, 1, call.StatusAnswered)})
	}
	if err := db.Commit(&b); err != nil {
		t.Fatal(err)
	}
}

// The daemon's own feed, pulled over HTTP and over an uplink: the same rows.
func TestCollect_RealAgent(t *testing.T) {
	dsn, _ := database(t)
	near, nearServer := realAgent(t, "near")
	far, farServer := realAgent(t, "far")
	s := httptest.NewServer(nearServer.Network())
	defer s.Close()
	defer nearServer.End()
	defer farServer.End()
	commit(t, near, 0, 700)
	commit(t, far, 0, 700)
	c := startCentre(t, dsn, fmt.Sprintf("[[agent]]\nname = \"near\"\nurl = %q\ntoken = %q\n[[agent]]\nname = \"far\"\nvia = \"uplink\"\ntoken = %q\n", s.URL, agentToken, agentToken))
	if l := c.look(t, "far"); l.State != collect.Waiting {
		t.Errorf("before it dials: %+v", l)
	}
	line := uplink.New(uplink.Options{
		URL: "http://" + c.Addr().String() + "/v1/uplink", Agent: "far", Token: func() string { return agentToken },
		Handler: farServer.Uplink(), Logger: quiet(), Now: time.Now,
	})
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { line.Run(ctx) })
	defer ended.Wait()
	defer cancel()
	c.stored(t, "near", 700)
	c.stored(t, "far", 700)
	commit(t, near, 700, 900)
	commit(t, far, 700, 900)
	c.stored(t, "near", 900)
	c.stored(t, "far", 900)
	if n := one[int](t, c, "SELECT count(*) FROM calls a JOIN calls b USING (id) WHERE a.agent = 'near' AND b.agent = 'far' AND a.raw = b.raw"); n != 900 {
		t.Errorf("%d calls are the same", n)
	}
	for _, db := range []*storage.DB{near, far} {
		until(t, "acknowledged", func() bool {
			all, err := db.Consumers()
			return err == nil && len(all) == 1 && all[0].Name == "centre" && all[0].Seq == 900
		})
	}
	cancel()
	ended.Wait()
	until(t, "the loss of the line shows", func() bool { return c.look(t, "far").State == collect.Waiting })
}

// What goes wrong on a line that goes on is asked for again on the same line: the
// agent, which sees nothing wrong with it, would never dial another one. An agent
// that is configured no more loses its line.
func TestCollect_LineOutlivesAFault(t *testing.T) {
	dsn, _ := database(t)
	db, server := realAgent(t, "far")
	defer server.End()
	commit(t, db, 0, 10)
	table := fmt.Sprintf("[[agent]]\nname = \"far\"\nvia = \"uplink\"\ntoken = %q\n", agentToken)
	c := startCentre(t, dsn, table)
	var faults atomic.Int32
	feed := server.Uplink()
	line := uplink.New(uplink.Options{
		URL: "http://" + c.Addr().String() + "/v1/uplink", Agent: "far", Token: func() string { return agentToken }, Logger: quiet(), Now: time.Now,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if faults.Add(1) <= 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			feed.ServeHTTP(w, r)
		}),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { line.Run(ctx) })
	defer ended.Wait()
	defer cancel()
	c.stored(t, "far", 10)
	if l := line.Look(); l.State != uplink.Up || l.Sessions != 1 {
		t.Errorf("%+v: dialled anew", l)
	}
	c.Reload(c.ctx, collectConfig(t, dsn, "[[agent]]\nname = \"other\"\nvia = \"uplink\"\ntoken = \"another-0123456789abcdef\"\n"))
	until(t, "the line is cut", func() bool { return line.Look().State != uplink.Up })
}

// pushTo sends what a [[forward]] of the kind webhook would.
func pushTo(t *testing.T, c *centre, name, secret string, zip bool, body []byte) int {
	t.Helper()
	sign, err := standardwebhooks.NewWebhookRaw([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	signature, err := sign.Sign("msg_1", at, body)
	if err != nil {
		t.Fatal(err)
	}
	sent := body
	if zip {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(body)
		_ = z.Close()
		sent = b.Bytes()
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.Addr().String()+"/v1/push/"+name, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	if zip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	req.Header.Set(standardwebhooks.HeaderWebhookID, "msg_1")
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, fmt.Sprint(at.Unix()))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestCollect_Push(t *testing.T) {
	const secret = "the secret of a webhook, in plain"
	dsn, _ := database(t)
	c := startCentre(t, dsn, fmt.Sprintf("[[agent]]\nname = \"office\"\nvia = \"push\"\nsecret = %q\n[[agent]]\nname = \"pulled\"\nurl = \"http://127.0.0.1:1\"\ntoken = %q\n", secret, agentToken))
	entries := newFarAgent("office")
	entries.add(callBody(1, 1, call.StatusAnswered), callBody(2, 1, call.StatusAnswered), callBody(3, 1, call.StatusAnswered),
		`"op":"delete","id":"main:1700000000.2"`, callBody(3, 2, call.StatusBusy))
	body := func(agent, journal string, seqs ...int) []byte {
		var list []json.RawMessage
		for _, s := range seqs {
			list = append(list, json.RawMessage(entries.entries[s-1]))
		}
		b, err := json.Marshal(map[string]any{"journal": journal, "agent": agent, "entries": list})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, tt := range []struct {
		what, name, secret string
		zip                bool
		body               []byte
		want               int
	}{
		{"a batch with a hole, as a filter leaves it", "office", secret, false, body("office", "j", 1, 3), 204},
		{"the same again", "office", secret, false, body("office", "j", 1, 3), 204},
		{"gzip, in no order", "office", secret, true, body("office", "j", 5, 4), 204},
		{"what was set aside comes late", "office", secret, false, body("office", "j", 2, 3), 204},
		{"nothing", "office", secret, false, body("office", "j"), 204},
		{"another secret", "office", "another secret, also in plain", false, body("office", "j", 1), 401},
		{"an agent that is not known", "nobody", secret, false, body("nobody", "j", 1), 401},
		{"an agent that is pulled", "pulled", secret, false, body("pulled", "j", 1), 401},
		{"entries of another agent", "office", secret, false, body("somebody", "j", 1), 409},
		{"no journal", "office", secret, false, body("office", "", 1), 400},
		{"no JSON", "office", secret, false, []byte("nonsense"), 400},
	} {
		if got := pushTo(t, c, tt.name, tt.secret, tt.zip, tt.body); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
	}
	// Call 2 was deleted by a later entry than the one that came late.
	if got := one[string](t, c, "SELECT string_agg(format('%s %s', id, rev), ', ' ORDER BY id) FROM calls"); got != "main:1700000000.1 1, main:1700000000.3 2" {
		t.Error(got)
	}
	if l := c.look(t, "office"); l.State != collect.Up || l.Cursor != 5 || l.Lag() != 0 {
		t.Errorf("%+v", l)
	}
}

// Nobody sees anything without a token, and the page shows hostile text as text.
func TestCollect_PageAndMetrics(t *testing.T) {
	dsn, _ := database(t)
	a, bad := newFarAgent("office-1"), newFarAgent("<script>alert(1)</script>")
	a.add(callBody(1, 1, call.StatusAnswered), `"op":"gap","gap":{"pbx":"main","from":"2026-01-02T00:00:00.000Z","to":null,"reason":"link lost","healed":false}`)
	toml := serveAgents(t, a)
	s := httptest.NewServer(bad)
	defer s.Close()
	bad.add(callBody(1, 1, call.StatusAnswered))
	toml += fmt.Sprintf("[[agent]]\nname = \"office-2\"\nurl = %q\ntoken = %q\n", s.URL, agentToken)
	toml += fmt.Sprintf("[[agent]]\nname = \"office-3\"\nvia = \"uplink\"\ntoken = %q\n", agentToken)
	c := startCentre(t, dsn, toml)
	c.stored(t, "office-1", 2)
	until(t, "the wrong name shows", func() bool { return c.look(t, "office-2").State == collect.Refused })
	ask := func(method, path, kind, token string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case "basic":
			req.SetBasicAuth("anybody", token)
		case "bearer":
			req.Header.Set("Authorization", "Bearer "+token)
		}
		req.Header.Set(uplink.AgentHeader, "office-3")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for _, tt := range []struct {
		method, path, kind, token string
		want                      int
	}{
		{"GET", "/", "", "", 401}, {"GET", "/", "basic", "wrong", 401}, {"GET", "/", "basic", agentToken, 401}, {"GET", "/", "basic", readerToken, 200},
		{"GET", "/metrics", "", "", 401}, {"GET", "/metrics", "bearer", agentToken, 401}, {"GET", "/metrics", "bearer", readerToken, 200},
		{"GET", "/else", "", "", 401}, {"GET", "/else", "bearer", readerToken, 404},
		{"POST", "/v1/uplink", "", "", 401}, {"POST", "/v1/uplink", "bearer", readerToken, 401}, {"POST", "/v1/uplink", "bearer", agentToken, 400},
		{"POST", "/v1/push/office-1", "bearer", readerToken, 401},
		{"GET", "/healthz", "", "", 200},
	} {
		if got, body := ask(tt.method, tt.path, tt.kind, tt.token); got != tt.want || got == 401 && strings.Contains(body, "office") {
			t.Errorf("%s %s with %s %q: %d, want %d: %s", tt.method, tt.path, tt.kind, tt.token, got, tt.want, body)
		}
	}
	_, page := ask("GET", "/", "bearer", readerToken)
	for _, want := range []string{"office-1", "office-3", "3 branches: 1 followed", "&lt;script&gt;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "<script") {
		t.Error("the page holds a script")
	}
	_, text := ask("GET", "/metrics", "bearer", readerToken)
	for _, want := range []string{
		`calljournal_collect_agent_up{agent="office-1",state="up"} 1`, `calljournal_collect_agent_up{agent="office-3",state="waiting"} 0`,
		`calljournal_collect_agent_open_gaps{agent="office-1"} 1`, `calljournal_collect_agent_lag{agent="office-1"} 0`, `calljournal_collect_database_up 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics have no %s", want)
		}
	}
}

// The database goes away in the middle and comes back: nothing is lost, nothing
// doubled, and the page tells meanwhile.
func TestCollect_DatabaseRestarts(t *testing.T) {
	if testing.Short() {
		t.Skip("without -short: a restart of PostgreSQL")
	}
	dsn, p := database(t)
	var agents []*farAgent
	for i := range 10 {
		agents = append(agents, newFarAgent(fmt.Sprintf("office-%d", i)))
	}
	c := startCentre(t, dsn, "page = 20\n"+serveAgents(t, agents...))
	add := func(from, to int) {
		for _, a := range agents {
			for n := from; n < to; n++ {
				a.add(callBody(n, 1, call.StatusAnswered))
			}
		}
	}
	add(0, 200)
	until(t, "some are stored", func() bool { return c.look(t, "office-0").Cursor > 20 })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	add(200, 300)
	until(t, "the outage shows", func() bool {
		looks, err := c.Looks(t.Context())
		return err != nil && len(looks) == 10 && looks[0].State == collect.Stalled
	})
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	for _, a := range agents {
		c.stored(t, a.name, 300)
	}
	c.reconnect(t, dsn)
	if n := one[int](t, c, "SELECT count(*) FROM calls"); n != 3000 {
		t.Errorf("%d calls", n)
	}
	if n := one[int](t, c, "SELECT sum(entries) FROM agents"); n != 3000 {
		t.Errorf("%d entries were counted", n)
	}
}

// Behind a proxy of ours it is the client who is noted for a wrong token.
func TestCollect_TrustedProxies(t *testing.T) {
	for proxies, want := range map[string]string{`["127.0.0.1"]`: "remote=203.0.113.9 ", `["192.0.2.1"]`: "remote=127.0.0.1:"} {
		said := &heard{}
		c, err := collect.New(collect.Options{
			Config: collectConfig(t, "postgres://127.0.0.1:1/none", "trusted_proxies = "+proxies+"\n[[agent]]\nname = \"a\"\nvia = \"push\"\nsecret = \"0123456789abcdef\"\n"),
			Logger: slog.New(slog.NewTextHandler(said, nil)), Version: "test", Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.Addr().String()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer a-wrong-one")
		req.Header.Set("X-Forwarded-For", "203.0.113.9")
		answer, err := http.DefaultClient.Do(req)
		if err != nil || answer.StatusCode != http.StatusUnauthorized {
			t.Fatal(answer, err)
		}
		answer.Body.Close()
		stop()
		<-ended
		if !strings.Contains(said.text(), want) {
			t.Errorf("trusted_proxies = %s: not %q in\n%s", proxies, want, said.text())
		}
	}
}

// heard keeps what a log says.
type heard struct {
	mu sync.Mutex
	b  strings.Builder
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(p)
}

func (h *heard) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.String()
}
