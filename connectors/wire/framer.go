package wire

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Hard limits on what a PBX can make us keep. What is longer is cut and
// counted, never fatal.
const (
	// MaxLine is a line's content; with its CR LF it makes 8 KiB.
	MaxLine = 8<<10 - 2
	// MaxMessage is one whole message.
	MaxMessage = 256 << 10
	// MaxHeaders is the number of headers in a message.
	MaxHeaders = 512
)

// Framer cuts the byte stream of a PBX into messages and writes those that a
// rule needs in the form in which the protocol package shall read them: thinned,
// stamped, free of what would trip the package. There is one per protocol, and
// a new one for each session.
type Framer interface {
	// Feed takes the next bytes of the stream, which may begin and end anywhere,
	// and the microsecond of the Unix epoch at which they arrived. It calls out
	// once for each message that goes on; msg is good until out returns. The
	// same stream gives the same messages however it is split, but for their
	// stamps. Feed keeps nothing of p, and memory of at most one message; what
	// it cannot read it counts and passes over.
	Feed(p []byte, seen int64, out func(msg []byte))

	// Gap appends the message that states a loss. It is called from another
	// goroutine than Feed and must not touch what Feed uses.
	Gap(dst []byte, g Gap) []byte

	// End appends the message that states the end of the stream, after which
	// nothing comes. Feed is not called any more.
	End(dst []byte) []byte
}

// Gap is a loss of messages on our side: those that were whole and needed, and
// found no room. Times are microseconds of the Unix epoch.
type Gap struct {
	From, To int64
	Count    uint64
	Reason   string
}

// Kinds of malformed input, the keys of Counters.Malformed. A protocol may add
// its own.
const (
	LineTooLong    = "line_too_long"
	MessageTooLong = "message_too_long"
	TooManyHeaders = "too_many_headers"
	NoColon        = "no_colon"
	BadUTF8        = "bad_utf8"
	ControlChar    = "control_char"
	Headless       = "headless"      // neither event nor answer: the rest of a torn message
	ReservedName   = "reserved_name" // a name that only wire may use
	Unfinished     = "unfinished"    // the stream ended inside a message
)

// reservedPrefix begins the names that wire puts in, and that nothing from a PBX
// may have.
const reservedPrefix = "CJ-"

func reserved(name []byte) bool {
	return len(name) >= len(reservedPrefix) && foldEqual(name[:len(reservedPrefix)], reservedPrefix)
}

// Counters is what a link counts, over all its sessions. Reading them is safe at
// any time.
type Counters struct {
	Bytes      atomic.Uint64 // off the socket
	Messages   atomic.Uint64 // whole ones
	Thinned    atomic.Uint64 // of these, dropped because no rule needs them
	Lost       atomic.Uint64 // of these, dropped because the queue was full
	QueueBytes atomic.Int64  // waiting in the queue
	LastByte   atomic.Int64  // microsecond of the Unix epoch

	mu        sync.Mutex
	malformed map[string]uint64
}

// Bad counts one malformed thing of a kind.
func (c *Counters) Bad(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.malformed == nil {
		c.malformed = make(map[string]uint64)
	}
	c.malformed[kind]++
}

// Malformed gives a copy of the counts by kind.
func (c *Counters) Malformed() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.malformed)
}
