package agent_test

import (
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/replay"
	"calljournal/connectors/replay/judge"
)

// What a PBX answers when it is asked for its channels may overtake its events:
// Asterisk writes it between them, FreeSWITCH on a connection of its own. So the
// list that a session begins with may show calls of which every event is still to
// come, all of it or, where some have been read already, the rest: the records
// must be the same as without.
func TestListAhead(t *testing.T) {
	for _, kind := range bothKinds {
		lists := 0
		for _, r := range recordings(t, kind) {
			facts := factsOf(t, r, usual)
			begin := slices.IndexFunc(facts, func(e call.Event) bool { return e.Kind == call.Snapshot })
			// In a conference the calls themselves are apart, and each is told of the others by the list.
			confers := slices.ContainsFunc(facts, func(e call.Event) bool { return e.BridgeKind == call.BridgeConference })
			if begin < 0 || len(facts[begin].Live) > 0 || len(facts) > 600 || len(r.Cuts) > 0 || confers {
				continue
			}
			expect, err := judge.Read(r.Expect)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(kind+"/"+r.Name, func(t *testing.T) {
				var up standing
				for _, e := range facts[begin:] {
					if e.Seen.Sub(facts[begin].Seen) > 4*time.Second || t.Failed() {
						break
					}
					if !up.take(e) {
						continue
					}
					live, known := up.list(kind, e.Seen)
					for _, shown := range [][]call.LiveLeg{live, live[max(0, len(live)-1):]} {
						lists++
						f := newFeed(trackerOptions(kind, usual))
						for i, e := range facts {
							if i != begin {
								f.apply(e)
								continue
							}
							f.apply(call.Event{Kind: call.Snapshot, Session: e.Session, At: e.Seen, Seen: e.Seen, Live: shown})
							for _, k := range known {
								if slices.ContainsFunc(shown, func(l call.LiveLeg) bool { return l.Leg == k.Leg }) {
									f.apply(k)
								}
							}
						}
						last := facts[len(facts)-1].Seen.Add(time.Minute)
						f.apply(call.Event{Kind: call.Ticked, At: last, Seen: last})
						if f.judge(t, expect); t.Failed() {
							t.Fatalf("the list of %d legs was written after %s", len(shown), factLine(e))
						}
					}
				}
			})
		}
		if t.Logf("%s: %d lists", kind, lists); lists < 500 {
			t.Errorf("%s: only %d lists", kind, lists)
		}
	}
}

// standing is how things stand with the legs that facts told of.
type standing []standingLeg

type standingLeg struct {
	call.LiveLeg
	rang, answered call.Moment
}

// take says whether the fact changed anything that a list would show.
func (s *standing) take(e call.Event) bool {
	if e.Kind == call.LegCreated {
		*s = append(*s, standingLeg{LiveLeg: call.LiveLeg{Leg: e.Leg, Link: e.Link, Channel: e.Channel, Endpoint: e.Endpoint, Local: e.Local, State: e.State,
			Number: e.Number, CallerName: e.CallerName, Connected: e.Connected, Dialled: e.Dialled, Context: e.Context, Account: e.Account, Queue: e.Queue,
			Created: e.At, Peer: e.Peer, Originated: e.Originated}})
		return true
	}
	i := slices.IndexFunc(*s, func(l standingLeg) bool { return l.Leg == e.Leg })
	if i < 0 {
		return false
	}
	l := &(*s)[i]
	switch e.Kind {
	case call.LegRinging:
		l.State, l.rang = call.StateRinging, e.At
	case call.LegAnswered:
		l.State, l.answered = call.StateUp, e.At
	case call.Joined:
		l.Bridge, l.BridgeKind = e.Bridge, e.BridgeKind
	case call.Parted:
		l.Bridge = ""
	case call.Executed:
		if l.App, l.Data = e.App, e.Data; e.App == call.AppQueue {
			l.Queue = e.Data
		}
	case call.LegEnded:
		*s = slices.Delete(*s, i, i+1)
	default:
		return false
	}
	return true
}

// list is what the PBX would answer, as its connector states it: ages are whole
// seconds in Asterisk's; FreeSWITCH's channels also say who made them, and when
// they rang and were answered.
func (s standing) list(kind string, now call.Moment) (live []call.LiveLeg, known []call.Event) {
	for _, l := range s {
		x := l.LiveLeg
		if kind == replay.Asterisk {
			x.Created = now.Add(-now.Sub(x.Created).Truncate(time.Second))
			x.Peer, x.Originated = "", false
			live = append(live, x)
			continue
		}
		live = append(live, x)
		if l.rang != 0 {
			known = append(known, call.Event{Kind: call.LegRinging, Leg: x.Leg, At: l.rang, Seen: now})
		}
		if l.answered != 0 {
			known = append(known, call.Event{Kind: call.LegAnswered, Leg: x.Leg, At: l.answered, Seen: now})
		}
	}
	return live, known
}
