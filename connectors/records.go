package connectors

import (
	"errors"

	"calljournal/agent/call"
)

// Records reads what a PBX writes of its calls into facts of the kind
// call.Reported. It goes through them in their order, because one may tell how
// another is to be read (the time zone).
type Records interface {
	// Read reads one record: a line of a file, or a whole file of a folder. seen
	// is when it was read. Some state nothing (a heading): then the event has no
	// Kind. It fails with ErrUnfinished if the record goes on in the next line,
	// with ErrNoID if it does not say whose it is, else because it is not readable.
	Read(record []byte, seen call.Moment) (call.Event, error)
}

// What can be wrong with a record, for errors.Is.
var (
	ErrUnfinished = errors.New("the record goes on in the next line")
	ErrNoID       = errors.New("the record does not name its channel's unique id")
)
