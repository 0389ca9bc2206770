package freeswitch

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/wire"
)

// rereading is a recorded session: the same session, but that the events come
// out of a file, the answers too, and it is as late as the recording says.
type rereading struct {
	session *session
	framer  *wire.ESL
	answers map[string]answer
}

type answer struct {
	text string
	at   time.Time
}

// answersMost bounds what the answers of one survey may take.
const answersMost = 4*dumpsMost + 16

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
		c.reread = &rereading{s, wire.NewESL(Needed(), &c.link.Count), make(map[string]answer)}
	}
	r := c.reread
	s := r.session
	s.Emit = emit
	if chunk.Skipped > 0 {
		s.tally = newTally() // what it counts may be among the lost
		s.lost(s.Skipped(chunk, s.pbxTime))
	}
	switch chunk.Kind {
	case wire.Began:
		if chunk.Middle {
			s.state(&survey{})
			return
		}
		s.ask(markSurvey)
	case wire.Asked:
		s.ask(string(chunk.Data))
		clear(r.answers)
	case wire.Answered:
		question, text, _ := bytes.Cut(chunk.Data, []byte("\n"))
		if len(r.answers) < answersMost {
			r.answers[string(question)] = answer{string(text), chunk.At.Time()}
		}
	case wire.Surveyed:
		r.surveyed(string(chunk.Data))
	case wire.Heard:
		r.framer.Feed(chunk.Data, chunk.Seen, func(msg []byte) {
			if m := readEvent(msg); m != nil {
				s.take(m)
			}
		})
	case wire.Ended:
		s.finish(errors.New(string(chunk.Data)))
	}
}

// surveyed puts the questions once more, and has them answered as they were.
func (r *rereading) surveyed(why string) {
	ask := func(text string) (string, time.Time, error) {
		if a, ok := r.answers[text]; ok {
			return a.text, a.at, nil
		}
		return "", time.Time{}, errors.New("not in the recording: " + why)
	}
	s := r.session
	switch {
	case s.asking:
		v := &survey{dumps: make(map[string]Message)}
		v.err = v.ask(ask)
		s.conclude(v)
	case s.auditing:
		a := &audit{suspects: s.Roll.Suspects()}
		a.err = a.ask(ask)
		s.compare(a)
	}
}

// readEvent reads an event as it leaves the framer; nil if it is none.
func readEvent(frame []byte) Message {
	_, body, _ := bytes.Cut(frame, []byte("\n\n"))
	raw := make(map[string]any)
	if json.Unmarshal(body, &raw) != nil {
		return nil
	}
	m := make(Message, len(raw))
	for name, value := range raw {
		m[recased(name)] = value
	}
	return m
}
