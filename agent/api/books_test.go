package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/storage"
)

// books are those of a journal whose calls nobody settles.
type books struct {
	store *storage.DB

	mu   sync.Mutex
	spam []api.SpamNumber
}

func (b *books) Rules() journal.Rules                   { return journal.DefaultRules() }
func (b *books) RulesOf(v uint32) (journal.Rules, bool) { return journal.DefaultRules(), v == 1 }

func (b *books) Tag(_ context.Context, id string, tags []string) (*call.Record, error) {
	r, err := b.store.Call(id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, api.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	r.Rev, r.Tags = r.Rev+1, tags
	return r, b.store.Commit(&storage.Batch{Entries: []storage.Entry{{Op: storage.OpCall, Call: r}}})
}

func (b *books) SpamNumbers() []api.SpamNumber {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]api.SpamNumber{}, b.spam...)
}

func (b *books) MarkSpam(_ context.Context, number, by string) (api.SpamNumber, error) {
	n := api.SpamNumber{Number: number, At: 1, By: by}
	if number == "anonymous" {
		return n, api.ErrNumber
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spam = append(b.spam, n)
	return n, nil
}

func (b *books) UnmarkSpam(_ context.Context, number string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.spam)
	if b.spam = slices.DeleteFunc(b.spam, func(n api.SpamNumber) bool { return n.Number == number }); len(b.spam) == before {
		return fmt.Errorf("%q is not on the list: %w", number, api.ErrNotFound)
	}
	return nil
}

func (b *books) Erase(_ context.Context, number string, _ bool) (api.Erased, error) {
	return api.Erased{Number: number}, nil
}

func (r *rig) ask(t *testing.T, method, path, token, body string) *httptest.ResponseRecorder {
	t.Helper()
	return r.do(t, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)), token)
}

func TestTags(t *testing.T) {
	r := newRig(t)
	r.commit(t, callEntry(1))
	at := "/v1/calls/" + url.PathEscape(record(1).ID) + "/tags"
	for _, tt := range []struct {
		path, token, body string
		want              int
	}{
		{at, syncToken, `{"tags":["a"]}`, 403},
		{at, journalToken, `{}`, 422},
		{at, journalToken, `{"tags":["a","\u001b[31m"]}`, 422},
		{at, journalToken, `{"tags":["` + strings.Repeat("x", 65) + `"]}`, 422},
		{"/v1/calls/main:none/tags", journalToken, `{"tags":["a"]}`, 404},
		{at, journalToken, `{"tags":[" urgent ","VIP","urgent"]}`, 200},
	} {
		if w := r.ask(t, http.MethodPut, tt.path, tt.token, tt.body); w.Code != tt.want {
			t.Errorf("%s %s: %d, want %d: %s", tt.path, tt.body, w.Code, tt.want, w.Body)
		}
	}
	got := decode[call.Record](t, r.get(t, "/v1/calls/"+url.PathEscape(record(1).ID), journalToken), 200)
	if !slices.Equal(got.Tags, []string{"urgent", "VIP"}) || got.Rev != record(1).Rev+1 {
		t.Errorf("revision %d, tags %q", got.Rev, got.Tags)
	}
}

func TestSpam(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		method, number, token string
		want                  int
	}{
		{http.MethodPut, "+79160000001", journalToken, 403},
		{http.MethodPut, "anonymous", adminToken, 422},
		{http.MethodPut, "+79160000001", adminToken, 200},
		{http.MethodPut, "8 (916) 000-00-02", adminToken, 200},
		{http.MethodDelete, "+79160000001", adminToken, 204},
		{http.MethodDelete, "+79160000001", adminToken, 404},
	} {
		if w := r.ask(t, tt.method, "/v1/spam/"+url.PathEscape(tt.number), tt.token, ""); w.Code != tt.want {
			t.Errorf("%s %s: %d, want %d: %s", tt.method, tt.number, w.Code, tt.want, w.Body)
		}
	}
	list := decode[api.SpamList](t, r.get(t, "/v1/spam", adminToken), 200)
	if len(list.Numbers) != 1 || list.Numbers[0].Number != "8 (916) 000-00-02" || list.Numbers[0].By != "root" {
		t.Errorf("%+v", list)
	}
}

// Pages of the worklist fit together, whatever calls meanwhile.
func TestMissed_Pages(t *testing.T) {
	r := newRig(t)
	missed := func(n int) storage.Entry {
		rec := record(n)
		number := fmt.Sprintf("7916%07d", n%60) // some call twice
		rec.From = call.Party{Number: &number, E164: ptr("+" + number)}
		rec.Direction, rec.Status, rec.Missed, rec.AnsweredAt = call.Inbound, call.StatusNoAnswer, true, 0
		return storage.Entry{Op: storage.OpCall, Call: rec}
	}
	for n := range 90 {
		r.commit(t, missed(n))
	}
	var whole, pages []string
	list := func(query string) (page api.MissedPage) {
		return decode[api.MissedPage](t, r.get(t, "/v1/missed?"+query, journalToken), 200)
	}
	for _, m := range list("limit=500&state=open").Callers {
		whole = append(whole, *m.Number)
		if n := len(m.Calls); n != m.Times || n > 2 {
			t.Errorf("%s: %d calls, %d times", *m.Number, n, m.Times)
		}
	}
	query := "limit=7&state=open"
	for n := 90; ; n++ {
		page := list(query)
		for _, m := range page.Callers {
			pages = append(pages, *m.Number)
		}
		if page.Cursor == nil {
			break
		}
		query = "limit=7&state=open&cursor=" + url.QueryEscape(*page.Cursor)
		later := missed(n)
		later.Call.StartedAt = call.MomentOf(time.Now().Add(time.Minute))
		r.commit(t, later)
	}
	if len(whole) != 60 || !slices.Equal(whole, pages) {
		t.Errorf("%d callers, in pages %d", len(whole), len(pages))
	}
	if got := list("state=lost,called_back"); len(got.Callers) != 0 {
		t.Errorf("%d lost or called back", len(got.Callers))
	}
}

// The clock of a PBX may be ahead of ours: its callers wait all the same, in the
// list and in the report.
func TestMissed_ClockAhead(t *testing.T) {
	r := newRig(t)
	first := record(0).StartedAt.Time()
	for _, n := range []int{0, 2} { // seconds
		rec := record(n)
		rec.Status, rec.Missed, rec.From.E164 = call.StatusNoAnswer, true, ptr("+"+*rec.From.Number)
		r.commit(t, storage.Entry{Op: storage.OpCall, Call: rec})
	}
	r.now = func() time.Time { return first.Add(time.Second) }
	for query, want := range map[string]int{"": 2, "?state=open": 2, "?to=" + r.now().Format(time.RFC3339): 1} {
		if got := len(decode[api.MissedPage](t, r.get(t, "/v1/missed"+query, journalToken), 200).Callers); got != want {
			t.Errorf("%q: %d callers, want %d", query, got, want)
		}
	}
	w := r.get(t, "/v1/report?format=csv&period=all", journalToken)
	if got := strings.Count(w.Body.String(), "\nopen"); w.Code != 200 || got != 2 {
		t.Errorf("%d, %d callers in the report:\n%s", w.Code, got, w.Body)
	}
}

func TestView_Missed(t *testing.T) {
	r := departments(t)
	numbers := func(token string) (all []string) {
		for _, m := range decode[api.MissedPage](t, r.get(t, "/v1/missed", token), 200).Callers {
			all = append(all, *m.E164)
		}
		return all
	}
	for token, want := range map[string][]string{
		journalToken: {"+" + theirNumber, "+" + ourNumber}, salesToken: {"+" + ourNumber},
		strictToken: {"+7916***4567"}, maskedToken: {"+7926***4455", "+7916***4567"},
	} {
		if got := numbers(token); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", token, got, want)
		}
	}
	at := func(id string) string { return "/v1/calls/" + url.PathEscape(id) + "/tags" }
	if w := r.ask(t, http.MethodPut, at(theirs), salesToken, `{"tags":["x"]}`); w.Code != 404 {
		t.Errorf("a foreign call is tagged: %d %s", w.Code, w.Body)
	}
	if w := r.ask(t, http.MethodPut, at(ours), strictToken, `{"tags":["x"]}`); w.Code != 200 || strings.Contains(w.Body.String(), ourNumber) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
