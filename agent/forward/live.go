package forward

import (
	"context"
	"time"
)

const (
	liveWaiting = 256             // events for one forwarder; what comes on top is dropped and counted
	liveTime    = 5 * time.Second // for one of them: later it is of no use to a screen
)

// Watched says whether any forwarder wants live events.
func (f *Forwarders) Watched() bool { return len(*f.watchers.Load()) > 0 }

// Live tells the forwarders that want to know what just happened. It never waits.
func (f *Forwarders) Live(e *Event) {
	for _, r := range *f.watchers.Load() {
		if !r.s.wantsLive(e) {
			continue
		}
		select {
		case r.live <- e:
		default:
			r.count(0, 1)
		}
	}
}

// wantsLive applies the filters that can be told while a call goes on.
func (s *Settings) wantsLive(e *Event) bool {
	narrowed := *s
	narrowed.Status = nil
	return narrowed.wantsRecord(e.Call)
}

// tell sends live events, each once.
func (r *runner) tell(stop context.Context, sink LiveSink) {
	for {
		select {
		case e := <-r.live:
			ctx, cancel := context.WithTimeout(stop, min(liveTime, r.s.Timeout))
			err := sink.SendLive(ctx, e)
			cancel()
			if err == nil {
				r.count(1, 0)
				continue
			}
			r.count(0, 1)
			r.log.Debug("a live event was not delivered", "event", e.Event, "err", err)
		case <-stop.Done():
			return
		}
	}
}

func (r *runner) count(sent, lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.LiveSent += sent
	r.status.LiveLost += lost
}
