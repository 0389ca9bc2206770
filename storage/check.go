package storage

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
)

// Report is what Check found.
type Report struct {
	Path    string   `json:"path"`
	Agent   string   `json:"agent"` // who began it
	Journal string   `json:"journal"`
	Entries uint64   `json:"entries"`
	Calls   uint64   `json:"calls"`
	Values  uint64   `json:"values"`  // read, of all kinds
	Damage  []Damage `json:"damage"`  // the first 100
	Damaged uint64   `json:"damaged"` // all of them
}

// Damage is one thing that is not as it was written.
type Damage struct {
	Where string `json:"where"` // bucket and key, or page
	What  string `json:"what"`
}

const maxDamage = 100

func (r *Report) add(where, what string) {
	r.Damaged++
	if len(r.Damage) < maxDamage {
		r.Damage = append(r.Damage, Damage{where, what})
	}
}

// Check reads the whole journal at path, which nobody may have open, and changes
// nothing. Damage is in the report, not in the error.
func Check(path string) (Report, error) {
	r := Report{Path: path}
	unlock, damage, err := lockForReading(path)
	if err != nil {
		e := &Error{Op: "check", Path: path, Err: err}
		if errors.Is(err, ErrLocked) {
			e.Hint = "the daemon is running on it: ask the daemon, or check a backup"
		}
		return r, e
	}
	defer unlock()
	if damage != "" {
		r.add("file", damage)
		return r, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return r, &Error{Op: "check", Path: path, Err: err}
	}
	defer f.Close()
	i, err := f.Stat()
	if err != nil {
		return r, &Error{Op: "check", Path: path, Err: err}
	}
	file, err := readBoltFile(f, i.Size())
	if err == nil {
		err = checkFile(file, &r)
	}
	switch {
	case errors.Is(err, ErrDamaged):
		r.add("file", err.Error())
	case err != nil:
		return r, &Error{Op: "check", Path: path, Err: err}
	}
	return r, nil
}

// Check reads everything, as it is at this moment, while the journal is in use.
func (d *DB) Check() (Report, error) {
	r := Report{Path: d.path}
	tx, file, err := d.snapshot()
	if err != nil {
		return r, &Error{Op: "check", Path: d.path, Err: err}
	}
	err = errors.Join(checkFile(file, &r), tx.Rollback())
	if err != nil {
		return r, &Error{Op: "check", Path: d.path, Err: err}
	}
	if r.Damaged > 0 {
		d.noteDamage(fmt.Errorf("%s: %w: %s", r.Damage[0].Where, ErrDamaged, r.Damage[0].What))
	}
	return r, nil
}

// census counts what stands in a file, to be compared with the tail.
type census struct {
	codec   *codec
	schema  uint64
	journal string
	agent   string
	tail    tail
	extents [bucketCount]extent
}

// value takes one key and says what is wrong with it.
func (c *census) value(name string, key, value []byte) error {
	if name == string(metaBucket) {
		return c.meta(key, value)
	}
	in, ok := bucketNamed(name)
	if !ok {
		return nil // of a later version
	}
	if err := checkSum(key, value); err != nil {
		return err
	}
	c.extents[in].add(value)
	return nil
}

func (c *census) meta(key, value []byte) (err error) {
	switch string(key) {
	case string(keySchema):
		c.schema, err = c.codec.decodeSchema(value)
	case string(keyJournal):
		var id []byte
		id, err = c.codec.unseal(kindJournal, key, value)
		c.journal = string(id)
	case string(keyAgent):
		var name []byte
		name, err = c.codec.unseal(kindAgent, key, value)
		c.agent = string(name)
	case string(keyTail):
		if c.schema > schemaVersion {
			return nil
		}
		err = c.codec.unpack(kindTail, key, value, &c.tail)
	case string(keySalvaged):
		err = checkSum(key, value)
	}
	return err
}

// compare says what is not there, or not as it was.
func (c *census) compare(bad func(where, what string)) {
	if c.schema > schemaVersion {
		return // nothing that this version could judge
	}
	if c.schema == 0 || c.journal == "" || c.tail.Oldest == 0 {
		bad("meta", "it does not say what the journal is and where it ends")
		return
	}
	for in, want := range c.tail.Extents {
		switch got := c.extents[in]; {
		case got.Count != want.Count:
			bad(bucket(in).String(), fmt.Sprintf("%d values where %d belong", got.Count, want.Count))
		case got.Sum != want.Sum:
			bad(bucket(in).String(), "not the values that were written")
		}
	}
	if n := c.tail.Extents[inFeed].Count; n != c.tail.Head+1-c.tail.Oldest {
		bad("feed", fmt.Sprintf("%d entries from %d to %d", n, c.tail.Oldest, c.tail.Head))
	}
}

// check reads and understands every value and compares the indexes with the feed.
type check struct {
	census
	r *Report

	feed      map[uint64]uint64 // seq -> hash of the call's id, 0 for other entries
	refs      map[uint64]uint64 // seq -> hash of the id that names it
	summaries map[uint64]bool   // seqs that they name
	seed      maphash.Seed
	derived   derived
}

func checkFile(file *boltFile, r *Report) error {
	codec, err := newCodec()
	if err != nil {
		return err
	}
	c := &check{
		census: census{codec: codec}, r: r, seed: maphash.MakeSeed(),
		feed: map[uint64]uint64{}, refs: map[uint64]uint64{}, summaries: map[uint64]bool{},
	}
	if fault := file.metaFault(); fault != "" {
		r.add("file", fault)
	}
	c.derived.begin(file.tail(codec))
	w := file.newWalker(file.metas[0])
	w.bad = func(page uint64, what string) { r.add(fmt.Sprintf("page %d", page), what) }
	w.leaf = func(at location, e element) {
		r.Values++
		err := c.value(at.bucket, e.key, e.value)
		in, known := bucketNamed(at.bucket)
		if err == nil && known {
			err = c.read(in, e.key, e.value)
		}
		if err != nil {
			r.add(at.bucket+" "+keyText(in, e.key), err.Error())
		}
	}
	w.tree(w.meta.root, "", nil, nil, 0)
	w.free()
	r.Agent, r.Journal = c.agent, c.journal
	r.Entries, r.Calls = c.extents[inFeed].Count, c.extents[inCalls].Count
	c.compare(r.add)
	c.compareIndexes()
	c.derived.compare(r.add)
	return nil
}

func (c *check) compareIndexes() {
	for seq, id := range c.refs {
		if c.feed[seq] != id {
			c.r.add(fmt.Sprintf("feed %d", seq), "is not the call that an index takes it for")
		}
		if !c.summaries[seq] {
			c.r.add(fmt.Sprintf("feed %d", seq), "its call has no summary")
		}
	}
}

func (c *check) hash(key []byte) uint64 { return max(1, maphash.Bytes(c.seed, key)) }

func (c *check) read(in bucket, key, value []byte) (err error) {
	switch in {
	case inFeed:
		var e Entry
		var num uint64
		if e, num, err = c.codec.decodeEntry(key, value); err == nil {
			c.feed[e.Seq] = 0
			if e.Call != nil {
				c.feed[e.Seq] = c.hash(idKey(e.Call.ID))
				// Of the buckets, in order of their names, calls comes before feed.
				if _, newest := c.refs[e.Seq]; newest {
					c.derived.call(e.Call, num)
				}
			}
		}
	case inCalls:
		var r ref
		if r, err = c.codec.decodeRef(key, value); err == nil {
			c.refs[r.seq] = c.hash(key)
		}
	case inSummaries:
		var s summary
		var payload []byte
		if payload, err = c.codec.unseal(kindSummary, key, value); err == nil {
			err = s.parse(payload)
			c.summaries[s.seq] = true
		}
	case inWhy:
		_, err = c.codec.decodeWhy(key, value)
	case inWords:
		_, err = c.codec.unseal(kindWord, key, value)
	case inOpen:
		_, err = c.codec.decodeFact(key, value)
	case inState:
		_, err = c.codec.unseal(kindState, key, value)
	case inGaps:
		_, err = c.codec.unseal(kindGap, key, value)
	case inConsumers:
		var consumer Consumer
		err = c.codec.unpack(kindConsumer, key, value, &consumer)
	case inTouches:
		err = c.derived.touch(c.codec, key, value)
	case inMissed:
		err = c.derived.missed(c.codec, key, value)
	case inCells:
		err = c.derived.cell(c.codec, key, value)
	}
	return err
}

// lockForReading keeps writers away from a journal. damage says why it can not
// even be told that it is one.
func lockForReading(path string) (unlock func(), damage string, err error) {
	i, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	if !i.Mode().IsRegular() {
		return nil, "", errors.New("not a file")
	}
	// Opened so, bbolt takes its lock and looks at the two meta pages, no further.
	b, err := openBolt(path, &bolt.Options{ReadOnly: true})
	switch {
	case err == nil:
		return func() { _ = b.Close() }, "", nil
	case errors.Is(err, ErrLocked), errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		return nil, "", err
	case errors.Is(err, ErrDamaged):
		return func() {}, err.Error(), nil
	case i.Size() < 2*pageBytes:
		return func() {}, fmt.Sprintf("it has %d bytes", i.Size()), nil
	}
	return nil, "", err
}

// inspect says why a journal must not be given to bbolt, "" if it may: every
// page that bbolt would follow and every checksum is looked at, and that nothing
// is missing.
func inspect(path string) (damage string, err error) {
	i, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && i.Size() == 0 {
		return "", nil
	}
	unlock, damage, err := lockForReading(path)
	if err != nil || damage != "" {
		return damage, err
	}
	defer unlock()
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	// With the lock held the size may be another.
	if i, err = f.Stat(); err != nil {
		return "", err
	}
	defer readAhead(f, i.Size())()
	file, err := readBoltFile(f, i.Size())
	if errors.Is(err, ErrDamaged) {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	return firstFault(file)
}

const (
	aheadStep = 1 << 20
	aheadMost = 2 << 30 // of more, a small machine would forget the first before it is wanted
)

// readAhead reads a file from its beginning on, for nothing but that the machine
// then has it in memory: its trees lead to and fro, and a disk gives the pages in
// their order several times as fast. It goes on until it is ended.
func readAhead(r io.ReaderAt, size int64) (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, aheadStep)
		for at := int64(0); at < min(size, aheadMost); at += aheadStep {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := r.ReadAt(buf, at); err != nil {
				return // who wants that page comes upon it, too
			}
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}

// tail looks up where the journal stands, before its values are read.
func (f *boltFile) tail(codec *codec) (t tail) {
	w := f.newWalker(f.metas[0])
	w.only = string(metaBucket)
	w.leaf = func(at location, e element) {
		if string(e.key) == string(keyTail) {
			_ = codec.unpack(kindTail, e.key, e.value, &t) // damage is found when all is read
		}
	}
	w.tree(w.meta.root, "", nil, nil, 0)
	return t
}

// schema looks up the version alone: what a later version wrote must not be taken
// for damage, not even when it is damaged.
func (f *boltFile) schema(codec *codec) (version uint64) {
	w := f.newWalker(f.metas[0])
	w.only = string(metaBucket)
	w.leaf = func(at location, e element) {
		if string(e.key) == string(keySchema) {
			version, _ = codec.decodeSchema(e.value)
		}
	}
	w.tree(w.meta.root, "", nil, nil, 0)
	return version
}

func firstFault(file *boltFile) (damage string, err error) {
	if damage := file.metaFault(); damage != "" {
		return damage, nil
	}
	codec, err := newCodec()
	if err != nil {
		return "", err
	}
	if schema := file.schema(codec); schema > schemaVersion {
		return "", fmt.Errorf("schema %d, this is %d: %w", schema, schemaVersion, ErrVersion)
	}
	c := census{codec: codec}
	w := file.newWalker(file.metas[0])
	fault := func(where, what string) {
		if !w.stopped {
			damage, w.stopped = where+": "+what, true
		}
	}
	w.bad = func(page uint64, what string) { fault(fmt.Sprintf("page %d", page), what) }
	empty := true
	w.leaf = func(at location, e element) {
		empty = false
		if err := c.value(at.bucket, e.key, e.value); err != nil {
			in, _ := bucketNamed(at.bucket)
			fault(at.bucket+" "+keyText(in, e.key), err.Error())
		}
	}
	w.tree(file.metas[0].root, "", nil, nil, 0)
	w.free()
	if !empty { // otherwise the first start ended before its first commit
		c.compare(fault)
	}
	return damage, nil
}
