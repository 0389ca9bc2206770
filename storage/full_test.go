package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// fillUp commits calls until there is no room, and gives how many went in.
func fillUp(t *testing.T, d *DB, o *office) int {
	t.Helper()
	for n := 0; n < 1000; n++ {
		err := d.Commit(callBatch(o, 20))
		if errors.Is(err, ErrFull) {
			return n * 20
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("it never gets full")
	return 0
}

func TestFullJournalStaysReadableAndGoesOn(t *testing.T) {
	d := openTemp(t, Options{MaxBytes: 4 << 20, NoSync: true})
	o := newOffice(1)
	n := fillUp(t, d, o)
	s := d.Stats()
	if !s.Full || s.FileBytes > 4<<20 {
		t.Errorf("stats: full %v, %d bytes", s.Full, s.FileBytes)
	}
	if got := len(wholeFeed(t, d)); got != n {
		t.Errorf("%d entries, want %d", got, n)
	}
	if r, err := d.Check(); err != nil || r.Damaged > 0 {
		t.Error(err, r.Damage)
	}
	// The batch that did not fit fits later, once. Retention makes the room.
	waiting := callBatch(o, 200)
	if err := d.Commit(waiting); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	if waiting.Entries[0].Seq != 0 {
		t.Error("an entry that is not stored has a number")
	}
	for range 60 {
		if _, err := d.Retain(Retention{MaxBytes: 2 << 20}); err != nil {
			t.Fatal(err)
		}
	}
	mustCommit(t, d, waiting)
	if s := d.Stats(); s.Full || s.Head != uint64(n+200) {
		t.Errorf("stats: full %v, head %d, want %d", s.Full, s.Head, n+200)
	}
	if r, err := d.Check(); err != nil || r.Damaged > 0 {
		t.Error(err, r.Damage)
	}
}

// What is urgent is saved from the reserve, and only that.
func TestReserveIsForWhatMustBeSaved(t *testing.T) {
	now := time.Unix(1_780_000_000, 0)
	d := openTemp(t, Options{MaxBytes: 4 << 20, Reserve: 2 << 20, NoSync: true, Now: func() time.Time { return now }})
	o := newOffice(1)
	mustCommit(t, d, callBatch(o, 1))
	reserve := d.path + ".reserve"
	if i, err := os.Stat(reserve); err != nil || i.Size() != 2<<20 || d.Stats().Reserve != 2<<20 {
		t.Fatalf("reserve: %v, stats %d", err, d.Stats().Reserve)
	}
	fillUp(t, d, o)
	head := d.Head()
	if d.Stats().Reserve == 0 {
		t.Fatal("an ordinary commit took the reserve")
	}
	b := callBatch(o, 200)
	b.Urgent = true
	b.State = map[string][]byte{"last": []byte("word")}
	mustCommit(t, d, b)
	if got := d.Head(); got != head+200 {
		t.Errorf("head %d, want %d", got, head+200)
	}
	if _, err := os.Stat(reserve); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the reserve is still there: %v", err)
	}
	for range 20 {
		if _, err := d.Retain(Retention{MaxBytes: 1}); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Minute)
	mustCommit(t, d, callBatch(o, 1))
	if d.Stats().Reserve != 2<<20 {
		t.Error("the reserve does not come back")
	}
}

// A file of the reserve that an earlier start left is counted, and not wanted any
// more it goes.
func TestReserveOfAnEarlierStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	for i, want := range []int64{1 << 20, 1 << 20, -1} {
		d := mustOpen(t, path, Options{Reserve: want})
		mustCommit(t, d, callBatch(newOffice(uint64(i)), 1))
		if got := d.Stats().Reserve; got != max(0, want) {
			t.Errorf("start %d: reserve %d, want %d", i, got, want)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path + ".reserve"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestRetentionBySize(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	o := newOffice(1)
	for range 20 {
		mustCommit(t, d, callBatch(o, 100))
	}
	limit := d.Stats().UsedBytes / 2
	if err := d.SetConsumer(Consumer{Name: "central", Journal: d.Journal(), Seq: 300}); err != nil {
		t.Fatal(err)
	}
	run := func() (r Retained) {
		t.Helper()
		for more := true; more; {
			var err error
			if r, err = d.Retain(Retention{MaxBytes: limit}); err != nil {
				t.Fatal(err)
			}
			if r.Dropped > retainSlice {
				t.Fatalf("%d entries in one slice", r.Dropped)
			}
			more = r.More
		}
		return r
	}
	if r := run(); d.Oldest() != 301 || r.HeldBy != "central" {
		t.Errorf("oldest %d, held by %q", d.Oldest(), r.HeldBy)
	}
	if err := d.DropConsumer("central"); err != nil {
		t.Fatal(err)
	}
	if r := run(); r.HeldBy != "" || d.Stats().UsedBytes > limit || d.Oldest() < 500 {
		t.Errorf("oldest %d, used %d of %d, held by %q", d.Oldest(), d.Stats().UsedBytes, limit, r.HeldBy)
	}
	if r, err := d.Check(); err != nil || r.Damaged > 0 {
		t.Error(err, r.Damage)
	}
}

// A small file system of its own shows what a real ENOSPC does.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, 8<<20)
	now := time.Unix(1_780_000_000, 0)
	d := mustOpen(t, filepath.Join(dir, "journal.db"), Options{Reserve: 1 << 20, Now: func() time.Time { return now }})
	defer func() { d.Close() }()
	o := newOffice(1)
	mustCommit(t, d, callBatch(o, 1))
	if d.Stats().Reserve == 0 {
		t.Fatal("no reserve")
	}
	ballast := filepath.Join(dir, "ballast")
	if err := fillFile(ballast, 3<<20); err != nil {
		t.Fatal(err)
	}
	n := fillUp(t, d, o) + 1
	if got := len(wholeFeed(t, d)); got != n {
		t.Errorf("%d entries, want %d", got, n)
	}
	b := callBatch(o, 5)
	b.Urgent = true
	mustCommit(t, d, b)
	waiting := callBatch(o, 200)
	for range 3 {
		if err := d.Commit(waiting); !errors.Is(err, ErrFull) {
			t.Fatalf("got %v, want ErrFull", err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, d, waiting)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, d.path, Options{Reserve: -1})
	if got := len(wholeFeed(t, d)); got != n+205 || d.Stats().Salvaged != nil {
		t.Errorf("%d entries after a restart, want %d", got, n+205)
	}
	if r, err := d.Check(); err != nil || r.Damaged > 0 {
		t.Error(err, r.Damage)
	}
}

// With no room to save anything, the journal still starts, and nothing is thrown
// away.
func TestDamagedJournalOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, 8<<20)
	path := filepath.Join(dir, "journal.db")
	d := mustOpen(t, path, Options{Reserve: -1})
	o := newOffice(1)
	for range 10 {
		mustCommit(t, d, callBatch(o, 100))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), 16); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	free := DiskFree(dir)
	if err := fillFile(filepath.Join(dir, "ballast"), free-200<<10); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, path, Options{Reserve: -1})
	defer d.Close()
	s := d.Stats().Salvaged
	if s == nil || s.Entries != 0 {
		t.Fatalf("salvaged: %+v", s)
	}
	if aside, err := os.ReadFile(s.From); err != nil || string(aside) != string(before) {
		t.Errorf("the damaged journal is not in %s: %v", s.From, err)
	}
	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		t.Fatal(err)
	}
	later, err := Salvage(s.From, filepath.Join(t.TempDir(), "later.db"), Options{})
	if err != nil || later.Entries != 1000 {
		t.Errorf("later: %+v, %v", later, err)
	}
}
