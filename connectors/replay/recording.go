package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The kinds of PBX that a recording can be of, as the configuration names them.
const (
	Asterisk   = "asterisk"
	FreeSWITCH = "freeswitch"
)

// Recording is what one PBX said on its event interface during a few calls,
// byte for byte, and when.
type Recording struct {
	Name string
	Kind string    // Asterisk or FreeSWITCH
	T0   time.Time // wall clock of the recording's beginning

	// Parts are the connections that the recording was made over, one after the
	// other in Stream; Cuts are the breaks between them, and nothing was heard.
	Parts []Part
	Cuts  []Cut

	Stream []byte
	Chunks []Chunk

	// Expect says what a journal must make of it, as package judge reads it;
	// nil if nobody knows.
	Expect []byte

	// CDR is what the PBX itself wrote of the calls, as CSV; nil if it was not kept.
	CDR []byte
}

// Part is one connection's share of the stream.
type Part struct {
	Start time.Duration
	Bytes int
}

// Cut is a stretch in which the connection was down.
type Cut struct {
	At, Down time.Duration
}

// Chunk is what one read of the recorder gave.
type Chunk struct {
	At    time.Duration // since T0
	Bytes int
}

// Message is one whole message of the protocol.
type Message struct {
	At   time.Duration // when its last byte came, since T0
	Part int
	Raw  []byte
	// Body is what Content-Length announced; empty for Asterisk.
	Body []byte
}

// Duration is the time from the beginning to the last byte.
func (r *Recording) Duration() time.Duration {
	if len(r.Chunks) == 0 {
		return 0
	}
	return r.Chunks[len(r.Chunks)-1].At
}

// meta is meta.json of a recording.
type meta struct {
	Kind  string  `json:"kind"`
	T0    float64 `json:"t0_epoch_ms"`
	Parts []struct {
		Start float64 `json:"start_ms"`
		Bytes int     `json:"bytes"`
	} `json:"parts"`
	Cuts []struct {
		At   float64 `json:"at_ms"`
		Down float64 `json:"down_ms"`
	} `json:"cuts"`
}

func ms(f float64) time.Duration { return time.Duration(f * float64(time.Millisecond)) }

func (r *Recording) setMeta(data []byte) error {
	var m meta
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("read meta.json of recording %s: %w", r.Name, err)
	}
	if m.Kind != Asterisk && m.Kind != FreeSWITCH {
		return fmt.Errorf("recording %s is of a PBX kind %q: want %s or %s", r.Name, m.Kind, Asterisk, FreeSWITCH)
	}
	r.Kind = m.Kind
	r.T0 = time.UnixMicro(int64(m.T0 * 1000)).UTC()
	for _, p := range m.Parts {
		r.Parts = append(r.Parts, Part{Start: ms(p.Start), Bytes: p.Bytes})
	}
	for _, c := range m.Cuts {
		r.Cuts = append(r.Cuts, Cut{At: ms(c.At), Down: ms(c.Down)})
	}
	return nil
}

// setTimes reads the list of chunks: a line "milliseconds bytes" for each, and
// notes behind a #.
func (r *Recording) setTimes(data []byte) error {
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			return fmt.Errorf("times of recording %s, line %d: want \"milliseconds bytes\", got %.40q", r.Name, n, line)
		}
		at, err1 := strconv.ParseFloat(f[0], 64)
		size, err2 := strconv.Atoi(f[1])
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("times of recording %s, line %d: %w", r.Name, n, err)
		}
		r.Chunks = append(r.Chunks, Chunk{At: ms(at), Bytes: size})
	}
	return nil
}

// clock tells for growing offsets in the stream when that byte came.
type clock struct {
	chunks []Chunk
	i, end int
}

func (c *clock) at(lastByte int) time.Duration {
	if len(c.chunks) == 0 {
		return 0
	}
	if c.end == 0 {
		c.end = c.chunks[0].Bytes
	}
	for c.end < lastByte && c.i < len(c.chunks)-1 {
		c.i++
		c.end += c.chunks[c.i].Bytes
	}
	return c.chunks[c.i].At
}

func (r *Recording) partOf(offset int) int {
	end := 0
	for i, p := range r.Parts {
		if end += p.Bytes; offset < end {
			return i
		}
	}
	return max(0, len(r.Parts)-1)
}

// greetingAMI begins what Asterisk says first; it is no message.
var greetingAMI = []byte("Asterisk Call Manager/")

// Messages cuts the stream into whole messages; one that a broken connection
// cut off in the middle ends the list.
func (r *Recording) Messages() []Message {
	var out []Message
	c := clock{chunks: r.Chunks}
	for pos := 0; pos < len(r.Stream); {
		rest := r.Stream[pos:]
		var size, body int
		if r.Kind == Asterisk {
			if bytes.HasPrefix(rest, greetingAMI) {
				n := bytes.Index(rest, []byte("\r\n"))
				if n < 0 {
					return out
				}
				pos += n + 2
				continue
			}
			size = endAfter(rest, "\r\n\r\n")
			body = size
		} else {
			size, body = frameESL(rest)
		}
		if size < 0 || size > len(rest) {
			return out
		}
		out = append(out, Message{At: c.at(pos + size), Part: r.partOf(pos), Raw: rest[:size:size], Body: rest[body:size:size]})
		pos += size
	}
	return out
}

func endAfter(b []byte, sep string) int {
	n := bytes.Index(b, []byte(sep))
	if n < 0 {
		return -1
	}
	return n + len(sep)
}

// frameESL gives the size of the frame at the head of b and where its body
// begins; a negative size if the frame's head is not whole.
func frameESL(b []byte) (size, body int) {
	body = endAfter(b, "\n\n")
	if body < 0 {
		return -1, -1
	}
	for line := range bytes.Lines(b[:body]) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(name, []byte("Content-Length")) {
			n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil || n < 0 {
				return -1, -1
			}
			return body + n, body
		}
	}
	return body, body
}
