package storage

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
)

// Forwarder is how far one that sends entries on has come. What changes together
// is written in one transaction: no cursor is ever ahead of the dead letters that
// it left behind.
type Forwarder struct {
	Name    string      `json:"name" cbor:"1,keyasint"`
	Journal string      `json:"journal" cbor:"2,keyasint"`         // that the numbers are of
	Seq     uint64      `json:"seq" cbor:"3,keyasint"`             // everything up to here was taken by the far side, set aside, or not wanted
	Until   uint64      `json:"until" cbor:"4,keyasint,omitempty"` // end of the batch being sent: a resend, also after a restart, ends there again
	At      call.Moment `json:"at" cbor:"5,keyasint"`              // when Seq last moved
	// Refused counts entries set aside since the far side last took one. Many in
	// a row say that it is not the entries that are wrong.
	Refused int          `json:"refused" cbor:"6,keyasint,omitempty"`
	Dead    []DeadLetter `json:"dead" cbor:"-"` // by number
	// Retired: it is configured no more. Its place is kept, but nothing waits for it.
	Retired bool `json:"retired" cbor:"8,keyasint,omitempty"`
	// Missed counts entries that were gone before they were sent: dropped by a
	// retention that could not wait.
	Missed uint64 `json:"missed" cbor:"9,keyasint,omitempty"`
}

// DeadLetter is an entry that the far side refused for itself. The entry stays in
// the feed, so that it can be sent again as it was, and is erased along with its call.
type DeadLetter struct {
	Seq   uint64      `json:"seq" cbor:"1,keyasint"`
	Call  string      `json:"call" cbor:"2,keyasint"` // its id; "" of a gap
	At    call.Moment `json:"at" cbor:"3,keyasint"`   // when it was set aside
	Tries int         `json:"tries" cbor:"4,keyasint,omitempty"`
	Error string      `json:"error" cbor:"5,keyasint,omitempty"`
	Again bool        `json:"again" cbor:"6,keyasint,omitempty"` // somebody asked to send it once more
	Gone  bool        `json:"-" cbor:"-"`                        // to SetForwarder: it is no more
}

// kept is the number of the last entry that it needs no more.
func (f *Forwarder) kept() uint64 {
	seq := f.Seq
	for _, l := range f.Dead {
		seq = min(seq, l.Seq-1)
	}
	return seq
}

// Keys among the states, which a salvaged journal keeps. A dead letter has one of
// its own, so that a cursor that moves is a small write however many there are.
const (
	forwarderPrefix  = "forward/"
	deadPrefix       = "forward-dead/"
	maxForwarderName = 200
)

// ErrForwarder: a name that cannot be a forwarder's.
var ErrForwarder = errors.New("no such forwarder is possible")

func forwarderKey(name string) ([]byte, error) {
	if name == "" || len(name) > maxForwarderName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '/' }) {
		return nil, fmt.Errorf("forwarder %.40q: %w: a name has 1 to %d printable bytes and no slash", name, ErrForwarder, maxForwarderName)
	}
	return []byte(forwarderPrefix + name), nil
}

func deadKeys(name string) []byte { return []byte(deadPrefix + name + "/") }

// SetForwarder notes how far a forwarder has come, and in the same transaction
// what became of dead letters: those given replace what there was under their
// numbers, gone ones are removed, all others stay. f.Dead is not looked at. The
// Journal of f may be another one: then nothing of this journal is kept for it.
func (d *DB) SetForwarder(f Forwarder, dead ...DeadLetter) error {
	key, err := forwarderKey(f.Name)
	if err != nil {
		return err
	}
	f.Dead = nil
	type change struct{ key, value []byte }
	changes := make([]change, 0, 1+len(dead))
	add := func(key []byte, v any) error {
		value, err := d.codec.pack(kindState, key, v, nil)
		if err != nil {
			return fmt.Errorf("forwarder %q: %w", f.Name, err)
		}
		changes = append(changes, change{key, value})
		return nil
	}
	if err := add(key, f); err != nil {
		return err
	}
	for _, l := range dead {
		key := append(deadKeys(f.Name), numberKey(l.Seq)...)
		if l.Gone {
			changes = append(changes, change{key, nil})
		} else if err := add(key, l); err != nil {
			return err
		}
	}
	return d.writeSmall("note forwarder in", func(u *update) error {
		for _, c := range changes {
			if err := u.put(inState, c.key, c.value); err != nil {
				return err
			}
		}
		return nil
	})
}

// DropForwarder forgets a forwarder, its dead letters with it.
func (d *DB) DropForwarder(name string) error {
	key, err := forwarderKey(name)
	if err != nil {
		return err
	}
	return d.writeSmall("drop forwarder from", func(u *update) error {
		keys, prefix := [][]byte{key}, deadKeys(name)
		c := u.bucket(inState).Cursor()
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			keys = append(keys, bytes.Clone(k))
		}
		for _, k := range keys {
			if err := u.put(inState, k, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// Forwarders gives all forwarders by name.
func (d *DB) Forwarders() ([]Forwarder, error) {
	var all []Forwarder
	err := d.view(func(tx *bolt.Tx) error {
		return d.eachForwarder(tx, func(f Forwarder) { all = append(all, f) })
	})
	if err != nil {
		return nil, &Error{Op: "read forwarders of", Path: d.path, Err: err}
	}
	return all, nil
}

func (d *DB) eachForwarder(tx *bolt.Tx, give func(Forwarder)) error {
	prefix := []byte(forwarderPrefix)
	c := inState.of(tx).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		var f Forwarder
		if err := d.codec.unpack(kindState, k, v, &f); err != nil {
			return damagedAt(inState, k, err)
		}
		dead, letters := inState.of(tx).Cursor(), deadKeys(f.Name)
		for k, v := dead.Seek(letters); bytes.HasPrefix(k, letters); k, v = dead.Next() {
			var l DeadLetter
			if err := d.codec.unpack(kindState, k, v, &l); err != nil {
				return damagedAt(inState, k, err)
			}
			f.Dead = append(f.Dead, l)
		}
		give(f)
	}
	return nil
}
