package storage

import (
	"errors"
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
)

// Consumer is a follower of the feed and what it says it has safely stored.
type Consumer struct {
	Name    string      `json:"name" cbor:"1,keyasint"`
	Journal string      `json:"journal" cbor:"2,keyasint"`
	Seq     uint64      `json:"seq" cbor:"3,keyasint"`
	At      call.Moment `json:"at" cbor:"4,keyasint"`     // when it said so
	Oldest  uint64      `json:"oldest" cbor:"5,keyasint"` // of the journal, then
}

// Missed is how many entries retention has dropped since then that the consumer
// had not stored; oldest is the journal's now.
func (c Consumer) Missed(oldest uint64) uint64 {
	first := max(c.Oldest, c.Seq+1)
	return max(first, oldest) - first
}

const (
	maxConsumers    = 1000 // whoever may name one cannot fill the disk with names
	maxConsumerName = 200
)

// ErrConsumer: a name that cannot be a consumer's, or too many of them.
var ErrConsumer = errors.New("no such consumer is possible")

// SetConsumer notes what a consumer has; At and Oldest are set here. An unknown Journal
// gives ErrExpired, a Seq never given out ErrAhead. It may go back: a consumer
// that lost something says so.
func (d *DB) SetConsumer(c Consumer) error {
	if c.Name == "" || len(c.Name) > maxConsumerName || strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' }) {
		return fmt.Errorf("consumer %.40q: %w: a name has 1 to %d printable bytes", c.Name, ErrConsumer, maxConsumerName)
	}
	if c.Journal != d.Journal() {
		return fmt.Errorf("consumer %q: journal %.40q: %w: this is %s", c.Name, c.Journal, ErrExpired, d.Journal())
	}
	if head := d.Head(); c.Seq > head {
		return fmt.Errorf("consumer %q: %d: %w, which is %d", c.Name, c.Seq, ErrAhead, head)
	}
	c.At, c.Oldest = d.now(), d.Oldest()
	key := []byte(c.Name)
	v, err := d.codec.pack(kindConsumer, key, c, nil)
	if err != nil {
		return fmt.Errorf("consumer %q: %w", c.Name, err)
	}
	return d.writeSmall("note consumer in", func(u *update) error {
		if u.bucket(inConsumers).Get(key) == nil && u.tail.Extents[inConsumers].Count >= maxConsumers {
			return fmt.Errorf("%w: there are %d already", ErrConsumer, maxConsumers)
		}
		return u.put(inConsumers, key, v)
	})
}

// DropConsumer forgets a consumer, so that retention waits for it no more. One
// that is not known gives ErrNotFound.
func (d *DB) DropConsumer(name string) error {
	return d.writeSmall("drop consumer from", func(u *update) error {
		if name == "" || u.bucket(inConsumers).Get([]byte(name)) == nil {
			return fmt.Errorf("consumer %q: %w", name, ErrNotFound)
		}
		return u.put(inConsumers, []byte(name), nil)
	})
}

// Consumers gives all consumers by name.
func (d *DB) Consumers() ([]Consumer, error) {
	var all []Consumer
	err := d.view(func(tx *bolt.Tx) error {
		return d.eachConsumer(tx, func(c Consumer) { all = append(all, c) })
	})
	if err != nil {
		return nil, &Error{Op: "read consumers of", Path: d.path, Err: err}
	}
	return all, nil
}

func (d *DB) eachConsumer(tx *bolt.Tx, give func(Consumer)) error {
	return inConsumers.of(tx).ForEach(func(k, v []byte) error {
		var c Consumer
		if err := d.codec.unpack(kindConsumer, k, v, &c); err != nil {
			return damagedAt(inConsumers, k, err)
		}
		give(c)
		return nil
	})
}
