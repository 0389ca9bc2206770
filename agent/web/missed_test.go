package web_test

import (
	"context"
	"fmt"
	"net/http"
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

// desk is what an administrator changes.
type desk struct {
	mu      sync.Mutex
	changes []string
	spam    []api.SpamNumber
}

func (d *desk) Rules() journal.Rules                 { return journal.DefaultRules() }
func (d *desk) RulesOf(uint32) (journal.Rules, bool) { return journal.DefaultRules(), true }

func (d *desk) SpamNumbers() []api.SpamNumber {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.spam)
}

func (d *desk) Tag(context.Context, string, []string) (*call.Record, error) {
	return nil, api.ErrNotFound
}

func (d *desk) Erase(context.Context, string, bool) (api.Erased, error) { return api.Erased{}, nil }

func (d *desk) MarkSpam(_ context.Context, number, by string) (api.SpamNumber, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes = append(d.changes, number+" by "+by)
	n := api.SpamNumber{Number: number, By: by}
	d.spam = append(d.spam, n)
	return n, nil
}

func (d *desk) UnmarkSpam(_ context.Context, number string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes = append(d.changes, "not "+number)
	d.spam = slices.DeleteFunc(d.spam, func(n api.SpamNumber) bool { return n.Number == number })
	return nil
}

// worklist is a journal with books of which each call was judged, as the daemon does.
func worklist(t *testing.T, calls ...*call.Record) (*rig, *desk) {
	t.Helper()
	d := &desk{}
	r := newRigWith(t, func(o *api.Options) { o.Books = d })
	r.judge(calls...)
	return r, d
}

// judge puts calls into the journal with the verdicts of the default rules.
func (r *rig) judge(calls ...*call.Record) {
	r.t.Helper()
	people := []journal.Employee{{Extension: "101", Name: "Анна Петрова", Department: "Продажи"}, {Extension: "103", Name: "Иван Ли"}}
	lines := []journal.Line{{Number: "74951230101", Name: "Сайт"}}
	engine := journal.NewEngine(journal.Settings{Directory: journal.NewDirectory("RU", people, lines), Rules: journal.DefaultRules()}, 1)
	commit := func(what func(journal.Past, call.Moment) (*journal.Outcome, error)) {
		batch := &storage.Batch{}
		err := r.db.Past(func(past journal.Past) error {
			out, err := what(past, call.MomentOf(time.Now()))
			if err != nil {
				return err
			}
			batch.Moves = out.Moves
			for _, c := range out.Calls {
				batch.Entries = append(batch.Entries, storage.Entry{Op: storage.OpCall, Call: c.Now})
			}
			return nil
		})
		if err == nil {
			err = r.db.Commit(batch)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	for _, c := range calls {
		commit(func(past journal.Past, now call.Moment) (*journal.Outcome, error) {
			return engine.Settle(past, now, []journal.Incoming{{ID: c.ID, Record: c}})
		})
	}
	commit(func(past journal.Past, now call.Moment) (*journal.Outcome, error) {
		return engine.Tick(past, now, 1000)
	})
}

// missedCall is one that began so long ago and rang at 101 for a while.
func missedCall(id, number string, ago time.Duration) *call.Record {
	c := someCall(id)
	c.From = call.Party{Number: &number, E164: &number, Name: ptr(hostile)}
	c.StartedAt = call.MomentOf(time.Now().Add(-ago)).Ms()
	c.EndedAt = c.StartedAt.Add(20 * time.Second)
	c.Status, c.Missed, c.TalkMs, c.WaitMs = call.StatusAbandoned, true, ptr(int64(0)), ptr(int64(20_000))
	c.Line, c.Queues = &call.Line{Number: "74951230101", Name: ptr("Сайт")}, []string{"sales"}
	c.Legs = []call.Leg{phone("101", "Анна Петрова", "Продажи", c.StartedAt, 0)}
	return c
}

// callback is a call to a number, spoken with or not.
func callback(id, number string, ago time.Duration, spoken bool) *call.Record {
	c := missedCall(id, number, ago)
	c.Direction, c.Missed, c.Queues, c.Line = call.Outbound, false, nil, nil
	c.From, c.To = call.Party{Number: ptr("103"), Extension: ptr("103"), Employee: ptr("Иван Ли")}, call.Party{Number: &number, E164: &number}
	c.Legs, c.Status = nil, call.StatusNoAnswer
	if spoken {
		c.Status, c.AnsweredAt, c.TalkMs = call.StatusAnswered, c.StartedAt.Add(5*time.Second), ptr(int64(15_000))
	}
	return c
}

func TestMissed(t *testing.T) {
	const old, tried, done, lost = "+79161230001", "+79161230002", "+79161230003", "+79161230004"
	r, _ := worklist(t,
		missedCall("main:lost", lost, 50*time.Hour), missedCall("main:old1", old, 20*time.Hour), missedCall("main:done", done, 5*time.Hour),
		callback("main:back", done, 4*time.Hour, true), missedCall("main:old2", old, 3*time.Hour), missedCall("main:tried", tried, 2*time.Hour),
		callback("main:try", tried, time.Hour, false))
	p := r.signedIn("manager")
	rows := func(text string) (states []string) {
		for part := range strings.SplitSeq(text, `<tr data-state="`) {
			states = append(states, part[:strings.IndexByte(part, '"')])
		}
		return states[1:]
	}
	_, _, text := p.get("/missed")
	if got := rows(text); !slices.Equal(got, []string{"open", "attempted"}) {
		t.Fatalf("to do: %v\n%s", got, text)
	}
	for _, want := range []string{
		"2 people are waiting", "the longest for 20 h", "2 times:", `href="/calls/main:old2"`, `href="/calls/main:old1"`, "Сайт", "sales", "Анна Петрова",
		`href="tel:&#43;79161230001"`, "1 attempt", `data-level="bad"`, `data-follow="/changes"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("to do lacks %s", want)
		}
	}
	if strings.Contains(text, "/missed/spam") || strings.Contains(text, "<script>alert") {
		t.Error("a manager may name spammers, or a name is markup")
	}
	for query, want := range map[string][]string{
		"?state=all": {"attempted", "open", "called_back", "lost"}, "?state=called_back": {"called_back"}, "?state=lost": {"lost"}, "?state=came_back": nil,
		"?state=all&period=yesterday&from=2001-01-01&to=2001-01-02": nil,
	} {
		if _, _, text := p.get("/missed" + query); !slices.Equal(rows(text), want) {
			t.Errorf("%s: %v, want %v", query, rows(text), want)
		}
	}
	if _, _, text := p.get("/missed?state=called_back"); !strings.Contains(text, `href="/calls/main:back"`) || !strings.Contains(text, "after 59 min") || !strings.Contains(text, "Иван Ли") {
		t.Errorf("who called back, and after how long: %s", text)
	}
	if status, _, _ := p.get("/missed?state=nowhere"); status != http.StatusUnprocessableEntity {
		t.Errorf("a state that there is not: %d", status)
	}
	// A callback heals it, and the list is shorter.
	r.judge(callback("main:back2", old, time.Minute, true))
	if _, _, text := p.get("/missed"); !slices.Equal(rows(text), []string{"attempted"}) {
		t.Errorf("healed, and still there: %v", rows(text))
	}
}

func TestMissed_Pages(t *testing.T) {
	var calls []*call.Record
	for n := range 120 {
		calls = append(calls, missedCall(fmt.Sprint("main:", n), fmt.Sprintf("+7916000%04d", n), 49*time.Hour+time.Duration(120-n)*time.Minute))
	}
	r, _ := worklist(t, calls...)
	p := r.signedIn("manager")
	seen, at := 0, "/missed?state=lost&period=30d"
	for range 3 {
		_, _, text := p.get(at)
		seen += strings.Count(text, `<tr data-state="lost"`)
		_, next, _ := strings.Cut(text, `id="next" rel="next" href="`)
		next, _, _ = strings.Cut(next, `"`)
		if at = strings.ReplaceAll(next, "&amp;", "&"); at != "" && !strings.Contains(at, "period=30d&state=lost") {
			t.Errorf("the next page forgets the filter: %s", at)
		}
	}
	if seen != 120 || at != "" {
		t.Errorf("%d callers on three pages, and then %q", seen, at)
	}
	if _, _, text := r.signedIn("manager").get("/missed"); !strings.Contains(text, "Everybody has been called back") {
		t.Error("nobody waits, and it does not say so")
	}
}

func TestMissed_Roles(t *testing.T) {
	r, d := worklist(t, missedCall("main:1", "+79161230001", time.Hour))
	_, _, text := r.signedIn("masked").get("/missed")
	if !strings.Contains(text, "main:1") || strings.Contains(text, "79161230001") || strings.Contains(text, "tel:") || strings.Contains(text, "number=") {
		t.Errorf("who sees numbers masked sees %s", text)
	}
	form := url.Values{"number": {"+79161230001"}, "back": {"/missed?state=all"}}
	for _, user := range []string{"manager", "masked"} {
		if status, _, _ := r.signedIn(user).post("/missed/spam", form); status != http.StatusForbidden {
			t.Errorf("%s names a spammer: %d", user, status)
		}
	}
	admin := r.signedIn("admin")
	if _, _, text := admin.get("/missed"); !strings.Contains(text, `action="/missed/spam"`) {
		t.Error("an administrator cannot name a spammer")
	}
	status, head, _ := admin.post("/missed/spam", form)
	if want := "/missed?marked=%2B79161230001&state=all"; status != http.StatusSeeOther || head.Get("Location") != want {
		t.Errorf("%d to %q, want %q", status, head.Get("Location"), want)
	}
	marked := head.Get("Location")
	if _, _, text := admin.get(marked); !strings.Contains(text, "Put it back") {
		t.Error("what was named cannot be put back")
	}
	if _, _, text := r.signedIn("manager").get(marked); !strings.Contains(text, "main:1") || strings.Contains(text, "Marked as spam") {
		t.Error("the link shows others what only an administrator may change")
	}
	if _, _, text := admin.get("/missed?marked=911"); !strings.Contains(text, "main:1") || strings.Contains(text, "Marked as spam") {
		t.Error("a number that nobody named is said to be on the list")
	}
	if status, _, text := admin.post("/missed/spam", url.Values{"number": {".."}}); status != http.StatusUnprocessableEntity || !strings.Contains(text, "caller could have") {
		t.Errorf("no number at all: %d", status)
	}
	form.Set("off", "1")
	form.Set("back", "https://evil.example/")
	if status, head, _ := admin.post("/missed/spam", form); status != http.StatusSeeOther || head.Get("Location") != "/" {
		t.Errorf("%d to %q", status, head.Get("Location"))
	}
	if _, _, text := admin.get(marked); strings.Contains(text, "Marked as spam") {
		t.Error("a number that was put back is said to be on the list")
	}
	if want := []string{"+79161230001 by admin", "not +79161230001"}; !slices.Equal(d.changes, want) {
		t.Errorf("changed: %q", d.changes)
	}
}
