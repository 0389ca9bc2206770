package agent

import (
	"context"
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

// commit is the only goroutine that writes the journal. When no later try can
// succeed it calls fail, and takes groups to the end all the same, because
// ingest must be able to end. It gives the reason why something was not written.
func (a *Agent) commit(fail context.CancelCauseFunc) (lost error) {
	for g := range a.groups {
		if lost != nil {
			continue
		}
		if lost = a.commitGroup(g); lost != nil {
			a.log.Error("changes were not committed; the next run begins with a gap", "changes", g.changes, "err", lost)
			fail(lost)
		}
	}
	return lost
}

// commitGroup tries until it succeeds. The group stays as it is between tries:
// the store recognises one whose outcome the disk did not confirm.
func (a *Agent) commitGroup(g group) error {
	retry := newBackOff(commitRetryFirst, commitRetryMost, 2)
	for first := true; ; first = false {
		begin := a.now()
		err := a.store.Commit(g.batch)
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
