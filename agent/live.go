package agent

import (
	"runtime/debug"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/forward"
)

// glanceEvery is how often calls that facts came in about are looked at, for
// whoever wants to know at once: at most so much later a screen shows it.
const glanceEvery = 100 * time.Millisecond

// screens tells forwarders what happens in calls while they go on. Beyond what the
// tracker knows it only remembers what was told already. It is the ingest
// goroutine's own, and costs it nothing while nobody watches.
type screens struct {
	watched bool
	told    map[string]*told // by call id
}

// told is what the screens know of one call.
type told struct {
	ringing  map[string]bool // by channel
	answered bool
}

// watch begins or ends to follow the calls, as the forwarders want it.
func (a *Agent) watch() {
	s := &a.screens
	if on := a.forwards.Watched(); on != s.watched {
		s.watched, s.told = on, map[string]*told{}
		for _, l := range a.links {
			l.tracker.Watch(on)
		}
	}
}

// glance looks at the calls that facts came in about since the last time.
func (a *Agent) glance() {
	defer func() {
		if p := recover(); p != nil { // a screen that stays dark is no reason to stop listening
			a.metrics.panics.Inc()
			if ok, silent := a.trouble.panics.let(a.now()); ok {
				a.log.Error("BUG: a call in progress could not be looked at", "err", p, "silent", silent, "stack", string(debug.Stack()))
			}
		}
	}()
	now := a.now()
	for _, l := range a.links {
		for _, g := range l.tracker.Touched(call.MomentOf(now) + l.now.Ahead) {
			a.directory.Load().Enrich(g.Call)
			for _, e := range a.screens.news(g) {
				a.forwards.Live(&e)
			}
		}
	}
}

// news is what a glimpse of a call says that was not told yet.
func (s *screens) news(g call.Glimpse) (events []forward.Event) {
	r := g.Call
	was := s.told[r.ID]
	if was == nil && !g.Live {
		return nil // its end was told: a fact came late
	}
	say := func(event string, at call.Moment, extension *string) {
		events = append(events, forward.Event{Event: event, At: at, Extension: extension, Call: r})
	}
	if was == nil {
		was = &told{ringing: map[string]bool{}}
		s.told[r.ID] = was
		say(forward.EventStarted, r.StartedAt, nil)
	}
	for i := range r.Legs {
		if leg := &r.Legs[i]; leg.RingingAt != 0 && leg.Role != call.RoleCaller && !was.ringing[leg.Channel] {
			was.ringing[leg.Channel] = true
			say(forward.EventRinging, leg.RingingAt, leg.Extension)
		}
	}
	if r.AnsweredAt != 0 && !was.answered {
		was.answered = true
		say(forward.EventAnswered, r.AnsweredAt, r.AnsweredBy)
	}
	if !g.Live {
		delete(s.told, r.ID)
		say(forward.EventEnded, r.EndedAt, nil)
	}
	return events
}
