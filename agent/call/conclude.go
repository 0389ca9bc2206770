package call

import (
	"cmp"
	"slices"
	"time"
)

// conclude makes the record of a call from the facts that were kept for it. It
// is a pure function of them. now is zero for a call that is over; else the
// record is what a live view shows at that moment. Nil: nobody's phone and no
// trunk took part, so there was no call.
func conclude(o Options, c *held, now Moment) (*Record, []Reason) {
	s := tell(o, c, now)
	v := s.view()
	if v == nil {
		return nil, nil
	}
	r := &Record{ID: c.id, Agent: o.Agent, PBX: o.PBX, PBXKind: o.PBXKind, Types: []string{}, Tags: []string{}}
	s.parties(v, r)
	s.times(v, r)
	s.outcome(v, r)
	r.Transfers = s.transfers(v)
	r.Legs = s.legsOf(v)
	s.media(v, r)
	s.doubts(c, v, r)
	s.honest(v, r)
	for _, l := range s.order {
		if !s.elsewhere(l.id) && (s.report == nil || !s.report.nameless[l.id]) {
			r.PBXIDs = append(r.PBXIDs, string(l.id))
		}
	}
	for i := range s.facts {
		if id := string(s.facts[i].Leg); s.facts[i].Kind == LegAlias && !slices.Contains(r.PBXIDs, id) {
			r.PBXIDs = append(r.PBXIDs, id)
		}
	}
	return r, s.why
}

// view is a call from its caller's side: the second step.
type view struct {
	first      *leg // the first real leg: the call began with it
	caller     *leg // the leg whose stay is the length of the call, in the end
	turns      []turn
	talks      []stretch
	originated bool
	inbound    bool   // first leads outside
	tried      []*leg // real legs that were called, in order; of an originated call: all but the first
	start, end Moment
	answer     Moment // a person first spoke with the caller; zero: nobody did
	winner     *leg   // that person's leg
	spans      []span // what the PBX did with the caller, beside talks
}

// span is a stretch of the caller's time with its meaning.
type span struct {
	kind     string
	from, to Moment
	party    string
}

func (s *story) view() *view {
	v := &view{}
	v.originated = s.originated()
	if v.first = s.firstParty(v.originated); v.first == nil {
		return nil
	}
	v.start = s.order[0].created
	if caller := s.joinedFromOutside(v); caller != nil {
		v.first, v.start = caller, caller.created
	}
	v.inbound = !v.originated && s.outside(v.first) && !(v.first.unseen && !v.first.calling)
	v.talks, v.turns = s.listen(v.first.id, s.lastMoment())
	v.caller = s.legs[v.turns[len(v.turns)-1].leg]
	s.passedOn(v)
	s.ending(v)
	v.talks = s.handOver(clip(v.talks, v.start, v.end))
	for _, l := range s.order {
		if !l.real() || l == v.first || s.consultation(l, v) {
			continue
		}
		if v.originated && v.first.answered != 0 && l.created < v.first.answered {
			continue // called for the first party as well, which another phone became
		}
		v.tried = append(v.tried, l)
	}
	if len(v.talks) > 0 {
		v.answer = v.talks[0].from
		v.winner = s.legs[v.talks[0].with[0]]
	}
	v.spans = s.spans(v)
	return v
}

// handOver closes the moment that a PBX needs to join the caller with somebody
// who was on the line already, as after a consultation: he waits for nobody.
func (s *story) handOver(talks []stretch) []stretch {
	for i := 1; i < len(talks); i++ {
		before, next := talks[i-1], &talks[i]
		if !before.conference && !next.conference && next.from > before.to && next.from.Sub(before.to) < time.Second && s.legs[next.with[0]].up(before.to) {
			next.from = before.to
		}
	}
	return talks
}

// firstParty is the leg with which the call began. A call that the PBX itself
// made begins with whoever answered it first, for a phone may send it on to
// another, or several ring.
func (s *story) firstParty(originated bool) (first *leg) {
	for _, l := range s.order {
		if l.real() && (first == nil || originated && l.answered != 0 && (first.answered == 0 || l.answered < first.answered)) {
			first = l
		}
	}
	return first
}

// joinedFromOutside is the caller from outside with whom an employee was joined
// who had been on the line before: he waited there for calls, as an agent of a
// queue may, or he was in a talk with a colleague, to whom the caller was then
// given. It is the caller's call. One in which an employee had called outside
// himself stays what it is.
func (s *story) joinedFromOutside(v *view) *leg {
	if v.originated || !v.first.calling || s.outside(v.first) {
		return nil
	}
	for _, l := range s.order {
		if l.real() && s.outside(l) {
			if l.calling {
				return l
			}
			return nil
		}
	}
	return nil
}

// originated: the PBX made the first leg by itself, or says that a program
// asked for it.
func (s *story) originated() bool {
	for _, e := range s.facts {
		if e.Kind == Originated {
			return true
		}
	}
	first := s.order[0]
	if half := s.legs[s.pairs[first.id]]; first.local && half != nil && half.madeByPBX {
		first = half
	}
	return first.madeByPBX && !first.calling
}

// lastMoment is when the last of the call's legs was gone, or now.
func (s *story) lastMoment() Moment {
	if s.now != 0 {
		return s.now
	}
	last := Moment(0)
	for _, l := range s.order {
		latest(&last, l.ended)
	}
	return last
}

// ending finds when the caller left: the far end's word if there is one, else
// the end of his channel.
func (s *story) ending(v *view) {
	v.end = v.caller.over()
	if v.end == 0 {
		v.end = s.lastMoment()
	}
	if v.end < v.start {
		v.end = v.start
	}
}

// passedOn: the answer of the phone reached the caller, and one of them hung up
// before the PBX had joined them: they were connected, however briefly.
func (s *story) passedOn(v *view) {
	if len(v.talks) > 0 || v.caller.answered == 0 {
		return
	}
	for _, l := range s.order {
		if !l.real() || l == v.caller || l.answered == 0 || l.calling || takenFrom(l) {
			continue
		}
		d := v.caller.answered.Sub(l.answered)
		if d < 0 || d > time.Second {
			continue
		}
		end := l.over()
		if o := v.caller.over(); o != 0 && (end == 0 || o < end) {
			end = o
		}
		s.because("answered_at", "the phone's answer was passed on to the caller, though no bridge was made", l.factOf(LegAnswered), v.caller.factOf(LegAnswered))
		v.talks = []stretch{{from: v.caller.answered, to: max(end, v.caller.answered), with: []LegID{l.id}}}
		return
	}
}

// takenFrom: another phone answered first, or the call was taken from this one.
func takenFrom(l *leg) bool {
	return l.cause != nil && (l.cause.Q850 == 26 || l.cause.Text == causeLoseRace || l.cause.Text == causePickedOff)
}

// consultation: an employee of this call called somebody beside it, from a
// second channel of his, or by a feature code, for which the PBX makes a Local
// channel that nobody dials, or a leg in the middle of his talk.
func (s *story) consultation(l *leg, v *view) bool {
	if s.elsewhere(l.id) {
		return false // an agent's on the line: a phone that answered at once
	}
	for _, t := range v.talks {
		if l.by != "" && t.from <= l.created && l.created < t.to && (l.by == v.caller.id || slices.Contains(t.with, l.by)) {
			return true
		}
	}
	for n := 0; l != nil && n < 20; n++ {
		if l.real() && l.calling {
			return l != v.first && !s.picked(l)
		}
		by := l.by
		if by == "" && l.local {
			pair := s.legs[s.pairs[l.id]]
			if l == s.order[0] || pair == s.order[0] || v.originated {
				return false
			}
			if pair == nil || pair.by == "" {
				return true
			}
			by = pair.by
		}
		l = s.legs[by]
	}
	return false
}

// picked: the leg came by itself to take this call, by pickup or from parking.
// FreeSWITCH has no event of a pickup; the phone that lost the call says so.
func (s *story) picked(l *leg) bool {
	for i := range s.facts {
		switch e := &s.facts[i]; {
		case e.Kind == PickedUp && e.Leg == l.id, e.Kind == Unparked && e.Peer == l.id:
			return true
		case e.Kind == LegEnded && e.Cause != nil && e.Cause.Text == causePickedOff:
			return l.calling && l.answered != 0 && e.At.Sub(l.answered).Abs() < time.Second
		}
	}
	return false
}

// The causes by which FreeSWITCH says that a phone's ringing ended because of
// another phone (switch_types.h, 702 and 805).
const (
	causeLoseRace  = "LOSE_RACE"
	causePickedOff = "PICKED_OFF"
)

// How FreeSWITCH says that it gave up ringing or waiting before its time: the
// phone's cause (switch_types.h, 487), and mod_callcenter's for its caller.
const (
	causeCancelled = "ORIGINATOR_CANCEL"
	queueBrokenOff = "BREAK_OUT"
)

func clip(in []stretch, from, to Moment) []stretch {
	var out []stretch
	for _, t := range in {
		t.from, t.to = max(t.from, from), min(t.to, to)
		if t.to > t.from || t.to == t.from && len(out) == 0 {
			out = append(out, t)
		}
	}
	return out
}

// ---- times

func ms(from, to Moment) int64 { return int64(to.Ms()-from.Ms()) / 1000 }

func ptr[T any](v T) *T { return &v }

func text(v string) *string {
	if v == "" {
		return nil
	}
	return &v
}

func (s *story) times(v *view, r *Record) {
	if v.start == s.order[0].created {
		s.because("started_at", "the call's first channel appeared", s.order[0].factOf(LegCreated, LegSeen))
	} else {
		s.because("started_at", "the caller came from outside; the employee was on the line before", v.first.factOf(LegCreated, LegSeen))
	}
	switch {
	case v.caller.hungUp != 0 && v.caller.hungUp == v.end:
		s.because("ended_at", "the far end of the caller's channel left", v.caller.factOf(LegHungUp, LegEnded))
	default:
		s.because("ended_at", "the caller's channel ended", v.caller.factOf(LegEnded, LegVanished))
	}
	if v.caller != v.first {
		s.because("ended_at", "the caller had given the call away: the party that stayed counts")
	}
	r.StartedAt, r.EndedAt = v.start.Ms(), v.end.Ms()
	r.TotalMs = ptr(ms(v.start, v.end))
	r.AnsweredAt = v.answer.Ms()
	until := v.end
	if v.answer != 0 {
		until = v.answer
		if n := v.talks[0].fact; n != 0 {
			s.because("answered_at", "the caller and a person were first in one talk", n)
		}
	}
	r.WaitMs = ptr(ms(v.start, until))
	if !v.originated && v.first.answered != 0 && (v.answer == 0 || v.first.answered < v.answer-Moment(50*time.Millisecond/time.Microsecond)) {
		r.PBXAnsweredAt = v.first.answered.Ms()
	}
	for _, l := range s.order {
		if l.real() && !l.calling && l.ringing != 0 && l.ringing <= v.end {
			earliest(&r.RingingAt, l.ringing.Ms())
		}
	}
	var talk, hold, ivr, queue int64
	for _, p := range s.timeline(v) {
		r.Timeline = append(r.Timeline, Span{Kind: p.kind, From: p.from.Ms(), To: p.to.Ms(), Party: text(p.party)})
		d := ms(p.from, p.to)
		switch p.kind {
		case "talk", "conference":
			talk += d
		case "hold":
			talk, hold = talk+d, hold+d
		case "ivr":
			ivr += ms(p.from, min(p.to, max(until, p.from)))
		case "queue":
			queue += ms(p.from, min(p.to, max(until, p.from)))
		}
	}
	for _, t := range v.talks {
		if t.fact != 0 {
			s.because("talk_ms", "from here the caller was connected with others than before", t.fact)
		}
		if t.held {
			s.because("hold_ms", "the other side was on hold, or consulted", t.fact)
		}
	}
	for i := range s.facts {
		if e := &s.facts[i]; e.Kind == Queued || e.Kind == Unqueued {
			s.because("queue_ms", "the caller entered or left a queue", e.N)
		}
	}
	r.TalkMs, r.HoldMs, r.IVRMs, r.QueueMs = &talk, &hold, &ivr, &queue
	r.TotalWaitMs = ptr(*r.TotalMs - talk)
	r.RingMs = s.ringing(v)
}

// ringing is ring_ms: of the phone that answered; else of all phones, each
// moment counted once.
func (s *story) ringing(v *view) *int64 {
	if v.winner != nil {
		w := v.winner
		if v.originated && w.created < v.caller.created {
			w = v.caller // the party called second
		}
		switch {
		case v.talks[0].conference || w.calling:
			s.because("ring_ms", "met in a conference or picked up: that phone did not ring")
			return ptr(int64(0))
		case w.ringing == 0 || w.ringing > v.answer:
			s.because("ring_ms", "the phone that answered never said that it rang")
			return nil
		}
		s.because("ring_ms", "the phone that answered, from its ringing to its answer", w.factOf(LegRinging), w.factOf(LegAnswered))
		return ptr(ms(w.ringing, max(w.ringing, min(v.answer, cmp.Or(w.answered, v.answer)))))
	}
	tried := v.tried
	if len(tried) == 0 && v.originated {
		tried = []*leg{v.first}
	}
	var rung []stretch
	for _, l := range tried {
		if l.ringing != 0 {
			rung = append(rung, stretch{from: l.ringing, to: min(v.end, cmp.Or(l.stopped(), v.end))})
		}
	}
	if len(rung) == 0 && len(tried) > 0 {
		return nil
	}
	slices.SortFunc(rung, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	sum, end := int64(0), Moment(0)
	for _, x := range rung {
		if x.from = max(x.from, end); x.to > x.from {
			sum += ms(x.from, x.to)
			end = x.to
		}
	}
	return &sum
}

// stopped is when a phone stopped ringing.
func (l *leg) stopped() Moment {
	if l.answered != 0 {
		return l.answered
	}
	return l.over()
}

// spans are the stretches in which the PBX itself had the caller, or in which
// phones were called for him.
func (s *story) spans(v *view) []span {
	var out []span
	open := map[string]*span{}
	begin := func(key, kind, party string, at Moment) {
		if open[key] == nil {
			open[key] = &span{kind: kind, from: at, party: party}
		}
	}
	end := func(key string, at Moment) {
		if p := open[key]; p != nil {
			p.to = at
			out = append(out, *p)
			delete(open, key)
		}
	}
	for i := range s.facts {
		e := &s.facts[i]
		l := string(e.Leg)
		switch e.Kind {
		case Queued:
			begin("queue "+l+" "+e.Queue, "queue", e.Queue, e.At)
		case LegSeen:
			if e.Queue != "" {
				begin("queue "+l+" "+e.Queue, "queue", e.Queue, e.At)
			}
			s.apps(e, begin, end)
		case Unqueued:
			end("queue "+l+" "+e.Queue, s.queueLeft(v, e))
		case Parked:
			begin("park "+l, "park", e.Number, e.At)
		case Unparked, ParkEnded:
			end("park "+l, e.At)
		case Executed:
			s.apps(e, begin, end)
		case Joined:
			if e.BridgeKind != BridgeHolding {
				end("app "+l, e.At)
				end("park "+l, e.At)
			}
		case Dialled:
			end("app "+l, e.At)
		case LegHungUp, LegEnded, LegVanished:
			if x := s.legs[e.Leg]; e.Kind == LegHungUp && (x.refused || x.local) {
				continue
			}
			for key := range open {
				if key == "park "+l || key == "app "+l || len(key) > 6+len(l) && key[:6+len(l)+1] == "queue "+l+" " {
					end(key, e.At)
				}
			}
		}
	}
	for key := range open {
		end(key, v.end)
	}
	for i := range out {
		if p := &out[i]; p.kind == "voicemail" && p.to.Sub(p.from) < momentary && p.to >= v.end.Add(-momentary) {
			// Only the leg's last event named the mailbox. It began when whatever
			// was before it was over.
			p.from = s.beforeMailbox(v, out)
		} else if before := s.beforeMailbox(v, out); p.kind == "voicemail" && (len(v.tried) > 0 || before > v.first.answered) && before < p.from && !s.played(span{from: before, to: p.from}) {
			p.from = before // FreeSWITCH names it when it begins to record: the greeting is the mailbox's
		}
	}
	for _, l := range s.order {
		if !l.real() || l.calling {
			continue
		}
		stop := cmp.Or(s.joined(v, l), v.end)
		party := s.who(l)
		if l.ringing != 0 && l.ringing < stop {
			out = append(out, span{"ring", l.ringing, stop, party})
		}
		if l != v.first || v.originated {
			out = append(out, span{"call", l.created, s.nextTalk(v, stop, l), party})
		}
	}
	slices.SortStableFunc(out, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	return out
}

// beforeMailbox is when the last queue, or the last phone, had given up.
func (s *story) beforeMailbox(v *view, spans []span) Moment {
	last := v.first.answered
	for _, p := range spans {
		if p.kind == "queue" && p.to < v.end {
			latest(&last, p.to)
		}
	}
	for _, l := range v.tried {
		if end := l.over(); end < v.end {
			latest(&last, end)
		}
	}
	return last
}

// joined is when the calling of a phone was over for the caller: it hung up, or
// what it answered had become a talk, or had not within a second.
func (s *story) joined(v *view, l *leg) Moment {
	if l.answered == 0 {
		return l.over()
	}
	for _, t := range v.talks {
		if slices.Contains(t.with, l.id) && t.from >= l.answered && t.from.Sub(l.answered) < time.Second {
			return t.from
		}
	}
	return l.answered
}

// nextTalk is until when the caller waits for a phone that has answered and is
// not joined with him yet, as while it hears an announcement or must confirm:
// until he talks with anybody, or the phone is gone.
func (s *story) nextTalk(v *view, answered Moment, l *leg) Moment {
	until := v.end
	if over := l.over(); over != 0 {
		until = min(until, max(over, answered))
	}
	for _, t := range v.talks {
		if t.from >= answered {
			until = min(until, t.from)
		}
	}
	return until
}

// queueLeft is when the wait in a queue is over. A member that has answered may be
// told something before he is joined with the caller, who goes on waiting.
func (s *story) queueLeft(v *view, left *Event) Moment {
	for _, l := range s.order {
		if over := l.over(); l.queue == left.Queue && l.answered != 0 && l.answered <= left.At && (over == 0 || over > left.At) {
			return s.nextTalk(v, left.At, l)
		}
	}
	return left.At
}

func (s *story) apps(e *Event, begin func(key, kind, party string, at Moment), end func(string, Moment)) {
	kind := map[AppKind]string{AppVoicemail: "voicemail", AppFax: "fax"}[e.App]
	key := "app " + string(e.Leg)
	if kind == "" {
		if e.Kind == Executed {
			end(key, e.At)
		}
		return
	}
	begin(key, kind, e.Data, e.At)
}

// rankOf says which of several meanings a moment has, the strongest first.
var rankOf = map[string]int{"talk": 9, "conference": 9, "hold": 9, "park": 8, "voicemail": 7, "fax": 7, "queue": 6, "ring": 5, "call": 4, "ivr": 2, "wait": 1}

// timeline tells the caller's time from start to end without a hole.
func (s *story) timeline(v *view) []span {
	all := append([]span{{kind: "wait", from: v.start, to: v.end}}, v.spans...)
	if v.first.answered != 0 && !v.originated {
		all = append(all, span{kind: "ivr", from: v.first.answered, to: v.end})
	}
	for _, t := range v.talks {
		kind := "talk"
		if t.conference {
			kind = "conference"
		}
		if t.held {
			kind = "hold"
		}
		all = append(all, span{kind: kind, from: t.from, to: t.to, party: s.who(s.legs[t.with[len(t.with)-1]])})
	}
	var cuts []Moment
	for i := range all {
		all[i].from, all[i].to = v.within(all[i].from).Ms(), v.within(all[i].to).Ms()
		cuts = append(cuts, all[i].from, all[i].to)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []span
	for i := 0; i+1 < len(cuts); i++ {
		a, b := cuts[i], cuts[i+1]
		best := span{}
		for _, p := range all {
			if p.from <= a && p.to >= b && rankOf[p.kind] > rankOf[best.kind] {
				best = p
			}
		}
		if best.kind == "call" {
			best.kind, best.party = "wait", ""
		}
		if n := len(out); n > 0 && out[n-1].kind == best.kind && out[n-1].party == best.party {
			out[n-1].to = b
			continue
		}
		out = append(out, span{best.kind, a, b, best.party})
	}
	if len(out) == 0 {
		out = append(out, span{"wait", v.start, v.end, ""})
	}
	// Picking up before a queue (Answer() waits for sound, half a second at the
	// most) or a mailbox (the dialplan pauses for a second) is no menu.
	pause := map[string]time.Duration{"queue": time.Second, "voicemail": 1500 * time.Millisecond}
	for i := 0; i+1 < len(out); i++ {
		if out[i].kind == "ivr" && out[i].to.Sub(out[i].from) < pause[out[i+1].kind] && !s.played(out[i]) {
			out[i].kind = "wait"
		}
	}
	return out
}

// within is m, or the end of the call that m lies beyond.
func (v *view) within(m Moment) Moment { return min(max(m, v.start), v.end) }

// played: something was played to the caller in that stretch.
func (s *story) played(p span) bool {
	return slices.ContainsFunc(s.facts, func(e Event) bool {
		return e.Kind == Executed && e.App == AppPlayback && e.At >= p.from && e.At < p.to
	})
}
