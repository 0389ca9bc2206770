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
}

func newRig(t *testing.T, calls ...*call.Record) *rig {
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
	server := api.New(api.Options{
		Agent: "office-1", Version: "test", Store: db, Users: users, Logger: log, Now: time.Now,
		Status: func(context.Context) (api.Status, error) {
			return api.Status{Agent: "office-1", State: api.StateWell}, nil
		},
		Live: func(context.Context) ([]call.Record, error) { return nil, nil },
	})
	server.SetTokens([]api.Token{api.NewToken("central", api.ScopeJournal, "a-token-of-a-program")})
	site := web.New(web.Options{Agent: "office-1", Version: "test", API: server, Users: users, Changed: db.Changed, Zone: time.UTC, Logger: log, Now: time.Now})
	server.SetSite(site)
	r := &rig{t: t, db: db, http: httptest.NewServer(server.Network())}
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

func TestSignIn(t *testing.T) {
	r := newRig(t, someCall("main:1"))
	p := r.stranger()
	if status, head, _ := p.get("/?direction=inbound"); status != http.StatusSeeOther || head.Get("Location") != "/signin?back=%2F%3Fdirection%3Dinbound" {
		t.Errorf("a stranger: %d to %q", status, head.Get("Location"))
	}
	if status, _, _ := p.get("/v1/calls"); status != http.StatusUnauthorized {
		t.Errorf("the interface to a stranger: %d", status)
	}
	if status, _, _ := p.get("/changes"); status != http.StatusUnauthorized {
		t.Errorf("changes to a stranger: %d", status)
	}
	if status, _, text := p.post("/signin", url.Values{"name": {"manager"}, "password": {"wrong password"}}); status != http.StatusOK || !strings.Contains(text, "password is wrong") {
		t.Errorf("a wrong password: %d %s", status, text)
	}
	for back, want := range map[string]string{"/?missed=true": "/?missed=true", "//evil.example/": "/", "https://evil.example/": "/", `/\evil.example`: "/", "": "/"} {
		status, head, _ := r.stranger().post("/signin", url.Values{"name": {"manager"}, "password": {password}, "back": {back}})
		if status != http.StatusSeeOther || head.Get("Location") != want {
			t.Errorf("back to %q: %d, %q, want %q", back, status, head.Get("Location"), want)
		}
		if cookie := head.Get("Set-Cookie"); !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
			t.Errorf("cookie %q", cookie)
		}
	}
	p = r.signedIn("manager")
	status, head, text := p.get("/")
	if status != http.StatusOK || !strings.Contains(text, "main:1") {
		t.Errorf("the journal: %d %s", status, text)
	}
	if got := head.Get("Content-Security-Policy"); !strings.Contains(got, "script-src 'self'") || strings.Contains(got, "unsafe") {
		t.Errorf("policy %q", got)
	}
	if strings.Contains(text, "<script>alert") || strings.Contains(text, "<img src=x") {
		t.Error("a caller's name is markup")
	}
	if status, _, _ := p.get("/v1/calls"); status != http.StatusOK {
		t.Errorf("the interface to a user: %d", status)
	}
	if status, _, _ := p.get("/v1/users"); status != http.StatusForbidden {
		t.Errorf("what is for administrators: %d", status)
	}
	if status, _, _ := p.get("/nowhere"); status != http.StatusNotFound {
		t.Errorf("a page that there is not: %d", status)
	}
	if status, _, _ := p.post("/signout", nil); status != http.StatusSeeOther {
		t.Errorf("sign out: %d", status)
	}
	if status, _, _ := p.get("/"); status != http.StatusSeeOther {
		t.Errorf("signed out, and still there: %d", status)
	}
}

// Another site's page may make a browser ask, with its cookies; but not change
// anything.
func TestOtherSites(t *testing.T) {
	p := newRig(t, someCall("main:1")).signedIn("admin")
	for name, head := range map[string]http.Header{
		"by fetch metadata": {"Sec-Fetch-Site": {"cross-site"}},
		"by origin":         {"Origin": {"https://evil.example"}},
	} {
		p.head = head
		for _, path := range []string{"/v1/calls/main:1/tags", "/signout", "/v1/erase"} {
			method := http.MethodPost
			if strings.HasSuffix(path, "tags") {
				method = http.MethodPut
			}
			if status, _, text := p.do(method, path, strings.NewReader(`{"tags":["x"]}`)); status != http.StatusForbidden {
				t.Errorf("%s: %s %s: %d %s", name, method, path, status, text)
			}
		}
	}
	p.head = nil
	if status, _, _ := p.get("/"); status != http.StatusOK {
		t.Errorf("signed out by another site: %d", status)
	}
}

func TestRoles(t *testing.T) {
	other := someCall("main:2")
	other.From = call.Party{Number: ptr("+79161110000"), E164: ptr("+79161110000")}
	ours := someCall("main:1")
	ours.To = call.Party{Number: ptr("101"), Extension: ptr("101"), Employee: ptr("Анна"), Department: ptr("Продажи")}
	r := newRig(t, ours, other)
	for _, c := range []struct {
		user            string
		sees, seesOther bool
		number          bool
	}{
		{"admin", true, true, true}, {"manager", true, true, true}, {"sales", true, false, true}, {"masked", true, true, false},
	} {
		_, _, text := r.signedIn(c.user).get("/")
		if got := strings.Contains(text, "/calls/main:1"); got != c.sees {
			t.Errorf("%s sees the department's call: %v", c.user, got)
		}
		if got := strings.Contains(text, "/calls/main:2"); got != c.seesOther {
			t.Errorf("%s sees the other call: %v", c.user, got)
		}
		if got := strings.Contains(text, "79161234567"); got != c.number {
			t.Errorf("%s sees the number: %v", c.user, got)
		}
	}
}

func TestLanguage(t *testing.T) {
	p := newRig(t).stranger()
	for accept, want := range map[string]string{"ru-RU,ru;q=0.9,en;q=0.8": "Войти", "en-GB": "Sign in", "de": "Sign in", "": "Sign in", "uk,ru;q=0.5": "Войти"} {
		p.head = http.Header{"Accept-Language": {accept}}
		if _, _, text := p.get("/signin"); !strings.Contains(text, want) {
			t.Errorf("Accept-Language %q: want %q", accept, want)
		}
	}
	p.head = http.Header{"Accept-Language": {"en"}}
	if status, head, _ := p.post("/language", url.Values{"to": {"ru"}, "back": {"/signin"}}); status != http.StatusSeeOther || head.Get("Location") != "/signin" {
		t.Errorf("switch: %d %v", status, head)
	}
	if _, _, text := p.get("/signin"); !strings.Contains(text, "Войти") {
		t.Error("switched to Russian, and English still")
	}
}
