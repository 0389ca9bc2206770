package call

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// This file reads the rows of the PBX's own records into the facts that were not
// seen. What was seen always counts more: a row fills holes, and nothing else.
//
//	facts with rows ──▶ readReport ──▶ facts, the rows turned into what they add ──▶ tell
//
// Such records say less than they seem to (Asterisk's "answered" is the menu's
// answer as well), so a row that cannot tell when somebody answered leaves that
// open, and with it every duration that hangs on it (honest).

// report is what the rows among the facts of a call add.
type report struct {
	facts    []Event
	legs     map[LegID]bool // of the call, those only named in rows as well; true: it is up
	nameless map[LegID]bool // legs that no row is about
	met      map[LegID]bool // agents' on the line, who were seen to serve him
	started  map[LegID]bool // the start is from a row
	ended    map[LegID]bool // the end is from a row
	waited   bool           // in a queue, and nothing says since when
	unsure   bool           // somebody was spoken with, and nothing says since when
	whole    bool           // nothing at all was seen
	doubts   []string

	opts     Options
	first    Moment // the first leg that was seen to be made
	firstLeg LegID

	seen  map[LegID]*sight
	names map[string]LegID // by the name of the channel
	rows  []*Event
	added []Event
}

// sight is what was seen of a leg.
type sight struct {
	created, ended bool
	from           Moment // it was there at the latest
	listed         Moment // in a list of what is up: when it was made
	answered       Moment
	told           bool // that it was answered is from a row
	queued, paired bool
	ran            map[AppKind]bool
	last           Moment // the last that was seen of it
	joined         map[string]bool
	listedIn       map[string]bool
}

// readReport gives nil if there are no rows among the facts.
func readReport(o Options, facts []Event, live map[LegID]bool) *report {
	if !slices.ContainsFunc(facts, func(e Event) bool { return e.Kind == Reported }) {
		return nil
	}
	p := &report{opts: o, legs: maps.Clone(live), nameless: map[LegID]bool{}, met: map[LegID]bool{}, started: map[LegID]bool{}, ended: map[LegID]bool{}, whole: true,
		seen: map[LegID]*sight{}, names: map[string]LegID{}}
	if p.legs == nil {
		p.legs = map[LegID]bool{}
	}
	for i := range facts {
		p.look(&facts[i])
	}
	slices.SortStableFunc(p.rows, func(a, b *Event) int {
		// Rows of one channel are written in their order, but their moments are cut
		// to the second: what was written first stays first.
		return compareRows(a, b)
	})
	for _, row := range p.rows {
		if row.Channel != "" && p.names[row.Channel] == "" {
			p.names[row.Channel] = row.Leg
		}
		if row.Doubt != "" && !slices.Contains(p.doubts, row.Doubt) {
			p.doubts = append(p.doubts, row.Doubt)
		}
	}
	for _, row := range p.rows {
		if row.Result == "" {
			p.life(row)
		}
	}
	for i, row := range p.rows {
		if row.Result != "" {
			p.stretch(i, row)
		}
	}
	p.ends()
	p.facts = slices.DeleteFunc(slices.Clone(facts), func(e Event) bool { return e.Kind == Reported })
	for _, e := range p.added {
		at := slices.IndexFunc(p.facts, func(f Event) bool { return f.At > e.At })
		if at < 0 {
			at = len(p.facts)
		}
		p.facts = slices.Insert(p.facts, at, e)
	}
	return p
}

func (p *report) of(leg LegID) *sight {
	if p.seen[leg] == nil {
		p.seen[leg] = &sight{ran: map[AppKind]bool{}, joined: map[string]bool{}, listedIn: map[string]bool{}}
	}
	return p.seen[leg]
}

// look notes what a fact shows of its leg by itself.
func (p *report) look(e *Event) {
	switch e.Kind {
	case Reported:
		if e.History != nil && !slices.ContainsFunc(p.rows, func(r *Event) bool { return sameRow(r, e) }) {
			p.rows = append(p.rows, e)
		}
		return
	case LinkUp, LinkDown, LinkGap:
		return
	}
	p.whole = false
	if e.Leg == "" {
		return
	}
	l := p.of(e.Leg)
	if e.Channel != "" {
		p.names[e.Channel] = e.Leg
	}
	if e.Peer != "" && e.PeerChannel != "" {
		p.names[e.PeerChannel] = e.Peer
	}
	if e.Kind != LegVanished {
		latest(&l.last, e.At)
		earliest(&l.from, e.At)
	}
	switch e.Kind {
	case LegCreated:
		l.created, l.from = true, e.At
		if p.first == 0 || e.At < p.first {
			p.first, p.firstLeg = e.At, e.Leg
		}
	case LegSeen:
		l.listed = cmp.Or(e.From, e.At)
		if !l.created {
			earliest(&l.from, e.From)
		}
		if e.Bridge != "" {
			l.listedIn[e.Bridge] = true
		}
	case LegAnswered:
		earliest(&l.answered, e.At)
	case Joined:
		if e.State == StateUp {
			earliest(&l.answered, e.At)
		}
		if e.BridgeKind != BridgeHolding {
			l.joined[e.Bridge] = true
		}
	case Queued:
		l.queued = true
	case Executed:
		l.ran[e.App] = true
	case LegPaired:
		l.paired, p.of(e.Peer).paired = true, true
	case Met:
		if e.BridgeKind == BridgeTalk {
			p.met[e.Peer] = true
		}
	case LegEnded:
		l.ended = true
	}
}

// compareRows orders rows by when they begin; who called comes before who was
// called in the same instant, and an older id before a younger one.
func compareRows(a, b *Event) int {
	rank := func(e *Event) int {
		switch {
		case e.State == StateCalling:
			return 0
		case e.Originated:
			return 1
		}
		return 2
	}
	if a.Result != "" || b.Result != "" {
		return cmp.Or(cmp.Compare(a.History.Created, b.History.Created), compareIDs(string(a.Leg), string(b.Leg)))
	}
	return cmp.Or(cmp.Compare(a.History.Created, b.History.Created), rank(a)-rank(b), compareIDs(string(a.Leg), string(b.Leg)))
}

// sameRow: the same row, read a second time.
func sameRow(a, b *Event) bool {
	x, y := a.History, b.History
	return a.Leg == b.Leg && a.Peer == b.Peer && a.PeerChannel == b.PeerChannel && a.Result == b.Result && a.App == b.App && a.Data == b.Data &&
		x.Created == y.Created && x.Answered == y.Answered && x.HungUp == y.HungUp
}

// add puts in what a row says, at its moment.
func (p *report) add(row *Event, e Event) {
	e.N, e.Session = row.N, row.Session // Seen is when the row was read: nothing arrived then
	p.added = append(p.added, e)
}

// begin puts in a leg of whose creation nothing was seen. It says whether there
// was need to.
func (p *report) begin(row *Event, e Event) bool {
	l := p.of(e.Leg)
	if _, ours := p.legs[e.Leg]; !ours {
		p.legs[e.Leg] = false
	}
	if l.created || e.Leg == "" {
		return false
	}
	l.created = true
	p.started[e.Leg] = true
	e.Kind, e.At = LegCreated, max(e.At, l.listed)
	if later := p.nameless[e.Leg] || compareIDs(string(e.Leg), string(p.firstLeg)) > 0; later && e.At < p.first && p.first.Sub(e.At) < time.Second {
		e.At = p.first + 1 // a row has whole seconds, what was seen has not
	}
	earliest(&l.from, e.At)
	p.add(row, e)
	return true
}

// life is a row about the whole life of one leg: what its last event would have
// said, and what came before it.
func (p *report) life(row *Event) {
	h := row.History
	by, originated := row.Peer, row.Originated
	for _, r := range p.rows {
		if by == "" && row.State != StateCalling && r.State == StateCalling && r.History.Vars["last_bridge_to"] == string(row.Leg) {
			by, originated = r.Leg, false // its own row has forgotten for whom it was called
		}
	}
	p.begin(row, Event{Leg: row.Leg, Link: row.Link, Channel: row.Channel, Endpoint: row.Endpoint, Local: row.Local, Originated: originated, State: row.State,
		Number: row.Number, CallerName: row.CallerName, Dialled: row.Dialled, Context: row.Context, Account: row.Account, Peer: by,
		Connected: row.Connected, Queue: row.Queue, At: h.Created})
	if half := LegID(h.Vars["other_loopback_leg_uuid"]); half != "" && !p.of(half).paired {
		p.add(row, Event{Kind: LegPaired, Leg: row.Leg, Peer: half, At: h.Created})
	}
	if other := LegID(h.Vars["last_bridge_to"]); other != "" && row.PeerChannel != "" && row.App != AppAgent && !p.told(other) {
		// The PBX writes of this leg only: the other one is known by it. It may be an
		// agent's on the line, whose call is his own.
		p.other(row, other, cmp.Or(h.Bridged, h.Created))
		if h.Vars[VarQueueAgent] == string(other) {
			p.nameless[other] = true
		}
		if h.Bridged != 0 {
			p.add(row, Event{Kind: LegAnswered, Leg: other, At: h.Bridged})
		}
	}
	if p.of(row.Leg).ended || p.legs[row.Leg] {
		return
	}
	if h.Answered != 0 && p.of(row.Leg).answered == 0 {
		p.of(row.Leg).answered = h.Answered
		p.add(row, Event{Kind: LegAnswered, Leg: row.Leg, At: h.Answered})
	}
	if row.App == AppQueue && row.Data != "" && !p.of(row.Leg).queued {
		// Since when it waited is not written, only that it did.
		p.waited = true
		name, _, _ := strings.Cut(row.Data, " ")
		p.add(row, Event{Kind: Queued, Leg: row.Leg, Queue: name, At: cmp.Or(h.Answered, h.Created)})
	}
	if row.App != AppNone && row.App != AppPlayback {
		p.add(row, Event{Kind: Executed, Leg: row.Leg, App: row.App, Data: row.Data, File: row.File, At: cmp.Or(h.Answered, h.Created)})
	}
	if row.Transfer != nil {
		p.add(row, Event{Kind: Transferred, Leg: row.Leg, Peer: row.Transfer.Transferee, Transfer: row.Transfer, At: h.HungUp})
	}
	p.ended[row.Leg] = true
	p.of(row.Leg).ended = true
	p.add(row, Event{Kind: LegEnded, Leg: row.Leg, Peer: row.Peer, Channel: row.Channel, Endpoint: row.Endpoint, Local: row.Local,
		Cause: row.Cause, By: row.By, History: h, At: h.HungUp})
}

// told: something else tells of that leg.
func (p *report) told(leg LegID) bool {
	l := p.seen[leg]
	return l != nil && (l.created || l.listed != 0) || p.met[leg] || slices.ContainsFunc(p.rows, func(r *Event) bool { return r.Leg == leg })
}

// other puts in the leg at the other side of a row, which has none of its own.
func (p *report) other(row *Event, id LegID, at Moment) {
	name, local := endpointOf(row.PeerChannel)
	number := ""
	if row.PeerChannel == "" && (p.opts.Extensions.MatchString(row.Number) || p.opts.Extensions.MatchString(row.Connected)) {
		number = row.Connected // only the caller's numbers are written: an employee dialled this one's
	}
	at = max(at, p.of(row.Leg).from)
	if p.begin(row, Event{Leg: id, Channel: row.PeerChannel, Endpoint: name, Number: number, Local: local, State: StateDown, At: at}) {
		p.add(row, Event{Kind: Dialled, Leg: row.Leg, Peer: id, PeerChannel: row.PeerChannel, Number: row.Connected, At: at})
	}
}

// stretch is a row about a leg and whom it was connected with, or called, for a
// while; a leg may have several.
func (p *report) stretch(i int, row *Event) {
	h := row.History
	p.begin(row, Event{Leg: row.Leg, Link: row.Link, Channel: row.Channel, Endpoint: row.Endpoint, Local: row.Local, Originated: row.Originated,
		State: row.State, Number: row.Number, CallerName: row.CallerName, Dialled: row.Dialled, Context: row.Context, Account: row.Account, At: h.Created,
		Connected: p.shown(row)})
	a := p.of(row.Leg)
	if row.App == AppConference {
		p.conference(row)
		return
	}
	peer := p.peerOf(row)
	if peer != "" {
		called := h.Created
		if row.Originated && h.Answered != 0 {
			called = h.Answered // whom a program had called comes first
		}
		p.other(row, peer, called)
		p.pair(row, peer)
	}
	p.application(i, row, peer)
	talked := row.Result == "ANSWER" && peer != ""
	at, sure := p.answerOf(i, row, peer)
	if a.answered == 0 && h.Answered != 0 {
		a.answered, a.told = h.Answered, true
		p.add(row, Event{Kind: LegAnswered, Leg: row.Leg, At: h.Answered})
	}
	if peer == "" {
		return
	}
	if !talked {
		if p.of(peer).ended {
			return
		}
		p.add(row, Event{Kind: DialEnded, Leg: row.Leg, Peer: peer, Result: row.Result, At: h.HungUp})
		return
	}
	b := p.of(peer)
	for bridge := range a.joined {
		if b.joined[bridge] {
			return // that was seen
		}
	}
	bridge := "row " + string(min(row.Leg, peer)) + "+" + string(max(row.Leg, peer))
	for _, known := range slices.Sorted(maps.Keys(a.listedIn)) {
		if b.listedIn[known] {
			bridge = known
		}
	}
	if b.answered == 0 {
		b.answered, b.told = at, true
		p.add(row, Event{Kind: LegAnswered, Leg: peer, At: at})
	}
	p.unsure = p.unsure || !sure
	p.add(row, Event{Kind: Joined, Leg: peer, Peer: row.Leg, Bridge: bridge, At: at})
	p.add(row, Event{Kind: Joined, Leg: row.Leg, Peer: peer, Bridge: bridge, At: at})
	if !p.legs[row.Leg] && !p.legs[peer] && len(a.listedIn) == 0 {
		p.add(row, Event{Kind: Parted, Leg: row.Leg, Peer: peer, Bridge: bridge, At: max(h.HungUp, at)})
		p.add(row, Event{Kind: Parted, Leg: peer, Peer: row.Leg, Bridge: bridge, At: max(h.HungUp, at)})
	}
}

// conference is a row about two who were in one room. Of two, one has the row, and
// the other one's own ends too early; each is a call of its own.
func (p *report) conference(row *Event) {
	h := row.History
	a := p.of(row.Leg)
	if a.answered == 0 && h.Answered != 0 {
		a.answered, a.told = h.Answered, true
		p.add(row, Event{Kind: LegAnswered, Leg: row.Leg, At: h.Answered})
	}
	if len(a.joined) > 0 || len(a.listedIn) > 0 {
		return // that was seen
	}
	p.unsure = true
	if !slices.Contains(p.doubts, DoubtEndUnseen) {
		p.doubts = append(p.doubts, DoubtEndUnseen)
	}
	p.add(row, Event{Kind: Executed, Leg: row.Leg, App: AppConference, Data: row.Data, At: max(a.answered, h.Created)})
	if row.PeerChannel == "" || row.Result != "ANSWER" {
		return
	}
	name, local := endpointOf(row.PeerChannel)
	room := "room " + row.Data
	at := max(h.Created, h.Answered, a.answered).Add(time.Millisecond)
	p.add(row, Event{Kind: Joined, Leg: row.Leg, Bridge: room, BridgeKind: BridgeConference, At: at})
	p.add(row, Event{Kind: Met, Leg: row.Leg, Peer: LegID(row.PeerChannel), Bridge: room, BridgeKind: BridgeConference,
		Channel: row.PeerChannel, Endpoint: name, Local: local, At: at})
}

// shown is whom the phone of a leg that the PBX called was told of.
func (p *report) shown(row *Event) string {
	if row.State == StateDown && row.PeerChannel == "" {
		return row.Connected
	}
	return ""
}

// peerOf is the leg at the other side of a row: by its own id, by that of a leg
// with the channel's name, or, if nothing else tells of it, by the name alone.
func (p *report) peerOf(row *Event) LegID {
	switch {
	case row.Peer != "":
		return row.Peer
	case row.PeerChannel == "":
		return ""
	case p.names[row.PeerChannel] != "":
		return p.names[row.PeerChannel]
	}
	id := LegID(row.PeerChannel)
	p.names[row.PeerChannel] = id
	p.nameless[id] = true
	return id
}

// pair ties the halves of a Local channel: ";1" and ";2" of one name.
func (p *report) pair(row *Event, peer LegID) {
	for _, x := range []struct {
		name string
		leg  LegID
	}{{row.Channel, row.Leg}, {row.PeerChannel, peer}} {
		if name, ok := strings.CutSuffix(x.name, ";1"); ok {
			if half := p.names[name+";2"]; half != "" && !p.of(half).paired {
				p.add(row, Event{Kind: LegPaired, Leg: x.leg, Peer: half, At: row.History.Created})
			}
		}
	}
}

// instant is below what a record of whole seconds can tell apart.
const instant = 300 * time.Millisecond

// answerOf is when the other side of a row was first spoken with, and whether
// the row can know: only of a plain call to a leg that nothing had answered
// before. With a menu or a queue before it, "answered" is theirs.
func (p *report) answerOf(i int, row *Event, peer LegID) (at Moment, sure bool) {
	h := row.History
	a := p.of(row.Leg)
	if b := p.of(peer); peer != "" && b.answered != 0 && a.answered != 0 {
		return max(a.answered, b.answered), true
	}
	before := slices.ContainsFunc(p.rows[:i], func(r *Event) bool { return r.Leg == row.Leg && r.History.Answered != 0 })
	early := a.answered != 0 && a.answered < h.Answered.Add(-time.Second)
	if row.App == AppDial && !row.Originated && !before && !early && h.Answered.Sub(h.Created) > instant {
		return h.Answered, true
	}
	if h.Bridged != 0 {
		return h.Bridged, true
	}
	return max(h.Created, h.Answered, a.answered).Add(time.Millisecond), false // after the leg was called
}

// application puts in what the PBX itself did with the leg of a row.
func (p *report) application(i int, row *Event, peer LegID) {
	h := row.History
	at := cmp.Or(h.Answered, h.Created)
	seen := func(k Kind) bool {
		return slices.ContainsFunc(p.added, func(e Event) bool {
			return e.Kind == k && e.Leg == row.Leg && (k == Executed && e.App == row.App || k == Queued && e.Queue == row.Queue)
		})
	}
	switch row.App {
	case AppQueue:
		if row.Queue == "" || seen(Queued) || p.of(row.Leg).queued {
			return
		}
		p.add(row, Event{Kind: Queued, Leg: row.Leg, Queue: row.Queue, At: at})
		for _, r := range p.rows[i:] {
			if r.Leg == row.Leg && r.Queue != row.Queue { // the PBX went on with something else
				p.add(row, Event{Kind: Unqueued, Leg: row.Leg, Queue: row.Queue, At: max(at, r.History.Created)})
				break
			}
		}
	case AppVoicemail, AppMailbox, AppFax, AppSpy, AppPlayback:
		if !seen(Executed) && !p.of(row.Leg).ran[row.App] && (row.App != AppPlayback || peer == "") {
			p.add(row, Event{Kind: Executed, Leg: row.Leg, App: row.App, Data: row.Data, At: at})
		}
	}
}

// ends puts in the ends that were not seen, each where the last row about the
// leg ends; and that the caller left, if nothing else can have ended that row.
func (p *report) ends() {
	last := map[LegID]*Event{}  // the row with which a leg is over
	final := map[LegID]*Event{} // the last row of its own
	var order []LegID
	note := func(leg LegID, row *Event) {
		if leg == "" {
			return
		}
		if last[leg] == nil {
			order = append(order, leg)
		}
		if last[leg] == nil || row.History.HungUp >= last[leg].History.HungUp {
			last[leg] = row
		}
	}
	for _, row := range p.rows {
		if row.Result == "" {
			continue
		}
		note(row.Leg, row)
		if row.App != AppConference {
			note(p.peerOf(row), row)
		}
		final[row.Leg] = row
	}
	for _, row := range p.rows {
		// Legs of which only another leg's row tells end with it.
		if other := LegID(row.History.Vars["last_bridge_to"]); row.Result == "" && p.started[other] && !p.of(other).ended {
			note(other, row)
		}
	}
	for _, leg := range order {
		l, row := p.of(leg), last[leg]
		if l.ended || p.legs[leg] {
			continue
		}
		l.ended = true
		p.ended[leg] = true
		at := max(row.History.HungUp, l.last)
		if f := final[leg]; f != nil && f.callerLeft() {
			p.add(row, Event{Kind: LegHungUp, Leg: leg, At: at})
		}
		p.add(row, Event{Kind: LegEnded, Leg: leg, Cause: row.Cause, At: at})
	}
}

// callerLeft: the leg's last row ended before anybody answered, and before the
// time limit of what the PBX was doing for it, and nothing was refused.
func (e *Event) callerLeft() bool {
	h := e.History
	switch {
	case e.PeerChannel == "" && e.Peer == "":
		return e.By == EndedByFarEnd
	case e.Result != "NOANSWER" || e.App != AppDial && e.App != AppQueue:
		return false
	}
	limit := time.Duration(e.DurationMs) * time.Millisecond
	return limit == 0 || h.HungUp.Sub(h.Created) < limit-time.Second
}

// refusal is how a call ended of which no called leg is known, if a row says so.
func (p *report) refusal() string {
	if p == nil {
		return ""
	}
	return map[string]string{"BUSY": StatusBusy, "NOANSWER": StatusNoAnswer}[p.rows[len(p.rows)-1].Result]
}

// endpointOf takes the name of a channel apart as connectors do, for one of
// which only the name is known.
func endpointOf(channel string) (name string, local bool) {
	tech, rest, ok := strings.Cut(channel, "/")
	if !ok {
		return channel, false
	}
	local = strings.EqualFold(tech, "local") || tech == "loopback"
	if tech == "sofia" { // sofia/profile/user@host
		profile, address, ok := strings.Cut(rest, "/")
		if !ok || profile == "external" {
			return profile, false
		}
		address, _, _ = strings.Cut(address, "@")
		return strings.TrimPrefix(address, "sip:"), false
	}
	rest, _, _ = strings.Cut(rest, ";")
	if i := strings.LastIndexByte(rest, '-'); i > 0 {
		rest = rest[:i]
	}
	return rest, local
}

// honest takes out of a record what the PBX's own records cannot know, and says
// what is theirs.
func (s *story) honest(v *view, r *Record) {
	p := s.report
	if p == nil || len(p.added) == 0 {
		return // the rows say nothing that was not seen
	}
	instead := func(was, is string) {
		r.Doubts = slices.DeleteFunc(r.Doubts, func(d string) bool { return d == was || d == is })
		r.Doubts = append(r.Doubts, is)
	}
	switch {
	case p.whole:
		r.Quality, r.Doubts = QualityBackfilled, []string{}
	default:
		r.Quality = QualityPartial
		if p.started[v.first.id] {
			instead(DoubtStartUnseen, DoubtStartReported)
		}
		if p.ended[v.caller.id] {
			instead(DoubtEndUnseen, DoubtEndReported)
		}
	}
	for _, d := range p.doubts {
		instead(d, d)
	}
	if p.whole && value(r.HoldMs) == 0 {
		r.HoldMs = nil // consultations are not written of
	}
	coarse := slices.ContainsFunc(p.rows, func(e *Event) bool { return e.Result != "" })
	if coarse && p.ended[v.caller.id] {
		switch r.Status {
		case StatusAnswered, StatusVoicemail, StatusFax, StatusSelfService:
			r.EndedBy = nil
		}
	}
	if to := value(r.To.Number); coarse && p.started[v.first.id] && v.inbound && (len(to) < 3 || s.opts.Extensions.MatchString(to)) {
		// A menu, a queue or a transfer writes over what the caller had dialled.
		r.To, r.Line = Party{}, nil
	}
	if coarse {
		for i := range r.Legs {
			if p.started[s.legID(&r.Legs[i])] {
				r.Legs[i].RingMs = nil
			}
		}
		// Nothing is written of ringing and of holds, and in a gap of queues.
		if w := v.winner; w == nil && len(v.tried) > 0 || w != nil && (p.started[w.id] || p.of(w.id).told) {
			r.RingMs = nil
		}
		r.HoldMs = nil
		if !p.whole {
			r.IVRMs, r.QueueMs = nil, nil
		}
		s.because("quality", "from the PBX's own records, which tell no more than this", p.rows[0].N)
	}
	if p.waited || p.started[v.first.id] && r.PBXAnsweredAt != 0 {
		r.IVRMs, r.QueueMs = nil, nil
	}
	if p.unsure && v.answer != 0 {
		instead(DoubtAnswerUnknown, DoubtAnswerUnknown)
		r.AnsweredAt, r.WaitMs, r.TotalWaitMs, r.IVRMs, r.QueueMs, r.RingMs, r.TalkMs, r.HoldMs = 0, nil, nil, nil, nil, nil, nil, nil
		r.Timeline = []Span{}
		for i := range r.Legs {
			r.Legs[i].TalkMs = nil
			if id := s.legID(&r.Legs[i]); id != v.first.id && p.started[id] {
				r.Legs[i].AnsweredAt = 0 // the first leg's is that of the PBX itself
			}
		}
	}
	slices.Sort(r.Doubts)
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// legID finds the leg that a record's leg was made of.
func (s *story) legID(x *Leg) LegID {
	for _, l := range s.order {
		if l.channel == x.Channel && l.created.Ms() == x.StartedAt {
			return l.id
		}
	}
	return ""
}
