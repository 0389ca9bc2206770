package storage

import "calljournal/agent/call"

// Query selects calls. An empty field selects all.
type Query struct {
	From, To  call.Moment // From <= StartedAt < To
	Direction []string
	Status    []string
	Number    string // part of any number of the call
	Limit     int    // default 50, at most 1000
	Cursor    string // as given out by the page before
}

// Calls gives the calls that q selects, newest first by StartedAt, and the cursor
// of the next page, which is empty on the last. Pages neither skip nor repeat a
// call while others arrive.
func (d *DB) Calls(q Query) (recs []*call.Record, cursor string, err error) { return nil, "", ErrClosed }

// Call gives the newest revision of a call, or ErrNotFound.
func (d *DB) Call(id string) (*call.Record, error) { return nil, ErrClosed }

// Why gives what the conclusions about a call rest on, or ErrNotFound.
func (d *DB) Why(id string) (*Why, error) { return nil, ErrClosed }

// Facts gives the kept facts of a PBX in order of N.
func (d *DB) Facts(pbx string) ([]call.Event, error) { return nil, ErrClosed }

// State gives a named value, nil if there is none.
func (d *DB) State(name string) ([]byte, error) { return nil, ErrClosed }

// Gaps gives the newest stretches in which a PBX was not seen, newest first.
func (d *DB) Gaps(limit int) ([]call.Gap, error) { return nil, ErrClosed }
