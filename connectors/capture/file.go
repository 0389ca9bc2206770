package capture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/connectors/wire"
)

const (
	magic   = "calljournal-capture/"
	version = 1
)

// Bounds of what is believed of a file from outside.
const (
	maxHeader = 64 << 10
	maxEntry  = wire.MaxBody + wire.MaxMessage // data of one entry
	maxLine   = 80                             // of an entry's own line
	maxHurt   = 1000                           // entries; then the rest is not looked at
)

// Header describes the link that a file is of.
type Header struct {
	Kind       string    `json:"kind"`                 // asterisk, freeswitch
	PBX        string    `json:"pbx"`                  // name of the [[pbx]]: call ids begin with it
	Trunks     []string  `json:"trunks,omitempty"`     // as configured
	Extensions string    `json:"extensions,omitempty"` // as configured
	Masked     bool      `json:"masked,omitempty"`
	ID         string    `json:"id"`   // of the capture; its files share it
	Part       int       `json:"part"` // of the capture, from 1
	Begun      time.Time `json:"begun"`
	Version    string    `json:"version,omitempty"` // of the program
}

// kindNames are the kinds of entries; "lost" is no kind of Chunk of its own.
var kindNames = [...]string{wire.Heard: "heard", wire.Began: "began", wire.Asked: "asked", wire.Answered: "answered", wire.Surveyed: "surveyed", wire.Ended: "ended"}

const (
	lost      = "lost"
	continued = "continued"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendHeader(dst []byte, h Header) ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return dst, err
	}
	dst = append(append(dst, magic...), strconv.Itoa(version)...)
	return append(append(append(dst, ' '), b...), '\n'), nil
}

func appendEntry(dst []byte, kind string, seen int64, data []byte) []byte {
	from := len(dst)
	dst = append(append(dst, kind...), ' ')
	dst = append(strconv.AppendInt(dst, seen, 10), ' ')
	dst = strconv.AppendInt(dst, int64(len(data)), 10)
	sum := crc32.Update(crc32.Checksum(dst[from:], castagnoli), castagnoli, data)
	dst = fmt.Appendf(dst, " %08x\n", sum)
	return append(append(dst, data...), '\n')
}

// ErrNotCapture: it does not begin as a capture does.
var ErrNotCapture = errors.New("not a capture of calljournal")

// Reader reads one file.
type Reader struct {
	r      *bufio.Reader
	header Header
	hurt   Damage
	lost   uint64 // not told of yet
	tries  int    // entries that looked whole and were not
}

// Damage is what of a file could not be read.
type Damage struct {
	Places  int   // where
	Bytes   int64 // of them
	CutOff  int64 // bytes of an entry at the end whose rest is not there
	GivenUp bool  // so many places that the rest was not looked at
}

// Is tells whether a stream that begins so is a capture.
func Is(first []byte) bool { return bytes.HasPrefix(first, []byte(magic)) }

// MagicBytes is how many bytes Is needs.
const MagicBytes = len(magic)

// NewReader reads the first line.
func NewReader(r io.Reader) (*Reader, error) {
	in := &Reader{r: bufio.NewReaderSize(r, maxEntry+maxLine+1)}
	first, err := in.r.Peek(maxHeader)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !Is(first) {
		return nil, ErrNotCapture
	}
	line, _, ok := bytes.Cut(first, []byte("\n"))
	number, text, ok2 := bytes.Cut(line[len(magic):], []byte(" "))
	v, err := strconv.Atoi(string(number))
	if !ok || !ok2 || err != nil {
		return nil, fmt.Errorf("%w: its first line is not whole", ErrNotCapture)
	}
	if v != version {
		return nil, fmt.Errorf("a capture of version %d: this program reads version %d; use a newer one", v, version)
	}
	if err := json.Unmarshal(text, &in.header); err != nil {
		return nil, fmt.Errorf("%w: its first line: %w", ErrNotCapture, err)
	}
	_, err = in.r.Discard(len(line) + 1)
	return in, err
}

// Header is what the file says of its link.
func (r *Reader) Header() Header { return r.header }

// Damage is what could not be read so far.
func (r *Reader) Damage() Damage { return r.hurt }

// Next gives the next chunk, io.EOF after the last. What is hurt before it is
// passed over, and counted in its Skipped.
func (r *Reader) Next() (wire.Chunk, error) {
	for {
		kind, seen, data, err := r.entry()
		if err != nil {
			return wire.Chunk{}, err
		}
		if kind == lost {
			if n, err := strconv.ParseUint(string(data), 10, 63); err == nil {
				r.lost += n
			}
			continue
		}
		for k, name := range kindNames {
			if name == kind {
				c := wire.Chunk{Kind: wire.ChunkKind(k), Seen: seen, Data: data, Skipped: r.lost}
				r.lost = 0
				return c, nil
			}
		}
		// A kind that a later program writes: nothing we know depends on it.
	}
}

// entry finds the next good entry.
func (r *Reader) entry() (kind string, seen int64, data []byte, err error) {
	hurting := int64(0)
	defer func() {
		if hurting > 0 && err == nil {
			r.hurt.Places++
			r.hurt.Bytes += hurting
			r.lost += uint64(hurting)
		}
	}()
	for {
		head, err := r.r.Peek(maxLine)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", 0, nil, err
		}
		if len(head) == 0 {
			r.hurt.CutOff += hurting
			return "", 0, nil, io.EOF
		}
		line, _, ended := bytes.Cut(head, []byte("\n"))
		kind, seen, size, sum, ok := parseLine(line)
		if ended && ok {
			all, err := r.r.Peek(len(line) + 1 + size + 1)
			if err != nil && !errors.Is(err, io.EOF) {
				return "", 0, nil, err
			}
			whole := err == nil && all[len(all)-1] == '\n'
			if whole {
				data = all[len(line)+1 : len(all)-1]
				signed := line[:bytes.LastIndexByte(line, ' ')]
				if crc32.Update(crc32.Checksum(signed, castagnoli), castagnoli, data) == sum {
					data = bytes.Clone(data)
					_, err = r.r.Discard(len(all))
					return kind, seen, data, err
				}
			}
			// Each of these costs a reading of the whole entry: not without end.
			if r.tries++; r.tries >= maxHurt {
				r.hurt.GivenUp = true
				return "", 0, nil, io.EOF
			}
		}
		// Not an entry: on to the next line.
		n := len(line)
		if ended {
			n++
		}
		if _, err := r.r.Discard(n); err != nil {
			return "", 0, nil, err
		}
		hurting += int64(n)
	}
}

func parseLine(line []byte) (kind string, seen int64, size int, sum uint32, ok bool) {
	f := strings.Split(string(line), " ")
	if len(f) != 4 || len(f[0]) == 0 || len(f[3]) != 8 {
		return "", 0, 0, 0, false
	}
	seen, err1 := strconv.ParseInt(f[1], 10, 64)
	size, err2 := strconv.Atoi(f[2])
	crc, err3 := strconv.ParseUint(f[3], 16, 32)
	if err1 != nil || err2 != nil || err3 != nil || seen < 0 || seen > math.MaxInt64/1000 || size < 0 || size > maxEntry {
		return "", 0, 0, 0, false
	}
	return f[0], seen, size, uint32(crc), true
}

// Join gives the chunks of all files of one capture in their order, whatever the
// order of readers; io.EOF after the last.
func Join(readers ...*Reader) (next func() (wire.Chunk, error), err error) {
	left := slices.SortedFunc(slices.Values(readers), func(a, b *Reader) int { return a.header.Part - b.header.Part })
	for _, r := range left {
		if r.header.ID != left[0].header.ID {
			return nil, errors.New("the files are not of one capture: replay them one by one")
		}
	}
	return func() (wire.Chunk, error) {
		for len(left) > 0 {
			c, err := left[0].Next()
			if !errors.Is(err, io.EOF) {
				return c, err
			}
			left = left[1:]
		}
		return wire.Chunk{}, io.EOF
	}, nil
}
