package agent

import (
	"encoding/json"
	"errors"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/storage"
)

// Names of what the books keep in the journal's state.
const (
	stateSettings = "books/settings" // the settings in force: standing
	stateReview   = "books/review"   // how far the calls were settled by them: review
	stateRules    = "books/rules/"   // + number: journal.Rules that gave verdicts
	stateSpam     = "books/spam/"    // + history: mark
)

// books are what the journal says about its calls beyond what the PBXs said:
// journal.Engine with what it must remember. Only the commit goroutine uses
// them, but for what is said to be for all.
//
//	group of changes ──▶ settle ──▶ with revisions, types, moves ──▶ Commit
//	time ──────────────▶ tick ────▶ what is lost by now ───────────▶ Commit
//	other settings ────▶ slice ───▶ what they change, call by call ▶ Commit
type books struct {
	store Store
	log   *slog.Logger
	now   func() time.Time

	engine   *journal.Engine
	settings *settings
	standing standing
	review   review
	counting bool // the totals may not be as the settings want them
	// unsaved is state that goes with the next commit, whatever that is about.
	unsaved  map[string][]byte
	panics   throttle
	troubles throttle
	broken   func() // counts a panic

	next atomic.Pointer[settings] // for all: settings that are to be taken over
	wake chan struct{}            // for all: says so

	mu    sync.Mutex // over what follows, which is for all
	shown api.Review
	rules map[uint32]journal.Rules
	rule  journal.Rules
	spam  map[string]mark // by history
}

// standing names the settings in force, so that a start notices other ones.
type standing struct {
	Version uint32      `json:"version"`
	Digest  string      `json:"digest"`
	Since   call.Moment `json:"since"`
}

// review is how far a job has got that settles every call by the settings in
// force. It belongs to one journal: another one was salvaged or restored, and
// what is kept of its verdicts is not certain.
type review struct {
	Version uint32           `json:"version"`
	Journal string           `json:"journal"`
	After   storage.Position `json:"after"`
	Done    uint64           `json:"done"`
	Total   uint64           `json:"total"`
	Changed uint64           `json:"changed"`
	Began   call.Moment      `json:"began"`
	Ended   call.Moment      `json:"ended"` // zero: goes on
}

// reviewSlice is how many calls a job settles in one commit: calls that end
// meanwhile wait for it some milliseconds.
const reviewSlice = 64

// openBooks reads what is remembered and takes the settings over.
func openBooks(store Store, s *settings, log *slog.Logger, now func() time.Time) (*books, error) {
	b := &books{
		store: store, log: log, now: now, unsaved: map[string][]byte{}, broken: func() {},
		wake: make(chan struct{}, 1), rules: map[uint32]journal.Rules{}, spam: map[string]mark{},
	}
	for name, into := range map[string]any{stateSettings: &b.standing, stateReview: &b.review} {
		v, err := store.State(name)
		if err != nil {
			return nil, err
		}
		if v != nil {
			if err := json.Unmarshal(v, into); err != nil { // then every call is settled anew
				log.Error("what the journal remembers of its own work cannot be read", "state", name, "err", err)
			}
		}
	}
	rules, err := store.States(stateRules)
	if err != nil {
		return nil, err
	}
	for number, v := range rules {
		n, err := strconv.ParseUint(number, 10, 32)
		var r journal.Rules
		if err := errors.Join(err, json.Unmarshal(v, &r)); err != nil { // verdicts that name them are not explained
			log.Error("old rules of the journal cannot be read", "rules", number, "err", err)
			continue
		}
		b.rules[uint32(n)] = r
	}
	spam, err := store.States(stateSpam)
	if err != nil {
		return nil, err
	}
	for history, v := range spam {
		var m mark
		if err := json.Unmarshal(v, &m); err != nil {
			log.Error("a spammer's number in the journal cannot be read", "err", err)
			continue
		}
		b.spam[history] = m
	}
	b.take(s)
	return b, nil
}

// take takes settings over. If a verdict may differ from those of before, it has
// every call settled anew.
func (b *books) take(s *settings) {
	b.settings, b.counting = s, true
	if b.standing.Digest != s.digest || b.standing.Version == 0 {
		b.standing = standing{b.standing.Version + 1, s.digest, call.MomentOf(b.now())}
		b.keep(stateSettings, b.standing)
		b.keep(stateRules+strconv.FormatUint(uint64(b.standing.Version), 10), s.rules)
		b.mu.Lock()
		b.rules[b.standing.Version] = s.rules
		b.mu.Unlock()
	}
	b.renew()
	st := b.store.Stats()
	if b.review.Version != b.standing.Version || b.review.Journal != st.Journal {
		b.review = review{Version: b.standing.Version, Journal: st.Journal, Total: st.Calls, Began: call.MomentOf(b.now())}
		b.keep(stateReview, b.review)
		b.log.Info("every call is settled anew by the settings in force", "calls", st.Calls, "settings", b.standing.Version)
	}
	b.show()
}

// renew makes the engine of the settings and of the numbers that people named.
func (b *books) renew() {
	b.mu.Lock()
	var byHand []string
	for history, m := range b.spam {
		if !m.Off {
			byHand = append(byHand, history)
		}
	}
	b.rule = b.settings.rules
	b.mu.Unlock()
	b.engine = b.settings.engine(b.standing.Version, byHand)
}

// keep has a value stored with the next commit.
func (b *books) keep(name string, v any) { b.unsaved[name] = asState(v) }

// settle makes of what trackers say what the journal says: it gives calls their
// revisions and types, leaves out what says nothing new, and adds what follows
// for other calls. It is followed by a commit of the batch, which must succeed
// before the next.
func (b *books) settle(batch *storage.Batch) error {
	var news []journal.Incoming
	for i := range batch.Entries {
		switch e := &batch.Entries[i]; e.Op {
		case storage.OpCall:
			news = append(news, journal.Incoming{ID: e.Call.ID, Record: e.Call})
		case storage.OpDelete:
			news = append(news, journal.Incoming{ID: e.ID})
		}
	}
	return b.settleNews(batch, news)
}

// settleNews is settle for what is new about the calls in the batch.
func (b *books) settleNews(batch *storage.Batch, news []journal.Incoming) (err error) {
	b.pack(batch)
	if len(news) == 0 {
		return nil
	}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		b.broken()
		if ok, silent := b.panics.let(b.now()); ok {
			b.log.Error("BUG: the rules of the journal panicked; calls are kept without types", "err", p, "calls", len(news), "silent", silent, "stack", string(debug.Stack()))
		}
		batch.Moves = nil
		err = b.number(batch)
	}()
	return b.store.Past(func(p journal.Past) error {
		out, err := b.engine.Settle(p, call.MomentOf(b.now()), news)
		if err == nil {
			arrange(batch, out)
		}
		return err
	})
}

// pack puts in what waits for a commit to go along with.
func (b *books) pack(batch *storage.Batch) {
	if len(b.unsaved) == 0 {
		return
	}
	if batch.State == nil {
		batch.State = map[string][]byte{}
	}
	for name, v := range b.unsaved {
		if _, newer := batch.State[name]; !newer {
			batch.State[name] = v
		}
	}
}

// saved lets go of what a commit has stored.
func (b *books) saved(batch *storage.Batch) {
	for name := range batch.State {
		delete(b.unsaved, name)
	}
}

// number gives revisions to calls that could not be settled.
func (b *books) number(batch *storage.Batch) error {
	return b.store.Past(func(p journal.Past) error {
		last := map[string]uint64{}
		for i := range batch.Entries {
			r := batch.Entries[i].Call
			if r == nil {
				continue
			}
			if _, ok := last[r.ID]; !ok {
				was, err := p.Call(r.ID)
				if err != nil {
					return err
				}
				if was != nil {
					last[r.ID] = was.Rev
				}
			}
			last[r.ID]++
			r.Rev = last[r.ID]
		}
		return nil
	})
}

// arrange puts an outcome into the batch: what came in at the place of its last
// word, if it says anything new, and what follows from it behind.
func arrange(batch *storage.Batch, out *journal.Outcome) {
	of := make(map[string]*journal.Settled, len(out.Calls))
	for i := range out.Calls {
		c := &out.Calls[i]
		of[idOf(c)] = c
	}
	last := map[string]int{}
	for i := range batch.Entries {
		if e := &batch.Entries[i]; e.Op != storage.OpGap {
			last[entryID(e)] = i
		}
	}
	kept := make([]storage.Entry, 0, len(batch.Entries)+len(out.Calls))
	for i := range batch.Entries {
		e := batch.Entries[i]
		if e.Op != storage.OpGap {
			id := entryID(&e)
			if of[id] == nil || last[id] != i {
				continue
			}
		}
		kept = append(kept, e)
	}
	for i := range out.Calls {
		if c := &out.Calls[i]; !c.Own {
			kept = append(kept, storage.Entry{Op: storage.OpCall, Call: c.Now})
		}
	}
	batch.Entries, batch.Moves = kept, out.Moves
}

func idOf(c *journal.Settled) string {
	if c.Now != nil {
		return c.Now.ID
	}
	return c.Was.ID
}

func entryID(e *storage.Entry) string {
	if e.Call != nil {
		return e.Call.ID
	}
	return e.ID
}

// put stores a batch that is settled.
func (b *books) put(batch *storage.Batch) error {
	if err := b.store.Commit(batch); err != nil {
		return err
	}
	b.saved(batch)
	return nil
}

// outcome stores what the engine found by itself.
func (b *books) outcome(batch *storage.Batch, find func(journal.Past) (*journal.Outcome, error)) error {
	err := b.store.Past(func(p journal.Past) error {
		out, err := find(p)
		if err != nil {
			return err
		}
		for i := range out.Calls {
			batch.Entries = append(batch.Entries, storage.Entry{Op: storage.OpCall, Call: out.Calls[i].Now})
		}
		batch.Moves = out.Moves
		return nil
	})
	if err != nil {
		return err
	}
	b.pack(batch)
	if len(batch.Entries)+len(batch.Moves)+len(batch.State) == 0 {
		return nil // nothing was found, and nothing waits
	}
	return b.put(batch)
}

const lostAtOnce = 256

// tick lets time pass: calls that nobody called back become lost, at most so many
// at a time.
func (b *books) tick() error {
	return b.outcome(&storage.Batch{}, func(p journal.Past) (*journal.Outcome, error) {
		return b.engine.Tick(p, call.MomentOf(b.now()), lostAtOnce)
	})
}

// trouble tells of work that is tried again later.
func (b *books) trouble(err error) {
	if ok, silent := b.troubles.let(b.now()); ok {
		b.log.Error("the journal's own work waits; it is tried again", "err", err, "silent", silent)
	}
}

// busy says whether slice has something to do.
func (b *books) busy() bool { return b.counting || b.review.Ended == 0 || b.pending() != "" }

// slice goes on with settling the journal anew: first the totals, if the days or
// the service level are others or there are none yet, then the numbers that
// people named, then call by call.
func (b *books) slice() error {
	if b.counting {
		done, err := b.store.Recount(b.settings.counting)
		b.counting = err != nil || done.More
		return err
	}
	if history := b.pending(); history != "" {
		return b.reviewSpam(history)
	}
	r := b.review
	recs, next, err := b.store.CallsAfter(r.After, reviewSlice)
	if err != nil {
		return err
	}
	r.After, r.Done = next, r.Done+uint64(len(recs))
	r.Total = max(r.Total, r.Done)
	if len(recs) < reviewSlice { // calls that arrive from now on are settled so already
		r.Ended = call.MomentOf(b.now())
	}
	batch := &storage.Batch{}
	for _, rec := range recs {
		batch.Entries = append(batch.Entries, storage.Entry{Op: storage.OpCall, Call: rec})
	}
	if err := b.settle(batch); err != nil {
		return err
	}
	r.Changed += uint64(len(batch.Entries))
	if batch.State == nil {
		batch.State = map[string][]byte{}
	}
	batch.State[stateReview] = asState(r)
	if err := b.put(batch); err != nil {
		return err
	}
	b.review = r
	b.show()
	if r.Ended != 0 {
		b.log.Info("every call is settled by the settings in force", "calls", r.Done, "changed", r.Changed, "settings", r.Version, "took", r.Ended.Sub(r.Began).String())
	}
	return nil
}

// change asks for other settings; it waits for nobody and is for all.
func (b *books) change(s *settings) {
	b.next.Store(s)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// show tells status how far the job is.
func (b *books) show() {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.review
	b.shown = api.Review{Settings: r.Version, Since: b.standing.Since, Done: r.Done, Total: r.Total, Changed: r.Changed, BeganAt: r.Began, EndedAt: r.Ended}
}

// status is for all.
func (b *books) status() api.Review {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shown
}

// rulesOf are the rules that gave a verdict; it is for all.
func (b *books) rulesOf(version uint32) (journal.Rules, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.rules[version]
	return r, ok
}
