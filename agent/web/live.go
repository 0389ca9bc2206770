package web

import (
	"cmp"
	"slices"

	"calljournal/agent/api"
	"calljournal/agent/call"
)

// liveBoard is the calls in progress, as a board on the wall shows them.
type liveBoard struct {
	ServiceLevelMs int64
	Waiting        []*liveCall // who has waited longest is first
	Talking        []*liveCall // the oldest first
	Queues         []*liveQueue
	Held, Ringing  int      // calls on hold; phones that ring
	Blind          []string // PBXs of which nothing is seen
}

// liveCall is a call in progress: what State it is in, with whom, and for how long.
type liveCall struct {
	*call.Record
	State  string       // kind of the timeline's last span
	With   *call.Party  // who is talked with, or was asked for; nil: only the line is known
	Phones []call.Party // that ring
	Queue  string
	ForMs  int64 // how long it is in State
	WaitMs int64 // how long the caller has been connected to nobody; 0 of one who is
	Level  string
}

type liveQueue struct {
	Name    string
	Waiting []*liveCall // the longest first
}

// Levels of a caller's wait: in time; half of the service level is gone; all of it.
const (
	levelGood = "good"
	levelWarn = "warn"
	levelBad  = "bad"
)

func level(waitMs, serviceLevelMs int64) string {
	switch {
	case waitMs > serviceLevelMs:
		return levelBad
	case 2*waitMs > serviceLevelMs:
		return levelWarn
	}
	return levelGood
}

func (s *Site) live(v *visit) (any, error) {
	now, err := v.Client.Live(v.Context())
	if err != nil {
		return nil, err
	}
	return newBoard(now), nil
}

func newBoard(now api.LiveCalls) *liveBoard {
	b := &liveBoard{ServiceLevelMs: now.ServiceLevelMs, Blind: now.Blind}
	for i := range now.Calls {
		c := newLiveCall(&now.Calls[i])
		b.Ringing += len(c.Phones)
		if c.State == "hold" {
			b.Held++
		}
		if c.WaitMs == 0 {
			b.Talking = append(b.Talking, c)
			continue
		}
		if c.Direction == call.Inbound {
			c.Level = level(c.WaitMs, now.ServiceLevelMs)
		}
		b.Waiting = append(b.Waiting, c)
	}
	// Who calls from outside waits for us, an employee for others.
	slices.SortStableFunc(b.Waiting, func(x, y *liveCall) int {
		in := func(c *liveCall) int {
			if c.Direction == call.Inbound {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(in(x), in(y)), cmp.Compare(y.WaitMs, x.WaitMs))
	})
	for _, c := range b.Waiting {
		if c.Queue == "" {
			continue
		}
		i := slices.IndexFunc(b.Queues, func(q *liveQueue) bool { return q.Name == c.Queue })
		if i < 0 {
			b.Queues, i = append(b.Queues, &liveQueue{Name: c.Queue}), len(b.Queues)
		}
		b.Queues[i].Waiting = append(b.Queues[i].Waiting, c)
	}
	return b
}

// Longest is the caller who waits longest, nil if none does.
func (b *liveBoard) Longest() *liveCall {
	if len(b.Waiting) == 0 || b.Waiting[0].Level == "" {
		return nil
	}
	return b.Waiting[0]
}

// Calls is how many there are.
func (b *liveBoard) Calls() int { return len(b.Waiting) + len(b.Talking) }

func newLiveCall(r *call.Record) *liveCall {
	c := &liveCall{Record: r, State: "wait"}
	var last call.Span
	if n := len(r.Timeline); n > 0 {
		last = r.Timeline[n-1]
		c.State, c.ForMs = last.Kind, max(0, last.To.Sub(last.From).Milliseconds())
	}
	if !connected(c.State) {
		began := r.StartedAt
		for _, s := range slices.Backward(r.Timeline) {
			if connected(s.Kind) {
				break
			}
			began = s.From
		}
		c.WaitMs = max(1, last.To.Sub(began).Milliseconds())
	}
	for i := range r.Legs {
		l := &r.Legs[i]
		if (l.Role != call.RoleCaller || r.Origin == call.OriginOriginated) && l.RingingAt != 0 && l.AnsweredAt == 0 && l.EndedAt == 0 {
			c.Phones = append(c.Phones, legParty(l))
		}
	}
	switch {
	case c.State == "queue":
		c.Queue = plain(last.Party)
	case connected(c.State) && last.Party != nil:
		c.With = partyIn(r, *last.Party)
	case r.Line == nil || r.Direction != call.Inbound:
		c.With = &r.To
	}
	return c
}

// connected says whether a kind of span is time with a person, holds included.
func connected(kind string) bool { return kind == "talk" || kind == "conference" || kind == "hold" }

// partyIn is whom a record means by a number or an extension.
func partyIn(r *call.Record, number string) *call.Party {
	if r.Direction == call.Outbound && plain(r.To.Number) == number {
		return &r.To
	}
	for i := range r.Legs {
		if l := &r.Legs[i]; plain(l.Extension) == number || plain(l.Number) == number {
			p := legParty(l)
			return &p
		}
	}
	return &call.Party{Number: &number}
}

func legParty(l *call.Leg) call.Party {
	return call.Party{Number: l.Number, Extension: l.Extension, Employee: l.Employee, Department: l.Department}
}
