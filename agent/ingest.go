package agent

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/storage"
)

// fact is one event on its way from a link to its tracker.
type fact struct {
	link  *link
	event call.Event
}

// group is what becomes one commit.
type group struct {
	batch   *storage.Batch
	changes int
	due     bool // somebody waits for what is in it
	// since is when the first bytes behind a record in this group arrived: from
	// there to the end of the commit is what a reader of the feed waits.
	since call.Moment
	last  *api.LastCall
}

func newGroup() group {
	return group{batch: &storage.Batch{
		Drop: map[string][]uint64{}, Why: map[string]storage.Why{}, State: map[string][]byte{},
	}}
}

// burst is how many facts are taken in before ingest looks around again.
const burst = 64

// ingest is the only goroutine that touches the trackers. It gathers changes
// into a group for as long as the commit before runs, and at most factsWait.
func (a *Agent) ingest() {
	defer close(a.idle)
	defer close(a.groups)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	late := time.NewTimer(factsWait)
	defer late.Stop()
	a.watch()
	look := time.NewTimer(glanceEvery)
	defer look.Stop()
	looking := false
	g := newGroup()
	handed := uint64(0)
	for _, l := range a.links {
		if e, ok := l.lastRun(); ok {
			a.take(&g, fact{l, e})
		}
	}
	for {
		in, out := a.events, (chan group)(nil)
		if g.changes >= a.o.GroupMost {
			in = nil
		}
		if g.due || in == nil {
			out = a.groups
			for _, l := range a.links {
				a.remember(&g, l, false)
			}
		}
		// Rows are brought to calls that are in the journal already, so nothing may
		// be on its way there.
		heals := a.heals
		if in == nil || handed != a.committedGroups.Load() {
			heals = nil
		}
		before := g.changes
		select {
		case <-a.oneMore:
		case h := <-heals:
			a.takeHealing(&g, h)
		case f := <-in:
			a.take(&g, f)
			a.takeWaiting(&g)
			if a.screens.watched && !looking {
				looking = true
				look.Reset(glanceEvery)
			}
		case <-look.C:
			looking = false
			if a.screens.watched {
				a.glance()
			}
		case <-a.noMore:
			a.finish(g)
			return
		case out <- g:
			g, before = newGroup(), 0
			handed++
		case <-late.C:
			g.due = g.changes > 0
		case <-tick.C:
			a.tick(&g)
		case ask := <-a.asks:
			ask()
		}
		if before == 0 && g.changes > 0 {
			late.Reset(factsWait)
		}
	}
}

// takeWaiting takes what is there already, without asking the scheduler each time.
// It says whether there may be more.
func (a *Agent) takeWaiting(g *group) bool {
	for range burst {
		if g.changes >= a.o.GroupMost {
			break
		}
		select {
		case f := <-a.events:
			a.take(g, f)
		default:
			return false
		}
	}
	return true
}

// tick lets time pass for the trackers. Not for one whose facts are still on
// their way: for it, it is as late as the last fact says, and a timeout that
// fires on our clock would come before facts that are older.
func (a *Agent) tick(g *group) {
	a.heartbeat.Store(int64(a.now().Sub(a.begun)))
	a.watch()
	if a.o.Alive != nil {
		a.o.Alive()
	}
	if g.changes >= a.o.GroupMost || len(a.events) > 0 {
		return
	}
	at := call.MomentOf(a.now())
	for _, l := range a.links {
		s := l.conn.Stats()
		if s.QueueBytes > 0 {
			continue
		}
		if l.now.Up {
			l.now.Seen = max(l.now.Seen, s.LastByteAt)
		}
		a.take(g, fact{l, call.Event{Kind: call.Ticked, At: at + l.now.Ahead, Seen: at}})
		a.remember(g, l, false)
	}
}

// rememberEvery is how old, at most, the journal's idea is of when a quiet link
// was last alive: after a kill the gap begins so much too early.
const rememberEvery = call.Moment(5 * time.Second / time.Microsecond)

// remember puts what must outlive this run into the group: along with every
// commit, and by itself when it has become old.
func (a *Agent) remember(g *group, l *link, now bool) {
	if l.now == l.then || !now && g.changes == 0 && l.now.Seen-l.then.Seen < rememberEvery && l.now.Up == l.then.Up {
		return
	}
	g.batch.State[stateName(l.pbx.Name)] = asState(l.now)
	l.then = l.now
	g.changes++
}

// take applies one fact and puts what follows from it into the group.
func (a *Agent) take(g *group, f fact) {
	l, e := f.link, &f.event
	switch e.Kind {
	case call.Ticked:
	case call.LinkDown:
		l.now.Up, l.now.Why, l.now.Seen = false, e.Data, max(l.now.Seen, e.Seen)
	case call.LinkUp:
		l.now = memory{Session: e.Session, Up: true, Seen: e.Seen, Ahead: e.At - e.Seen}
	default:
		l.now.Seen = max(l.now.Seen, e.Seen)
	}
	for _, c := range a.apply(l, e) {
		a.note(g, l, e, c)
	}
	if e.Kind == call.LinkUp || e.Kind == call.LinkDown {
		a.remember(g, l, true)
	}
}

// apply keeps a fault in one tracker from ending the daemon: the fact is lost
// for its call, everybody else's go on.
func (a *Agent) apply(l *link, e *call.Event) (changes []call.Change) {
	defer func() {
		if p := recover(); p != nil {
			changes = nil
			a.metrics.panics.Inc()
			if ok, silent := a.trouble.panics.let(a.now()); ok {
				l.log.Error("BUG: the tracker panicked", "err", p, "kind", e.Kind.String(), "leg", string(e.Leg), "silent", silent, "stack", string(debug.Stack()))
			}
		}
	}()
	return l.tracker.Apply(*e)
}

// note puts one change into the group.
func (a *Agent) note(g *group, l *link, e *call.Event, c call.Change) {
	b, pbx := g.batch, l.pbx.Name
	switch c.Op {
	case call.FactKept:
		b.Facts = append(b.Facts, storage.Fact{PBX: pbx, Event: c.Event})
	case call.FactsDropped:
		b.Drop[pbx] = append(b.Drop[pbx], c.Facts...)
	case call.CallRecorded:
		b.Entries = append(b.Entries, storage.Entry{Op: storage.OpCall, Call: c.Record})
		b.Why[c.Record.ID] = storage.Why{Reasons: c.Reasons, Facts: c.Evidence}
		g.due = true
		if g.since == 0 {
			g.since = e.Seen
		}
		l.healer.noted(c.Record, e.Seen)
		g.last = &api.LastCall{ID: c.Record.ID, At: call.MomentOf(a.now())}
	case call.CallDeleted:
		b.Entries = append(b.Entries, storage.Entry{Op: storage.OpDelete, ID: c.ID, Into: c.Into})
		g.due = true
	case call.GapFound:
		b.Entries = append(b.Entries, storage.Entry{Op: storage.OpGap, Gap: c.Gap})
		b.Urgent, g.due = true, true
		a.healLater(g, l, c.Gap)
		l.log.Warn("gap", "from", c.Gap.From.Time(), "to", c.Gap.To.Time(), "reason", c.Gap.Reason)
	case call.Anomaly:
		if ok, silent := l.anomalies.let(a.now()); ok {
			l.log.Info("a fact that fits nothing that is known", "why", c.Why, "kind", e.Kind.String(), "leg", string(e.Leg), "silent", silent)
		}
		return // nothing to commit
	default:
		panic(fmt.Sprintf("BUG: change %d is not known", c.Op))
	}
	g.changes++
}

// finish takes in what the links left and hands over the last group. What the
// links saw last goes with it, so that the next run knows where its gap begins.
func (a *Agent) finish(g group) {
	for a.takeWaiting(&g) {
		if g.changes >= a.o.GroupMost {
			a.groups <- g
			g = newGroup()
		}
	}
	for _, l := range a.links {
		if l.now.Up {
			l.now.Seen = max(l.now.Seen, l.conn.Stats().LastByteAt)
		}
		a.remember(&g, l, true)
	}
	if g.changes > 0 {
		g.batch.Urgent = true
		a.groups <- g
	}
}

// ask runs f in the ingest goroutine and waits for it.
func (a *Agent) ask(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case a.asks <- func() { f(); close(done) }:
		<-done
		return nil
	case <-a.idle:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
}

// live gives the calls in progress as they look at now; their times are the
// PBX's. It is for the ingest goroutine.
func (l *link) live(now time.Time) []call.Record {
	return l.tracker.Live(call.MomentOf(now) + l.now.Ahead)
}

// Live gives the calls in progress, oldest first.
func (a *Agent) Live(ctx context.Context) (calls []call.Record, err error) {
	err = a.ask(ctx, func() {
		for _, l := range a.links {
			calls = append(calls, l.live(a.now())...)
		}
		for i := range calls {
			a.directory.Load().Enrich(&calls[i])
		}
	})
	return calls, err
}
