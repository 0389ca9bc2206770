package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
)

// record reads the call in an entry of the feed.
func (d *DB) record(feed *bolt.Bucket, seq uint64) (*call.Record, error) {
	e, err := d.revision(feed, seq)
	if err != nil {
		return nil, err
	}
	return e.Call, nil
}

// revision reads the entry that an index takes for one of a call.
func (d *DB) revision(feed *bolt.Bucket, seq uint64) (Entry, error) {
	key := numberKey(seq)
	v := feed.Get(key)
	if v == nil {
		return Entry{}, damagedAt(inFeed, key, fmt.Errorf("%w: an index names it and it is not there", ErrDamaged))
	}
	e, _, err := d.codec.decodeEntry(key, v)
	if err == nil && e.Call == nil {
		err = fmt.Errorf("%w: an index takes it for a call", ErrDamaged)
	}
	if err != nil {
		return Entry{}, damagedAt(inFeed, key, err)
	}
	return e, nil
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

// Revisions gives the entries of all revisions of a call that the feed still
// keeps, the newest last, or ErrNotFound.
func (d *DB) Revisions(id string) ([]Entry, error) {
	var revs []Entry
	err := d.view(func(tx *bolt.Tx) error {
		r, err := d.ref(tx, id)
		if err != nil {
			return err
		}
		for _, seq := range append(r.others, r.seq) {
			if inFeed.of(tx).Get(numberKey(seq)) == nil {
				continue // dropped by retention
			}
			e, err := d.revision(inFeed.of(tx), seq)
			if err != nil {
				return err
			}
			revs = append(revs, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("revisions of call %.200q: %w", id, err)
	}
	slices.SortStableFunc(revs, func(a, b Entry) int { return cmp.Compare(a.Call.Rev, b.Call.Rev) })
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
