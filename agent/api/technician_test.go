package api_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
)

// What is for whoever looks after the daemon is for nobody else.
func TestTechnician(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/v1/config", "/v1/log"} {
		for _, token := range []string{syncToken, journalToken} {
			if w := r.get(t, path, token); w.Code != http.StatusForbidden {
				t.Errorf("%s with %s: %d %s", path, token, w.Code, w.Body)
			}
		}
	}
	if got := decode[api.Configuration](t, r.get(t, "/v1/config", adminToken), 200); got.TOML != "[agent]\n" || got.Path != "/etc/c.toml" {
		t.Errorf("%+v", got)
	}
	if got := decode[api.LogPage](t, r.get(t, "/v1/log", adminToken), 200); len(got.Entries) != 1 || got.Entries[0].Text != "link lost" {
		t.Errorf("%+v", got)
	}
}

func TestLive_Once(t *testing.T) {
	r := newRig(t)
	got := decode[api.LiveCalls](t, r.get(t, "/v1/live/calls", journalToken), 200)
	if len(got.Calls) != 1 || got.Calls[0].ID != record(7).ID || got.ServiceLevelMs != 20_000 || got.At == 0 || len(got.Blind) != 0 {
		t.Errorf("%+v", got)
	}
	r.live = func() []call.Record { return nil }
	if text := r.get(t, "/v1/live/calls", journalToken).Body.String(); !strings.Contains(text, `"calls":[]`) {
		t.Errorf("no calls: %s", text)
	}
	if w := r.get(t, "/v1/live/calls", syncToken); w.Code != http.StatusForbidden {
		t.Errorf("a reader of the feed: %d", w.Code)
	}
}

// A page that is left open asks the same all day: that is noted now and then. What
// is asked by a token, of one call, or otherwise, is noted each time.
func TestAccess_OpenPage(t *testing.T) {
	r := newRig(t)
	r.commit(t, callEntry(1))
	c := r.server.ClientOf(someUser("anna"), "10.0.0.7:1000")
	other := r.server.ClientOf(someUser("oleg"), "10.0.0.7:1001")
	for range 3 {
		for _, ask := range []func() error{
			func() error { _, err := c.Calls(t.Context(), nil); return err },
			func() error { _, err := other.Calls(t.Context(), nil); return err },
			func() error { _, err := c.Live(t.Context()); return err },
			func() error { _, err := c.Call(t.Context(), record(1).ID); return err },
		} {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
		}
		r.get(t, "/v1/calls", journalToken)
	}
	count := map[string]int{}
	for _, e := range decode[api.AccessPage](t, r.get(t, "/v1/access", adminToken), 200).Access {
		count[e.Who+" "+e.What]++
	}
	for what, want := range map[string]int{"user anna calls": 1, "user oleg calls": 1, "user anna live-calls": 1, "user anna call": 3, "token eye calls": 3} {
		if count[what] != want {
			t.Errorf("%s: noted %d times, want %d: %v", what, count[what], want, count)
		}
	}
}

// The times of the lists are those of GET /v1/calls.
func TestLists_Times(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/v1/missed", "/v1/voicemail", "/v1/faxes"} {
		for query, want := range map[string]int{"?from=2026-01-31&to=2026-02-01T09:00": 200, "?from=2026-01-31T09:00:00Z": 200, "?from=yesterday": 422, "?to=31.01.2026": 422} {
			if w := r.get(t, path+query, journalToken); w.Code != want {
				t.Errorf("%s%s: %d %s", path, query, w.Code, w.Body)
			}
		}
	}
}

// What makes an event is what happens in a call, not that time passes; but now and
// then the times are told too.
func TestLive_Events(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		began := call.MomentOf(time.Now())
		var kinds atomic.Value // of the timeline; none: the call is over
		kinds.Store([]string{"ring"})
		r.live = func() (live []call.Record) { // as the tracker shows it at the moment
			rec, now := *record(7), call.MomentOf(time.Now())
			rec.EndedAt, rec.TotalMs = now, ptr(now.Sub(began).Milliseconds())
			rec.Timeline = nil
			for i, kind := range kinds.Load().([]string) {
				from := began.Add(time.Duration(i) * time.Second)
				rec.Timeline = append(rec.Timeline, call.Span{Kind: kind, From: from, To: from.Add(time.Second)})
			}
			if n := len(rec.Timeline); n > 0 {
				rec.Timeline[n-1].To = now
				live = append(live, rec)
			}
			return live
		}
		answer := make(chan string)
		go func() { answer <- r.get(t, "/v1/live", journalToken).Body.String() }()
		time.Sleep(10500 * time.Millisecond)
		kinds.Store([]string{"ring", "talk"})
		time.Sleep(20 * time.Second)
		kinds.Store([]string{})
		time.Sleep(20 * time.Second)
		r.server.End()
		var got []string
		for part := range strings.SplitSeq(strings.TrimSpace(<-answer), "\n\n") {
			switch {
			case strings.HasPrefix(part, ":"):
				got = append(got, "nothing")
			case strings.Contains(part, `"talk"`):
				got = append(got, "talk")
			case strings.Contains(part, `"ring"`):
				got = append(got, "ring")
			default:
				got = append(got, strings.TrimPrefix(part, "event: calls\ndata: "))
			}
		}
		if want := []string{"ring", "talk", "talk", "[]", "nothing"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func someUser(name string) access.User {
	return access.User{Name: name, Role: access.Role{Scope: access.ScopeJournal}}
}
