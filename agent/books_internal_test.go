package agent

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
	"calljournal/storage"

	"github.com/google/go-cmp/cmp"
)

// ledger is the books on a real journal, with what should be in it.
type ledger struct {
	t    *testing.T
	path string
	c    *config.Config
	db   *storage.DB
	b    *books
	now  time.Time
	n    int // calls
}

func newLedger(t *testing.T, rules string) *ledger {
	t.Helper()
	l := &ledger{t: t, path: filepath.Join(t.TempDir(), "journal.db"), now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	l.configure(rules)
	l.open()
	t.Cleanup(func() { l.db.Close() })
	return l
}

// configure gives the company of journaltest other rules.
func (l *ledger) configure(rules string) {
	l.t.Helper()
	var text strings.Builder
	text.WriteString("[agent]\ntimezone = \"Europe/Berlin\"\n[[pbx]]\nname = \"main\"\nkind = \"asterisk\"\naddress = \"127.0.0.1:1\"\nusername = \"u\"\nsecret = \"s\"\n[rules]\ncountry = \"RU\"\n" + rules)
	company := journaltest.NewCompany()
	for _, e := range company.Employees {
		fmt.Fprintf(&text, "[[employee]]\nextension = %q\nname = %q\ndepartment = %q\n", e.Extension, e.Name, e.Department)
	}
	for _, x := range company.Lines {
		fmt.Fprintf(&text, "[[line]]\nnumber = %q\nname = %q\nsource = %q\n", x.Number, x.Name, x.Source)
	}
	for _, x := range company.Tariffs {
		fmt.Fprintf(&text, "[[tariff]]\nprefix = %q\nper_minute = %q\ncurrency = %q\nstep = %q\nfree = %q\n", x.Prefix, x.PerMinute, x.Currency, x.Step, x.Free)
	}
	c, err := config.Parse("test.toml", []byte(text.String()), config.OSEnv())
	if err != nil {
		l.t.Fatal(err)
	}
	l.c = c
}

func (l *ledger) settings() *settings {
	l.t.Helper()
	s, err := settingsOf(l.c)
	if err != nil {
		l.t.Fatal(err)
	}
	s.spam = journaltest.NewCompany().Spam
	s.digest += "and the numbers of spammers"
	return s
}

func (l *ledger) clock() time.Time { return l.now }

func (l *ledger) open() {
	l.t.Helper()
	s := l.settings()
	var err error
	if l.db, err = storage.Open(l.path, storage.Options{NoSync: true, Reserve: -1, Counting: s.counting}); err != nil {
		l.t.Fatal(err)
	}
	if l.b, err = openBooks(l.db, s, slog.New(slog.DiscardHandler), l.clock); err != nil {
		l.t.Fatal(err)
	}
}

// restart is an end at any moment: everything that counts is in the file.
func (l *ledger) restart() {
	l.t.Helper()
	if err := l.db.Close(); err != nil {
		l.t.Fatal(err)
	}
	l.open()
}

func (l *ledger) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// commit is what the commit goroutine does with a group.
func (l *ledger) commit(entries []storage.Entry) {
	l.t.Helper()
	batch := &storage.Batch{Entries: entries}
	l.must(l.b.settle(batch))
	l.must(l.b.put(batch))
}

// finish does what is to be done until nothing is.
func (l *ledger) finish() {
	l.t.Helper()
	for l.b.busy() {
		l.must(l.b.slice())
	}
	for {
		head := l.db.Head()
		l.must(l.b.tick())
		if l.db.Head() == head {
			return
		}
	}
}

// all are the calls as the journal has them.
func (l *ledger) all() (calls []*call.Record) {
	l.t.Helper()
	for at := (storage.Position{}); ; {
		recs, next, err := l.db.CallsAfter(at, 1000)
		l.must(err)
		if len(recs) == 0 {
			return calls
		}
		calls, at = append(calls, recs...), next
	}
}

// agrees compares the journal with the obvious computation.
func (l *ledger) agrees() {
	l.t.Helper()
	s := l.settings()
	calls := l.all()
	want := journaltest.Verdicts(calls, s.rules, journal.NewSpamList(s.directory, nil, s.spam), call.MomentOf(l.now))
	wrong := 0
	for _, r := range calls {
		if _, x, err := l.db.Touch(r.ID); err != nil {
			l.t.Error(err)
		} else if _, known := l.b.rulesOf(x.Verdict.Rules); !known {
			l.t.Errorf("%s: its verdict is of rules %d, which nobody knows", r.ID, x.Verdict.Rules)
			wrong++
		}
		if got := journaltest.VerdictOf(r); !got.Equal(want[r.ID]) {
			l.t.Errorf("%s (%s %s, %s): got %+v, want %+v", r.ID, r.Direction, r.Status, r.StartedAt.Time(), got, want[r.ID])
			if wrong++; wrong > 5 {
				l.t.FailNow()
			}
		}
	}
	l.counted(calls, s)
	l.listed(calls, s)
	l.numbered()
	if r, err := l.db.Check(); err != nil || r.Damaged > 0 {
		l.t.Errorf("check: %v %+v", err, r.Damage)
	}
}

// counted compares the cells in the file with the calls.
func (l *ledger) counted(calls []*call.Record, s *settings) {
	l.t.Helper()
	for _, x := range []struct {
		by     journal.By
		step   journal.Step
		layout string
	}{{journal.ByNothing, journal.Daily, "2006-01-02"}, {journal.ByEmployee, journal.Monthly, "2006-01"}, {journal.ByQueue, journal.Whole, ""}} {
		sheet := journal.NewSheet(journal.NewCalendar(s.counting.Zone), s.rules, x.by, x.step)
		how, ok, err := l.db.Cells(x.by, journal.DayOf(2026, 1, 1), journal.DayOf(2027, 1, 1), func(k journal.Key, c *journal.Cell) error {
			sheet.AddDay(k.Name, k.Day, c)
			return nil
		})
		if err != nil || !ok || how.Zone.String() != "Europe/Berlin" || how.ServiceLevel != s.rules.ServiceLevel {
			l.t.Fatalf("cells: %+v %v %v", how, ok, err)
		}
		got, want := sheet.Rows(), journaltest.Rows(calls, x.by, x.layout, s.rules.ServiceLevel, s.counting.Zone)
		if sheet.Unsure() {
			journaltest.Forgive(got, want)
		}
		if !reflect.DeepEqual(got, want) {
			l.t.Fatalf("by %d, %q: %s", x.by, x.layout, cmp.Diff(want, got))
		}
	}
}

// listed compares the worklist with the calls: every missed call is in it once.
func (l *ledger) listed(calls []*call.Record, s *settings) {
	l.t.Helper()
	missed, times := 0, 0
	list := journal.Worklist{Rules: s.rules, Until: math.MaxInt64}
	l.must(l.db.Past(func(p journal.Past) error {
		for _, r := range calls {
			if r.Missed {
				missed++
			}
			m, err := list.Caller(p, r, nil)
			if err != nil {
				return err
			}
			if m == nil {
				continue
			}
			times += m.Times
			types := journal.TypesOf(r.Types)
			if open := m.State == journal.StateOpen || m.State == journal.StateAttempted; open != (types&(journal.CalledBack|journal.CameBack|journal.Lost) == 0) ||
				(m.HealedAt != 0) != (r.HealedBy != nil) || m.HealedAt != 0 && *m.HealedInMs < 0 {
				l.t.Errorf("%s is %s, its types are %q", r.ID, m.State, r.Types)
			}
		}
		return nil
	}))
	if missed != times || missed == 0 {
		l.t.Errorf("%d missed calls, %d in the worklist", missed, times)
	}
}

// numbered: the feed has each revision of a call once, and none is left out.
func (l *ledger) numbered() {
	l.t.Helper()
	last := map[string]uint64{}
	for after := uint64(0); ; {
		page, err := l.db.Feed(after, 5000)
		l.must(err)
		if len(page.Entries) == 0 {
			return
		}
		for _, e := range page.Entries {
			switch {
			case e.Op == storage.OpDelete:
				delete(last, e.ID)
			case e.Call.Rev != last[e.Call.ID]+1:
				l.t.Fatalf("%s: revision %d after %d", e.Call.ID, e.Call.Rev, last[e.Call.ID])
			default:
				last[e.Call.ID] = e.Call.Rev
			}
		}
		after = page.Next
	}
}

// live lets a journal of n calls come to be, in groups, with restarts, and with
// slices of the jobs in between.
func (l *ledger) live(n int, seed uint64, at map[int]func()) {
	l.t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 3))
	start := time.Date(2026, 3, 20, 0, 0, 0, 0, l.c.Agent.Location())
	var group []storage.Entry
	size := 1
	for id, r := range journaltest.Late(journaltest.Options{Seed: seed, Calls: n, Days: 45, Start: start, Zone: l.c.Agent.Location(), Hostile: 50}) {
		if r == nil {
			group = append(group, storage.Entry{Op: storage.OpDelete, ID: id, Into: "main:1"})
		} else {
			group = append(group, storage.Entry{Op: storage.OpCall, Call: r})
			if end := r.EndedAt.Time(); end.After(l.now) {
				l.now = end
			}
		}
		if l.n++; at[l.n] != nil {
			at[l.n]()
		}
		if len(group) < size {
			continue
		}
		l.commit(group)
		group, size = nil, 1+rnd.IntN(150)
		switch rnd.IntN(40) {
		case 0:
			l.restart()
		case 1, 2, 3, 4, 5, 6:
			l.must(l.b.tick())
		default:
			if l.b.busy() {
				l.must(l.b.slice())
			}
		}
	}
	l.commit(group)
	l.finish()
}

const firstRules = "spam_short_calls = 3\n"

// Fifty thousand calls through the real store, with late corrections, deletes,
// restarts and a change of the rules in the middle, end in the journal that an
// obvious computation over all of them gives.
func TestBooks_AgreeWithTheObvious(t *testing.T) {
	n := 50_000
	if testing.Short() {
		n = 4000
	}
	l := newLedger(t, firstRules)
	l.live(n, 1, map[int]func(){
		n / 3: func() { // SIGHUP
			l.configure("unique_depth_days = 3\nlost_window = \"90m\"\nshort_abandon = \"12s\"\ntarget_min_talk = \"45s\"\nservice_level = \"10s\"\n")
			l.b.take(l.settings())
		},
		n / 2: func() { // a restart with the rules of before
			l.configure(firstRules)
			l.restart()
		},
	})
	l.agrees()
	if st := l.b.status(); st.Settings != 3 || st.EndedAt == 0 || st.Done < uint64(n/3) {
		t.Errorf("%+v", st)
	}
}

// What no setting changes gets no new revision, and a change back gives each call
// what it had.
func TestBooks_ReviewChangesOnlyWhatDiffers(t *testing.T) {
	l := newLedger(t, firstRules)
	l.live(3000, 2, nil)
	before := map[string]*call.Record{}
	for _, r := range l.all() {
		before[r.ID] = r
	}
	head := l.db.Head()
	l.b.review.Ended, l.b.review.After, l.b.review.Done = 0, storage.Position{}, 0
	l.finish()
	if l.db.Head() != head {
		t.Fatalf("the same settings make %d new entries", l.db.Head()-head)
	}

	l.configure(firstRules + "target_min_talk = \"31s\"\n")
	l.b.take(l.settings())
	l.finish()
	changed := 0
	for _, r := range l.all() {
		was := before[r.ID]
		had, has := slices.Contains(was.Types, "target"), slices.Contains(r.Types, "target")
		if (r.Rev != was.Rev) != (had != has) {
			t.Errorf("%s: revision %d after %d, types %q after %q", r.ID, r.Rev, was.Rev, r.Types, was.Types)
		}
		if had != has {
			changed++
		}
	}
	if changed == 0 || l.b.status().Changed != uint64(changed) || l.db.Head() != head+uint64(changed) {
		t.Errorf("%d calls differ, status says %d, the feed has %d more entries", changed, l.b.status().Changed, l.db.Head()-head)
	}
	l.agrees()
}

// A journal that was salvaged knows which calls there are, but not by which rules
// they were judged: it is settled anew, and ends as it was.
func TestBooks_AfterSalvage(t *testing.T) {
	l := newLedger(t, firstRules)
	l.live(2000, 4, nil)
	before := l.all()
	l.must(l.db.Close())
	into := l.path + ".new"
	if s, err := storage.Salvage(l.path, into, storage.Options{Counting: l.settings().counting}); err != nil || s.Lost != 0 {
		t.Fatal(s, err)
	}
	l.path = into
	l.open()
	if !l.b.busy() {
		t.Error("nothing is settled anew")
	}
	l.finish()
	if diff := cmp.Diff(before, l.all()); diff != "" {
		t.Error(diff)
	}
	_, x, err := l.db.Touch(before[100].ID)
	if err != nil || x.Verdict.Rules != l.b.standing.Version {
		t.Errorf("%+v %v", x, err)
	}
	l.agrees()
}

// A tag changes nothing of what is said about its call: not the verdict, and not
// by which rules it was given.
func TestBooks_TagsLeaveTheVerdict(t *testing.T) {
	l := newLedger(t, firstRules)
	l.live(60, 8, nil)
	for _, tags := range [][]string{{"vip"}, {"vip", "angry"}} {
		for _, r := range l.all() {
			_, before, err := l.db.Touch(r.ID)
			l.must(err)
			batch := &storage.Batch{Entries: []storage.Entry{{Op: storage.OpCall, Call: r}}}
			l.must(l.b.settleNews(batch, []journal.Incoming{{ID: r.ID, Record: r, Tags: tags}}))
			l.must(l.b.put(batch))
			if _, after, err := l.db.Touch(r.ID); err != nil || after != before {
				t.Errorf("%s: got %+v %v, want %+v", r.ID, after, err, before)
			}
		}
	}
	l.agrees()
}

// A fault in the rules costs types, not calls.
func TestBooks_Panic(t *testing.T) {
	l := newLedger(t, firstRules)
	broken := 0
	l.b.broken = func() { broken++ }
	engine := l.b.engine
	var calls []*call.Record
	for r := range journaltest.Generate(journaltest.Options{Seed: 5, Calls: 4, Days: 1}) {
		calls = append(calls, r)
	}
	l.b.engine = nil
	l.commit([]storage.Entry{{Op: storage.OpCall, Call: calls[0]}, {Op: storage.OpCall, Call: calls[1]}})
	second := *calls[0]
	l.commit([]storage.Entry{{Op: storage.OpCall, Call: &second}})
	l.b.engine = engine
	l.commit([]storage.Entry{{Op: storage.OpCall, Call: calls[2]}, {Op: storage.OpCall, Call: calls[3]}})
	l.finish()
	if r, err := l.db.Call(calls[0].ID); err != nil || r.Rev < 2 || broken != 2 {
		t.Errorf("%+v %v, %d panics", r, err, broken)
	}
	l.numbered()
}

// Whatever a group holds is stored, if it holds nothing else too: facts that come
// within one moment, say, go without the state of their link.
func TestBooks_StoreWhateverAGroupHolds(t *testing.T) {
	l := newLedger(t, firstRules)
	l.finish() // nothing waits that another batch would go along with
	put := func(b *storage.Batch) {
		t.Helper()
		l.must(l.b.settle(b))
		l.must(l.b.put(b))
		l.restart()
		l.finish()
	}
	facts := func(want ...uint64) {
		t.Helper()
		events, err := l.db.Facts("main")
		l.must(err)
		var got []uint64
		for _, e := range events {
			got = append(got, e.N)
		}
		if !slices.Equal(got, want) {
			t.Errorf("facts %v, want %v", got, want)
		}
	}
	put(&storage.Batch{Facts: []storage.Fact{
		{PBX: "main", Event: &call.Event{N: 1, Kind: call.LegCreated, Leg: "1"}},
		{PBX: "main", Event: &call.Event{N: 2, Kind: call.LegEnded, Leg: "1"}},
	}})
	facts(1, 2)
	put(&storage.Batch{Drop: map[string][]uint64{"main": {1}}})
	facts(2)
	put(&storage.Batch{State: map[string][]byte{"link/main": []byte("seen")}})
	if v, err := l.db.State("link/main"); err != nil || string(v) != "seen" {
		t.Errorf("state %q %v", v, err)
	}
	put(&storage.Batch{Entries: []storage.Entry{{Op: storage.OpGap, Gap: &call.Gap{PBX: "main", From: 1, To: 2, Reason: "link lost"}}}})
	if gaps, err := l.db.Gaps(5); err != nil || len(gaps) != 1 {
		t.Errorf("gaps %+v %v", gaps, err)
	}
}
