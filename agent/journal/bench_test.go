package journal_test

import (
	"testing"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
)

// What one call costs the engine, with a history in memory.
func BenchmarkEngine_Settle(b *testing.B) {
	var calls []*call.Record
	for r := range journaltest.Generate(journaltest.Options{Seed: 5, Calls: 20_000, Days: 30}) {
		calls = append(calls, r)
	}
	o := newOffice(b, journal.DefaultRules())
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(calls) {
			b.StopTimer()
			o = newOffice(b, journal.DefaultRules())
			i = 0
			b.StartTimer()
		}
		r := clone(calls[i])
		out, err := o.engine.Settle(o.memory, r.EndedAt, []journal.Incoming{{ID: r.ID, Record: r}})
		if err != nil {
			b.Fatal(err)
		}
		o.memory.commit(b, out)
		i++
	}
}

// What one call costs the statistics.
func BenchmarkDeltas_Change(b *testing.B) {
	var calls []*call.Record
	for r := range journaltest.Generate(journaltest.Options{Seed: 5, Calls: 1000, Days: 3}) {
		calls = append(calls, r)
	}
	calendar, rules := journal.NewCalendar(zone), journal.DefaultRules()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d := journal.NewDeltas(calendar, rules)
		d.Change(nil, calls[i%len(calls)])
		i++
	}
}

// A year by employee: forty of them on each day.
func BenchmarkSheet_Year(b *testing.B) {
	d := journal.NewDeltas(journal.NewCalendar(zone), journal.DefaultRules())
	for r := range journaltest.Generate(journaltest.Options{Seed: 5, Calls: 20_000, Days: 7}) {
		d.Change(nil, r)
	}
	var stored [][]byte
	var keys []journal.Key
	for k, x := range d.Cells {
		if k.By == journal.ByEmployee {
			keys = append(keys, k)
			stored = append(stored, x.Added.Append(nil))
		}
	}
	size := 0
	for _, s := range stored {
		size += len(s)
	}
	b.ReportMetric(float64(size)/float64(len(stored)), "B/cell")
	b.ReportAllocs()
	for b.Loop() {
		sheet := journal.NewSheet(journal.NewCalendar(zone), journal.DefaultRules(), journal.ByEmployee, journal.Whole)
		var c journal.Cell
		for i := range 365 * 40 {
			if err := c.Parse(stored[i%len(stored)]); err != nil {
				b.Fatal(err)
			}
			sheet.AddDay(keys[i%len(keys)].Name, keys[i%len(keys)].Day, &c)
		}
		if len(sheet.Rows()) == 0 {
			b.Fatal("no rows")
		}
	}
}
