package call

import (
	"slices"
	"strings"
	"time"
)

// ---- transfers

// transfers lists how the call was moved on, in order.
func (s *story) transfers(v *view) []Transfer {
	var out []Transfer
	add := func(x Transfer) { out = append(out, x) }
	for i := range s.facts {
		e := &s.facts[i]
		switch e.Kind {
		case Transferred:
			at, to := s.transferredAt(e), s.transferTarget(e)
			if s.parkedNear(at) || s.parkedAs(to, at) || at > v.end.Add(time.Second) || s.stated(i) {
				continue
			}
			add(Transfer{Type: e.Transfer.Type, By: text(s.whoIs(e.Transfer.Transferer)), To: text(to), At: at})
		case Parked:
			if l := s.legs[e.Leg]; e.Swap != "" || l != nil && s.consultation(l, v) {
				continue // not the caller: who wants to park him, and asks for a place first
			}
			by := e.By
			if l := s.legs[LegID(by)]; l != nil {
				by = s.who(l)
			}
			if by == "" {
				by = s.parkedBy(e)
			}
			add(Transfer{Type: TransferPark, By: text(by), To: text(e.Number), At: e.At})
		case PickedUp:
			add(Transfer{Type: TransferPickup, By: text(s.whoIs(e.Leg)), To: text(s.whoIs(e.Leg)), At: e.At})
		case Forwarded:
			if l := s.legs[e.Leg]; !s.stated(i) {
				taken := s.spoke(v, l) || l == v.first && l.answered != 0
				add(Transfer{Type: TransferForward, By: text(s.extension(l)), To: text(e.Number), At: e.At, Answered: &taken})
			}
		case LegEnded:
			if s.stated(i) {
				continue
			}
			if e.Cause != nil && e.Cause.Text == causePickedOff {
				for _, l := range s.order {
					if l.calling && l != v.first && s.picked(l) && s.spoke(v, l) {
						add(Transfer{Type: TransferPickup, By: text(s.who(l)), To: text(s.who(l)), At: e.At})
					}
				}
			}
		case DialEnded:
			if e.Number != "" {
				add(Transfer{Type: TransferForward, By: text(s.whoIs(e.Peer)), To: text(e.Number), At: e.At})
			}
		case Dialled, Executed:
			if x := s.redirected(e, v); x != nil {
				add(*x)
			} else if x := s.calledOff(e, v); x != nil {
				add(*x)
			}
		}
	}
	out = append(out, s.moves(v)...)
	out = append(out, s.movedWaiting(v)...)
	out = append(out, s.handedOver(v)...)
	slices.SortStableFunc(out, func(a, b Transfer) int { return int(a.At - b.At) })
	for i := range out {
		x := &out[i]
		if x.Type != TransferPark && x.Answered == nil {
			next := v.end
			for _, y := range out[i+1:] {
				if y.Type != TransferForward && y.Type != TransferPickup { // these only carry this one on
					next = y.At
					break
				}
			}
			x.Answered = ptr(s.takenUp(v, x, next))
		}
		x.At = x.At.Ms()
	}
	if out == nil {
		out = []Transfer{}
	}
	return out
}

func (s *story) whoIs(id LegID) string {
	if l := s.legs[id]; l != nil {
		return s.who(l)
	}
	return ""
}

// takenUp: after the transfer, and before the next one, somebody else than who
// made it was connected with the caller.
func (s *story) takenUp(v *view, x *Transfer, next Moment) bool {
	for _, t := range v.talks {
		if t.to <= x.At || t.from >= next && next != v.end {
			continue
		}
		for _, id := range t.with {
			// The same employee on another channel may be the one who takes it.
			if x.By == nil || s.whoIs(id) != *x.By || x.Type == TransferPickup || s.legs[id].created >= x.At.Add(-momentary) {
				return true
			}
		}
	}
	return false
}

// stated says that an earlier fact says the same: a PBX may repeat itself, as
// FreeSWITCH does in the last two events of a leg.
func (s *story) stated(i int) bool {
	e := &s.facts[i]
	return slices.ContainsFunc(s.facts[:i], func(f Event) bool {
		return f.Kind == e.Kind && f.Leg == e.Leg && f.Number == e.Number && f.App == e.App &&
			(e.Transfer == nil || f.Transfer != nil && f.Transfer.Type == e.Transfer.Type && f.Transfer.To == e.Transfer.To && f.Transfer.Target == e.Transfer.Target)
	})
}

// transferredAt is when a phone's transfer was made. FreeSWITCH says it in the
// last event of the channel that asked for it, which the dialplan may keep; an
// attended one was over when either of that phone's two channels was.
func (s *story) transferredAt(e *Event) Moment {
	at := e.At
	if x := e.Transfer; x.Type == TransferAttended {
		for _, id := range []LegID{x.Transferer, x.Second} {
			if l := s.legs[id]; l != nil && l.over() != 0 {
				at = min(at, l.over())
			}
		}
	}
	return at
}

func (s *story) spoke(v *view, l *leg) bool {
	return slices.ContainsFunc(v.talks, func(t stretch) bool { return slices.Contains(t.with, l.id) })
}

// moves are the transfers that a program or the operator made, by what the
// channels' own history says (FreeSWITCH's transfer_history). An entry is also
// written by menus and the dialplan: it is a transfer only if it ended a talk,
// and nobody's phone asked for it. Its own stamp is of little use for that: whole
// seconds, and a talk begins and ends within one. But a channel states its
// history whenever it is joined or parted: what is there at the end of a talk
// and was not at its beginning has ended it, and what comes only later was
// written when the talk was over. Only where the channel had stated nothing
// before, the stamp must do.
func (s *story) moves(v *view) (out []Transfer) {
	if v.answer == 0 {
		return nil
	}
	stated := map[LegID]*Event{} // each leg's last fact with a history
	known := map[string]bool{}
	for i := range s.facts {
		e := &s.facts[i]
		if e.History == nil {
			continue
		}
		before := stated[e.Leg]
		stated[e.Leg] = e
		for _, n := range e.History.Transfers {
			if n.Method != "bl_xfer" || known[n.ID] || strings.Contains(n.Target, ":") { // an inline dialplan is no number
				continue
			}
			known[n.ID] = true
			after, until := Moment(0), e.At.Add(momentary)
			switch {
			case before == nil && n.At != 0: // nothing but its stamp says what it came after
				after, until = n.At.Add(-momentary), min(until, n.At.Add(time.Second+momentary))
			case e.Kind == Parted:
				after = e.At.Add(-momentary)
			case before != nil && before.Kind == Parted:
				continue
			case before != nil:
				after = before.At
			}
			if at := s.talkEnded(v, e.Leg, after, until); at != 0 && !s.askedNear(at) && !s.parkedNear(at) {
				// A program that moves both sides says so on both.
				same := func(y Transfer) bool { return *y.To == n.Target && at.Sub(y.At).Abs() < time.Second }
				if n.Target != "" && !slices.ContainsFunc(out, same) {
					x := Transfer{Type: TransferRedirect, To: text(n.Target), At: at}
					by := s.keyedBy(at)
					if by == nil {
						by = s.agentReferred(v, e.Leg, at)
					}
					if by != nil {
						x.Type, x.By = TransferBlind, text(s.who(by))
					}
					out = append(out, x)
				}
			}
		}
	}
	return out
}

// movedWaiting are the moves that took a caller from phones that still rang, or
// from a queue, and not from a talk. The channel's history has them among what
// the dialplan wrote; but the dialplan goes on only when ringing and waiting are
// over by themselves, and here the PBX broke them off while the caller stayed.
func (s *story) movedWaiting(v *view) (out []Transfer) {
	known := map[string]bool{}
	for i := range s.facts {
		e := &s.facts[i]
		if e.History == nil || e.Leg != v.caller.id {
			continue
		}
		for _, n := range e.History.Transfers {
			if n.Method != "bl_xfer" || n.Target == "" || known[n.ID] || strings.Contains(n.Target, ":") {
				continue
			}
			known[n.ID] = true
			if at := s.brokenOff(v, n.At); at != 0 {
				out = append(out, Transfer{Type: TransferRedirect, To: text(n.Target), At: at})
			}
		}
	}
	return out
}

// brokenOff is when, within the second that begins at the moment given, the
// caller's wait before any talk was broken off by the PBX.
func (s *story) brokenOff(v *view, second Moment) Moment {
	waited := func(at Moment) bool {
		return at >= second && at < second.Add(time.Second+momentary) && at < v.end && (v.answer == 0 || at < v.answer)
	}
	for i := range s.facts {
		e := &s.facts[i]
		switch {
		case !waited(e.At):
		case e.Kind == Unqueued && e.Leg == v.caller.id && e.Result == queueBrokenOff:
			return e.At
		case e.Kind == LegEnded && e.Cause != nil && e.Cause.Text == causeCancelled:
			if l := s.legs[e.Leg]; l != nil && l.by == v.caller.id && l.queue == "" && l.answered == 0 {
				return e.At
			}
		}
	}
	return 0
}

// keyedBy is the phone that moved the other side by a key of its own, and left:
// the last that its channel did was a transfer of its partner (mod_dptools:
// transfer -bleg).
func (s *story) keyedBy(at Moment) *leg {
	for _, l := range s.order {
		h := l.history
		if h != nil && h.Vars["last_app"] == "transfer" && strings.HasPrefix(h.Vars["last_arg"], "-bleg") && l.over().Sub(at).Abs() < time.Second {
			return l
		}
	}
	return nil
}

// agentReferred is the agent on the line who sent the caller on and waits for the
// next one: no end of his leg tells of it, only the caller's, by his SIP user.
func (s *story) agentReferred(v *view, caller LegID, at Moment) *leg {
	h := s.legs[caller].history
	if h == nil {
		return nil
	}
	for _, t := range v.talks {
		l := s.legs[t.with[len(t.with)-1]]
		if s.elsewhere(l.id) && t.to.Sub(at).Abs() < momentary && strings.Contains(h.Vars["sip_h_Referred-By"], "sip:"+l.endpoint+"@") {
			return l
		}
	}
	return nil
}

// momentary is how far apart a PBX may stamp two sides of one thing.
const momentary = 150 * time.Millisecond

// talkEnded is when the last talk of the leg ended in the time given, though the
// call went on; zero if none did.
func (s *story) talkEnded(v *view, leg LegID, after, until Moment) (at Moment) {
	own := slices.ContainsFunc(v.turns, func(t turn) bool { return t.leg == leg })
	for _, t := range v.talks {
		if t.to > after && t.to <= until && t.to < v.end && (own || slices.Contains(t.with, leg)) {
			at = t.to
		}
	}
	return at
}

// handedOver are the attended transfers of which nothing is said but what came
// of them: whom somebody had called beside his talk with the caller, that one
// is now with the caller himself. So FreeSWITCH's att_xfer ends, and so a
// program joins two calls.
func (s *story) handedOver(v *view) (out []Transfer) {
	out = s.handedRinging(v)
	for i, t := range v.talks {
		if i == 0 {
			continue
		}
		for _, id := range t.with {
			target := s.legs[id]
			giver := s.consultedBy(v, target)
			if giver == nil || target.created >= t.from || slices.ContainsFunc(v.talks[:i], func(b stretch) bool { return slices.Contains(b.with, id) }) {
				continue
			}
			said := slices.ContainsFunc(s.facts, func(e Event) bool {
				return e.Kind == Transferred && e.At >= target.created && s.transferredAt(&e) <= t.from.Add(time.Second)
			})
			if !said {
				to := target.dialled
				if asDialled(to) == "" || target.calling {
					to = s.who(target)
				}
				out = append(out, Transfer{Type: TransferAttended, By: text(s.who(giver)), To: text(to), At: t.from})
			}
		}
	}
	return out
}

// handedRinging are those of them in which the one called beside the talk never
// answered: the caller's channel says whom it was given to (uuid_br).
func (s *story) handedRinging(v *view) (out []Transfer) {
	for i := range s.facts {
		e := &s.facts[i]
		if e.Kind != Parted || e.History == nil || e.Leg != v.caller.id {
			continue
		}
		for _, n := range e.History.Transfers {
			target := s.legs[LegID(n.Target)]
			if n.Method != "uuid_br" || target == nil || target.answered != 0 {
				continue
			}
			if giver := s.consultedBy(v, target); giver != nil && giver.over() != 0 && target.over() > giver.over() {
				out = append(out, Transfer{Type: TransferAttended, By: text(s.who(giver)), To: text(s.who(target)), At: giver.over()})
			}
		}
	}
	return out
}

// consultedBy is who called this leg while he was talking with the caller, from
// the same channel or from a second one of his; nil if nobody did.
func (s *story) consultedBy(v *view, l *leg) *leg {
	for _, t := range v.talks {
		if t.from > l.created || t.to < l.created {
			continue
		}
		for _, id := range append(slices.Clone(t.with), v.first.id) {
			talker := s.legs[id]
			if s.outside(talker) {
				continue
			}
			for n, up := 0, s.legs[l.by]; up != nil && n < 20; n, up = n+1, s.legs[up.by] {
				if up != talker && s.outside(up) {
					break // made for the other side, not by the employee
				}
				if up == talker || up.real() && up.calling && s.extension(up) != "" && s.extension(up) == s.extension(talker) {
					return talker
				}
			}
		}
	}
	return nil
}

// askedNear: a phone asked for a transfer about then.
func (s *story) askedNear(at Moment) bool {
	return slices.ContainsFunc(s.facts, func(e Event) bool {
		return e.Kind == Transferred && s.transferredAt(&e).Sub(at).Abs() <= time.Second
	})
}

// parkedBy is who asked for the transfer that parked the call.
func (s *story) parkedBy(parked *Event) string {
	for i := range s.facts {
		if e := &s.facts[i]; e.Kind == Transferred {
			if at := s.transferredAt(e); at.Sub(parked.At).Abs() <= time.Second || s.transferTarget(e) == parked.Number && s.parkedAs(parked.Number, at) {
				return s.whoIs(e.Transfer.Transferer)
			}
		}
	}
	return ""
}

// parkedAs: the transfer to a number parked the call there. FreeSWITCH lets the
// caller wait for a second before he is in his place (mod_valet_parking.c).
func (s *story) parkedAs(number string, at Moment) bool {
	return slices.ContainsFunc(s.facts, func(e Event) bool {
		return e.Kind == Parked && e.Number != "" && e.Number == number && e.At >= at && e.At.Sub(at) <= 2*time.Second
	})
}

// parkedNear: Asterisk states a parking as a blind transfer too, before or
// after it; within half a second they are one.
func (s *story) parkedNear(at Moment) bool {
	for i := range s.facts {
		if e := &s.facts[i]; e.Kind == Parked && e.At.Sub(at).Abs() <= 500*time.Millisecond {
			return true
		}
	}
	return false
}

// transferTarget is to whom: as dialled by who made the transfer, else the
// number reached.
func (s *story) transferTarget(e *Event) string {
	x := e.Transfer
	if x.Type == TransferBlind {
		return x.To
	}
	// The consultation is the younger of the transferer's two legs; what it
	// dialled is the target.
	a, b := s.legs[x.Transferer], s.legs[x.Second]
	if a != nil && b != nil && a != b {
		if b.created < a.created {
			a, b = b, a
		}
		if b.calling && asDialled(b.dialled) != "" {
			return b.dialled
		}
	}
	if x.To != "" {
		return x.To
	}
	return s.whoIs(x.Target)
}

// redirected: a program or the operator moved the caller, or the outside party
// that had been called. Asterisk states nothing of it: that one leaves the talk,
// nobody's far end has left, and the PBX calls somebody or does something else
// with it by another extension. A transfer says so itself when it ends the talk;
// one before that explains nothing.
func (s *story) redirected(e *Event, v *view) *Transfer {
	if e.Leg != v.caller.id || asDialled(e.Dialled) == "" {
		return nil
	}
	var last *stretch
	for i := range v.talks {
		if t := &v.talks[i]; t.from < e.At && t.to <= e.At.Add(momentary) && t.to < v.end {
			last = t
		}
	}
	if last == nil || e.At.Sub(last.to) > time.Second {
		return nil
	}
	for _, id := range append(slices.Clone(last.with), v.first.id) {
		if l := s.legs[id]; l.hungUp >= last.from && l.hungUp != 0 && l.hungUp <= e.At {
			return nil
		}
	}
	said := func(f Event) bool {
		return f.Kind == Transferred && f.At >= last.to.Add(-momentary) && f.At <= e.At.Add(momentary)
	}
	if slices.ContainsFunc(s.facts, said) {
		return nil
	}
	before := ""
	for i := range s.facts {
		f := &s.facts[i]
		if (f.Kind == Dialled || f.Kind == Executed) && f.Leg == e.Leg {
			if f == e {
				break
			}
			before = f.Dialled
		}
		if f.Kind == Parked || f.Kind == ParkEnded {
			before = ""
		}
	}
	called := v.caller != v.first && !v.caller.calling // it was called, and has nobody called by itself
	if before == "" && !called || before == e.Dialled {
		return nil
	}
	return &Transfer{Type: TransferRedirect, To: text(e.Dialled), At: last.to}
}

// calledOff: the caller was moved while phones rang for him. The PBX cancels
// their ringing, as it does when he leaves, but he stays and is served by another
// extension. A key of his may bring him there too: out of a queue, or by an
// extension of one digit.
func (s *story) calledOff(e *Event, v *view) *Transfer {
	if e.Leg != v.caller.id || len(asDialled(e.Dialled)) < 2 || v.answer != 0 && e.At >= v.answer {
		return nil
	}
	before, at := "", Moment(0)
	for i := range s.facts {
		f := &s.facts[i]
		if f == e {
			break
		}
		if f.Leg != e.Leg {
			continue
		}
		switch f.Kind {
		case Dialled, Executed:
			before, at = f.Dialled, 0
		case DialEnded:
			at = 0
			if f.Result == "CANCEL" {
				at = f.At
			}
		case Queued, LegHungUp:
			return nil
		}
	}
	if at == 0 || before == "" || before == e.Dialled || e.At.Sub(at) > time.Second {
		return nil
	}
	return &Transfer{Type: TransferRedirect, To: text(e.Dialled), At: at}
}

// ---- legs

func (s *story) legsOf(v *view) []Leg {
	out := []Leg{}
	for _, l := range s.order {
		if !l.real() {
			continue
		}
		x := Leg{Channel: l.channel, Number: text(s.who(l)), StartedAt: l.created.Ms(), RingingAt: l.ringing.Ms(), AnsweredAt: l.answered.Ms(),
			Queue: text(l.queue), Cause: l.cause, Result: s.result(l, v)}
		if over := l.over(); over != 0 {
			x.EndedAt = max(over, l.created).Ms() // clocks step, and facts may come in the wrong order
		}
		if ext := s.extension(l); ext != "" {
			x.Extension = &ext
		}
		switch {
		case l == v.first:
			x.Role = RoleCaller
		case s.consultation(l, v):
			x.Role = RoleConsultation
		case s.outside(l):
			x.Role = RoleTrunk
		default:
			x.Role = RolePhone
		}
		if l.ringing != 0 {
			if stop := l.stopped(); stop >= l.ringing {
				x.RingMs = ptr(ms(l.ringing, stop))
			}
		}
		talk, until := int64(0), Moment(0)
		for _, t := range v.talks {
			if slices.Contains(t.with, l.id) || l == v.first && v.turns[0].leg == l.id && t.from < turnedAt(v) {
				from := max(t.from, until) // stamps that go back make stretches overlap
				if t.to > from {
					talk, until = talk+ms(from, t.to), t.to
				}
			}
		}
		x.TalkMs = &talk
		out = append(out, x)
	}
	return out
}

// turnedAt is until when the first leg stood for the caller.
func turnedAt(v *view) Moment {
	if len(v.turns) > 1 {
		return v.turns[1].at
	}
	return v.end.Add(time.Microsecond)
}

// ---- recordings, mailbox, fax

func (s *story) media(v *view, r *Record) {
	r.Recordings = []Recording{}
	open := map[LegID][]int{}
	begun := map[LegID]int{}
	for i := range s.facts {
		e := &s.facts[i]
		switch {
		case e.Kind == RecordBegun:
			// Asterisk says the name and the beginning in two events.
			if n := len(open[e.Leg]); n > 0 && (e.Data == "name" || begun[e.Leg] == 0) {
				x := &r.Recordings[open[e.Leg][n-1]]
				if x.File == nil || e.File == "" {
					if e.File != "" {
						x.File = text(e.File)
					}
					begun[e.Leg]++
					continue
				}
			}
			open[e.Leg] = append(open[e.Leg], len(r.Recordings))
			begun[e.Leg] = 0
			if e.Data != "name" {
				begun[e.Leg] = 1
			}
			r.Recordings = append(r.Recordings, Recording{File: text(e.File), StartedAt: e.At.Ms()})
		case e.Kind == RecordEnded || e.Kind == LegEnded:
			named := func(n int) bool {
				file := r.Recordings[n].File
				return e.Kind == RecordEnded && e.File != "" && file != nil && *file == *text(e.File)
			}
			one := slices.ContainsFunc(open[e.Leg], named) // of several at once
			open[e.Leg] = slices.DeleteFunc(open[e.Leg], func(n int) bool {
				if one && !named(n) {
					return false
				}
				r.Recordings[n].DurationMs = ptr(ms(r.Recordings[n].StartedAt, e.At))
				return true
			})
		case e.Kind == Executed && e.App == AppVoicemail, e.Kind == MailboxLeft:
			if r.Voicemail == nil {
				r.Voicemail = &VoicemailEntry{}
			}
			box := e.Data
			if e.Kind == MailboxLeft {
				box = e.Number
				if e.File != "" {
					r.Voicemail.File = text(e.File)
				}
				if e.DurationMs != 0 {
					r.Voicemail.DurationMs = ptr(e.DurationMs)
				}
			}
			if box, _, _ = strings.Cut(box, "@"); box != "" && r.Voicemail.Mailbox == "" {
				r.Voicemail.Mailbox = box
			}
		case e.Kind == FaxEnded || e.Kind == Executed && e.App == AppFax:
			if r.Fax == nil {
				r.Fax = &FaxEntry{Direction: "received"}
			}
			if strings.HasPrefix(e.Data, "send") {
				r.Fax.Direction = "sent"
			}
			if e.Kind == FaxEnded {
				if e.Number != "" {
					r.Fax.Station = text(e.Number)
				}
				if e.Pages > 0 {
					r.Fax.Pages = ptr(int64(e.Pages))
				}
				if e.Result != "" {
					r.Fax.Result = text(strings.ToLower(e.Result))
				}
			}
			if e.File != "" {
				r.Fax.File = text(e.File)
			}
		}
	}
	if v.answer != 0 && r.Voicemail != nil && r.Voicemail.Mailbox == "" {
		r.Voicemail = nil
	}
}

// ---- what is not known

func (s *story) doubts(c *held, v *view, r *Record) {
	r.Quality, r.Doubts = QualityComplete, []string{}
	doubt := func(d string) {
		if !slices.Contains(r.Doubts, d) {
			r.Doubts = append(r.Doubts, d)
		}
	}
	if v.first.unseen {
		doubt(DoubtStartUnseen)
	}
	for _, l := range s.order {
		if l.unseen && l != v.first || l.oddity != "" {
			doubt(DoubtFactsLost)
		}
		if l.vanished != "" {
			doubt(l.vanished)
		}
		if l.ended != 0 && l.created != 0 && l.ended < l.created {
			doubt(DoubtClockStepped)
		}
	}
	if n, stepped := steppedAt(s.facts); stepped {
		doubt(DoubtClockStepped)
		s.because("doubts", "a clock was set while the call was up", n)
	}
	for i := range s.facts {
		switch s.facts[i].Kind {
		case LinkDown, LinkGap:
			doubt(DoubtLinkLost)
		}
	}
	if n, why := s.lost(); why != "" {
		doubt(DoubtFactsLost)
		s.because("doubts", why, n)
	}
	if len(c.facts) >= maxFacts {
		doubt(DoubtTooLong)
	}
	if len(r.Doubts) > 0 {
		slices.Sort(r.Doubts)
		r.Quality = QualityPartial
	}
}
