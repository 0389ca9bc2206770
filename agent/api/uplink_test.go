package api_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"calljournal/agent/uplink"
)

// viaUplink gives a client whose requests reach the rig over a line that the
// rig's side dialled.
func viaUplink(t *testing.T, r *rig) *http.Client {
	t.Helper()
	lines := make(chan *uplink.Branch, 1)
	centre := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, err := uplink.Accept(w, req, 0)
		if err != nil {
			t.Error(err)
			return
		}
		lines <- b
	}))
	t.Cleanup(centre.Close)
	l := uplink.New(uplink.Options{URL: centre.URL, Agent: "office", Token: func() string { return "t" }, Handler: r.server.Uplink(), Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { l.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait() })
	return &http.Client{Transport: <-lines}
}

// Over an uplink the centre gets what it would get with a token for the feed.
func TestUplink_SameAnswers(t *testing.T) {
	r := newRig(t)
	for n := range 20 {
		r.commit(t, callEntry(n))
	}
	far := viaUplink(t, r)
	near := httptest.NewServer(r.server.Network())
	defer near.Close()
	ask := func(c *http.Client, base, method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if c != far {
			req.Header.Set("Authorization", "Bearer "+syncToken)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		said := strings.NewReplacer(`"central"`, "WHO", `"uplink"`, "WHO", `\"central\"`, "WHO", `\"uplink\"`, "WHO").Replace(string(got))
		return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Content-Type"), "\n", said)
	}
	for _, tt := range []struct{ method, path, body, want string }{
		{"GET", "/v1/sync", "", "200 "},
		{"GET", "/v1/sync?after=7&limit=5&journal=" + r.db.Journal(), "", "200 "},
		{"GET", "/v1/sync?after=20&wait=1", "", "200 "},
		{"GET", "/v1/sync?after=21", "", "410 "},
		{"GET", "/v1/sync?journal=another", "", "410 "},
		{"GET", "/v1/sync?afer=1", "", "422 "},
		{"PUT", "/v1/consumers/centre", fmt.Sprintf(`{"journal": %q, "seq": 20}`, r.db.Journal()), "204 "},
		{"PUT", "/v1/consumers/centre", fmt.Sprintf(`{"journal": %q, "seq": 21}`, r.db.Journal()), "422 "},
		{"GET", "/v1/calls", "", "403 "},
		{"GET", "/v1/calls/main:1", "", "403 "},
		{"GET", "/nothing", "", "404 "},
	} {
		want := ask(near.Client(), near.URL, tt.method, tt.path, tt.body)
		if got := ask(far, "http://branch", tt.method, tt.path, tt.body); got != want || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s %s over the uplink: %.300s\notherwise: %.300s", tt.method, tt.path, got, want)
		}
	}
}
