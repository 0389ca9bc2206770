package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// obvious is a query answered by looking at every record, written without a look
// at how the journal does it.
func obvious(q Query, calls []*call.Record) []*call.Record {
	var out []*call.Record
	for _, r := range calls {
		if obviouslyAsked(q, r) {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b *call.Record) int { return obviousOrder(q.Sort, a, b) })
	return out
}

func obviouslyAsked(q Query, r *call.Record) bool {
	people := map[string]bool{}
	departments := map[string]bool{}
	numbers := map[string]bool{}
	texts := map[string]bool{}
	see := func(into map[string]bool, list ...*string) {
		for _, s := range list {
			if s != nil && *s != "" {
				into[*s] = true
				texts[strings.ToLower(*s)] = true
			}
		}
	}
	see(people, r.From.Extension, r.From.Employee, r.To.Extension, r.To.Employee)
	see(departments, r.From.Department, r.To.Department)
	see(numbers, r.From.Number, r.From.E164, r.To.Number, r.To.E164, r.From.Extension, r.To.Extension)
	for _, l := range r.Legs {
		see(people, l.Extension, l.Employee)
		see(departments, l.Department)
		see(numbers, l.Number, l.Extension)
	}
	lines, sources, trunks, queues := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	if r.Line != nil {
		see(lines, &r.Line.Number, r.Line.Name)
		see(numbers, &r.Line.Number)
		see(sources, r.Line.Source)
	}
	see(trunks, r.Trunk)
	for _, name := range r.Queues {
		see(queues, &name)
	}
	for _, tag := range r.Tags {
		see(texts, &tag)
	}
	see(texts, r.Account, r.From.Name, r.To.Name)
	in := func(asked []string, has map[string]bool) bool {
		for _, a := range asked {
			if has[a] {
				return true
			}
		}
		return len(asked) == 0
	}
	set := func(words ...string) map[string]bool {
		m := map[string]bool{}
		for _, w := range words {
			m[w] = true
		}
		return m
	}
	has := map[string]bool{"recording": len(r.Recordings) > 0, "voicemail": r.Voicemail != nil, "fax": r.Fax != nil}
	if q.From != 0 && r.StartedAt < q.From || q.To != 0 && r.StartedAt >= q.To || q.Missed != nil && r.Missed != *q.Missed ||
		!in(q.Direction, set(r.Direction)) || !in(q.Status, set(r.Status)) || !in(q.Type, set(r.Types...)) || !in(q.Has, has) ||
		!in(q.Employee, people) || !in(q.Department, departments) || !in(q.Queue, queues) || !in(q.Line, lines) ||
		!in(q.Source, sources) || !in(q.Trunk, trunks) {
		return false
	}
	if who, by := q.Employee, journal.ByEmployee; q.Part != "" {
		if len(who) == 0 {
			who, by = q.Department, journal.ByDepartment
		}
		if !journal.HadPart(r, q.Part, by, who) {
			return false
		}
	}
	if q.MinTalk != nil && (r.TalkMs == nil || *r.TalkMs < q.MinTalk.Milliseconds()) ||
		q.MaxTalk != nil && (r.TalkMs == nil || *r.TalkMs > q.MaxTalk.Milliseconds()) ||
		q.MinWait != nil && (r.WaitMs == nil || *r.WaitMs < q.MinWait.Milliseconds()) ||
		q.MaxWait != nil && (r.WaitMs == nil || *r.WaitMs > q.MaxWait.Milliseconds()) {
		return false
	}
	if at := r.StartedAt.Time(); q.Hours != nil && q.Hours.Of[(at.In(q.Hours.Zone).Weekday()+6)%7]>>at.In(q.Hours.Zone).Hour()&1 == 0 {
		return false
	}
	part := func(of map[string]bool, part string) bool {
		for s := range of {
			if strings.Contains(s, part) {
				return true
			}
		}
		return false
	}
	if len(q.Number) > 0 && !slices.ContainsFunc(q.Number, func(n string) bool { return part(numbers, n) }) {
		return false
	}
	for _, word := range strings.Fields(q.Text) {
		if word != r.ID && !part(texts, strings.ToLower(word)) {
			return false
		}
	}
	return true
}

// obviousOrder compares what calls are sorted by, and their start.
func obviousOrder(sort string, a, b *call.Record) int {
	name, descending := strings.CutPrefix(cmp.Or(sort, "-started_at"), "-")
	value := func(r *call.Record) any {
		ms := map[string]*int64{"wait": r.WaitMs, "talk": r.TalkMs, "total": r.TotalMs, "ring": r.RingMs}
		party := func(p call.Party) any {
			for _, s := range []*string{p.E164, p.Number, p.Extension} {
				if s != nil && *s != "" {
					return (*s)[:min(48, len(*s))]
				}
			}
			return nil
		}
		switch name {
		case "started_at":
			return int64(r.StartedAt)
		case "ended_at":
			if r.EndedAt == 0 {
				return nil
			}
			return int64(r.EndedAt)
		case "from":
			return party(r.From)
		case "to":
			return party(r.To)
		case "status":
			return r.Status
		case "cost":
			if r.Cost == nil {
				return nil
			}
			n, _ := new(big.Rat).SetString(r.Cost.Amount)
			return n
		}
		if ms[name] == nil {
			return nil
		}
		return *ms[name]
	}
	x, y := value(a), value(b)
	c := 0
	switch {
	case x == nil && y == nil:
	case x == nil:
		return 1
	case y == nil:
		return -1
	default:
		switch x := x.(type) {
		case int64:
			c = cmp.Compare(x, y.(int64))
		case string:
			c = strings.Compare(x, y.(string))
		case *big.Rat:
			c = x.Cmp(y.(*big.Rat))
		}
	}
	if descending {
		c = -c
	}
	return cmp.Or(c, cmp.Compare(b.StartedAt, a.StartedAt))
}

// drawQuery draws a query whose words are those of some of the calls.
func drawQuery(t *rapid.T, calls []*call.Record) Query {
	q := Query{Limit: rapid.IntRange(1, 6).Draw(t, "page")}
	if rapid.Bool().Draw(t, "long pages") {
		q.Limit *= 50
	}
	maybe := func(label string) bool { return rapid.IntRange(0, 5).Draw(t, label) == 0 }
	pick := func(label string) *call.Record {
		if len(calls) == 0 {
			r, _ := newOffice(1).call()
			return r
		}
		return calls[rapid.IntRange(0, len(calls)-1).Draw(t, label)]
	}
	of := func(label string, word func(*call.Record) *string) (words []string) {
		if !maybe(label) {
			return nil
		}
		for range rapid.IntRange(1, 2).Draw(t, label+"s") {
			if w := word(pick(label)); w != nil {
				words = append(words, *w)
			} else {
				words = append(words, "none-"+strings.ReplaceAll(label, " ", "-"))
			}
		}
		return words
	}
	leg := func(word func(*call.Leg) *string) func(*call.Record) *string {
		return func(r *call.Record) *string {
			if len(r.Legs) == 0 {
				return nil
			}
			return word(&r.Legs[rapid.IntRange(0, len(r.Legs)-1).Draw(t, "leg")])
		}
	}
	duration := func(label string, of func(*call.Record) *int64) *time.Duration {
		if ms := of(pick(label)); maybe(label) && ms != nil {
			return ptr(time.Duration(*ms) * time.Millisecond)
		}
		return nil
	}
	part := func(s *string) *string {
		if s == nil || *s == "" || !maybe("part") {
			return s
		}
		from := rapid.IntRange(0, len(*s)-1).Draw(t, "from")
		return ptr((*s)[from:rapid.IntRange(from+1, len(*s)).Draw(t, "to")])
	}
	if maybe("from") {
		q.From = pick("from").StartedAt
	}
	if maybe("to") {
		q.To = pick("to").StartedAt
	}
	if maybe("direction") {
		q.Direction = rapid.SliceOfN(rapid.SampledFrom(directions), 1, 2).Draw(t, "directions")
	}
	if maybe("status") {
		q.Status = rapid.SliceOfN(rapid.SampledFrom(statuses), 1, 4).Draw(t, "statuses")
	}
	if maybe("missed") {
		q.Missed = ptr(rapid.Bool().Draw(t, "is missed"))
	}
	if maybe("type") {
		q.Type = rapid.SliceOfN(rapid.SampledFrom(callTypes), 1, 2).Draw(t, "types")
	}
	if maybe("has") {
		q.Has = rapid.SliceOfN(rapid.SampledFrom([]string{"recording", "voicemail", "fax"}), 1, 2).Draw(t, "has what")
	}
	q.Employee = append(of("employee", leg(func(l *call.Leg) *string { return l.Employee })), of("extension", leg(func(l *call.Leg) *string { return l.Extension }))...)
	q.Department = of("department", leg(func(l *call.Leg) *string { return l.Department }))
	if len(q.Employee)+len(q.Department) > 0 && rapid.Bool().Draw(t, "part of them") {
		q.Part = rapid.SampledFrom([]string{journal.PartCounted, journal.PartElsewhere}).Draw(t, "which part")
	}
	q.Queue = of("queue", func(r *call.Record) *string {
		if len(r.Queues) == 0 {
			return nil
		}
		return &r.Queues[0]
	})
	q.Line = of("line", func(r *call.Record) *string {
		if r.Line == nil || r.Line.Name == nil {
			return nil
		}
		return ptr(rapid.SampledFrom([]string{*r.Line.Name, r.Line.Number}).Draw(t, "line as"))
	})
	q.Trunk = of("trunk", func(r *call.Record) *string { return r.Trunk })
	q.Source = of("source", func(r *call.Record) *string {
		if r.Line == nil {
			return nil
		}
		return r.Line.Source
	})
	q.Number = append(
		of("number", func(r *call.Record) *string { return part(r.From.Number) }),
		of("extension as number", leg(func(l *call.Leg) *string { return part(l.Extension) }))...)
	q.MinTalk = duration("min talk", func(r *call.Record) *int64 { return r.TalkMs })
	q.MaxTalk = duration("max talk", func(r *call.Record) *int64 { return r.TalkMs })
	q.MinWait = duration("min wait", func(r *call.Record) *int64 { return r.WaitMs })
	q.MaxWait = duration("max wait", func(r *call.Record) *int64 { return r.WaitMs })
	if maybe("hours") {
		q.Hours = &Hours{Zone: time.FixedZone("", rapid.IntRange(-50, 50).Draw(t, "quarters east")*900)}
		for d := range q.Hours.Of {
			q.Hours.Of[d] = rapid.Uint32Range(0, 1<<24-1).Draw(t, "hours of a day")
		}
	}
	for _, word := range slices.Concat(
		of("text", func(r *call.Record) *string { return part(r.From.Name) }),
		of("text of a leg", leg(func(l *call.Leg) *string { return part(l.Employee) })),
		of("id", func(r *call.Record) *string { return &r.ID }),
	) {
		q.Text += " " + word
	}
	// Numbers with punctuation have a test of their own.
	for _, s := range append(strings.Fields(q.Text), q.Number...) {
		if plainNumber(s) != s {
			q.Text, q.Number = "", nil
		}
	}
	q.Number = slices.DeleteFunc(q.Number, func(s string) bool { return s == "" })
	q.Sort = rapid.SampledFrom(Sorts()).Draw(t, "sort")
	if rapid.Bool().Draw(t, "descending") {
		q.Sort = "-" + q.Sort
	}
	return q
}

// pages asks for all pages of a query; between runs before each but the first.
func pages(t *rapid.T, d *DB, q Query, between func()) (got []*call.Record) {
	seen := map[string]bool{}
	for {
		recs, cursor, err := d.Calls(q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		for _, r := range recs {
			if seen[r.ID] {
				t.Fatalf("%+v: %s comes twice", q, r.ID)
			}
			seen[r.ID] = true
		}
		got = append(got, recs...)
		if cursor == "" {
			return got
		}
		if q.Cursor = cursor; between != nil {
			between()
		}
	}
}

// sameOrder compares an answer with the obvious one. Calls that nothing tells
// apart may come in any order.
func sameOrder(t *rapid.T, q Query, got, want []*call.Record) {
	if len(got) != len(want) {
		t.Fatalf("%+v: %d calls, want %d", q, len(got), len(want))
	}
	ids := func(list []*call.Record) []string {
		var out []string
		for _, r := range list {
			out = append(out, fmt.Sprint(r.ID, "/", r.Rev))
		}
		slices.Sort(out)
		return out
	}
	if !slices.Equal(ids(got), ids(want)) {
		t.Fatalf("%+v: other calls:\n%v\nwant\n%v", q, ids(got), ids(want))
	}
	for i := range got {
		if obviousOrder(q.Sort, got[i], want[i]) != 0 {
			t.Fatalf("%+v: call %d is %s, want %s", q, i, got[i].ID, want[i].ID)
		}
	}
}

// Pages show the journal as it was at the first of them, whatever is added,
// changed and deleted before the next; an answer in one page is the obvious one.
func TestPagesShowTheJournalAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := mustOpen(t, filepath.Join(newFolder(t), "journal.db"), Options{NoSync: true, Reserve: -1})
		defer d.Close()
		d.index.budget = rapid.SampledFrom([]int{0, 40_000, indexBudget}).Draw(t, "budget")
		o := newOffice(rapid.Uint64().Draw(t, "seed"))
		m := newModel()
		var ids []string
		commit := func(most int) {
			b := &Batch{}
			for range rapid.IntRange(0, most).Draw(t, "calls") {
				r, _ := o.call()
				vary(o, r)
				if len(ids) > 0 && o.rnd.IntN(3) == 0 {
					r.ID = ids[o.rnd.IntN(len(ids))]
				}
				if old := m.calls[r.ID]; old != nil {
					if r.Rev = old.Rev + 1; o.rnd.IntN(4) > 0 {
						r.StartedAt = old.StartedAt
					}
					if slices.ContainsFunc(b.Entries, func(e Entry) bool { return e.Call.ID == r.ID }) {
						continue
					}
				} else {
					ids = append(ids, r.ID)
				}
				b.Entries = append(b.Entries, Entry{Op: OpCall, Call: r})
			}
			if err := d.Commit(b); err != nil {
				t.Fatal(err)
			}
			m.commit(b)
		}
		for range 3 {
			commit(250)
		}
		for range 6 {
			was := m.list()
			q := drawQuery(t, was)
			want := obvious(q, was)
			got := pages(t, d, q, func() {
				if o.rnd.IntN(4) == 0 {
					commit(30)
				}
			})
			sameOrder(t, q, got, want)
		}
	})
}

// vary makes a call of the office differ where the office's calls do not.
func vary(o *office, r *call.Record) {
	one := func(in int) bool { return o.rnd.IntN(in) == 0 }
	r.Direction = directions[o.rnd.IntN(len(directions))]
	r.Status = statuses[o.rnd.IntN(len(statuses))]
	r.Types = []string{callTypes[o.rnd.IntN(len(callTypes))]}
	if one(3) {
		r.Cost = &call.Cost{Amount: fmt.Sprintf("%d.%02d", o.rnd.IntN(40), o.rnd.IntN(100)), Currency: "RUB"}
	}
	if one(5) {
		r.TalkMs, r.EndedAt, r.RingMs = nil, 0, nil
	}
	if one(3) {
		r.From.Name = ptr([]string{"Анна Иванова", "=1+1", "<b>Bob</b>", "\u202eevil"}[o.rnd.IntN(4)])
	}
	if one(200) {
		r.From.Name = ptr(strings.Repeat("x", 70_000))
	}
	if one(6) {
		r.From.Number, r.From.E164 = ptr("anonymous"), nil
	}
	if one(7) {
		r.Voicemail = &call.VoicemailEntry{Mailbox: "101"}
	}
	if one(9) {
		r.Tags = []string{"Рекламация"}
	}
	if one(11) {
		for i := range 30 {
			r.Legs = append(r.Legs, call.Leg{Channel: "x", Number: ptr(fmt.Sprint("49", i, o.rnd.IntN(1000))), Extension: ptr(fmt.Sprint(300 + i))})
		}
	}
}

func TestCursorIsGoodForItsQueryOnly(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	mustCommit(t, d, callBatch(newOffice(1), 20))
	_, cursor, err := d.Calls(Query{Limit: 3, Sort: "talk"})
	if err != nil || cursor == "" {
		t.Fatal(cursor, err)
	}
	if _, _, err := d.Calls(Query{Limit: 7, Sort: "talk", Cursor: cursor}); err != nil {
		t.Errorf("pages may be of different length: %v", err)
	}
	for _, q := range []Query{{Sort: "-talk"}, {}, {Sort: "talk", Status: []string{"busy"}}} {
		q.Cursor = cursor
		if _, _, err := d.Calls(q); !errors.Is(err, ErrCursor) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, _, err := d.Calls(Query{Sort: "colour"}); !errors.Is(err, ErrQuery) {
		t.Errorf("sort by colour: %v", err)
	}
	if _, _, err := d.Calls(Query{Text: strings.Repeat("a ", 99)}); !errors.Is(err, ErrQuery) {
		t.Errorf("99 words: %v", err)
	}
}

// Reading ahead has every block there is room for, the newest, and a commit
// meanwhile is no harm.
func TestWarm(t *testing.T) {
	d := mustOpen(t, filepath.Join(t.TempDir(), "journal.db"), Options{Reserve: -1, NoSync: true})
	defer d.Close()
	o := newOffice(1)
	fill(t, d, o, 10_000)
	held := func() (blocks, without int) {
		for _, sp := range d.index.spans {
			if sp.block != nil {
				blocks++
			} else {
				without++
			}
		}
		return blocks, without
	}
	if err := d.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	if blocks, without := held(); blocks < 10_000/blockMost || without > 0 {
		t.Errorf("%d blocks, %d spans without one", blocks, without)
	}

	d.index.forget()
	d.index.budget = 3 * blockMost * blockRowBytes
	if err := d.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	blocks, without := held()
	if newest := d.index.spans[len(d.index.spans)-1]; blocks < 2 || without == 0 || newest.block == nil || d.index.bytes > d.index.budget {
		t.Errorf("with little room: %d blocks of %d bytes, %d spans without one", blocks, d.index.bytes, without)
	}

	d.index.forget()
	ended, end := context.WithCancel(t.Context())
	end()
	if err := d.Warm(ended); err != nil {
		t.Fatal(err)
	}
	if blocks, _ := held(); blocks != 0 {
		t.Errorf("%d blocks, though nobody waits for them any more", blocks)
	}
}
