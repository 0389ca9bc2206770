package journal_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"

	"github.com/google/go-cmp/cmp"
)

// zone has days of 23 and 25 hours; the journal of the tests has one of either.
var zone = mustZone("Europe/Berlin")

func mustZone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}

// office is a journal under test, with the calls that should be in it.
type office struct {
	t        fataler
	memory   *memory
	settings journal.Settings
	engine   *journal.Engine
	now      call.Moment
	calls    map[string]*call.Record // as the tracker gave them last
}

func newOffice(t fataler, rules journal.Rules) *office {
	t.Helper()
	company := journaltest.NewCompany()
	d := journal.NewDirectory("RU", company.Employees, company.Lines)
	tariffs, err := journal.NewTariffs(company.Tariffs)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{t: t, memory: newMemory(journal.NewCalendar(zone), rules), calls: map[string]*call.Record{}}
	o.settings = journal.Settings{Directory: d, Tariffs: tariffs, Rules: rules, Spam: journal.NewSpamList(d, []string{"84957919"}, company.Spam)}
	o.engine = journal.NewEngine(o.settings, 1)
	return o
}

func (o *office) settle(news []journal.Incoming) {
	o.t.Helper()
	for _, n := range news {
		if n.Record == nil {
			delete(o.calls, n.ID)
			continue
		}
		o.calls[n.ID] = clone(n.Record)
		o.now = max(o.now, n.Record.EndedAt)
	}
	out, err := o.engine.Settle(o.memory, o.now, news)
	if err != nil {
		o.t.Fatal(err)
	}
	o.memory.commit(o.t, out)
}

func (o *office) tick(now call.Moment) {
	o.t.Helper()
	o.now = max(o.now, now)
	o.memory.pastDue(o.t, o.engine, o.now)
}

// all are the calls as they stand in the journal.
func (o *office) all() []*call.Record {
	var all []*call.Record
	for _, r := range o.memory.calls {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *call.Record) int {
		if c := a.StartedAt - b.StartedAt; c != 0 {
			return int(c)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// agrees compares every call with the obvious verdict about it.
func (o *office) agrees() {
	o.t.Helper()
	if len(o.calls) != len(o.memory.calls) {
		o.t.Fatalf("%d calls in the journal, want %d", len(o.memory.calls), len(o.calls))
	}
	all := o.all()
	want := journaltest.Verdicts(all, o.settings.Rules, o.settings.Spam, o.now)
	wrong := 0
	for _, r := range all {
		if got := journaltest.VerdictOf(r); !got.Equal(want[r.ID]) {
			o.t.Errorf("%s (%s %s, %s): got %+v, want %+v", r.ID, r.Direction, r.Status, r.StartedAt.Time(), got, want[r.ID])
			if wrong++; wrong > 10 {
				o.t.FailNow()
			}
		}
	}
}

// manyCalls lets a journal of n calls come to be: in groups, not in order, with
// late corrections and calls that turn out to be part of others.
func manyCalls(t fataler, o *office, n int, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 2))
	var news []journal.Incoming
	size := 1
	start := time.Date(2026, 3, 20, 0, 0, 0, 0, zone)
	for id, r := range journaltest.Late(journaltest.Options{Seed: seed, Calls: n, Days: 45, Start: start, Zone: zone, Hostile: 50}) {
		news = append(news, journal.Incoming{ID: id, Record: r})
		if len(news) < size {
			continue
		}
		o.settle(news)
		news, size = nil, 1+rnd.IntN(120)
		if rnd.IntN(3) == 0 {
			o.tick(o.now)
		}
	}
	o.settle(news)
	o.tick(o.now)
}

// tables are the statistics that are compared.
var tables = []struct {
	by     journal.By
	step   journal.Step
	layout string // of the rows
}{
	{journal.ByNothing, journal.Whole, ""},
	{journal.ByNothing, journal.Hourly, "2006-01-02T15:00Z07:00"},
	{journal.ByNothing, journal.Daily, "2006-01-02"},
	{journal.ByNothing, journal.Monthly, "2006-01"},
	{journal.ByDirection, journal.Whole, ""},
	{journal.ByLine, journal.Monthly, "2006-01"},
	{journal.BySource, journal.Whole, ""},
	{journal.ByTrunk, journal.Whole, ""},
	{journal.ByQueue, journal.Daily, "2006-01-02"},
	{journal.ByEmployee, journal.Whole, ""},
	{journal.ByEmployee, journal.Daily, "2006-01-02"},
	{journal.ByDepartment, journal.Daily, "2006-01-02"},
}

// countsAgree compares the cells that were kept along, and the same counted from
// the calls, with the obvious figures.
func (o *office) countsAgree() {
	o.t.Helper()
	all := o.all()
	for _, x := range tables {
		want := journaltest.Rows(all, x.by, x.layout, o.settings.Rules.ServiceLevel, zone)
		sheet := func() *journal.Sheet { return journal.NewSheet(o.memory.calendar, o.settings.Rules, x.by, x.step) }
		calls := sheet()
		for _, r := range all {
			calls.AddCall(r)
		}
		if got := inOrder(calls.Rows()); !reflect.DeepEqual(got, want) {
			o.t.Fatalf("by %d, %q, from calls: %s", x.by, x.layout, cmp.Diff(want, got))
		}
		if calls.NeedsCalls() {
			continue
		}
		days := sheet()
		for k, c := range o.memory.cells {
			if k.By == x.by {
				days.AddDay(k.Name, k.Day, c)
			}
		}
		got := inOrder(days.Rows())
		if days.Unsure() {
			journaltest.Forgive(got, want)
		}
		if !reflect.DeepEqual(got, want) {
			o.t.Fatalf("by %d, %q, from days: %s", x.by, x.layout, cmp.Diff(want, got))
		}
	}
}

// inOrder sorts as the obvious rows are.
func inOrder(rows []journal.Row) []journal.Row {
	slices.SortFunc(rows, func(a, b journal.Row) int {
		return strings.Compare(a.At+"\x00"+a.Group, b.At+"\x00"+b.Group)
	})
	return rows
}

func TestJournal_AgreesWithTheObvious(t *testing.T) {
	n := 50_000
	if testing.Short() {
		n = 5000
	}
	rules := journal.DefaultRules()
	rules.SpamShortCalls = 3
	o := newOffice(t, rules)
	manyCalls(t, o, n, 1)
	o.agrees()
	o.countsAgree()

	// Other rules: the whole journal is settled anew, as a job does it, while the
	// verdicts of both rules are in it.
	rules.UniqueDepth, rules.LostWindow, rules.ShortAbandon = 3*24*time.Hour, 90*time.Minute, 12*time.Second
	rules.TargetMinTalk, rules.SpamShortCalls = 45*time.Second, 0
	o.settings.Rules = rules
	o.engine = journal.NewEngine(o.settings, 2)
	all := o.all()
	for part := range slices.Chunk(all, 500) {
		var news []journal.Incoming
		for _, r := range part {
			news = append(news, journal.Incoming{ID: r.ID, Record: clone(r)})
		}
		o.settle(news)
	}
	o.agrees()
	o.countsAgree()
}
