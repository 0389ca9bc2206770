package access

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"calljournal/agent/call"
)

// Entry is one line of the access log: what somebody asked for. Filter holds the
// query as it was asked; there is never a secret in it.
type Entry struct {
	At      call.Moment `json:"at"`
	Who     string      `json:"who" doc:"token NAME, user NAME, or who asked over the control socket"`
	Address string      `json:"address,omitempty"`
	What    string      `json:"what" doc:"the operation, as the OpenAPI document names it"`
	Call    string      `json:"call_id,omitempty"`
	Filter  string      `json:"filter,omitempty"`
	Refused bool        `json:"refused,omitempty" doc:"the role does not cover it"`
}

// Bounds of the log. It is two files: the older one goes when the newer is full.
const (
	logFile   = 8 << 20
	mostInLog = 2 << 10 // bytes of one text
)

// Log is the access log: access.log, and access.log.1 with what is older.
type Log struct {
	path    string
	lost    atomic.Uint64
	failing atomic.Bool // the newest entry is one of the lost

	mu   sync.Mutex
	file *os.File // nil at first and after a failure: tried again with the next entry
	size int64
}

// NewLog is the log at path, which its owner alone may read. The file is opened
// with the first entry.
func NewLog(path string) *Log { return &Log{path: path} }

func (l *Log) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, st.Size()
	last := make([]byte, 1)
	if l.size > 0 {
		if _, err := f.ReadAt(last, l.size-1); err == nil && last[0] != '\n' {
			_, err := f.Write([]byte{'\n'}) // a line that was cut off by a crash stays by itself
			l.size++
			return err
		}
	}
	return nil
}

// Lost is how many entries could not be written.
func (l *Log) Lost() uint64 { return l.lost.Load() }

// Failing is whether the newest entry could not be written.
func (l *Log) Failing() bool { return l.failing.Load() }

// Add writes an entry. One that cannot be written is counted: a full disk keeps
// nobody from reading.
func (l *Log) Add(e Entry) {
	for _, s := range []*string{&e.Who, &e.Address, &e.What, &e.Call, &e.Filter} {
		*s = strings.ToValidUTF8((*s)[:min(len(*s), mostInLog)], "")
	}
	b, err := json.Marshal(e)
	if err == nil {
		err = l.write(append(b, '\n'))
	}
	l.failing.Store(err != nil)
	if err != nil {
		l.lost.Add(1)
	}
}

func (l *Log) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.size+int64(len(line)) > logFile {
		err := l.file.Close()
		l.file = nil
		if err = errors.Join(err, os.Rename(l.path, l.path+".1")); err != nil {
			return err
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	if err != nil {
		err = errors.Join(err, l.file.Close())
		l.file = nil
	}
	return err
}

// Wanted selects entries. An empty field selects all.
type Wanted struct {
	From, To call.Moment // From <= At < To
	Who      string      // part of it
	Call     string
	Limit    int // at least 1
}

// Read gives the newest entries that are wanted, the newest first.
func (l *Log) Read(w Wanted) ([]Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock() // a log that is just being moved would be read twice or not at all
	var kept []Entry    // as a ring once it is full
	n := 0
	for _, path := range []string{l.path + ".1", l.path} {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = lines(f, func(line []byte) {
			var e Entry
			if json.Unmarshal(line, &e) != nil || w.From != 0 && e.At < w.From || w.To != 0 && e.At >= w.To ||
				!strings.Contains(e.Who, w.Who) || w.Call != "" && e.Call != w.Call {
				return
			}
			if len(kept) < w.Limit {
				kept = append(kept, e)
			} else {
				kept[n%w.Limit] = e
			}
			n++
		})
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	if len(kept) == w.Limit && w.Limit > 0 {
		at := n % w.Limit
		kept = append(slices.Clone(kept[at:]), kept[:at]...)
	}
	slices.Reverse(kept)
	return kept, nil
}

// lines gives each line of r; those longer than any entry are left out.
func lines(r io.Reader, each func([]byte)) error {
	in := bufio.NewReaderSize(r, 64<<10)
	whole := true
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			whole = false
			continue
		}
		if line = bytes.TrimSpace(line); whole && len(line) > 0 {
			each(line)
		}
		whole = true
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// Close ends writing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
