package connectors

import (
	"context"
	"errors"

	"calljournal/agent/call"
)

// Connector speaks the protocol of one PBX and states what it says as facts.
type Connector interface {
	// Run holds one link, from dialling to its end: it connects, signs in, emits
	// call.LinkUp, then a call.Snapshot of the legs that are up and every fact in
	// order. It returns when ctx ends (nil) or the link is lost (a *LinkError);
	// it does not reconnect, its caller does. All emitted events carry session
	// and a Seq without holes from 1.
	//
	// emit may wait while the journal is behind: the socket is read on all the
	// same, into memory of a fixed size. What does not fit there is dropped,
	// counted, and emitted as a call.LinkGap. emit is never called after Run has
	// returned.
	Run(ctx context.Context, session uint64, emit func(call.Event)) error

	// Stats may be called at any time from any goroutine.
	Stats() Stats
}

// Stats is what a link says of itself in status and metrics. The counters grow
// for the life of the Connector, over all its sessions.
type Stats struct {
	PBXVersion     string            `json:"pbx_version"`      // as the PBX says it
	Bytes          uint64            `json:"bytes"`            // read from the socket
	Messages       uint64            `json:"messages"`         // whole messages read
	Thinned        uint64            `json:"thinned"`          // of these, dropped unparsed because no rule needs them
	Events         uint64            `json:"events"`           // facts emitted
	Malformed      map[string]uint64 `json:"malformed"`        // by kind: line_too_long, no_colon, bad_utf8, ...
	DroppedByQueue uint64            `json:"dropped_by_queue"` // messages lost because memory was full
	QueueBytes     uint64            `json:"queue_bytes"`      // waiting now
	LastByteAt     call.Moment       `json:"last_byte_at"`
	Warnings       []string          `json:"warnings"` // standing advice: no timestamps, too many rights, ...
}

// What can be wrong with a link, for errors.Is.
var (
	// ErrLoginRefused: the PBX is there and does not let us in: wrong user or
	// secret, or an address rule. Trying again soon only feeds its fail2ban.
	ErrLoginRefused = errors.New("login refused")
	// ErrNotAPBX: something answered that does not speak the protocol.
	ErrNotAPBX = errors.New("not the protocol that was expected")
	// ErrLineDead: nothing came for longer than a living line allows.
	ErrLineDead = errors.New("line dead")
	// ErrUnreachable: no connection could be made.
	ErrUnreachable = errors.New("unreachable")
)

// LinkError says what was attempted, on what, and what to do.
type LinkError struct {
	Op      string // connect, greet, sign in, read, ask
	Address string
	Err     error
	Hint    string
}

func (e *LinkError) Error() string {
	s := e.Op + " " + e.Address + ": " + e.Err.Error()
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *LinkError) Unwrap() error { return e.Err }
