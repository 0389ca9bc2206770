package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Who is signed out sees no more of the calls in progress, in a view that began
// before.
func TestSignedOut_LiveEnds(t *testing.T) {
	p := newRig(t).signedIn("manager")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.http.URL+"/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.client.Do(req)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	defer answer.Body.Close()
	if status, _, _ := p.post("/signout", nil); status != http.StatusSeeOther {
		t.Fatal(status)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Errorf("the view goes on: %v", err)
	}
}

// Who signs in where somebody is signed in already takes his place: the key of
// before opens nothing more.
func TestSignIn_EndsTheSessionBefore(t *testing.T) {
	p := newRig(t).signedIn("manager")
	at, err := url.Parse(p.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	before := p.client.Jar.Cookies(at)
	if status, _, _ := p.post("/signin", url.Values{"name": {"sales"}, "password": {password}}); status != http.StatusSeeOther {
		t.Fatal(status)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(at, before)
	thief := p.stranger()
	thief.client.Jar = jar
	if status, _, _ := thief.get("/v1/calls"); status != http.StatusUnauthorized {
		t.Errorf("the key of before: %d", status)
	}
	if status, _, _ := p.get("/"); status != http.StatusOK {
		t.Errorf("the new one: %d", status)
	}
}

// No other site's page changes anything, whatever it makes a browser send and where.
func TestOtherSites_EveryForm(t *testing.T) {
	r := newRig(t, someCall("main:1"))
	for name, head := range map[string]http.Header{
		"cross-site":  {"Sec-Fetch-Site": {"cross-site"}},
		"same-site":   {"Sec-Fetch-Site": {"same-site"}},
		"another":     {"Origin": {"https://evil.example"}},
		"a sandbox":   {"Origin": {"null"}},
		"both":        {"Origin": {r.http.URL}, "Sec-Fetch-Site": {"cross-site"}},
		"a near name": {"Origin": {r.http.URL + ".evil.example"}},
	} {
		p := r.signedIn("admin")
		p.head = head
		for _, path := range []string{
			"/signin", "/signout", "/language", "/missed/spam", "/calls/main:1/tags", "/calls/main:1/spam", "/reports/x/send", "/",
			"/v1/reload", "/v1/erase", "/v1/report/mail", "/v1/reports/x/send", "/metrics", "//v1/erase", "/x/../v1/erase",
		} {
			if status, _, _ := p.post(path, url.Values{"name": {"manager"}, "password": {password}}); status != http.StatusForbidden {
				t.Errorf("%s: POST %s: %d", name, path, status)
			}
		}
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch} {
			if status, _, _ := p.do(method, "/v1/users/anna", nil); status != http.StatusForbidden {
				t.Errorf("%s: %s a user: %d", name, method, status)
			}
		}
	}
}

// Nobody keeps a page, puts it into a frame or takes it for something else, those that
// refuse or lead elsewhere too.
func TestHeaders(t *testing.T) {
	r := newRig(t, someCall("main:1"))
	for user, p := range map[string]*person{"a stranger": r.stranger(), "manager": r.signedIn("manager")} {
		for _, path := range []string{"/", "/signin", "/stats", "/state", "/calls/main:1", "/nowhere", "/?from=x", "/v1/calls", "/v1/users", "/v1/nothing"} {
			_, head, _ := p.get(path)
			if head.Get("Cache-Control") != "no-store" || head.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %s: %v", user, path, head)
			}
			if csp := head.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
				t.Errorf("%s: %s: %q", user, path, csp)
			}
		}
	}
}

// The page says the same to a wrong password of a user and to a name that nobody has.
func TestSignIn_NamesCannotBeFoundOut(t *testing.T) {
	p := newRig(t).stranger()
	for range 3 {
		_, _, known := p.post("/signin", url.Values{"name": {"manager"}, "password": {"wrong password"}})
		_, _, unknown := p.post("/signin", url.Values{"name": {"nobody"}, "password": {"wrong password"}})
		if strings.ReplaceAll(known, "manager", "nobody") != unknown {
			t.Fatalf("a known name:\n%s\nan unknown one:\n%s", known, unknown)
		}
	}
}
