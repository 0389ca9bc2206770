package capture

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"calljournal/connectors/wire"
)

// Options of a Writer.
type Options struct {
	Path    string
	Header  Header // ID and Part are the Writer's
	MaxSize int64  // of one file, in bytes; 0: no limit
	Files   int    // kept, the one being written included; 0: one
	Mask    *Mask  // nil: as it is
	Now     func() time.Time
}

// Count is what a Writer has done.
type Count struct {
	Messages uint64 // of the PBX
	Bytes    int64  // written, all files
	Files    int    // begun
	Lost     uint64 // bytes that came and are not in the files
}

// Writer writes the chunks of a link into files of a bounded size. It is not
// safe for use by several goroutines at once.
type Writer struct {
	o     Options
	file  *os.File
	out   *bufio.Writer
	size  int64 // of the file in hand
	some  bool  // there is a message in it
	cut   cutter
	live  bool // inside a session
	count Count
	entry []byte
}

// Create makes the first file. It takes the place of no other.
func Create(o Options) (*Writer, error) {
	o.Files = max(o.Files, 1)
	if o.Now == nil {
		o.Now = time.Now
	}
	for i := range o.Files {
		if _, err := os.Lstat(name(o.Path, i)); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = fmt.Errorf("%w: choose another name, or remove it", fs.ErrExist)
			}
			return nil, fmt.Errorf("write a capture to %s: %w", name(o.Path, i), err)
		}
	}
	o.Header.ID = rand.Text()
	o.Header.Masked = o.Mask != nil
	if o.Mask != nil {
		o.Header = o.Mask.header(o.Header)
	}
	w := &Writer{o: o, cut: cutter{esl: o.Header.Kind == kindFreeSWITCH}}
	return w, w.begin()
}

// name is that of the i-th newest file.
func name(path string, i int) string {
	if i == 0 {
		return path
	}
	return path + "." + strconv.Itoa(i)
}

// begin makes the next file.
func (w *Writer) begin() error {
	f, err := os.OpenFile(w.o.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write a capture: %w", err)
	}
	w.file, w.out, w.size, w.some = f, bufio.NewWriterSize(f, 64<<10), 0, false
	w.count.Files++
	h := w.o.Header
	h.Part, h.Begun = w.count.Files, w.o.Now().UTC().Truncate(time.Millisecond)
	b, err := appendHeader(nil, h)
	if err != nil {
		return fmt.Errorf("write a capture: %w", err)
	}
	if err := w.put(b); err != nil {
		return err
	}
	if w.live {
		return w.put(appendEntry(nil, kindNames[wire.Began], w.o.Now().UnixMicro(), []byte(continued)))
	}
	return nil
}

func (w *Writer) put(b []byte) error {
	n, err := w.out.Write(b)
	w.size += int64(n)
	w.count.Bytes += int64(n)
	if err != nil {
		return fmt.Errorf("write a capture to %s: %w", w.o.Path, err)
	}
	return nil
}

// Write takes the next chunk of the link. An error is the file's; what was
// written before it can be read.
func (w *Writer) Write(c wire.Chunk) error {
	if c.Skipped > 0 {
		if err := w.flush(c.Seen); err != nil {
			return err
		}
		if err := w.lost(c.Skipped, c.Seen); err != nil {
			return err
		}
	}
	if c.Kind == wire.Heard {
		return w.heard(c)
	}
	// The rest of what was heard comes before the end, and is no part of what
	// comes after a beginning.
	if c.Kind == wire.Began || c.Kind == wire.Ended {
		if err := w.flush(c.Seen); err != nil {
			return err
		}
		w.live = c.Kind == wire.Began
	}
	data := c.Data
	if w.o.Mask != nil {
		data = w.o.Mask.chunk(c)
	}
	if len(data) > maxEntry {
		return w.lost(uint64(len(data)), c.Seen)
	}
	return w.write(kindNames[c.Kind], c.Seen, data)
}

func (w *Writer) heard(c wire.Chunk) (err error) {
	w.cut.feed(c.Data, func(msg []byte, whole bool) {
		if err == nil {
			err = w.message(msg, whole, c.Seen)
		}
	})
	return err
}

func (w *Writer) flush(seen int64) (err error) {
	w.cut.flush(func(msg []byte, whole bool) {
		if err == nil {
			err = w.message(msg, whole, seen)
		}
	})
	return err
}

func (w *Writer) message(msg []byte, whole bool, seen int64) error {
	if w.o.Mask != nil {
		if !whole {
			return w.lost(uint64(len(msg)), seen) // nobody knows what is in it
		}
		if msg = w.o.Mask.message(msg); msg == nil {
			return nil // no rule reads anything of it
		}
	}
	if whole {
		w.count.Messages++
	}
	// A new file begins with a message: what belongs together stays together.
	if w.o.MaxSize > 0 && whole && w.some && w.size+int64(len(msg)) > w.o.MaxSize {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	w.some = true
	return w.write(kindNames[wire.Heard], seen, msg)
}

func (w *Writer) lost(bytes uint64, seen int64) error {
	w.count.Lost += bytes
	return w.write(lost, seen, strconv.AppendUint(nil, bytes, 10))
}

func (w *Writer) write(kind string, seen int64, data []byte) error {
	w.entry = appendEntry(w.entry[:0], kind, seen, data)
	return w.put(w.entry)
}

// rotate puts the file in hand behind the new one.
func (w *Writer) rotate() error {
	if err := w.Close(); err != nil {
		return err
	}
	for i := w.o.Files - 1; i > 0; i-- {
		if err := os.Rename(name(w.o.Path, i-1), name(w.o.Path, i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate a capture: %w", err)
		}
	}
	if w.o.Files == 1 {
		if err := os.Remove(w.o.Path); err != nil {
			return fmt.Errorf("rotate a capture: %w", err)
		}
	}
	return w.begin()
}

// Flush hands everything to the system.
func (w *Writer) Flush() error {
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write a capture to %s: %w", w.o.Path, err)
	}
	return nil
}

// Count is what was written so far.
func (w *Writer) Count() Count { return w.count }

// Close ends the file in hand.
func (w *Writer) Close() error {
	return errors.Join(w.Flush(), w.file.Close())
}
