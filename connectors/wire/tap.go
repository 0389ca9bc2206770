package wire

import (
	"context"
	"sync"
)

// ChunkKind says what a Chunk of a recorded link is.
type ChunkKind uint8

// The kinds. Only what the PBX said after the sign-in is ever recorded, and of
// what we said only which questions: no secret and no proof of one.
const (
	Heard    ChunkKind = iota // a piece of the stream, as it came off the socket
	Began                     // a session: the stream begins anew
	Asked                     // a survey of the PBX begins; Data is the connector's own mark of it
	Answered                  // a question, a line feed, and its answer, where a survey has a connection of its own
	Surveyed                  // that survey is over; Data is what it could not ask, if anything
	Ended                     // of a session; Data is why
)

// Chunk is a piece of a recorded link.
type Chunk struct {
	Kind    ChunkKind
	Seen    int64 // microsecond of the Unix epoch; 0 if nobody knows
	Data    []byte
	Skipped uint64 // bytes lost right before it because nobody took them in time
}

// Tap is a Recorder that keeps up to a limit in memory for whoever writes it
// down. What finds no room is skipped and counted; the line never waits.
type Tap struct {
	limit int
	some  chan struct{}

	mu      sync.Mutex
	chunks  []Chunk
	bytes   int
	skipped uint64 // since the last chunk
	total   uint64
}

// NewTap keeps at most limit bytes.
func NewTap(limit int) *Tap {
	return &Tap{limit: limit, some: make(chan struct{}, 1)}
}

// Record implements Recorder. What is not Heard is small, rare, and says how to
// read the rest: it is kept also beyond the limit.
func (t *Tap) Record(k ChunkKind, p []byte, seen int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k == Heard && t.bytes+len(p) > t.limit {
		t.skipped += uint64(len(p))
		t.total += uint64(len(p))
		return
	}
	t.chunks = append(t.chunks, Chunk{Kind: k, Seen: seen, Data: append([]byte(nil), p...), Skipped: t.skipped})
	t.bytes += len(p)
	t.skipped = 0
	select {
	case t.some <- struct{}{}:
	default:
	}
}

// Next waits for the next chunk. Only one goroutine may call it.
func (t *Tap) Next(ctx context.Context) (Chunk, error) {
	for {
		if c, ok := t.take(); ok {
			return c, nil
		}
		select {
		case <-t.some:
		case <-ctx.Done():
			// What was recorded before the end is still given.
			if c, ok := t.take(); ok {
				return c, nil
			}
			return Chunk{}, context.Cause(ctx)
		}
	}
}

func (t *Tap) take() (Chunk, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.chunks) == 0 {
		return Chunk{}, false
	}
	c := t.chunks[0]
	t.chunks[0] = Chunk{}
	if t.chunks = t.chunks[1:]; len(t.chunks) == 0 {
		t.chunks = nil
	}
	t.bytes -= len(c.Data)
	return c, true
}

// Skipped is how many bytes were lost so far.
func (t *Tap) Skipped() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}
