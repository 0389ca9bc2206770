package call

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// ---- who called whom

func (s *story) parties(v *view, r *Record) {
	r.Origin = OriginDialled
	if v.originated {
		r.Origin = OriginOriginated
		s.because("origin", "the PBX made the first channel itself", s.order[0].factOf(LegCreated, LegSeen))
	}
	if s.orphan(v) {
		s.orphanParties(v, r)
		return
	}
	r.Direction = s.direction(v)
	var from, to *leg
	toNumber := ""
	switch {
	case v.originated:
		from, to = s.callbackParties(v)
		if to != nil {
			toNumber = s.who(to)
		} else {
			toNumber = s.askedFor(v)
		}
	default:
		from, toNumber = v.first, asDialled(v.first.dialled)
		for _, l := range v.tried {
			if s.who(l) == toNumber {
				to = l
				break
			}
		}
	}
	if from != nil {
		r.From = s.party(from)
		if v.inbound {
			r.From.Name = text(from.name)
		}
	}
	r.To = Party{Number: text(toNumber)}
	if to != nil {
		r.To = s.party(to)
		r.To.Number = text(toNumber)
	}
	if r.To.Extension == nil && r.Direction == Internal && s.opts.Extensions.MatchString(toNumber) {
		r.To.Extension = text(toNumber)
	}
	for _, l := range s.order {
		if l.real() && s.outside(l) {
			r.Trunk = text(l.endpoint)
			break
		}
	}
	if v.inbound && toNumber != "" {
		r.Line = &Line{Number: toNumber}
	}
	r.Account = text(v.first.account)
}

// orphan: all that was ever seen of the call is a leg that somebody had called;
// whoever called it was gone when the link came back.
func (s *story) orphan(v *view) bool {
	return !v.originated && v.first.unseen && !v.first.calling && v.first.by == "" && len(v.tried) == 0
}

// orphanParties tells such a call by what the leg that is left was shown.
func (s *story) orphanParties(v *view, r *Record) {
	l, other := v.first, v.first.connected
	r.From, r.To = Party{Number: text(other)}, Party{Number: text(s.who(l))}
	employee := s.opts.Extensions.MatchString(other)
	if employee {
		r.From.Extension = text(other)
	}
	switch ext := s.extension(l); {
	case ext == "":
		r.Direction, r.Trunk = Outbound, text(l.endpoint)
	case employee:
		r.Direction, r.To.Extension = Internal, text(ext)
	default:
		r.Direction, r.To = Inbound, Party{} // what was asked for is not known
	}
	s.because("direction", "only a leg that was called is left of the call, and whom it was shown as connected with", l.factOf(LegSeen))
}

func (s *story) party(l *leg) Party {
	p := Party{Number: text(s.who(l))}
	if x := s.extension(l); x != "" {
		p.Extension = text(x)
	}
	if l.name != "" {
		p.Name = text(l.name)
	}
	return p
}

// asDialled: the extensions that only the dialplan knows are no numbers.
func asDialled(exten string) string {
	switch exten {
	case "s", "h", "t", "i", "o", "a", "T", "e", "start", "failed":
		return ""
	}
	return exten
}

// direction: where the first channel leads and where the ones that were called
// for it lead. Whoever comes later, by a transfer or a forward, changes nothing.
func (s *story) direction(v *view) string {
	if v.inbound {
		s.because("direction", "the first channel leads outside", v.first.factOf(LegCreated, LegSeen))
		return Inbound
	}
	inside, outside := 0, 0
	for _, l := range v.tried {
		if v.answer != 0 && l.created > v.answer {
			continue
		}
		if s.outside(l) {
			outside++
		} else {
			inside++
		}
	}
	if v.originated {
		if s.outside(v.first) {
			outside++
		}
		asked := s.askedFor(v)
		if outside > 0 || inside == 0 && asked != "" && !s.opts.Extensions.MatchString(asked) {
			return Outbound
		}
		return Internal
	}
	to := asDialled(v.first.dialled)
	if outside > 0 && (inside == 0 || !s.opts.Extensions.MatchString(to)) {
		s.because("direction", "an employee called, and a channel that leads outside was called for him")
		return Outbound
	}
	if outside == 0 && inside == 0 && len(to) >= 7 && !strings.ContainsAny(to, "*#") && !s.served() {
		s.because("direction", "an employee called, nothing was called for him, and the number is too long for an extension")
		return Outbound
	}
	s.because("direction", "employees on both sides", v.first.factOf(LegCreated, LegSeen))
	return Internal
}

// served: the number was one of the PBX's own, for listening in or for hearing
// messages.
func (s *story) served() bool {
	return slices.ContainsFunc(s.facts, func(e Event) bool {
		return e.Kind == Executed && (e.App == AppSpy || e.App == AppMailbox || e.App == AppAgent)
	})
}

// callbackParties are the employee and the one he was connected with, in
// whichever order the PBX called them.
func (s *story) callbackParties(v *view) (from, to *leg) {
	from = v.first
	switch {
	case v.winner != nil && v.winner != from:
		to = v.winner
	case from.answered != 0 && len(v.tried) > 0:
		to = v.tried[0]
	}
	if s.outside(from) && to != nil && !s.outside(to) {
		from, to = to, from
	} else if s.outside(from) && to == nil {
		from, to = nil, from
	}
	return from, to
}

// askedFor is the number that the originated call was for, if the second party
// was never called: what the answer to the Originate names, else the number
// that the PBX showed to the employee.
func (s *story) askedFor(v *view) string {
	for _, e := range s.facts {
		if e.Kind == Originated && asDialled(e.Dialled) != "" {
			return e.Dialled
		}
	}
	for _, l := range s.order {
		if l.connected != "" && !l.calling && !s.opts.Extensions.MatchString(l.connected) {
			return l.connected
		}
		if s.report != nil && l.local && l.calling && l.number != "" && !s.opts.Extensions.MatchString(l.number) {
			return l.number // the row of a Local half has the number that the Originate showed
		}
		if l.numbered != "" && l.numbered != s.extension(v.first) && !s.opts.Extensions.MatchString(l.numbered) {
			return l.numbered
		}
	}
	return ""
}

// ---- how it ended

func (s *story) outcome(v *view, r *Record) {
	r.Status, r.Cause = s.status(v)
	r.Queues = []string{}
	for _, p := range v.spans {
		if p.kind == "queue" && !slices.Contains(r.Queues, p.party) {
			r.Queues = append(r.Queues, p.party)
		}
	}
	if v.answer != 0 {
		first, last := s.spokenWith(v)
		r.AnsweredBy, r.LastTalkedBy = text(first), text(last)
	}
	if by := s.endedBy(v); by != "" {
		r.EndedBy = &by
	}
	if r.Status == StatusAbandoned {
		in := "ring"
		switch line := s.timeline(v); line[len(line)-1].kind {
		case "queue":
			in = "queue"
		case "ivr":
			in = "ivr"
		}
		r.AbandonedIn = &in
	}
	if r.Direction == Inbound {
		switch r.Status {
		case StatusAbandoned, StatusNoAnswer, StatusBusy, StatusRejected, StatusFailed, StatusVoicemail:
			r.Missed = true
		}
	}
}

// spokenWith names who spoke first and who spoke last.
func (s *story) spokenWith(v *view) (first, last string) {
	if v.originated && s.outside(v.first) {
		if _, to := s.callbackParties(v); to != nil {
			return s.who(to), s.who(to)
		}
	}
	begin, end := v.talks[0], v.talks[len(v.talks)-1]
	first, last = s.who(s.legs[begin.with[0]]), s.who(s.legs[end.with[len(end.with)-1]])
	if begin.conference {
		first = s.employeeMet(v.talks, begin.from, begin.from.Add(together))
	}
	if end.conference {
		last = s.employeeMet(v.talks, end.to.Add(-together), end.to)
	}
	return first, last
}

// together is how far apart people enter or leave a conference who are there
// together.
const together = 750 * time.Millisecond

// employeeMet is the employee who was in the conference with the caller between
// two moments; "" if only the outside was.
func (s *story) employeeMet(talks []stretch, from, to Moment) string {
	for _, t := range talks {
		if !t.conference || t.to < from || t.from > to {
			continue
		}
		for _, id := range t.with {
			if x := s.extension(s.legs[id]); x != "" {
				return x
			}
		}
	}
	return ""
}

// endedBy: whose far end left first. If the PBX kept the caller after that, who
// ended his stay.
func (s *story) endedBy(v *view) string {
	callerLeft := v.caller.hungUp
	if v.caller.vanished != "" {
		return ""
	}
	swapped := v.caller != v.first // the caller gave the call away: the outside party stands for it
	caller, callee := "caller", "callee"
	if swapped && s.outside(v.caller) && !v.inbound || v.originated && s.outside(v.caller) {
		caller, callee = "callee", "caller"
	}
	if v.answer == 0 {
		if callerLeft != 0 {
			s.because("ended_by", "the caller's far end left", v.caller.factOf(LegHungUp, LegEnded))
			return caller
		}
		s.because("ended_by", "nobody answered and the caller did not leave", v.caller.factOf(LegEnded))
		return "pbx"
	}
	last := v.talks[len(v.talks)-1]
	calleeLeft, leaver := Moment(0), uint64(0)
	for _, id := range last.with {
		if l := s.legs[id]; l.hungUp != 0 && l.hungUp >= last.from {
			calleeLeft, leaver = max(calleeLeft, l.hungUp), l.factOf(LegHungUp, LegEnded)
		}
	}
	switch {
	case calleeLeft != 0 && (callerLeft == 0 || calleeLeft < callerLeft):
		switch kept := v.end.Sub(calleeLeft) > time.Second; {
		case kept && callerLeft != 0:
			s.because("ended_by", "the other side left first; the PBX kept the caller, who then left", v.caller.factOf(LegHungUp, LegEnded))
			return caller
		case kept:
			s.because("ended_by", "the other side left first; the PBX kept the caller and then ended his stay", leaver)
			return "pbx"
		}
		s.because("ended_by", "the far end that left first was the other side's", leaver)
		return callee
	case callerLeft != 0:
		s.because("ended_by", "the far end that left first was the caller's", v.caller.factOf(LegHungUp, LegEnded))
		return caller
	}
	if s.elsewhere(last.with[len(last.with)-1]) && !last.conference && v.end.Sub(last.to) <= time.Second {
		s.because("ended_by", "no far end left: an agent on the line ends a talk by a key", v.caller.factOf(LegEnded))
		return callee
	}
	s.because("ended_by", "no far end left: the PBX ended the talk", v.caller.factOf(LegEnded))
	return "pbx"
}

// merit orders the results of the phones that were tried: the best one counts.
var merit = map[string]int{"answered": 6, "no_answer": 5, "busy": 4, "rejected": 3, "failed": 2}

func (s *story) status(v *view) (string, *Cause) {
	if v.answer != 0 {
		s.because("status", "a person spoke with the caller", v.talks[0].fact)
		return StatusAnswered, v.winner.cause
	}
	mailbox, fax, service, played := false, false, false, false
	for _, e := range s.facts {
		switch {
		case e.Kind == MailboxLeft || e.Kind == Executed && e.App == AppVoicemail:
			mailbox = true
		case e.Kind == FaxEnded || e.Kind == Executed && e.App == AppFax:
			fax = true
		case e.Kind == Executed && (e.App == AppSpy || e.App == AppMailbox || e.App == AppAgent || e.App == AppConference && s.report != nil):
			service = true
		case e.Kind == Executed && e.App == AppPlayback:
			played = true
		}
	}
	switch {
	case fax:
		s.because("status", "a fax was received or sent")
		return StatusFax, v.caller.cause
	case mailbox:
		s.because("status", "the caller got as far as a mailbox")
		return StatusVoicemail, v.caller.cause
	case service:
		s.because("status", "the PBX itself served the caller")
		return StatusSelfService, v.caller.cause
	case v.caller.hungUp != 0 && (!v.originated || v.caller.answered != 0):
		s.because("status", "the caller left before anyone answered", v.caller.factOf(LegHungUp, LegEnded))
		return StatusAbandoned, v.caller.cause
	}
	tried := v.tried
	if len(tried) == 0 && v.originated && v.first.answered == 0 {
		tried = []*leg{v.first}
	}
	best, cause, decided := "", (*Cause)(nil), (*leg)(nil)
	for _, l := range tried {
		res := s.result(l, v)
		switch res {
		case "cancelled", "answered_elsewhere":
			continue
		case "answered":
			res = StatusNoAnswer // picked up, and never joined with the caller
		}
		if merit[res] > merit[best] {
			best, cause, decided = res, l.cause, l
		}
	}
	queued := slices.ContainsFunc(v.spans, func(p span) bool { return p.kind == "queue" })
	switch {
	case queued:
		s.because("status", "the caller waited in a queue and the PBX gave up")
		return StatusNoAnswer, cmp.Or(cause, v.caller.cause)
	case best != "":
		s.because("status", "the best result of the phones that were tried", decided.factOf(LegEnded, LegVanished))
		return best, cmp.Or(cause, v.caller.cause)
	case len(tried) > 0:
		return StatusNoAnswer, v.caller.cause
	case v.first.answered != 0 || played:
		s.because("status", "the PBX served the caller to the end; no phone was ever called")
		return StatusSelfService, v.caller.cause
	}
	if c := v.caller.cause; c != nil && (c.Q850 == 17 || c.SIP == 486) {
		s.because("status", "the PBX itself said busy")
		return StatusBusy, c
	}
	if res := s.report.refusal(); res != "" {
		s.because("status", "the PBX's own record says how it ended")
		return res, v.caller.cause
	}
	s.because("status", "nobody was called and nothing answered")
	return StatusFailed, v.caller.cause
}

// result is what became of one leg that was called. DialStatus is coarse (603,
// 480 and 404 all are NOANSWER), so the cause of the leg's end comes first.
func (s *story) result(l *leg, v *view) string {
	for _, t := range v.talks {
		if slices.Contains(t.with, l.id) {
			return "answered"
		}
	}
	if l == v.first && l.answered != 0 && !takenFrom(l) {
		return "answered"
	}
	if l.calling {
		return "answered"
	}
	if l.forward != "" {
		return "cancelled"
	}
	c := Cause{}
	if l.cause != nil {
		c = *l.cause
	}
	rang := l.ringing != 0
	end := l.over()
	switch {
	case c.SIP == 486 || c.SIP == 600 || c.Q850 == 17:
		return "busy"
	case c.SIP == 603 || c.Q850 == 21:
		return "rejected"
	case v.answer != 0 && end >= v.answer && l.created <= v.answer:
		return "answered_elsewhere"
	case takenFrom(l):
		return "answered_elsewhere"
	case v.caller.hungUp != 0 && l != v.caller && end >= v.caller.hungUp:
		return "cancelled"
	case l.result == "BUSY":
		return "busy"
	case c.SIP == 480 || c.SIP == 408 || c.Q850 == 18 || c.Q850 == 19:
		if rang {
			return "no_answer"
		}
		if c.SIP == 480 || l.hungUp != 0 || l.refused {
			return "failed"
		}
		return "no_answer"
	case c.SIP >= 400 && c.SIP != 487 && c.SIP != 500:
		return "failed"
	case l.result == "CONGESTION" || l.result == "CHANUNAVAIL" || l.result == "INVALIDARGS":
		return "failed"
	case unreachable[c.Q850]:
		return "failed"
	}
	return "no_answer"
}

// unreachable are the Q.850 causes by which a network says that a number cannot
// be put through (ITU-T Q.850, table 1).
var unreachable = map[int]bool{1: true, 2: true, 3: true, 20: true, 22: true, 25: true, 27: true, 28: true, 29: true, 31: false, 34: true, 38: true,
	41: true, 42: true, 44: true, 47: true, 50: true, 57: true, 58: true, 63: true, 65: true, 69: true, 79: true, 88: true, 96: true, 97: true, 111: true}
