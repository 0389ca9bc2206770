package collect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/collect"
	"calljournal/agent/config"

	"github.com/jackc/pgx/v5"
)

const (
	agentToken  = "a token of sixteen"
	readerToken = "the reader's token"
)

// farAgent is an agent as the centre sees it: a feed behind HTTP. Its entries are
// JSON already; the number of each is its place.
type farAgent struct {
	name string

	mu       sync.Mutex
	journal  string
	oldest   int // number of entries[0]
	entries  []string
	changed  chan struct{}
	pages    int    // answered
	consumer int    // acknowledged
	hold     func() // runs before each answer
}

func newFarAgent(name string) *farAgent {
	return &farAgent{name: name, journal: "journal-of-" + name, oldest: 1, changed: make(chan struct{})}
}

// add appends entries; each is what follows seq and at.
func (a *farAgent) add(bodies ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range bodies {
		seq := a.oldest + len(a.entries)
		a.entries = append(a.entries, fmt.Sprintf(`{"seq":%d,"at":"2026-01-02T03:04:05.%03dZ",%s}`, seq, seq%1000, b))
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *farAgent) head() int { return a.oldest + len(a.entries) - 1 }

func (a *farAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+agentToken {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if strings.Contains(r.URL.Path, "/v1/consumers/") {
		var c struct{ Seq int }
		_ = json.NewDecoder(r.Body).Decode(&c)
		a.mu.Lock()
		a.consumer = c.Seq
		a.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	q := r.URL.Query()
	after, _ := strconv.Atoi(q.Get("after"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	seconds, _ := strconv.Atoi(q.Get("wait"))
	over := time.After(time.Duration(seconds) * time.Second)
	for {
		a.mu.Lock()
		if a.hold != nil {
			hold := a.hold
			a.mu.Unlock()
			hold()
			a.mu.Lock()
		}
		if j := q.Get("journal"); j != "" && j != a.journal || after > a.head() || after != 0 && after+1 < a.oldest {
			defer a.mu.Unlock()
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusGone)
			fmt.Fprintf(w, `{"status":410,"journal":%q,"oldest":%d,"head":%d}`, a.journal, a.oldest, a.head())
			return
		}
		from := max(after, a.oldest-1)
		rest := a.entries[from+1-a.oldest:]
		changed := a.changed
		if len(rest) > 0 {
			rest = rest[:min(limit, len(rest))]
			a.pages++
			text := fmt.Sprintf(`{"journal":%q,"agent":%q,"entries":[%s],"next":%d,"head":%d,"oldest":%d}`,
				a.journal, a.name, strings.Join(rest, ","), from+len(rest), a.head(), a.oldest)
			a.mu.Unlock()
			_, _ = w.Write([]byte(text))
			return
		}
		text := fmt.Sprintf(`{"journal":%q,"agent":%q,"entries":[],"next":%d,"head":%d,"oldest":%d}`, a.journal, a.name, from, a.head(), a.oldest)
		a.mu.Unlock()
		select {
		case <-changed:
		case <-over:
			_, _ = w.Write([]byte(text))
			return
		case <-r.Context().Done():
			return
		}
	}
}

// callBody is the entry of a call; n tells calls apart.
func callBody(n, rev int, status string) string {
	b, err := json.Marshal(testRecord(n, rev, status))
	if err != nil {
		panic(err)
	}
	return `"op":"call","call":` + string(b)
}

func testRecord(n, rev int, status string) *call.Record {
	at := call.MomentOf(time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)).Add(time.Duration(n) * time.Second)
	text := func(s string) *string { return &s }
	ms := func(n int64) *int64 { return &n }
	return &call.Record{
		ID: fmt.Sprintf("main:1700000000.%d", n), Rev: uint64(rev), Agent: "office", PBX: "main", PBXKind: "asterisk", PBXIDs: []string{"1", "2"},
		Direction: call.Inbound, Origin: call.OriginDialled, Status: status, Missed: status != call.StatusAnswered,
		From: call.Party{Number: text("+7 495 1"), E164: text("+74951"), Name: text("Иван \"Ж\"")}, To: call.Party{Number: text("101"), Extension: text("101")},
		Line: &call.Line{Number: "74951230101", Name: text("Site")}, Trunk: text("trunk-a"),
		Cause: &call.Cause{Q850: 16, Text: "Normal Clearing"}, StartedAt: at, EndedAt: at.Add(8 * time.Second),
		WaitMs: ms(3000), TotalMs: ms(8000), Queues: []string{"sales", "support"}, Types: []string{"unique"}, Tags: nil,
		Cost: &call.Cost{Amount: "1.80", Currency: "RUB", BilledMs: 60000, Prefix: "7"}, Quality: call.QualityComplete,
		Legs: []call.Leg{{Channel: "PJSIP/101-1", Role: call.RolePhone, Result: "answered", StartedAt: at}},
	}
}

// centre is a collector under test.
type centre struct {
	*collect.Collector
	ctx   context.Context
	stop  context.CancelFunc
	ended chan error
	db    *pgx.Conn
}

// startCentre runs a collector; toml is the [[agent]] tables and more.
func startCentre(t testing.TB, dsn, toml string) *centre {
	t.Helper()
	c := &centre{ended: make(chan error, 1)}
	started := make(chan struct{})
	var err error
	c.Collector, err = collect.New(collect.Options{
		Config: collectConfig(t, dsn, toml), Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)), Version: "test", Now: time.Now,
		Started: func() { close(started) },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	go func() { c.ended <- c.Run(c.ctx) }()
	<-started
	t.Cleanup(c.end)
	if c.db, err = pgx.Connect(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.db.Close(context.Background()) })
	return c
}

func (c *centre) end() {
	c.stop()
	if c.ended != nil {
		<-c.ended
		c.ended = nil
	}
}

func collectConfig(t testing.TB, dsn, toml string) *config.Collect {
	t.Helper()
	if !strings.Contains(toml, "pause =") {
		toml = "pause = \"20ms\"\n" + toml
	}
	text := "[collect]\nlisten = \"127.0.0.1:0\"\n" + toml +
		fmt.Sprintf("[[reader]]\nname = \"eye\"\ntoken = %q\n", readerToken)
	cfg, err := config.ParseCollect(filepath.Join(t.TempDir(), "collect.toml"), []byte(text), config.Env{Getenv: func(string) string { return dsn }})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// testLog shows the log of a test that failed.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil { // nothing may be logged after a test
		l.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// serveAgents puts agents behind one address, each below its name, and gives the
// [[agent]] tables that lead there.
func serveAgents(t testing.TB, agents ...*farAgent) (toml string) {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	for _, a := range agents {
		mux.Handle("/"+a.name+"/", http.StripPrefix("/"+a.name, a))
		toml += fmt.Sprintf("[[agent]]\nname = %q\nurl = %q\ntoken = %q\n", a.name, s.URL+"/"+a.name, agentToken)
	}
	return toml
}

// until waits for what must come to be.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// one reads a single value.
func one[T any](t testing.TB, c *centre, sql string, args ...any) (v T) {
	t.Helper()
	if err := c.db.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// look finds a branch.
func (c *centre) look(t testing.TB, name string) collect.Look {
	t.Helper()
	looks, err := c.Looks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range looks {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("there is no branch %s", name)
	return collect.Look{}
}

func (c *centre) stored(t testing.TB, name string, cursor int) {
	t.Helper()
	until(t, fmt.Sprintf("%s stored to %d", name, cursor), func() bool { return c.look(t, name).Cursor == int64(cursor) })
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// reconnect makes the test's own connection anew.
func (c *centre) reconnect(t testing.TB, dsn string) {
	t.Helper()
	var err error
	if c.db, err = pgx.Connect(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
}
