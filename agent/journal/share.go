package journal

import (
	"slices"

	"calljournal/agent/call"
)

// By is what statistics are grouped by.
type By uint8

// The groupings. Their numbers are kept in files: only append.
const (
	ByNothing By = 1 + iota
	ByDirection
	ByLine
	BySource
	ByTrunk
	ByQueue
	ByEmployee
	ByDepartment
)

var byNames = map[string]By{
	"total": ByNothing, "direction": ByDirection, "line": ByLine, "source": BySource, "trunk": ByTrunk,
	"queue": ByQueue, "employee": ByEmployee, "department": ByDepartment,
}

// ByOf reads a grouping as it is asked for; ok is false if there is none such.
func ByOf(name string) (by By, ok bool) {
	by, ok = byNames[name]
	return by, ok
}

// Group is one employee, one line, or whatever it is grouped by. The Name of an
// employee is his name, or his extension where the configuration has none.
type Group struct {
	By   By
	Name string
}

// A count is the number of calls of one kind in a group. Their order is kept in
// files: only append.
type count uint8

const (
	countCalls count = iota
	countInbound
	countOutbound
	countInternal
	countAnswered
	countOutboundAnswered
	countInternalAnswered
	countMissed
	countAbandonedIVR
	countAbandonedQueue
	countAbandonedRing
	countVoicemail
	countShort
	countSpam
	countUnique
	countRepeat
	countTarget
	countUniqueTarget
	countCallbacks
	countCallbacksAnswered
	countCalledBack
	countCameBack
	countLost
	countInTime
	countElsewhere
	counts
)

// share is what one call counts in one group: each kind once at most.
type share struct {
	group            Group
	kinds            uint32
	wait, ring, talk int64 // milliseconds, -1: does not count
}

func (s *share) set(c count, on bool) {
	if on {
		s.kinds |= 1 << c
	}
}

func (s *share) has(c count) bool { return s.kinds>>c&1 != 0 }

// shares cuts a record into what it counts in each of its groups.
func shares(r *call.Record, rules Rules) []share {
	whole := wholeShare(r, rules)
	out := make([]share, 0, 12)
	in := func(by By, name string) {
		s := whole
		s.group = Group{by, name}
		out = append(out, s)
	}
	in(ByNothing, "")
	in(ByDirection, r.Direction)
	if r.Line != nil {
		in(ByLine, r.Line.Number)
		if r.Line.Source != nil {
			in(BySource, *r.Line.Source)
		}
	}
	if r.Trunk != nil {
		in(ByTrunk, *r.Trunk)
	}
	for i, q := range r.Queues {
		if !slices.Contains(r.Queues[:i], q) {
			in(ByQueue, q)
		}
	}
	for _, p := range parts(r) {
		if s := p.share(r, &whole); s.kinds != 0 {
			out = append(out, s)
		}
	}
	return out
}

// wholeShare is what a call counts as a whole.
func wholeShare(r *call.Record, rules Rules) share {
	s := share{wait: -1, ring: -1, talk: -1}
	types := TypesOf(r.Types)
	inbound, answered := r.Direction == call.Inbound, r.Status == call.StatusAnswered
	s.set(countCalls, true)
	s.set(countInbound, inbound)
	s.set(countOutbound, r.Direction == call.Outbound)
	s.set(countInternal, r.Direction == call.Internal)
	s.set(countAnswered, inbound && answered)
	s.set(countOutboundAnswered, r.Direction == call.Outbound && answered)
	s.set(countInternalAnswered, r.Direction == call.Internal && answered)
	s.set(countMissed, r.Missed)
	if r.Missed && r.AbandonedIn != nil {
		s.set(countAbandonedIVR, *r.AbandonedIn == "ivr")
		s.set(countAbandonedQueue, *r.AbandonedIn == "queue")
		s.set(countAbandonedRing, *r.AbandonedIn == "ring")
	}
	s.set(countVoicemail, r.Missed && r.Status == call.StatusVoicemail)
	s.set(countShort, types.Has(Short))
	s.set(countSpam, types.Has(Spam))
	s.set(countUnique, types.Has(Unique))
	s.set(countRepeat, types.Has(Repeat))
	s.set(countTarget, inbound && types.Has(Target))
	s.set(countUniqueTarget, inbound && types.Has(Unique|Target))
	s.set(countCallbacks, types.Has(Callback))
	s.set(countCallbacksAnswered, types.Has(Callback) && answered)
	s.set(countCalledBack, types.Has(CalledBack))
	s.set(countCameBack, types.Has(CameBack))
	s.set(countLost, types.Has(Lost))
	if (s.has(countAnswered) || s.has(countMissed)) && r.WaitMs != nil {
		s.wait = max(0, *r.WaitMs)
		s.set(countInTime, s.has(countAnswered) && s.wait <= rules.ServiceLevel.Milliseconds())
	}
	if r.RingMs != nil {
		s.ring = max(0, *r.RingMs)
	}
	if answered && r.TalkMs != nil {
		s.talk = max(0, *r.TalkMs)
	}
	return s
}

// part is what an employee, or a department, had to do with a call.
type part struct {
	group  Group
	called bool  // made it
	rang   bool  // was called
	spoke  bool  // spoke with the caller, or as the caller
	ring   int64 // of the phone that was taken; else of the one that rang longest; -1: unknown
	taken  bool  // ring is of a phone that was taken
	talk   int64
}

// parts finds the employees and departments of a call, by its legs, in the order
// of these.
func parts(r *call.Record) []part {
	var out []part
	find := func(g Group) *part {
		for i := range out {
			if out[i].group == g {
				return &out[i]
			}
		}
		out = append(out, part{group: g, ring: -1})
		return &out[len(out)-1]
	}
	for i := range r.Legs {
		l := &r.Legs[i]
		if l.Extension == nil || *l.Extension == "" {
			continue
		}
		name := *l.Extension
		if l.Employee != nil {
			name = *l.Employee
		}
		find(Group{ByEmployee, name}).leg(r, l)
		if l.Department != nil {
			find(Group{ByDepartment, *l.Department}).leg(r, l)
		}
	}
	return out
}

// leg adds what one leg says.
func (p *part) leg(r *call.Record, l *call.Leg) {
	talk := int64(0)
	if l.TalkMs != nil {
		talk = max(0, *l.TalkMs)
	}
	is := func(who *string) bool { return who != nil && *who == *l.Extension }
	called := l.Role == call.RoleCaller || is(r.From.Extension)
	spoke := r.Status == call.StatusAnswered && l.Result == "answered" &&
		(talk > 0 || l.Role != call.RoleConsultation && (called || is(r.AnsweredBy) || is(r.LastTalkedBy)))
	p.called = p.called || called
	if spoke {
		p.spoke = true
		p.talk += talk
	}
	if l.Role != call.RolePhone || called {
		return
	}
	p.rang = p.rang || l.Result != "failed"
	ring := int64(-1)
	if l.RingMs != nil {
		ring = max(0, *l.RingMs)
	}
	switch {
	case spoke && !p.taken:
		p.ring, p.taken = ring, true
	case spoke == p.taken:
		p.ring = max(p.ring, ring)
	}
}

// share is what the call counts for whoever had this part in it. Where a phone
// rang and another one took the call, nothing was missed and nothing was done.
func (p *part) share(r *call.Record, whole *share) share {
	if p.rang && !p.spoke && !p.called && r.Status == call.StatusAnswered || !p.rang && !p.spoke && !p.called {
		s := share{group: p.group, wait: -1, ring: -1, talk: -1}
		s.set(countElsewhere, p.rang)
		return s
	}
	s := *whole
	s.group = p.group
	if r.Missed && !p.rang {
		s.kinds &^= 1<<countMissed | 1<<countAbandonedIVR | 1<<countAbandonedQueue | 1<<countAbandonedRing | 1<<countVoicemail
		s.wait = -1
	}
	s.ring, s.talk = p.ring, -1
	if p.spoke {
		s.talk = p.talk
	}
	return s
}

// The parts that an employee or a department can have in a call, as statistics
// tell them apart.
const (
	PartCounted   = "counted"            // the call is one of the calls of that row
	PartElsewhere = "answered_elsewhere" // it rang there, and another took it
)

// HadPart says whether a call counts so in the row of one of those whom who
// names: employees, by name or extension, or departments.
func HadPart(r *call.Record, kind string, by By, who []string) bool {
	whole := share{wait: -1, ring: -1, talk: -1, kinds: 1 << countCalls}
	for _, p := range parts(r) {
		if p.group.By != by {
			continue
		}
		s := p.share(r, &whole)
		wanted := countCalls
		if kind == PartElsewhere {
			wanted = countElsewhere
		}
		if !s.has(wanted) {
			continue
		}
		if slices.Contains(who, p.group.Name) || by == ByEmployee && slices.ContainsFunc(r.Legs, func(l call.Leg) bool {
			return l.Extension != nil && l.Employee != nil && *l.Employee == p.group.Name && slices.Contains(who, *l.Extension)
		}) {
			return true
		}
	}
	return false
}
