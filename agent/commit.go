package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/storage"
)

// trouble is what keeps the journal from being written, for status.
type trouble struct {
	mu     sync.Mutex
	stuck  *api.Stuck
	panics throttle // the ingest goroutine's
}

func (t *trouble) set(s *api.Stuck) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stuck = s
}

func (t *trouble) get() *api.Stuck {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stuck == nil {
		return nil
	}
	s := *t.stuck
	return &s
}

const (
	commitRetryFirst = 100 * time.Millisecond
	commitRetryMost  = 5 * time.Second // room that came back is used within this
)

// order is something else than a group that the commit goroutine is to do. It
// tries once.
type order struct {
	what string
	do   func() error
	done chan error
}

// commit is the only goroutine that writes calls to the journal. When no later
// try can succeed it calls fail, and takes groups to the end all the same,
// because ingest must be able to end. It gives the reason why something was not
// written.
//
// Between groups it does what it is asked to, lets time pass for missed calls,
// and settles the journal anew, a slice at a time, with a breath after each as
// long as the slice took.
func (a *Agent) commit(fail context.CancelCauseFunc) (lost error) {
	defer close(a.written)
	clock := time.NewTicker(time.Second)
	defer clock.Stop()
	slice := time.NewTimer(0)
	defer slice.Stop()
	try := func(what string, do func() error) error {
		if lost != nil {
			return lost
		}
		err := do()
		if err != nil && hopeless(err) {
			lost = fmt.Errorf("%s: the journal cannot be written any more: %w", what, err)
			fail(lost)
		}
		return err
	}
	for {
		select {
		case g, ok := <-a.groups:
			if !ok {
				return lost
			}
			if lost != nil {
				continue
			}
			if lost = a.commitGroup(g); lost != nil {
				a.log.Error("changes were not committed; the next run begins with a gap", "changes", g.changes, "err", lost)
				fail(lost)
			}
			a.committedGroups.Add(1)
			select {
			case a.oneMore <- struct{}{}:
			default:
			}
		case o := <-a.orders:
			o.done <- try(o.what, o.do)
		case <-clock.C:
			if err := try("mark lost calls", a.books.tick); err != nil {
				a.books.trouble(err)
			}
		case <-a.books.wake:
			if s := a.books.next.Swap(nil); s != nil {
				a.books.take(s)
				slice.Reset(0)
			}
		case <-slice.C:
			if a.books.busy() && !a.isEnding() {
				begin := a.now()
				err := try("settle calls anew", a.books.slice)
				breath := max(sliceBreath, a.now().Sub(begin))
				if err != nil {
					a.books.trouble(err)
					breath = commitRetryMost
				}
				slice.Reset(breath)
			}
		}
	}
}

// sliceBreath is how long the disk is left to others, at least, after a slice.
const sliceBreath = 5 * time.Millisecond

// inCommit runs do in the commit goroutine and waits for it.
func (a *Agent) inCommit(ctx context.Context, what string, do func() error) error {
	o := order{what, do, make(chan error, 1)}
	select {
	case a.orders <- o:
		return <-o.done
	case <-a.written:
		return fmt.Errorf("%s: %w: the daemon is ending", what, api.ErrBusy)
	case <-ctx.Done():
		return fmt.Errorf("%s: the journal is busy: %w", what, ctx.Err())
	}
}

// commitGroup tries until it succeeds. The group stays as it is between tries:
// the store recognises one whose outcome the disk did not confirm.
func (a *Agent) commitGroup(g group) error {
	if err := a.books.settle(g.batch); err != nil {
		return fmt.Errorf("the journal cannot be read: %w", err)
	}
	retry := newBackOff(commitRetryFirst, commitRetryMost, 2)
	for first := true; ; first = false {
		begin := a.now()
		err := a.books.put(g.batch)
		if err == nil {
			a.committed(g, begin)
			return nil
		}
		if hopeless(err) {
			return fmt.Errorf("the journal cannot be written any more: %w", err)
		}
		if a.isEnding() {
			if g.batch.Urgent {
				return err
			}
			g.batch.Urgent = true // the reserve is for this
			continue
		}
		wait := retry.NextBackOff()
		now := call.MomentOf(a.now())
		s := &api.Stuck{Since: now, Error: err.Error(), Waiting: g.changes, NextTry: now.Add(wait)}
		if was := a.trouble.get(); was != nil {
			s.Since = was.Since
		}
		a.trouble.set(s)
		if first {
			a.log.Error("the journal cannot be written; trying again until it can", "err", err)
		}
		a.sleep(wait)
	}
}

// sleep is cut short when the end begins.
func (a *Agent) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.ending:
	}
}

func (a *Agent) isEnding() bool {
	select {
	case <-a.ending:
		return true
	default:
		return false
	}
}

// hopeless errors stay: only a new start, which opens the journal anew, can help.
func hopeless(err error) bool {
	return errors.Is(err, storage.ErrClosed) || errors.Is(err, storage.ErrDamaged) || errors.Is(err, storage.ErrVersion)
}

// asState is a value of the daemon's own as the journal keeps it, beside the calls.
func asState(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("BUG: %T cannot be kept: %v", v, err))
	}
	return b
}

func (a *Agent) committed(g group, begin time.Time) {
	if was := a.trouble.get(); was != nil {
		a.trouble.set(nil)
		a.log.Info("the journal can be written again", "since", was.Since.Time())
	}
	now := a.now()
	a.metrics.commits.Observe(now.Sub(begin).Seconds())
	if g.since != 0 {
		a.metrics.delay.Observe(max(0, call.MomentOf(now).Sub(g.since).Seconds()))
	}
	if g.last != nil {
		a.lastCall.Store(g.last)
	}
}
