package storage

import "calljournal/agent/call"

// Consumer is a follower of the feed and what it says it has safely stored.
type Consumer struct {
	Name    string      `json:"name" cbor:"1,keyasint"`
	Journal string      `json:"journal" cbor:"2,keyasint"`
	Seq     uint64      `json:"seq" cbor:"3,keyasint"`
	At      call.Moment `json:"at" cbor:"4,keyasint"` // when it said so
}

// SetConsumer notes what a consumer has. At is set here. An unknown Journal
// gives ErrExpired, a Seq never given out ErrAhead.
func (d *DB) SetConsumer(c Consumer) error { return ErrClosed }

// DropConsumer forgets a consumer, so that retention waits for it no more.
func (d *DB) DropConsumer(name string) error { return ErrClosed }

// Consumers gives all consumers by name.
func (d *DB) Consumers() ([]Consumer, error) { return nil, ErrClosed }
