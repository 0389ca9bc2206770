package storage

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
)

var damagedFiles = flag.Int("damaged", 88, "how many damaged files to open")

// hurts are the ways in which a disk, a cable or a hand spoils a file.
var hurts = []struct {
	name string
	do   func(r *rand.Rand, b []byte) []byte
}{
	{"bit", func(r *rand.Rand, b []byte) []byte { b[r.IntN(len(b))] ^= 1 << r.IntN(8); return b }},
	{"bits", func(r *rand.Rand, b []byte) []byte {
		for range 50 {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		return b
	}},
	{"header", func(r *rand.Rand, b []byte) []byte { // where every byte counts
		b[r.IntN(len(b)/pageBytes)*pageBytes+r.IntN(80)] ^= 1 << r.IntN(8)
		return b
	}},
	{"sector of zeros", func(r *rand.Rand, b []byte) []byte { clear(at(r, b, 512)); return b }},
	{"page of zeros", func(r *rand.Rand, b []byte) []byte { clear(at(r, b, pageBytes)); return b }},
	{"pages of noise", func(r *rand.Rand, b []byte) []byte {
		for range 3 {
			for i := range at(r, b, pageBytes) {
				b[i] = byte(r.Uint32())
			}
		}
		return b
	}},
	{"page over page", func(r *rand.Rand, b []byte) []byte { copy(at(r, b, pageBytes), at(r, b, pageBytes)); return b }},
	{"page over page under its number", func(r *rand.Rand, b []byte) []byte {
		to := at(r, b, pageBytes)
		copy(to[8:], at(r, b, pageBytes)[8:])
		return b
	}},
	{"cut", func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] }},
	{"longer", func(r *rand.Rand, b []byte) []byte { return append(b, make([]byte, r.IntN(3*pageBytes))...) }},
	{"sector moved", func(r *rand.Rand, b []byte) []byte { copy(at(r, b, 512), at(r, b, 512)); return b }},
}

func at(r *rand.Rand, b []byte, size int) []byte {
	n := r.IntN(len(b)/size) * size
	return b[n : n+size]
}

// Whatever is done to the file: the journal opens, and everything that it says
// is as it was written, or it says that something is missing. In a process of its
// own, because a fault inside bbolt cannot be recovered from.
func TestDamagedFilesAreFoundOrHarmless(t *testing.T) {
	const inChild = "CALLJOURNAL_TEST_DAMAGE"
	if from := os.Getenv(inChild); from != "" {
		openDamaged(t, from)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDamagedFilesAreFoundOrHarmless$", "-test.v", "-damaged="+strconv.Itoa(*damagedFiles/childrenAreSlow))
	cmd.Env = append(os.Environ(), inChild+"=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, tailOf(string(out), 60))
	}
	for line := range strings.Lines(string(out)) {
		if _, summary, ok := strings.Cut(line, "damaged files: "); ok {
			t.Log(strings.TrimSpace(summary))
		}
	}
}

func tailOf(s string, lines int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func openDamaged(t *testing.T, from string) {
	first, err := strconv.Atoi(from)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sound := filepath.Join(dir, "sound.db")
	d := mustOpen(t, sound, Options{Reserve: -1, NoSync: true})
	o := newOffice(9)
	for range 12 { // small commits leave old pages behind
		b := callBatch(o, 25)
		_, facts := o.call()
		for _, e := range facts {
			b.Facts = append(b.Facts, Fact{PBX: "main", Event: &e})
		}
		b.State = map[string][]byte{"session/main": {byte(o.n)}}
		mustCommit(t, d, b)
	}
	want := remember(t, d)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	file = file[:usedBytes(t, file)]
	count := map[string]int{}
	var saved, lost int
	for i := first; i < first+*damagedFiles; i++ {
		r := rand.New(rand.NewPCG(uint64(i), 2))
		hurt := hurts[i%len(hurts)]
		fmt.Printf("file %d: %s\n", i, hurt.name)
		path := filepath.Join(dir, fmt.Sprintf("%d.db", i))
		if err := os.WriteFile(path, hurt.do(r, slices.Clone(file)), 0o600); err != nil {
			t.Fatal(err)
		}
		s := judge(t, path, want)
		if s == nil {
			count["harmless"]++
		} else {
			count["found"]++
			saved += int(s.Entries)
			lost += len(want.feed) - int(s.Entries)
		}
		for _, leftover := range []string{path, path + ".reserve"} {
			_ = os.Remove(leftover)
		}
		if s != nil {
			_ = os.Remove(s.From)
		}
	}
	fmt.Printf("damaged files: %d harmless, %d found; of the latter's entries %d saved, %d lost\n", count["harmless"], count["found"], saved, lost)
}

// usedBytes cuts off what the file has grown in advance: damage there is none.
func usedBytes(t *testing.T, file []byte) int {
	m, ok := parseMeta(file[:pageBytes])
	if !ok {
		t.Fatal("no meta page")
	}
	return int(m.pages) * m.pageSize
}

type memory struct {
	journal string
	feed    []string // as JSON, by seq-1
	calls   map[string]string
	facts   string
	state   string
}

func remember(t *testing.T, d *DB) memory {
	t.Helper()
	m := memory{journal: d.Journal(), calls: map[string]string{}}
	for _, e := range wholeFeed(t, d) {
		m.feed = append(m.feed, jsonOf(t, e.Call))
		m.calls[e.Call.ID] = jsonOf(t, e.Call)
	}
	facts, err := d.Facts("main")
	if err != nil {
		t.Fatal(err)
	}
	state, err := d.State("session/main")
	if err != nil {
		t.Fatal(err)
	}
	m.facts, m.state = jsonOf(t, facts), string(state)
	return m
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// judge opens a damaged file and compares what it says with what was written. It
// gives nil if nothing was amiss.
func judge(t *testing.T, path string, want memory) *Salvaged {
	t.Helper()
	d := mustOpen(t, path, Options{Reserve: -1, NoSync: true})
	defer func() { d.Close() }()
	s := d.Stats().Salvaged
	var got []string
	for after := uint64(0); ; {
		p, err := d.Feed(after, 100)
		if err != nil {
			t.Fatalf("after it was opened: %v", err)
		}
		if len(p.Entries) == 0 {
			break
		}
		for _, e := range p.Entries {
			if want.calls[e.Call.ID] != jsonOf(t, e.Call) {
				t.Fatalf("entry %d is not what was written", e.Seq)
			}
			got = append(got, jsonOf(t, e.Call))
		}
		after = p.Next
	}
	switch {
	case s == nil:
		if d.Journal() != want.journal || !slices.Equal(got, want.feed) {
			t.Fatal("something is missing and nothing says so")
		}
		facts, err := d.Facts("main")
		if err != nil || jsonOf(t, facts) != want.facts {
			t.Fatalf("open facts are not what was written: %v", err)
		}
		if state, err := d.State("session/main"); err != nil || string(state) != want.state {
			t.Fatalf("state is not what was written: %v", err)
		}
	case d.Journal() == want.journal:
		t.Fatal("salvaged under the old id")
	case s.Entries != uint64(len(got)) || d.Stats().Calls != uint64(len(got)):
		t.Fatalf("it says %d entries, %d calls, and has %d", s.Entries, d.Stats().Calls, len(got))
	}
	recs, _, err := d.Calls(Query{Limit: 1000})
	if err != nil || len(recs) != len(got) {
		t.Fatalf("%d calls, %v", len(recs), err)
	}
	for _, r := range recs {
		if w, err := d.Why(r.ID); err != nil && (s == nil || !errors.Is(err, ErrNotFound)) || err == nil && len(w.Facts) == 0 {
			t.Fatalf("why %s: %v", r.ID, err)
		}
	}
	mustCommit(t, d, callBatch(newOffice(4), 3))
	if r, err := d.Check(); err != nil || r.Damaged > 0 {
		t.Fatalf("check after all: %v %v", err, r.Damage)
	}
	return s
}

// Damage of the one page that leads to all others costs nothing but the time to
// look for them.
func TestSalvageFindsWhatNoTreeLeadsTo(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	o := newOffice(2)
	for range 10 {
		mustCommit(t, d, callBatch(o, 50))
	}
	want := remember(t, d)
	var roots []int64
	err := d.view(func(tx *bolt.Tx) error {
		roots = append(roots, int64(inFeed.of(tx).Root()), int64(inWhy.of(tx).Root()), int64(inCalls.of(tx).Root()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range roots {
		if _, err := f.WriteAt(make([]byte, pageBytes), page*pageBytes); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := judge(t, d.path, want)
	if s == nil || s.Entries != uint64(len(want.feed)) || s.Lost != 0 {
		t.Fatalf("salvaged %+v of %d entries", s, len(want.feed))
	}
	again := mustOpen(t, d.path, Options{Reserve: -1})
	defer again.Close()
	if got := again.Stats().Salvaged; got == nil || *got != *s {
		t.Errorf("a later start says %+v, want %+v", got, s)
	}
	for _, text := range want.feed[:5] {
		var r call.Record
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		if w, err := again.Why(r.ID); err != nil || len(w.Facts) == 0 {
			t.Errorf("why %s: %v", r.ID, err)
		}
	}
}

// Entries that retention has dropped, and calls that were deleted, do not come
// back from pages that nobody uses any more.
func TestSalvageDoesNotBringBackWhatWasDropped(t *testing.T) {
	now := time.Unix(1_780_000_000, 0)
	d := openTemp(t, Options{NoSync: true, Now: func() time.Time { return now }})
	o := newOffice(2)
	old := callBatch(o, 100)
	mustCommit(t, d, old)
	now = now.Add(time.Hour)
	kept := callBatch(o, 50)
	mustCommit(t, d, kept)
	mustCommit(t, d, &Batch{Entries: []Entry{{Op: OpDelete, ID: kept.Entries[7].Call.ID}}})
	for more := true; more; {
		done, err := d.Retain(Retention{MaxAge: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		more = done.More
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	hurt := filepath.Join(t.TempDir(), "hurt.db")
	b, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b[:pageBytes] {
		b[i] ^= 0xff // one of the ways in is gone: every page is looked at
	}
	if err := os.WriteFile(hurt, b, 0o600); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, hurt, Options{Reserve: -1})
	defer again.Close()
	if again.Stats().Salvaged == nil {
		t.Fatal("the damage was not found")
	}
	for _, e := range wholeFeed(t, again) {
		if e.Op == OpCall && e.Call.StartedAt < kept.Entries[0].Call.StartedAt {
			t.Errorf("%s is back", e.Call.ID)
		}
	}
	if _, err := again.Call(kept.Entries[7].Call.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("the deleted call: %v", err)
	}
}

// An erased person does not come back from a tree or a page of before.
func TestSalvageDoesNotBringBackWhatWasErased(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	b := callBatch(newOffice(2), 50)
	mustCommit(t, d, b)
	erased := b.Entries[7].Call
	if n, err := d.Erase(erased.ID); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	file, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	newest := 0
	if a, _ := parseMeta(file); a.transaction%2 == 1 {
		t.Fatal("transactions do not alternate as this test believes")
	} else if b, _ := parseMeta(file[pageBytes:]); b.transaction > a.transaction {
		newest = pageBytes
	}
	clear(file[newest : newest+pageBytes])
	hurt := filepath.Join(t.TempDir(), "hurt.db")
	if err := os.WriteFile(hurt, file, 0o600); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, hurt, Options{Reserve: -1})
	defer again.Close()
	if s := again.Stats(); s.Salvaged == nil || s.Calls != 49 || s.Head != 51 {
		t.Fatalf("salvaged: %+v of %+v", s.Salvaged, s)
	}
	for _, e := range wholeFeed(t, again) {
		if e.Call != nil && e.Call.ID == erased.ID {
			t.Errorf("entry %d has it", e.Seq)
		}
	}
	if text, err := os.ReadFile(hurt); err != nil || strings.Contains(string(text), *erased.From.Number) {
		t.Errorf("the number is in the new file (%v)", err)
	}
}

// A panic in bbolt while it reads is an error, and only that.
func TestPanicWhileReading(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	mustCommit(t, d, callBatch(newOffice(1), 20))
	err := d.view(func(*bolt.Tx) error { panic("page 7 is no leaf") })
	if !errors.Is(err, ErrDamaged) || !strings.Contains(d.Stats().Damaged, "page 7") {
		t.Errorf("got %v, stats say %q", err, d.Stats().Damaged)
	}
	mustCommit(t, d, callBatch(newOffice(2), 20))
}

// After a panic while it writes, what bbolt has in memory cannot be trusted:
// nothing is written any more, everything can be read, and a new start goes on.
func TestPanicWhileWriting(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	mustCommit(t, d, callBatch(newOffice(1), 20))
	err := d.write(func(tx *bolt.Tx) error {
		if err := inState.of(tx).Put([]byte("half"), []byte("done")); err != nil {
			return err
		}
		panic("page 7 is no leaf")
	})
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if err := d.Commit(callBatch(newOffice(2), 1)); !errors.Is(err, ErrDamaged) {
		t.Errorf("commit afterwards: %v", err)
	}
	if got := len(wholeFeed(t, d)); got != 20 {
		t.Errorf("%d entries", got)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, d.path, Options{Reserve: -1})
	defer again.Close()
	if again.Stats().Salvaged != nil || again.Head() != 20 {
		t.Errorf("after a new start: %+v", again.Stats())
	}
	mustCommit(t, again, callBatch(newOffice(2), 1))
}

// A page that cannot be read is a fault of memory, because the file is mapped.
func TestFileGoneUnderTheMap(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	mustCommit(t, d, callBatch(newOffice(1), 500))
	if err := os.Truncate(d.path, 3*pageBytes); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Feed(0, 500); !errors.Is(err, ErrDamaged) {
		t.Errorf("feed: %v", err)
	}
	if _, _, err := d.Calls(Query{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("calls: %v", err)
	}
	if err := d.Commit(callBatch(newOffice(2), 1)); !errors.Is(err, ErrDamaged) {
		t.Errorf("commit: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
