package call

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// leg is what the facts of a call say of one channel.
type leg struct {
	id                LegID
	channel, endpoint string
	local             bool   // the PBX's own: a half of a Local channel
	calling           bool   // its far end called the PBX
	madeByPBX         bool   // nobody asked for it: an Originate
	number            string // of the party at this leg, as at its creation
	numbered          string // the last number that it got afterwards
	name              string
	dialled           string // what its far end dialled
	account           string
	target            string // the number in the Dial that made it
	by                LegID  // the leg for which it was made
	queue             string // the queue that called it

	created, ringing, progress, answered, hungUp, gone, ended Moment

	facts map[Kind]uint64 // the first fact of each kind about it, by its number

	refused   bool   // the end was asked for by the PBX's refusal, not by the far end
	cause     *Cause // of its end
	result    string // of the Dial, in the PBX's words
	forward   string // it sent the call on to this number
	moved     string // and goes on there itself
	connected string // the number that its phone showed
	history   *LegHistory

	unseen   bool   // its creation was not seen
	vanished string // its end was not seen: why
	oddity   string // a fact about it is missing, as another one shows
}

// story is a call told leg by leg: the first step from facts to a record.
type story struct {
	opts    Options
	facts   []Event
	legs    map[LegID]*leg
	order   []*leg // as they appeared
	pairs   map[LegID]LegID
	waiting map[LegID]string // the queue that a leg waits in, while the facts are read
	why     []Reason
	ours    map[LegID]bool
	now     Moment  // the moment of a live view; zero for a call that is over
	report  *report // what the PBX's own records add; nil: there are none
}

// tell reads the facts into legs. Every fact counts by its own stamp; the order
// in which a PBX writes about different legs proves nothing.
func tell(o Options, c *held, now Moment) *story {
	facts, ours := dropOvertaking(c.facts), c.live
	rep := readReport(o, facts, ours)
	if rep != nil {
		facts, ours = rep.facts, rep.legs
	}
	s := &story{opts: o, facts: facts, ours: ours, report: rep, legs: map[LegID]*leg{}, pairs: map[LegID]LegID{}, waiting: map[LegID]string{}, now: now}
	for i := range facts {
		s.read(&facts[i])
	}
	for _, l := range s.order {
		s.heal(l)
	}
	for _, l := range s.order {
		s.rejoin(l)
		s.hold(l)
	}
	// FreeSWITCH gives a leg and those that it called at once the same stamp, and a
	// list may have shown one of these first.
	slices.SortStableFunc(s.order, func(a, b *leg) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(s.generation(a), s.generation(b)))
	})
	return s
}

// generation is how many legs stand between a leg and the one for which it was
// made in the end: 0 for a leg that nobody asked for.
func (s *story) generation(l *leg) (n int) {
	for n < len(s.order) && s.legs[l.by] != nil {
		l = s.legs[l.by]
		n++
	}
	return n
}

// dropOvertaking leaves out what came of a list about legs whose events followed
// it from their creation on: the list overtook them, and they tell all of it again,
// in its order and with its times.
func dropOvertaking(facts []Event) []Event {
	var listed, behind map[LegID]bool
	for i := range facts {
		switch e := &facts[i]; {
		case e.Kind == LegSeen:
			if listed == nil {
				listed, behind = map[LegID]bool{}, map[LegID]bool{}
			}
			listed[e.Leg] = true
		case e.Kind == LegCreated && listed[e.Leg]:
			behind[e.Leg] = true
		}
	}
	if len(behind) == 0 {
		return facts
	}
	created := map[LegID]bool{}
	return slices.DeleteFunc(slices.Clone(facts), func(e Event) bool {
		switch e.Kind {
		case LegCreated:
			created[e.Leg] = true
		case LinkDown, LinkGap, Reported: // the call's, not the leg's
			return false
		}
		return behind[e.Leg] && !created[e.Leg]
	})
}

// leg finds or begins the story of a leg. A fact may name a leg that is not of
// this call; what it says of that one is told nowhere.
func (s *story) leg(id LegID) *leg {
	l := s.legs[id]
	if l == nil {
		l = &leg{id: id, unseen: true, facts: map[Kind]uint64{}}
		if _, ours := s.ours[id]; !ours {
			return l
		}
		s.legs[id] = l
		s.order = append(s.order, l)
	}
	return l
}

// earliest and latest keep the first and the last of two known moments.
func earliest(m *Moment, at Moment) {
	if *m == 0 || at != 0 && at < *m {
		*m = at
	}
}

func latest(m *Moment, at Moment) {
	if at > *m {
		*m = at
	}
}

func (s *story) read(e *Event) {
	switch e.Kind {
	case BridgeMerged, LinkDown, LinkGap, Reported:
		return
	case Met, MetLeft:
		if e.BridgeKind == BridgeTalk {
			s.agent(e)
		}
		return
	case LegAlias:
		s.legs[e.Leg] = s.leg(e.Peer)
		return
	case Dialled:
		p := s.leg(e.Peer)
		s.describe(p, e.PeerChannel)
		earliest(&p.created, e.At)
		if p.target == "" {
			p.target = e.Number
		}
		if e.Leg == "" {
			return
		}
		if p.by == "" {
			p.by = e.Leg
		}
		if q := s.waiting[e.Leg]; q != "" {
			p.queue = q
		}
	case DialEnded:
		p := s.leg(e.Peer)
		p.result = e.Result
		if e.Number != "" {
			p.forward = e.Number
		}
		if e.Leg == "" {
			return
		}
	case QueueOffered, QueueMember:
		if e.Peer != "" {
			s.leg(e.Peer).queue = e.Queue
		}
	case Queued:
		s.waiting[e.Leg] = e.Queue
	case Unqueued:
		delete(s.waiting, e.Leg)
	case LegPaired:
		s.pairs[e.Leg], s.pairs[e.Peer] = e.Peer, e.Leg
		s.leg(e.Leg).local, s.leg(e.Peer).local = true, true
	case Unparked, PickedUp:
		s.leg(e.Peer)
	}
	if e.Leg == "" {
		return
	}
	l := s.leg(e.Leg)
	if _, known := l.facts[e.Kind]; !known {
		l.facts[e.Kind] = e.N
	}
	s.snapshotOf(l, e)
	switch e.Kind {
	case LegCreated, LegSeen:
		if e.Kind == LegCreated {
			l.unseen, l.created, l.calling = false, e.At, false
		} else if l.unseen && e.From != 0 {
			earliest(&l.created, e.From) // to the second, and only because nothing better is known
		}
		// In a list the first channel of a call is known by its linked id; what it
		// went through before is not.
		first := e.Kind == LegSeen && l.unseen && e.Link == string(e.Leg) && !e.Originated
		l.calling = l.calling || e.Peer == "" && (e.State == StateCalling || first)
		l.madeByPBX = l.madeByPBX || e.Originated
		if l.by == "" {
			l.by = e.Peer
		}
		if e.Queue != "" && e.Kind == LegCreated {
			l.queue = e.Queue
		}
		switch e.State {
		case StateUp:
			earliest(&l.answered, e.At)
		case StateRinging:
			earliest(&l.ringing, e.At)
		}
	case LegNamed:
		l.channel, l.endpoint = e.Channel, e.Endpoint
	case LegNumbered:
		l.numbered = e.Number
	case Forwarded:
		l.moved = e.Number
	case Joined:
		if e.State == StateUp {
			earliest(&l.answered, e.At)
		}
	case LegAccount:
		l.account = e.Account
	case LegRinging:
		earliest(&l.ringing, e.At)
	case LegProgress:
		earliest(&l.progress, e.At)
	case LegAnswered:
		earliest(&l.answered, e.At)
	case LegHungUp:
		s.hungUp(l, e)
	case LegGone:
		earliest(&l.gone, e.At)
	case LegEnded:
		at := e.At
		if l.gone != 0 {
			at = min(at, l.gone)
		}
		if l.ended == 0 || l.vanished != "" {
			l.ended, l.vanished = at, ""
		}
		l.cause = e.Cause
		if l.unseen { // the last event of a leg may tell what its first would have
			l.calling = l.calling || e.Peer == "" && e.State == StateCalling
			l.madeByPBX = l.madeByPBX || e.Originated
		}
		if e.History != nil {
			l.history = e.History
		}
		if l.by == "" {
			l.by = e.Peer
		}
		if e.By == EndedByFarEnd {
			earliest(&l.hungUp, at)
		}
	case LegVanished:
		if l.ended == 0 {
			l.ended, l.vanished = e.At, e.Data
		}
	}
}

// elsewhere: the leg is of another call, whose party this one met: an agent on the
// line, or somebody in a conference.
func (s *story) elsewhere(id LegID) bool {
	_, ours := s.ours[id]
	return !ours
}

// agent is the leg of an agent on the line, for as long as he serves this call:
// as of a phone that answered at once.
func (s *story) agent(e *Event) {
	l := s.legs[e.Peer]
	if l == nil {
		l = &leg{id: e.Peer, channel: e.Channel, endpoint: e.Endpoint, number: e.Number, local: e.Local, by: e.Leg, created: e.At, answered: e.At, facts: map[Kind]uint64{Met: e.N}}
		s.legs[e.Peer] = l
		s.order = append(s.order, l)
	}
	if l.queue == "" {
		l.queue = s.waiting[e.Leg]
	}
	l.ended = 0
	if e.Kind == MetLeft {
		l.ended = e.At
	}
	if e.By == EndedByFarEnd {
		l.hungUp = e.At
	}
}

// hungUp decides whether the far end really left. Asterisk also says so when it
// plays busy or congestion itself (the channel is then in state Busy), and when
// a refusal of the callee is passed back to a caller that was never answered.
func (s *story) hungUp(l *leg, e *Event) {
	if l.local {
		return
	}
	if e.State == StateBusy || l.answered == 0 && e.Cause != nil && e.Cause.SIP >= 300 && e.Cause.SIP != 487 {
		l.refused = true
		return
	}
	earliest(&l.hungUp, e.At)
}

// snapshotOf keeps what the fact shows of its leg, where nothing is known yet.
func (s *story) snapshotOf(l *leg, e *Event) {
	if l.created == 0 {
		l.created = e.At
	}
	if l.channel == "" && e.Channel != "" {
		l.channel, l.endpoint, l.local = e.Channel, e.Endpoint, l.local || e.Local
		l.number, l.name, l.dialled, l.account, l.connected = e.Number, e.CallerName, e.Dialled, e.Account, e.Connected
	}
}

func (s *story) describe(l *leg, channel string) {
	if l.channel == "" && channel != "" {
		l.channel = channel
		l.endpoint = channel
		if _, rest, ok := strings.Cut(channel, "/"); ok {
			l.endpoint = rest
			if i := strings.LastIndexByte(rest, '-'); i > 0 {
				l.endpoint = rest[:i]
			}
		}
	}
}

// heal takes from the history that a leg's last event carries what no fact has
// shown, or only a list: when it was made, rang and was answered.
func (s *story) heal(l *leg) {
	h := l.history
	if h == nil {
		return
	}
	for _, p := range []struct {
		have *Moment
		told Moment
	}{{&l.created, h.Created}, {&l.ringing, h.Progress}, {&l.progress, h.ProgressMedia}, {&l.answered, h.Answered}} {
		if p.told != 0 {
			*p.have = p.told
		}
	}
	if h.Created != 0 {
		if l.unseen && l.factOf(LegSeen) == 0 {
			l.oddity = "its creation was not seen"
		}
		l.unseen = false
	}
}

// rejoin puts in the bridge that no fact told of, though the history of a leg in
// it does: FreeSWITCH says when a leg was last bridged, and with whom.
func (s *story) rejoin(l *leg) {
	if l.history == nil || l.history.Bridged == 0 {
		return
	}
	other := s.legs[LegID(l.history.Vars["last_bridge_to"])]
	if other == nil || other == l {
		return
	}
	if slices.ContainsFunc(s.facts, func(e Event) bool { return e.Kind == Joined && e.Leg == l.id && e.Peer == other.id }) {
		return
	}
	l.oddity = "it was bridged with " + string(other.id) + ", and no event told of it"
	at := l.history.Bridged
	id := string(min(l.id, other.id)) + "+" + string(max(l.id, other.id))
	s.insert(Event{At: at, Kind: Joined, Leg: l.id, Peer: other.id, Bridge: id})
	s.insert(Event{At: at, Kind: Joined, Leg: other.id, Peer: l.id, Bridge: id})
}

// hold takes from a leg's history (FreeSWITCH's hold_events: "{{from,to},{...}}",
// in microseconds) when it had the other side wait, if no fact has said so: with
// bypassed media there is none.
func (s *story) hold(l *leg) {
	if l.history == nil || l.factOf(Held) != 0 {
		return
	}
	told := strings.FieldsFunc(l.history.Vars["hold_events"], func(r rune) bool { return r < '0' || r > '9' })
	for i := 0; i+1 < len(told); i += 2 {
		for j, k := range []Kind{Held, Resumed} {
			us, err := strconv.ParseInt(told[i+j], 10, 64)
			if at := Moment(us); err == nil && at >= l.created && at <= l.ended {
				s.insert(Event{Kind: k, Leg: l.id, At: at})
			}
		}
	}
}

// insert puts what a history tells among the facts, before the first that is
// later. The facts are the call's own: what is put in is this telling's alone.
func (s *story) insert(e Event) {
	i := slices.IndexFunc(s.facts, func(f Event) bool { return f.At > e.At })
	if i < 0 {
		i = len(s.facts)
	}
	s.facts = slices.Insert(slices.Clone(s.facts), i, e)
}

// ---- what a leg is

// real: somebody is at its far end, an employee or the outside.
func (l *leg) real() bool { return !l.local }

// over is when the leg is gone for everybody: its far end left, or it ended.
func (l *leg) over() Moment {
	if l.hungUp != 0 && (l.ended == 0 || l.hungUp < l.ended) {
		return l.hungUp
	}
	return l.ended
}

// up says whether the leg was answered at the moment: a bridge alone may be
// early media.
func (l *leg) up(at Moment) bool { return l.answered != 0 && l.answered <= at }

// trunk says whether the channel's name is one of the configured trunks.
func (s *story) trunk(l *leg) bool {
	for _, p := range s.opts.Trunks {
		if glob(p, l.channel) {
			return true
		}
	}
	return false
}

// extension is the employee's number at this leg; "" if it leads outside.
func (s *story) extension(l *leg) string {
	if l.local || s.trunk(l) {
		return ""
	}
	for _, n := range []string{l.endpoint, l.number} {
		if s.opts.Extensions.MatchString(n) {
			return n
		}
	}
	return ""
}

func (s *story) outside(l *leg) bool { return l.real() && s.extension(l) == "" }

// who is the number by which the party at a leg is known: an extension, or the
// outside number that called or was called.
func (s *story) who(l *leg) string {
	if l.moved != "" {
		return l.moved
	}
	if x := s.extension(l); x != "" {
		return x
	}
	if l.calling {
		return l.number
	}
	if l.target != "" && l.target != l.endpoint {
		return l.target
	}
	if l.number != "" {
		return l.number
	}
	return l.numbered
}

// glob matches a pattern in which * stands for anything, ? for one character.
func glob(pattern, s string) bool {
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == '*' {
		i++
	}
	return i == len(pattern)
}

// because notes why a field is what it is: the rule, and the facts it rests on.
func (s *story) because(field, rule string, facts ...uint64) {
	facts = slices.DeleteFunc(facts, func(n uint64) bool { return n == 0 })
	s.why = append(s.why, Reason{Field: field, Rule: rule, Facts: facts})
}

// factOf is the number of the first fact about a leg of the first kind that
// came; 0 if none did.
func (l *leg) factOf(kinds ...Kind) uint64 {
	for _, k := range kinds {
		if n := l.facts[k]; n != 0 {
			return n
		}
	}
	return 0
}
