package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// Counting is what the cells of statistics depend on beside the calls.
type Counting struct {
	Zone         *time.Location // whose days they are of; nil: UTC
	ServiceLevel time.Duration  // 0: that of journal.DefaultRules
}

func (c Counting) withDefaults() Counting {
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.ServiceLevel == 0 {
		c.ServiceLevel = journal.DefaultRules().ServiceLevel
	}
	return c
}

// count is one set of cells in the file. There are two while the calls are
// counted anew: those in use, and those that are being made.
//
//	Recount:  calls in order of time ──▶ |counted|     not yet      |
//	Commit:   a call that changes        changes   waits for Recount
//	                                     the cell
type count struct {
	_         struct{}    `cbor:",toarray"`
	Gen       uint32      // begins the keys of the cells; 0: there are none
	Zone      string      // the name of the time zone
	Mark      uint32      // of its offsets: a name may mean something else tomorrow
	ServiceMs int64       //
	Whole     bool        // every call is counted
	Started   call.Moment // else those whose summaries have keys up to this
	Num       uint64
}

func (c Counting) count(gen uint32) count {
	c = c.withDefaults()
	return count{Gen: gen, Zone: c.Zone.String(), Mark: zoneMark(c.Zone), ServiceMs: c.ServiceLevel.Milliseconds()}
}

// alike says that both count the same.
func (c count) alike(o count) bool {
	return c.Gen != 0 && o.Gen != 0 && c.Zone == o.Zone && c.Mark == o.Mark && c.ServiceMs == o.ServiceMs
}

// covers says whether the cells count the call with that summary.
func (c count) covers(started call.Moment, num uint64) bool {
	return c.Gen != 0 && (c.Whole || started < c.Started || started == c.Started && num <= c.Num)
}

// rules are those by which it counts. shares need no others.
func (c count) rules() journal.Rules {
	return journal.Rules{ServiceLevel: time.Duration(c.ServiceMs) * time.Millisecond}
}

// zoneMark tells time zones apart by what they do, not by what they are called:
// the name of a machine's own is Local on all of them.
func zoneMark(z *time.Location) uint32 {
	h := crc32.New(castagnoli)
	for day := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2060; day = day.AddDate(0, 0, 10) {
		_, offset := day.In(z).Zone()
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], uint32(int32(offset)))
		h.Write(b[:])
	}
	return h.Sum32()
}

// zones are the time zones of the cells, which are dear to compare.
type zones struct {
	mu    sync.Mutex
	known map[zoneName]*time.Location // nil: this machine has none such
}

type zoneName struct {
	name string
	mark uint32
}

func (z *zones) add(l *time.Location) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.known == nil {
		z.known = map[zoneName]*time.Location{}
	}
	z.known[zoneName{l.String(), zoneMark(l)}] = l
}

// find gives the time zone of cells, nil if there are none or it is not known.
func (z *zones) find(c count) *time.Location {
	if c.Gen == 0 {
		return nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	name := zoneName{c.Zone, c.Mark}
	l, ok := z.known[name]
	if !ok {
		if l, _ = time.LoadLocation(c.Zone); l != nil && zoneMark(l) != c.Mark {
			l = nil
		}
		if z.known == nil {
			z.known = map[zoneName]*time.Location{}
		}
		z.known[name] = l
	}
	return l
}

// cellKey keeps the cells of a day together: they change together, and the days
// follow each other.
func cellKey(gen uint32, k journal.Key) []byte {
	b := cellsOf(gen, k.Day)
	b = append(b, byte(k.By))
	return append(b, nameKey(k.Name)...)
}

func cellsOf(gen uint32, day journal.Day) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 40), gen)
	return binary.BigEndian.AppendUint32(b, uint32(day)^(1<<31))
}

const wholeName = 200

// nameKey is a name in a key, which may not be of any length; a value has the
// name if the key has only the beginning of it.
func nameKey(name string) []byte {
	if len(name) <= wholeName {
		return []byte(name)
	}
	h := sha256.Sum256([]byte(name))
	return append([]byte(name[:wholeName]), h[:]...)
}

func sealCell(key []byte, name string, c *journal.Cell) []byte {
	if len(name) <= wholeName {
		name = ""
	}
	return seal(kindCell, key, c.Append(appendBytes(nil, name)))
}

// decodeCell reads a cell into c, whose memory it uses again.
func (c *codec) decodeCell(key, value []byte, cell *journal.Cell) (gen uint32, k journal.Key, err error) {
	if len(key) < 9 {
		return 0, k, fmt.Errorf("%w: no key of a cell", ErrDamaged)
	}
	payload, err := c.unseal(kindCell, key, value)
	if err != nil {
		return 0, k, err
	}
	gen = binary.BigEndian.Uint32(key)
	k.Day = dayOf(key)
	k.By = journal.By(key[8])
	p := parts{b: payload}
	if k.Name = p.text(); k.Name == "" {
		k.Name = string(key[9:])
	}
	if p.bad {
		return 0, k, fmt.Errorf("%w: cell ends too early", ErrDamaged)
	}
	if err := cell.Parse(p.b); err != nil {
		return 0, k, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return gen, k, nil
}

// tally gathers what changes in the cells.
type tally struct {
	codec  *codec
	counts [2]count
	deltas [2]*journal.Deltas // nil: no cells there
	// calls are those that change, by their numbers, from what the cells know to
	// the last word on each: what was said and taken back in between was never in
	// a cell, and a longest time of it never to be taken out of one.
	calls map[uint64]turn
}

// turn is what a call was and what it is; nil: nothing.
type turn struct{ was, now *call.Record }

// tally begins with the cells as they are now. Cells of a time zone that this
// machine does not know, or knows otherwise, it could not keep right: they are
// let go, and Recount makes others.
func (d *DB) tally(t *tail) *tally {
	x := &tally{codec: d.codec, calls: map[uint64]turn{}}
	for i := range t.Counts {
		if t.Counts[i].Gen == 0 {
			continue
		}
		z := d.zones.find(t.Counts[i])
		if z == nil {
			t.Counts[i] = count{}
			continue
		}
		x.deltas[i] = journal.NewDeltas(journal.NewCalendar(z), t.Counts[i].rules())
	}
	x.counts = t.Counts
	return x
}

// change takes in that a call was one thing and is another; either may be nil.
func (t *tally) change(was, now *call.Record, num uint64) {
	if before, ok := t.calls[num]; ok {
		was = before.was
	}
	t.calls[num] = turn{was, now}
}

// count puts what a call changes into the deltas.
func (t *tally) count(num uint64, was, now *call.Record) {
	for i, d := range t.deltas {
		if d == nil {
			continue
		}
		was, now := was, now
		if was != nil && !t.counts[i].covers(was.StartedAt, num) {
			was = nil
		}
		if now != nil && !t.counts[i].covers(now.StartedAt, num) {
			now = nil
		}
		d.Change(was, now)
	}
}

// apply adds what has changed to the cells.
func (t *tally) apply(cells *bolt.Bucket, put func(in bucket, key, value []byte)) error {
	for num, c := range t.calls {
		t.count(num, c.was, c.now)
	}
	clear(t.calls)
	var cell journal.Cell
	for i, d := range t.deltas {
		if d == nil {
			continue
		}
		for k, delta := range d.Cells {
			key := cellKey(t.counts[i].Gen, k)
			if v := cells.Get(key); v == nil {
				cell = journal.Cell{}
			} else if _, _, err := t.codec.decodeCell(key, v, &cell); err != nil {
				return damagedAt(inCells, key, err)
			}
			cell.Replace(delta)
			if cell.Empty() {
				put(inCells, key, nil)
			} else {
				put(inCells, key, sealCell(key, k.Name, &cell))
			}
		}
	}
	return nil
}

const (
	recountSlice  = 128
	recountDelete = 1024
)

// Cells gives the totals of every group of a grouping on each day of [from, to),
// in order of the days, as they are at one moment, and says how they are counted:
// the days are those of its time zone. What give gets is valid only inside it.
// ok is false, and nothing is given, while there are no cells: in a journal of an
// earlier version, until Recount is done.
func (d *DB) Cells(by journal.By, from, to journal.Day, give func(journal.Key, *journal.Cell) error) (how Counting, ok bool, err error) {
	err = d.view(func(tx *bolt.Tx) error {
		t, err := d.readTail(tx)
		if err != nil {
			return err
		}
		using := t.Counts[0]
		if how.Zone = d.zones.find(using); how.Zone == nil {
			return nil
		}
		how.ServiceLevel, ok = using.rules().ServiceLevel, true
		return d.cells(tx, using.Gen, by, from, to, give)
	})
	if err != nil {
		return how, ok, &Error{Op: "read totals of", Path: d.path, Err: err}
	}
	return how, ok, nil
}

func (d *DB) cells(tx *bolt.Tx, gen uint32, by journal.By, from, to journal.Day, give func(journal.Key, *journal.Cell) error) error {
	var cell journal.Cell
	c := inCells.of(tx).Cursor()
	for day := from; day < to; day++ {
		prefix := append(cellsOf(gen, day), byte(by))
		k, v := c.Seek(prefix)
		if len(k) < 9 || !bytes.Equal(k[:4], prefix[:4]) {
			return nil // no more of them
		}
		// Days on which nothing was counted are not looked at one by one.
		if next := dayOf(k); next > day {
			day = next - 1
			continue
		}
		for ; bytes.HasPrefix(k, prefix); k, v = c.Next() {
			_, key, err := d.codec.decodeCell(k, v, &cell)
			if err != nil {
				return damagedAt(inCells, k, err)
			}
			if err := give(key, &cell); err != nil {
				return err
			}
		}
	}
	return nil
}

// dayOf is the day in the key of a cell.
func dayOf(key []byte) journal.Day {
	return journal.Day(binary.BigEndian.Uint32(key[4:]) ^ (1 << 31))
}

// Recounted is what one Recount did.
type Recounted struct {
	Calls int  // counted in this slice
	More  bool // call again, after a breath
}

// Recount makes the cells count as asked, a small slice at a time, and in a
// journal of an earlier version the histories as well. Until it is done, Cells
// gives those of before. A change of mind begins anew.
func (d *DB) Recount(want Counting) (Recounted, error) {
	var done Recounted
	want = want.withDefaults()
	d.zones.add(want.Zone)
	err := d.writeSmall("count the calls of", func(u *update) error {
		done = Recounted{}
		d.tally(&u.tail) // lets go what cannot be kept right
		is := want.count(1)
		using, making := &u.tail.Counts[0], &u.tail.Counts[1]
		if using.alike(is) && making.Gen == 0 {
			n, err := d.dropCells(u, using.Gen)
			done.More = n == recountDelete
			return err
		}
		done.More = true
		if !making.alike(is) {
			*making = count{}
			if n, err := d.dropCells(u, using.Gen); err != nil || n == recountDelete || using.alike(is) {
				return err
			}
			is.Gen = using.Gen%math.MaxUint32 + 1
			is.Started = math.MinInt64
			*making = is
		}
		// The last slice is the one that is not full: while calls arrive there is
		// always another one to be counted.
		if err := d.recountSlice(u, &done); err != nil || done.Calls == recountSlice {
			return err
		}
		making.Whole, making.Started, making.Num = true, 0, 0
		*using, *making = *making, count{}
		return nil
	})
	if err != nil {
		return Recounted{}, err
	}
	return done, nil
}

// recountSlice counts the next calls.
func (d *DB) recountSlice(u *update, done *Recounted) error {
	making := &u.tail.Counts[1]
	var recs []*call.Record
	var places []Position
	err := d.eachCallAfter(u.tx, Position{making.Started, making.Num}, recountSlice, func(r *call.Record, at Position) {
		recs, places = append(recs, r), append(places, at)
	})
	if err != nil || len(recs) == 0 {
		return err
	}
	done.Calls = len(recs)
	last := places[len(places)-1]
	making.Started, making.Num = last.Started, last.Number
	t := d.tally(&u.tail)
	t.deltas[0] = nil
	put := u.putAll(&err)
	for i, r := range recs {
		t.change(nil, r, places[i].Number)
		if is := touchOf(r, places[i].Number); u.bucket(inTouches).Get(is.key()) == nil {
			is.with(d.codec, put)
		}
	}
	return errors.Join(err, u.totals(t))
}

// dropCells removes some of the cells that are not of gen.
func (d *DB) dropCells(u *update, gen uint32) (n int, err error) {
	var keys [][]byte
	c := inCells.of(u.tx).Cursor()
	for k, _ := c.First(); k != nil && len(keys) < recountDelete; k, _ = c.Next() {
		if binary.BigEndian.Uint32(k) == gen {
			if gen == math.MaxUint32 {
				break
			}
			if k, _ = c.Seek(binary.BigEndian.AppendUint32(nil, gen+1)); k == nil {
				break
			}
		}
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := u.put(inCells, k, nil); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}
