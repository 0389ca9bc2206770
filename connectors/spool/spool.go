package spool

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Position is how far records were read. The zero Position is before everything.
type Position struct {
	// Head is the beginning of the file that was read last, by which it is known
	// again; empty if there was nothing in any yet.
	Head []byte `json:"head,omitempty"`
	// Offset is how many bytes of that file were read.
	Offset int64 `json:"offset,omitempty"`
	// At is when, by the clock of the file system's machine, everything that had
	// been written by then was read; of a folder, it is read from files written
	// after it.
	At time.Time `json:"at"`
}

// Records is a stretch of what was read.
type Records struct {
	Lines [][]byte // of a file: its lines; of a folder: whole files
	Next  Position // to be read from then
	More  bool     // there is more already
	Lost  bool     // the file that was read last is gone, and records with it perhaps
}

const (
	headBytes  = 512
	maxLine    = 64 << 10 // a longer line is no record
	maxFile    = 4 << 20  // of a folder's file
	maxRead    = 1 << 20  // at a time
	maxRecords = 2000     // at a time
	settling   = 2 * time.Second
)

// Source is where a PBX writes its records: a file, or a folder.
type Source struct {
	path string
	now  func() time.Time
	last time.Time            // of a folder: from where it was read last
	done map[string]time.Time // of a folder: files that were read, by name, with when they were written
}

// New makes the Source of a path. Nothing is opened before it is read. A Source is
// not safe for use by several goroutines at once.
func New(path string, now func() time.Time) *Source {
	return &Source{path: path, now: now, done: map[string]time.Time{}}
}

// End is the Position behind everything that is there. What is not there yet, a
// PBX writes with its first call: that is no error.
func (s *Source) End() (Position, error) {
	at := s.now()
	st, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(s.path)); err != nil {
			return Position{}, fmt.Errorf("look for the PBX's records: %w", err)
		}
		return Position{At: at}, nil
	case err != nil:
		return Position{}, fmt.Errorf("look for the PBX's records: %w", err)
	case st.IsDir():
		if err := readable(s.path); err != nil {
			return Position{}, fmt.Errorf("look for the PBX's records: %w", err)
		}
		return Position{At: at.Add(-settling)}, nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return Position{}, fmt.Errorf("look for the PBX's records: %w", err)
	}
	defer f.Close()
	// The length of this very file, not of one that took its name meanwhile.
	if st, err = f.Stat(); err != nil {
		return Position{}, fmt.Errorf("look for the PBX's records: %w", err)
	}
	p := Position{At: at}
	if p.Head, err = headOf(f); err != nil {
		return Position{}, fmt.Errorf("look for the PBX's records: %w", err)
	}
	p.Offset, err = lineStart(f, st.Size())
	if err != nil {
		return Position{}, fmt.Errorf("look for the PBX's records: %w", err)
	}
	return p, nil
}

// readable says why a folder cannot be read. It does not list it: there may be
// hundreds of thousands of files in it, and it is asked every few seconds.
func readable(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err = d.Readdirnames(1); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// lineStart is where the last line begins that is not whole yet.
func lineStart(f io.ReaderAt, size int64) (int64, error) {
	b := make([]byte, min(size, maxLine))
	n, err := f.ReadAt(b, size-int64(len(b)))
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
		return size - int64(len(b)) + int64(i) + 1, nil
	}
	return size - int64(len(b)), nil
}

func headOf(f io.Reader) ([]byte, error) {
	b := make([]byte, headBytes)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return b[:n], nil
}

// Read gives what was written since from, not more at once than memory should
// hold. Reading from the same Position again gives the same again.
func (s *Source) Read(from Position) (Records, error) {
	st, err := os.Stat(s.path)
	if err == nil && st.IsDir() {
		return s.readFolder(from)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Records{}, fmt.Errorf("read the PBX's records: %w", err)
	}
	r, err := s.readFiles(from)
	if err != nil {
		return Records{}, fmt.Errorf("read the PBX's records: %w", err)
	}
	return r, nil
}

// generation is one of the files that the records were in over time.
type generation struct {
	path    string
	written time.Time
	head    []byte
	current bool
}

// generations lists the file and those that it was before it was rotated, the
// oldest first.
func (s *Source) generations() (all []generation, err error) {
	dir, base := filepath.Split(s.path)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base)
		if !ok || !e.Type().IsRegular() && e.Type()&fs.ModeSymlink == 0 || rest != "" && !strings.ContainsAny(rest[:1], ".-_") {
			continue
		}
		g := generation{path: filepath.Join(dir, e.Name()), current: rest == ""}
		st, err := os.Stat(g.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // rotated away just now
		}
		if err != nil {
			return nil, err
		}
		g.written = st.ModTime()
		f, err := open(g.path)
		if errors.Is(err, fs.ErrNotExist) || err != nil && !g.current {
			continue // not readable: not one of ours
		}
		if err != nil {
			return nil, err
		}
		g.head, err = headOf(f)
		f.Close()
		if err != nil {
			if g.current {
				return nil, err
			}
			continue
		}
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b generation) int {
		if a.current != b.current {
			if a.current {
				return 1
			}
			return -1
		}
		// Of the same moment: Master.csv.10 before Master.csv.9.
		x, y := strings.TrimSuffix(a.path, ".gz"), strings.TrimSuffix(b.path, ".gz")
		return cmp.Or(a.written.Compare(b.written), -cmp.Compare(len(x), len(y)), -cmp.Compare(x, y))
	})
	return all, nil
}

// open opens a file, one packed with gzip as what is in it.
func open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil || !strings.HasSuffix(path, ".gz") {
		return f, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

// is says that this is the file of the Position: it begins with what that one
// began with then.
func (g generation) is(p Position) bool {
	return len(g.head) >= len(p.Head) && bytes.Equal(g.head[:len(p.Head)], p.Head)
}

func (s *Source) readFiles(from Position) (Records, error) {
	at := s.now()
	all, err := s.generations()
	if err != nil {
		return Records{}, err
	}
	r := Records{Next: from}
	first := -1
	for i, g := range all {
		// Of several, the newest: logrotate's copytruncate leaves for a moment two.
		// But a heading alone is that of every file: then it is the first that was
		// written since, and a later one only if that is a copy of it.
		if len(from.Head) > 0 && g.is(from) && (first < 0 || all[first].written.Before(from.At.Add(-settling)) || bytes.HasPrefix(g.head, all[first].head)) {
			first = i
		}
	}
	if first < 0 {
		r.Lost = from.Offset > 0
		r.Next.Offset = 0
		first = len(all)
		for i, g := range all {
			if g.current || !g.written.Before(from.At.Add(-settling)) {
				first = i
				break
			}
		}
		if first == len(all) {
			r.Next = Position{At: at}
			return r, nil
		}
	}
	for i := first; i < len(all); i++ {
		g := all[i]
		if i > first {
			if len(g.head) == 0 {
				continue // by an empty one nothing is known again: the one before still is
			}
			r.Next.Offset = 0
		}
		r.Next.Head = g.head
		if err := s.readFile(g, &r); err != nil {
			return Records{}, err
		}
		if r.More {
			return r, nil
		}
	}
	r.Next.At = at
	return r, nil
}

// readFile reads the lines of one file from r.Next.Offset.
func (s *Source) readFile(g generation, r *Records) error {
	f, err := open(g.path)
	if errors.Is(err, fs.ErrNotExist) {
		r.More = true // it was renamed since it was listed: once more, with other names
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if seeker, ok := f.(io.Seeker); ok {
		_, err = seeker.Seek(r.Next.Offset, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, f, r.Next.Offset)
	}
	if errors.Is(err, io.EOF) {
		return nil // shorter than it was
	}
	if err != nil {
		return err
	}
	buf := make([]byte, maxRead)
	n, err := io.ReadFull(f, buf)
	end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !end {
		return fmt.Errorf("%s: %w", g.path, err)
	}
	buf = buf[:n]
	for len(buf) > 0 {
		if len(r.Lines) >= maxRecords {
			r.More = true
			return nil
		}
		i := bytes.IndexByte(buf, '\n')
		switch {
		case i < 0 && end && g.current && len(buf) <= maxLine:
			return nil // half a line: its other half will come
		case i < 0 && !end && len(buf) < maxRead:
			r.More = true
			return nil
		case i < 0:
			i = len(buf) - 1 // the end of a file that is not written any more, or no line at all
		}
		if i < maxLine {
			r.Lines = append(r.Lines, buf[:i+1])
		} else {
			r.Lines = append(r.Lines, buf[:maxLine]) // cut, so that it is counted as not readable
		}
		r.Next.Offset += int64(i + 1)
		buf = buf[i+1:]
	}
	r.More = !end
	return nil
}

// readFolder gives the files that were written since, each once.
func (s *Source) readFolder(from Position) (Records, error) {
	at := s.now()
	if from.At.Before(s.last) {
		clear(s.done) // once more from an earlier Position
	}
	s.last = from.At
	type file struct {
		path    string
		written time.Time
	}
	var files []file
	// mod_json_cdr with rotate makes a folder for each turn, one level down.
	err := filepath.WalkDir(s.path, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == s.path {
				return err
			}
			return nil // gone, or not ours to see
		}
		if d.IsDir() {
			if rel, _ := filepath.Rel(s.path, path); strings.ContainsRune(rel, filepath.Separator) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(d.Name(), ".json") || !d.Type().IsRegular() {
			return nil
		}
		st, err := d.Info()
		if err != nil || st.ModTime().Before(from.At) || s.done[path].Equal(st.ModTime()) {
			return nil
		}
		files = append(files, file{path, st.ModTime()})
		return nil
	})
	if err != nil {
		return Records{}, fmt.Errorf("read the PBX's records: %w", err)
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(a.written.Compare(b.written), cmp.Compare(a.path, b.path)) })
	r := Records{Next: from}
	size := 0
	for _, f := range files {
		if len(r.Lines) >= maxRecords || size >= maxRead {
			r.More = true
			break
		}
		b, err := readWhole(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // whoever collects these files was faster
		}
		if err != nil {
			return Records{}, fmt.Errorf("read the PBX's records: %w", err)
		}
		if !bytes.HasSuffix(bytes.TrimSpace(b), []byte("}")) && at.Sub(f.written) < 10*time.Second {
			break // it is being written
		}
		s.done[f.path] = f.written
		r.Lines = append(r.Lines, b)
		size += len(b)
		if f.written.Add(-settling).After(r.Next.At) {
			r.Next.At = f.written.Add(-settling)
		}
	}
	if !r.More && at.Add(-settling).After(r.Next.At) && len(r.Lines) == len(files) {
		r.Next.At = at.Add(-settling)
	}
	for path, written := range s.done {
		if written.Before(r.Next.At.Add(-settling)) {
			delete(s.done, path)
		}
	}
	return r, nil
}

func readWhole(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
