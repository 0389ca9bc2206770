package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/media"
	"calljournal/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ptr[T any](v T) *T { return &v }

func record(n int) *call.Record {
	at := call.Moment(1_780_000_000_000_000 + int64(n)*1_000_000)
	return &call.Record{
		ID: fmt.Sprintf("main:%d.%d", at/1_000_000, n), Rev: 1, Agent: "office", PBX: "main", PBXKind: "asterisk", PBXIDs: []string{"x"},
		Direction: call.Inbound, Origin: call.OriginDialled, Status: call.StatusAnswered, From: call.Party{Number: ptr(fmt.Sprintf("7916%07d", n))},
		To: call.Party{Number: ptr("74951230101")}, StartedAt: at, EndedAt: at.Add(time.Minute), TotalMs: ptr(int64(60000)), Quality: call.QualityComplete,
		Queues: []string{}, Legs: []call.Leg{}, Transfers: []call.Transfer{}, Timeline: []call.Span{}, Recordings: []call.Recording{}, Types: []string{},
		Tags: []string{}, Doubts: []string{},
	}
}

// rig is a server over a real journal.
type rig struct {
	dead   deadLetters
	db     *storage.DB
	server *api.Server
	h      http.Handler
	live   func() []call.Record // calls in progress
	spool  string               // the folder of sound and faxes
	access *access.Log
	users  *access.Users
	now    func() time.Time

	directory *journal.Directory
}

const (
	syncToken    = "sync-0123456789abcdef"
	journalToken = "journal-0123456789abcdef"
	adminToken   = "admin-0123456789abcdef"
)

func newRig(t testing.TB) *rig {
	t.Helper()
	db, err := storage.Open(filepath.Join(t.TempDir(), "journal.db"), storage.Options{Agent: "office"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := &rig{db: db, live: func() []call.Record { return []call.Record{*record(7)} }, now: time.Now}
	r.spool = t.TempDir()
	data := t.TempDir()
	r.access = access.NewLog(filepath.Join(data, "access.log"))
	t.Cleanup(func() { r.access.Close() })
	if r.users, err = access.OpenUsers(filepath.Join(data, "users.json"), time.Now); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	r.server = api.New(api.Options{
		Access: r.access, Users: r.users,
		Media: media.New(media.Options{Folders: []media.Folders{{PBX: "main", Recordings: r.spool, Voicemail: r.spool, Fax: r.spool}}, Logger: log, Now: time.Now}),
		Agent: "office", Version: "test", Store: db,
		DeadLetters: &r.dead, Outgoing: outgoing{},
		Status: func(context.Context) (api.Status, error) {
			return api.Status{Agent: "office", State: api.StateWell}, nil
		},
		Live:    func(context.Context) ([]call.Record, error) { return r.live(), nil },
		Healthy: func() error { return nil }, Ready: func() error { return errors.New("the disk is full") },
		Books:  &books{store: db},
		Config: func() api.Configuration { return api.Configuration{Path: "/etc/c.toml", TOML: "[agent]\n"} },
		Log:    func() []api.LogEntry { return []api.LogEntry{{Level: "warning", Text: "link lost", Times: 1}} },
		Logger: log, Now: func() time.Time { return r.now() }, Directory: func() *journal.Directory { return r.directory },
	})
	r.server.SetTokens([]api.Token{
		api.NewToken("central", api.ScopeSync, syncToken), api.NewToken("eye", api.ScopeJournal, journalToken), api.NewToken("root", api.ScopeAdmin, adminToken),
	})
	r.h = r.server.Network()
	return r
}

func (r *rig) commit(t testing.TB, entries ...storage.Entry) {
	t.Helper()
	if err := r.db.Commit(&storage.Batch{Entries: entries}); err != nil {
		t.Fatal(err)
	}
}

func callEntry(n int) storage.Entry { return storage.Entry{Op: storage.OpCall, Call: record(n)} }

// asker is what both kinds of tests are.
type asker interface {
	Helper()
	Context() context.Context
}

func (r *rig) get(t asker, path, token string) *httptest.ResponseRecorder {
	t.Helper()
	return r.do(t, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil), token)
}

func (r *rig) do(t asker, req *http.Request, token string) *httptest.ResponseRecorder {
	t.Helper()
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	return w
}

type page struct {
	Journal string            `json:"journal"`
	Agent   string            `json:"agent"`
	Entries []json.RawMessage `json:"entries"`
	Next    uint64            `json:"next"`
	Head    uint64            `json:"head"`
	Oldest  uint64            `json:"oldest"`
}

func decode[T any](t testing.TB, w *httptest.ResponseRecorder, status int) (v T) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("%d, want %d: %s", w.Code, status, w.Body)
	}
	d := json.NewDecoder(w.Body)
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDoors(t *testing.T) {
	r := newRig(t)
	r.commit(t, callEntry(1))
	id := url.PathEscape(record(1).ID)
	tests := []struct {
		path, token string
		want        int
	}{
		{"/healthz", "", 200},
		{"/readyz", "", 503},
		{"/v1/sync", "", 401},
		{"/v1/sync", "wrong", 401},
		{"/v1/sync", syncToken + "x", 401},
		{"/v1/sync?token=" + syncToken, "", 401},
		{"/v1/sync", syncToken, 200},
		{"/v1/sync", adminToken, 200},
		{"/v1/sync", journalToken, 403},
		{"/v1/calls", syncToken, 403},
		{"/v1/calls", journalToken, 200},
		{"/v1/calls/" + id, journalToken, 200},
		{"/v1/calls/" + id, syncToken, 403},
		{"/v1/calls/" + id + "/why", journalToken, 200},
		{"/v1/calls/main:none", journalToken, 404},
		{"/v1/live", syncToken, 403},
		{"/v1/missed", syncToken, 403},
		{"/v1/missed?state=open", journalToken, 200},
		{"/v1/missed?state=opened", journalToken, 422},
		{"/v1/missed?cursor=zzz", journalToken, 422},
		{"/v1/spam", journalToken, 403},
		{"/v1/spam", adminToken, 200},
		{"/v1/erase", adminToken, 405},
		{"/v1/status", syncToken, 200},
		{"/v1/status", journalToken, 200},
		{"/openapi.yaml", "", 401},
		{"/openapi.yaml", syncToken, 200},
		{"/", "", 401},
		{"/nothing", "", 401},
		{"/nothing", syncToken, 404},
		{"/v1/calls?statu=busy", journalToken, 422},
		{"/v1/calls?status=bussy", journalToken, 422},
		{"/v1/calls?from=yesterday", journalToken, 422},
		{"/v1/calls?cursor=zzz", journalToken, 422},
		{"/v1/sync?limit=0", syncToken, 422},
		{"/v1/sync?after=-1", syncToken, 422},
		{"/v1/sync?after=18446744073709551616", syncToken, 422},
		{"/v1/sync?wait=x", syncToken, 422},
	}
	for _, tt := range tests {
		t.Run(tt.path+" "+tt.token, func(t *testing.T) {
			w := r.get(t, tt.path, tt.token)
			if w.Code != tt.want {
				t.Fatalf("%d, want %d: %s", w.Code, tt.want, w.Body)
			}
			if ct := w.Header().Get("Content-Type"); w.Code >= 400 && w.Code != 503 && ct != "application/problem+json" {
				t.Errorf("Content-Type %q", ct)
			}
			if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Error("nosniff is missing")
			}
			if strings.Contains(w.Body.String(), syncToken) {
				t.Error("a token is in the answer")
			}
		})
	}
}

func TestMethodNotAllowed(t *testing.T) {
	r := newRig(t)
	w := r.do(t, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/sync", nil), syncToken)
	if w.Code != 405 || w.Header().Get("Allow") != "GET" || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d, Allow %q: %s", w.Code, w.Header().Get("Allow"), w.Body)
	}
}

func TestTokens_ChangeWhileRunning(t *testing.T) {
	r := newRig(t)
	r.server.SetTokens([]api.Token{api.NewToken("new", api.ScopeSync, "another-0123456789abcdef")})
	if w := r.get(t, "/v1/sync", syncToken); w.Code != 401 {
		t.Errorf("the old token: %d", w.Code)
	}
	if w := r.get(t, "/v1/sync", "another-0123456789abcdef"); w.Code != 200 {
		t.Errorf("the new token: %d", w.Code)
	}
}

// The control socket needs no token.
func TestLocal(t *testing.T) {
	r := newRig(t)
	r.h = r.server.Local()
	if w := r.get(t, "/v1/calls", ""); w.Code != 200 {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

func TestSync_Pages(t *testing.T) {
	r := newRig(t)
	empty := decode[page](t, r.get(t, "/v1/sync", syncToken), 200)
	if empty.Entries == nil || len(empty.Entries) != 0 || empty.Next != 0 || empty.Head != 0 || empty.Oldest != 1 || empty.Agent != "office" {
		t.Errorf("empty journal: %+v", empty)
	}
	for n := range 7 {
		r.commit(t, callEntry(n))
	}
	r.commit(t, storage.Entry{Op: storage.OpGap, Gap: &call.Gap{PBX: "main", From: 1_000_000, To: 2_000_000, Reason: "line dead"}})
	r.commit(t, storage.Entry{Op: storage.OpDelete, ID: record(1).ID, Into: record(0).ID})
	after, seen := uint64(0), uint64(0)
	for {
		p := decode[page](t, r.get(t, fmt.Sprintf("/v1/sync?after=%d&limit=4&journal=%s", after, empty.Journal), syncToken), 200)
		for _, raw := range p.Entries {
			seen++
			var e struct {
				Seq  uint64
				At   string
				Op   string
				Call map[string]any
				Gap  map[string]any
				ID   string
				Into string
			}
			if err := json.Unmarshal(raw, &e); err != nil || e.Seq != seen || e.At == "" {
				t.Fatalf("entry %d: %s, %v", seen, raw, err)
			}
			switch {
			case seen <= 7 && (e.Op != "call" || e.Call["id"] != record(int(seen-1)).ID):
				t.Errorf("entry %d: %s", seen, raw)
			case seen == 8 && (e.Op != "gap" || e.Gap["reason"] != "line dead" || e.Gap["from"] != "1970-01-01T00:00:01.000Z" || e.Call != nil):
				t.Errorf("gap: %s", raw)
			case seen == 9 && (e.Op != "delete" || e.ID != record(1).ID || e.Into != record(0).ID):
				t.Errorf("delete: %s", raw)
			}
		}
		if p.Next != seen || p.Head != 9 {
			t.Errorf("next %d, head %d after %d entries", p.Next, p.Head, seen)
		}
		if after = p.Next; len(p.Entries) == 0 {
			break
		}
	}
	if seen != 9 {
		t.Errorf("%d entries of 9", seen)
	}
}

func TestSync_Gone(t *testing.T) {
	r := newRig(t)
	for n := range 300 {
		r.commit(t, callEntry(n))
	}
	for range 100 {
		kept, err := r.db.Retain(storage.Retention{MaxBytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		if !kept.More {
			break
		}
	}
	oldest := r.db.Oldest()
	if oldest < 3 {
		t.Fatalf("nothing was dropped: oldest %d", oldest)
	}
	for _, query := range []string{"?journal=another", "?after=1", fmt.Sprintf("?after=%d", r.db.Head()+1)} {
		got := decode[map[string]any](t, r.get(t, "/v1/sync"+query, syncToken), 410)
		if got["journal"] != r.db.Journal() || got["oldest"] != float64(oldest) || got["head"] != float64(300) || got["status"] != float64(410) {
			t.Errorf("%s: %v", query, got)
		}
	}
	if p := decode[page](t, r.get(t, "/v1/sync?after=0&limit=1", syncToken), 200); oldest <= r.db.Head() && p.Next != oldest {
		t.Errorf("after=0 starts at %d, the oldest is %d", p.Next, oldest)
	}
}

func TestSync_Compressed(t *testing.T) {
	r := newRig(t)
	for n := range 20 {
		r.commit(t, callEntry(n))
	}
	plain := r.get(t, "/v1/sync", syncToken).Body.Bytes()
	for encoding, open := range map[string]func(io.Reader) (io.Reader, error){
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"zstd": func(r io.Reader) (io.Reader, error) {
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
			return d.IOReadCloser(), err
		},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/sync", nil)
		req.Header.Set("Accept-Encoding", encoding)
		w := r.do(t, req, syncToken)
		if got := w.Header().Get("Content-Encoding"); got != encoding {
			t.Fatalf("asked for %s, got %q", encoding, got)
		}
		body, err := open(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(b, plain) {
			t.Errorf("%s: %d bytes of %d, %v", encoding, len(b), len(plain), err)
		}
		if c, ok := body.(io.Closer); ok {
			c.Close()
		}
	}
}

// A long poll ends with the commit it waits for, with its time, or with the
// server.
func TestSync_Waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.commit(t, callEntry(1))
		ask := func(query string) <-chan page {
			out := make(chan page, 1)
			go func() { out <- decode[page](t, r.get(t, "/v1/sync?"+query, syncToken), 200) }()
			return out
		}
		began := time.Now()
		if p := <-ask("after=0&wait=30"); len(p.Entries) != 1 || time.Since(began) != 0 {
			t.Errorf("there was something: %d entries after %v", len(p.Entries), time.Since(began))
		}
		if p := <-ask("after=1&wait=30"); len(p.Entries) != 0 || p.Next != 1 || time.Since(began) != 30*time.Second {
			t.Errorf("nothing came: %d entries after %v", len(p.Entries), time.Since(began))
		}
		began = time.Now()
		if p := <-ask("after=1&wait=3600"); len(p.Entries) != 0 || time.Since(began) != time.Minute {
			t.Errorf("an hour is a minute: %d entries after %v", len(p.Entries), time.Since(began))
		}
		waiting := ask("after=1&wait=30")
		time.Sleep(10 * time.Second)
		r.commit(t, callEntry(2))
		began = time.Now()
		if p := <-waiting; len(p.Entries) != 1 || p.Next != 2 || time.Since(began) != 0 {
			t.Errorf("after a commit: %+v after %v", p, time.Since(began))
		}
		waiting = ask("after=2&wait=30")
		time.Sleep(time.Second)
		r.server.End()
		if p := <-waiting; len(p.Entries) != 0 || time.Since(began) != time.Second {
			t.Errorf("at the end: %+v after %v", p, time.Since(began))
		}
	})
}

func TestSync_TooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		codes := make(chan int, 600)
		for range 600 {
			go func() { codes <- r.get(t, "/v1/sync?wait=10", syncToken).Code }()
		}
		counts := map[int]int{}
		for range 600 {
			counts[<-codes]++
		}
		if counts[503] != 600-512 || counts[200] != 512 {
			t.Errorf("answers: %v", counts)
		}
	})
}

// Wrong tokens are answered later and later; right ones are not held back.
func TestWrongTokensSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := time.Now()
		for range 50 {
			if w := r.get(t, "/v1/sync", "guess"); w.Code != 401 {
				t.Fatalf("%d", w.Code)
			}
		}
		if took := time.Since(began); took < 30*time.Second {
			t.Errorf("50 guesses took %v", took)
		}
		began = time.Now()
		if w := r.get(t, "/v1/sync", syncToken); w.Code != 200 || time.Since(began) != 0 {
			t.Errorf("the right token: %d after %v", w.Code, time.Since(began))
		}
		time.Sleep(2 * time.Minute)
		began = time.Now()
		if r.get(t, "/v1/sync", "guess"); time.Since(began) != 0 {
			t.Errorf("after a pause a mistake is one again: %v", time.Since(began))
		}
		codes := make(chan int, 500)
		for range 500 {
			go func() { codes <- r.get(t, "/v1/sync", "guess").Code }()
		}
		counts := map[int]int{}
		for range 500 {
			counts[<-codes]++
		}
		if counts[429] == 0 || counts[429]+counts[401] != 500 {
			t.Errorf("five hundred at a time: %v", counts)
		}
	})
}

func TestConsumers(t *testing.T) {
	r := newRig(t)
	r.commit(t, callEntry(1))
	put := func(name, body string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v1/consumers/"+name, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		return r.do(t, req, syncToken)
	}
	good := fmt.Sprintf(`{"journal": %q, "seq": 1}`, r.db.Journal())
	tests := []struct {
		name, body string
		want       int
	}{
		{"central", good, 204},
		{"central", `{"journal": "another", "seq": 1}`, 410},
		{"central", fmt.Sprintf(`{"journal": %q, "seq": 2}`, r.db.Journal()), 422},
		{"central", `{"seq": 1}`, 422},
		{"central", `{`, 400},
		{"central", `{"journal": "` + strings.Repeat("x", 100_000) + `"}`, 413},
		{"bad%20name", good, 422},
	}
	for _, tt := range tests {
		if w := put(tt.name, tt.body); w.Code != tt.want {
			t.Errorf("%s %.60s: %d, want %d: %s", tt.name, tt.body, w.Code, tt.want, w.Body)
		}
	}
	got, err := r.db.Consumers()
	if err != nil || len(got) != 1 || got[0].Name != "central" || got[0].Seq != 1 {
		t.Errorf("consumers: %+v, %v", got, err)
	}
	for _, tt := range []struct {
		name, token string
		want        int
	}{{"central", syncToken, 403}, {"central", adminToken, 204}, {"central", adminToken, 404}} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/v1/consumers/"+tt.name, nil)
		if w := r.do(t, req, tt.token); w.Code != tt.want {
			t.Errorf("forget %s: %d, want %d: %s", tt.name, w.Code, tt.want, w.Body)
		}
	}
	if got, err := r.db.Consumers(); err != nil || len(got) != 0 {
		t.Errorf("consumers after all: %+v, %v", got, err)
	}
}

// fullOfConsumers is a journal that takes no further consumer.
type fullOfConsumers struct{ *storage.DB }

func (fullOfConsumers) SetConsumer(storage.Consumer) error {
	return fmt.Errorf("note consumer: %w: there are 1000 already", storage.ErrConsumer)
}

func TestConsumers_TooMany(t *testing.T) {
	r := newRig(t)
	s := api.New(api.Options{Agent: "office", Version: "test", Store: fullOfConsumers{r.db}, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v1/consumers/central", strings.NewReader(`{"journal": "x", "seq": 1}`))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.Local().ServeHTTP(w, req)
	if w.Code != 422 || !strings.Contains(w.Body.String(), "1000 already") || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A token that is known by its hash only opens like any other.
func TestHashedToken(t *testing.T) {
	r := newRig(t)
	r.server.SetTokens([]api.Token{api.NewToken("old", api.ScopeSync, "an old token"), api.HashedToken("new", api.ScopeSync, sha256.Sum256([]byte("a new token")))})
	for token, want := range map[string]int{"an old token": 200, "a new token": 200, "sha256:": 401, "": 401} {
		if w := r.get(t, "/v1/sync", token); w.Code != want {
			t.Errorf("token %q: %d, want %d", token, w.Code, want)
		}
	}
}

func TestCalls(t *testing.T) {
	r := newRig(t)
	for n := range 10 {
		c := record(n)
		if n%2 == 1 {
			c.Status, c.Direction = call.StatusBusy, call.Outbound
		}
		r.commit(t, storage.Entry{Op: storage.OpCall, Call: c})
	}
	var ids []string
	for cursor := ""; ; {
		p := decode[api.CallsPage](t, r.get(t, "/v1/calls?limit=3&cursor="+url.QueryEscape(cursor), journalToken), 200)
		for _, c := range p.Calls {
			ids = append(ids, c.ID)
		}
		if p.Cursor == nil {
			break
		}
		cursor = *p.Cursor
	}
	if len(ids) != 10 || ids[0] != record(9).ID || ids[9] != record(0).ID {
		t.Errorf("newest first: %q", ids)
	}
	for query, want := range map[string]int{
		"status=busy":                  5,
		"status=busy,answered":         10,
		"direction=outbound":           5,
		"direction=internal":           0,
		"number=79160000003":           1,
		"from=2026-05-28T20:26:45Z":    5,
		"to=2026-05-28T20:26:45Z":      5,
		"status=busy&number=790000003": 0,
	} {
		p := decode[api.CallsPage](t, r.get(t, "/v1/calls?"+query, journalToken), 200)
		if p.Calls == nil || len(p.Calls) != want {
			t.Errorf("%s: %d calls, want %d", query, len(p.Calls), want)
		}
	}
}

func TestLive_SendsWhatChanges(t *testing.T) {
	r := newRig(t)
	s := httptest.NewServer(r.h)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+journalToken)
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Errorf("Content-Type %q", ct)
	}
	first := make([]byte, 20)
	if _, err := io.ReadFull(resp.Body, first); err != nil || !bytes.HasPrefix(first, []byte("event: calls\ndata: ")) {
		t.Errorf("first event: %q, %v", first, err)
	}
}

func TestOpenAPI(t *testing.T) {
	r := newRig(t)
	text := r.get(t, "/openapi.yaml", syncToken).Body.String()
	for _, want := range []string{"/v1/sync:", "/v1/calls:", "/v1/status:", "/v1/consumers/{name}:", "talk_ms:", "openapi: 3.1.0"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func TestClient(t *testing.T) {
	r := newRig(t)
	r.commit(t, callEntry(1))
	socket := filepath.Join(t.TempDir(), "c.sock")
	c := api.NewClient(socket)
	defer c.Close()
	if _, err := c.Status(t.Context()); !errors.Is(err, api.ErrNoDaemon) {
		t.Errorf("nobody there: %v", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := api.HTTPServer(r.server.Local(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	if st, err := c.Status(t.Context()); err != nil || st.State != api.StateWell {
		t.Errorf("status: %+v, %v", st, err)
	}
	if p, err := c.Calls(t.Context(), url.Values{"limit": {"5"}}); err != nil || len(p.Calls) != 1 {
		t.Errorf("calls: %+v, %v", p, err)
	}
	if got, err := c.Call(t.Context(), record(1).ID); err != nil || got.ID != record(1).ID {
		t.Errorf("call: %+v, %v", got, err)
	}
	if _, err := c.Why(t.Context(), "main:none/../x"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("why of nothing: %v", err)
	}
	if _, err := c.Calls(t.Context(), url.Values{"status": {"bussy"}}); err == nil || !strings.Contains(err.Error(), "status") {
		t.Errorf("a wrong filter: %v", err)
	}
	if err := c.UnmarkSpam(t.Context(), "+79161234567"); !errors.Is(err, api.ErrNotFound) || err.Error() != `not found: "+79161234567" is not on the list` {
		t.Errorf("what is not on the list: %v", err)
	}
	for _, number := range []string{"", ".", ".."} { // as addresses they would be others
		if _, err := c.MarkSpam(t.Context(), number); !errors.Is(err, api.ErrNumber) {
			t.Errorf("%q as a spammer's: %v", number, err)
		}
		if err := c.UnmarkSpam(t.Context(), number); !errors.Is(err, api.ErrNumber) {
			t.Errorf("%q off the list: %v", number, err)
		}
	}
}

// Whatever somebody asks of the feed, the answer is one of those documented and
// never a fault of ours.
func FuzzSync(f *testing.F) {
	for _, q := range []string{"", "after=1&wait=0", "journal=x", "limit=99999999999", "after=%00", "after=1&after=2", "wait=-1", "a;b=c", "limit=1e9"} {
		f.Add(q)
	}
	r := newRig(f)
	r.commit(f, callEntry(1))
	r.server.End() // nothing waits
	f.Fuzz(func(t *testing.T, query string) {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/sync", nil)
		req.URL.RawQuery = query
		w := r.do(t, req, syncToken)
		switch w.Code {
		case 200:
			var p page
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Entries == nil {
				t.Errorf("%q: %v: %s", query, err, w.Body)
			}
		case 410, 422:
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("%q: %s", query, w.Body)
			}
		default:
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	})
}
