package storage

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
)

const (
	defaultCallsLimit = 50
	maxCallsLimit     = 1000
	// A query looks at so many summaries in one transaction: a long one would
	// keep the writer from using freed pages again.
	scanStep = 8192
)

// Query selects calls. An empty field selects all.
type Query struct {
	From, To  call.Moment // From <= StartedAt < To
	Direction []string
	Status    []string
	Number    string // part of any number of the call
	Limit     int    // default 50, at most 1000
	Cursor    string // as given out by the page before
}

// Calls gives the calls that q selects, newest first by StartedAt, and the cursor
// of the next page, which is empty on the last. Pages neither skip nor repeat a
// call while others arrive.
func (d *DB) Calls(q Query) (recs []*call.Record, cursor string, err error) {
	s, err := d.newScan(q)
	if err != nil {
		return nil, "", err
	}
	for !s.done {
		if err := d.view(s.step); err != nil {
			return nil, "", &Error{Op: "read calls of", Path: d.path, Err: err}
		}
	}
	if s.more {
		cursor = base64.RawURLEncoding.EncodeToString(s.last)
	}
	return s.recs, cursor, nil
}

// scan is a walk over the summaries, from the newest down.
type scan struct {
	d          *DB
	limit      int
	below      []byte // only keys smaller than this
	from       []byte // and not smaller than this
	directions uint64 // one bit each; 0: all
	statuses   uint64
	number     string
	extensions map[uint64]bool // words with number in them
	nothing    bool            // asked for a word that no call has

	recs       []*call.Record
	last       []byte // key of the last of recs
	more, done bool
}

func (d *DB) newScan(q Query) (*scan, error) {
	s := &scan{d: d, limit: q.Limit, from: momentKey(nil, math.MinInt64)}
	if s.limit <= 0 {
		s.limit = defaultCallsLimit
	}
	s.limit = min(s.limit, maxCallsLimit)
	if q.From != 0 {
		s.from = momentKey(nil, q.From)
	}
	if q.To != 0 {
		s.below = momentKey(nil, q.To)
	}
	if q.Cursor != "" {
		key, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if err != nil || len(key) != 16 {
			return nil, fmt.Errorf("cursor %.40q: %w", q.Cursor, ErrCursor)
		}
		if s.below == nil || bytes.Compare(key, s.below) < 0 {
			s.below = key
		}
	}
	s.directions = s.choice(q.Direction, directions)
	s.statuses = s.choice(q.Status, statuses)
	if s.number = plainNumber(q.Number); s.number != "" {
		s.extensions = map[uint64]bool{}
		d.mu.RLock()
		for i, text := range d.words.text {
			if strings.Contains(text, s.number) {
				s.extensions[wordAs(uint64(i+1), wordOfExtension)] = true
			}
		}
		d.mu.RUnlock()
	}
	s.done = s.nothing
	return s, nil
}

// choice makes bits of the words that are asked for.
func (s *scan) choice(asked, of []string) uint64 {
	var bits uint64
	for _, word := range asked {
		bits |= 1 << indexOf(of, word)
	}
	bits &^= 1 // bit 0 is what no word stands for
	if len(asked) > 0 && bits == 0 {
		s.nothing = true
	}
	return bits
}

// plainNumber takes the punctuation out of a number as people write it.
func plainNumber(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789+ ().-/", r) }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ().-/", r) {
			return -1
		}
		return r
	}, s)
}

// step goes on with the walk in a new transaction.
func (s *scan) step(tx *bolt.Tx) error {
	c := inSummaries.of(tx).Cursor()
	feed := inFeed.of(tx)
	k, v := seekBelow(c, s.below)
	var sum summary
	for range scanStep {
		if k == nil || bytes.Compare(k, s.from) < 0 {
			s.done = true
			return nil
		}
		rec, err := s.match(feed, k, v, &sum)
		if err != nil {
			return err
		}
		if rec != nil {
			if len(s.recs) == s.limit {
				s.more, s.done = true, true
				return nil
			}
			s.recs = append(s.recs, rec)
			s.last = slices.Clone(k)
		}
		s.below = append(s.below[:0:0], k...)
		k, v = c.Prev()
	}
	return nil
}

// seekBelow finds the last key smaller than below, or the last at all.
func seekBelow(c *bolt.Cursor, below []byte) (k, v []byte) {
	if below == nil {
		return c.Last()
	}
	if k, _ := c.Seek(below); k == nil {
		k, v := c.Last()
		if k != nil && bytes.Compare(k, below) >= 0 {
			return nil, nil
		}
		return k, v
	}
	return c.Prev()
}

// match gives the record behind a summary if it is asked for.
func (s *scan) match(feed *bolt.Bucket, k, v []byte, sum *summary) (*call.Record, error) {
	payload, err := s.d.codec.unseal(kindSummary, k, v)
	if err == nil {
		err = sum.parse(payload)
	}
	if err != nil {
		return nil, damagedAt(inSummaries, k, err)
	}
	if s.directions != 0 && s.directions&(1<<sum.direction) == 0 ||
		s.statuses != 0 && s.statuses&(1<<sum.status) == 0 {
		return nil, nil
	}
	has := s.number == "" || s.hasNumber(sum)
	if !has && sum.flags&flagCut == 0 {
		return nil, nil
	}
	if has && len(s.recs) == s.limit {
		return &call.Record{}, nil // only that there is one more
	}
	rec, err := s.d.record(feed, sum.seq)
	if err != nil || !has && !recordHasNumber(rec, s.number) {
		return nil, err
	}
	return rec, nil
}

func (s *scan) hasNumber(sum *summary) bool {
	for _, n := range sum.numbers {
		if strings.Contains(n, s.number) {
			return true
		}
	}
	for _, w := range sum.words {
		if s.extensions[w] {
			return true
		}
	}
	return false
}

func recordHasNumber(r *call.Record, part string) bool {
	found := false
	eachNumber(r, func(n string) { found = found || strings.Contains(n, part) })
	for _, e := range []*string{r.From.Extension, r.To.Extension} {
		found = found || e != nil && strings.Contains(*e, part)
	}
	for i := range r.Legs {
		e := r.Legs[i].Extension
		found = found || e != nil && strings.Contains(*e, part)
	}
	return found
}

// record reads the call in an entry of the feed.
func (d *DB) record(feed *bolt.Bucket, seq uint64) (*call.Record, error) {
	key := numberKey(seq)
	v := feed.Get(key)
	if v == nil {
		return nil, damagedAt(inFeed, key, fmt.Errorf("%w: an index names it and it is not there", ErrDamaged))
	}
	e, _, err := d.codec.decodeEntry(key, v)
	if err == nil && e.Call == nil {
		err = fmt.Errorf("%w: an index takes it for a call", ErrDamaged)
	}
	if err != nil {
		return nil, damagedAt(inFeed, key, err)
	}
	return e.Call, nil
}

// ref finds a call by its id, or gives ErrNotFound.
func (d *DB) ref(tx *bolt.Tx, id string) (ref, error) {
	key := idKey(id)
	v := inCalls.of(tx).Get(key)
	if v == nil {
		return ref{}, ErrNotFound
	}
	r, err := d.codec.decodeRef(key, v)
	if err != nil {
		return ref{}, damagedAt(inCalls, key, err)
	}
	return r, nil
}

// Call gives the newest revision of a call, or ErrNotFound.
func (d *DB) Call(id string) (*call.Record, error) {
	var rec *call.Record
	err := d.view(func(tx *bolt.Tx) error {
		r, err := d.ref(tx, id)
		if err != nil {
			return err
		}
		rec, err = d.record(inFeed.of(tx), r.seq)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("call %.200q: %w", id, err)
	}
	return rec, nil
}

// Revisions gives all revisions of a call that the feed still keeps, the newest
// last, or ErrNotFound.
func (d *DB) Revisions(id string) ([]*call.Record, error) {
	var revs []*call.Record
	err := d.view(func(tx *bolt.Tx) error {
		r, err := d.ref(tx, id)
		if err != nil {
			return err
		}
		for _, seq := range append(r.others, r.seq) {
			if inFeed.of(tx).Get(numberKey(seq)) == nil {
				continue // dropped by retention
			}
			rec, err := d.record(inFeed.of(tx), seq)
			if err != nil {
				return err
			}
			revs = append(revs, rec)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("revisions of call %.200q: %w", id, err)
	}
	slices.SortStableFunc(revs, func(a, b *call.Record) int { return cmp.Compare(a.Rev, b.Rev) })
	return revs, nil
}

// Why gives what the conclusions about a call rest on, or ErrNotFound.
func (d *DB) Why(id string) (*Why, error) {
	var w *Why
	err := d.view(func(tx *bolt.Tx) error {
		r, err := d.ref(tx, id)
		if err != nil {
			return err
		}
		key := numberKey(r.num)
		v := inWhy.of(tx).Get(key)
		if v == nil {
			return ErrNotFound
		}
		if w, err = d.codec.decodeWhy(key, v); err != nil {
			return damagedAt(inWhy, key, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reasons of call %.200q: %w", id, err)
	}
	return w, nil
}

// Facts gives the kept facts of a PBX in order of N.
func (d *DB) Facts(pbx string) ([]call.Event, error) {
	prefix, err := pbxKey(pbx)
	if err != nil {
		return nil, err
	}
	var facts []call.Event
	err = d.view(func(tx *bolt.Tx) error {
		c := inOpen.of(tx).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			e, err := d.codec.decodeFact(k, v)
			if err != nil {
				return damagedAt(inOpen, k, err)
			}
			facts = append(facts, e)
		}
		return nil
	})
	if err != nil {
		return nil, &Error{Op: "read open calls of", Path: d.path, Err: err}
	}
	return facts, nil
}

// State gives a named value, nil if there is none.
func (d *DB) State(name string) ([]byte, error) {
	var value []byte
	err := d.view(func(tx *bolt.Tx) error {
		key := []byte(name)
		v := inState.of(tx).Get(key)
		if v == nil {
			return nil
		}
		payload, err := d.codec.unseal(kindState, key, v)
		if err != nil {
			return damagedAt(inState, key, err)
		}
		value = slices.Clone(payload)
		return nil
	})
	if err != nil {
		return nil, &Error{Op: "read state of", Path: d.path, Err: err}
	}
	return value, nil
}

// Gaps gives the newest stretches in which a PBX was not seen, newest first.
func (d *DB) Gaps(limit int) ([]call.Gap, error) {
	var gaps []call.Gap
	err := d.view(func(tx *bolt.Tx) error {
		var seqs []uint64
		err := inGaps.of(tx).ForEach(func(k, v []byte) error {
			payload, err := d.codec.unseal(kindGap, k, v)
			if err != nil {
				return damagedAt(inGaps, k, err)
			}
			seq, _ := binary.Uvarint(payload)
			seqs = append(seqs, seq)
			return nil
		})
		if err != nil {
			return err
		}
		slices.SortFunc(seqs, func(a, b uint64) int { return cmp.Compare(b, a) })
		feed := inFeed.of(tx)
		for _, seq := range seqs[:min(max(0, limit), len(seqs))] {
			key := numberKey(seq)
			e, _, err := d.codec.decodeEntry(key, feed.Get(key))
			if err != nil {
				return damagedAt(inFeed, key, err)
			}
			if e.Gap != nil {
				gaps = append(gaps, *e.Gap)
			}
		}
		return nil
	})
	if err != nil {
		return nil, &Error{Op: "read gaps of", Path: d.path, Err: err}
	}
	slices.SortStableFunc(gaps, func(a, b call.Gap) int { return cmp.Compare(b.From, a.From) })
	return gaps, nil
}
