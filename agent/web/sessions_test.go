package web_test

import (
	"context"
	"io"
	"net/http"
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
