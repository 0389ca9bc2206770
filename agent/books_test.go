package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/storage"
)

// phoned is what a PBX says of a call with an outside number.
type phoned struct {
	n      int
	at     time.Duration // from the beginning of the session
	number string
	out    bool // the company called
	talk   time.Duration
	wait   time.Duration // before somebody answered, or the caller left
}

func (p phoned) facts() []said {
	first, second := call.LegID(fmt.Sprintf("1700000000.%d", 2*p.n)), call.LegID(fmt.Sprintf("1700000000.%d", 2*p.n+1))
	link, bridge := string(first), fmt.Sprintf("bridge-%d", p.n)
	cause := &call.Cause{Q850: 16, Text: "Normal Clearing"}
	trunk := call.Event{Kind: call.LegCreated, Link: link, Channel: fmt.Sprintf("PJSIP/trunk-a-%08x", 2*p.n), Endpoint: "trunk-a", Number: p.number}
	phone := call.Event{Kind: call.LegCreated, Link: link, Channel: fmt.Sprintf("PJSIP/101-%08x", 2*p.n+1), Endpoint: "101", Number: "101"}
	a, b, dialled := trunk, phone, "101"
	if p.out {
		a, b, dialled = phone, trunk, p.number
	}
	a.Leg, a.State, a.Dialled = first, call.StateCalling, "74951230101"
	if p.out {
		a.Dialled = p.number
	}
	b.Leg, b.State = second, call.StateDown
	var facts []said
	add := func(after time.Duration, e call.Event) { facts = append(facts, said{p.at + after, e}) }
	add(0, a)
	add(time.Millisecond, b)
	add(2*time.Millisecond, call.Event{Kind: call.Dialled, Leg: first, Peer: second, Number: dialled})
	add(3*time.Millisecond, call.Event{Kind: call.LegRinging, Leg: second})
	end := p.wait
	if p.talk > 0 {
		add(end, call.Event{Kind: call.LegAnswered, Leg: second})
		add(end+time.Millisecond, call.Event{Kind: call.DialEnded, Leg: first, Peer: second, Result: "ANSWER"})
		add(end+2*time.Millisecond, call.Event{Kind: call.LegAnswered, Leg: first})
		add(end+3*time.Millisecond, call.Event{Kind: call.Joined, Leg: second, Bridge: bridge})
		add(end+4*time.Millisecond, call.Event{Kind: call.Joined, Leg: first, Bridge: bridge})
		end += 4*time.Millisecond + p.talk
	}
	add(end, call.Event{Kind: call.LegHungUp, Leg: first, Cause: cause})
	add(end+time.Millisecond, call.Event{Kind: call.LegEnded, Leg: second, Cause: cause})
	add(end+2*time.Millisecond, call.Event{Kind: call.LegEnded, Leg: first, Cause: cause})
	return facts
}

func spoken(calls ...phoned) (facts []said) {
	for _, p := range calls {
		facts = append(facts, p.facts()...)
	}
	slices.SortStableFunc(facts, func(a, b said) int { return int(a.after - b.after) })
	return facts
}

// company is a configuration with what the journal asks of one.
func company(t *testing.T, dir, rules string) *config.Config {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "spam.txt"), []byte("# of the trade\n7916000*\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "[agent]\nname = \"test\"\n[http]\nlisten = \"\"\n" +
		"[rules]\ncountry = \"RU\"\nspam_numbers_file = \"spam.txt\"\n" + rules +
		"[[employee]]\nextension = \"101\"\nname = \"Anna\"\ndepartment = \"Sales\"\n" +
		"[[line]]\nnumber = \"74951230101\"\nname = \"Site\"\nsource = \"ads\"\n" +
		"[[tariff]]\nprefix = \"79\"\nper_minute = \"1.80\"\ncurrency = \"RUB\"\nstep = \"60s\"\nfree = \"3s\"\n" +
		"[[pbx]]\nname = \"main\"\nkind = \"asterisk\"\naddress = \"127.0.0.1:1\"\nusername = \"u\"\nsecret = \"s\"\ntrunks = [\"PJSIP/trunk-*\"]\n"
	c, err := config.Parse(filepath.Join(dir, "calljournal.toml"), []byte(text), config.OSEnv())
	if err != nil {
		t.Fatal(err)
	}
	c.Agent.DataDir, c.Agent.Socket = filepath.Join(dir, "data"), ""
	return c
}

// judged is what a record says beyond its PBX.
func judged(r *call.Record) string {
	if r == nil {
		return "gone"
	}
	text := fmt.Sprintf("rev %d %s", r.Rev, strings.Join(r.Types, ","))
	if r.Missed {
		text += " missed"
	}
	if r.HealedBy != nil {
		text += " by " + strings.TrimPrefix(*r.HealedBy, "main:1700000000.")
	}
	if r.Cost != nil {
		text += " " + r.Cost.Amount + " " + r.Cost.Currency
	}
	return text
}

func (d *daemon) judgedAre(t *testing.T, want map[int]string) {
	t.Helper()
	calls, _ := latest(t, d.feed(t))
	for n, text := range want {
		if got := judged(calls[fmt.Sprintf("main:1700000000.%d", 2*n)]); got != text {
			t.Errorf("call %d: %s, want %s", n, got, text)
		}
	}
	if r, err := d.store.Check(); err != nil || r.Damaged > 0 {
		t.Errorf("check: %v %+v", err, r.Damage)
	}
}

const (
	regular, later, hopeless, spammer = "89161110001", "+7 916 111-00-02", "79161110003", "79160001234"
)

// A day in the life of a daemon: each type, through restarts, by hand, and after
// the rules have changed.
func TestAgent_JournalOfACompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first := spoken(
			phoned{n: 1, number: regular, talk: 40 * time.Second, wait: 3 * time.Second},
			phoned{n: 2, at: time.Hour, number: regular, wait: 20 * time.Second},                                   // missed
			phoned{n: 3, at: 2 * time.Hour, number: "79161110001", out: true, wait: 9 * time.Second},               // not reached
			phoned{n: 4, at: 3 * time.Hour, number: regular, out: true, wait: time.Second, talk: 61 * time.Second}, // called back
			phoned{n: 5, at: 4 * time.Hour, number: later, wait: 10 * time.Second},                                 // missed
			phoned{n: 6, at: 5 * time.Hour, number: "79161110002", wait: time.Second, talk: 10 * time.Second},      // came back
			phoned{n: 7, at: 5 * time.Hour, number: hopeless, wait: 10 * time.Second},                              // will be lost
			phoned{n: 8, at: 5 * time.Hour, number: "79161110004", wait: 2 * time.Second},                          // short
			phoned{n: 9, at: 6 * time.Hour, number: spammer, wait: 10 * time.Second},
		)
		d := start(t, company(t, dir, ""), map[string]*fakePBX{"main": {session: speak(first)}}, nil)
		time.Sleep(4 * time.Hour)
		d.judgedAre(t, map[int]string{
			1: "rev 1 unique,target", 2: "rev 2 repeat,called_back missed by 8", 3: "rev 1 callback", 4: "rev 1 target,callback 3.60 RUB",
		})
		time.Sleep(3 * time.Hour)
		d.end(t)

		// The window of the lost one passes while the daemon is down.
		time.Sleep(20 * time.Hour)
		d = start(t, company(t, dir, ""), map[string]*fakePBX{"main": {session: speak(nil)}}, nil)
		d.judgedAre(t, map[int]string{7: "rev 1 unique missed"})
		time.Sleep(3 * time.Hour)
		after := map[int]string{
			5: "rev 2 unique,came_back missed by 12", 6: "rev 1 repeat", 7: "rev 2 unique,lost missed",
			8: "rev 1 unique,short", 9: "rev 1 unique,spam",
		}
		d.judgedAre(t, after)
		ctx := context.Background()

		// By hand.
		if _, err := d.MarkSpam(ctx, "8 916 111 00 03", "root"); err != nil {
			t.Fatal(err)
		}
		d.judgedAre(t, map[int]string{7: "rev 3 unique,spam"})
		if err := d.UnmarkSpam(ctx, hopeless); err != nil {
			t.Fatal(err)
		}
		d.judgedAre(t, map[int]string{7: "rev 4 unique,lost missed"})
		if err := d.UnmarkSpam(ctx, hopeless); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("taken off twice: %v", err)
		}
		if _, err := d.MarkSpam(ctx, hopeless, "root"); err != nil {
			t.Fatal(err)
		}
		if r, err := d.Tag(ctx, "main:1700000000.2", []string{"VIP"}); err != nil || r.Rev != 2 || !slices.Equal(r.Tags, []string{"VIP"}) {
			t.Errorf("%+v %v", r, err)
		}
		d.end(t)

		// Other rules, at a restart: only what they change is told anew, and what
		// people said stays.
		d = start(t, company(t, dir, "target_min_talk = \"50s\"\n"), map[string]*fakePBX{"main": {session: speak(nil)}}, nil)
		time.Sleep(time.Minute)
		d.judgedAre(t, map[int]string{1: "rev 3 unique", 4: "rev 1 target,callback 3.60 RUB", 5: after[5], 7: "rev 5 unique,spam"})
		if r, err := d.store.Call("main:1700000000.2"); err != nil || !slices.Equal(r.Tags, []string{"VIP"}) {
			t.Errorf("%+v %v", r, err)
		}

		// And without one: the spammers' file is read again with the configuration.
		if err := os.WriteFile(filepath.Join(dir, "spam.txt"), []byte("# nobody\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		next := *d.config(t, dir)
		applied, restart := d.Reload(&next)
		if len(applied) != 1 || len(restart) != 0 {
			t.Errorf("applied %q, restart %q", applied, restart)
		}
		time.Sleep(time.Minute)
		d.judgedAre(t, map[int]string{1: "rev 4 unique,target", 9: "rev 2 unique,lost missed"})
		st, err := d.Status(ctx)
		if err != nil || st.Review.Settings != 3 || st.Review.Done != 9 || st.Review.Changed != 2 || st.Review.EndedAt == 0 {
			t.Errorf("%+v %v", st.Review, err)
		}
		d.end(t)
	})
}

// config is that of company again, as SIGHUP reads it.
func (d *daemon) config(t *testing.T, dir string) *config.Config {
	t.Helper()
	spam, err := os.ReadFile(filepath.Join(dir, "spam.txt"))
	if err != nil {
		t.Fatal(err)
	}
	c := company(t, dir, "")
	if err := os.WriteFile(filepath.Join(dir, "spam.txt"), spam, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// Erasure of a person: his calls are gone from everywhere that can be asked, the
// feed says so, others' calls are told anew where they leaned on his, and what is
// in progress stays.
func TestAgent_Erase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		pbx := &fakePBX{session: speak(spoken(
			phoned{n: 1, number: regular, talk: 40 * time.Second, wait: 3 * time.Second},
			phoned{n: 2, at: time.Hour, number: later, wait: 20 * time.Second},
			phoned{n: 3, at: 2 * time.Hour, number: "79161110001", out: true, wait: time.Second, talk: time.Second},
			phoned{n: 4, at: 3 * time.Hour, number: regular, wait: time.Second, talk: 2 * time.Hour},
		))}
		d := start(t, company(t, dir, ""), map[string]*fakePBX{"main": pbx}, nil)
		time.Sleep(4 * time.Hour)
		ctx := context.Background()
		if _, err := d.MarkSpam(ctx, regular, "root"); err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"101", "anonymous", "+7 495 123-01-01"} {
			if _, err := d.Erase(ctx, bad, false); !errors.Is(err, api.ErrNumber) {
				t.Errorf("%s: %v", bad, err)
			}
		}
		for bad, why := range map[string]string{
			"": "caller could have", "anonymous": "caller could have", "7916*": "spam_numbers_file", "*": "spam_numbers_file",
			"8 (495) 123-01-01": "[[line]]",
		} {
			if _, err := d.MarkSpam(ctx, bad, "root"); !errors.Is(err, api.ErrNumber) || !strings.Contains(err.Error(), why) {
				t.Errorf("%q is marked as a spammer's: %v, want %q", bad, err, why)
			}
			if err := d.UnmarkSpam(ctx, bad); err == nil {
				t.Errorf("%q was on the list", bad)
			}
		}
		for _, scanner := range []string{"sipvicious", "1001"} {
			if _, err := d.MarkSpam(ctx, scanner, "root"); err != nil {
				t.Error(err)
			}
			if err := d.UnmarkSpam(ctx, scanner); err != nil {
				t.Error(err)
			}
		}
		if got, err := d.Erase(ctx, regular, true); err != nil || got != (api.Erased{Number: "+79161110001", Calls: 2, Held: 1, Marked: true}) {
			t.Errorf("counted: %+v %v", got, err)
		}
		if got, err := d.Erase(ctx, regular, false); err != nil || got.Calls != 2 || got.Held != 1 || !got.Marked {
			t.Errorf("%+v %v", got, err)
		}
		time.Sleep(3 * time.Hour) // the one in progress ends
		if got, err := d.Erase(ctx, regular, false); err != nil || got.Calls != 1 || got.Held != 0 || got.Marked {
			t.Errorf("%+v %v", got, err)
		}
		if len(d.SpamNumbers()) != 0 {
			t.Errorf("%+v", d.SpamNumbers())
		}
		d.judgedAre(t, map[int]string{1: "gone", 2: "rev 1 unique missed", 3: "gone", 4: "gone"})
		deletes := 0
		for _, e := range d.feed(t) {
			if e.Op == storage.OpDelete {
				deletes++
			}
			if e.Call != nil && strings.Contains(fmt.Sprint(*e.Call.From.Number), "1110001") {
				t.Errorf("entry %d still has a call", e.Seq)
			}
		}
		if deletes < 3 {
			t.Errorf("%d deletes", deletes)
		}
		for _, n := range []int{1, 3, 4} {
			id := fmt.Sprintf("main:1700000000.%d", 2*n)
			if _, err := d.store.Why(id); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("why of %s: %v", id, err)
			}
			if _, _, err := d.store.Touch(id); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("history of %s: %v", id, err)
			}
		}
		if recs, _, err := d.store.CallsAfter(storage.Position{}, 10); err != nil || len(recs) != 1 {
			t.Errorf("%d calls are left, %v", len(recs), err)
		}
		if f, err := d.store.Facts("main"); err != nil || len(f) != 0 {
			t.Errorf("%d facts are kept: %v", len(f), err)
		}
		d.end(t)
		// Compacted, the file has no trace of the number.
		if _, _, err := storage.Compact(filepath.Join(dir, "data", "journal.db")); err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(filepath.Join(dir, "data", "journal.db"))
		if err != nil || strings.Contains(string(file), "9161110001") || !strings.Contains(string(file), "9161110002") {
			t.Errorf("the number is still in the file, or nothing is: %v", err)
		}
	})
}
