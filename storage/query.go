package storage

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

const (
	defaultCallsLimit = 50
	maxCallsLimit     = 1000
)

// Query selects calls. An empty field selects all; of several words in one field
// any will do, and every field must be satisfied.
type Query struct {
	From, To   call.Moment // From <= StartedAt < To
	Direction  []string
	Status     []string
	Missed     *bool
	Type       []string
	Employee   []string // name or extension of somebody who called, was called, or took part
	Department []string // of such an employee
	// Part says which part those of Employee had, or without any those of
	// Department: one of journal's; "": any.
	Part    string
	Queue   []string // one that the call waited in
	Line    []string // number or name
	Source  []string
	Trunk   []string
	Number  []string // part of any number of the call
	MinTalk *time.Duration
	MaxTalk *time.Duration
	MinWait *time.Duration
	MaxWait *time.Duration
	Hours   *Hours   // of the week, in which it began
	Has     []string // recording, voicemail, fax
	Text    string   // words of which each is in a name, number, employee, line, tag...; or the call's id

	Sort   string // one of Sorts, with a - in front for the greatest first; "": -started_at
	Limit  int    // default 50, at most 1000
	Cursor string // as given out by the page before, for the same query
}

// Narrow says that q selects calls by more than the time at which they began.
func (q Query) Narrow() bool {
	return len(q.Direction)+len(q.Status)+len(q.Type)+len(q.Employee)+len(q.Department)+len(q.Queue)+len(q.Line)+len(q.Source)+
		len(q.Trunk)+len(q.numbers())+len(q.Has)+len(q.terms()) > 0 ||
		q.Missed != nil || q.MinTalk != nil || q.MaxTalk != nil || q.MinWait != nil || q.MaxWait != nil || q.Hours != nil
}

// Hours are some hours of the week in a time zone, such as 9:00 to 10:00 on
// Mondays.
type Hours struct {
	Zone *time.Location
	Of   [7]uint32 // from Monday: a bit for each hour of the day
}

func (h *Hours) has(m call.Moment) bool {
	day, hour := journal.NewCalendar(h.Zone).Day(m)
	return h.Of[(day.Weekday()+6)%7]>>hour&1 != 0
}

// Sorts are what calls can be sorted by. Where it is unknown of a call, the call
// comes last; where it is the same, the newer call comes first.
func Sorts() []string {
	return []string{"started_at", "ended_at", "wait", "talk", "total", "ring", "from", "to", "cost", "status"}
}

// Calls gives a page of the calls that q selects, and the cursor of the next one,
// which is empty on the last.
//
// The pages that follow each other by their cursors show the journal as it was at
// the first one: no call is skipped or comes twice, whatever arrives or changes
// meanwhile. Only what is deleted meanwhile is gone from the pages as well. After
// more than 65,536 changes the pages go on with the journal as it then is.
func (d *DB) Calls(q Query) (recs []*call.Record, cursor string, err error) {
	s, err := d.newSearch(q)
	if err == nil {
		err = s.run()
	}
	if err == nil {
		recs, cursor, err = s.page()
	}
	if errors.Is(err, ErrCursor) || errors.Is(err, ErrQuery) {
		return nil, "", err
	}
	if err != nil {
		return nil, "", &Error{Op: "read calls of", Path: d.path, Err: err}
	}
	return recs, cursor, nil
}

// All gives every call that q selects, a page at a time, so that neither memory
// nor a transaction grows with their number. It ends with the first error. Limit
// is the size of a page, at most 1000; Cursor says where to begin.
func (d *DB) All(q Query) iter.Seq2[*call.Record, error] {
	if q.Limit <= 0 {
		q.Limit = maxCallsLimit
	}
	return func(yield func(*call.Record, error) bool) {
		for {
			recs, cursor, err := d.Calls(q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range recs {
				if !yield(r, nil) {
					return
				}
			}
			if cursor == "" {
				return
			}
			q.Cursor = cursor
		}
	}
}

// sortBy is a column that calls are sorted by.
type sortBy uint8

const (
	byStarted sortBy = iota
	byEnded
	byWait
	byTalk
	byTotal
	byRing
	byFrom
	byTo
	byCost
	byStatus
)

// sorting is how calls follow each other.
type sorting struct {
	by         sortBy
	descending bool
}

func sortingOf(sort string) (sorting, error) {
	if sort == "" {
		return sorting{byStarted, true}, nil
	}
	name, descending := strings.CutPrefix(sort, "-")
	i := slices.Index(Sorts(), name)
	if i < 0 {
		return sorting{}, fmt.Errorf("sort by %.40q: %w", sort, ErrQuery)
	}
	return sorting{sortBy(i), descending}, nil
}

func (o sorting) byText() bool { return o.by == byFrom || o.by == byTo }

// rank is where a call stands in an order.
type rank struct {
	known   bool
	value   int64
	text    string
	started call.Moment
	num     uint64
}

// compare is negative if a comes before b.
func (o sorting) compare(a, b *rank) int {
	if o.by == byStarted && !o.descending {
		return cmp.Or(cmp.Compare(a.started, b.started), cmp.Compare(a.num, b.num))
	}
	if a.known != b.known {
		if a.known {
			return -1
		}
		return 1
	}
	c := cmp.Compare(a.value, b.value)
	if c == 0 && o.byText() {
		c = strings.Compare(a.text, b.text)
	}
	if o.descending {
		c = -c
	}
	if c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(b.started, a.started), cmp.Compare(b.num, a.num))
}

// hit is a call that is asked for.
type hit struct {
	rank
	seq uint64 // of the revision
}

// best keeps the first few of many hits, as a heap with the last of them on top.
type best struct {
	sorting
	most int
	hits []hit
}

// wants says that a hit at p would be among the first few.
func (b *best) wants(p *rank) bool {
	return len(b.hits) < b.most || b.compare(p, &b.hits[0].rank) < 0
}

func (b *best) full() bool { return len(b.hits) == b.most }

func (b *best) add(h hit) {
	after := func(i, k int) bool { return b.compare(&b.hits[i].rank, &b.hits[k].rank) > 0 }
	if len(b.hits) < b.most {
		b.hits = append(b.hits, h)
		for i := len(b.hits) - 1; i > 0 && after(i, (i-1)/2); i = (i - 1) / 2 {
			b.hits[i], b.hits[(i-1)/2] = b.hits[(i-1)/2], b.hits[i]
		}
		return
	}
	b.hits[0] = h
	for i := 0; ; {
		k := 2*i + 1
		if k+1 < len(b.hits) && after(k+1, k) {
			k++
		}
		if k >= len(b.hits) || !after(k, i) {
			return
		}
		b.hits[i], b.hits[k] = b.hits[k], b.hits[i]
		i = k
	}
}

// search is the work on one page.
type search struct {
	d       *DB
	filter  filter
	sorting sorting
	limit   int
	key     [8]byte // of the query: a cursor is good for no other
	asOf    uint64  // the journal is shown as it was at this head
	after   *rank   // where the page before ended
	best    best
	summary summary // memory for the one at hand
}

func (d *DB) newSearch(q Query) (*search, error) {
	o, err := sortingOf(q.Sort)
	if err != nil {
		return nil, err
	}
	s := &search{d: d, sorting: o, limit: q.Limit, asOf: d.Head()}
	if s.limit <= 0 {
		s.limit = defaultCallsLimit
	}
	s.limit = min(s.limit, maxCallsLimit)
	s.best = best{sorting: o, most: s.limit + 1}
	if s.key, err = d.queryKey(q); err != nil {
		return nil, err
	}
	if q.Cursor != "" {
		if err := s.resume(q.Cursor); err != nil {
			return nil, err
		}
	}
	if s.filter, err = d.newFilter(&q); err != nil {
		return nil, err
	}
	return s, nil
}

// queryKey is what tells the cursors of two queries apart, and those of two
// journals.
func (d *DB) queryKey(q Query) (key [8]byte, err error) {
	q.Limit, q.Cursor = 0, ""
	text, err := json.Marshal(q)
	if err != nil {
		return key, fmt.Errorf("%w: %w", ErrQuery, err)
	}
	sum := sha256.Sum256(append(text, d.Journal()...))
	return [8]byte(sum[:8]), nil
}

// A cursor is the snapshot, the place of the last call of a page, and a sum over
// both and the query, so that one that was made up is refused.
func (s *search) cursor(p *rank) string {
	b := binary.AppendUvarint(nil, s.asOf)
	known := uint64(0)
	if p.known {
		known = 1
	}
	b = binary.AppendUvarint(b, known)
	b = binary.AppendVarint(b, p.value)
	b = binary.AppendVarint(b, int64(p.started))
	b = binary.AppendUvarint(b, p.num)
	b = append(b, p.text...)
	sum := sha256.Sum256(append(s.key[:], b...))
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:8]...))
}

func (s *search) resume(cursor string) error {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) < 8 {
		return fmt.Errorf("cursor %.40q: %w", cursor, ErrCursor)
	}
	b, given := b[:len(b)-8], b[len(b)-8:]
	if sum := sha256.Sum256(append(s.key[:], b...)); !bytes.Equal(sum[:8], given) {
		return fmt.Errorf("cursor %.40q: %w", cursor, ErrCursor)
	}
	p := parts{b: b}
	asOf, known := p.uvarint(), p.uvarint()
	s.after = &rank{known: known != 0, value: p.varint(), started: call.Moment(p.varint()), num: p.uvarint()}
	s.after.text = string(p.b)
	if p.bad {
		return fmt.Errorf("cursor %.40q: %w", cursor, ErrCursor)
	}
	if s.asOf-asOf <= maxChanges {
		s.asOf = asOf
	}
	return nil
}

// maxChanges is how many revisions pages go back to show the journal as it was.
const maxChanges = 1 << 16

// wants says that a hit at p belongs to the page, as far as is known.
func (s *search) wants(p *rank) bool {
	return (s.after == nil || s.sorting.compare(p, s.after) > 0) && s.best.wants(p)
}

// run finds the hits of the page.
func (s *search) run() error {
	if err := s.scan(); err != nil {
		return err
	}
	return s.changed()
}

// changed looks at the calls that have changed since the snapshot, in the
// revision that it had of them.
func (s *search) changed() error {
	seen := map[string]bool{}
	next := numberKey(s.asOf + 1)
	for {
		done := false
		err := s.d.view(func(tx *bolt.Tx) error {
			feed := inFeed.of(tx)
			c := feed.Cursor()
			k, v := c.Seek(next)
			for range changesStep {
				if k == nil {
					done = true
					return nil
				}
				e, _, err := s.d.codec.decodeEntry(k, v)
				if err != nil {
					return damagedAt(inFeed, k, err)
				}
				if e.Op == OpCall && !seen[e.Call.ID] {
					seen[e.Call.ID] = true
					if err := s.asItWas(tx, e.Call.ID); err != nil {
						return err
					}
				}
				next = numberKey(e.Seq + 1)
				k, v = c.Next()
			}
			return nil
		})
		if err != nil || done {
			return err
		}
	}
}

// changesStep bounds a transaction over the feed.
const changesStep = 512

// asItWas takes in the revision of a call that the snapshot shows, if it has one
// and that is still kept.
func (s *search) asItWas(tx *bolt.Tx, id string) error {
	r, err := s.d.ref(tx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var newest *call.Record
	seq := uint64(0)
	feed := inFeed.of(tx)
	for _, other := range append(r.others, r.seq) {
		if other > s.asOf || feed.Get(numberKey(other)) == nil {
			continue
		}
		rec, err := s.d.record(feed, other)
		if err != nil {
			return err
		}
		if newest == nil || rec.Rev >= newest.Rev {
			newest, seq = rec, other
		}
	}
	if newest == nil || !s.filter.record(newest) {
		return nil
	}
	// It may be among the hits already, if it changed after its summary was read.
	found := func(h hit) bool { return h.num == r.num }
	if p := s.sorting.rankOf(newest, r.num); s.wants(&p) && !slices.ContainsFunc(s.best.hits, found) {
		s.best.add(hit{p, seq})
	}
	return nil
}

// rankOf is where a record stands.
func (o sorting) rankOf(r *call.Record, num uint64) rank {
	p := rank{started: r.StartedAt, num: num}
	ms := func(d *int64) {
		if d != nil {
			p.known, p.value = true, int64(clamp(*d))
		}
	}
	switch o.by {
	case byStarted:
		p.known, p.value = true, int64(r.StartedAt)
	case byEnded:
		if p.known = r.EndedAt != 0; p.known {
			p.value = endedAt(r.StartedAt, clamp((int64(r.EndedAt.Ms())-int64(r.StartedAt.Ms()))/1000))
		}
	case byWait:
		ms(r.WaitMs)
	case byTalk:
		ms(r.TalkMs)
	case byTotal:
		ms(r.TotalMs)
	case byRing:
		ms(r.RingMs)
	case byFrom:
		p.setText(partyText(&r.From))
	case byTo:
		p.setText(partyText(&r.To))
	case byCost:
		if r.Cost != nil {
			p.value, p.known = amount(r.Cost.Amount)
		}
	case byStatus:
		p.known, p.value = true, statusRank(indexOf(statuses, r.Status))
	}
	return p
}

func (p *rank) setText(text []byte) { p.known, p.text = len(text) > 0, string(text) }

// clamp keeps a duration within what a column holds: 24 days.
func clamp(ms int64) int32 { return int32(min(max(ms, 0), maxColumn)) }

const maxColumn = math.MaxInt32 - 1

func endedAt(started call.Moment, lasted int32) int64 {
	return int64(started.Ms())/1000 + int64(lasted)
}

// statusRank sorts statuses as they are written.
func statusRank(status uint64) int64 {
	if status == 0 || status > uint64(len(statuses)) {
		return int64(len(statuses))
	}
	rank := int64(0)
	for _, other := range statuses {
		if other < statuses[status-1] {
			rank++
		}
	}
	return rank
}

// page reads the records of the hits.
func (s *search) page() (recs []*call.Record, cursor string, err error) {
	hits := s.best.hits
	slices.SortFunc(hits, func(a, b hit) int { return s.sorting.compare(&a.rank, &b.rank) })
	if len(hits) > s.limit {
		hits = hits[:s.limit]
		cursor = s.cursor(&hits[s.limit-1].rank)
	}
	err = s.d.view(func(tx *bolt.Tx) error {
		feed := inFeed.of(tx)
		recs = make([]*call.Record, 0, len(hits))
		for i := range hits {
			key := numberKey(hits[i].seq)
			v := feed.Get(key)
			if v == nil {
				continue // dropped since it was found
			}
			e, _, err := s.d.codec.decodeEntry(key, v)
			if err != nil {
				return damagedAt(inFeed, key, err)
			}
			if e.Op == OpCall { // else erased since
				recs = append(recs, e.Call)
			}
		}
		return nil
	})
	return recs, cursor, err
}
