package connectors

import (
	"slices"
	"time"

	"calljournal/agent/call"
)

// Roll is which legs are up as the facts of a session say, to be compared from
// time to time with what the PBX itself lists: neither protocol numbers its
// messages, so a hang-up that was never sent shows in no other way.
//
// A list and the facts are never of one moment: a leg that is born or ends while
// the list is on its way is in the one and not in the other. So a difference
// counts only if it is there twice, the same way round, with time enough between
// for whatever was on its way to arrive.
type Roll struct {
	up       map[call.LegID]bool
	gone     map[call.LegID]bool       // ended; the PBX may still be writing its records of it and list it
	suspects map[call.LegID]difference // last time
	good     call.Moment               // when list and facts agreed, last
}

// difference is where a leg is that is not in both.
type difference uint8

const (
	onlyListed  difference = 1 + iota // its beginning is on its way, or was lost
	onlyInFacts                       // its end is
)

// rollMost bounds the memory of a Roll: a PBX has a few thousand channels.
const rollMost = 100_000

// How often a link is audited, and how long a difference must last to count.
const (
	AuditEvery   = 3 * time.Minute
	AuditConfirm = 5 * time.Second
)

// Take takes in one fact, in its order.
func (r *Roll) Take(e *call.Event) {
	switch e.Kind {
	case call.LegCreated:
		if r.up == nil || len(r.up) >= rollMost {
			r.up = make(map[call.LegID]bool)
		}
		r.up[e.Leg] = true
	case call.LegEnded:
		delete(r.up, e.Leg)
		if r.gone == nil || len(r.gone) >= rollMost {
			r.gone = make(map[call.LegID]bool)
		}
		r.gone[e.Leg] = true
	case call.LegAlias:
		if r.up[e.Peer] {
			delete(r.up, e.Peer)
			r.up[e.Leg] = true
		}
	case call.Snapshot:
		r.up = make(map[call.LegID]bool, len(e.Live))
		for _, l := range e.Live {
			r.up[l.Leg] = true
		}
		r.suspects, r.good = nil, e.At
	case call.LinkUp, call.LinkGap:
		r.suspects, r.good = nil, e.At
	case call.PBXStarted:
		*r = Roll{good: e.At}
	}
}

// Suspects are the legs in doubt since the last Compare.
func (r *Roll) Suspects() []call.LegID {
	var legs []call.LegID
	for leg := range r.suspects {
		legs = append(legs, leg)
	}
	slices.Sort(legs)
	return legs
}

// Compare takes a list of the legs that are up, as of now. It gives the legs
// that differ for the second time in a row, which is a loss; Suspects has those
// that differ for the first time. (A leg that was born on the way of one list and
// ended on that of the next differs twice too, but not the same way round.)
func (r *Roll) Compare(listed []call.LegID, now call.Moment) (lost []call.LegID) {
	differ := make(map[call.LegID]difference)
	in := make(map[call.LegID]bool, len(listed))
	for _, leg := range listed {
		in[leg] = true
		if !r.up[leg] && !r.gone[leg] {
			differ[leg] = onlyListed
		}
	}
	for leg := range r.up {
		if !in[leg] {
			differ[leg] = onlyInFacts
		}
	}
	for leg := range r.gone {
		if !in[leg] {
			delete(r.gone, leg)
		}
	}
	for leg, how := range differ {
		if r.suspects[leg] == how {
			lost = append(lost, leg)
		}
	}
	slices.Sort(lost)
	if r.suspects = differ; len(differ) == 0 {
		r.good = now
	}
	return lost
}

// Loss is the fact that legs differ: something was lost since all was well.
func (r *Roll) Loss(at, seen call.Moment) call.Event {
	return call.Event{Kind: call.LinkGap, From: r.good, At: at, Seen: seen, Data: "events lost"}
}
