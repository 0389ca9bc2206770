package call

import "slices"

// stretch is a time in which the caller was connected with the same parties.
type stretch struct {
	from, to   Moment
	with       []LegID // real legs that he heard, in the order in which they came
	held       bool    // all of them, or he himself, had the other side on hold
	conference bool
	fact       uint64 // the fact with which it began
}

// turn is a moment from which another leg stands for the caller.
type turn struct {
	at  Moment
	leg LegID
}

// floor is the graph of who hears whom, as the facts change it. Its nodes are
// legs; legs in one bridge hear each other, and so do the two sides of a Local
// channel with both halves in a bridge.
type floor struct {
	s       *story
	in      map[LegID][]string    // bridges that a leg is in, in order
	rooms   map[string][]LegID    // who is in a bridge
	kind    map[string]BridgeKind //
	guests  map[string][]LegID    // legs of other calls in a conference
	holding []hold
	gone    map[LegID]bool
	gave    map[LegID]bool // who gave the call away: no party to it any more
}

// hold is a phone that has somebody wait, and the channel that said so: another
// one where a Local channel stands for the phone.
type hold struct{ by, phone, waits LegID }

// hears lists the real legs that hear the leg a, and whether through a
// conference only.
func (f *floor) hears(a LegID, at Moment) (with []LegID, conference bool) {
	al := f.s.legs[a]
	if al == nil || f.gone[a] || !al.up(at) {
		return nil, false
	}
	conference = true
	seen := map[string]bool{}
	for _, b := range f.in[a] {
		for _, l := range f.through(b, a, at, seen) {
			if !slices.Contains(with, l) {
				with = append(with, l)
				conference = conference && f.kind[b] == BridgeConference
			}
		}
	}
	return with, conference && len(with) > 0
}

// through lists the real legs that are up and heard in the bridge b by a leg in
// it, and in every bridge behind a Local channel there.
func (f *floor) through(b string, a LegID, at Moment, seen map[string]bool) (with []LegID) {
	if seen[b] || f.kind[b] == BridgeHolding {
		return nil
	}
	seen[b] = true
	for _, m := range f.rooms[b] {
		switch l := f.s.legs[m]; {
		case m == a:
		case l.local:
			for _, behind := range f.in[f.s.pairs[m]] {
				with = append(with, f.through(behind, f.s.pairs[m], at, seen)...)
			}
		case l.up(at):
			with = append(with, m)
		}
	}
	return append(with, f.guests[b]...)
}

// listen goes through the facts and notes with whom the caller was connected,
// and which leg stood for him. first is the leg that he came with.
func (s *story) listen(first LegID, end Moment) (talks []stretch, turns []turn) {
	f := &floor{s: s, in: map[LegID][]string{}, rooms: map[string][]LegID{}, kind: map[string]BridgeKind{},
		guests: map[string][]LegID{}, gone: map[LegID]bool{}, gave: map[LegID]bool{}}
	caller := first
	turns = []turn{{s.legs[first].created, first}}
	var now *stretch
	var last []LegID   // whom the caller was connected with last
	clock := Moment(0) // never goes back, though stamps do
	for i := range s.facts {
		e := &s.facts[i]
		next := f.taken(e, caller, last)
		f.apply(e)
		if next != "" {
			f.gave[caller], f.gave[e.Transfer.Transferer], f.gave[e.Transfer.Second] = true, true, true
			caller = next
			turns = append(turns, turn{e.At, next})
		}
		clock = max(clock, e.At)
		if next := f.left(caller, last, clock); next != "" {
			f.gave[caller] = true
			caller = next
			turns = append(turns, turn{e.At, next})
		}
		with, held, conference := f.state(caller, clock)
		if now != nil && slices.Equal(now.with, with) && now.held == held {
			continue
		}
		if now != nil {
			now.to = max(e.At, now.from)
			talks = append(talks, *now)
			now = nil
		}
		if len(with) > 0 {
			last = with
			now = &stretch{from: e.At, with: with, held: held, conference: conference, fact: e.N}
		}
	}
	if now != nil {
		now.to = max(end, now.from)
		talks = append(talks, *now)
	}
	return talks, turns
}

// state is whom the caller is connected with now. A phone that put him on hold
// and consults elsewhere is still with him.
func (f *floor) state(caller LegID, at Moment) (with []LegID, held, conference bool) {
	with, conference = f.hears(caller, at)
	with = slices.DeleteFunc(with, func(l LegID) bool { return f.gave[l] })
	for _, h := range f.holding {
		if h.phone == caller && !slices.Contains(with, h.waits) && !f.gone[h.waits] {
			return []LegID{h.waits}, true, false // he consults; who waits for him is still with him
		}
		if h.waits == caller && len(with) == 0 && !f.gone[h.phone] {
			with = []LegID{h.phone}
		}
	}
	held = len(with) > 0
	for _, l := range with {
		held = held && (f.holds(l, caller) || f.holds(caller, l) || f.consults(l, caller, at) || f.consults(caller, l, at))
	}
	return with, held, conference
}

// holds: the phone has this one wait.
func (f *floor) holds(phone, waits LegID) bool {
	return slices.ContainsFunc(f.holding, func(h hold) bool { return h.phone == phone && h.waits == waits })
}

// consults: the phone is in a second talk while its first one stays open
// (FreeSWITCH's att_xfer); the caller waits meanwhile.
func (f *floor) consults(phone, caller LegID, at Moment) bool {
	for _, b := range f.in[phone] {
		others := f.through(b, phone, at, map[string]bool{})
		if f.kind[b] == BridgeTalk && len(others) > 0 && !slices.Contains(others, caller) {
			return true
		}
	}
	return false
}

func (f *floor) apply(e *Event) {
	switch e.Kind {
	case Joined, LegSeen:
		if e.Bridge != "" && !slices.Contains(f.in[e.Leg], e.Bridge) {
			f.enter(e.Leg, e.Bridge)
			f.kind[e.Bridge] = e.BridgeKind
		}
	case Parted:
		f.leave(e.Leg, e.Bridge)
	case Met:
		f.s.guest(e)
		if e.BridgeKind == BridgeTalk {
			f.enter(e.Peer, e.Bridge)
		} else if !slices.Contains(f.guests[e.Bridge], e.Peer) {
			f.guests[e.Bridge] = append(f.guests[e.Bridge], e.Peer)
		}
	case MetLeft:
		if e.BridgeKind == BridgeTalk {
			f.leave(e.Peer, e.Bridge)
		}
		f.guests[e.Bridge] = slices.DeleteFunc(f.guests[e.Bridge], func(l LegID) bool { return l == e.Peer })
	case LegCreated:
		f.beside(e)
	case Held:
		f.hold(e)
	case Resumed:
		f.resume(e)
	case Transferred:
		f.letGo(e.Transfer.Transferer)
		f.letGo(e.Transfer.Second)
	case LegHungUp, LegEnded, LegVanished:
		if l := f.s.legs[e.Leg]; e.Kind == LegHungUp && (l.refused || l.local) {
			return
		}
		f.letGo(e.Leg)
		f.gone[e.Leg] = true
		for _, b := range slices.Clone(f.in[e.Leg]) {
			f.leave(e.Leg, b)
		}
	}
}

// hold notes who has whom wait. Where a Local channel stands for the phone, as
// for a member of a queue, it is the phone behind it.
func (f *floor) hold(e *Event) {
	phone, waits := e.Leg, LegID("")
	seen := map[string]bool{}
	for _, b := range f.in[e.Leg] {
		if others := f.through(b, e.Leg, e.At, seen); len(others) > 0 {
			waits = others[0]
		}
	}
	if f.s.legs[phone].local {
		pair := f.s.pairs[phone]
		phone = ""
		for _, b := range f.in[pair] {
			if behind := f.through(b, pair, e.At, seen); len(behind) > 0 {
				phone = behind[0]
			}
		}
	}
	if h := (hold{e.Leg, phone, waits}); phone != "" && waits != "" && !slices.Contains(f.holding, h) {
		f.holding = append(f.holding, h)
	}
}

// beside: a leg that is made for somebody in the middle of a talk is a
// consultation, and whom he talked with waits while it lasts. FreeSWITCH's
// att_xfer says no more of it than that. From an agent on the line the caller is
// taken so: that one waits for the next.
func (f *floor) beside(e *Event) {
	with, _ := f.hears(e.Peer, e.At)
	if len(with) == 0 {
		return
	}
	if !f.s.elsewhere(with[0]) {
		f.holding = append(f.holding, hold{e.Leg, e.Peer, with[0]})
	}
}

// resume: who waited is spoken with again. A phone that goes between two talks
// resumes the one that it is now in; the other goes on waiting.
func (f *floor) resume(e *Event) {
	with, _ := f.hears(e.Leg, e.At)
	if f.s.legs[e.Leg].local {
		for _, b := range f.in[e.Leg] {
			with = f.through(b, e.Leg, e.At, map[string]bool{})
		}
	}
	f.holding = slices.DeleteFunc(f.holding, func(h hold) bool {
		return h.by == e.Leg && (len(with) == 0 || slices.Contains(with, h.waits))
	})
}

// letGo: a phone or its channel has nobody wait any more.
func (f *floor) letGo(l LegID) {
	f.holding = slices.DeleteFunc(f.holding, func(h hold) bool { return h.by == l || h.phone == l })
}

func (f *floor) enter(l LegID, bridge string) {
	if !slices.Contains(f.in[l], bridge) {
		f.in[l] = append(f.in[l], bridge)
		f.rooms[bridge] = append(f.rooms[bridge], l)
	}
}

func (f *floor) leave(l LegID, bridge string) {
	f.in[l] = slices.DeleteFunc(f.in[l], func(b string) bool { return b == bridge })
	f.rooms[bridge] = slices.DeleteFunc(f.rooms[bridge], func(m LegID) bool { return m == l })
}

// guest makes a leg of another call known by name, for a conference.
func (s *story) guest(e *Event) {
	if s.legs[e.Peer] == nil {
		s.legs[e.Peer] = &leg{id: e.Peer, channel: e.Channel, endpoint: e.Endpoint, number: e.Number, local: e.Local, calling: true, created: e.At}
	}
}

// left: an employee who had called out is gone, and the outside party whom he
// talked with is now with somebody else: he gave the call away, though nothing
// said so.
func (f *floor) left(caller LegID, last []LegID, at Moment) LegID {
	if !f.gone[caller] || f.s.outside(f.s.legs[caller]) {
		return ""
	}
	for _, l := range last {
		if f.gone[l] || !f.s.outside(f.s.legs[l]) {
			continue
		}
		if with, _ := f.hears(l, at); len(with) > 0 {
			return l
		}
	}
	return ""
}

// taken: the caller himself gave the call away, so that the party he talked
// with, or had on hold, stays in his place.
func (f *floor) taken(e *Event, caller LegID, last []LegID) LegID {
	if e.Kind != Transferred || e.Transfer.Transferer != caller && e.Transfer.Second != caller {
		return ""
	}
	for _, h := range f.holding {
		if h.phone == caller {
			return h.waits
		}
	}
	for i := len(last) - 1; i >= 0; i-- {
		if l := last[i]; l != e.Transfer.Transferer && l != e.Transfer.Second {
			return l
		}
	}
	if x := e.Transfer.Transferee; x != caller && x != e.Transfer.Second && f.s.legs[x] != nil {
		return x
	}
	return ""
}
