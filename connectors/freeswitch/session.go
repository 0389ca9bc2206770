package freeswitch

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/link"
	"calljournal/connectors/wire"
)

// session is one connection from the moment go-eventsocket is ready: it takes
// the events in, one by one, on one goroutine.
type session struct {
	link.Session
	c     *Connector
	tally *tally

	up      bool // LinkUp is out
	results chan *survey
	asking  bool
	again   bool         // something was lost while a survey was under way
	gaps    []call.Event // and restarts: told before the snapshot that heals them
	held    []call.Event // facts that came while a survey was under way

	audits   chan *audit
	auditing bool
	auditDue time.Time
	doubtAt  time.Time // when the list of the last audit differed

	newest call.Moment   // the latest stamp of the PBX
	lead   time.Duration // by how much its stamps were ahead of their arrival, at most: what came with less was late

	told    bool // an event has told the Core-UUID
	goodbye bool // the PBX said that it ends the connection
}

func newSession(c *Connector, number uint64, line *wire.Line, begun call.Moment, emit func(call.Event)) *session {
	return &session{Session: c.link.Session(number, line, begun, emit), c: c, tally: newTally(),
		results: make(chan *survey, 1), audits: make(chan *audit, 1)}
}

// run takes everything that comes until the line has ended and all that was read
// is taken in: then it returns nil, and the line knows why it ended. An error
// means that the parser failed us.
func (s *session) run(ctx context.Context, p *parser) error {
	ctx, cancel := context.WithCancel(ctx)
	pumped := make(chan error, 1)
	var helpers sync.WaitGroup
	helpers.Go(func() { pumped <- s.Line.Pump(p.conn) })
	defer func() {
		cancel() // of a survey under way
		s.Line.End(errors.New("the session is over"))
		p.conn.Close()
		helpers.Wait()
	}()
	ask := func() {
		s.ask(markSurvey)
		helpers.Go(func() { s.results <- s.c.survey(ctx) })
	}
	ask()
	tick := time.NewTicker(max(time.Millisecond, min(s.Link.AuditEvery, s.Link.AuditConfirm)/4))
	defer tick.Stop()
	for {
		select {
		case m := <-p.messages:
			if m.get("Event-Name") == wire.ESLEnd {
				return nil
			}
			s.take(m)
		case v := <-s.results:
			s.conclude(v)
		case a := <-s.audits:
			s.compare(a)
		case now := <-tick.C:
			if s.auditIsDue(now) {
				s.ask(markAudit)
				a := &audit{suspects: s.Roll.Suspects()}
				helpers.Go(func() {
					a.err = s.c.asking(ctx, a.ask)
					s.audits <- a
				})
			}
		case err := <-pumped:
			if err != nil {
				return fmt.Errorf("hand events to the parser: %w", err)
			}
		case <-p.done:
			return fmt.Errorf("the parser has ended: %w", p.err)
		}
		if s.again && !s.asking && !s.auditing {
			ask()
		}
	}
}

// What is asked on a connection of its own, one at a time.
const (
	markSurvey = "survey"
	markAudit  = "audit"
)

// ask takes note that a survey or an audit begins.
func (s *session) ask(what string) {
	s.asking, s.auditing = what == markSurvey, what == markAudit
	if s.asking {
		s.again = false
	}
	s.Link.Record(wire.Asked, what, time.Now())
}

// take takes in one event.
func (s *session) take(m Message) {
	if us, err := strconv.ParseInt(m.get(wire.ESLSeen), 10, 64); err == nil && us != 0 {
		s.Seen = call.Moment(us)
	} else if at := m.moment("Event-Date-Timestamp"); at != 0 && s.Line == nil {
		s.Seen = max(s.Seen, at) // a stream without its times
	}
	if at := m.moment("Event-Date-Timestamp"); at != 0 {
		s.c.ahead = at.Sub(s.Seen)
		if s.newest == 0 || s.c.ahead > s.lead {
			s.lead = s.c.ahead
		}
		s.newest = max(s.newest, at)
	}
	s.checkProcess(m)
	switch m.name() {
	case gapName:
		s.gap(m)
		return
	case goodbyeName:
		s.goodbye = true
		return
	case "shutdown":
		s.c.stopping = true
		return
	case "heartbeat":
		s.heartbeat(m)
		return
	}
	if !s.tally.take(m) {
		return // a second account of a leg's end
	}
	for _, e := range Normalise(m, s.Seen) {
		s.fact(e)
	}
}

// The names of wire's own messages as Message.name gives them.
const (
	gapName     = "cj-gap"
	goodbyeName = "cj-goodbye"
)

// checkProcess: another Core-UUID is another process, and no leg of the one
// before is up any more.
func (s *session) checkProcess(m Message) {
	core := m.get("Core-UUID")
	if core == "" {
		return
	}
	s.told = true
	if !s.c.restarted(core) {
		return
	}
	s.tally = newTally()
	at := m.moment("Event-Date-Timestamp")
	if at == 0 {
		at = s.Seen
	}
	e := call.Event{Kind: call.PBXStarted, At: at, Seen: s.Seen, Data: "Core-UUID " + core}
	if s.asking {
		s.gaps = append(s.gaps, e) // what the survey will say is of the new process already
	} else {
		s.Send(e)
	}
}

// restarted compares a Core-UUID with the one that is known and keeps it.
func (c *Connector) restarted(core string) bool {
	before := c.core
	c.core = core
	if before == "" || before == core {
		return false
	}
	c.stopping = false
	return true
}

// gap states a loss on our side, and asks how things stand: what was lost may
// have been the end of a call.
func (s *session) gap(m Message) {
	g := call.Event{Kind: call.LinkGap, From: s.pbxTime(m.moment(wire.ESLFrom)), At: s.pbxTime(m.moment(wire.ESLTo)), Seen: m.moment(wire.ESLTo),
		Data: m.get(wire.ESLCount) + " events lost: " + m.get(wire.ESLReason)}
	s.Link.Log.Warn("events of the PBX were lost", "session", s.Number, "count", m.get(wire.ESLCount), "why", m.get(wire.ESLReason))
	s.tally = newTally() // what it counts may be among the lost
	s.lost(g)
}

// heartbeat compares what FreeSWITCH counts with what it told of.
func (s *session) heartbeat(m Message) {
	if v := m.get("FreeSWITCH-Version"); v != "" {
		s.Link.Know("FreeSWITCH " + v)
	}
	at := m.moment("Event-Date-Timestamp")
	if at == 0 {
		at = s.Seen
	}
	missing, since, stale := s.tally.heartbeat(m, at)
	if missing > 0 && s.c.tallies {
		s.Link.Log.Warn("the PBX made channels that no event told of", "session", s.Number, "count", missing)
		s.lost(call.Event{Kind: call.LinkGap, From: since, At: at, Seen: s.Seen,
			Data: fmt.Sprintf("%d channels were made that no event told of", missing)})
	} else if stale {
		s.auditDue = s.Now() // the end of a leg was lost; the list tells whose
	}
}

func (s *session) lost(g call.Event) {
	if s.asking {
		s.gaps = append(s.gaps, g)
	} else {
		s.Send(g)
	}
	s.again = true
}

// fact states a fact, now or when the survey under way has ended.
func (s *session) fact(e call.Event) {
	if !s.asking {
		s.Send(e)
		return
	}
	if s.held = append(s.held, e); len(s.held) >= link.HeldMost {
		s.state(&survey{}) // it may still come; then as one more snapshot
	}
}

// conclude takes in a survey's result.
func (s *session) conclude(v *survey) {
	s.asking = false
	s.auditLater()
	s.c.advised(v)
	s.state(v)
}

// state says how things stand, and then the facts that came meanwhile.
func (s *session) state(v *survey) {
	at := s.pbxTime(s.Seen)
	if v.version != "" {
		s.Link.Know("FreeSWITCH " + v.version)
	}
	if !s.up {
		s.up = true
		data := s.Link.Stats().PBXVersion
		if v.core != "" {
			data += " Core-UUID " + v.core
		}
		s.Send(call.Event{Kind: call.LinkUp, At: at, Seen: s.Seen, From: s.pbxTime(v.started), Data: data})
	}
	if v.core != "" && !s.told && s.c.restarted(v.core) {
		s.Send(call.Event{Kind: call.PBXStarted, At: at, Seen: s.Seen, From: s.pbxTime(v.started), Data: "Core-UUID " + v.core})
	}
	gaps, held := s.gaps, s.held
	s.gaps, s.held = nil, nil
	for _, e := range gaps {
		s.Send(e)
	}
	// Without the list of channels nothing can be said of them: an empty
	// snapshot would mean that no call is up.
	if v.listed {
		live, known := before(held, v.live(), v.facts(s.Seen))
		s.Send(call.Event{Kind: call.Snapshot, At: at, Seen: s.Seen, Live: live})
		for _, e := range known {
			s.Send(e)
		}
		s.tally.know(v.ids())
	}
	for _, e := range held {
		s.Send(e)
	}
}

// before turns how things stood when they were asked for back into how they
// stood before the facts that came while the answer was waited for, and that are
// stated after it: legs that these facts end are still up, legs that they create
// are not yet; so with bridges. Of what is known of the legs' past it drops what
// they state themselves.
func before(held []call.Event, live []call.LiveLeg, known []call.Event) ([]call.LiveLeg, []call.Event) {
	if len(held) == 0 {
		return live, known
	}
	type said struct {
		leg  call.LegID
		kind call.Kind
	}
	first := make(map[said]call.Event, len(held))
	bridging := make(map[call.LegID]call.Event)
	for _, e := range held {
		key := said{e.Leg, e.Kind}
		if _, ok := first[key]; !ok {
			first[key] = e
		}
		if _, ok := bridging[e.Leg]; !ok && (e.Kind == call.Joined || e.Kind == call.Parted) {
			bridging[e.Leg] = e
		}
	}
	had := func(leg call.LegID, k call.Kind) bool {
		_, ok := first[said{leg, k}]
		return ok
	}
	up := make(map[call.LegID]bool, len(live))
	was := make([]call.LiveLeg, 0, len(live))
	for _, l := range live {
		if had(l.Leg, call.LegCreated) {
			continue
		}
		switch e := bridging[l.Leg]; e.Kind {
		case call.Joined:
			l.Bridge = ""
		case call.Parted:
			l.Bridge, l.BridgeKind = e.Bridge, e.BridgeKind
		}
		up[l.Leg] = true
		was = append(was, l)
	}
	for _, e := range held {
		if e.Kind == call.LegEnded && !up[e.Leg] && !had(e.Leg, call.LegCreated) {
			up[e.Leg] = true
			was = append(was, endedLeg(e, bridging[e.Leg]))
		}
	}
	past := known[:0:0]
	for _, e := range known {
		if up[e.Leg] && !had(e.Leg, e.Kind) {
			past = append(past, e)
		}
	}
	return was, past
}

// endedLeg is a leg as its end describes it.
func endedLeg(e, bridging call.Event) call.LiveLeg {
	l := call.LiveLeg{Leg: e.Leg, Link: e.Link, Channel: e.Channel, Endpoint: e.Endpoint, Local: e.Local, State: e.State,
		Number: e.Number, CallerName: e.CallerName, Connected: e.Connected, Dialled: e.Dialled, Context: e.Context, Account: e.Account,
		Queue: e.Queue, Peer: e.Peer, Originated: e.Originated}
	if e.History != nil {
		l.Created = e.History.Created
		if e.History.Answered != 0 {
			l.State = call.StateUp
		}
	}
	if bridging.Kind == call.Parted {
		l.Bridge, l.BridgeKind = bridging.Bridge, bridging.BridgeKind
	}
	return l
}

// sameClock is how far two clocks may be apart and still be taken for one: an
// event is on its way for a while.
const sameClock = 2 * time.Second

// pbxTime is a moment of ours on the PBX's clock, by which its facts are
// stamped: times of both kinds must not meet in one duration.
func (s *session) pbxTime(m call.Moment) call.Moment {
	if s.c.ahead.Abs() <= sameClock {
		return m
	}
	return m.Add(s.c.ahead)
}

// finish states what is still held, then the end.
func (s *session) finish(why error) {
	if s.asking {
		s.asking = false
		s.state(&survey{})
	}
	last := call.Moment(s.Link.Count.LastByte.Load())
	s.Send(call.Event{Kind: call.LinkDown, At: s.pbxTime(last), Seen: last, Data: why.Error()})
}
