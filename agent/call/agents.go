package call

import (
	"slices"
	"time"
)

// This file is about agents who wait on the line (Asterisk's AgentLogin,
// mod_callcenter's uuid-standby, consumers of mod_fifo) and are joined with one
// caller after the other. Each caller has a call of his own, which is told of the
// agent as of somebody in a conference (Met); the agent's leg is a call of its own
// too, without a talk.
//
//	agent   ├── waits ──┬── serves ──┬── waits ──┬── serves ──┬── waits ──┤   one call
//	caller 1      ├─────┴── talks ───┤           │            │               one call
//	caller 2                            ├────────┴── talks ───┤               one call

// stands notes that a leg is such an agent's: its application says so, or the
// queue joins a caller with a leg that was answered before and is of no other
// call.
func (t *Tracker) stands(c *held, e *Event) {
	switch {
	case e.App == AppAgent && (e.Kind == Executed || e.Kind == LegSeen) && c.up == 1:
		c.agent = e.Leg
	case e.Kind == QueueMember && e.Leg != "":
		g := t.legs[e.Peer]
		if g == nil || g == c || g.agent != "" || !g.live[e.Peer] || g.up > 1 || !stood(&g.facts[0], e.At) {
			return
		}
		g.agent = e.Peer
		if !t.restoring { // a fact of the agent's own call: the caller's may be forgotten first
			t.n++
			t.keepAs(g, Event{N: t.n, Session: e.Session, At: e.At, Seen: e.Seen, Kind: Executed, Leg: e.Peer, App: AppAgent, Queue: e.Queue})
		}
	}
}

// stood: the leg whose call begins with this fact waited, and was not called for
// the caller just now, which may not have been seen.
func stood(first *Event, at Moment) bool {
	return first.Kind == LegCreated || first.Kind == LegSeen && first.State == StateUp && at.Sub(first.At) > waitsLong
}

// waitsLong is longer than a phone is up that a queue called before the queue
// joins its caller with it.
const waitsLong = 5 * time.Second

// apart: what ties these calls is that the agent of one served the other.
func (t *Tracker) apart(e *Event, a, b *held) bool {
	switch e.Kind {
	case QueueMember, QueueOffered, Joined, LegSeen, Parted, LegEnded, Transferred, BridgeMerged:
		return a.agent != "" || b.agent != ""
	}
	return false
}

// stays: another leg of the call is still in the bridge.
func (t *Tracker) stays(c *held, r *room) bool {
	return slices.ContainsFunc(r.legs, func(l LegID) bool { return t.legs[l] == c })
}

// onBehalf gives what an agent on the line does with his caller to the caller's
// call.
func (t *Tracker) onBehalf(c *held, e *Event) *held {
	caller := t.servedBy(c)
	if caller == nil || e.Leg != c.agent {
		return c
	}
	switch e.Kind {
	case Held, Resumed:
		return caller
	case Transferred:
		if t.legs[e.Transfer.Transferee] == caller {
			return caller
		}
	}
	return c
}

// servedBy is the call of the caller whom an agent serves now; nil if none.
func (t *Tracker) servedBy(c *held) *held {
	if c == nil || c.agent == "" || c.served.left != 0 {
		return nil
	}
	return t.legs[c.served.leg]
}

// remembered: callers whom the agent served are still up. What is kept of their
// calls names him, and what Asterisk makes for them has his linked id.
func (t *Tracker) remembered(agent *held) bool {
	for c := range t.calls {
		if c.up > 0 && slices.ContainsFunc(c.facts, func(f Event) bool { return f.Kind == Met && f.Peer == agent.agent }) {
			return true
		}
	}
	return false
}

// agentLeft tells the caller's call that the agent's far end left, and not only
// he the caller.
func (t *Tracker) agentLeft(c *held, e *Event) {
	if c.agent == "" || e.Leg != c.agent || e.Kind != LegHungUp && (e.Kind != LegEnded || e.By != EndedByFarEnd) {
		return
	}
	s := c.served
	if caller := t.legs[s.leg]; caller != nil && (s.left == 0 || e.At.Sub(s.left) < momentary) {
		t.met(caller, s.leg, MetLeft, Event{Leg: c.agent, Bridge: s.bridge, BridgeKind: BridgeTalk, At: e.At, Seen: e.Seen, By: EndedByFarEnd})
	}
}

// onTheLine are the agents who are there now, by leg and by channel.
func (t *Tracker) onTheLine() map[string]bool {
	agents := map[string]bool{}
	for c := range t.calls {
		if c.agent == "" {
			continue
		}
		agents[string(c.agent)] = true
		for i := range c.facts {
			if f := &c.facts[i]; f.Leg == c.agent && f.Channel != "" {
				agents[f.Channel] = true
			}
		}
	}
	return agents
}
