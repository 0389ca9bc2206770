package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
)

// Report is what Check found.
type Report struct {
	Path    string   `json:"path"`
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
	unlock, damage, err := lockForReading(path)
	if err != nil {
		return Report{Path: path}, &Error{Op: "check", Path: path, Err: err, Hint: checkHint(err)}
	}
	defer unlock()
	r := Report{Path: path}
	if damage != "" {
		r.add("file", damage)
		return r, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return r, &Error{Op: "check", Path: path, Err: err}
	}
	defer f.Close()
	if err := checkFile(f, 0, &r); err != nil {
		return r, &Error{Op: "check", Path: path, Err: err}
	}
	return r, nil
}

func checkHint(err error) string {
	if errors.Is(err, ErrLocked) {
		return "the daemon is running on it: ask the daemon, or check a backup"
	}
	return ""
}

// Check reads everything, as it is at this moment, while the journal is in use.
func (d *DB) Check() (Report, error) {
	r := Report{Path: d.path}
	d.writing.Lock() // so that the meta page is still there when we look for it
	tx, err := d.bolt.Begin(false)
	if err != nil {
		d.writing.Unlock()
		return r, &Error{Op: "check", Path: d.path, Err: d.boltError(err)}
	}
	// Its pages stay as they are for as long as the transaction is open.
	defer func() { _ = tx.Rollback() }()
	check, err := newCheck(d.file, uint64(tx.ID()), &r)
	d.writing.Unlock()
	if err == nil {
		check.run()
	}
	if err != nil {
		return r, &Error{Op: "check", Path: d.path, Err: err}
	}
	if r.Damaged > 0 {
		d.noteDamage(fmt.Errorf("%s: %w: %s", r.Damage[0].Where, ErrDamaged, r.Damage[0].What))
	}
	return r, nil
}

// checkFile checks the tree of one transaction, or the newest if that is 0.
func checkFile(f *os.File, transaction uint64, r *Report) error {
	c, err := newCheck(f, transaction, r)
	if err != nil {
		return err
	}
	c.run()
	return nil
}

// check reads every value and compares the indexes with the feed.
type check struct {
	r      *Report
	codec  *codec
	walk   *walker
	seed   maphash.Seed
	tail   tail
	schema uint64

	feed      map[uint64]uint64 // seq -> hash of the call's id, 0 for other entries
	refs      map[uint64]uint64 // seq -> hash of the id that names it
	summaries map[uint64]bool   // seqs that they name
	words     uint64
	facts     uint64
}

func newCheck(f *os.File, transaction uint64, r *Report) (*check, error) {
	i, err := f.Stat()
	if err != nil {
		return nil, err
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	c := &check{
		r: r, codec: codec, seed: maphash.MakeSeed(),
		feed: map[uint64]uint64{}, refs: map[uint64]uint64{}, summaries: map[uint64]bool{},
	}
	file, err := readBoltFile(f, i.Size())
	if err != nil {
		r.add("file", err.Error())
		return c, nil
	}
	meta := file.metas[0]
	for _, m := range file.metas {
		if m.transaction == transaction {
			meta = m
		}
	}
	if int64(meta.pages) > file.size/int64(meta.pageSize) {
		r.add("file", fmt.Sprintf("ends after %d of %d pages", file.size/int64(meta.pageSize), meta.pages))
	}
	c.walk = file.newWalker(meta)
	c.walk.bad = func(page uint64, what string) { r.add(fmt.Sprintf("page %d", page), what) }
	c.walk.leaf = c.value
	return c, nil
}

func (c *check) run() {
	if c.walk == nil {
		return
	}
	c.walk.tree(c.walk.meta.root, "", nil, nil, 0)
	c.walk.free()
	c.compare()
}

// value checks one key of any bucket.
func (c *check) value(at location, e element) {
	c.r.Values++
	if err := c.read(at.bucket, e.key, e.value); err != nil {
		c.r.add(at.bucket+" "+keyText([]byte(at.bucket), e.key), err.Error())
	}
}

func (c *check) hash(key []byte) uint64 { return max(1, maphash.Bytes(c.seed, key)) }

func (c *check) read(bucket string, key, value []byte) error {
	switch bucket {
	case string(bucketMeta):
		return c.readMeta(key, value)
	case string(bucketFeed):
		e, _, err := c.codec.decodeEntry(key, value)
		if err != nil {
			return err
		}
		c.r.Entries++
		c.feed[e.Seq] = 0
		if e.Call != nil {
			c.feed[e.Seq] = c.hash(idKey(e.Call.ID))
		}
	case string(bucketCalls):
		ref, err := c.codec.decodeRef(key, value)
		if err != nil {
			return err
		}
		c.r.Calls++
		c.refs[ref.seq] = c.hash(key)
	case string(bucketSummaries):
		payload, err := c.codec.unseal(kindSummary, key, value)
		var s summary
		if err == nil {
			err = s.parse(payload)
		}
		if err != nil {
			return err
		}
		c.summaries[s.seq] = true
	case string(bucketWhy):
		_, err := c.codec.decodeWhy(key, value)
		return err
	case string(bucketOpen):
		c.facts++
		_, err := c.codec.decodeFact(key, value)
		return err
	case string(bucketWords):
		c.words++
		_, err := c.codec.unseal(kindWord, key, value)
		return err
	case string(bucketState):
		_, err := c.codec.unseal(kindState, key, value)
		return err
	case string(bucketGaps):
		_, err := c.codec.unseal(kindGap, key, value)
		return err
	case string(bucketConsumers):
		var consumer Consumer
		return c.codec.unpack(kindConsumer, key, value, &consumer)
	default:
		return errors.New("a bucket that does not belong here")
	}
	return nil
}

func (c *check) readMeta(key, value []byte) error {
	switch string(key) {
	case string(keySchema):
		c.schema, _ = binary.Uvarint(value)
	case string(keyJournal):
		c.r.Journal = string(value)
	case string(keyTail):
		return c.codec.unpack(kindTail, key, value, &c.tail)
	case string(keySalvaged):
		var s Salvaged
		return c.codec.unpack(kindSalvaged, key, value, &s)
	}
	return nil
}

// compare looks at what must agree between the buckets.
func (c *check) compare() {
	switch {
	case c.schema > schemaVersion:
		c.r.add("meta", fmt.Sprintf("schema %d is newer than this program's %d", c.schema, schemaVersion))
		return
	case c.schema == 0 || c.r.Journal == "" || c.tail.Oldest == 0:
		c.r.add("meta", "it does not say what the journal is and where it ends")
		return
	}
	missing := uint64(0)
	for seq := c.tail.Oldest; seq <= c.tail.Head; seq++ {
		if _, ok := c.feed[seq]; !ok {
			if missing++; missing == 1 {
				c.r.add(fmt.Sprintf("feed %d", seq), "missing")
			}
		}
	}
	if missing > 1 {
		c.r.add("feed", fmt.Sprintf("%d entries are missing in all", missing))
	}
	if kept := c.tail.Head + 1 - c.tail.Oldest; c.r.Entries > kept {
		c.r.add("feed", fmt.Sprintf("%d entries where %d belong", c.r.Entries, kept))
	}
	for seq, id := range c.refs {
		if c.feed[seq] != id {
			c.r.add(fmt.Sprintf("feed %d", seq), "is not the call that an index takes it for")
		}
		if !c.summaries[seq] {
			c.r.add(fmt.Sprintf("feed %d", seq), "its call has no summary")
		}
	}
	for seq := range c.summaries {
		if _, ok := c.refs[seq]; !ok {
			c.r.add(fmt.Sprintf("feed %d", seq), "has the summary of a call that is not there")
		}
	}
	if c.r.Calls != c.tail.Calls {
		c.r.add("calls", fmt.Sprintf("%d where %d belong", c.r.Calls, c.tail.Calls))
	}
	if c.facts != c.tail.OpenFacts {
		c.r.add("open", fmt.Sprintf("%d facts where %d belong", c.facts, c.tail.OpenFacts))
	}
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

// inspect says why a journal must not be given to bbolt, "" if it may.
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
	file, err := readBoltFile(f, i.Size())
	if errors.Is(err, ErrDamaged) {
		return err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	if damage := file.firstFault(); damage != "" {
		return damage, nil
	}
	return inspectMarked(path, f)
}

// inspectMarked reads everything if an earlier run came across damage.
func inspectMarked(path string, f *os.File) (damage string, err error) {
	if _, err := os.Stat(hurtMark(path)); err != nil {
		return "", nil
	}
	var r Report
	if err := checkFile(f, 0, &r); err != nil {
		return "", err
	}
	if r.Damaged > 0 {
		return fmt.Sprintf("%s: %s (%d in all)", r.Damage[0].Where, r.Damage[0].What, r.Damaged), nil
	}
	// What was read wrong then is right now: the memory or the bus, not the file.
	return "", os.Remove(hurtMark(path))
}
