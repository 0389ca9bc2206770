package call

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// This file brings the rows of the PBX's own records to the calls that they are
// about: to one that the Tracker still holds, to one that is closed and in the
// journal, or to one of which nothing was seen.
//
//	rows ──▶ those of one call ──┬─ held, and touched by a gap ──▶ kept, like any fact
//	                             ├─ held or closed, and seen whole ──▶ left alone
//	                             ├─ closed, with doubts ──▶ its facts and the rows, concluded again
//	                             └─ unknown, and in a gap ──▶ the rows alone: backfilled

// Closed is a call as the journal has it.
type Closed struct {
	Record *Record
	Facts  []Event // what it was concluded from
}

// slack is how exact a row's moments are taken to be: whole seconds, cut down.
const slack = 2 * time.Second

// Heal takes in rows (events of the kind Reported) that were read because of the
// gaps. find gives the closed calls that any of the ids (of legs, or linked ids)
// is part of. Rows that say nothing new change nothing, so that it does no harm
// to read them twice.
func (t *Tracker) Heal(rows []Event, gaps []Gap, find func(ids []string, from, to Moment) []Closed) []Change {
	t.out = nil
	var groups []*about
	of := map[string]*about{} // by the id of a call in the journal
	for _, group := range byCall(rows, t.onTheLine()) {
		if t.heldReport(group) {
			continue
		}
		g := &about{rows: group, from: group[0].History.Created, to: group[0].History.HungUp}
		var ids []string
		for i := range group {
			e := &group[i]
			for _, id := range named(e) {
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
			earliest(&g.from, e.History.Created)
			latest(&g.to, e.History.HungUp)
		}
		g.known = slices.DeleteFunc(find(ids, g.from, g.to), func(k Closed) bool { return ofAgent(k, group) })
		// Rows need not show that they are of one call: that they are both about one
		// in the journal does.
		for _, k := range slices.Clone(g.known) {
			if o := of[k.Record.ID]; o != nil && o != g {
				g.absorb(o)
				for _, k := range o.known {
					of[k.Record.ID] = g
				}
			}
			of[k.Record.ID] = g
		}
		groups = append(groups, g)
	}
	for _, g := range groups {
		if len(g.rows) > 0 {
			t.healClosed(g.rows, g.known, inGap(gaps, g.from, g.to))
		}
	}
	return t.out
}

// about is what the rows of one call are about.
type about struct {
	rows     []Event
	from, to Moment
	known    []Closed // what the journal has of it
}

// absorb takes over what is found to be of the same call.
func (g *about) absorb(o *about) {
	g.rows = append(g.rows, o.rows...)
	slices.SortStableFunc(g.rows, func(a, b Event) int { return compareRows(&a, &b) })
	earliest(&g.from, o.from)
	latest(&g.to, o.to)
	for _, k := range o.known {
		if !slices.ContainsFunc(g.known, func(have Closed) bool { return have.Record.ID == k.Record.ID }) {
			g.known = append(g.known, k)
		}
	}
	o.rows = nil
}

// inGap: the stretch was, in part at least, not seen.
func inGap(gaps []Gap, from, to Moment) bool {
	return slices.ContainsFunc(gaps, func(g Gap) bool { return from < g.To && to.Add(slack) > g.From })
}

// byCall sorts rows into those of one call each. The first of a group began first.
func byCall(rows []Event, onTheLine map[string]bool) [][]Event {
	agents := agentsIn(rows, onTheLine)
	rows = slices.Clone(rows)
	for i := range rows {
		e := &rows[i]
		if agents[e.Link] && e.Link != string(e.Leg) {
			e.Link = "" // Asterisk gives callers the agent's, which is older
		}
		if e.App == AppAgent {
			e.Peer, e.PeerChannel, e.Link = "", "", "" // one of his callers, who may have been there first
		}
	}
	groups := map[int][]Event{}
	for i, g := range callsOf(rows, agents) {
		groups[g] = append(groups[g], rows[i])
	}
	out := slices.Collect(maps.Values(groups))
	for _, g := range out {
		slices.SortStableFunc(g, func(a, b Event) int {
			return compareRows(&a, &b)
		})
	}
	slices.SortFunc(out, func(a, b []Event) int {
		return cmp.Or(cmp.Compare(a[0].History.Created, b[0].History.Created), compareIDs(string(a[0].Leg), string(b[0].Leg)))
	})
	return out
}

// WithKin gives rows, and before them those of earlier that are of one call with
// any of them: only together may they show that they are.
func WithKin(earlier, rows []Event) []Event {
	all := slices.Concat(earlier, rows)
	groups := callsOf(all, agentsIn(all, nil))
	wanted := map[int]bool{}
	for _, g := range groups[len(earlier):] {
		wanted[g] = true
	}
	var out []Event
	for i, g := range groups[:len(earlier)] {
		if wanted[g] {
			out = append(out, earlier[i])
		}
	}
	return append(out, rows...)
}

// callsOf finds out which rows are of one call, by every tie that they show:
// linked ids, the ids of legs, the names of channels that were there at the same
// time, the halves of Local channels. Rows of one call have one number.
func callsOf(rows []Event, agents map[string]bool) []int {
	group := make([]int, len(rows)) // the row that stands for the group
	root := func(i int) int {
		for group[i] != i {
			i = group[i]
		}
		return i
	}
	tied := map[string]int{}
	byName := map[string][]int{}
	for i := range rows {
		group[i] = i
	}
	join := func(key string, i int) {
		if j, ok := tied[key]; ok {
			group[root(i)] = root(j)
		} else {
			tied[key] = i
		}
	}
	for i := range rows {
		e := &rows[i]
		for _, id := range append(named(e), e.History.Vars[VarQueueAgent]) {
			if id == string(e.Leg) || id != "" && !agents[id] {
				join(id, i)
			}
		}
		for _, name := range channelsOf(e) {
			if agents[name] {
				continue
			}
			name = strings.TrimSuffix(strings.TrimSuffix(name, ";1"), ";2")
			for _, j := range byName[name] {
				if near(e.History, rows[j].History) {
					group[root(i)] = root(j)
				}
			}
			byName[name] = append(byName[name], i)
		}
	}
	for i := range group {
		group[i] = root(i)
	}
	return group
}

// agentsIn are the legs of agents who wait on the line, by id and by channel:
// that each of two callers was joined with one does not make their calls one. An
// agent's own row comes when he leaves; till then he may be known to be on the
// line, or a leg is his that a queue joined with callers and that has no row.
func agentsIn(rows []Event, onTheLine map[string]bool) map[string]bool {
	agents := maps.Clone(onTheLine)
	if agents == nil {
		agents = map[string]bool{}
	}
	for i := range rows {
		if id := rows[i].History.Vars[VarQueueAgent]; id != "" {
			agents[id] = true
		}
	}
	for i := range rows {
		if e := &rows[i]; e.App == AppAgent {
			agents[string(e.Leg)], agents[e.Channel] = true, true
		} else if !onTheLine[string(e.Leg)] {
			delete(agents, string(e.Leg))
		}
	}
	return agents
}

// VarQueueAgent is, in LegHistory.Vars, the leg with which a queue joined this one.
const VarQueueAgent = "queue_agent"

// named are the ids in a row: of its call, its leg and those that it was tied to.
// Whom an agent on the line was joined with last is no tie of his, nor is whom a
// queue joined a caller with, who may be such an agent, one of the caller.
func named(e *Event) []string {
	if e.App == AppAgent {
		return []string{string(e.Leg)}
	}
	ids := []string{string(e.Leg), string(e.Peer), e.History.Vars["other_loopback_leg_uuid"], e.History.Vars["last_bridge_to"], e.Link}
	agent := e.History.Vars[VarQueueAgent]
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" || id == agent })
}

// compareIDs orders ids as they were given out: "….9" before "….10".
func compareIDs(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// unique: the channel's name has a running number, so that it is one channel's.
func unique(name string) bool {
	i := strings.LastIndexByte(name, '-')
	return i > 0 && i+4 < len(name) && !strings.Contains(name, "@127.") && !strings.HasPrefix(name, "sofia/") && !strings.HasPrefix(name, "loopback/")
}

// channelsOf are the names in a fact or row by which its call may be known. Whom a
// row shows in a conference beside its own leg has a call of his own.
func channelsOf(e *Event) (names []string) {
	for _, name := range []string{e.Channel, e.PeerChannel} {
		if name != "" && unique(name) && !(name == e.PeerChannel && e.Kind == Reported && e.App == AppConference) {
			names = append(names, name)
		}
	}
	return names
}

// near: names of channels begin again when the PBX does, so only rows that
// touch each other in time mean the same channel.
func near(a, b *LegHistory) bool {
	return a.Created <= b.HungUp.Add(slack) && b.Created <= a.HungUp.Add(slack)
}

// heldReport gives the rows of a group to the call that the Tracker still holds;
// those of which they show that they are one become one, as far as they were not
// seen whole.
func (t *Tracker) heldReport(group []Event) bool {
	var c *held
	held := false
	for i := range group {
		o := t.heldBy(&group[i])
		held = held || o != nil
		switch {
		case o == nil || !o.halfSeen():
		case c == nil:
			c = o
		case c.agent == "" && o.agent == "":
			c = t.merge(c, o)
		}
	}
	if c == nil {
		return held
	}
	for _, e := range group {
		if o := t.heldBy(&e); o == nil || o == c {
			t.keepReport(c, e)
		}
	}
	if c.up == 0 {
		t.record(c, group[0].Seen)
	}
	return true
}

// reported takes in rows as facts, as a restart gives them back: all so far.
func (t *Tracker) reported(rows []Event) {
	for _, group := range byCall(rows, t.onTheLine()) {
		if !t.heldReport(group) {
			for _, e := range group {
				t.anomaly(e, "a row of the PBX's records about no open call")
			}
		}
	}
}

func (t *Tracker) keepReport(c *held, e Event) {
	if slices.ContainsFunc(c.facts, func(f Event) bool { return f.Kind == Reported && sameRow(&f, &e) }) {
		return
	}
	if _, known := c.live[e.Leg]; !known && e.Leg != "" && t.legs[e.Leg] == nil {
		t.name(c, e.Leg)
	}
	if t.restoring {
		t.n = e.N - 1
	}
	t.keep(c, e)
}

// heldBy is the held call that a row is about.
func (t *Tracker) heldBy(e *Event) *held {
	others := func(c *held) bool { // an agent's, who served him
		_, own := c.live[e.Leg]
		return c.agent != "" && !own
	}
	for _, id := range named(e) {
		if c := t.legs[LegID(id)]; c != nil && !others(c) {
			return c
		}
	}
	if c := t.links[string(e.Leg)]; c != nil && !others(c) {
		return c
	}
	if c := t.links[e.Link]; e.Link != "" && c != nil && !others(c) {
		return c
	}
	var found *held
	for _, name := range channelsOf(e) {
		for c := range t.calls {
			if (found == nil || c.id < found.id) && !others(c) && slices.ContainsFunc(c.facts, func(f Event) bool {
				return slices.Contains(channelsOf(&f), name) && f.At >= e.History.Created.Add(-slack) && f.At <= e.History.HungUp.Add(slack)
			}) {
				found = c
			}
		}
	}
	return found
}

// halfSeen: the link was away while the call was up, so that its rows may know
// more.
func (c *held) halfSeen() bool { return halfSeen(c.facts) }

func halfSeen(facts []Event) bool {
	return slices.ContainsFunc(facts, func(e Event) bool {
		switch e.Kind {
		case LinkDown, LinkGap, LegSeen, LegVanished, Reported:
			return true
		}
		return false
	})
}

// healClosed concludes once more a call that is in the journal, or for the first
// time one of which nothing was seen.
func (t *Tracker) healClosed(group []Event, known []Closed, blind bool) {
	c := &held{live: map[LegID]bool{}}
	half := slices.DeleteFunc(slices.Clone(known), func(k Closed) bool { return !halfSeen(k.Facts) })
	if len(known) > 0 && len(half) == 0 || len(known) == 0 && !blind {
		return // seen whole; or nothing that a gap explains
	}
	group = slices.DeleteFunc(group, func(e Event) bool { return ofWhole(&e, known) })
	slices.SortFunc(half, func(a, b Closed) int {
		return cmp.Or(cmp.Compare(a.Record.StartedAt, b.Record.StartedAt), strings.Compare(a.Record.ID, b.Record.ID))
	})
	for _, k := range half {
		c.facts = append(c.facts, k.Facts...)
	}
	if len(half) > 1 {
		slices.SortStableFunc(c.facts, func(a, b Event) int { return cmp.Compare(a.Seen, b.Seen) })
	}
	before := len(c.facts)
	for _, e := range group {
		if !slices.ContainsFunc(c.facts, func(f Event) bool { return f.Kind == Reported && sameRow(&f, &e) }) && len(c.facts) < maxFacts {
			c.facts = append(c.facts, e)
		}
	}
	if len(c.facts) == before {
		return // every row is known
	}
	for i := range c.facts {
		c.facts[i].N = uint64(i + 1) // their own, for the reasons
	}
	c.relive()
	if len(half) == 0 {
		id := string(group[0].Leg)
		if group[0].Result != "" && group[0].Link != "" {
			id = group[0].Link // that of the first channel, which may have no row of its own
		}
		c.id, c.rev = t.opts.PBX+":"+id, 1
		if r, why := conclude(t.opts, c, 0); r != nil {
			r.Rev = c.rev
			t.out = append(t.out, Change{Op: CallRecorded, ID: r.ID, Record: r, Reasons: why, Evidence: c.facts})
		}
		return
	}
	was := half[0].Record
	c.id, c.rev = was.ID, was.Rev+1
	r, why := conclude(t.opts, c, 0)
	if r == nil || len(half) == 1 && t.sameConclusion(half[0], r) {
		return
	}
	r.Rev = c.rev
	t.out = append(t.out, Change{Op: CallRecorded, ID: r.ID, Record: r, Reasons: why, Evidence: c.facts})
	for _, k := range half[1:] {
		t.out = append(t.out, Change{Op: CallDeleted, ID: k.Record.ID, Into: r.ID})
	}
}

// ofAgent: the call is that of an agent on the line, and none of the rows is of a
// leg in it.
func ofAgent(k Closed, group []Event) bool {
	return slices.ContainsFunc(k.Facts, func(f Event) bool { return f.App == AppAgent }) &&
		!slices.ContainsFunc(group, func(e Event) bool { return slices.Contains(k.Record.PBXIDs, string(e.Leg)) })
}

// ofWhole: the row is of a channel whose call was seen whole, whatever other rows
// seem to tie it to.
func ofWhole(e *Event, known []Closed) bool {
	return slices.ContainsFunc(known, func(k Closed) bool {
		return !halfSeen(k.Facts) && slices.Contains(k.Record.PBXIDs, string(e.Leg))
	})
}

// sameConclusion: the rows say nothing that was not known.
func (t *Tracker) sameConclusion(k Closed, r *Record) bool {
	then := &held{id: k.Record.ID, facts: k.Facts, live: map[LegID]bool{}}
	then.relive()
	before, _ := conclude(t.opts, then, 0)
	x, err := json.Marshal(before)
	y, err2 := json.Marshal(r)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// relive makes the legs of kept facts the call's, as taking them in did. One of
// an agent on the line is named, too.
func (c *held) relive() {
	own, served := map[LegID]bool{}, map[LegID]bool{}
	for i := range c.facts {
		e := &c.facts[i]
		switch e.Kind {
		case Met, MetLeft:
			if e.BridgeKind == BridgeTalk {
				served[e.Peer] = true
			}
			continue
		case LegCreated, LegSeen, LegEnded, Reported:
			own[e.Leg] = true
		}
		if e.Leg != "" {
			c.live[e.Leg] = false
		}
		if provesLife[e.Kind] || e.Kind == DialEnded {
			for _, leg := range tied(*e) {
				c.live[leg] = false
			}
		}
	}
	for leg := range served {
		if !own[leg] {
			delete(c.live, leg)
		}
	}
}

// Doubtful says how many calls are up that the link was away from: their rows
// are still to come. That of an agent on the line lasts, and lacks nothing.
func (t *Tracker) Doubtful() (n int) {
	for c := range t.calls {
		if c.up > 0 && c.agent == "" && c.halfSeen() {
			n++
		}
	}
	return n
}
