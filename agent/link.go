package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/connectors"

	"github.com/cenkalti/backoff/v5"
)

// link is the line to one PBX and what becomes of it.
type link struct {
	pbx  config.PBX
	log  *slog.Logger
	conn connectors.Connector

	// The ingest goroutine's own.
	tracker   *call.Tracker
	now       memory // as the last committed fact leaves it
	then      memory // as it was last put into a group
	anomalies throttle

	healer *healer // nil: there is no cdr_file

	mu     sync.Mutex
	status api.Link
}

// memory is what the journal must know of a link beyond the facts of open calls:
// it is committed along with them, so that a new run knows since when it was
// blind, and no session number is used twice.
type memory struct {
	Session uint64      `json:"session"`
	Up      bool        `json:"up"`
	Seen    call.Moment `json:"seen"`  // last sign of life while up, on our clock
	Ahead   call.Moment `json:"ahead"` // how far the PBX's clock is ahead of ours
	Why     string      `json:"why"`   // it is not up
}

func stateName(pbx string) string { return "link/" + pbx }

// newLink restores what was known of the link when the last run ended.
func (a *Agent) newLink(p config.PBX) (*link, error) {
	log := a.log.With("pbx", p.Name)
	conn, err := a.o.Connect(p, log)
	if err != nil {
		return nil, fmt.Errorf("[[pbx]] %q: %w", p.Name, err)
	}
	l := &link{pbx: p, log: log, conn: conn, tracker: call.New(call.Options{
		Agent: a.o.Config.Agent.Name, PBX: p.Name, PBXKind: p.Kind, Trunks: p.Trunks, Extensions: p.ExtensionPattern(),
	})}
	if l.healer, err = a.newHealer(p); err != nil {
		return nil, err
	}
	facts, err := a.store.Facts(p.Name)
	if err != nil {
		return nil, err
	}
	b, err := a.store.State(stateName(p.Name))
	if err != nil {
		return nil, err
	}
	if b != nil {
		if err := json.Unmarshal(b, &l.now); err != nil {
			return nil, fmt.Errorf("journal: state of link %q: %w", p.Name, err)
		}
	}
	l.tracker.Restore(facts, l.now.Ahead.Sub(0))
	l.then = l.now
	l.status = api.Link{PBX: p.Name, Kind: p.Kind, Address: p.Address, State: api.LinkConnecting, Since: a.startedAt, Session: l.now.Session}
	if len(facts) > 0 {
		log.Info("calls were open when the last run ended", "facts", len(facts))
	}
	return l, nil
}

// lastRun is the fact that the last run ended, if its link was up: the gap
// begins there. A link that was down when it ended stays down since then.
func (l *link) lastRun() (call.Event, bool) {
	if l.now.Session == 0 || l.now.Seen == 0 {
		return call.Event{}, false
	}
	why := l.now.Why
	if l.now.Up {
		why = "agent stopped"
	}
	return call.Event{Kind: call.LinkDown, Session: l.now.Session, At: l.now.Seen + l.now.Ahead, Seen: l.now.Seen, Data: why}, true
}

// Waits between two tries. Calls that begin while a restarted PBX is up again and
// we are not there are calls half seen: for half a minute we try ten times a
// second, and more often while nobody is there at all, for that costs no more
// than a refused connection. A PBX that refuses our sign-in is left alone,
// because its fail2ban counts.
const (
	eager, eagerMost          = 30 * time.Second, 100 * time.Millisecond
	eagerAbsent               = 40 * time.Millisecond
	retryFirst, retryMost     = 50 * time.Millisecond, 30 * time.Second
	refusedFirst, refusedMost = 10 * time.Second, 5 * time.Minute
	steady                    = 5 * time.Second // up for so long, and the next loss is a new one
)

func newBackOff(first, most time.Duration, factor float64) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier, b.RandomizationFactor = first, most, factor, 0.25
	b.Reset()
	return b
}

// supervise keeps the link up until ctx ends. It is the only one that counts
// sessions.
func (a *Agent) supervise(ctx context.Context, l *link) {
	lost, refused := newBackOff(retryFirst, retryMost, 1.5), newBackOff(refusedFirst, refusedMost, 2)
	session := l.now.Session
	lostAt := a.now()
	for {
		session++
		var upSince time.Time
		var last call.Event
		err := a.session(ctx, l, session, func(e call.Event) {
			if e.Kind == call.LinkUp && upSince.IsZero() {
				upSince = a.now()
				l.up(call.MomentOf(upSince), session)
			}
			if e.Kind == call.LinkDown && ctx.Err() != nil {
				return // the next run says that this one ended: the same way as after a kill
			}
			last = call.Event{Kind: e.Kind, Seq: e.Seq, Seen: e.Seen}
			a.emit(l, e)
		})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("the link ended without a reason")
		}
		if !upSince.IsZero() {
			if last.Kind != call.LinkDown { // a connector may say so itself
				at := max(l.conn.Stats().LastByteAt, last.Seen)
				a.emit(l, call.Event{Kind: call.LinkDown, Session: session, Seq: last.Seq + 1, At: at, Seen: at, Data: reason(err)})
			}
			if a.now().Sub(upSince) >= steady {
				lost.Reset()
				lostAt = a.now()
			}
			refused.Reset()
		}
		wait := lost.NextBackOff()
		if a.now().Sub(lostAt) < eager {
			wait = min(wait, eagerMost)
			if errors.Is(err, connectors.ErrUnreachable) {
				wait = min(wait, eagerAbsent)
			}
		}
		if errors.Is(err, connectors.ErrLoginRefused) {
			wait = refused.NextBackOff()
		}
		l.down(call.MomentOf(a.now()), err, wait)
		if !sleep(ctx, wait) {
			return
		}
	}
}

// emit waits while ingest is behind, but not for one that has ended.
func (a *Agent) emit(l *link, e call.Event) {
	f := fact{l, e}
	select {
	case a.events <- f: // mostly there is room, and asking for one thing costs less than for two
		return
	default:
	}
	select {
	case a.events <- f:
	case <-a.noMore:
	}
}

// session is one of a link's. A fault of ours in reading one PBX is that link's
// loss, not everybody's.
func (a *Agent) session(ctx context.Context, l *link, session uint64, emit func(call.Event)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			a.metrics.panics.Inc()
			l.log.Error("BUG: the connector panicked", "err", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal fault: %v", p)
		}
	}()
	return l.conn.Run(ctx, session, emit)
}

// reason is why a link ended, in the one word that a gap carries.
func reason(err error) string {
	switch {
	case errors.Is(err, connectors.ErrLineDead):
		return "line dead"
	case errors.Is(err, connectors.ErrLoginRefused):
		return "login refused"
	case errors.Is(err, connectors.ErrNotAPBX):
		return "protocol error"
	}
	return "link lost"
}

func (l *link) up(at call.Moment, session uint64) {
	l.mu.Lock()
	s := &l.status
	was := s.State
	s.State, s.Since, s.Session, s.Error, s.Why, s.NextTry = api.LinkUp, at, session, "", "", 0
	l.mu.Unlock()
	l.log.Info("link is up", "address", l.pbx.Address, "session", session, "after", was)
}

// down says once in the log why the link is not up, and again only when the
// reason changes; status has it all the time.
func (l *link) down(at call.Moment, err error, wait time.Duration) {
	l.mu.Lock()
	s := &l.status
	state := api.LinkLost
	switch {
	case errors.Is(err, connectors.ErrLoginRefused):
		state = api.LinkRefused
	case s.State == api.LinkConnecting:
		state = api.LinkConnecting
	}
	if s.State != state {
		s.Since = at
	}
	news := s.State != state || s.Error != err.Error()
	s.State, s.Error, s.Why, s.NextTry = state, err.Error(), reason(err), at.Add(wait)
	if errors.Is(err, connectors.ErrUnreachable) {
		s.Why = "unreachable"
	}
	l.mu.Unlock()
	if news {
		l.log.Warn("link is down", "err", err, "next_try_in", wait.Round(time.Millisecond).String())
	}
}

// isUp is for those who are not told of it by facts.
func (l *link) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.State == api.LinkUp
}

// look is the link as status shows it.
func (l *link) look() api.Link {
	l.mu.Lock()
	s := l.status
	l.mu.Unlock()
	c := l.conn.Stats()
	s.PBXVersion, s.LastByteAt, s.Bytes, s.Messages, s.Thinned = c.PBXVersion, c.LastByteAt, c.Bytes, c.Messages, c.Thinned
	s.Events, s.Dropped, s.QueueBytes = c.Events, c.DroppedByQueue, c.QueueBytes
	s.Malformed, s.Warnings = c.Malformed, c.Warnings
	if s.Malformed == nil {
		s.Malformed = map[string]uint64{}
	}
	if s.Warnings == nil {
		s.Warnings = []string{}
	}
	s.Anomalies = l.anomalies.total.Load()
	s.Healing = l.healer.look()
	return s
}
