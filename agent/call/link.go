package call

import (
	"slices"
	"strings"
	"time"
)

// This file is what the Tracker does when the link to the PBX breaks, comes
// back, or the PBX itself was started anew: nothing is invented, and nothing
// stays open that is gone.

// linkDown: from now on the PBX is not seen. Calls that are up are in doubt.
func (t *Tracker) linkDown(e Event) {
	if t.blind != 0 {
		return
	}
	t.blind, t.why = e.At, e.Data
	t.tellAll(e, LinkDown)
}

// linkUp ends the gap. A leg that is older than the PBX's process is gone.
func (t *Tracker) linkUp(e Event) {
	if t.blind != 0 {
		t.gap(t.blind, e.At, t.why)
		t.blind, t.why = 0, ""
	}
	if e.From == 0 {
		return
	}
	old := map[LegID]bool{}
	for c := range t.calls {
		for _, f := range c.facts {
			if (f.Kind == LegCreated || f.Kind == LegSeen) && f.At < e.From.Add(-2*time.Second) {
				old[f.Leg] = true
			}
		}
	}
	t.vanish(e, DoubtPBXRestarted, func(l LegID) bool { return old[l] })
}

func (t *Tracker) gap(from, to Moment, why string) {
	if from == 0 || from > to {
		from = to
	}
	t.out = append(t.out, Change{Op: GapFound, Gap: &Gap{PBX: t.opts.PBX, From: from, To: to, Reason: why}})
}

// tellAll gives every open call a fact about the link, as one of its own.
func (t *Tracker) tellAll(e Event, k Kind) {
	for _, c := range t.open() {
		t.keep(c, Event{Session: e.Session, Seq: e.Seq, At: e.At, Seen: e.Seen, Kind: k, Leg: c.anyLeg(), From: e.From, Data: e.Data})
	}
}

// open are the calls in progress, in the order of their ids, so that the same
// facts give the same numbers.
func (t *Tracker) open() []*held {
	var out []*held
	for c := range t.calls {
		if c.up > 0 {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *held) int { return strings.Compare(a.id, b.id) })
	return out
}

func (c *held) anyLeg() LegID {
	var least LegID
	for leg := range c.live {
		if least == "" || leg < least {
			least = leg
		}
	}
	return least
}

// vanish ends the legs that gone says, as far as they are still up: their end
// was not seen.
func (t *Tracker) vanish(e Event, why string, gone func(LegID) bool) {
	var legs []LegID
	for leg, c := range t.legs {
		if c.live[leg] && gone(leg) {
			legs = append(legs, leg)
		}
	}
	slices.Sort(legs)
	for _, leg := range legs {
		t.take(Event{Session: e.Session, Seq: e.Seq, At: e.At, Seen: e.Seen, Kind: LegVanished, Leg: leg, Data: why})
	}
}

// snapshot compares what the PBX says to be up with what the Tracker believes.
// Events that the PBX sent before it wrote the list may still follow it: they
// find their legs already gone, and change nothing, or already known. If the
// leg's creation is among them, they tell all that the list did (dropOvertaking).
func (t *Tracker) snapshot(e Event) {
	live := make(map[LegID]bool, len(e.Live))
	for _, l := range e.Live {
		live[l.Leg] = true
		if c := t.legs[l.Leg]; c != nil && !c.live[l.Leg] && !c.sawEnd(l.Leg) {
			t.adopt(c, l.Leg) // a transfer has named it, as one that may be gone
		}
	}
	t.vanish(e, DoubtEndUnseen, func(l LegID) bool { return !live[l] })
	// Roots first, so that a call is named after its first channel.
	list := slices.Clone(e.Live)
	slices.SortStableFunc(list, func(a, b LiveLeg) int { return rank(a) - rank(b) })
	began := map[string]Moment{}
	for _, l := range list {
		// Ages are whole seconds: no leg is older than the first of its call.
		if l.Created = max(l.Created, began[l.Link]); string(l.Leg) == l.Link {
			began[l.Link] = l.Created
		}
		f := Event{Session: e.Session, Seq: e.Seq, At: e.At, Seen: e.Seen, Kind: LegSeen, Leg: l.Leg, Peer: l.Peer, Link: l.Link,
			Channel: l.Channel, Endpoint: l.Endpoint, Local: l.Local, State: l.State, Number: l.Number, CallerName: l.CallerName, Connected: l.Connected,
			Dialled: l.Dialled, Context: l.Context, Account: l.Account, Bridge: l.Bridge, BridgeKind: l.BridgeKind,
			App: l.App, Data: l.Data, Queue: l.Queue, From: l.Created, Originated: l.Originated}
		if c := t.legs[l.Leg]; c != nil && !c.live[l.Leg] {
			continue // its end is already known: the list is older than that
		}
		t.leaveOthers(f)
		t.take(f)
	}
}

// sawEnd: the end of a leg is among the facts.
func (c *held) sawEnd(leg LegID) bool {
	return slices.ContainsFunc(c.facts, func(e Event) bool {
		switch e.Kind {
		case LegEnded, LegVanished, Reported:
			return e.Leg == leg
		case LegAlias:
			return e.Peer == leg
		}
		return false
	})
}

func rank(l LiveLeg) int {
	if string(l.Leg) == l.Link {
		return 0
	}
	return 1
}

// leaveOthers: a leg that is seen in one bridge has left the others meanwhile.
// One that is seen to confer, and it is not said where, is where it was.
func (t *Tracker) leaveOthers(e Event) {
	for _, id := range slices.Clone(t.in[e.Leg]) {
		if e.Bridge == "" && e.App == AppConference && t.rooms[id].kind == BridgeConference {
			continue
		}
		if id != e.Bridge {
			t.take(Event{Session: e.Session, Seq: e.Seq, At: e.At, Seen: e.Seen, Kind: Parted, Leg: e.Leg, Bridge: id, Data: DoubtLinkLost})
		}
	}
}
