package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
)

// tail is where the journal stands. It is part of every commit.
type tail struct {
	Head       uint64              `cbor:"1,keyasint"`
	Oldest     uint64              `cbor:"2,keyasint"`
	Numbers    uint64              `cbor:"3,keyasint"` // given out to calls
	Commits    uint64              `cbor:"4,keyasint"`
	LastCommit call.Moment         `cbor:"5,keyasint"`
	Extents    [bucketCount]extent `cbor:"6,keyasint"`
	Counts     [2]count            `cbor:"7,keyasint"` // the cells in use, and those that are being made
}

// extent is how much a bucket holds: the count of its values and the sum of
// their checksums. A value that is not there any more has no wrong checksum;
// this is how its absence is noticed.
type extent struct {
	_     struct{} `cbor:",toarray"`
	Count uint64
	Sum   uint64
}

func (e *extent) add(value []byte)    { e.Count++; e.Sum += checksumOf(value) }
func (e *extent) remove(value []byte) { e.Count--; e.Sum -= checksumOf(value) }

// checksumOf gives the checksum at the end of a value.
func checksumOf(value []byte) uint64 {
	if len(value) < 4 {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(value[len(value)-4:]))
}

// update is a writing transaction. Everything but the meta bucket is changed
// through it, so that the extents stay right.
type update struct {
	tx      *bolt.Tx
	tail    tail
	buckets [bucketCount]*bolt.Bucket
	last    [bucketCount][]byte // no key in the bucket is greater
	moved   [][]byte            // keys of summaries
}

func (u *update) bucket(in bucket) *bolt.Bucket {
	b := u.buckets[in]
	if b == nil {
		b = in.of(u.tx)
		switch in {
		case inFeed, inWhy, inSummaries, inWords, inOpen:
			b.FillPercent = fullPages
		}
		u.buckets[in] = b
		last, _ := b.Cursor().Last()
		u.last[in] = bytes.Clone(last)
	}
	return b
}

// put writes a value; a nil one is removed.
func (u *update) put(in bucket, key, value []byte) error {
	b, extent := u.bucket(in), &u.tail.Extents[in]
	var old []byte
	if bytes.Compare(key, u.last[in]) <= 0 {
		old = b.Get(key)
	} else if value != nil { // most keys grow: this one need not be looked for
		u.last[in] = key
	}
	if bytes.Equal(old, value) {
		return nil
	}
	if in == inSummaries {
		u.moved = append(u.moved, key)
	}
	if old != nil {
		extent.remove(old)
	}
	if value == nil {
		return b.Delete(key)
	}
	extent.add(value)
	return b.Put(key, value)
}

// putAll is put for many values; the first error stays in err.
func (u *update) putAll(err *error) func(in bucket, key, value []byte) {
	return func(in bucket, key, value []byte) {
		if *err == nil {
			*err = u.put(in, key, value)
		}
	}
}

// totals adds what changed to the cells of statistics.
func (u *update) totals(t *tally) (err error) {
	damage := t.apply(u.bucket(inCells), u.putAll(&err))
	return errors.Join(damage, err)
}

// update runs fn in a writing transaction and gives the tail as it then is.
func (d *DB) update(fn func(u *update) error) (tail, error) {
	var u update
	err := d.change(func(tx *bolt.Tx) error {
		t, err := d.readTail(tx)
		if err != nil {
			return err
		}
		u = update{tx: tx, tail: t}
		if err := fn(&u); err != nil {
			return err
		}
		u.tail.Commits++
		d.moved, d.movedIn = u.moved, tx.ID()
		return d.writeTail(tx, &u.tail)
	})
	return u.tail, err
}

func (d *DB) readTail(tx *bolt.Tx) (tail, error) {
	var t tail
	v := tx.Bucket(metaBucket).Get(keyTail)
	if err := d.codec.unpack(kindTail, keyTail, v, &t); err != nil {
		return t, fmt.Errorf("%s %s: %w", metaBucket, keyTail, err)
	}
	return t, nil
}

func (d *DB) writeTail(tx *bolt.Tx, t *tail) error {
	v, err := d.codec.pack(kindTail, keyTail, t, nil)
	if err != nil {
		return err
	}
	return tx.Bucket(metaBucket).Put(keyTail, v)
}

// writeSmall runs a small change beside the batches, such as a consumer's word.
func (d *DB) writeSmall(op string, fn func(u *update) error) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	if _, err := d.settleLate(); err != nil {
		return &Error{Op: op, Path: d.path, Err: err}
	}
	t, err := d.update(fn)
	if err != nil {
		return &Error{Op: op, Path: d.path, Err: err}
	}
	d.publish(t)
	return nil
}
