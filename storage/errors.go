package storage

import (
	"errors"
	"fmt"
)

// What callers tell apart with errors.Is.
var (
	// ErrNotFound: there is no call with that id.
	ErrNotFound = errors.New("not in the journal")
	// ErrExpired: the entries after that number are no longer kept.
	ErrExpired = errors.New("older than what the journal keeps")
	// ErrAhead: that number was never given out by this journal.
	ErrAhead = errors.New("beyond the end of the journal")
	// ErrLocked: another process has the journal open.
	ErrLocked = errors.New("in use by another process")
	// ErrFull: the disk, or Options.MaxBytes, has no room. Nothing of the batch
	// was written, everything stays readable, and a later Commit may succeed.
	ErrFull = errors.New("no room left")
	// ErrUncertain: the disk did not confirm the write. The same batch must be
	// committed again, unchanged; it is never stored twice.
	ErrUncertain = errors.New("the disk did not confirm the write")
	// ErrDamaged: what was read is not what was written. The next Open saves
	// what can be read into a new journal.
	ErrDamaged = errors.New("damaged")
	// ErrVersion: the journal was written by a newer program.
	ErrVersion = errors.New("written by a newer version of calljournal")
	// ErrCursor: a cursor that Calls did not give out.
	ErrCursor = errors.New("not a cursor of this journal")
	// ErrQuery: a query that asks for what there is not.
	ErrQuery = errors.New("not a query that can be answered")
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("journal is closed")
)

// Error says what was attempted, on what, and what to do.
type Error struct {
	Op   string // open, commit, read, check, ...
	Path string
	Err  error
	Hint string
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s journal %s: %v", e.Op, e.Path, e.Err)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }
