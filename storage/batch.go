package storage

import "calljournal/agent/call"

// What an Entry tells a follower of the feed to do.
const (
	OpCall   = "call"   // Call is the whole record; it replaces every smaller Rev
	OpGap    = "gap"    // Gap: the daemon was blind
	OpDelete = "delete" // the call ID is no more; if Into is set, it is part of that call
)

// Entry is one numbered line of the feed.
type Entry struct {
	Seq  uint64
	At   call.Moment // when it was committed
	Op   string
	Call *call.Record
	Gap  *call.Gap
	ID   string
	Into string
}

// Fact is one fact of a call that is still open. (PBX, Event.N) is its key.
type Fact struct {
	PBX   string
	Event call.Event
}

// Why is what the conclusions about one call rest on.
type Why struct {
	Reasons []call.Reason `cbor:"1,keyasint,omitempty"`
	Facts   []call.Event  `cbor:"2,keyasint,omitempty"`
}

// Batch is a group of changes that become visible and durable together or not
// at all.
type Batch struct {
	Facts   []Fact              // facts of open calls, to be kept
	Drop    map[string][]uint64 // by PBX: numbers of kept facts that are needed no more
	Entries []Entry             // become the next entries of the feed; Commit sets Seq and At in place
	Why     map[string]Why      // by call id; replaces
	State   map[string][]byte   // small named values that must agree with the rest; nil removes
	Urgent  bool                // may use the reserve: the last commit before an end, a gap that must not be forgotten

	attempt uint64 // number of the commit whose outcome the disk did not confirm
}

// Commit stores b in one transaction and returns once it is on disk. It must be
// called by one goroutine at a time. After an error nothing of b counts as
// stored; see ErrFull and ErrUncertain for what to do.
func (d *DB) Commit(b *Batch) error { return ErrClosed }
