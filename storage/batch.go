package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// What an Entry tells a follower of the feed to do.
const (
	OpCall   = "call"   // Call is the whole record; it replaces every smaller Rev
	OpGap    = "gap"    // Gap: the daemon was blind
	OpDelete = "delete" // the call ID is no more; if Into is set, it is part of that call
)

// Entry is one numbered line of the feed.
type Entry struct {
	Seq  uint64
	At   call.Moment // when it was committed
	Op   string
	Call *call.Record
	Gap  *call.Gap
	ID   string
	Into string
}

// Fact is one fact of a call that is still open. (PBX, Event.N) is its key. The
// event belongs to the batch.
type Fact struct {
	PBX   string
	Event *call.Event
}

// Why is what the conclusions about one call rest on.
type Why struct {
	Reasons []call.Reason `cbor:"1,keyasint,omitempty"`
	Facts   []call.Event  `cbor:"2,keyasint,omitempty"`
}

// Batch is a group of changes that become visible and durable together or not
// at all.
type Batch struct {
	Facts   []Fact              // facts of open calls, to be kept
	Drop    map[string][]uint64 // by PBX: numbers of kept facts that are needed no more
	Entries []Entry             // become the next entries of the feed; Commit sets Seq and At in place
	Why     map[string]Why      // by call id; replaces
	State   map[string][]byte   // small named values that must agree with the rest; empty removes
	// Moves are what Engine made of the calls' histories. Without, a verdict is kept
	// as the record says it, and not by which rules it was given.
	Moves  []journal.Move
	Erase  bool // calls that Entries delete go from earlier entries and reasons as well
	Urgent bool // may use the reserve: the last commit before an end, a gap that must not be forgotten

	attempt int          // the transaction whose outcome the disk did not confirm
	saved   []savedEntry // where the entries come from, when they are salvaged
}

// savedEntry is what a damaged journal had of an entry. It keeps its moment, the
// number of its call and, under another key, its bytes.
type savedEntry struct {
	num        uint64
	value, why []byte
}

// ref is what the journal knows of a call by its id.
type ref struct {
	num     uint64      // given out in order of appearance, for keys that only grow
	rev     uint64      // the newest
	seq     uint64      // of the entry with it
	started call.Moment // as in the key of its summary
	others  []uint64    // entries with other revisions; some may be dropped by now
}

func (r ref) append(b []byte) []byte {
	b = binary.AppendUvarint(b, r.num)
	b = binary.AppendUvarint(b, r.rev)
	b = binary.AppendUvarint(b, r.seq)
	b = binary.AppendVarint(b, int64(r.started))
	for _, seq := range r.others {
		b = binary.AppendUvarint(b, seq)
	}
	return b
}

func (c *codec) decodeRef(key, value []byte) (ref, error) {
	b, err := c.unseal(kindRef, key, value)
	if err != nil {
		return ref{}, err
	}
	ok := true
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			ok, b = false, nil
			return 0
		}
		b = b[n:]
		return v
	}
	r := ref{num: next(), rev: next(), seq: next()}
	started, n := binary.Varint(b)
	ok, b = ok && n > 0, b[max(0, n):]
	r.started = call.Moment(started)
	for ok && len(b) > 0 {
		r.others = append(r.others, next())
	}
	if !ok {
		return ref{}, fmt.Errorf("%w: reference ends too early", ErrDamaged)
	}
	return r, nil
}

// put is one key to be written, or removed where value is nil.
type put struct {
	in         bucket
	key, value []byte
}

// writing is a batch turned into keys and values. Everything dear is done here,
// before the transaction: it keeps no reader's pages, and a batch that cannot be
// encoded never begins one.
type writing struct {
	d    *DB
	from tail            // what it was made for
	tail tail            // head, numbers and time as they will be
	refs map[string]*ref // by id as it will be; a nil one was deleted
	puts []put

	moves map[string]*journal.Move // those of the batch, by the call's id, until they are taken in
	recs  map[string]*call.Record  // the newest of those that the batch has changed
	tally *tally
}

// Commit stores b in one transaction and returns once it is on disk. It must be
// called by one goroutine at a time. After an error nothing of b counts as
// stored; see ErrFull and ErrUncertain for what to do.
func (d *DB) Commit(b *Batch) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	if err := d.commit(b); err != nil {
		return &Error{Op: "commit to", Path: d.path, Err: err, Hint: commitHint(err)}
	}
	return nil
}

func commitHint(err error) string {
	switch {
	case errors.Is(err, ErrFull):
		return "free some space; nothing is lost while the events fit in memory"
	case errors.Is(err, ErrUncertain):
		return "look at the disk: it reports errors"
	case errors.Is(err, ErrDamaged):
		return "a restart saves what can be read"
	}
	return ""
}

// commit is Commit with the lock held.
func (d *DB) commit(b *Batch) error {
	late, err := d.settleLate()
	if err != nil {
		return err
	}
	if late != 0 && b.attempt == late {
		return nil // the disk has confirmed it by now
	}
	known := len(d.words.text)
	var t tail
	w, err := d.encode(b)
	if err == nil {
		t, err = d.updateWithReserve(w.apply, b.Urgent)
	}
	d.noteFull(errors.Is(err, ErrFull))
	if errors.Is(err, ErrUncertain) {
		b.attempt = d.unsettled // with Seq and At as they will be if it is confirmed
		return err
	}
	if err != nil {
		for i := range b.Entries {
			b.Entries[i].Seq = 0
		}
		d.forgetWords(known)
		return err
	}
	d.publish(t)
	d.commits.Add(1)
	d.reserve.restock(d.opts.Now())
	return nil
}

// updateWithReserve gives the reserve up for what must be saved.
func (d *DB) updateWithReserve(fn func(*update) error, urgent bool) (tail, error) {
	t, err := d.update(fn)
	if !urgent || !errors.Is(err, ErrFull) {
		return t, err
	}
	if limit := d.bolt.MaxSize; limit > 0 {
		d.bolt.MaxSize += int(max(d.reserve.want, growBytes))
		defer func() { d.bolt.MaxSize = limit }()
	}
	d.reserve.release()
	return d.update(fn)
}

// publish shows the world what is now on disk.
func (d *DB) publish(t tail) {
	d.index.touch(d.moved, d.movedIn) // before anyone can ask for the new state
	d.moved = nil
	d.mu.Lock()
	defer d.mu.Unlock()
	news := t.Head != d.tail.Head
	d.tail = t
	if news && !d.closed {
		close(d.changed)
		d.changed = make(chan struct{})
	}
}

// settleLate settles a transaction that the disk did not confirm earlier, and
// gives its number if it turned out to be stored. What is in memory then agrees
// with the file again.
func (d *DB) settleLate() (stored int, err error) {
	number := d.unsettled
	if number == 0 {
		return 0, nil
	}
	landed, err := d.settle()
	if err != nil {
		return 0, err
	}
	before := d.Head()
	if err := d.load(); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tail.Head != before && !d.closed {
		close(d.changed)
		d.changed = make(chan struct{})
	}
	if !landed {
		return 0, nil
	}
	return number, nil
}

func (d *DB) noteFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *DB) forgetWords(known int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.words.forget(known)
}

// encode turns a batch into keys and values.
func (d *DB) encode(b *Batch) (*writing, error) {
	d.mu.RLock()
	w := &writing{d: d, from: d.tail, tail: d.tail, refs: map[string]*ref{}}
	known := len(d.words.text)
	d.mu.RUnlock()
	now := d.now()
	w.tail.LastCommit = now
	w.tally, w.recs = d.tally(&w.tail), map[string]*call.Record{}
	w.moves = make(map[string]*journal.Move, len(b.Moves))
	for i := range b.Moves {
		if m := &b.Moves[i]; m.Now != nil {
			w.moves[m.Now.ID] = m
		}
	}
	if err := w.loadRefs(b); err != nil {
		return nil, err
	}
	if b.Erase {
		if err := w.erase(b); err != nil {
			return nil, err
		}
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		w.tail.Head++
		e.Seq = w.tail.Head
		var err error
		if b.saved != nil {
			err = w.restore(e, &b.saved[i])
		} else {
			e.At = now
			err = w.entry(e)
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.Seq, err)
		}
	}
	if err := w.verdicts(); err != nil {
		return nil, err
	}
	for id, why := range b.Why {
		r := w.refs[id]
		if r == nil {
			continue // never published, or folded into another meanwhile
		}
		key := numberKey(r.num)
		v, err := d.codec.encodeWhy(key, why)
		if err != nil {
			return nil, fmt.Errorf("reasons of call %q: %w", id, err)
		}
		w.put(inWhy, key, v)
	}
	for name, value := range b.State {
		key := []byte(name)
		if len(key) == 0 || len(key) > bolt.MaxKeySize {
			return nil, fmt.Errorf("state %.40q: no such name is possible", name)
		}
		if len(value) == 0 {
			w.put(inState, key, nil)
		} else {
			w.put(inState, key, seal(kindState, key, value))
		}
	}
	if err := w.openFacts(b); err != nil {
		return nil, err
	}
	if err := w.totals(); err != nil {
		return nil, err
	}
	d.mu.RLock()
	fresh := d.words.text[known:]
	d.mu.RUnlock()
	for i, text := range fresh {
		key := numberKey(uint64(known + i + 1))
		w.put(inWords, key, seal(kindWord, key, []byte(text)))
	}
	// Neighbours share pages: in order of key each page is found once.
	slices.SortStableFunc(w.puts, func(a, b put) int {
		if c := cmp.Compare(a.in, b.in); c != 0 {
			return c
		}
		return bytes.Compare(a.key, b.key)
	})
	return w, nil
}

func (w *writing) put(in bucket, key, value []byte) {
	w.puts = append(w.puts, put{in, key, value})
}

// loadRefs reads what the journal knows of the calls in the batch.
func (w *writing) loadRefs(b *Batch) error {
	return w.d.view(func(tx *bolt.Tx) error {
		calls := inCalls.of(tx)
		load := func(id string) error {
			if _, ok := w.refs[id]; ok {
				return nil
			}
			key := idKey(id)
			v := calls.Get(key)
			if v == nil {
				w.refs[id] = nil
				return nil
			}
			r, err := w.d.codec.decodeRef(key, v)
			if err != nil {
				return damagedAt(inCalls, key, err)
			}
			w.refs[id] = &r
			return nil
		}
		for i := range b.Entries {
			id := b.Entries[i].ID
			if r := b.Entries[i].Call; r != nil {
				id = r.ID
			}
			if err := load(id); err != nil {
				return err
			}
		}
		for id := range b.Why {
			if err := load(id); err != nil {
				return err
			}
		}
		for id := range w.moves {
			if err := load(id); err != nil {
				return err
			}
		}
		return nil
	})
}

// entry adds an entry of the feed.
func (w *writing) entry(e *Entry) error {
	num, err := w.index(e, 0)
	if err != nil {
		return err
	}
	key := numberKey(e.Seq)
	v, err := w.d.codec.encodeEntry(key, e, num)
	if err != nil {
		return err
	}
	w.put(inFeed, key, v)
	return nil
}

// restore adds an entry of another journal.
func (w *writing) restore(e *Entry, s *savedEntry) error {
	num, err := w.index(e, s.num)
	if err != nil {
		return err
	}
	key := numberKey(e.Seq)
	v := reseal(key, s.value)
	if num != s.num {
		if v, err = w.d.codec.encodeEntry(key, e, num); err != nil {
			return err
		}
	}
	w.put(inFeed, key, v)
	if s.why != nil {
		key := numberKey(num)
		w.put(inWhy, key, reseal(key, s.why))
	}
	return nil
}

// index adds what follows from an entry for the indexes. It gives the number of
// the call that the entry is about: want, if that is not 0 and the call is new.
func (w *writing) index(e *Entry, want uint64) (num uint64, err error) {
	switch {
	case e.Op == OpCall && e.Call != nil:
		if num, err = w.call(e, want); err != nil {
			return 0, err
		}
	case e.Op == OpGap && e.Gap != nil:
		key, err := pbxKey(e.Gap.PBX)
		if err != nil {
			return 0, err
		}
		key = momentKey(key, e.Gap.From)
		w.put(inGaps, key, seal(kindGap, key, binary.AppendUvarint(nil, e.Seq)))
	case e.Op == OpDelete && e.ID != "":
		if err := w.drop(e.ID); err != nil {
			return 0, err
		}
	default:
		return 0, fmt.Errorf("%q without what it is about", e.Op)
	}
	return num, nil
}

// call moves the indexes of a call to its new revision and gives its number.
func (w *writing) call(e *Entry, want uint64) (uint64, error) {
	rec := e.Call
	r := w.refs[rec.ID]
	key := idKey(rec.ID)
	switch {
	case r == nil:
		if want == 0 {
			want = w.tail.Numbers + 1
		}
		w.tail.Numbers = max(w.tail.Numbers, want)
		r = &ref{num: want}
		w.refs[rec.ID] = r
		w.recs[rec.ID] = nil
	case rec.Rev < r.rev: // one comes late: the newest is known already
		r.others = append(r.others, e.Seq)
		w.put(inCalls, key, seal(kindRef, key, r.append(nil)))
		return r.num, nil
	default:
		r.others = append(r.others, r.seq)
		if r.started != rec.StartedAt {
			w.put(inSummaries, summaryKey(r.started, r.num), nil)
		}
	}
	was, err := w.newest(rec.ID, r)
	if err != nil {
		return 0, err
	}
	w.turn(was, rec, r.num)
	r.seq, r.rev, r.started = e.Seq, rec.Rev, rec.StartedAt
	w.put(inCalls, key, seal(kindRef, key, r.append(nil)))
	w.d.mu.Lock()
	s := summarise(rec, e.Seq, w.d.words.add)
	w.d.mu.Unlock()
	key = summaryKey(r.started, r.num)
	w.put(inSummaries, key, seal(kindSummary, key, s.append(nil)))
	return r.num, nil
}

// newest gives what the journal, with the batch so far, says of a call.
func (w *writing) newest(id string, r *ref) (rec *call.Record, err error) {
	rec, ok := w.recs[id]
	if ok {
		return rec, nil
	}
	err = w.d.view(func(tx *bolt.Tx) error {
		rec, err = w.d.record(inFeed.of(tx), r.seq)
		return err
	})
	return rec, err
}

// turn moves what histories, missed calls and totals know of a call; was or now
// may be nil.
func (w *writing) turn(was, now *call.Record, num uint64) {
	w.tally.change(was, now, num)
	if was != nil {
		is := touchOf(was, num)
		is.without(w.put)
	}
	if now != nil {
		w.recs[now.ID] = now
		is := touchOf(now, num)
		if m := w.moves[now.ID]; m != nil && m.Now.Verdict.Same(withSpam(is.is.Verdict, m.Now.Verdict)) {
			is.is.Verdict = m.Now.Verdict
		}
		is.with(w.d.codec, w.put)
	}
}

// verdicts takes in what moved in histories of calls whose records stayed.
func (w *writing) verdicts() error {
	for id, m := range w.moves {
		r := w.refs[id]
		if _, changed := w.recs[id]; changed || r == nil {
			continue // done, or the call is no more
		}
		is := touch{m.History, *m.Now, r.num}
		if r.started != is.is.Started {
			return fmt.Errorf("call %.200q: its history takes it for another call", id)
		}
		if m.Was != nil && m.Was.Verdict.Open() && !is.is.Verdict.Open() {
			w.put(inMissed, openKey(m.Was, r.num), nil)
		}
		is.with(w.d.codec, w.put)
	}
	return nil
}

// withSpam is a verdict as the record has it, with what the record does not have.
func withSpam(v, of journal.Verdict) *journal.Verdict {
	v.SpamBy, v.SpamDigits = of.SpamBy, of.SpamDigits
	return &v
}

// drop removes a call from the indexes. Its entries stay in the feed.
func (w *writing) drop(id string) error {
	r := w.refs[id]
	if r == nil {
		return nil
	}
	was, err := w.newest(id, r)
	if err != nil {
		return err
	}
	w.turn(was, nil, r.num)
	w.refs[id] = nil
	w.recs[id] = nil
	w.put(inCalls, idKey(id), nil)
	w.put(inSummaries, summaryKey(r.started, r.num), nil)
	w.put(inWhy, numberKey(r.num), nil)
	return nil
}

// totals adds what changed to the cells of statistics.
func (w *writing) totals() error {
	return w.d.view(func(tx *bolt.Tx) error { return w.tally.apply(inCells.of(tx), w.put) })
}

// openFacts adds the facts of open calls that come and go. One that comes and
// goes in the same batch is never written.
func (w *writing) openFacts(b *Batch) error {
	prefixes, gone := map[string][]byte{}, map[string]map[uint64]bool{}
	for pbx, numbers := range b.Drop {
		prefix, err := pbxKey(pbx)
		if err != nil {
			return err
		}
		prefixes[pbx], gone[pbx] = prefix, make(map[uint64]bool, len(numbers))
		for _, n := range numbers {
			gone[pbx][n] = true
			w.put(inOpen, factKey(prefix, n), nil)
		}
	}
	for i := range b.Facts {
		f := &b.Facts[i]
		if gone[f.PBX][f.Event.N] {
			continue
		}
		prefix, known := prefixes[f.PBX]
		if !known {
			var err error
			if prefix, err = pbxKey(f.PBX); err != nil {
				return err
			}
			prefixes[f.PBX] = prefix
		}
		key := factKey(prefix, f.Event.N)
		v, err := w.d.codec.encodeFact(key, f.Event)
		if err != nil {
			return fmt.Errorf("fact %d of %s: %w", f.Event.N, f.PBX, err)
		}
		w.put(inOpen, key, v)
	}
	return nil
}

// apply writes it all into a transaction. It may be run again in another one.
func (w *writing) apply(u *update) error {
	if u.tail != w.from {
		return fmt.Errorf("%w: the file is at commit %d, memory at %d", ErrDamaged, u.tail.Commits, w.from.Commits)
	}
	u.tail.Head, u.tail.Numbers, u.tail.LastCommit, u.tail.Counts = w.tail.Head, w.tail.Numbers, w.tail.LastCommit, w.tail.Counts
	for _, p := range w.puts {
		if err := u.put(p.in, p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}
