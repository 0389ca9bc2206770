package mail

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"calljournal/agent/call"
	"calljournal/agent/wholefile"
)

// note is what is remembered of a lane.
type note struct {
	// Of a report: the moment of the schedule that was last dealt with, the one that
	// is being mailed (0: none), and the schedule that they are of.
	At       call.Moment `json:"at,omitempty"`
	Due      call.Moment `json:"due,omitempty"`
	Schedule string      `json:"schedule,omitempty"`

	// Of an alert: everything up to Seq was mailed or is not wanted. What is being
	// mailed ends with Until, also after a restart; 0: nothing is.
	Journal string `json:"journal,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
	Until   uint64 `json:"until,omitempty"`
	Missed  uint64 `json:"missed,omitempty"` // entries that retention dropped before they were looked at

	SentAt call.Moment `json:"sent_at,omitempty"`
	Since  call.Moment `json:"since,omitempty"` // the letter under way has been failing since
	Tries  int         `json:"tries,omitempty"` // of it
	Aside  []Aside     `json:"aside,omitempty"` // oldest first; a mail that gets through clears them
}

// Aside is a mail that was given up.
type Aside struct {
	What  string      `json:"what"`
	At    call.Moment `json:"at"`
	Tries int         `json:"tries"`
	Error string      `json:"error"`
}

// mostAside bounds what is kept of a lane that nobody sees to.
const mostAside = 20

const mostNotes = 16 << 20

// notes are those of all lanes: a file of its own, mail.json.
type notes struct {
	path string

	mu  sync.Mutex
	all map[string]note
}

// openNotes reads the file at path. One that cannot be read is set aside, and the
// error says so; the notes are good all the same, and empty.
func openNotes(path string) (*notes, error) {
	n := &notes{path: path, all: map[string]note{}}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return n, nil
	}
	if err != nil {
		return n, fmt.Errorf("open what was mailed: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostNotes))
	if err == nil {
		err = json.Unmarshal(b, &n.all)
	}
	if err != nil {
		n.all = map[string]note{}
		return n, errors.Join(fmt.Errorf("%s cannot be read and is set aside as %s.damaged: reports and alerts begin anew: %w", path, filepath.Base(path), err),
			os.Rename(path, path+".damaged"))
	}
	return n, nil
}

func (n *notes) get(key string) (note, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	v, ok := n.all[key]
	return v, ok
}

// put is on disk when it returns without an error.
func (n *notes) put(key string, v note) error {
	return n.change(func(all map[string]note) { all[key] = v })
}

// keep forgets all lanes but those with the given keys.
func (n *notes) keep(keys map[string]bool) error {
	n.mu.Lock()
	gone := false
	for key := range n.all {
		gone = gone || !keys[key]
	}
	n.mu.Unlock()
	if !gone {
		return nil
	}
	return n.change(func(all map[string]note) {
		maps.DeleteFunc(all, func(key string, _ note) bool { return !keys[key] })
	})
}

func (n *notes) change(with func(map[string]note)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	next := maps.Clone(n.all)
	with(next)
	b, err := json.MarshalIndent(next, "", "  ")
	if err == nil {
		err = wholefile.Replace(n.path, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("note what was mailed: %w", err)
	}
	n.all = next
	return nil
}
