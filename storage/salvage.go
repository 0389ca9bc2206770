package storage

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"calljournal/agent/call"
)

// Salvaged says how a journal came out of a damaged one.
type Salvaged struct {
	At      call.Moment `json:"at" cbor:"1,keyasint"`
	From    string      `json:"from" cbor:"2,keyasint"`   // the damaged file, set aside
	Reason  string      `json:"reason" cbor:"3,keyasint"` // why it was
	Entries uint64      `json:"entries" cbor:"4,keyasint"`
	Calls   uint64      `json:"calls" cbor:"5,keyasint"`
	Lost    uint64      `json:"lost" cbor:"6,keyasint"` // entries that could not be read; what is not known to have been is not counted
}

// Salvage saves what can be read of the journal at path into a new one at into,
// with a new journal id and the entries numbered from 1 in their old order.
// There must be no file at into.
func Salvage(path, into string, o Options) (Salvaged, error) {
	o = o.withDefaults()
	if _, err := os.Stat(into); err == nil {
		return Salvaged{}, &Error{Op: "salvage into", Path: into, Err: os.ErrExist}
	}
	s := Salvaged{From: path, Reason: "by hand", At: call.MomentOf(o.Now())}
	if err := salvage(path, into, &s, o); err != nil {
		return s, &Error{Op: "salvage", Path: path, Err: err}
	}
	return s, nil
}

// replaceDamaged puts what can be read of a journal in its place and the journal
// beside it. Killed at any moment, it leaves one or the other under the name.
func replaceDamaged(path, reason string, o Options) (Salvaged, error) {
	f, err := os.Open(path)
	if err != nil {
		return Salvaged{}, err
	}
	defer f.Close()
	if err := lockFile(f); err != nil {
		return Salvaged{}, err
	}
	now := o.Now()
	s := Salvaged{At: call.MomentOf(now), Reason: reason, From: asideName(path, now)}
	fresh := path + ".salvage"
	if err := os.RemoveAll(fresh); err != nil {
		return s, err
	}
	err = salvage(path, fresh, &s, o)
	if errors.Is(err, ErrFull) {
		newReserve(path+".reserve", o.Reserve, o.Now()).release()
		err = errors.Join(os.RemoveAll(fresh), salvage(path, fresh, &s, o))
	}
	if err != nil {
		// Better a daemon that runs on an empty journal than none: the damaged one
		// is kept, and Salvage can be tried again when the cause is gone.
		o.Logger.Error("nothing could be saved of a damaged journal", "path", path, "err", err)
		s.Entries, s.Calls, s.Reason = 0, 0, reason+"; and "+err.Error()
		if err := errors.Join(os.RemoveAll(fresh), begin(fresh, &s, o)); err != nil {
			return s, err
		}
	}
	if err := f.Close(); err != nil { // Windows renames no open file
		return s, err
	}
	// With a second name first, the journal's own name is never without a file.
	if err := os.Link(path, s.From); err != nil {
		if err := os.Rename(path, s.From); err != nil {
			return s, err
		}
	}
	if err := os.Rename(fresh, path); err != nil {
		return s, err
	}
	return s, syncFolder(path)
}

func asideName(path string, now time.Time) string {
	name := path + ".damaged-" + now.UTC().Format("20060102T150405Z")
	for i := 2; ; i++ {
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s.damaged-%s-%d", path, now.UTC().Format("20060102T150405Z"), i)
	}
}

func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	// Not every system can sync a folder; the names then last when they last.
	_ = d.Sync()
	return nil
}

// begin makes an empty journal that says what it came out of.
func begin(path string, s *Salvaged, o Options) error {
	d, err := openForSalvage(path, o)
	if err != nil {
		return err
	}
	return errors.Join(d.finishSalvage(s), d.Close())
}

func openForSalvage(path string, o Options) (*DB, error) {
	o.Reserve = -1
	o.NoSync = true // once, at the end
	return open(path, o)
}

func (d *DB) finishSalvage(s *Salvaged) error {
	v, err := d.codec.pack(kindSalvaged, keySalvaged, s, nil)
	if err != nil {
		return err
	}
	d.bolt.NoSync = false // this commit makes all of them last
	return d.writeSmall("finish", func(u *update) error { return u.tx.Bucket(metaBucket).Put(keySalvaged, v) })
}

// place is where a value stands in a damaged file.
type place struct {
	n     uint64 // seq of an entry, number of a call's reasons
	page  uint64
	index int
	value []byte // a copy, of what stands inside a bucket's value
}

// wreck is a damaged file and what was found in it.
type wreck struct {
	codec   *codec
	walk    *walker
	tail    tail
	entries []place
	why     []place
	facts   []Fact
	state   map[string][]byte
	faults  uint64
	// The newest tree that was found may not have been the newest.
	headHurt bool
	scanned  bool // all pages, not only those that a tree leads to

	page boltPage // read last
	buf  []byte
}

func salvage(path, into string, s *Salvaged, o Options) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	i, err := f.Stat()
	if err != nil {
		return err
	}
	w := &wreck{state: map[string][]byte{}}
	if w.codec, err = newCodec(); err != nil {
		return err
	}
	file, err := readBoltFile(f, i.Size())
	if err != nil {
		// No way in; but the pages may be there.
		file = &boltFile{r: f, size: i.Size()}
	}
	w.headHurt = file.metaFault() != ""
	w.explore(file)
	d, err := openForSalvage(into, o)
	if err != nil {
		return err
	}
	err = w.rebuild(d, s)
	if err == nil {
		err = d.finishSalvage(s)
	}
	return errors.Join(err, d.Close())
}

// explore finds every value that is still sound: first by the newest tree, then
// by the one before it, then page by page. Entries never change once written, so
// those on a page that no tree leads to are as good as any; what lives shorter,
// such as the facts of open calls, is only taken from the newest tree.
func (w *wreck) explore(f *boltFile) {
	whole := boltMeta{pageSize: pageBytes, pages: uint64(f.size / pageBytes)}
	if len(f.metas) > 0 {
		whole.pageSize, whole.pages = f.metas[0].pageSize, uint64(f.size/int64(f.metas[0].pageSize))
	}
	w.walk = f.newWalker(whole)
	for i, m := range f.metas {
		walk := f.newWalker(m)
		walk.bad = func(uint64, string) { w.faults++ }
		newest := i == 0
		walk.leaf = func(at location, e element) { w.take(at, e, newest) }
		walk.tree(m.root, "", nil, nil, 0)
		if newest && w.faults == 0 && !w.headHurt {
			w.sort()
			return
		}
	}
	w.scanned = true
	var buf []byte
	for id := uint64(2); id < whole.pages; id++ {
		var p boltPage
		var err error
		if p, buf, err = w.walk.read(id, buf); err != nil || p.flags != flagLeaf {
			continue
		}
		for i := range p.count {
			if e, ok := p.element(i); ok && !e.bucket {
				w.take(location{page: id, index: i}, e, false)
			}
		}
	}
	w.sort()
}

// take notes a value if it is sound. Without a bucket's name, kind and checksum
// say what it is.
func (w *wreck) take(at location, e element, newest bool) {
	if len(e.value) < sealBytes {
		return
	}
	kind := e.value[1]
	switch {
	case at.bucket == string(metaBucket) && string(e.key) == string(keyTail) && newest:
		kind = kindTail
	case kind == kindEntry && len(e.key) == 8, kind == kindWhy && len(e.key) == 8:
	case newest && (kind == kindFact || kind == kindState):
	default:
		return
	}
	payload, err := w.codec.unseal(kind, e.key, e.value)
	if err != nil {
		w.faults++
		return
	}
	switch kind {
	case kindTail:
		err = w.codec.unmarshal(payload, &w.tail)
	case kindEntry, kindWhy:
		p := place{n: binary.BigEndian.Uint64(e.key), page: at.page, index: at.index}
		if at.inline {
			p.value = slices.Clone(e.value)
		}
		if kind == kindEntry {
			w.entries = append(w.entries, p)
		} else {
			w.why = append(w.why, p)
		}
	case kindFact:
		var event call.Event
		if size := int(e.key[0]); len(e.key) == 1+size+8 {
			if event, err = w.codec.decodeFact(e.key, e.value); err == nil {
				w.facts = append(w.facts, Fact{PBX: string(e.key[1 : 1+size]), Event: &event})
			}
		}
	case kindState:
		w.state[string(e.key)] = slices.Clone(payload)
	}
	if err != nil {
		w.faults++
	}
}

// sort puts what was found in order, once each: the first found is the one that
// a tree leads to.
func (w *wreck) sort() {
	for _, list := range []*[]place{&w.entries, &w.why} {
		slices.SortStableFunc(*list, func(a, b place) int { return cmp.Compare(a.n, b.n) })
		*list = slices.CompactFunc(*list, func(a, b place) bool { return a.n == b.n })
	}
	if w.tail.Oldest == 0 {
		return
	}
	// Before the oldest are entries that were dropped; after the head those of a
	// commit that never was, unless the page that would know was hurt.
	w.entries = slices.DeleteFunc(w.entries, func(p place) bool {
		return p.n < w.tail.Oldest || p.n > w.tail.Head && !w.headHurt
	})
}

// value reads a value again.
func (w *wreck) value(p place) ([]byte, error) {
	if p.value != nil {
		return p.value, nil
	}
	if w.page.id != p.page || w.page.data == nil {
		var err error
		if w.page, w.buf, err = w.walk.read(p.page, w.buf); err != nil {
			w.page = boltPage{}
			return nil, err
		}
	}
	e, ok := w.page.element(p.index)
	if !ok {
		return nil, ErrDamaged
	}
	return e.value, nil
}

// rebuild commits what was found to a new journal.
func (w *wreck) rebuild(d *DB, s *Salvaged) error {
	const step = 256
	if n := len(w.entries); n > 0 {
		s.Lost = max(w.tail.Head, w.entries[n-1].n) + 1 - max(w.tail.Oldest, 1) - uint64(n)
	} else if w.tail.Oldest > 0 {
		s.Lost = w.tail.Head + 1 - w.tail.Oldest
	}
	erased := w.erased()
	var b Batch
	for i, p := range w.entries {
		if e, saved, err := w.entry(p); err != nil {
			s.Lost++
		} else {
			if e.Call != nil && p.n < erased[e.Call.ID] {
				e = Entry{At: e.At, Op: OpDelete, ID: e.Call.ID}
				if saved.value, err = w.codec.encodeEntry(numberKey(p.n), &e, 0); err != nil {
					return err
				}
			}
			b.Entries, b.saved = append(b.Entries, e), append(b.saved, saved)
		}
		if len(b.Entries) == step || i == len(w.entries)-1 {
			if err := d.commit(&b); err != nil {
				return err
			}
			s.Entries += uint64(len(b.Entries))
			b = Batch{}
		}
	}
	if err := d.commit(&Batch{Facts: w.facts, State: w.state}); err != nil {
		return err
	}
	s.Calls = d.tail.Extents[inCalls].Count
	return nil
}

// erased finds the calls that were erased, and where the feed says so. Pages that
// no tree leads to may still have them.
func (w *wreck) erased() map[string]uint64 {
	erased := map[string]uint64{}
	if !w.scanned {
		return erased
	}
	for _, p := range w.entries {
		var head struct { // an entry without the call, which is dear to read
			Op   uint8  `cbor:"2,keyasint"`
			ID   string `cbor:"6,keyasint"`
			Into string `cbor:"7,keyasint"`
		}
		if v, err := w.value(p); err != nil || w.codec.unpack(kindEntry, numberKey(p.n), v, &head) != nil {
			continue
		}
		if head.Op == opDelete && head.Into == "" {
			erased[head.ID] = p.n
		}
	}
	return erased
}

// entry reads an entry again, with the reasons of its call.
func (w *wreck) entry(p place) (Entry, savedEntry, error) {
	v, err := w.value(p)
	if err != nil {
		return Entry{}, savedEntry{}, err
	}
	e, num, err := w.codec.decodeEntry(numberKey(p.n), v)
	if err != nil {
		return Entry{}, savedEntry{}, err
	}
	s := savedEntry{num: num, value: slices.Clone(v)}
	i, ok := slices.BinarySearchFunc(w.why, num, func(p place, n uint64) int { return cmp.Compare(p.n, n) })
	if ok && num != 0 {
		if v, err := w.value(w.why[i]); err == nil {
			s.why = slices.Clone(v)
		}
	}
	return e, s, nil
}
