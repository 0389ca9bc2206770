package storage

import (
	"bytes"
	"encoding/binary"
	"math"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// Position is a place between two calls in the order of their beginnings, for a
// job that walks through all of them. The zero Position is before every call.
type Position struct {
	Started call.Moment `json:"started"`
	Number  uint64      `json:"number"`
}

func (p Position) key() []byte {
	if p == (Position{}) {
		return summaryKey(math.MinInt64, 0)
	}
	return summaryKey(p.Started, p.Number)
}

// CallsAfter gives the next calls in order of their beginnings, oldest first, at
// most limit, and where the walk goes on. There are none left when it gives none.
func (d *DB) CallsAfter(p Position, limit int) (recs []*call.Record, next Position, err error) {
	next = p
	err = d.view(func(tx *bolt.Tx) error {
		return d.eachCallAfter(tx, p, limit, func(r *call.Record, at Position) {
			recs, next = append(recs, r), at
		})
	})
	if err != nil {
		return nil, p, &Error{Op: "read calls of", Path: d.path, Err: err}
	}
	return recs, next, nil
}

func (d *DB) eachCallAfter(tx *bolt.Tx, p Position, limit int, give func(*call.Record, Position)) error {
	c := inSummaries.of(tx).Cursor()
	feed := inFeed.of(tx)
	after := p.key()
	k, v := c.Seek(after)
	if bytes.Equal(k, after) {
		k, v = c.Next()
	}
	for ; k != nil && limit > 0; k, v = c.Next() {
		var s summary
		payload, err := d.codec.unseal(kindSummary, k, v)
		if err == nil {
			err = s.parse(payload)
		}
		if err != nil {
			return damagedAt(inSummaries, k, err)
		}
		rec, err := d.record(feed, s.seq)
		if err != nil {
			return err
		}
		give(rec, Position{momentOf(k), binary.BigEndian.Uint64(k[8:])})
		limit--
	}
	return nil
}

// States gives the named values whose names begin with prefix, by the rest of
// their names.
func (d *DB) States(prefix string) (map[string][]byte, error) {
	values := map[string][]byte{}
	err := d.view(func(tx *bolt.Tx) error {
		c := inState.of(tx).Cursor()
		for k, v := c.Seek([]byte(prefix)); bytes.HasPrefix(k, []byte(prefix)); k, v = c.Next() {
			payload, err := d.codec.unseal(kindState, k, v)
			if err != nil {
				return damagedAt(inState, k, err)
			}
			values[string(k[len(prefix):])] = bytes.Clone(payload)
		}
		return nil
	})
	if err != nil {
		return nil, &Error{Op: "read state of", Path: d.path, Err: err}
	}
	return values, nil
}

// walkStep is how many summaries are looked at in one transaction: a long one
// would keep the writer from using freed pages again.
const walkStep = 8192

// MissedBefore gives missed calls, newest first by StartedAt, that began before
// the position and not before from: at most limit of those whose types are
// wanted, and where each stands.
func (d *DB) MissedBefore(p Position, from call.Moment, wanted func(journal.Types) bool, limit int) (recs []*call.Record, at []Position, err error) {
	below, least := p.key(), momentKey(nil, from)
	var sum summary
	for done := false; !done; {
		err = d.view(func(tx *bolt.Tx) error {
			feed := inFeed.of(tx)
			c := inSummaries.of(tx).Cursor()
			k, v := seekBelow(c, below)
			for range walkStep {
				if done = k == nil || bytes.Compare(k, least) < 0 || len(recs) == limit; done {
					return nil
				}
				payload, err := d.codec.unseal(kindSummary, k, v)
				if err == nil {
					err = sum.parse(payload)
				}
				if err != nil {
					return damagedAt(inSummaries, k, err)
				}
				if sum.flags&flagMissed != 0 && wanted(journal.Types(sum.flags/flagTypes)) {
					rec, err := d.record(feed, sum.seq)
					if err != nil {
						return err
					}
					recs, at = append(recs, rec), append(at, Position{momentOf(k), binary.BigEndian.Uint64(k[8:])})
				}
				below = bytes.Clone(k)
				k, v = c.Prev()
			}
			return nil
		})
		if err != nil {
			return nil, nil, &Error{Op: "read calls of", Path: d.path, Err: err}
		}
	}
	return recs, at, nil
}
