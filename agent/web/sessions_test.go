package web_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
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
