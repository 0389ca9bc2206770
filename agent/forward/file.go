package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// lines writes each entry as a line of JSON, as GET /v1/sync has it. A batch is
// synced before it counts. A line that a crash cut short is removed, and what is
// in the file already, whole, is not written again.
type lines struct {
	path   string
	rotate int64
	now    func() time.Time

	f    *os.File
	size int64
	last []byte // the last line when the file was opened; nil once it was looked at
}

func newLines(s Settings, now func() time.Time) (Sink, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, errors.New("url is no file")
	}
	path := filepath.FromSlash(u.Path)
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, `\`) // of file:///C:/...
	}
	return &lines{path: path, rotate: s.RotateBytes, now: now}, nil
}

// Send implements Sink.
func (l *lines) Send(_ context.Context, batch []Entry) error {
	if err := l.open(); err != nil {
		return err
	}
	if last := l.last; last != nil {
		if i := slices.IndexFunc(batch, func(e Entry) bool { return bytes.Equal(e.JSON, last) }); i >= 0 {
			batch = batch[i+1:] // a run before wrote up to here, and did not get to say so
		}
	}
	var b []byte
	for i := range batch {
		b = append(append(b, batch[i].JSON...), '\n')
	}
	if _, err := l.f.WriteAt(b, l.size); err != nil {
		return errors.Join(fmt.Errorf("write: %w", err), l.undo())
	}
	if err := l.f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync: %w", err), l.undo())
	}
	l.size += int64(len(b))
	l.last = nil
	if l.rotate > 0 && l.size >= l.rotate {
		return l.setAside()
	}
	return nil
}

// undo takes back half a batch. What a failed sync left is found at the next open.
func (l *lines) undo() error {
	return errors.Join(l.f.Truncate(l.size), l.Close())
}

// open opens the file, or opens it anew if somebody moved it away.
func (l *lines) open() error {
	if l.f != nil {
		here, err := os.Stat(l.path)
		open, err2 := l.f.Stat()
		if err == nil && err2 == nil && os.SameFile(here, open) && open.Size() == l.size {
			return nil
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	l.f = f
	if err = l.mend(); err == nil {
		err = syncDir(filepath.Dir(l.path)) // the name must last as well
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return nil
}

// mend removes a line that was cut short, and finds the last whole one.
func (l *lines) mend() error {
	st, err := l.f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", l.path)
	}
	last, end, err := lastLine(l.f, st.Size())
	if err != nil {
		return fmt.Errorf("read %s: %w", l.path, err)
	}
	if end < st.Size() {
		if err := l.f.Truncate(end); err != nil {
			return fmt.Errorf("remove half a line: %w", err)
		}
	}
	if l.size, l.last = end, last; end == 0 {
		l.last, err = l.lastSetAside()
	}
	return err
}

// lastLine gives the last whole line of a file and where it ends.
func lastLine(f io.ReaderAt, size int64) (line []byte, end int64, err error) {
	const step = 64 << 10
	var tail []byte
	for at := size; at > 0; {
		n := min(step, at)
		at -= n
		piece := make([]byte, n)
		if _, err := f.ReadAt(piece, at); err != nil {
			return nil, 0, err
		}
		tail = append(piece, tail...)
		stop := bytes.LastIndexByte(tail, '\n')
		if stop < 0 {
			continue
		}
		begin := bytes.LastIndexByte(tail[:stop], '\n')
		if begin >= 0 || at == 0 {
			return slices.Clone(tail[begin+1 : stop]), at + int64(stop) + 1, nil
		}
	}
	return nil, 0, nil
}

// setAside gives a full file another name; the next batch begins a new one.
func (l *lines) setAside() error {
	if err := l.Close(); err != nil {
		return err
	}
	begin, end := l.names()
	stamp := l.now().UTC().Format("20060102T150405.000")
	for n := 0; ; n++ {
		// Always with a number: by their names the files follow each other as they were
		// filled, also two of the same millisecond.
		name := fmt.Sprintf("%s%s.%03d%s", begin, stamp, n, end)
		if _, err := os.Lstat(name); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set the full file aside: %w", err)
		}
		if err := os.Rename(l.path, name); err != nil {
			return fmt.Errorf("set the full file aside: %w", err)
		}
		return syncDir(filepath.Dir(l.path))
	}
}

// names are what the name of a file set aside begins and ends with.
func (l *lines) names() (begin, end string) {
	end = filepath.Ext(l.path)
	return strings.TrimSuffix(l.path, end) + "-", end
}

// lastSetAside is the last line of the newest file set aside: an end between two
// files leaves the new one empty.
func (l *lines) lastSetAside() ([]byte, error) {
	begin, end := l.names()
	entries, err := os.ReadDir(filepath.Dir(l.path))
	if err != nil {
		return nil, err
	}
	newest := ""
	for _, e := range entries {
		name := filepath.Join(filepath.Dir(l.path), e.Name())
		if e.Type().IsRegular() && strings.HasPrefix(name, begin) && strings.HasSuffix(name, end) && name > newest {
			newest = name
		}
	}
	if newest == "" {
		return nil, nil
	}
	f, err := os.Open(newest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	line, _, err := lastLine(f, st.Size())
	return line, err
}

// syncDir makes a name last. Not every system can do that.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Close implements Sink.
func (l *lines) Close() error {
	f := l.f
	l.f, l.last = nil, nil
	if f == nil {
		return nil
	}
	return f.Close()
}
