package call

import (
	"bytes"
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Options is what a Tracker must know of its PBX.
type Options struct {
	Agent, PBX, PBXKind string
	// Trunks are patterns (path.Match) of channel names that lead outside.
	// Empty: found out from the legs themselves.
	Trunks []string
	// Extensions says what an employee's number looks like. Nil: ^\d{2,5}$.
	Extensions *regexp.Regexp
}

const (
	// Linger is how long a recorded call still takes facts in. What comes later
	// (a mailbox's light, the answer to an Originate) makes a new revision.
	Linger = 15 * time.Second
	// maxFacts bounds what one call may hold in memory. A conference of a day
	// has a few thousand; what exceeds it is a doubt, not a loss of the call.
	maxFacts = 20000
)

// Tracker turns the facts of one PBX into records. It has no clock, no I/O and
// no goroutine: the same facts in give the same changes out. It is not safe
// for use by several goroutines at once.
//
// It does little itself. It finds the call that a fact belongs to, keeps the
// fact there, and when the last leg has ended asks conclude what the facts
// mean. Its whole state is therefore the facts of the calls that are still
// held, and giving these back (Restore) gives the state back.
type Tracker struct {
	opts Options

	n     uint64             // number of the last fact kept
	ahead time.Duration      // the most that a stamp of this link was ahead of its arrival; zero: not known
	legs  map[LegID]*held    // every leg of every call held
	links map[string]*held   // linked id, as given to a leg at its creation
	rooms map[string]*room   // bridges of either kind, by id
	in    map[LegID][]string // the bridges that a leg is in
	calls map[*held]struct{}
	ended []*held // recorded calls, oldest first, until their Linger is over
	blind Moment  // since when the link is down; zero while it is up
	why   string  // and why

	touched map[*held]struct{} // nil: nobody watches

	restoring bool
	out       []Change
}

// held is a call that the Tracker still holds: the facts, and just enough beside
// them to see its end.
type held struct {
	id      string
	facts   []Event
	live    map[LegID]bool // its legs; false once ended
	links   []string       // linked ids under which a leg finds it
	up      int            // how many of them live
	rev     uint64
	told    int // how many of the facts the last published record rests on
	endedAt Moment
	gave    map[string]LegID // who gave the call away by feature code, and the leg that he left waiting
	agent   LegID            // its only leg that is up, an agent's who waits on the line for callers
	served  served           // whom the agent was joined with last
}

// served is a leg of another call that an agent's leg was joined with.
type served struct {
	leg    LegID
	bridge string
	left   Moment // zero: he still is
}

// room is a bridge with the legs in it.
type room struct {
	kind BridgeKind
	legs []LegID
}

// New gives a Tracker that knows of no calls.
func New(o Options) *Tracker {
	if o.Extensions == nil {
		o.Extensions = regexp.MustCompile(`^\d{2,5}$`)
	}
	return &Tracker{opts: o, legs: map[LegID]*held{}, links: map[string]*held{}, rooms: map[string]*room{}, in: map[LegID][]string{}, calls: map[*held]struct{}{}}
}

// Restore gives the Tracker back the facts that were kept for open calls, in
// the order of their N, as the store has them, and how far the PBX's clock was
// ahead of ours, as Ahead said, if that is known. It must come before any Apply.
func (t *Tracker) Restore(facts []Event, ahead time.Duration) {
	t.restoring = true
	var rows []Event // only together may they show what call they are of
	for i, e := range facts {
		if e.Kind != Reported {
			t.n = e.N - 1
			t.take(e)
			continue
		}
		rows = append(rows, e)
		if i+1 == len(facts) || facts[i+1].Kind != Reported {
			t.reported(rows)
			t.n = e.N
		}
	}
	t.restoring = false
	t.out = nil
	t.ahead = ahead
}

// Ahead is the most that a stamp of this link was ahead of its arrival: by how much
// the PBX's clock is ahead of ours, if nothing is late. Zero: not known.
func (t *Tracker) Ahead() time.Duration { return t.ahead }

// Apply takes one fact in and says what follows from it.
func (t *Tracker) Apply(e Event) []Change {
	t.out = nil
	switch e.Kind {
	case LinkUp:
		t.ahead = e.At.Sub(e.Seen)
		t.linkUp(e)
	case LinkDown:
		t.linkDown(e)
	case LinkGap:
		t.gap(e.From, e.At, e.Data)
		t.tellAll(e, LinkGap)
	case PBXStarted:
		t.vanish(e, DoubtPBXRestarted, func(LegID) bool { return true })
	case Snapshot:
		t.snapshot(e)
	case Ticked:
	case Unexplained:
		t.anomaly(e, e.Data)
	case Reported:
		t.reported([]Event{e})
	default:
		t.follow(&e)
		t.take(e)
	}
	t.forget(e.Seen)
	return t.out
}

// Open is how many calls are in progress.
func (t *Tracker) Open() (n int) {
	for c := range t.calls {
		if c.up > 0 {
			n++
		}
	}
	return n
}

// Live gives the calls in progress as they look at now, oldest first.
func (t *Tracker) Live(now Moment) []Record {
	var out []Record
	for c := range t.calls {
		if c.up > 0 {
			if r, _ := conclude(t.opts, c, now); r != nil {
				out = append(out, *r)
			}
		}
	}
	sortCalls(out, func(r Record) *Record { return &r })
	return out
}

// sortCalls puts the oldest first.
func sortCalls[T any](list []T, record func(T) *Record) {
	slices.SortFunc(list, func(x, y T) int {
		a, b := record(x), record(y)
		return cmp.Or(cmp.Compare(a.StartedAt, b.StartedAt), strings.Compare(a.ID, b.ID))
	})
}

// take finds the call of a fact about a leg, ties calls together where the fact
// says that they are one, keeps the fact, and records the call when it is over.
func (t *Tracker) take(e Event) {
	c := t.callOf(e)
	if c == nil {
		t.anomaly(e, "a fact about no known leg")
		return
	}
	t.stands(c, &e)
	c = t.onBehalf(c, &e)
	for _, leg := range tied(e) {
		if other := t.legs[leg]; other != nil {
			if !t.apart(&e, c, other) {
				c = t.merge(c, other)
			}
		} else if e.Kind == Transferred && c.agent == "" {
			t.name(c, leg) // it is told when it is over: the leg may have ended unseen
		} else if provesLife[e.Kind] && c.agent == "" {
			t.adopt(c, leg)
		}
	}
	if other := t.sentOn(e); other != nil {
		c = t.merge(c, other)
	}
	if other := t.raced(e, c); other != nil {
		c = t.merge(c, other)
	}
	c, entered := t.enterRooms(c, &e)
	t.keep(c, e)
	switch e.Kind {
	case LegEnded, LegVanished:
		if c.live[e.Leg] {
			c.live[e.Leg] = false
			c.up--
		}
	case LegAlias:
		if c.live[e.Peer] {
			c.live[e.Peer] = false
			c.up--
		}
	case Transferred:
		if x := e.Transfer; x.Type == TransferAttended && !x.External {
			if c.gave == nil {
				c.gave = map[string]LegID{}
			}
			c.gave[e.Endpoint] = x.Transferee
		}
	}
	if c.up == 0 {
		t.record(c, e.Seen)
	}
	// What others are told of it are facts that a restored Tracker takes in later.
	if entered {
		t.meet(c, &e)
	}
	t.agentLeft(c, &e)
}

// callOf is the call a fact belongs to. A leg that is not known yet is taken in
// by facts that prove that it lives; its call is that of its linked id as given
// at creation, of the leg that made it, or a new one.
func (t *Tracker) callOf(e Event) *held {
	leg := e.Leg
	if leg == "" {
		leg = e.Peer
	}
	if leg == "" {
		if r := t.rooms[e.Bridge]; r != nil && len(r.legs) > 0 {
			return t.legs[r.legs[0]]
		}
		return nil
	}
	if e.Kind == LegAlias {
		c := t.legs[e.Peer]
		if c != nil && t.legs[e.Leg] == nil {
			t.adopt(c, e.Leg)
		} else if c != nil {
			c = t.merge(c, t.legs[e.Leg])
		}
		return c
	}
	if c := t.legs[leg]; c != nil {
		if e.Kind == LegCreated && e.Peer != "" && t.legs[e.Peer] != nil {
			c = t.merge(c, t.legs[e.Peer])
		}
		if e.Kind == LegSeen && !c.live[leg] {
			t.adopt(c, leg) // as the list did (snapshot), before the restart
		}
		return c
	}
	if !provesLife[e.Kind] && e.History == nil {
		return nil
	}
	link, of := e.Link, e.Peer
	if leg != e.Leg {
		link, of = e.PeerLink, ""
	}
	c := t.legs[of]
	if caller := t.servedBy(c); caller != nil && of == c.agent {
		c, link = caller, "" // he consults somebody for his caller
	}
	if c == nil && of != "" {
		link = string(of) // who asked for it will come by that name
	}
	if c == nil && link != "" {
		if c = t.links[link]; c == nil {
			c = t.legs[LegID(link)]
		}
		if c != nil && c.agent != "" {
			c, link = nil, "" // Asterisk gives callers the agent's, which is older
		}
	}
	if c == nil {
		c = t.links[string(leg)] // a call that was named after this leg before it was seen
	}
	if c == nil {
		c = t.recalling(e)
	}
	if c == nil {
		c = t.hunting(e)
	}
	if c == nil {
		if !t.restoring && !provesLife[e.Kind] && e.Seen.Add(t.ahead) > e.At.Add(Linger) {
			return nil // its call is over and was recorded
		}
		id := string(leg)
		if link != "" {
			id = link // the first channel of the call, though it was never seen
		}
		c = &held{id: t.opts.PBX + ":" + id, live: map[LegID]bool{}}
		t.calls[c] = struct{}{}
	}
	t.adopt(c, leg)
	if link != "" && t.links[link] == nil {
		t.links[link] = c
		c.links = append(c.links, link)
	}
	return c
}

// provesLife are the kinds of fact that only a living leg can cause. Others
// arrive late, of legs that ended before the link was up, and prove nothing.
var provesLife = map[Kind]bool{
	LegCreated: true, LegSeen: true, LegRinging: true, LegProgress: true, LegAnswered: true, LegPaired: true,
	Dialled: true, Joined: true, Held: true, Queued: true, Parked: true, Executed: true, QueueMember: true,
	Transferred: true, PickedUp: true, Unparked: true,
}

// tied are the legs which the fact says to belong to one call.
func tied(e Event) []LegID {
	switch e.Kind {
	case Dialled, DialEnded, LegPaired, PickedUp, Unparked, QueueMember, QueueOffered, Parted, LegEnded:
		if e.Peer != "" {
			return []LegID{e.Peer}
		}
	case Transferred:
		x := e.Transfer
		legs := []LegID{x.Transferer, x.Second, x.Transferee, x.Target}
		return slices.DeleteFunc(legs, func(l LegID) bool { return l == "" })
	}
	return nil
}

// sentOn: a phone that the PBX itself had called sent the call on. The Local
// channel that Asterisk made for it has no tie to anything but the number.
func (t *Tracker) sentOn(e Event) *held {
	if e.Kind != DialEnded || e.Leg != "" || e.Number == "" {
		return nil
	}
	return t.find(func(c *held) bool {
		if len(c.facts) == 0 {
			return false
		}
		f := &c.facts[0]
		return f.Kind == LegCreated && f.Local && f.Originated && f.Dialled == e.Number && e.At.Sub(f.At).Abs() < time.Second
	})
}

// raced: a program had several phones called at once, and another one than this
// answered. FreeSWITCH ties the legs of such an originate to nothing, but says
// of the loser why it ended.
func (t *Tracker) raced(e Event, of *held) *held {
	if e.Kind != LegEnded || e.Cause == nil || e.Cause.Text != causeLoseRace || len(of.facts) == 0 {
		return nil
	}
	lost := &of.facts[0]
	if lost.Kind != LegCreated || !lost.Originated || lost.Leg != e.Leg {
		return nil
	}
	return t.find(func(c *held) bool {
		if c == of || len(c.facts) == 0 {
			return false
		}
		won := &c.facts[0]
		return won.Kind == LegCreated && won.Originated && won.Connected == lost.Connected && won.At.Sub(lost.At).Abs() < momentary &&
			slices.ContainsFunc(c.facts, func(f Event) bool {
				return f.Kind == LegAnswered && f.Leg == won.Leg && e.At.Sub(f.At).Abs() < momentary
			})
	})
}

// recalling: the one to whom a call was given did not answer, and Asterisk calls
// back who gave it away (atxfercallbackretries), by a channel without any tie.
func (t *Tracker) recalling(e Event) *held {
	if e.Kind != LegCreated || !e.Originated || e.Local {
		return nil
	}
	return t.find(func(c *held) bool {
		waits, gave := c.gave[e.Endpoint]
		if !gave || len(t.in[waits]) != 1 {
			return false
		}
		r := t.rooms[t.in[waits][0]]
		return r.kind == BridgeTalk && len(r.legs) == 1
	})
}

// hunting: a program had employees' phones called one after the other for an
// outside number. FreeSWITCH ties the legs of such an originate to nothing; but
// the next phone is called in the moment in which the one before has failed, and
// is shown the same number.
func (t *Tracker) hunting(e Event) (found *held) {
	asked := func(f *Event) bool {
		return f.Kind == LegCreated && f.Originated && !f.Local && t.opts.Extensions.MatchString(f.Endpoint) &&
			f.Connected != "" && !t.opts.Extensions.MatchString(f.Connected)
	}
	if !asked(&e) {
		return nil
	}
	for _, c := range t.ended {
		if c.up > 0 || len(c.facts) == 0 || !asked(&c.facts[0]) || c.facts[0].Connected != e.Connected || found != nil && found.id < c.id {
			continue
		}
		over := Moment(0)
		for i := range c.facts {
			switch f := &c.facts[i]; f.Kind {
			case LegAnswered:
				over = 1<<63 - 1 // it came to a talk, or to a busy client
			case LegEnded:
				latest(&over, f.At)
			}
		}
		if e.At.Sub(over).Abs() < momentary {
			found = c
		}
	}
	return found
}

// find is the open call of which is says yes; of several, the one whose id comes
// first, so that the same facts give the same records.
func (t *Tracker) find(is func(*held) bool) (found *held) {
	for c := range t.calls {
		if c.up > 0 && (found == nil || c.id < found.id) && is(c) {
			found = c
		}
	}
	return found
}

func (t *Tracker) adopt(c *held, leg LegID) {
	t.legs[leg] = c
	c.live[leg] = true
	c.up++
	t.reopened(c)
}

// name takes a leg in that something tells of, and that may be gone.
func (t *Tracker) name(c *held, leg LegID) {
	t.legs[leg] = c
	c.live[leg] = false
}

// reopened: a leg came late to a call that was over.
func (t *Tracker) reopened(c *held) {
	if c.endedAt != 0 {
		c.endedAt = 0
		t.ended = slices.DeleteFunc(t.ended, func(o *held) bool { return o == c })
	}
}

// merge makes one call of two; the older one, whose facts began first, stays.
func (t *Tracker) merge(a, b *held) *held {
	if a == b {
		return a
	}
	if younger(a, b) {
		a, b = b, a
	}
	a.facts = append(slices.Clip(a.facts), b.facts...)
	a.told = 0 // two calls made one say something new
	a.agent = ""
	slices.SortStableFunc(a.facts, func(x, y Event) int { return int(int64(x.N) - int64(y.N)) })
	for leg, up := range b.live {
		a.live[leg] = up
		if up {
			a.up++
		}
		t.legs[leg] = a
	}
	for _, link := range b.links {
		t.links[link] = a
	}
	a.links = append(a.links, b.links...)
	if a.up > 0 {
		t.reopened(a)
	}
	if b.rev > 0 {
		t.out = append(t.out, Change{Op: CallDeleted, ID: b.id, Into: a.id})
	}
	delete(t.calls, b)
	t.touch(b)
	t.ended = slices.DeleteFunc(t.ended, func(c *held) bool { return c == b })
	return a
}

func younger(a, b *held) bool {
	x, y := a.began(), b.began()
	return x > y || x == y && a.id > b.id
}

// began is when the call's first leg was made.
func (c *held) began() Moment {
	first := Moment(0)
	for _, e := range c.facts {
		at := e.At
		if e.Kind == LegSeen && e.From != 0 {
			at = e.From
		}
		if first == 0 || at < first {
			first = at
		}
	}
	if first == 0 {
		return 1<<63 - 1
	}
	return first
}

// enterRooms follows who is in which bridge. Legs in one ordinary bridge talk,
// so their calls are one. In a conference each call stays its own, and is told
// whom it met; so is that of a caller whom an agent serves who is on the line
// for one after the other.
func (t *Tracker) enterRooms(c *held, e *Event) (_ *held, entered bool) {
	switch e.Kind {
	case LegCreated:
		// Where a list has put it already, its own events will lead it.
		for _, id := range slices.Clone(t.in[e.Leg]) {
			t.leaveRoom(e.Leg, id)
		}
	case Joined, LegSeen:
		if e.Bridge == "" {
			return c, false
		}
		r := t.rooms[e.Bridge]
		if r == nil {
			r = &room{kind: e.BridgeKind}
			t.rooms[e.Bridge] = r
		}
		if slices.Contains(r.legs, e.Leg) {
			return c, false
		}
		for _, leg := range r.legs {
			if other := t.legs[leg]; other != nil && other != c && r.kind == BridgeTalk && !t.apart(e, c, other) {
				c = t.merge(c, other)
			}
		}
		r.legs = append(r.legs, e.Leg)
		t.in[e.Leg] = append(t.in[e.Leg], e.Bridge)
		entered = true
	case Parted, LegEnded, LegVanished:
		for _, id := range slices.Clone(t.in[e.Leg]) {
			if e.Kind == Parted && id != e.Bridge {
				continue
			}
			r := t.leaveRoom(e.Leg, id)
			for _, leg := range r.legs {
				other := t.legs[leg]
				if other != nil && other != c && (r.kind == BridgeConference || r.kind == BridgeTalk && !t.stays(c, r)) {
					t.met(other, leg, MetLeft, Event{Leg: e.Leg, Bridge: id, BridgeKind: r.kind, At: e.At, Seen: e.Seen})
					t.met(c, e.Leg, MetLeft, Event{Leg: leg, Bridge: id, BridgeKind: r.kind, At: e.At, Seen: e.Seen})
				}
			}
		}
	case BridgeMerged:
		if r := t.rooms[e.Bridge2]; r != nil && r.kind == BridgeTalk {
			for _, leg := range r.legs {
				if other := t.legs[leg]; other != nil && !t.apart(e, c, other) {
					c = t.merge(c, other)
				}
			}
		}
	}
	return c, entered
}

// leaveRoom takes a leg out of a bridge that it is in, and gives the bridge.
func (t *Tracker) leaveRoom(leg LegID, bridge string) *room {
	r := t.rooms[bridge]
	r.legs = slices.DeleteFunc(r.legs, func(l LegID) bool { return l == leg })
	if len(r.legs) == 0 {
		delete(t.rooms, bridge)
	}
	t.in[leg] = slices.DeleteFunc(t.in[leg], func(b string) bool { return b == bridge })
	if len(t.in[leg]) == 0 {
		delete(t.in, leg)
	}
	return r
}

// meet tells the calls of those in a bridge of each other when a leg enters:
// after the fact that it did, or a Tracker that is restored would hear of a
// meeting before it knows the leg.
func (t *Tracker) meet(c *held, e *Event) {
	r := t.rooms[e.Bridge]
	if r.kind == BridgeHolding {
		return
	}
	for _, leg := range r.legs {
		if other := t.legs[leg]; other != nil && other != c {
			t.met(other, leg, Met, t.identity(c, e.Leg, e, r.kind))
			t.met(c, e.Leg, Met, t.identity(other, leg, e, r.kind))
		}
	}
}

// met tells the call c that its leg met (or lost) another call's leg in a
// bridge. It is a fact of c's own: the other call may be forgotten first. An
// agent's own call is not told of the callers.
func (t *Tracker) met(c *held, leg LegID, k Kind, who Event) {
	if c.agent != "" && who.BridgeKind == BridgeTalk {
		c.served = served{leg: who.Leg, bridge: who.Bridge}
		if k == MetLeft {
			c.served.left = who.At
		}
		return
	}
	if t.restoring {
		return
	}
	t.n++
	t.keepAs(c, Event{N: t.n, Session: who.Session, At: who.At, Seen: who.Seen, Kind: k, Leg: leg, Peer: who.Leg,
		Bridge: who.Bridge, BridgeKind: who.BridgeKind, By: who.By, Channel: who.Channel, Endpoint: who.Endpoint, Number: who.Number, Local: who.Local})
	if c.up == 0 {
		t.record(c, who.Seen)
	}
}

// identity finds what is known of a leg, to tell another call whom it met.
func (t *Tracker) identity(c *held, leg LegID, now *Event, in BridgeKind) Event {
	who := Event{Leg: leg, Bridge: now.Bridge, BridgeKind: in, At: now.At, Seen: now.Seen}
	for _, e := range c.facts {
		if e.Leg == leg && e.Channel != "" {
			who.Channel, who.Endpoint, who.Number, who.Local = e.Channel, e.Endpoint, e.Number, e.Local
			break
		}
	}
	return who
}

func (t *Tracker) keep(c *held, e Event) {
	t.n++
	e.N = t.n
	if len(c.facts) == 0 && !t.restoring {
		e.Ahead = t.ahead
	}
	t.keepAs(c, e)
}

func (t *Tracker) keepAs(c *held, e Event) {
	if len(c.facts) >= maxFacts && e.Kind != LegEnded && e.Kind != LegVanished && e.Kind != LegCreated {
		t.anomaly(e, "the call has too many facts")
		return
	}
	c.facts = append(c.facts, e)
	t.touch(c)
	t.out = append(t.out, Change{Op: FactKept, Event: &e})
}

// record publishes the call if it says anything new.
func (t *Tracker) record(c *held, now Moment) {
	if c.endedAt == 0 {
		c.endedAt = now
		t.ended = append(t.ended, c)
	}
	r, why := conclude(t.opts, c, 0)
	if r == nil || c.rev > 0 && c.tells(t.opts, r) {
		return
	}
	c.rev++
	r.Rev = c.rev
	// What is handed out is no more written to: the next fact moves to another array.
	c.facts = slices.Clip(c.facts)
	c.told = len(c.facts)
	t.out = append(t.out, Change{Op: CallRecorded, ID: r.ID, Record: r, Reasons: why, Evidence: c.facts})
}

// tells says whether r says the same as what was published. That is concluded
// once more from the facts of then: late facts are rare, and most calls need no
// copy of their record for them.
func (c *held) tells(o Options, r *Record) bool {
	if c.told == 0 {
		return false
	}
	then := *c
	then.facts = c.facts[:c.told]
	before, _ := conclude(o, &then, 0)
	x, err := json.Marshal(before)
	y, err2 := json.Marshal(r)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// forget lets go of calls that were recorded long enough ago.
func (t *Tracker) forget(now Moment) {
	for len(t.ended) > 0 {
		c := t.ended[0]
		if now < c.endedAt.Add(Linger) && now+Moment(time.Hour.Microseconds()) > c.endedAt {
			return
		}
		t.ended = t.ended[1:]
		if c.agent != "" && t.remembered(c) {
			c.endedAt = now
			t.ended = append(t.ended, c)
			continue
		}
		delete(t.calls, c)
		for leg := range c.live {
			delete(t.legs, leg)
		}
		drop := make([]uint64, len(c.facts))
		for i, e := range c.facts {
			drop[i] = e.N
		}
		for _, link := range c.links {
			delete(t.links, link)
		}
		t.out = append(t.out, Change{Op: FactsDropped, ID: c.id, Facts: drop})
	}
}

func (t *Tracker) anomaly(e Event, why string) {
	t.out = append(t.out, Change{Op: Anomaly, Event: &e, Why: why})
}
