package storage

import (
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

func recountAll(t *testing.T, d **DB, want Counting, between func()) {
	t.Helper()
	for n := 0; ; n++ {
		done, err := (*d).Recount(want)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := (*d).Check(); err != nil || r.Damaged > 0 {
			t.Fatalf("after slice %d: %v %+v", n, err, r.Damage)
		}
		if !done.More {
			return
		}
		if between != nil {
			between()
		}
	}
}

func inboundOf(t *testing.T, d *DB) (calls int64, days int, how Counting, ok bool) {
	t.Helper()
	how, ok, err := d.Cells(journal.ByNothing, journal.DayOf(2020, 1, 1), journal.DayOf(2040, 1, 1), func(_ journal.Key, c *journal.Cell) error {
		calls, days = calls+c.Figures().Calls, days+1
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return calls, days, how, ok
}

// A journal of the first schema has neither histories nor totals; Recount makes
// both while calls arrive.
func TestRecountOfAnEarlierSchema(t *testing.T) {
	d := openTemp(t, Options{NoSync: true, Reserve: -1})
	o := newOffice(5)
	fill(t, d, o, 300)
	if _, err := d.update(func(u *update) error { // as if an earlier version had written it
		for _, in := range []bucket{inTouches, inMissed, inCells} {
			if err := u.tx.DeleteBucket(bucketNames[in]); err != nil {
				return err
			}
			if _, err := u.tx.CreateBucket(bucketNames[in]); err != nil {
				return err
			}
			u.tail.Extents[in] = extent{}
		}
		u.tail.Counts = [2]count{}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.load(); err != nil {
		t.Fatal(err)
	}
	if _, _, _, ok := inboundOf(t, d); ok {
		t.Error("there are totals")
	}
	recountAll(t, &d, Counting{}, func() {
		b := callBatch(o, 3)
		again := *b.Entries[0].Call // and one that changes
		again.Rev, again.TalkMs = 2, ptr(int64(1))
		b.Entries = append(b.Entries, Entry{Op: OpCall, Call: &again}, Entry{Op: OpDelete, ID: b.Entries[1].Call.ID})
		mustCommit(t, d, b)
	})
	calls, _, _, ok := inboundOf(t, d)
	if want := d.Stats().Calls; !ok || calls != int64(want) || d.tail.Extents[inTouches].Count != want {
		t.Errorf("%d calls in the totals, %d in histories, want %d", calls, d.tail.Extents[inTouches].Count, want)
	}
}

// Other days: the totals of before are given until those of the new zone are
// whole, and a change of mind in the middle leaves nothing behind.
func TestRecountOfAnotherZone(t *testing.T) {
	zone := func(name string) *time.Location {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Skip("no time zones here:", err)
		}
		return z
	}
	path := t.TempDir() + "/journal.db"
	o := Options{NoSync: true, Reserve: -1}
	d := mustOpen(t, path, o)
	defer func() { d.Close() }()
	fill(t, d, newOffice(6), 400)
	east := Counting{Zone: zone("Asia/Tokyo"), ServiceLevel: time.Second}
	if _, err := d.Recount(east); err != nil {
		t.Fatal(err)
	}
	if calls, _, how, ok := inboundOf(t, d); !ok || calls != 400 || how.Zone.String() != "UTC" {
		t.Errorf("%d calls, %+v", calls, how)
	}
	west := Counting{Zone: zone("America/New_York")}
	recountAll(t, &d, west, func() {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = mustOpen(t, path, o)
	})
	calls, days, how, ok := inboundOf(t, d)
	if !ok || calls != 400 || days == 0 || how.Zone.String() != "America/New_York" {
		t.Errorf("%d calls, %+v", calls, how)
	}
	gens := map[uint32]bool{}
	if err := d.Past(func(p journal.Past) error {
		return inCells.of(p.(past).tx).ForEach(func(k, v []byte) error {
			gen, _, err := d.codec.decodeCell(k, v, &journal.Cell{})
			gens[gen] = true
			return err
		})
	}); err != nil || len(gens) != 1 {
		t.Errorf("cells of %d counts, %v", len(gens), err)
	}
}

// A longest time that was said and taken back in one commit was never there.
func TestCellsOfOneCommit(t *testing.T) {
	d := openTemp(t, Options{NoSync: true, Reserve: -1})
	b := callBatch(newOffice(8), 1)
	r := b.Entries[0].Call
	r.Direction, r.Status, r.TalkMs = call.Inbound, call.StatusAnswered, ptr(int64(90_000))
	again := *r
	again.Rev, again.TalkMs = r.Rev+1, ptr(int64(1000))
	b.Entries = append(b.Entries, Entry{Op: OpCall, Call: &again})
	mustCommit(t, d, b)
	sheet := journal.NewSheet(journal.NewCalendar(time.UTC), journal.DefaultRules(), journal.ByNothing, journal.Whole)
	if _, ok, err := d.Cells(journal.ByNothing, journal.DayOf(2020, 1, 1), journal.DayOf(2040, 1, 1), func(k journal.Key, c *journal.Cell) error {
		sheet.AddDay(k.Name, k.Day, c)
		return nil
	}); err != nil || !ok {
		t.Fatal(ok, err)
	}
	rows := sheet.Rows()
	if len(rows) != 1 || rows[0].Calls != 1 || sheet.Unsure() || rows[0].TalkLongest == nil || *rows[0].TalkLongest != 1000 {
		t.Errorf("unsure: %v, %+v", sheet.Unsure(), rows)
	}
}

// A group's name may be of any length.
func TestCellsOfLongNames(t *testing.T) {
	d := openTemp(t, Options{NoSync: true, Reserve: -1})
	b := callBatch(newOffice(7), 2)
	long := string(make([]byte, 64<<10))
	for i, end := range []string{"a", "b"} {
		b.Entries[i].Call.Queues = []string{long + end}
	}
	mustCommit(t, d, b)
	var names []string
	if _, _, err := d.Cells(journal.ByQueue, journal.DayOf(2020, 1, 1), journal.DayOf(2040, 1, 1), func(k journal.Key, c *journal.Cell) error {
		names = append(names, k.Name)
		return nil
	}); err != nil || len(names) != 2 || len(names[0]) != len(long)+1 || names[0] == names[1] {
		t.Errorf("%d names, %v", len(names), err)
	}
	if r, err := d.Check(); err != nil || r.Damaged > 0 {
		t.Error(err, r.Damage)
	}
}
