package freeswitch

import (
	"strconv"

	"calljournal/agent/call"
)

// tally compares the numbers that FreeSWITCH gives to its sessions, and how many
// it says are up, with those that events told of. FreeSWITCH's queue for a
// listener drops events without a word to him (mod_event_socket.c:
// MAX_QUEUE_LEN); this is how he can know, before an audit calls the roll.
type tally struct {
	counted bool        // a heartbeat has come: base and at are known
	base    uint64      // sessions up to this number were before, or have been looked for
	at      call.Moment // of the heartbeat that said base
	due     uint64      // sessions up to this number must have been told of by the next heartbeat
	dueAt   call.Moment
	seen    map[uint64]bool // numbers beyond base that were told of

	legs    map[call.LegID]*tallyEntry
	beats   uint64
	tooMany int // heartbeats in a row that counted fewer channels than we know
}

// tallyEntry is a leg that was told of.
type tallyEntry struct {
	ended bool
	beat  uint64 // at which it ended
}

// tallyMost bounds the memory: FreeSWITCH's own limit of sessions is mostly a
// few thousand.
const tallyMost = 100_000

func newTally() *tally {
	return &tally{seen: make(map[uint64]bool), legs: make(map[call.LegID]*tallyEntry)}
}

// take marks what an event tells of. It is false for an event that says once
// more what another one has said: CHANNEL_DESTROY after CHANNEL_HANGUP_COMPLETE.
func (r *tally) take(m Message) bool {
	if len(r.legs) > tallyMost || len(r.seen) > tallyMost {
		*r = *newTally()
	}
	id := m.id("Unique-ID")
	if n, err := strconv.ParseUint(m.variable("session_id"), 10, 64); err == nil && n > r.base {
		r.seen[n] = true
	}
	e := r.legs[id]
	switch m.name() {
	case "channel_create":
		if e == nil && id != "" {
			r.legs[id] = new(tallyEntry)
		}
	case "channel_hangup_complete":
		if e == nil {
			e = new(tallyEntry)
			r.legs[id] = e
		}
		e.ended, e.beat = true, r.beats
	case "channel_destroy":
		delete(r.legs, id)
		return e == nil || !e.ended
	}
	return true
}

// know takes in the legs of a snapshot.
func (r *tally) know(live []call.LegID) {
	up := make(map[call.LegID]bool, len(live))
	for _, id := range live {
		up[id] = true
		if r.legs[id] == nil {
			r.legs[id] = new(tallyEntry)
		}
	}
	for id, e := range r.legs {
		if !up[id] && !e.ended {
			delete(r.legs, id) // or it is as new as the snapshot and tells its end itself
		}
	}
	r.tooMany = 0
}

// heartbeat compares. missing is how many sessions began since the moment
// since, and no event told of them; stale is that FreeSWITCH has fewer channels
// up than we know of, twice in a row. Sessions are looked for one heartbeat
// later, for the event of one that has just begun may be on its way.
func (r *tally) heartbeat(m Message, at call.Moment) (missing uint64, since call.Moment, stale bool) {
	r.beats++
	if last, err := strconv.ParseUint(m.get("Session-Since-Startup"), 10, 64); err == nil {
		switch {
		case !r.counted || last < r.base:
			r.counted, r.base, r.due = true, last, 0
			r.at = at
		case r.due == 0:
			r.due, r.dueAt = last, at
		default:
			told := uint64(0)
			for n := range r.seen {
				if n > r.base && n <= r.due {
					told++
				}
			}
			missing, since = r.due-r.base-min(told, r.due-r.base), r.at
			r.base, r.at = r.due, r.dueAt
			r.due, r.dueAt = last, at
		}
		for n := range r.seen {
			if n <= r.base {
				delete(r.seen, n)
			}
		}
	}
	up := 0
	for id, e := range r.legs {
		switch {
		case !e.ended:
			up++
		case e.beat+1 < r.beats:
			delete(r.legs, id) // its CHANNEL_DESTROY will not come
		}
	}
	if count, err := strconv.Atoi(m.get("Session-Count")); err == nil && count < up {
		r.tooMany++
	} else {
		r.tooMany = 0
	}
	if r.tooMany >= 2 {
		r.tooMany = 0
		stale = true
	}
	return missing, since, stale
}
