package storage

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

const (
	defaultFeedLimit = 500
	maxFeedLimit     = 5000
	maxFeedBytes     = 8 << 20 // as stored; a page is held in memory whole
)

// Page is a stretch of the feed.
type Page struct {
	Entries            []Entry
	Next, Head, Oldest uint64
}

// Feed gives up to limit entries with Seq > after, without a hole; 0 begins at
// the oldest that is kept. It fails with ErrExpired when entries after that
// number were already dropped, and with ErrAhead when there never was such a
// number.
func (d *DB) Feed(after uint64, limit int) (Page, error) {
	if limit <= 0 {
		limit = defaultFeedLimit
	}
	var entries []Entry
	p, err := d.walkFeed(after, min(limit, maxFeedLimit), maxFeedBytes, func(k, v []byte) (int, error) {
		e, _, err := d.codec.decodeEntry(k, v)
		if err == nil {
			entries = append(entries, e)
		}
		return len(v), err
	})
	p.Entries = entries
	return p, err
}

// FeedJSON is Feed for whoever passes the entries on: it appends them to b as GET
// /v1/sync shows them, with commas between, until there are limit of them or they
// have size bytes, whichever comes first. The Page has no Entries.
func (d *DB) FeedJSON(b []byte, after uint64, limit, size int) ([]byte, Page, error) {
	scratch, _ := d.unpacked.Get().(*[]byte)
	if scratch == nil {
		scratch = new([]byte)
	}
	begin := len(b)
	p, err := d.walkFeed(after, limit, size, func(k, v []byte) (n int, err error) {
		before := len(b)
		if before > begin {
			b = append(b, ',')
		}
		if b, *scratch, err = d.codec.appendEntry(b, *scratch, k, v); err != nil {
			b = b[:before]
		}
		return len(b) - before, err
	})
	if cap(*scratch) <= 1<<20 { // one giant must not stay for ever
		d.unpacked.Put(scratch)
	}
	return b, p, err
}

// walkFeed gives entries after a number, as they lie in the file, until there are
// limit of them or those given have size bytes, as give counts them.
func (d *DB) walkFeed(after uint64, limit, size int, give func(k, v []byte) (int, error)) (Page, error) {
	d.mu.RLock()
	t := d.tail
	d.mu.RUnlock()
	p := Page{Next: after, Head: t.Head, Oldest: t.Oldest}
	switch {
	case after > t.Head:
		return p, fmt.Errorf("entries after %d: %w, which is %d", after, ErrAhead, t.Head)
	case after == 0:
		p.Next = t.Oldest - 1
	case after+1 < t.Oldest:
		return p, fmt.Errorf("entries after %d: %w: the oldest is %d", after, ErrExpired, t.Oldest)
	}
	if p.Next == t.Head {
		return p, nil
	}
	given := 0
	err := d.view(func(tx *bolt.Tx) error {
		c := inFeed.of(tx).Cursor()
		for k, v := c.Seek(numberKey(p.Next + 1)); k != nil && given < limit && size > 0; k, v = c.Next() {
			if len(k) != 8 {
				return damagedAt(inFeed, k, fmt.Errorf("%w: no number", ErrDamaged))
			}
			seq := binary.BigEndian.Uint64(k)
			if seq > t.Head {
				break // not confirmed by the disk yet
			}
			if seq != p.Next+1 {
				break // dropped meanwhile, or a hole
			}
			n, err := give(k, v)
			if err != nil {
				return damagedAt(inFeed, k, err)
			}
			p.Next = seq
			given++
			size -= n
		}
		return nil
	})
	if err != nil && given > 0 && errors.Is(err, ErrDamaged) {
		return p, nil // what comes before the damage is good; the next page reports it
	}
	if err != nil {
		return p, &Error{Op: "read the feed of", Path: d.path, Err: err}
	}
	if given == 0 {
		if p.Next+1 < d.Oldest() {
			return p, fmt.Errorf("entries after %d: %w", after, ErrExpired)
		}
		err := fmt.Errorf("%w: entry %d is missing", ErrDamaged, p.Next+1)
		d.noteDamage(err)
		return p, &Error{Op: "read the feed of", Path: d.path, Err: err}
	}
	return p, nil
}

// Head is the number of the newest entry, 0 if there was none yet.
func (d *DB) Head() uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.tail.Head
}

// Oldest is the smallest number that is still kept; Head+1 if none is.
func (d *DB) Oldest() uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.tail.Oldest
}

// Changed gives a channel that the next Commit with entries closes, and Close.
// Take it before reading the feed, so that no change falls between the two.
func (d *DB) Changed() <-chan struct{} {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.changed
}
