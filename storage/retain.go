package storage

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Retention says what the journal need not keep.
type Retention struct {
	MaxAge   time.Duration // since the entry was committed; 0: for ever
	MaxBytes int64         // of UsedBytes; 0: no limit
	// MaxWait is how old an entry may get while a consumer that has not stored it
	// keeps it from being dropped; 0: for ever.
	MaxWait time.Duration
}

// Retained is what one Retain did.
type Retained struct {
	Dropped uint64 `json:"dropped"` // entries of the feed
	More    bool   `json:"more"`    // call again, after a breath
	HeldBy  string `json:"held_by"` // the consumer that still needs the oldest entry, or forward/NAME
	// Missed are the consumers that had not stored what was dropped, because it
	// had become older than MaxWait.
	Missed []Missed `json:"missed"`
}

// Missed is a consumer and how many entries it can never get any more.
type Missed struct {
	Consumer string `json:"consumer"`
	Entries  uint64 `json:"entries"`
}

const (
	// A slice takes a few milliseconds, so that calls need not wait for it.
	retainSlice = 64
	// Deleting needs pages too, because bbolt never changes one in place. When
	// there are hardly any, a few deletions still fit, and free more.
	retainSliceFull = 4
)

// Retain drops a small slice of the oldest entries that keep does not want, with
// the calls whose newest revision is among them. One that a consumer has not
// stored, or a forwarder has not sent or set aside, it leaves until keep.MaxWait.
func (d *DB) Retain(keep Retention) (Retained, error) {
	s := d.Stats()
	tooBig := keep.MaxBytes > 0 && s.UsedBytes > keep.MaxBytes
	if s.Oldest > s.Head || !tooBig && keep.MaxAge <= 0 {
		return Retained{}, nil
	}
	done, err := d.retain(keep, tooBig, retainSlice)
	if errors.Is(err, ErrFull) {
		done, err = d.retain(keep, tooBig, retainSliceFull)
	}
	return done, err
}

func (d *DB) retain(keep Retention, tooBig bool, slice int) (Retained, error) {
	var done Retained
	err := d.writeSmall("drop old entries of", func(u *update) error {
		var consumers []Consumer
		err := d.eachConsumer(u.tx, func(c Consumer) {
			if c.Journal == d.journal {
				consumers = append(consumers, c)
			}
		})
		if err == nil {
			err = d.eachForwarder(u.tx, func(f Forwarder) {
				if f.Journal == d.journal && !f.Retired {
					consumers = append(consumers, Consumer{Name: forwarderPrefix + f.Name, Journal: f.Journal, Seq: f.kept()})
				}
			})
		}
		if err != nil {
			return err
		}
		before := u.tail.Oldest
		totals := d.tally(&u.tail)
		if done, err = d.dropSlice(u, totals, keep, tooBig, slice, consumers); err != nil {
			return err
		}
		for _, c := range consumers {
			if n := c.Missed(u.tail.Oldest) - c.Missed(before); n > 0 {
				done.Missed = append(done.Missed, Missed{c.Name, n})
			}
		}
		return u.totals(totals)
	})
	if err != nil {
		return Retained{}, err
	}
	return done, nil
}

func (d *DB) dropSlice(u *update, totals *tally, keep Retention, tooBig bool, slice int, consumers []Consumer) (done Retained, err error) {
	t := &u.tail
	stored, last := t.Head, ""
	for _, c := range consumers {
		if c.Seq < stored {
			stored, last = c.Seq, c.Name
		}
	}
	now := d.now()
	for range slice {
		if t.Oldest > t.Head {
			return done, nil
		}
		key := numberKey(t.Oldest)
		e, num, err := d.codec.decodeEntry(key, u.bucket(inFeed).Get(key))
		if err != nil {
			return done, damagedAt(inFeed, key, err)
		}
		if !tooBig && e.At >= now.Add(-keep.MaxAge) {
			return done, nil
		}
		if t.Oldest > stored && (keep.MaxWait <= 0 || e.At >= now.Add(-keep.MaxWait)) {
			done.HeldBy = last
			return done, nil
		}
		if err := d.dropEntry(u, totals, &e, num); err != nil {
			return done, err
		}
		t.Oldest++
		done.Dropped++
	}
	done.More = true
	return done, nil
}

// dropEntry removes an entry and, if it is the newest word on its call or gap,
// what the indexes know of that.
func (d *DB) dropEntry(u *update, totals *tally, e *Entry, num uint64) error {
	if err := u.put(inFeed, numberKey(e.Seq), nil); err != nil {
		return err
	}
	switch e.Op {
	case OpCall:
		r, err := d.ref(u.tx, e.Call.ID)
		if errors.Is(err, ErrNotFound) || err == nil && r.seq != e.Seq {
			return nil // deleted, or there is a newer revision
		}
		if err != nil {
			return err
		}
		totals.change(e.Call, nil, r.num)
		is := touchOf(e.Call, r.num)
		is.without(u.putAll(&err))
		return errors.Join(
			err,
			u.put(inCalls, idKey(e.Call.ID), nil),
			u.put(inSummaries, summaryKey(r.started, r.num), nil),
			u.put(inWhy, numberKey(num), nil),
		)
	case OpGap:
		prefix, err := pbxKey(e.Gap.PBX)
		if err != nil {
			return err
		}
		key := momentKey(prefix, e.Gap.From)
		v := u.bucket(inGaps).Get(key)
		if v == nil {
			return nil
		}
		payload, err := d.codec.unseal(kindGap, key, v)
		if err != nil {
			return damagedAt(inGaps, key, err)
		}
		if seq, _ := binary.Uvarint(payload); seq == e.Seq {
			return u.put(inGaps, key, nil)
		}
	}
	return nil
}

// Erase removes calls for good, as a batch does that only deletes them and has
// Erase set. It gives how many of the calls there were.
func (d *DB) Erase(ids ...string) (int, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	n, err := d.erase(ids)
	if err != nil {
		return 0, &Error{Op: "erase from", Path: d.path, Err: err, Hint: commitHint(err)}
	}
	return n, nil
}

func (d *DB) erase(ids []string) (int, error) {
	b := Batch{Erase: true}
	err := d.view(func(tx *bolt.Tx) error {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
			switch _, err := d.ref(tx, id); {
			case err == nil:
				b.Entries = append(b.Entries, Entry{Op: OpDelete, ID: id})
			case !errors.Is(err, ErrNotFound):
				return err
			}
		}
		return nil
	})
	if err != nil || len(b.Entries) == 0 {
		return 0, err
	}
	if err := d.commit(&b); err != nil {
		return 0, err
	}
	return len(b.Entries), nil
}

// erase makes a delete of every entry that the feed has of the calls that the
// batch deletes. The delete at the end tells those who already have them. What
// the pages held is overwritten as they are used again; Compact leaves no trace.
func (w *writing) erase(b *Batch) error {
	return w.d.view(func(tx *bolt.Tx) error {
		feed := inFeed.of(tx)
		for i := range b.Entries {
			e := &b.Entries[i]
			r := w.refs[e.ID]
			if e.Op != OpDelete || r == nil {
				continue
			}
			for _, seq := range append(slices.Clone(r.others), r.seq) {
				key := numberKey(seq)
				v := feed.Get(key)
				if v == nil {
					continue // dropped by retention
				}
				old, _, err := w.d.codec.decodeEntry(key, v)
				if err != nil {
					return damagedAt(inFeed, key, err)
				}
				v, err = w.d.codec.encodeEntry(key, &Entry{At: old.At, Op: OpDelete, ID: e.ID}, 0)
				if err != nil {
					return err
				}
				w.put(inFeed, key, v)
			}
		}
		return nil
	})
}
