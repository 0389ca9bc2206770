package journal_test

import (
	"cmp"
	"slices"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// memory is a journal in memory: a Past that takes in Outcomes.
type memory struct {
	calls     map[string]*call.Record
	histories map[string][]journal.Touch
	cells     map[journal.Key]*journal.Cell
	calendar  journal.Calendar
	rules     journal.Rules
}

func newMemory(c journal.Calendar, r journal.Rules) *memory {
	return &memory{
		calls: map[string]*call.Record{}, histories: map[string][]journal.Touch{},
		cells: map[journal.Key]*journal.Cell{}, calendar: c, rules: r,
	}
}

// fataler is a test, of the testing package or of rapid's.
type fataler interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
	FailNow()
}

// clone copies what an Engine may change in a record.
func clone(r *call.Record) *call.Record {
	if r == nil {
		return nil
	}
	c := *r
	c.Legs = slices.Clone(r.Legs)
	if r.Line != nil {
		l := *r.Line
		c.Line = &l
	}
	return &c
}

func (m *memory) Call(id string) (*call.Record, error) { return clone(m.calls[id]), nil }

func (m *memory) Touches(history string, from, to call.Moment) ([]journal.Touch, error) {
	all := m.histories[history]
	return slices.Clone(all[since(all, from):since(all, to)]), nil
}

func since(touches []journal.Touch, at call.Moment) int {
	i, _ := slices.BinarySearchFunc(touches, at, func(t journal.Touch, at call.Moment) int { return cmp.Compare(t.Started, at) })
	return i
}

func (m *memory) InboundBefore(history string, at call.Moment) (call.Moment, bool, error) {
	all := m.histories[history]
	for i := since(all, at) - 1; i >= 0; i-- {
		if all[i].Way == journal.Came {
			return all[i].Started, true, nil
		}
	}
	return 0, false, nil
}

func (m *memory) InboundAfter(history string, at call.Moment) (call.Moment, bool, error) {
	for _, t := range m.histories[history][since(m.histories[history], at+1):] {
		if t.Way == journal.Came {
			return t.Started, true, nil
		}
	}
	return 0, false, nil
}

func (m *memory) Overdue(before call.Moment, limit int) (places []journal.Place, err error) {
	var due []journal.Touch
	of := map[string]string{}
	for h, all := range m.histories {
		for _, t := range all {
			if t.Verdict.Open() && t.Left < before {
				due = append(due, t)
				of[t.ID] = h
			}
		}
	}
	slices.SortFunc(due, func(a, b journal.Touch) int { return cmp.Or(cmp.Compare(a.Left, b.Left), cmp.Compare(a.ID, b.ID)) })
	for _, t := range due[:min(limit, len(due))] {
		places = append(places, journal.Place{History: of[t.ID], Started: t.Started, ID: t.ID})
	}
	return places, nil
}

// commit takes an Outcome in, and insists that it fits what is there.
func (m *memory) commit(t fataler, o *journal.Outcome) {
	t.Helper()
	deltas := journal.NewDeltas(m.calendar, m.rules)
	seen := map[string]bool{}
	for _, c := range o.Calls {
		deltas.Change(c.Was, c.Now)
		id := ""
		switch {
		case c.Now == nil:
			id = c.Was.ID
			delete(m.calls, id)
		default:
			id = c.Now.ID
			rev := uint64(1)
			if had := m.calls[id]; had != nil {
				rev = had.Rev + 1
			}
			if c.Now.Rev != rev {
				t.Fatalf("%s: revision %d after %d", id, c.Now.Rev, rev-1)
			}
			m.calls[id] = clone(c.Now)
		}
		if seen[id] {
			t.Fatalf("%s is in one outcome twice", id)
		}
		seen[id] = true
	}
	judged := map[string]bool{}
	for _, x := range o.Moves {
		if x.Now != nil {
			judged[x.Now.ID] = true
		}
		all := m.histories[x.History]
		if x.Was != nil {
			i, ok := slices.BinarySearchFunc(all, *x.Was, func(a, b journal.Touch) int { return a.Compare(&b) })
			if !ok || all[i] != *x.Was {
				t.Fatalf("%s: a touch that is not there moves: %+v", x.History, x.Was)
			}
			all = slices.Delete(all, i, i+1)
		}
		if x.Now != nil {
			i, ok := slices.BinarySearchFunc(all, *x.Now, func(a, b journal.Touch) int { return a.Compare(&b) })
			if ok {
				t.Fatalf("%s: %s is there already", x.History, x.Now.ID)
			}
			all = slices.Insert(all, i, *x.Now)
		}
		m.histories[x.History] = all
	}
	for _, c := range o.Calls {
		if c.Now != nil && !judged[c.Now.ID] {
			t.Fatalf("%s: a new revision without the rules of its verdict", c.Now.ID)
		}
	}
	for k, d := range deltas.Cells {
		c := m.cells[k]
		if c == nil {
			c = &journal.Cell{}
			m.cells[k] = c
		}
		c.Replace(d)
		if c.Empty() {
			delete(m.cells, k)
		}
	}
}

// pastDue ticks until nothing more is overdue.
func (m *memory) pastDue(t fataler, e *journal.Engine, now call.Moment) {
	t.Helper()
	for {
		const limit = 7
		due, _ := m.Overdue(now, limit)
		o, err := e.Tick(m, now, limit)
		if err != nil {
			t.Fatal(err)
		}
		m.commit(t, o)
		after, _ := m.Overdue(now, limit)
		if slices.Equal(due, after) {
			return
		}
	}
}
