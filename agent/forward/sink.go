package forward

import (
	"context"
	"fmt"
	"time"

	"calljournal/agent/call"
	"calljournal/storage"
)

// Entry is an entry of the feed on its way out.
type Entry struct {
	storage.Entry
	JSON []byte // as GET /v1/sync has it; shared, not to be changed
}

// Sink is one far side. Its methods are called by one goroutine at a time, but
// for SendLive.
type Sink interface {
	// Send hands over a batch, in order, and returns nil once the far side has
	// said that it has all of it for good. It must end when ctx does. The same
	// batch, to the byte, is given again after an error, also in a later run.
	//
	// A *Refused says that trying the same again is of no use, *Busy when to try
	// again, a Partial which entries are affected. Every other error means: the far
	// side may or may not have the batch; it is sent again, for as long as it takes.
	//
	// No error may hold a secret: it is logged and shown.
	Send(ctx context.Context, batch []Entry) error
	// Close gives back what the sink holds, without waiting for the far side.
	Close() error
}

// LiveSink is a Sink that can also tell of calls in progress, best effort.
type LiveSink interface {
	Sink
	SendLive(ctx context.Context, e *Event) error
}

// Refused: the far side will not have what it was sent, whatever the reason.
type Refused struct{ Err error }

func (e *Refused) Error() string { return e.Err.Error() }
func (e *Refused) Unwrap() error { return e.Err }

// Busy: the far side asks to be left alone for a while.
type Busy struct {
	After time.Duration
	Err   error
}

func (e *Busy) Error() string { return e.Err.Error() }
func (e *Busy) Unwrap() error { return e.Err }

// Partial says of each entry of a batch, by its place, what became of it; nil
// means that the far side has it.
type Partial []error

func (p Partial) Error() string {
	bad := 0
	for _, err := range p {
		if err != nil {
			bad++
		}
	}
	return fmt.Sprintf("%d of %d entries not taken: %v", bad, len(p), p.first())
}

func (p Partial) first() error {
	for _, err := range p {
		if err != nil {
			return err
		}
	}
	return nil
}

// Kinds of live event.
const (
	EventStarted  = "started"
	EventRinging  = "ringing"  // a phone began to ring: Extension
	EventAnswered = "answered" // a person speaks with the caller: Extension, if it is known
	EventEnded    = "ended"
)

// Event is something that happened in a call just now. It is for screens, not for
// books: it is sent once, if at all.
type Event struct {
	Event     string       `json:"event"`
	At        call.Moment  `json:"at"`
	Extension *string      `json:"extension"`
	Call      *call.Record `json:"call"` // as it looks at this moment; shared, not to be changed
}
