package agent_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
)

// hooks is a far side that keeps what it is told.
type hooks struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []string
}

func newHooks(t *testing.T) *hooks {
	h := &hooks{status: 200}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		h.got = append(h.got, string(b))
		status := h.status
		h.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hooks) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

// allAtOnce says the facts with the times they have, without waiting.
func allAtOnce(facts []said) func(context.Context, uint64, func(call.Event)) error {
	return func(ctx context.Context, _ uint64, emit func(call.Event)) error {
		begin(emit)
		start := call.MomentOf(time.Now())
		for _, f := range facts {
			e := f.event
			e.At = start.Add(f.after)
			emit(e)
		}
		<-ctx.Done()
		return nil
	}
}

// From the PBX's words to the far side, and what status says of it.
func TestAgent_Forwards(t *testing.T) {
	far := newHooks(t)
	far.answer(503)
	c := testConfig(t, t.TempDir(), "main")
	c.Forward = []config.Forward{{Name: "crm", Kind: "webhook", URL: far.URL + "/hooks/secret-path", Batch: 10, Tries: 2, Timeout: config.Duration{Duration: time.Second}}}
	d := start(t, c, map[string]*fakePBX{"main": {session: allAtOnce(inbound(1))}}, nil)
	status := func(want string) api.Forwarder {
		t.Helper()
		for range 2000 {
			st, err := d.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(st.Forwarders) == 1 && st.Forwarders[0].State == want {
				if stuck := strings.Contains(strings.Join(st.Problems, "\n"), "forward crm: stuck"); stuck != (want == api.ForwarderStuck) {
					t.Errorf("%s: problems %q", want, st.Problems)
				}
				if b, err := json.Marshal(st); err != nil || strings.Contains(string(b), "secret-path") {
					t.Errorf("a secret shows: %s, %v", b, err)
				}
				return st.Forwarders[0]
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("never %s", want)
		return api.Forwarder{}
	}
	if f := status(api.ForwarderStuck); f.Lag == 0 || f.WaitingSince == 0 || !strings.Contains(f.Error, "503") {
		t.Errorf("%+v", f)
	}
	far.answer(200)
	if f := status(api.ForwarderWell); f.Lag != 0 || f.Error != "" {
		t.Errorf("%+v", f)
	}
	want := []string{`"journal":"` + d.store.Journal() + `"`, `"agent":"test"`, `"op":"call"`, `"id":"main:1700000000.2"`}
	far.mu.Lock()
	all := strings.Join(far.got, "\n")
	far.mu.Unlock()
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("%s was not sent: %.1000s", w, all)
		}
	}
	next := *c
	next.Forward = nil
	if applied, restart := d.Reload(&next); len(applied) != 1 || applied[0] != "[[forward]]" || len(restart) != 0 {
		t.Errorf("applied %q, restart %q", applied, restart)
	}
	st, err := d.Status(t.Context())
	if err != nil || len(st.Forwarders) != 0 {
		t.Errorf("%+v, %v", st.Forwarders, err)
	}
	d.end(t)
}

// What happens in a call reaches a screen as it happens: each fact is said only
// once the screen has shown what came before.
func TestAgent_TellsOfCallsInProgress(t *testing.T) {
	told := make(chan string, 100)
	far := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			Event     string
			Extension *string
			Call      *call.Record
			Entries   []struct{ Op string }
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		switch {
		case body.Call == nil && len(body.Entries) > 0:
			return
		case body.Extension != nil:
			told <- body.Event + " " + body.Call.ID + " at " + *body.Extension
		default:
			told <- body.Event + " " + body.Call.ID
		}
	}))
	defer far.Close()
	next := func() string {
		select {
		case word := <-told:
			return word
		case <-time.After(20 * time.Second):
			return "nothing"
		}
	}
	facts := inbound(1)
	watching := make(chan struct{})
	checked := make(chan struct{})
	session := func(ctx context.Context, _ uint64, emit func(call.Event)) error {
		begin(emit)
		<-watching
		for i, f := range facts {
			emit(f.event)
			for _, want := range map[int][]string{ // by place in inbound
				0: {"started main:1700000000.2"}, 3: {"ringing main:1700000000.2 at 101"}, 8: {"answered main:1700000000.2 at 101"}, 13: {"ended main:1700000000.2"},
			}[i] {
				if got := next(); got != want {
					t.Errorf("after fact %d: %s, want %s", i, got, want)
				}
			}
		}
		close(checked)
		<-ctx.Done()
		return nil
	}
	c := testConfig(t, t.TempDir(), "main")
	c.Forward = []config.Forward{{Name: "crm", Kind: "webhook", URL: far.URL, Batch: 10, Tries: 2, Live: true, Timeout: config.Duration{Duration: 5 * time.Second}}}
	d := start(t, c, map[string]*fakePBX{"main": {session: session}}, nil)
	close(watching)
	<-checked
	d.end(t)
}
