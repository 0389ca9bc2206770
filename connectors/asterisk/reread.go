package asterisk

import (
	"errors"
	"strconv"
	"strings"

	"calljournal/agent/call"
	"calljournal/connectors/wire"
)

// rereading is a recorded session: the same session, but that the messages come
// out of a file, nothing is asked, and it is as late as the recording says.
type rereading struct {
	session *session
	framer  *wire.AMI
}

// Reread states the facts of a recorded link, chunk by chunk, as Run stated
// them when it was recorded. A session that is recorded from its middle on begins
// with a Began that holds a text: how things stood is not known then. Chunks with
// no time have that of the PBX's stamps. It must not be mixed with Run.
func (c *Connector) Reread(heard wire.Chunk, emit func(call.Event)) {
	chunk, ok := c.link.Reread(heard)
	if !ok {
		return
	}
	if chunk.First {
		s := newSession(c, chunk.Session, nil, call.Moment(chunk.Seen), nil)
		s.tag = "\x00" // not known yet
		c.reread = &rereading{s, wire.NewAMI(needed(), &c.link.Count)}
	}
	s := c.reread.session
	s.Emit = emit
	if chunk.Skipped > 0 {
		s.lost(s.Skipped(chunk, s.pbxTime))
	}
	switch chunk.Kind {
	case wire.Began:
		s.ask()
		if chunk.Middle {
			s.survey.cutOff = true
			s.conclude()
		}
	case wire.Asked:
		s.asked(string(chunk.Data))
	case wire.Heard:
		if chunk.Seen != 0 {
			s.waited(chunk.At.Time())
		}
		c.reread.framer.Feed(chunk.Data, chunk.Seen, func(msg []byte) { s.take(headers(msg)) })
	case wire.Ended:
		s.finish(errors.New(string(chunk.Data)))
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
