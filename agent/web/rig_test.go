package web_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/web"
	"calljournal/storage"
)

const password = "correct horse battery"

// rig is a journal with pages on it, and nothing else of the daemon.
type rig struct {
	t    *testing.T
	db   *storage.DB
	http *httptest.Server
	// opened is how often somebody signed in.
	opened atomic.Int32
}

func newRig(t *testing.T, calls ...*call.Record) *rig {
	t.Helper()
	return newRigWith(t, func(*api.Options) {}, calls...)
}

// newRigWith is a rig of which the test says what the daemon would have to say.
func newRigWith(t *testing.T, daemon func(*api.Options), calls ...*call.Record) *rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	db, err := storage.Open(filepath.Join(dir, "journal.db"), storage.Options{Agent: "office-1", NoSync: true, Logger: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	users, err := access.OpenUsers(filepath.Join(dir, "users.json"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]access.Role{
		"admin":   {Scope: access.ScopeAdmin},
		"manager": {Scope: access.ScopeJournal},
		"sales":   {Scope: access.ScopeJournal, Department: "Продажи"},
		"masked":  {Scope: access.ScopeJournal, MaskNumbers: true},
	} {
		if err := users.Add(name, role, password); err != nil {
			t.Fatal(err)
		}
	}
	options := api.Options{
		Agent: "office-1", Version: "test", Store: db, Users: users, Logger: log, Now: time.Now, Zone: time.UTC,
		Status: func(context.Context) (api.Status, error) {
			return api.Status{Agent: "office-1", State: api.StateWell}, nil
		},
		Live: func(context.Context) ([]call.Record, error) { return nil, nil },
	}
	daemon(&options)
	server := api.New(options)
	server.SetTokens([]api.Token{api.NewToken("central", api.ScopeJournal, "a-token-of-a-program")})
	r := &rig{t: t, db: db}
	site := web.New(web.Options{Agent: "office-1", Version: "test", API: server, Users: users, Changed: db.Changed, Head: db.Head, Opened: func() { r.opened.Add(1) }, Zone: time.UTC, Logger: log, Now: time.Now})
	server.SetSite(site)
	r.http = httptest.NewServer(server.Network())
	t.Cleanup(func() {
		site.End()
		server.End()
		r.http.Close()
	})
	r.add(calls...)
	return r
}

func (r *rig) add(calls ...*call.Record) {
	r.t.Helper()
	b := &storage.Batch{}
	for _, c := range calls {
		b.Entries = append(b.Entries, storage.Entry{Op: storage.OpCall, Call: c})
	}
	if err := r.db.Commit(b); err != nil {
		r.t.Fatal(err)
	}
}

// person is a browser without a script.
type person struct {
	*rig
	client http.Client
	head   http.Header
}

func (r *rig) stranger() *person {
	jar, _ := cookiejar.New(nil)
	return &person{rig: r, head: http.Header{"Accept-Language": {"en"}}, client: http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (r *rig) signedIn(name string) *person {
	r.t.Helper()
	p := r.stranger()
	if status, _, _ := p.post("/signin", url.Values{"name": {name}, "password": {password}}); status != http.StatusSeeOther {
		r.t.Fatalf("sign in as %s: %d", name, status)
	}
	return p
}

func (p *person) do(method, path string, body io.Reader) (status int, head http.Header, text string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.http.URL+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	for name, values := range p.head {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func (p *person) get(path string) (int, http.Header, string) { return p.do(http.MethodGet, path, nil) }

func (p *person) post(path string, form url.Values) (int, http.Header, string) {
	return p.do(http.MethodPost, path, strings.NewReader(form.Encode()))
}

func ptr[T any](v T) *T { return &v }

// hostile is a name as nobody has it.
const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`

func someCall(id string) *call.Record {
	return &call.Record{
		ID: id, Rev: 1, Agent: "office-1", PBX: "main", PBXKind: "asterisk", Direction: call.Inbound, Origin: call.OriginDialled,
		From: call.Party{Number: ptr("+79161234567"), E164: ptr("+79161234567"), Name: ptr(hostile)}, To: call.Party{Number: ptr("74951230101")},
		Status: call.StatusAnswered, StartedAt: call.MomentOf(time.Now().Add(-time.Minute)), EndedAt: call.MomentOf(time.Now()),
		WaitMs: ptr(int64(4000)), TalkMs: ptr(int64(65_000)), Quality: call.QualityComplete,
	}
}
