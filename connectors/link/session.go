package link

import (
	"math/rand/v2"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors"
	"calljournal/connectors/wire"
)

// HeldMost is how many facts may wait for a survey to end.
const HeldMost = 20_000

// Session is one connection on the way from its messages to its facts; a
// connector's own session embeds it. It is used on one goroutine.
type Session struct {
	Link   *Link
	Number uint64
	Line   *wire.Line // nil: a recorded session
	Emit   func(call.Event)
	Seen   call.Moment     // arrival of the last message
	Roll   connectors.Roll // which legs are up, by what was sent

	seq uint64 // of the last fact sent
}

// Session gives the session with this number, none of whose messages has come
// yet.
func (l *Link) Session(number uint64, line *wire.Line, begun call.Moment, emit func(call.Event)) Session {
	return Session{Link: l, Number: number, Line: line, Emit: emit, Seen: begun}
}

// Now is how late it is: in a recorded session as late as its last message.
func (s *Session) Now() time.Time {
	if s.Line == nil {
		return s.Seen.Time()
	}
	return time.Now()
}

// Send states a fact: it gets its number, and is out.
func (s *Session) Send(e call.Event) {
	s.Roll.Take(&e)
	s.seq++
	e.Session, e.Seq = s.Number, s.seq
	s.Link.events.Add(1)
	s.Emit(e)
}

// NextAudit is when an audit is due after one that agreed: jittered, so that
// those of many links do not fall together.
func (s *Session) NextAudit() time.Time {
	d := s.Link.AuditEvery
	return s.Now().Add(d - d/6 + rand.N(d/3+1))
}

// Compare holds the PBX's list of its channels, as of at on the PBX's clock,
// against the facts. If something was lost it gives the fact that says so, which
// the connector must send. Roll has what is in doubt.
func (s *Session) Compare(listed []call.LegID, at call.Moment) (loss call.Event, lost bool) {
	legs := s.Roll.Compare(listed, at)
	if len(legs) == 0 {
		return call.Event{}, false
	}
	s.Link.Log.Warn("the PBX's list of channels is not what its events said", "session", s.Number, "legs", len(legs), "leg", string(legs[0]))
	return s.Roll.Loss(at, s.Seen), true
}
