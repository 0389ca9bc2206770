package journal_test

import (
	"testing"

	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
)

// What is counted is found again in the marks: those of the calls of a day add
// up to those of its cells, and do no more once a call is missing.
func TestMark(t *testing.T) {
	rules := journal.DefaultRules()
	calendar := journal.NewCalendar(zone)
	deltas := journal.NewDeltas(calendar, rules)
	calls := map[journal.Day]uint64{}
	var last journal.Day
	var lost uint64
	for r := range journaltest.Generate(journaltest.Options{Seed: 3, Calls: 3000, Days: 5, Zone: zone, Hostile: 20}) {
		deltas.Change(nil, r)
		day, mark := journal.MarkOf(r, calendar, rules)
		if mark == 0 {
			t.Fatalf("%s has no mark", r.ID)
		}
		calls[day] += mark
		last, lost = day, mark
	}
	cells := map[journal.Day]uint64{}
	for k, d := range deltas.Cells {
		var c, read journal.Cell
		c.Replace(d)
		if err := read.Parse(c.Append(nil)); err != nil {
			t.Fatal(err)
		}
		cells[k.Day] += read.Mark(k)
	}
	for day, mark := range calls {
		if cells[day] != mark {
			t.Errorf("%s: the calls add up to %x, the cells to %x", day, mark, cells[day])
		}
	}
	if calls[last]-lost == cells[last] {
		t.Error("a call that is not counted makes no difference")
	}
}
