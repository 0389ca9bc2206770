package link

import (
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/wire"
)

// recorded is how far a recording has been read.
type recorded struct {
	session uint64 // so many have begun
	open    bool   // the last of them goes on
	seen    call.Moment
}

// Record leaves a mark in the recording that is made of this link, if one is.
func (l *Link) Record(k wire.ChunkKind, text string, at time.Time) {
	if l.Recorder != nil {
		l.Recorder.Record(k, []byte(strings.ToValidUTF8(text, "\uFFFD")), at.UnixMicro())
	}
}

// Chunk is a chunk of a recording and its place in it.
type Chunk struct {
	wire.Chunk
	Session uint64      // which of the recording's sessions it is of
	First   bool        // that session begins here
	Middle  bool        // and was under way before the recording of it
	At      call.Moment // the time of the last chunk that had one
}

// Reread takes the chunks of a recorded link in their order, in the place of a
// Line. It is false for a chunk that is not to be heeded: of no session, or one
// that begins a file although its session goes on.
func (l *Link) Reread(c wire.Chunk) (Chunk, bool) {
	r := &l.recorded
	began, middle := c.Kind == wire.Began, len(c.Data) > 0
	switch {
	case began && middle && r.open, !began && !r.open:
		return Chunk{}, false
	case began:
		r.session++
		r.seen = 0
	}
	r.open = c.Kind != wire.Ended
	if c.Seen != 0 {
		r.seen = call.Moment(c.Seen)
		if c.Kind == wire.Heard || c.Kind == wire.Answered {
			l.Count.LastByte.Store(c.Seen)
		}
	}
	if c.Kind == wire.Heard {
		l.Count.Bytes.Add(uint64(len(c.Data)))
	}
	return Chunk{Chunk: c, Session: r.session, First: began, Middle: began && middle, At: r.seen}, true
}

// Skipped is the fact that the recording lacks something before c. onPBX puts a
// moment of ours on the PBX's clock.
func (s *Session) Skipped(c Chunk, onPBX func(call.Moment) call.Moment) call.Event {
	from := s.Seen
	s.Seen = max(s.Seen, c.At)
	return call.Event{Kind: call.LinkGap, From: onPBX(from), At: onPBX(s.Seen), Seen: s.Seen,
		Data: strconv.FormatUint(c.Skipped, 10) + " bytes are not in the recording"}
}
