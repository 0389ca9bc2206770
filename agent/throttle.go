package agent

import (
	"sync/atomic"
	"time"
)

// throttle lets one of many equal messages through per minute. total counts all.
type throttle struct {
	total  atomic.Uint64
	last   time.Time
	silent uint64
}

// let counts one more and says whether to log it, and how many were not logged
// since the last one that was. It is for one goroutine.
func (t *throttle) let(now time.Time) (ok bool, silent uint64) {
	t.total.Add(1)
	if !t.last.IsZero() && now.Sub(t.last) < time.Minute {
		t.silent++
		return false, 0
	}
	silent, t.silent, t.last = t.silent, 0, now
	return true, silent
}
