package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"calljournal/agent/call"
)

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
	if n := r.opened.Load(); n != 0 {
		t.Errorf("a stranger has the journal read ahead: %d times", n)
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
	if n := r.opened.Load(); n != 5 {
		t.Errorf("5 have signed in, the journal was read ahead for %d", n)
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
