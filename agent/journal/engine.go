package journal

import (
	"fmt"
	"reflect"
	"slices"

	"calljournal/agent/call"
)

// Past is the journal as it is committed. What it gives belongs to the Engine,
// which changes it.
type Past interface {
	// Call is the newest revision of a call, nil if there is none.
	Call(id string) (*call.Record, error)
	// Touches are those of a history that began in [from, to), in order.
	Touches(history string, from, to call.Moment) ([]Touch, error)
	// InboundBefore is when the last inbound call of a history began before at;
	// ok is false if there is none. InboundAfter is the first one after at.
	InboundBefore(history string, at call.Moment) (began call.Moment, ok bool, err error)
	InboundAfter(history string, at call.Moment) (began call.Moment, ok bool, err error)
	// Overdue gives open missed calls that their callers left before, at most
	// limit of them, the oldest first.
	Overdue(before call.Moment, limit int) ([]Place, error)
}

// Place is where a touch is kept.
type Place struct {
	History string
	Started call.Moment
	ID      string
}

// Incoming is what is new about one call.
type Incoming struct {
	ID     string
	Record *call.Record // nil: the call is no more
	Tags   []string     // what people set; nil leaves what they had set
}

// Settled is one call that changed: what it was and what it is now. Was is nil
// for a new call, Now for one that is no more.
type Settled struct {
	Was, Now *call.Record
	// Own is true for a call that came in, false for one about which another one
	// changed the verdict.
	Own bool
}

// revised says whether it differs in more than its number.
func (c *Settled) revised() bool { return c.Was == nil || c.Now == nil || !sameCall(c.Was, c.Now) }

// Move is a touch that changed, or that a new revision of its call has as it was:
// by which rules a verdict was given is known from here alone. Was is nil for a
// new one, Now for one that goes.
type Move struct {
	History  string
	Was, Now *Touch
}

// Outcome is what a commit must take in, all or nothing. Calls has those that
// came in first, in their order; each call is in it once, and Moves has the touch
// of each.
type Outcome struct {
	Calls []Settled
	Moves []Move
}

// Engine lets the journal know what follows from each change. It is not safe for
// use by several goroutines at once; whoever uses it commits an Outcome before he
// asks for the next.
type Engine struct {
	settings Settings
	version  uint32
	now      call.Moment // the latest that it was told
}

// Settings are everything that people decide about the journal. They never
// change: there are new ones instead.
type Settings struct {
	Directory *Directory
	Tariffs   *Tariffs
	Spam      *SpamList
	Rules     Rules
}

// NewEngine makes an Engine. version is the number of the rules, which verdicts
// will name.
func NewEngine(s Settings, version uint32) *Engine {
	return &Engine{settings: s, version: version}
}

// Settle takes in what is new. Of several news about one call only the last one
// counts. Records are changed in place: they are enriched, and get their
// revision, types and what people have set.
func (e *Engine) Settle(past Past, now call.Moment, news []Incoming) (*Outcome, error) {
	s := e.begin(past, now)
	last := make(map[string]int, len(news))
	for i, n := range news {
		last[n.ID] = i
	}
	for i, n := range news {
		if last[n.ID] != i {
			continue
		}
		if err := s.takeIn(n); err != nil {
			return nil, fmt.Errorf("call %.200q: %w", n.ID, err)
		}
	}
	return s.finish()
}

// Tick lets time pass: calls that nobody called back are lost. It deals with at
// most limit of them; if there were as many, there may be more.
func (e *Engine) Tick(past Past, now call.Moment, limit int) (*Outcome, error) {
	s := e.begin(past, now)
	overdue, err := past.Overdue(e.now.Add(-e.settings.Rules.LostWindow), limit)
	if err != nil {
		return nil, err
	}
	for _, p := range overdue {
		s.edit(p.History).at(p.Started)
	}
	return s.finish()
}

// Review gives verdicts about a history anew, for as long as it is: after its
// number was put on the list of spammers, or taken off.
func (e *Engine) Review(past Past, now call.Moment, history string, from, to call.Moment) (*Outcome, error) {
	s := e.begin(past, now)
	touches, err := past.Touches(history, from, to)
	if err != nil {
		return nil, err
	}
	for i := range touches {
		s.edit(history).at(touches[i].Started)
	}
	return s.finish()
}

// settling is the work on one Outcome.
type settling struct {
	*Engine
	past  Past
	calls map[string]*Settled
	own   []string // ids of what came in, in order
	moved []string // ids of what changed along with them
	edits map[string]*edit
	order []string // histories, in order
	moves []Move
}

// edit is what changes in one history.
type edit struct {
	put     map[string]Touch       // by id
	removed map[string]call.Moment // ids, and when they began
	moments []call.Moment          // when what changes began
	inbound []call.Moment          // and of it, the inbound ones
}

func (x *edit) at(m call.Moment) { x.moments = append(x.moments, m) }

func (x *edit) touched(t *Touch) {
	x.at(t.Started)
	if t.Way == Came {
		x.inbound = append(x.inbound, t.Started)
	}
}

func (e *Engine) begin(past Past, now call.Moment) *settling {
	e.now = max(e.now, now)
	return &settling{Engine: e, past: past, calls: map[string]*Settled{}, edits: map[string]*edit{}}
}

func (s *settling) edit(history string) *edit {
	x := s.edits[history]
	if x == nil {
		x = &edit{put: map[string]Touch{}, removed: map[string]call.Moment{}}
		s.edits[history] = x
		s.order = append(s.order, history)
	}
	return x
}

// takeIn compares one call with what the journal has of it.
func (s *settling) takeIn(n Incoming) error {
	was, err := s.past.Call(n.ID)
	if err != nil {
		return err
	}
	if was == nil && n.Record == nil {
		return nil // never published
	}
	s.calls[n.ID] = &Settled{Was: was, Now: n.Record, Own: true}
	s.own = append(s.own, n.ID)
	if was != nil {
		t := touchOf(was)
		x := s.edit(historyOf(was))
		x.removed[t.ID] = t.Started
		x.touched(&t)
	}
	if r := n.Record; r != nil {
		s.settings.Directory.Enrich(r)
		r.Cost = s.settings.Tariffs.Cost(r)
		if was != nil {
			r.Tags = slices.Clone(was.Tags)
		}
		if n.Tags != nil {
			r.Tags = n.Tags
		}
		t := touchOf(r)
		x := s.edit(historyOf(r))
		x.put[t.ID] = t
		x.touched(&t)
	}
	return nil
}

func (s *settling) finish() (*Outcome, error) {
	for _, history := range s.order {
		if err := s.history(history, s.edits[history]); err != nil {
			return nil, fmt.Errorf("history of %.60q: %w", history, err)
		}
	}
	o := &Outcome{Moves: s.moves}
	for _, id := range append(s.own, s.moved...) {
		c := s.calls[id]
		if !c.revised() {
			continue
		}
		if c.Now != nil {
			c.Now.Rev = 1
			if c.Was != nil {
				c.Now.Rev += c.Was.Rev
			}
		}
		o.Calls = append(o.Calls, *c)
	}
	return o, nil
}

// stretch is a part of a history: verdicts are given for touches that began in
// [from, to], with everything in [back, on] in view.
type stretch struct{ from, to, back, on call.Moment }

// stretches are the parts of a history that an edit can change.
func (s *settling) stretches(history string, x *edit) ([]stretch, error) {
	rules := s.settings.Rules
	back, forward := rules.reach()
	inDepth := func(a, b call.Moment) bool { return rules.UniqueDepth == 0 || b.Sub(a) <= rules.UniqueDepth }
	slices.Sort(x.moments)
	slices.Sort(x.inbound)
	var parts []stretch
	for _, at := range slices.Compact(x.moments) {
		p := stretch{from: at.Add(-back), to: at.Add(forward)}
		p.back = p.from.Add(-forward)
		if numbered(history) {
			before, ok, err := s.inboundBefore(history, x, p.from)
			if err != nil {
				return nil, err
			}
			if ok && inDepth(before, p.from) {
				p.back = min(p.back, before)
			}
			if _, ok := slices.BinarySearch(x.inbound, at); ok {
				// Whether the next inbound call is unique hangs on this one, however
				// long after it comes.
				next, ok, err := s.inboundAfter(history, x, at)
				if err != nil {
					return nil, err
				}
				if ok && inDepth(at, next) {
					p.to = max(p.to, next)
				}
			}
		}
		p.on = p.to.Add(back)
		for n := len(parts); n > 0 && p.back <= parts[n-1].on; n-- {
			o := parts[n-1]
			p = stretch{min(p.from, o.from), max(p.to, o.to), min(p.back, o.back), max(p.on, o.on)}
			parts = parts[:n-1]
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// inboundBefore looks at what is committed and at what is new. What is removed
// counts as if it were there: its own stretch reaches on from it.
func (s *settling) inboundBefore(history string, x *edit, at call.Moment) (call.Moment, bool, error) {
	began, ok, err := s.past.InboundBefore(history, at)
	if i, _ := slices.BinarySearch(x.inbound, at); i > 0 && (!ok || x.inbound[i-1] > began) {
		began, ok = x.inbound[i-1], true
	}
	return began, ok, err
}

func (s *settling) inboundAfter(history string, x *edit, at call.Moment) (call.Moment, bool, error) {
	began, ok, err := s.past.InboundAfter(history, at)
	if i, _ := slices.BinarySearch(x.inbound, at+1); i < len(x.inbound) && (!ok || x.inbound[i] < began) {
		began, ok = x.inbound[i], true
	}
	return began, ok, err
}

// history gives the verdicts that an edit of one history asks for.
func (s *settling) history(history string, x *edit) error {
	parts, err := s.stretches(history, x)
	if err != nil {
		return err
	}
	c := court{rules: s.settings.Rules, version: s.version, spam: s.settings.Spam, now: s.now}
	for _, p := range parts {
		old, err := s.past.Touches(history, p.back, p.on+1)
		if err != nil {
			return err
		}
		was := make(map[string]*Touch, len(old))
		touches := make([]Touch, 0, len(old)+len(x.put))
		for i := range old {
			was[old[i].ID] = &old[i]
			if _, gone := x.removed[old[i].ID]; !gone {
				touches = append(touches, old[i])
			}
		}
		for _, t := range x.put {
			if t.Started >= p.back && t.Started <= p.on {
				touches = append(touches, t)
			}
		}
		slices.SortFunc(touches, func(a, b Touch) int { return a.Compare(&b) })
		verdicts := c.judge(history, touches)
		for i := range touches {
			if t := &touches[i]; t.Started >= p.from && t.Started <= p.to {
				if err := s.pronounce(history, was[t.ID], t, &verdicts[i]); err != nil {
					return err
				}
			}
			delete(was, touches[i].ID)
		}
		for i := range old { // what is left of them is gone
			if t := was[old[i].ID]; t != nil {
				s.moves = append(s.moves, Move{History: history, Was: t})
			}
		}
	}
	return nil
}

// pronounce notes a verdict where it, the touch, or the revision is new.
func (s *settling) pronounce(history string, was, t *Touch, v *Verdict) error {
	now := withVerdict(t, v)
	changed := was == nil || *was != now
	c := s.calls[t.ID]
	if c == nil && changed && !was.Verdict.Same(v) { // else: other rules, the same verdict; nobody outside need know
		r, err := s.past.Call(t.ID)
		if err != nil {
			return err
		}
		if r == nil { // a touch of a call that the journal has lost
			s.moves = append(s.moves, Move{History: history, Was: was})
			return nil
		}
		before := *r
		c = &Settled{Was: &before, Now: r}
		s.calls[t.ID] = c
		s.moved = append(s.moved, t.ID)
	}
	if c != nil {
		v.pronounce(c.Now)
	}
	if changed || c != nil && c.revised() {
		s.moves = append(s.moves, Move{History: history, Was: was, Now: &now})
	}
	return nil
}

func withVerdict(t *Touch, v *Verdict) Touch {
	n := *t
	n.Verdict = *v
	return n
}

// sameCall says whether two records differ in nothing but the revision. A list
// that is nil is an empty one.
func sameCall(a, b *call.Record) bool {
	x, y := *a, *b
	x.Rev, y.Rev = 0, 0
	for _, r := range []*call.Record{&x, &y} {
		r.PBXIDs = list(r.PBXIDs)
		r.Queues, r.Legs, r.Transfers, r.Timeline = list(r.Queues), list(r.Legs), list(r.Transfers), list(r.Timeline)
		r.Recordings, r.Types, r.Tags, r.Doubts = list(r.Recordings), list(r.Types), list(r.Tags), list(r.Doubts)
	}
	return reflect.DeepEqual(&x, &y)
}

func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
