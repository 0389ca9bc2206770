package storage

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
)

// Forwarder is how far one that sends entries on has come. All of it is written
// in one transaction: no cursor is ever ahead of the dead letters it left behind.
type Forwarder struct {
	Name    string      `json:"name" cbor:"1,keyasint"`
	Journal string      `json:"journal" cbor:"2,keyasint"`         // that the numbers are of
	Seq     uint64      `json:"seq" cbor:"3,keyasint"`             // everything up to here was taken by the far side, set aside, or not wanted
	Until   uint64      `json:"until" cbor:"4,keyasint,omitempty"` // end of the batch being sent: a resend, also after a restart, ends there again
	At      call.Moment `json:"at" cbor:"5,keyasint"`              // when Seq last moved
	// Refused counts entries set aside since the far side last took one. Many in
	// a row say that it is not the entries that are wrong.
	Refused int          `json:"refused" cbor:"6,keyasint,omitempty"`
	Dead    []DeadLetter `json:"dead" cbor:"7,keyasint,omitempty"`
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
}

// kept is the number of the last entry that it needs no more.
func (f *Forwarder) kept() uint64 {
	seq := f.Seq
	for _, l := range f.Dead {
		seq = min(seq, l.Seq-1)
	}
	return seq
}

const (
	forwarderPrefix  = "forward/" // of its key among the states, which a salvaged journal keeps
	maxForwarderName = 200
)

// ErrForwarder: a name that cannot be a forwarder's.
var ErrForwarder = errors.New("no such forwarder is possible")

func forwarderKey(name string) ([]byte, error) {
	if name == "" || len(name) > maxForwarderName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return nil, fmt.Errorf("forwarder %.40q: %w: a name has 1 to %d printable bytes", name, ErrForwarder, maxForwarderName)
	}
	return []byte(forwarderPrefix + name), nil
}

// SetForwarder notes how far a forwarder has come. Its Journal may be another
// one: then nothing of this journal is kept for it.
func (d *DB) SetForwarder(f Forwarder) error {
	key, err := forwarderKey(f.Name)
	if err != nil {
		return err
	}
	payload, err := d.codec.enc.Marshal(f)
	if err != nil {
		return fmt.Errorf("forwarder %q: %w", f.Name, err)
	}
	v, err := d.codec.packed(kindState, key, payload, nil)
	if err != nil {
		return fmt.Errorf("forwarder %q: %w", f.Name, err)
	}
	return d.writeSmall("note forwarder in", func(u *update) error { return u.put(inState, key, v) })
}

// DropForwarder forgets a forwarder, its dead letters with it.
func (d *DB) DropForwarder(name string) error {
	key, err := forwarderKey(name)
	if err != nil {
		return err
	}
	return d.writeSmall("drop forwarder from", func(u *update) error { return u.put(inState, key, nil) })
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
		give(f)
	}
	return nil
}
