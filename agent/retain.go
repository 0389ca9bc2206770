package agent

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/config"
	"calljournal/storage"
)

// retention is what has been dropped in this run, for status.
type retention struct {
	mu      sync.Mutex
	dropped uint64
	heldBy  string
	err     string
	stepped time.Duration // by how much the clock was set forward in this run
}

func (r *retention) count() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

const (
	retainFirst = 10 * time.Second // after the start, which has better to do
	retainEvery = time.Minute
	// Between two slices the writer is left to the calls for so many times as long
	// as the slice took.
	retainBreath      = 9
	retainBreathLeast = 10 * time.Millisecond
	// A clock that was set forward by so much makes everything look old: nothing
	// is dropped by age until a new start, which somebody has looked at.
	retainStepped = 24 * time.Hour
)

// retain drops, until ctx ends, what the configuration says need not be kept.
func (a *Agent) retain(ctx context.Context) {
	began, clock := time.Now(), a.now().Round(0)
	for wait := retainFirst; ; wait = retainEvery {
		if !sleep(ctx, wait) {
			return
		}
		for {
			begin := time.Now()
			stepped := a.now().Round(0).Sub(clock) - begin.Sub(began)
			if more := a.retainSlice(stepped); !more || !sleep(ctx, max(retainBreathLeast, retainBreath*time.Since(begin))) {
				break
			}
		}
	}
}

// sleep says whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *Agent) retainSlice(stepped time.Duration) (more bool) {
	keep := retentionOf(a.config.Load().Retention)
	if stepped < retainStepped {
		stepped = 0
	} else {
		keep.MaxAge, keep.MaxWait = 0, 0
	}
	var done storage.Retained
	var err error
	if keep.MaxAge > 0 || keep.MaxBytes > 0 {
		done, err = a.store.Retain(keep)
	}
	for _, m := range done.Missed {
		a.log.Error("dropped entries that a consumer had not stored", "consumer", m.Consumer, "entries", m.Entries, "waited", keep.MaxWait.String())
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	r := &a.retention
	r.mu.Lock()
	heldBy, was := r.heldBy, r.err
	r.dropped, r.stepped, r.heldBy, r.err = r.dropped+done.Dropped, stepped, done.HeldBy, text
	r.mu.Unlock()
	if done.HeldBy != "" && done.HeldBy != heldBy {
		a.log.Warn("what need not be kept is kept for a consumer that has not stored it", "consumer", done.HeldBy)
	}
	if err != nil && text != was {
		a.log.Error("nothing can be dropped", "err", err)
	}
	return done.More
}

func retentionOf(c config.Retention) storage.Retention {
	return storage.Retention{MaxAge: c.CallsAge(), MaxBytes: c.MaxSize.Bytes, MaxWait: c.ConsumersAge()}
}

func (a *Agent) retentionStatus(st *api.Status) {
	c := a.config.Load().Retention
	r := &a.retention
	r.mu.Lock()
	defer r.mu.Unlock()
	st.Retention = api.Retention{CallsDays: c.CallsDays, MaxBytes: c.MaxSize.Bytes, WaitForConsumersDays: c.WaitForConsumersDays,
		UsedBytes: st.Journal.FileBytes - st.Journal.FreeBytes, Dropped: r.dropped, HeldBy: r.heldBy, Error: r.err}
	if r.heldBy != "" {
		limit := "as long as it takes"
		if c.WaitForConsumersDays > 0 {
			limit = fmt.Sprintf("until it is %d days old", c.WaitForConsumersDays)
		}
		if name, ok := strings.CutPrefix(r.heldBy, "forward/"); ok {
			st.AddWarning("held_by_forward", fmt.Sprintf("retention: forward %s has not sent the oldest entry, or set it aside, so that it is kept %s: see calljournal forward dead %[1]s", name, limit),
				"name", name)
		} else {
			st.AddWarning("held_by_consumer", fmt.Sprintf("retention: consumer %s has not stored the oldest entry, which need not be kept: it is kept %s. If the consumer is gone for good: calljournal consumer forget %[1]s", r.heldBy, limit),
				"name", r.heldBy)
		}
	}
	if r.stepped > 0 && c.CallsDays > 0 {
		st.AddProblem("clock", fmt.Sprintf("retention: the clock of this machine was set forward by %s since the start, so nothing is dropped by age; if the clock is right: calljournal service restart", r.stepped.Round(time.Minute)),
			"step_ms", fmt.Sprint(r.stepped.Milliseconds()))
	}
	if r.err != "" {
		st.AddProblem("retention", "retention: nothing can be dropped: "+r.err, "error", r.err)
	}
	for _, k := range st.Consumers {
		if k.Missed > 0 {
			st.AddProblem("consumer_missed", fmt.Sprintf("consumer %s: %d entries that it had not stored are no longer kept; it must begin anew at after=0. If it is gone for good: calljournal consumer forget %[1]s", k.Name, k.Missed),
				"name", k.Name, "count", fmt.Sprint(k.Missed))
		}
	}
}
