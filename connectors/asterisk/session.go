package asterisk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/link"
	"calljournal/connectors/wire"
)

// session is one connection from the moment amigo is ready: it takes the
// messages in, one by one, on one goroutine.
type session struct {
	link.Session
	c   *Connector
	tag string // begins all ActionIDs of this session, and nobody else's

	up      bool    // LinkUp is out
	survey  *survey // under way
	surveys int
	again   time.Time     // when the next one is due, after one without an answer
	pause   time.Duration // before that
	gaps    []call.Event  // told before the snapshot that heals them
	held    []call.Event  // facts that came while a survey was under way

	audit    *audit // under way
	audits   int
	auditDue time.Time

	ahead   time.Duration // how far the PBX's clock is ahead of ours
	stamped bool          // its events carry a Timestamp, as far as is known
}

func newSession(c *Connector, number uint64, line *wire.Line, begun call.Moment, emit func(call.Event)) *session {
	return &session{Session: c.link.Session(number, line, begun, emit), c: c, tag: "cj-" + rand.Text()[:10] + "-", stamped: true}
}

// run takes everything that comes until the line has ended and all that was read
// is taken in: then it returns nil, and the line knows why it ended. An error
// means that the parser failed us.
func (s *session) run(p *parser) error {
	pumped := make(chan error, 1)
	var pump sync.WaitGroup
	pump.Go(func() { pumped <- s.Line.Pump(p.conn) })
	defer func() {
		s.Line.End(errors.New("the session is over"))
		p.conn.Close()
		pump.Wait()
	}()
	s.ask()
	patience := time.NewTicker(max(time.Millisecond, min(s.Link.AnswerWithin, s.Link.AuditEvery, s.Link.AuditConfirm)/4))
	defer patience.Stop()
	for {
		select {
		case m := <-p.messages:
			if m["Event"] == wire.AMIEnd {
				return nil
			}
			s.take(m)
		case now := <-patience.C:
			switch {
			case s.waited(now):
				s.ask()
			case s.auditIsDue(now):
				s.askAudit()
			}
		case err := <-pumped:
			if err != nil {
				return fmt.Errorf("hand messages to the parser: %w", err)
			}
		case <-p.done:
			return errors.New("the parser has ended")
		}
	}
}

// waited ends a survey that is not answered in time, and says whether it is time
// for another one.
func (s *session) waited(now time.Time) (again bool) {
	if s.survey != nil {
		if now.Sub(s.survey.asked) >= s.Link.AnswerWithin {
			s.conclude()
		}
		return false
	}
	return !s.again.IsZero() && now.After(s.again)
}

// take takes in one message.
func (s *session) take(m map[string]string) {
	if us, err := strconv.ParseInt(m[wire.AMISeen], 10, 64); err == nil && us != 0 {
		s.Seen = call.Moment(us)
	} else if at := message(m).stamp(); at != 0 && s.Line == nil {
		s.Seen = max(s.Seen, at) // a recording without its times
	}
	event := m["Event"]
	if event == wire.AMIGap {
		s.gap(m)
		return
	}
	if id, ours := strings.CutPrefix(m["ActionID"], s.tag); ours {
		switch {
		case s.survey != nil && s.survey.answer(id, m, s.Seen):
			s.conclude()
		case s.audit != nil && s.audit.answer(id, m):
			s.compare()
		}
		return
	}
	switch {
	case event == "":
		return // an answer to a Ping
	case strings.EqualFold(event, "FullyBooted"):
		s.booted(m)
		return
	case strings.EqualFold(event, "Shutdown"):
		s.c.stopping = true
		return
	}
	s.checkStamp(m)
	for _, e := range Normalise(m, s.Seen) {
		s.fact(e)
	}
}

// gap states a loss, and asks the PBX how things stand: what was lost may have
// been the end of a call.
func (s *session) gap(m map[string]string) {
	from, _ := strconv.ParseInt(m[wire.AMIFrom], 10, 64)
	to, _ := strconv.ParseInt(m[wire.AMITo], 10, 64)
	g := call.Event{Kind: call.LinkGap, From: s.pbxTime(call.Moment(from)), At: s.pbxTime(call.Moment(to)), Seen: call.Moment(to),
		Data: m[wire.AMICount] + " messages lost: " + m[wire.AMIReason]}
	s.Link.Log.Warn("messages of the PBX were lost", "session", s.Number, "count", m[wire.AMICount], "why", m[wire.AMIReason])
	s.lost(g)
	s.ask()
}

// lost states a loss: before the snapshot that heals it.
func (s *session) lost(g call.Event) {
	if s.survey != nil {
		s.gaps = append(s.gaps, g) // its answers may be among the lost
	} else {
		s.Send(g)
	}
}

// booted: the PBX tells how long it has been up, at sign-in, and when it has
// just come up behind a connection that stayed (a proxy's).
func (s *session) booted(m map[string]string) {
	seconds, err := strconv.ParseInt(m["Uptime"], 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<31 {
		return
	}
	began := s.Seen.Add(-time.Duration(seconds) * time.Second)
	if s.survey != nil {
		s.survey.booted = began
		return
	}
	if s.c.restarted(start{began, true}) {
		s.Send(call.Event{Kind: call.PBXStarted, At: s.pbxTime(s.Seen), Seen: s.Seen, From: began})
		s.ask()
	}
}

// checkStamp keeps the advice about timestampevents.
func (s *session) checkStamp(m map[string]string) {
	stamped := m["Timestamp"] != ""
	if stamped == s.stamped {
		return
	}
	s.stamped = stamped
	if stamped {
		s.Link.Warn(warnStamps, "")
	} else {
		s.Link.Warn(warnStamps, "events carry no Timestamp, so times are those of arrival: set timestampevents = yes in the [general] part of manager.conf")
	}
}

// pbxTime is a moment of ours on the PBX's clock, if its facts are stamped by
// that: times of both kinds must not meet in one duration.
func (s *session) pbxTime(m call.Moment) call.Moment {
	if !s.stamped {
		return m
	}
	return m.Add(s.ahead)
}

// fact states a fact, now or when the survey under way has ended.
func (s *session) fact(e call.Event) {
	if s.survey == nil {
		s.Send(e)
		return
	}
	if s.held = append(s.held, e); len(s.held) >= link.HeldMost {
		s.conclude()
	}
}

// finish states what is still held, then the end.
func (s *session) finish(why error) {
	if s.survey != nil {
		s.survey.cutOff = true
		s.conclude()
	}
	last := call.Moment(s.Link.Count.LastByte.Load())
	s.Send(call.Event{Kind: call.LinkDown, At: s.pbxTime(last), Seen: last, Data: why.Error()})
}
