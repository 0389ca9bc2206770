package agent

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/connectors"
	"calljournal/connectors/spool"
	"calljournal/storage"
)

// A gap is healed from the records that the PBX itself writes (cdr_file).
//
//	gap ──▶ ingest: pending, and the Position before it ──┐ one commit
//	                                                      ▼
//	cdr_file ──▶ reader (a goroutine of its own) ──▶ rows, next Position ──▶ ingest ──▶ Tracker.Heal ──▶ one commit
//
// While nothing is pending the file is not even read: only where it ends is noted
// now and then, because a gap is known of only when it is over, or half a minute
// late where a line died. With a gap pending it is read from the last such mark
// before the gap, and on, until every call that the gap touched is over. Rows of
// calls that were seen change nothing, and rows that were read before change
// nothing either; so the Position may lie too early, never too late.

const (
	healEvery  = time.Second      // looks for new records
	markEvery  = 5 * time.Second  // notes where the file ends
	marksKept  = 10 * time.Minute // a line that dies unseen is noticed sooner
	marksSaved = time.Minute      // and one of them is put into the journal
	settleIn   = 5 * time.Second  // so long after a call's end its row may come
	lateRows   = 10 * time.Minute // are still taken in when the gap is healed already
	slackRows  = 5 * time.Second  // between the PBX's clock and ours, and its whole seconds
	longCall   = 4 * time.Hour    // how long before a row the call that it is about may have begun
	lately     = 10_000           // so many rows are kept for those of the same calls, and so many channels of calls recorded
)

// healing is what one reading brings.
type healing struct {
	link       *link
	generation uint64 // of the Position it was read from
	rows       []call.Event
	index      map[string]string // legs and linked ids of closed calls: the call's id
	next       spool.Position
	readAt     call.Moment // everything that was written by then was read; zero: not all
}

// healGap is a gap that waits, or was healed lately.
type healGap struct {
	call.Gap
	HealedAt call.Moment `json:"healed_at,omitempty"` // on our clock
}

// healMemory is what must outlive a run. It is committed along with what came of
// the rows before Position.
type healMemory struct {
	Position spool.Position `json:"position"`
	Gaps     []healGap      `json:"gaps,omitempty"`
}

// healer reads the PBX's own records for one link.
type healer struct {
	path string
	// The reader's own.
	source   *spool.Source
	records  connectors.Records
	markedAt time.Time
	savedAt  time.Time
	earlier  []call.Event // rows that were read lately
	// The ingest goroutine's own.
	lastTouch                call.Moment       // when a call that was not seen whole was recorded last
	recorded, recordedBefore map[string]string // by channel the calls that were recorded lately: the newest, and those before

	mu         sync.Mutex
	mem        healMemory
	generation uint64
	marks      []spool.Position
	status     api.Healing
}

func healName(pbx string) string { return "cdr/" + pbx }

// newHealer restores what was known when the last run ended. Nil: there is no
// cdr_file.
func (a *Agent) newHealer(p config.PBX) (*healer, error) {
	if p.CDRFile == "" {
		return nil, nil
	}
	h := &healer{path: p.CDRFile, source: spool.New(p.CDRFile, a.now)}
	var err error
	if h.records, err = recordsOf(p, a.o.Config.Agent.Location()); err != nil {
		return nil, err
	}
	b, err := a.store.State(healName(p.Name))
	if err != nil {
		return nil, err
	}
	if b != nil {
		if err := json.Unmarshal(b, &h.mem); err != nil {
			return nil, fmt.Errorf("journal: how far the records of %q were read: %w", p.Name, err)
		}
	}
	if !h.mem.Position.At.IsZero() {
		h.marks = append(h.marks, h.mem.Position)
	}
	h.status = api.Healing{File: p.CDRFile, Waiting: len(h.waiting()), Unreadable: map[string]uint64{}}
	return h, nil
}

// waiting are the gaps that are not healed.
func (h *healer) waiting() (out []call.Gap) {
	for _, g := range h.mem.Gaps {
		if g.HealedAt == 0 {
			out = append(out, g.Gap)
		}
	}
	return out
}

// ---- the reader

// readRecords reads for as long as the daemon runs.
func (a *Agent) readRecords(ctx context.Context, l *link) {
	tick := time.NewTicker(healEvery)
	defer tick.Stop()
	for {
		for more := true; more && ctx.Err() == nil; {
			var err error
			more, err = a.lookAtRecords(ctx, l)
			l.healer.say(l, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// say logs a trouble once, and shows it as long as it lasts.
func (h *healer) say(l *link, err error) {
	text := ""
	if err != nil {
		text = err.Error()
		switch {
		case errors.Is(err, fs.ErrPermission):
			text += " (let the service's user read it, as by its group)"
		case errors.Is(err, fs.ErrNotExist):
			text += " (is cdr_file right, and does the PBX write it on this machine?)"
		}
	}
	h.mu.Lock()
	was := h.status.Error
	h.status.Error = text
	h.mu.Unlock()
	switch {
	case text == was:
	case text != "":
		l.log.Warn("the PBX's own records cannot be read: gaps stay open", "err", text)
	default:
		l.log.Info("the PBX's own records can be read")
	}
}

// lookAtRecords does one step; more says that there is more to read at once.
func (a *Agent) lookAtRecords(ctx context.Context, l *link) (more bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			a.metrics.panics.Inc()
			err = fmt.Errorf("internal fault: %v", p)
			l.log.Error("BUG: reading the PBX's own records panicked", "err", p, "stack", string(debug.Stack()))
		}
	}()
	h := l.healer
	h.mu.Lock()
	mem, generation := h.mem, h.generation
	mem.Gaps = slices.Clone(mem.Gaps)
	h.mu.Unlock()
	now := a.now()
	if len(mem.Gaps) == 0 {
		h.earlier = nil
		// While the link is down a gap is under way already: the mark before it counts.
		if now.Sub(h.markedAt) < markEvery || !l.isUp() {
			return false, nil
		}
		p, err := h.source.End()
		if err != nil {
			return false, err
		}
		h.markedAt = now
		h.mark(p, now)
		if save := h.due(now); !save.At.IsZero() {
			a.hand(ctx, healing{link: l, generation: generation, next: save})
		}
		return false, nil
	}
	read, err := h.source.Read(mem.Position)
	if err != nil {
		return false, err
	}
	if read.Lost {
		l.log.Warn("the file of the PBX's records that was read last is gone; what was in it beyond the place that was read may be lost", "file", h.path)
	}
	in := healing{link: l, generation: generation, next: read.Next}
	rows, left := h.rows(read.Lines, read.Next.Offset, call.MomentOf(now))
	in.next.Offset -= int64(left)
	if !read.More {
		in.readAt = call.MomentOf(now)
		h.mark(read.Next, now)
	}
	first := mem.Gaps[0].From
	for _, g := range mem.Gaps {
		first = min(first, g.From)
	}
	rows = slices.DeleteFunc(rows, func(r call.Event) bool { return r.History.HungUp.Add(slackRows) < first })
	if len(rows) > 0 {
		in.rows = call.WithKin(h.earlier, rows)
		h.earlier = append(h.earlier, rows...)
		h.earlier = slices.Delete(h.earlier, 0, max(0, len(h.earlier)-lately))
	}
	if len(in.rows) > 0 {
		if in.index, err = a.closedCalls(l, in.rows); err != nil {
			return false, err
		}
	}
	a.hand(ctx, in)
	return read.More, nil
}

// mark notes where the records end.
func (h *healer) mark(p spool.Position, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.marks = append(h.marks, p)
	for len(h.marks) > 1 && now.Sub(h.marks[1].At) > marksKept {
		h.marks = h.marks[1:]
	}
}

// due is the mark that the journal should have now, if it is time. It is a little
// old: a gap may have begun that nobody knows of yet.
func (h *healer) due(now time.Time) (save spool.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.savedAt) < marksSaved {
		return save
	}
	if save = h.before(now.Add(-2 * markEvery)); !save.At.IsZero() {
		h.savedAt = now
	}
	return save
}

// before is the last mark that was noted before a moment, or the first there is.
func (h *healer) before(at time.Time) (found spool.Position) {
	for _, m := range h.marks {
		if found.At.IsZero() || m.At.Before(at) {
			found = m
		}
	}
	return found
}

// read reads one record: a fault in that is this record's loss.
func (h *healer) read(record []byte, seen call.Moment) (e call.Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			e, err = call.Event{}, fmt.Errorf("internal fault: %v", p)
		}
	}()
	return h.records.Read(record, seen)
}

// rows reads lines, the last of them up to the offset in a file; left is how many
// bytes at its end wait for more. What began in a file before it will have no more.
func (h *healer) rows(lines [][]byte, offset int64, seen call.Moment) (rows []call.Event, left int) {
	const longest, most = 64 << 10, 32 // of a record that goes over several lines
	bad := map[string]uint64{}
	for i := 0; i < len(lines); {
		e, err := h.read(lines[i], seen)
		n := 1
		if errors.Is(err, connectors.ErrUnfinished) {
			record := bytes.Clone(lines[i])
			for ; errors.Is(err, connectors.ErrUnfinished) && i+n < len(lines) && n < most && len(record) < longest; n++ {
				if next, err := h.read(lines[i+n], seen); err == nil && next.Kind != 0 {
					break // that is a record by itself: this one is broken
				}
				record = append(record, lines[i+n]...)
				e, err = h.read(record, seen)
			}
			if errors.Is(err, connectors.ErrUnfinished) && i+n == len(lines) && n < most && len(record) < longest && int64(len(record)) <= offset {
				return rows, len(record)
			}
			if err != nil {
				n = 1
			}
		}
		switch {
		case errors.Is(err, connectors.ErrNoID):
			bad[err.Error()]++
		case err != nil:
			bad["not readable: "+err.Error()]++
		case e.Kind != 0:
			rows = append(rows, e)
		}
		i += n
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Rows += uint64(len(rows))
	for why, n := range bad {
		if _, known := h.status.Unreadable[why]; !known && len(h.status.Unreadable) >= 8 {
			why = "other"
		}
		h.status.Unreadable[why] += n
	}
	return rows, left
}

// closedCalls finds the calls in the journal that rows may be about, by their
// legs.
func (a *Agent) closedCalls(l *link, rows []call.Event) (map[string]string, error) {
	from, to := rows[0].History.Created, rows[0].History.HungUp
	for _, r := range rows {
		from, to = min(from, r.History.Created), max(to, r.History.HungUp)
	}
	index := map[string]string{}
	q := storage.Query{From: from.Add(-longCall), To: to.Add(slackRows), Limit: 1000}
	for {
		calls, cursor, err := a.store.Calls(q)
		if err != nil {
			return nil, err
		}
		for _, r := range calls {
			if r.PBX != l.pbx.Name {
				continue
			}
			for _, id := range r.PBXIDs {
				index[id] = r.ID
			}
		}
		if cursor == "" {
			return index, nil
		}
		q.Cursor = cursor
	}
}

// hand gives a reading to ingest and waits until it is taken.
func (a *Agent) hand(ctx context.Context, in healing) {
	select {
	case a.heals <- in:
	case <-ctx.Done():
	case <-a.idle:
	}
}

// ---- ingest

// healLater notes a gap that is to be healed, in the commit that tells of it.
func (a *Agent) healLater(g *group, l *link, gap *call.Gap) {
	h := l.healer
	if h == nil || gap.Healed {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	from := (gap.From - l.now.Ahead).Time().Add(-slackRows)
	p := h.before(from)
	if p.At.IsZero() || p.At.After(from) {
		p = spool.Position{At: from} // the file was never looked at: from its beginning, but no older one
	}
	if len(h.mem.Gaps) == 0 || p.At.Before(h.mem.Position.At) {
		h.mem.Position = p
		h.generation++
	}
	h.mem.Gaps = append(h.mem.Gaps, healGap{Gap: *gap})
	h.keep(g, l)
}

// keep puts the memory into the group. The lock is held.
func (h *healer) keep(g *group, l *link) {
	g.batch.State[healName(l.pbx.Name)] = asState(h.mem)
	g.changes++
	h.status.Waiting = len(h.waiting())
}

// takeHealing takes in what a reading brought. It is called when no commit is
// under way, so that the journal and the group together know every call that the
// trackers do not.
func (a *Agent) takeHealing(g *group, in healing) {
	l, h := in.link, in.link.healer
	now := call.MomentOf(a.now())
	h.mu.Lock()
	if in.generation != h.generation {
		h.mu.Unlock()
		return // meanwhile it turned out that it must be read from further back
	}
	var gaps []call.Gap
	for _, x := range h.mem.Gaps {
		gaps = append(gaps, x.Gap)
	}
	h.mu.Unlock()
	about := call.Event{Kind: call.Reported, Seen: now, At: now}
	news := false
	if len(in.rows) > 0 {
		for _, c := range a.heal(g, l, in, gaps) {
			a.note(g, l, &about, c)
			news = news || c.Op == call.CallRecorded
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mem.Position = in.next
	changed := len(gaps) == 0 || news
	if in.readAt != 0 {
		h.status.ReadAt = in.readAt
		for i := range h.mem.Gaps {
			x := &h.mem.Gaps[i]
			if x.HealedAt != 0 || !l.now.Up || l.tracker.Doubtful() > 0 ||
				in.readAt < max(x.To-l.now.Ahead, h.lastTouch).Add(settleIn) {
				continue
			}
			x.Healed, x.HealedAt = true, now
			changed = true
			gap := x.Gap
			g.batch.Entries = append(g.batch.Entries, storage.Entry{Op: storage.OpGap, Gap: &gap})
			g.due = true
			l.log.Info("gap healed from the PBX's own records", "from", gap.From.Time(), "to", gap.To.Time())
		}
		before := len(h.mem.Gaps)
		h.mem.Gaps = slices.DeleteFunc(h.mem.Gaps, func(x healGap) bool { return x.HealedAt != 0 && now.Sub(x.HealedAt) > lateRows })
		changed = changed || len(h.mem.Gaps) != before
	}
	if changed || len(in.rows) > 0 {
		h.keep(g, l)
	}
}

// heal lets the tracker read the rows; a fault in that is these rows' loss.
func (a *Agent) heal(g *group, l *link, in healing, gaps []call.Gap) (changes []call.Change) {
	defer func() {
		if p := recover(); p != nil {
			changes = nil
			a.metrics.panics.Inc()
			l.log.Error("BUG: healing panicked", "err", p, "stack", string(debug.Stack()))
		}
	}()
	return l.tracker.Heal(in.rows, gaps, func(ids []string, _, _ call.Moment) []call.Closed {
		var found []string
		for _, id := range ids {
			for _, callID := range []string{in.index[id], l.healer.recordedAs(id), l.pbx.Name + ":" + id} {
				if callID != "" && !slices.Contains(found, callID) {
					found = append(found, callID)
				}
			}
		}
		var out []call.Closed
		for _, id := range found {
			if c, pending := g.newest(id); pending {
				if c.Record != nil {
					out = append(out, c)
				}
				continue
			}
			rec, err := a.store.Call(id)
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			c := call.Closed{Record: rec}
			var why *storage.Why
			if err == nil {
				why, err = a.store.Why(id)
			}
			switch {
			case err == nil:
				c.Facts = why.Facts
			case !errors.Is(err, storage.ErrNotFound):
				if ok, silent := l.anomalies.let(a.now()); ok {
					l.log.Error("a call that the PBX's records tell of cannot be read", "call", id, "err", err, "silent", silent)
				}
				if rec == nil {
					rec = &call.Record{ID: id}
				}
			}
			c.Record = rec
			out = append(out, c)
		}
		return out
	})
}

// noted is told of every call that is recorded. Of one that was not seen whole
// rows may come yet; and the journal as a reader finds it is a little behind.
func (h *healer) noted(r *call.Record, now call.Moment) {
	if h == nil {
		return
	}
	if r.Quality == call.QualityPartial {
		h.lastTouch = now
	}
	if h.recorded == nil || len(h.recorded) >= lately {
		h.recorded, h.recordedBefore = map[string]string{}, h.recorded
	}
	for _, id := range r.PBXIDs {
		h.recorded[id] = r.ID
	}
}

// recordedAs is the call that a channel was recorded with lately.
func (h *healer) recordedAs(id string) string { return cmp.Or(h.recorded[id], h.recordedBefore[id]) }

// newest is what the group has of a call: no record if it is to be deleted.
func (g *group) newest(id string) (c call.Closed, pending bool) {
	for _, e := range slices.Backward(g.batch.Entries) {
		switch {
		case e.Op == storage.OpCall && e.Call.ID == id:
			return call.Closed{Record: e.Call, Facts: g.batch.Why[id].Facts}, true
		case e.Op == storage.OpDelete && e.ID == id:
			return call.Closed{}, true
		}
	}
	return call.Closed{}, false
}

// look is what status shows.
func (h *healer) look() *api.Healing {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.status
	s.Waiting = len(h.waiting())
	s.Unreadable = map[string]uint64{}
	for why, n := range h.status.Unreadable {
		s.Unreadable[why] = n
	}
	return &s
}
