package storage

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// newFolder is TempDir for a rapid.T, which has none.
func newFolder(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

type fataler interface {
	Helper()
	Fatal(...any)
}

func mustOpen(t fataler, path string, o Options) *DB {
	t.Helper()
	d, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// openTemp opens a new journal that is closed with the test.
func openTemp(t *testing.T, o Options) *DB {
	t.Helper()
	if o.Reserve == 0 {
		o.Reserve = -1
	}
	d := mustOpen(t, filepath.Join(t.TempDir(), "journal.db"), o)
	t.Cleanup(func() { d.Close() })
	return d
}

func mustCommit(t fataler, d *DB, b *Batch) {
	t.Helper()
	if err := d.Commit(b); err != nil {
		t.Fatal(err)
	}
}

// callBatch makes a batch of whole calls.
func callBatch(o *office, calls int) *Batch {
	b := &Batch{Why: map[string]Why{}}
	for range calls {
		r, facts := o.call()
		b.Entries = append(b.Entries, Entry{Op: OpCall, Call: r})
		b.Why[r.ID] = Why{Reasons: reasons(), Facts: facts}
	}
	return b
}

// wholeFeed reads all entries that are kept.
func wholeFeed(t fataler, d *DB) []Entry {
	t.Helper()
	var all []Entry
	for after := uint64(0); ; {
		p, err := d.Feed(after, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Entries) == 0 {
			return all
		}
		all, after = append(all, p.Entries...), p.Next
	}
}

func TestOpenIsRefusedWhileAnotherHasIt(t *testing.T) {
	d := openTemp(t, Options{})
	_, err := Open(d.path, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), d.path) || !strings.Contains(err.Error(), "daemon") {
		t.Errorf("open: %v", err)
	}
	if _, err := Check(d.path); !errors.Is(err, ErrLocked) {
		t.Errorf("check: %v", err)
	}
	if _, _, err := Compact(d.path); !errors.Is(err, ErrLocked) {
		t.Errorf("compact: %v", err)
	}
}

func TestOpenLeavesOtherFilesAlone(t *testing.T) {
	for name, content := range map[string]string{"text": "this is no journal", "zeros": string(make([]byte, 3*pageBytes))} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			d := mustOpen(t, path, Options{Reserve: -1})
			defer d.Close()
			s := d.Stats().Salvaged
			if s == nil {
				t.Fatal("taken for a journal")
			}
			if kept, err := os.ReadFile(s.From); err != nil || string(kept) != content {
				t.Errorf("what was there is not in %s: %v", s.From, err)
			}
		})
	}
}

func TestNewerSchemaIsRefusedAndLeftAlone(t *testing.T) {
	d := openTemp(t, Options{})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	err := editFile(d.path, func(tx *bolt.Tx) error {
		return tx.Bucket(metaBucket).Put(keySchema, seal(kindSchema, keySchema, binary.AppendUvarint(nil, schemaVersion+1)))
	})
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(d.path, Options{}); !errors.Is(err, ErrVersion) {
		t.Errorf("got %v, want ErrVersion", err)
	}
	if after, err := os.ReadFile(d.path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
}

// editFile changes a journal behind the back of this package.
func editFile(path string, fn func(*bolt.Tx) error) error {
	b, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: pageBytes, NoFreelistSync: true, FreelistType: bolt.FreelistMapType, Timeout: time.Second})
	if err != nil {
		return err
	}
	return errors.Join(b.Update(fn), b.Close())
}

func TestClosedJournalSaysSo(t *testing.T) {
	d := openTemp(t, Options{})
	changed := d.Changed()
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	<-changed // whoever waits for news must not wait for ever
	if err := d.Commit(&Batch{}); !errors.Is(err, ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := d.Call("x"); !errors.Is(err, ErrClosed) {
		t.Errorf("call: %v", err)
	}
	d.Stats()
}

func TestCommitNumbersEntriesAndWakesFollowers(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 123_456_789, time.UTC)
	d := openTemp(t, Options{Now: func() time.Time { return now }})
	changed := d.Changed()
	mustCommit(t, d, &Batch{State: map[string][]byte{"a": {1}}})
	select {
	case <-changed:
		t.Error("woken without an entry")
	default:
	}
	b := callBatch(newOffice(1), 2)
	mustCommit(t, d, b)
	<-changed
	for i, e := range b.Entries {
		if e.Seq != uint64(i+1) || e.At != call.MomentOf(now) {
			t.Errorf("entry %d: seq %d at %v", i, e.Seq, e.At.Time())
		}
	}
}

// A resend has the same bytes: also of a revision that was replaced since.
func TestFeedKeepsEveryRevisionAsItWas(t *testing.T) {
	d := openTemp(t, Options{})
	var want []string
	r, _ := newOffice(1).call()
	for rev := uint64(1); rev <= 3; rev++ {
		next := *r
		next.Rev, next.Status = rev, statuses[rev]
		mustCommit(t, d, &Batch{Entries: []Entry{{Op: OpCall, Call: &next}}})
		text, err := json.Marshal(&next)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, string(text))
	}
	for range 2 {
		for i, e := range wholeFeed(t, d) {
			if got, err := json.Marshal(e.Call); err != nil || string(got) != want[i] {
				t.Errorf("rev %d came back as %s, %v", i+1, got, err)
			}
		}
	}
	if newest, err := d.Call(r.ID); err != nil || newest.Rev != 3 {
		t.Errorf("newest is %+v, %v", newest, err)
	}
}

// What the disk has not confirmed may be in the file already. Nobody is shown it:
// after a power cut it might be gone.
func TestFeedShowsOnlyWhatTheDiskConfirmed(t *testing.T) {
	d := openTemp(t, Options{})
	o := newOffice(1)
	mustCommit(t, d, callBatch(o, 2))
	changed := d.Changed()
	w, err := d.encode(callBatch(o, 3))
	if err != nil {
		t.Fatal(err)
	}
	unconfirmed, err := d.update(w.apply)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := d.Feed(0, 10); err != nil || len(p.Entries) != 2 || p.Head != 2 {
		t.Errorf("%d entries up to %d, %v; want 2", len(p.Entries), p.Head, err)
	}
	d.publish(unconfirmed)
	<-changed
	if p, err := d.Feed(0, 10); err != nil || len(p.Entries) != 5 || p.Head != 5 {
		t.Errorf("%d entries up to %d, %v; want 5", len(p.Entries), p.Head, err)
	}
}

// An older revision that comes late is in the feed and changes nothing else.
func TestLateOlderRevisionDoesNotReplace(t *testing.T) {
	d := openTemp(t, Options{})
	r, _ := newOffice(1).call()
	second := *r
	second.Rev = 2
	mustCommit(t, d, &Batch{Entries: []Entry{{Op: OpCall, Call: &second}, {Op: OpCall, Call: r}}})
	if got, err := d.Call(r.ID); err != nil || got.Rev != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	if recs, _, err := d.Calls(Query{}); err != nil || len(recs) != 1 || recs[0].Rev != 2 {
		t.Errorf("got %v, %v", recs, err)
	}
}

func TestCallIDsOfAnyLength(t *testing.T) {
	d := openTemp(t, Options{})
	long := strings.Repeat("x", 40_000)
	ids := []string{"", "a", long, long + "y", "\x00", string([]byte{0xff, 0xfe})}
	for i, id := range ids {
		r, _ := newOffice(uint64(i)).call()
		r.ID = id
		mustCommit(t, d, &Batch{Entries: []Entry{{Op: OpCall, Call: r}}})
	}
	for i, id := range ids {
		if id == "" || id == "\x00" {
			continue // share a key: the PBX gives neither
		}
		want, _ := newOffice(uint64(i)).call()
		if got, err := d.Call(id); err != nil || got.ID != id || got.StartedAt != want.StartedAt {
			t.Errorf("id %d: %v", i, err)
		}
	}
}

func TestBatchThatMakesNoSenseChangesNothing(t *testing.T) {
	d := openTemp(t, Options{})
	r, _ := newOffice(1).call()
	for name, b := range map[string]*Batch{
		"call without record": {Entries: []Entry{{Op: OpCall, Call: r}, {Op: OpCall}}},
		"gap without gap":     {Entries: []Entry{{Op: OpCall, Call: r}, {Op: OpGap}}},
		"unknown op":          {Entries: []Entry{{Op: OpCall, Call: r}, {Op: "copy", ID: "x"}}},
		"endless PBX name":    {Entries: []Entry{{Op: OpCall, Call: r}}, Facts: []Fact{{PBX: strings.Repeat("x", 300), Event: &call.Event{}}}},
		"state without name":  {Entries: []Entry{{Op: OpCall, Call: r}}, State: map[string][]byte{"": {1}}},
	} {
		if err := d.Commit(b); err == nil {
			t.Errorf("%s: no error", name)
		}
		if d.Head() != 0 || b.Entries[0].Seq != 0 {
			t.Errorf("%s: head %d, seq %d", name, d.Head(), b.Entries[0].Seq)
		}
	}
	mustCommit(t, d, callBatch(newOffice(1), 3))
	if r, err := d.Check(); err != nil || r.Damaged > 0 {
		t.Error(err, r.Damage)
	}
}

func TestGapsNewestWordOnEach(t *testing.T) {
	d := openTemp(t, Options{})
	gap := func(pbx string, from call.Moment, healed bool) Entry {
		return Entry{Op: OpGap, Gap: &call.Gap{PBX: pbx, From: from, To: from + 5, Reason: "link_lost", Healed: healed}}
	}
	mustCommit(t, d, &Batch{Entries: []Entry{gap("a", 10, false), gap("b", 20, false), gap("a", 30, false)}})
	mustCommit(t, d, &Batch{Entries: []Entry{gap("a", 10, true)}})
	got, err := d.Gaps(10)
	if err != nil {
		t.Fatal(err)
	}
	want := []call.Gap{*gap("a", 30, false).Gap, *gap("b", 20, false).Gap, *gap("a", 10, true).Gap}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConsumerMustMakeSense(t *testing.T) {
	d := openTemp(t, Options{})
	mustCommit(t, d, callBatch(newOffice(1), 3))
	for _, c := range []struct {
		name string
		c    Consumer
		want error
	}{
		{"well", Consumer{Name: "central", Journal: d.Journal(), Seq: 3}, nil},
		{"back", Consumer{Name: "central", Journal: d.Journal(), Seq: 1}, nil},
		{"another journal", Consumer{Name: "central", Journal: "other", Seq: 1}, ErrExpired},
		{"beyond the head", Consumer{Name: "central", Journal: d.Journal(), Seq: 4}, ErrAhead},
		{"no name", Consumer{Journal: d.Journal()}, ErrConsumer},
		{"endless name", Consumer{Name: strings.Repeat("x", 1000), Journal: d.Journal()}, ErrConsumer},
		{"control characters", Consumer{Name: "a\nb", Journal: d.Journal()}, ErrConsumer},
	} {
		if err := d.SetConsumer(c.c); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	all, err := d.Consumers()
	if err != nil || len(all) != 1 || all[0].Seq != 1 {
		t.Errorf("got %v, %v", all, err)
	}
}

// Readers of all kinds beside a writer, retention and a check. Run with -race.
func TestReadersBesideWriter(t *testing.T) {
	const batches, each = 60, 5
	d := openTemp(t, Options{NoSync: true})
	ctx, stop := context.WithCancel(t.Context())
	var readers, followers sync.WaitGroup
	for range 2 {
		followers.Go(func() {
			for after := uint64(0); after < batches*each; {
				changed := d.Changed()
				p, err := d.Feed(after, 7)
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range p.Entries {
					if e.Seq != after+1 || e.Call == nil {
						t.Errorf("entry %d after %d", e.Seq, after)
					}
					after = e.Seq
				}
				if len(p.Entries) == 0 {
					<-changed
				}
			}
		})
	}
	reading := func(fn func() error) {
		readers.Go(func() {
			for ctx.Err() == nil {
				if err := fn(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	reading(func() error { _, _, err := d.Calls(Query{Number: []string{"79"}, Limit: 3}); return err })
	reading(func() error { d.Stats(); _, err := d.Facts("main"); return err })
	reading(func() error { return d.SetConsumer(Consumer{Name: "central", Journal: d.Journal(), Seq: 0}) })
	reading(func() error { _, err := d.Retain(Retention{MaxAge: time.Nanosecond}); return err }) // held by the consumer
	reading(func() error {
		if r, err := d.Check(); err != nil || r.Damaged > 0 {
			return fmt.Errorf("check: %w %v", err, r.Damage)
		}
		return nil
	})
	if err := d.SetConsumer(Consumer{Name: "central", Journal: d.Journal()}); err != nil {
		t.Fatal(err)
	}
	o := newOffice(1)
	for range batches {
		mustCommit(t, d, callBatch(o, each))
	}
	followers.Wait()
	stop()
	readers.Wait()
}

// Pages of a query neither skip nor repeat while newer calls arrive.
func TestCallsPagesWhileCallsArrive(t *testing.T) {
	d := openTemp(t, Options{NoSync: true})
	o := newOffice(1)
	mustCommit(t, d, callBatch(o, 100))
	want := wholeFeed(t, d)
	q := Query{Limit: 7}
	var got []*call.Record
	for {
		recs, cursor, err := d.Calls(q)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, recs...)
		if cursor == "" {
			break
		}
		q.Cursor = cursor
		mustCommit(t, d, callBatch(o, 3))
	}
	if len(got) != len(want) {
		t.Fatalf("%d calls, want %d", len(got), len(want))
	}
	for i, r := range got {
		if r.ID != want[len(want)-1-i].Call.ID {
			t.Fatalf("call %d is %s", i, r.ID)
		}
	}
	for _, cursor := range []string{"!", "AAAA", strings.Repeat("A", 500)} {
		if _, _, err := d.Calls(Query{Cursor: cursor}); !errors.Is(err, ErrCursor) {
			t.Errorf("cursor %.10q: %v", cursor, err)
		}
	}
}

func TestNumbersAreFoundAsPeopleWriteThem(t *testing.T) {
	d := openTemp(t, Options{})
	r, _ := newOffice(1).call()
	r.From = call.Party{Number: ptr("84951234567"), E164: ptr("+74951234567")}
	r.To = call.Party{Number: ptr("101"), Extension: ptr("101")}
	r.Line = &call.Line{Number: "74950000000"}
	r.Legs = nil
	mustCommit(t, d, &Batch{Entries: []Entry{{Op: OpCall, Call: r}}})
	for number, want := range map[string]int{
		"+7 (495) 123-45-67": 1, "8 495 123": 1, "1234567": 1, "+74951234567": 1, "101": 1, "4950000": 1,
		"+8495": 0, "999": 0, "1O1": 0, "trunk": 0,
	} {
		if recs, _, err := d.Calls(Query{Number: []string{number}}); err != nil || len(recs) != want {
			t.Errorf("%s: %d calls, want %d (%v)", number, len(recs), want, err)
		}
	}
}

// A number may be nothing but an extension, which a summary has as a word and not
// as digits. It is found whatever else is asked for, and in whatever order.
func TestExtensionsAreFoundAsNumbers(t *testing.T) {
	d := openTemp(t, Options{})
	o := newOffice(1)
	b := callBatch(o, 20)
	for _, e := range b.Entries {
		r := e.Call
		r.Status, r.Missed = call.StatusAnswered, false
		r.From = call.Party{Number: ptr("79161111111"), E164: ptr("+79161111111")}
		r.Legs = []call.Leg{o.leg("PJSIP/101-1", "101", call.RolePhone, "answered", r.StartedAt)}
	}
	r := b.Entries[7].Call
	r.Legs = []call.Leg{o.leg("PJSIP/888-1", "888", call.RolePhone, "answered", r.StartedAt)}
	r.AnsweredBy = ptr("888")
	mustCommit(t, d, b)
	for _, q := range []Query{
		{},
		{Sort: "-wait"},
		{Sort: "from"},
		{Department: []string{"Продажи"}},
		{Department: []string{"Продажи"}, Part: journal.PartCounted},
		{Employee: []string{"Сотрудник 888"}, Part: journal.PartCounted},
		{Department: []string{"Продажи"}, Part: journal.PartCounted, Sort: "-wait"},
		{Department: []string{"Продажи"}, Part: journal.PartCounted, Sort: "to"},
	} {
		byNumber, byText := q, q
		byNumber.Number, byText.Text = []string{"88"}, "88"
		for _, q := range []Query{byNumber, byText} {
			if recs, _, err := d.Calls(q); err != nil || len(recs) != 1 || recs[0].ID != r.ID {
				t.Errorf("%+v: %d calls, want %s (%v)", q, len(recs), r.ID, err)
			}
		}
	}
}

// A journal of every schema that there has been opens for ever and says the same;
// what it lacks is made when it is first asked for.
func TestFixtureOfEverySchema(t *testing.T) {
	for schema := 1; schema <= schemaVersion; schema++ {
		file, feed := fmt.Sprintf("testdata/journal.%d.db.gz", schema), fmt.Sprintf("testdata/journal.%d.json", schema)
		if *rewrite && schema == schemaVersion {
			writeFixture(t, file, feed)
		}
		t.Run(fmt.Sprint(schema), func(t *testing.T) { openFixture(t, file, feed) })
	}
}

func openFixture(t *testing.T, file, feed string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "journal.db")
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, path, Options{Reserve: -1})
	defer d.Close()
	if s := d.Stats(); s.Salvaged != nil || s.OpenFacts != 24 || s.Calls != 7 {
		t.Errorf("stats: %+v", s)
	}
	want, err := os.ReadFile(feed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), describe(t, d)); diff != "" {
		t.Error(diff)
	}
	if r, err := d.Check(); err != nil || r.Damaged > 0 {
		t.Error(err, r.Damage)
	}
	mustCommit(t, d, callBatch(newOffice(77), 2))
	recountAll(t, &d, Counting{}, func() {})
	if calls, _, _, ok := inboundOf(t, d); !ok || calls == 0 {
		t.Errorf("%d calls in the totals", calls)
	}
}

func writeFixture(t *testing.T, file, feed string) {
	t.Helper()
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	d := openTemp(t, Options{Now: func() time.Time { return now }})
	o := newOffice(11)
	b := callBatch(o, 8)
	second := *b.Entries[3].Call
	second.Rev = 2
	second.Types = []string{"unique", "lost"}
	_, facts := o.call()
	b.Entries = append(b.Entries,
		Entry{Op: OpCall, Call: &second},
		Entry{Op: OpDelete, ID: b.Entries[5].Call.ID, Into: second.ID},
		Entry{Op: OpGap, Gap: &call.Gap{PBX: "main", From: 1, To: 2, Reason: "link_lost"}})
	for _, e := range facts {
		b.Facts = append(b.Facts, Fact{PBX: "main", Event: &e})
	}
	b.State = map[string][]byte{"session/main": {0, 0, 0, 7}}
	mustCommit(t, d, b)
	if err := d.SetConsumer(Consumer{Name: "central", Journal: d.Journal(), Seq: 9}); err != nil {
		t.Fatal(err)
	}
	recountAll(t, &d, Counting{}, func() {})
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Backup(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, z.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(feed, []byte(describe(t, d)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// describe writes down everything that a journal says.
func describe(t *testing.T, d *DB) string {
	t.Helper()
	var b strings.Builder
	line := func(v any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var known any
		if err := json.Unmarshal(text, &known); err != nil {
			t.Fatal(err)
		}
		if text, err = json.Marshal(withoutEmpty(known)); err != nil {
			t.Fatal(err)
		}
		b.Write(append(text, '\n'))
	}
	for _, e := range wholeFeed(t, d) {
		line(e, nil)
	}
	recs, _, err := d.Calls(Query{Limit: 1000})
	for _, r := range recs {
		line(d.Call(r.ID))
		line(d.Why(r.ID))
	}
	line(len(recs), err)
	line(d.Facts("main"))
	line(d.State("session/main"))
	line(d.Gaps(5))
	consumers, err := d.Consumers()
	for i := range consumers {
		consumers[i].Journal = "" // a copy has another
	}
	line(consumers, err)
	return b.String()
}

// withoutEmpty drops what is empty, so that a field that a later version adds
// changes nothing.
func withoutEmpty(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e = withoutEmpty(e); e == nil {
				delete(v, k)
			} else {
				v[k] = e
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = withoutEmpty(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	case string, float64, bool:
		if v == "" || v == 0.0 || v == false {
			return nil
		}
	}
	return v
}
