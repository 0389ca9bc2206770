package asterisk

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/wire"
)

// rereading is a recorded session: the same session, but that the messages come
// out of a file, nothing is asked, and it is as late as the recording says.
type rereading struct {
	session *session
	framer  *wire.AMI
	seen    call.Moment
}

// Reread states the facts of a recorded link, chunk by chunk, as Run stated
// them when it was recorded. A session that is recorded from its middle on begins
// with a Began that holds a text: how things stood is not known then. Chunks with
// no time have that of the PBX's stamps. It must not be mixed with Run.
func (c *Connector) Reread(chunk wire.Chunk, emit func(call.Event)) {
	r := c.reread
	if chunk.Kind == wire.Began {
		if len(chunk.Data) > 0 && r != nil {
			return // the session goes on
		}
		r = &rereading{framer: wire.NewAMI(needed(), &c.count)}
		c.sessions++
		r.session = newSession(c, c.sessions, nil, call.Moment(chunk.Seen), nil)
		r.session.tag = "\x00" // not known yet
		r.session.now = func() time.Time { return r.session.seen.Time() }
		c.reread = r
	}
	if r == nil {
		return
	}
	s := r.session
	s.emit = emit
	if chunk.Seen != 0 {
		r.seen = call.Moment(chunk.Seen)
		if chunk.Kind == wire.Heard || chunk.Kind == wire.Answered {
			c.count.LastByte.Store(chunk.Seen)
		}
	}
	if chunk.Skipped > 0 {
		s.skipped(chunk.Skipped, r.seen)
	}
	switch chunk.Kind {
	case wire.Began:
		s.ask()
		if len(chunk.Data) > 0 {
			s.survey.cutOff = true
			s.conclude()
		}
	case wire.Asked:
		s.asked(string(chunk.Data))
	case wire.Heard:
		if chunk.Seen != 0 {
			s.waited(r.seen.Time())
		}
		c.count.Bytes.Add(uint64(len(chunk.Data)))
		r.framer.Feed(chunk.Data, chunk.Seen, func(msg []byte) { s.take(headers(msg)) })
	case wire.Ended:
		s.finish(errors.New(string(chunk.Data)))
		c.reread = nil
	}
}

// asked follows what was asked when the session was recorded.
func (s *session) asked(mark string) {
	tag, what, ok := strings.Cut(mark, " ")
	if !ok {
		return
	}
	s.tag = tag
	if strings.HasPrefix(what, markAudit) {
		s.audits, _ = strconv.Atoi(strings.TrimPrefix(what, markAudit))
		s.audits--
		s.askAudit()
		return
	}
	if n, err := strconv.Atoi(what); err == nil && n > s.surveys {
		s.surveys = n - 1
		s.ask()
	}
}

// skipped: the recording lacks something here.
func (s *session) skipped(bytes uint64, at call.Moment) {
	from := s.seen
	s.seen = max(s.seen, at)
	g := call.Event{Kind: call.LinkGap, From: s.pbxTime(from), At: s.pbxTime(s.seen), Seen: s.seen,
		Data: strconv.FormatUint(bytes, 10) + " bytes are not in the recording"}
	if s.survey != nil {
		s.gaps = append(s.gaps, g)
	} else {
		s.send(g)
	}
}

// headers reads a message as the parser does.
func headers(msg []byte) map[string]string {
	m := make(map[string]string)
	for line := range strings.SplitSeq(string(msg), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			m[name] = strings.TrimSpace(value)
		}
	}
	return m
}

// record leaves a mark in the recording that is made of this link, if one is.
func (c *Connector) record(k wire.ChunkKind, text string) {
	if c.cfg.Recorder != nil {
		c.cfg.Recorder.Record(k, []byte(text), time.Now().UnixMicro())
	}
}
