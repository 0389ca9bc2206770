package storage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"calljournal/agent/call"
)

// model is the journal as obviously as it can be written.
type model struct {
	entries   []Entry // all ever, entries[i].Seq == i+1
	oldest    uint64
	calls     map[string]*call.Record
	newest    map[string]uint64 // id -> seq
	why       map[string]Why
	facts     map[string]map[uint64]call.Event
	state     map[string][]byte
	consumers map[string]uint64
}

func newModel() *model {
	return &model{
		oldest: 1, calls: map[string]*call.Record{}, newest: map[string]uint64{}, why: map[string]Why{},
		facts: map[string]map[uint64]call.Event{}, state: map[string][]byte{}, consumers: map[string]uint64{},
	}
}

func (m *model) commit(b *Batch) {
	for _, f := range b.Facts {
		if m.facts[f.PBX] == nil {
			m.facts[f.PBX] = map[uint64]call.Event{}
		}
		m.facts[f.PBX][f.Event.N] = *f.Event
	}
	for pbx, numbers := range b.Drop {
		for _, n := range numbers {
			delete(m.facts[pbx], n)
		}
	}
	for _, e := range b.Entries {
		m.entries = append(m.entries, e)
		switch e.Op {
		case OpCall:
			if old := m.calls[e.Call.ID]; old == nil || e.Call.Rev >= old.Rev {
				m.calls[e.Call.ID], m.newest[e.Call.ID] = e.Call, e.Seq
			}
		case OpDelete:
			m.forget(e.ID)
		}
	}
	for id, w := range b.Why {
		if m.calls[id] != nil {
			m.why[id] = w
		}
	}
	for name, v := range b.State {
		if len(v) == 0 {
			delete(m.state, name)
		} else {
			m.state[name] = v
		}
	}
}

func (m *model) forget(id string) {
	delete(m.calls, id)
	delete(m.newest, id)
	delete(m.why, id)
}

// erase makes deletes of the entries of a call since it was last deleted.
func (m *model) erase(id string, at call.Moment) {
	for i := len(m.entries) - 1; i >= int(m.oldest)-1; i-- {
		e := &m.entries[i]
		if e.Op == OpDelete && e.ID == id {
			break
		}
		if e.Op == OpCall && e.Call.ID == id {
			*e = Entry{Seq: e.Seq, At: e.At, Op: OpDelete, ID: id}
		}
	}
	m.forget(id)
	m.entries = append(m.entries, Entry{Seq: uint64(len(m.entries) + 1), At: at, Op: OpDelete, ID: id})
}

// retain drops what is older than before, unless a consumer has not stored it and
// it is not older than waited; it gives how much of that each consumer missed.
func (m *model) retain(before, waited call.Moment) map[string]uint64 {
	missed := map[string]uint64{}
	for int(m.oldest) <= len(m.entries) {
		e := m.entries[m.oldest-1]
		if e.At >= before {
			break
		}
		needed := map[string]uint64{}
		for name, seq := range m.consumers {
			if seq < e.Seq {
				needed[name] = 1
			}
		}
		if len(needed) > 0 && e.At >= waited {
			break
		}
		for name := range needed {
			missed[name]++
		}
		if e.Op == OpCall && m.newest[e.Call.ID] == e.Seq {
			m.forget(e.Call.ID)
		}
		m.oldest++
	}
	return missed
}

// list gives all calls, always in the same order: what is drawn from it must not
// depend on that of a map, or else a failure cannot be had again.
func (m *model) list() []*call.Record {
	var list []*call.Record
	for _, id := range slices.Sorted(maps.Keys(m.calls)) {
		list = append(list, m.calls[id])
	}
	return list
}

func (m *model) query(q Query) []*call.Record { return obvious(q, m.list()) }

// text is what a PBX may pass on: anything, now and then much of it.
func text(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.StringMatching(`[0-9]{2,12}`),
		rapid.String(),
		rapid.SampledFrom([]string{"", "\x00\xff\xfe", "Анна", "=1+1", "<script>", "\u202eabc", strings.Repeat("9", 500)}),
	).Draw(t, label)
}

func textPtr(t *rapid.T, label string) *string {
	if rapid.IntRange(0, 3).Draw(t, label+"?") == 0 {
		return nil
	}
	s := text(t, label)
	return &s
}

func drawRecord(t *rapid.T, id string, rev uint64) *call.Record {
	r, _ := newOffice(rapid.Uint64().Draw(t, "seed")).call()
	r.ID, r.Rev = id, rev
	r.From.Number, r.From.E164, r.From.Name = textPtr(t, "number"), textPtr(t, "e164"), textPtr(t, "name")
	r.To.Extension = textPtr(t, "extension")
	lasted := r.EndedAt.Sub(r.StartedAt)
	r.StartedAt = call.Moment(rapid.Int64Range(1, 5_000).Draw(t, "start") * 1_000_000)
	r.EndedAt = r.StartedAt.Add(lasted)
	r.Direction = rapid.SampledFrom(directions).Draw(t, "direction")
	r.Status = rapid.SampledFrom(statuses).Draw(t, "status")
	if rapid.Bool().Draw(t, "many") {
		for range 40 {
			r.Legs = append(r.Legs, call.Leg{Channel: "x", Number: textPtr(t, "leg")})
		}
	}
	return r
}

func drawBatch(t *rapid.T, m *model, nextN map[string]uint64) *Batch {
	b := &Batch{Drop: map[string][]uint64{}, Why: map[string]Why{}, State: map[string][]byte{}}
	rev := map[string]uint64{}
	for range rapid.IntRange(0, 6).Draw(t, "entries") {
		id := fmt.Sprintf("main:%d", rapid.IntRange(1, 12).Draw(t, "id"))
		switch rapid.IntRange(0, 9).Draw(t, "op") {
		case 0:
			b.Entries = append(b.Entries, Entry{Op: OpDelete, ID: id, Into: "main:1"})
		case 1:
			b.Entries = append(b.Entries, Entry{Op: OpGap, Gap: &call.Gap{PBX: "main", From: call.Moment(rapid.IntRange(1, 4).Draw(t, "gap")), Reason: "line dead"}})
		default:
			if _, ok := rev[id]; !ok && m.calls[id] != nil {
				rev[id] = m.calls[id].Rev
			}
			rev[id]++
			b.Entries = append(b.Entries, Entry{Op: OpCall, Call: drawRecord(t, id, rev[id])})
			_, facts := newOffice(rev[id]).call()
			b.Why[id] = Why{Reasons: reasons(), Facts: facts}
		}
	}
	for range rapid.IntRange(0, 5).Draw(t, "facts") {
		pbx := rapid.SampledFrom([]string{"main", "mai", "branch"}).Draw(t, "pbx")
		_, facts := newOffice(uint64(len(m.entries))).call()
		e := facts[rapid.IntRange(0, len(facts)-1).Draw(t, "fact")]
		nextN[pbx]++
		e.N = nextN[pbx]
		b.Facts = append(b.Facts, Fact{PBX: pbx, Event: &e})
	}
	for _, pbx := range slices.Sorted(maps.Keys(nextN)) {
		for range rapid.IntRange(0, 2).Draw(t, "drops") {
			b.Drop[pbx] = append(b.Drop[pbx], rapid.Uint64Range(1, nextN[pbx]).Draw(t, "drop"))
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "states") {
		b.State[rapid.SampledFrom([]string{"a", "b", "session/main"}).Draw(t, "name")] = rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "value")
	}
	return b
}

// compare reads everything back.
func compare(t *rapid.T, d *DB, m *model) {
	t.Helper()
	same := func(what string, got, want any, opts ...gocmp.Option) {
		t.Helper()
		if reflect.DeepEqual(want, got) { // much faster than the words for a difference
			return
		}
		if diff := gocmp.Diff(want, got, opts...); diff != "" {
			t.Fatalf("%s differs (-want +got):\n%s", what, diff)
		}
	}
	if d.Head() != uint64(len(m.entries)) || d.Oldest() != m.oldest {
		t.Fatalf("head %d, oldest %d; want %d, %d", d.Head(), d.Oldest(), len(m.entries), m.oldest)
	}
	var got []Entry
	for after := uint64(0); ; {
		p, err := d.Feed(after, rapid.IntRange(1, 7).Draw(t, "limit"))
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Entries) == 0 {
			break
		}
		got, after = append(got, p.Entries...), p.Next
	}
	same("feed", got, m.entries[m.oldest-1:], cmpopts.EquateEmpty())
	if m.oldest > 2 {
		if _, err := d.Feed(m.oldest-2, 1); !errors.Is(err, ErrExpired) {
			t.Fatalf("feed before the oldest: %v, want ErrExpired", err)
		}
	}
	if _, err := d.Feed(d.Head()+1, 1); !errors.Is(err, ErrAhead) {
		t.Fatalf("feed after the head: %v, want ErrAhead", err)
	}
	for i := range 13 {
		id := fmt.Sprintf("main:%d", i)
		r, err := d.Call(id)
		if want := m.calls[id]; want == nil {
			if !errors.Is(err, ErrNotFound) {
				t.Fatalf("call %s: %v, want ErrNotFound", id, err)
			}
		} else if err != nil {
			t.Fatal(err)
		} else {
			same("call "+id, r, want)
			revs, err := d.Revisions(id)
			if err != nil || len(revs) == 0 {
				t.Fatal(len(revs), err)
			}
			same("newest revision of "+id, revs[len(revs)-1].Call, want)
		}
		w, err := d.Why(id)
		if want, ok := m.why[id]; !ok {
			if !errors.Is(err, ErrNotFound) {
				t.Fatalf("why %s: %v, want ErrNotFound", id, err)
			}
		} else if err != nil {
			t.Fatal(err)
		} else {
			same("why "+id, *w, want, cmpopts.EquateEmpty())
		}
	}
	open := 0
	for _, pbx := range []string{"main", "mai", "branch"} {
		facts, err := d.Facts(pbx)
		if err != nil {
			t.Fatal(err)
		}
		var want []call.Event
		for _, n := range slices.Sorted(maps.Keys(m.facts[pbx])) {
			want = append(want, m.facts[pbx][n])
		}
		open += len(want)
		same("facts of "+pbx, facts, want, cmpopts.EquateEmpty())
	}
	for _, name := range []string{"a", "b", "session/main"} {
		v, err := d.State(name)
		if err != nil || !bytes.Equal(v, m.state[name]) {
			t.Fatalf("state %s: %x, %v; want %x", name, v, err, m.state[name])
		}
	}
	if s := d.Stats(); s.Calls != uint64(len(m.calls)) || s.OpenFacts != uint64(open) {
		t.Fatalf("stats count %d calls, %d facts; want %d, %d", s.Calls, s.OpenFacts, len(m.calls), open)
	}
	r, err := d.Check()
	if err != nil || r.Damaged > 0 {
		t.Fatalf("check: %v %v", err, r.Damage)
	}
}

func compareQuery(t *rapid.T, d *DB, m *model) {
	q := drawQuery(t, m.list())
	sameOrder(t, q, pages(t, d, q, nil), m.query(q))
}

// Whatever is committed, dropped and asked for, closed and opened in between,
// the journal answers as the model does.
func TestJournalAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir := newFolder(t)
		now := time.Unix(1_780_000_000, 0)
		o := Options{Now: func() time.Time { return now }, NoSync: true, Reserve: -1}
		path := filepath.Join(dir, "journal.db")
		d := mustOpen(t, path, o)
		defer func() { d.Close() }()
		id := d.Journal()
		m, nextN := newModel(), map[string]uint64{}
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				b := drawBatch(t, m, nextN)
				if err := d.Commit(b); err != nil {
					t.Fatal(err)
				}
				for i, e := range b.Entries {
					if e.Seq != uint64(len(m.entries)+i+1) || e.At != call.MomentOf(now) {
						t.Fatalf("entry %d has seq %d at %d", i, e.Seq, e.At)
					}
				}
				m.commit(b)
			},
			"time": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 5).Draw(t, "s")) * time.Second) },
			"retain": func(t *rapid.T) {
				age := time.Duration(rapid.IntRange(1, 10).Draw(t, "age")) * time.Second
				wait := time.Duration(rapid.IntRange(0, 20).Draw(t, "wait")) * time.Second
				missed := map[string]uint64{}
				for {
					done, err := d.Retain(Retention{MaxAge: age, MaxWait: wait})
					if err != nil {
						t.Fatal(err)
					}
					for _, m := range done.Missed {
						missed[m.Consumer] += m.Entries
					}
					if !done.More {
						break
					}
				}
				waited := call.MomentOf(now.Add(-wait))
				if wait == 0 {
					waited = 0 // for ever
				}
				if want := m.retain(call.MomentOf(now.Add(-age)), waited); !maps.Equal(missed, want) {
					t.Fatalf("missed %v, want %v", missed, want)
				}
			},
			"consumer": func(t *rapid.T) {
				name := rapid.SampledFrom([]string{"central", "crm"}).Draw(t, "name")
				if rapid.IntRange(0, 3).Draw(t, "drop") == 0 {
					_, known := m.consumers[name]
					if err := d.DropConsumer(name); errors.Is(err, ErrNotFound) == known || err != nil && known {
						t.Fatal(err)
					}
					delete(m.consumers, name)
					return
				}
				seq := rapid.Uint64Range(0, d.Head()).Draw(t, "seq")
				if err := d.SetConsumer(Consumer{Name: name, Journal: id, Seq: seq}); err != nil {
					t.Fatal(err)
				}
				m.consumers[name] = seq
			},
			"erase": func(t *rapid.T) {
				id := fmt.Sprintf("main:%d", rapid.IntRange(1, 12).Draw(t, "id"))
				n, err := d.Erase(id, "main:unknown", id)
				if err != nil || (n == 1) != (m.calls[id] != nil) {
					t.Fatal(n, err)
				}
				if n == 1 {
					m.erase(id, call.MomentOf(now))
				}
			},
			"reopen": func(t *rapid.T) {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				d = mustOpen(t, path, o)
				if d.Journal() != id {
					t.Fatal("the journal id changed")
				}
			},
			"query": func(t *rapid.T) { compareQuery(t, d, m) },
			"all":   func(t *rapid.T) { compare(t, d, m) },
			"": func(t *rapid.T) {
				if d.Head() != uint64(len(m.entries)) || d.Oldest() != m.oldest {
					t.Fatalf("head %d, oldest %d; want %d, %d", d.Head(), d.Oldest(), len(m.entries), m.oldest)
				}
			},
		})
		compare(t, d, m)
	})
}
