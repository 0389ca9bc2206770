package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"calljournal/agent/config"
	"calljournal/agent/uplink"

	"github.com/cenkalti/backoff/v5"
)

// States of a branch.
const (
	Waiting = "waiting" // its uplink is not there, or it has pushed nothing yet
	Up      = "up"
	Lost    = "lost"    // tried again by itself
	Refused = "refused" // somebody must see to it
	Stalled = "stalled" // the database does not take anything
)

// Look is what a branch says of itself.
type Look struct {
	Name, Via string
	State     string
	Since     time.Time // of State
	Error     string    // why it is not up
	NextTry   time.Time

	Journal                              string
	Cursor, Head, Entries, Refused, Lost int64
	Resets                               int64
	LastSeen, LastEntry                  time.Time
	// Gaps are those that are not healed.
	Gaps int64
}

// Lag is how many entries are not stored yet.
func (l Look) Lag() int64 { return max(0, l.Head-l.Cursor) }

// Behind is how old the newest stored entry is, while there are newer ones: how
// far in the past a report on the database ends. 0 if it has everything.
func (l Look) Behind(now time.Time) time.Duration {
	if l.Lag() == 0 || l.LastEntry.IsZero() {
		return 0
	}
	return max(0, now.Sub(l.LastEntry))
}

// branch follows one agent.
type branch struct {
	c      config.Branch
	self   config.CollectSelf
	store  *store
	room   *room
	log    *slog.Logger
	now    func() time.Time
	lines  chan *uplink.Branch // the newest line of a branch that dials us
	pushes sync.Mutex          // one push of an agent at a time

	mu   sync.Mutex
	look Look
}

// Times of a branch.
const (
	wait       = 30 * time.Second // of a long poll
	pageWithin = 2 * time.Minute  // from the request to the end of a page, the poll not counted
	ackEvery   = 5 * time.Second
	firstPause = time.Second
	longest    = time.Minute
)

func newBranch(c config.Branch, self config.CollectSelf, s *store, r *room, log *slog.Logger, now func() time.Time) *branch {
	b := &branch{c: c, self: self, store: s, room: r, log: log.With("agent", c.Name), now: now, lines: make(chan *uplink.Branch, 1)}
	b.look = Look{Name: c.Name, Via: c.Via, State: Waiting, Since: now()}
	return b
}

// Look says how the branch is now.
func (b *branch) Look() Look {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.look
}

func (b *branch) change(do func(l *Look)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	do(&b.look)
}

// state notes how the branch is, and tells the log what is new about that.
func (b *branch) state(state, why string, wait time.Duration) {
	b.change(func(l *Look) {
		news := l.State != state || l.Error != why
		if l.State != state {
			l.State, l.Since = state, b.now()
		}
		l.Error, l.NextTry = why, time.Time{}
		if wait > 0 {
			l.NextTry = b.now().Add(wait)
		}
		switch {
		case !news:
		case state == Up:
			b.log.Info("branch is followed", "journal", l.Journal, "cursor", l.Cursor)
		case why != "":
			b.log.Warn("branch is not followed", "state", state, "err", why, "again_in", wait.Round(time.Millisecond).String())
		}
	})
}

// refusedError: trying again changes nothing until somebody sees to it.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// storeError: the fault is the database's, not the agent's.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// run follows the agent until ctx ends. Whatever goes wrong, it begins again from
// the cursor in the database.
func (b *branch) run(ctx context.Context) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, longest
	f := &follower{branch: b, limit: b.self.Page, well: pause.Reset}
	defer f.hangUp()
	for ctx.Err() == nil {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		var no *refusedError
		var full *storeError
		state, wait := Lost, pause.NextBackOff()
		switch {
		case errors.Is(err, uplink.ErrLineEnded):
			b.state(Waiting, "the uplink of the branch has ended", 0)
			continue // the next one wakes us
		case errors.As(err, &no):
			state = Refused
		case errors.As(err, &full):
			state = Stalled
		}
		b.state(state, err.Error(), wait)
		sleep(ctx, wait)
	}
}

// await serves a branch that pushes: it only shows what is known.
func (b *branch) await(ctx context.Context) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, longest
	for ctx.Err() == nil {
		p, err := b.store.position(ctx, b.c.Name)
		if err == nil {
			b.at(p)
			return
		}
		wait := pause.NextBackOff()
		b.state(Stalled, err.Error(), wait)
		sleep(ctx, wait)
	}
}

// at shows a position.
func (b *branch) at(p position) {
	b.change(func(l *Look) {
		l.Journal, l.Cursor, l.Head, l.Entries, l.Refused, l.Lost, l.Resets, l.LastEntry = p.Journal, p.Cursor, max(p.Head, l.Head), p.Entries, p.Refused, p.Lost, p.Resets, p.LastEntry
	})
}

// stored shows what a batch changed.
func (b *branch) stored(batch *batch, refused int) {
	now := b.now()
	last := batch.entries[len(batch.entries)-1]
	b.change(func(l *Look) {
		l.Journal = batch.journal
		if batch.from >= 0 || last.Seq > l.Cursor {
			l.Cursor = last.Seq
		}
		l.Head = max(batch.head, l.Cursor)
		l.Entries += int64(len(batch.entries))
		l.Refused += int64(refused)
		l.LastSeen = now
		if last.At.After(l.LastEntry) {
			l.LastEntry = last.At
		}
	})
	if refused > 0 {
		b.log.Error("the database refused entries: they are in the table refused", "count", refused, "to", last.Seq)
	}
}

// line takes a connection that the branch dialled; the one before is of no use
// any more, or the branch would not have dialled.
func (b *branch) line(l *uplink.Branch) {
	for {
		select {
		case b.lines <- l:
			return
		case old := <-b.lines:
			old.Close()
		}
	}
}

// dropLine cuts one that nobody has taken.
func (b *branch) dropLine() {
	select {
	case l := <-b.lines:
		l.Close()
	default:
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// room bounds the bytes of pages in memory, of all branches together.
type room struct {
	mu   sync.Mutex
	left int64
}

// errNoRoom: too many pages are in memory just now.
var errNoRoom = errors.New("too much is in memory just now: asking again, for less")

func (r *room) take(n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left < n {
		return errNoRoom
	}
	r.left -= n
	return nil
}

func (r *room) give(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += n
}

// share is what one page takes of the room.
type share struct {
	room  *room
	taken int64
}

// grow makes the share n bytes large.
func (s *share) grow(n int64) error {
	if n <= s.taken {
		return nil
	}
	if n > maxPageBytes {
		return fmt.Errorf("a page of more than %d MB", maxPageBytes>>20)
	}
	if err := s.room.take(n - s.taken); err != nil {
		return err
	}
	s.taken = n
	return nil
}

func (s *share) free() {
	s.room.give(s.taken)
	s.taken = 0
}

const (
	maxPageBytes = 96 << 20  // an entry may be 64 MB
	maxRoom      = 256 << 20 // of all pages
)
