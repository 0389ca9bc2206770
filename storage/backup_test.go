package storage

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// A backup that is taken while calls arrive is a whole journal of some moment in
// between, under an id of its own.
func TestBackupWhileCallsArrive(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	o := newOffice(1)
	mustCommit(t, d, callBatch(o, 300))
	var writer sync.WaitGroup
	writer.Go(func() {
		for range 30 {
			if err := d.Commit(callBatch(o, 10)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var copies []string
	for range 5 {
		var b bytes.Buffer
		n, err := d.Backup(&b)
		if err != nil || n != int64(b.Len()) {
			t.Fatal(n, err)
		}
		path := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, path)
	}
	writer.Wait()
	all := remember(t, d)
	ids := map[string]bool{d.Journal(): true}
	for _, path := range copies {
		if r, err := Check(path); err != nil || r.Damaged > 0 {
			t.Fatal(err, r.Damage)
		}
		c := mustOpen(t, path, Options{Reserve: -1})
		if s := c.Stats(); s.Salvaged != nil || s.Head < 300 || s.Head%10 != 0 {
			t.Errorf("stats of the copy: %+v", s)
		}
		if got := remember(t, c); !slices.Equal(got.feed, all.feed[:c.Head()]) {
			t.Error("the copy has other calls")
		}
		id := c.Journal()
		if ids[id] {
			t.Errorf("id %s twice", id)
		}
		ids[id] = true
		mustCommit(t, c, callBatch(newOffice(9), 1))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		// From now on it is a journal like any other.
		if c = mustOpen(t, path, Options{Reserve: -1}); c.Journal() != id {
			t.Error("the id changed again")
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

type brokenPipe struct{ after int }

func (w *brokenPipe) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, os.ErrClosed
	}
	return len(p), nil
}

func TestBackupThatCannotBeWrittenSaysSo(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	mustCommit(t, d, callBatch(newOffice(1), 100))
	if _, err := d.Backup(&brokenPipe{20_000}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
	mustCommit(t, d, callBatch(newOffice(2), 1)) // and holds nothing back
}

func TestCompactGivesSpaceBack(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	o := newOffice(1)
	for range 20 {
		mustCommit(t, d, callBatch(o, 100))
	}
	for range 25 {
		if _, err := d.Retain(Retention{MaxBytes: 1}); err != nil {
			t.Fatal(err)
		}
	}
	want, oldest, id := wholeFeed(t, d), d.Oldest(), d.Journal()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	before, after, err := Compact(d.path)
	if err != nil || after >= before/2 {
		t.Fatalf("from %d to %d bytes, %v", before, after, err)
	}
	if i, err := os.Stat(d.path); err != nil || i.Size() != after {
		t.Errorf("size %v, %v", i, err)
	}
	if names, err := filepath.Glob(d.path + "*"); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	d = mustOpen(t, d.path, Options{Reserve: -1})
	defer d.Close()
	if d.Journal() != id || d.Oldest() != oldest || d.Stats().Salvaged != nil {
		t.Error("it is another journal")
	}
	got := wholeFeed(t, d)
	if len(got) != len(want) || jsonOf(t, got[0].Call) != jsonOf(t, want[0].Call) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	mustCommit(t, d, callBatch(o, 10))
}

func TestCompactRefusesWhatIsDamaged(t *testing.T) {
	d := openTemp(t, Options{})
	mustCommit(t, d, callBatch(newOffice(1), 100))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	hurtFirstEntry(t, d.path)
	before, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Compact(d.path); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
	if after, err := os.ReadFile(d.path); err != nil || !bytes.Equal(before, after) {
		t.Error("the damaged file was changed")
	}
}

// hurtFirstEntry changes one byte of the first entry of the feed.
func hurtFirstEntry(t *testing.T, path string) {
	t.Helper()
	err := editFile(path, func(tx *bolt.Tx) error {
		feed := inFeed.of(tx)
		k, v := feed.Cursor().First()
		v = bytes.Clone(v)
		v[len(v)/2] ^= 4
		return feed.Put(bytes.Clone(k), v)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckSaysWhatIsHurt(t *testing.T) {
	for _, c := range []struct {
		name, where string
		hurt        func(tx *bolt.Tx) error
	}{
		{"entry missing", "feed", func(tx *bolt.Tx) error { return inFeed.of(tx).Delete(numberKey(5)) }},
		{"call missing", "calls", func(tx *bolt.Tx) error {
			k, _ := inCalls.of(tx).Cursor().First()
			return inCalls.of(tx).Delete(bytes.Clone(k))
		}},
		{"reasons under another call", "why 3", func(tx *bolt.Tx) error {
			return inWhy.of(tx).Put(numberKey(3), bytes.Clone(inWhy.of(tx).Get(numberKey(4))))
		}},
		{"entry too many", "feed", func(tx *bolt.Tx) error {
			v := bytes.Clone(inFeed.of(tx).Get(numberKey(4)))
			return inFeed.of(tx).Put(numberKey(1000), seal(kindEntry, numberKey(1000), v[2:len(v)-4]))
		}},
		{"state from elsewhere", "state", func(tx *bolt.Tx) error {
			return inState.of(tx).Put([]byte("x"), seal(kindState, []byte("x"), []byte("y")))
		}},
		{"reasons of another time", "why", func(tx *bolt.Tx) error {
			return inWhy.of(tx).Put(numberKey(3), seal(kindWhy, numberKey(3), []byte{0xa0}))
		}},
		{"no tail", "meta", func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Delete(keyTail) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openTemp(t, Options{NoSync: true})
			mustCommit(t, d, callBatch(newOffice(1), 20))
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if r, err := Check(d.path); err != nil || r.Damaged > 0 || r.Entries != 20 || r.Calls != 20 {
				t.Fatalf("before: %+v, %v", r, err)
			}
			if err := editFile(d.path, c.hurt); err != nil {
				t.Fatal(err)
			}
			r, err := Check(d.path)
			if err != nil || r.Damaged == 0 {
				t.Fatalf("after: %+v, %v", r, err)
			}
			if !slices.ContainsFunc(r.Damage, func(d Damage) bool { return d.Where == c.where }) {
				t.Errorf("nothing about %s in %v", c.where, r.Damage)
			}
			again := mustOpen(t, d.path, Options{Reserve: -1})
			defer again.Close()
			if again.Stats().Salvaged == nil {
				t.Error("opened as if nothing were")
			}
		})
	}
}

// Damage that comes while the journal is open is reported, never served; the
// next start mends it.
func TestDamageWhileOpen(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	mustCommit(t, d, callBatch(newOffice(1), 200))
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var page int64
	err = d.view(func(tx *bolt.Tx) error {
		file, err := readBoltFile(f, d.Stats().FileBytes)
		if err != nil {
			return err
		}
		w := file.newWalker(file.metas[0])
		w.leaf = func(at location, e element) {
			if at.bucket == inFeed.String() && bytes.Equal(e.key, numberKey(100)) {
				page = at.offset(w.pageSize, e.value)
			}
		}
		w.tree(w.meta.root, "", nil, nil, 0)
		return nil
	})
	if err != nil || page == 0 {
		t.Fatal(page, err)
	}
	if _, err := f.WriteAt([]byte("disk gone bad"), page+20); err != nil {
		t.Fatal(err)
	}
	p, err := d.Feed(0, 500)
	if err != nil || len(p.Entries) != 99 {
		t.Fatalf("%d entries, %v; want those before the damage", len(p.Entries), err)
	}
	if _, err := d.Feed(99, 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("the hurt entry: %v", err)
	}
	if d.Stats().Damaged == "" {
		t.Error("stats do not say so")
	}
	if r, err := d.Check(); err != nil || r.Damaged == 0 || r.Damage[0].Where != "feed 100" {
		t.Errorf("check: %+v, %v", r, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, d.path, Options{Reserve: -1})
	defer again.Close()
	if s := again.Stats().Salvaged; s == nil || s.Entries != 199 || s.Lost != 1 {
		t.Errorf("salvaged: %+v", s)
	}
}

// A backup is sound after each of the first commits to it, whichever of the two
// first pages the transaction that it was made of belongs to.
func TestBackupIsSoundFromTheFirstCommit(t *testing.T) {
	for commits := 1; commits <= 4; commits++ {
		d := openTemp(t, Options{NoSync: true, Reserve: -1})
		o := newOffice(uint64(commits))
		for range commits {
			mustCommit(t, d, callBatch(o, 1))
		}
		path := filepath.Join(t.TempDir(), "journal.db")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Backup(f); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		for start := range 3 {
			b := mustOpen(t, path, Options{NoSync: true, Reserve: -1})
			if r, err := b.Check(); err != nil || r.Damaged > 0 || b.Stats().Salvaged != nil {
				t.Errorf("%d commits, start %d: %v %v, salvaged %v", commits, start, err, r.Damage, b.Stats().Salvaged)
			}
			if start == 1 {
				mustCommit(t, b, callBatch(o, 1))
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
