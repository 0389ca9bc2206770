package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"calljournal/agent/call"
)

// source is what a lane is about: a report or an alert. Its methods are called by
// the lane's goroutine only.
type source interface {
	// begin makes a note good to go on from: a new one, or one of another schedule
	// or journal.
	begin(now time.Time, n *note, known bool)
	// next gives the letter that is due, or what there is to wait for until there
	// may be one. It may change the note.
	next(now time.Time, n *note) (*letter, rest, error)
}

// letter is one mail that is due, before it is written.
type letter struct {
	what string // for people: what it is about
	// old is when there is no use in trying it any longer; zero: the usual time.
	old time.Time
	// write makes the mail. It may be dear, and is asked for again at every try.
	write func(context.Context) (*Message, error)
	// done changes the note when the letter was taken or given up.
	done func(*note)
}

// rest is what a lane waits for.
type rest struct {
	until   time.Time // zero: not for a time
	changed bool      // the journal changed
	waiting int       // missed calls that a mail will be about
}

const (
	retryFirst, retryMost = 15 * time.Second, 15 * time.Minute
	stuckTries            = 3
	// giveUp is how long a letter is tried, as long as mail servers do.
	giveUp = 3 * 24 * time.Hour
	// longestRest bounds how late a step of the machine's clock is seen.
	longestRest = time.Minute
)

// lane sends what is due to one address.
type lane struct {
	o    *Options
	m    *Mailings
	key  string
	src  source
	log  *slog.Logger
	wake chan struct{}
	done chan struct{}

	stop, abort func() // nothing new; give up what is under way
	retry       *backoff.ExponentialBackOff

	mu     sync.Mutex
	n      note
	status Status
	fails  int         // in a row, of any kind
	asked  call.Moment // a mail that somebody asked for arrived, and is not in n yet
}

// begin finds where to go on from.
func (l *lane) begin() {
	n, known := l.m.notes.get(l.key)
	l.src.begin(l.o.Now(), &n, known)
	l.set(n)
}

// run works until stop ends; a mail under way ends with abort.
func (l *lane) run(stop, abort context.Context) {
	if !l.save(stop, l.note()) {
		return
	}
	for stop.Err() == nil {
		changed := l.o.Journal.Changed()
		now := l.o.Now()
		n := l.note()
		if l.arrived(&n) {
			if l.set(n); !l.save(stop, n) {
				return
			}
		}
		was := n
		lt, rest, err := l.next(now, &n)
		if err != nil {
			if !l.fail(stop, err, time.Time{}) {
				return
			}
			continue
		}
		l.set(n)
		l.resting(rest)
		// What was only looked at is worth a write now and then; what is about to be
		// mailed is noted first.
		if (lt != nil && (n.Until != was.Until || n.Due != was.Due) || n.Seq >= l.savedSeq()+skipSave) && !l.save(stop, n) {
			return
		}
		if lt == nil {
			l.sleep(stop, now, rest, changed)
			continue
		}
		if !l.deliver(stop, abort, lt) {
			return
		}
	}
}

// skipSave is how many entries that no alert wants are passed before it is noted.
const skipSave = 1000

func (l *lane) savedSeq() uint64 {
	n, _ := l.m.notes.get(l.key)
	return n.Seq
}

func (l *lane) next(now time.Time, n *note) (lt *letter, r rest, err error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("BUG: what is due cannot be told", "err", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal fault: %v", p)
		}
	}()
	return l.src.next(now, n)
}

// deliver tries a letter once. It gives false if the end comes first.
func (l *lane) deliver(stop, abort context.Context, lt *letter) bool {
	err := l.try(abort, lt)
	now := l.o.Now()
	n := l.note()
	if err != nil {
		n.Tries++
		if n.Since == 0 {
			n.Since = call.MomentOf(now)
		}
	}
	old := lt.old
	if usual := n.Since.Time().Add(giveUp); old.IsZero() || usual.Before(old) {
		old = usual
	}
	var refused *Refused
	switch {
	case err == nil:
		l.log.Info("mailed", "what", lt.what)
		n.SentAt, n.Aside = call.MomentOf(now), nil
	case errors.As(err, &refused):
		l.log.Error("the mail server refuses a mail: it is set aside", "what", lt.what, "err", err, "tries", n.Tries)
		n.putAside(lt, now, err)
	case stop.Err() != nil:
		return false
	case !now.Before(old):
		l.log.Error("a mail was given up", "what", lt.what, "err", err, "tries", n.Tries, "since", n.Since.Time())
		n.putAside(lt, now, fmt.Errorf("given up after %s: %w", now.Sub(n.Since.Time()).Round(time.Second), err))
	default:
		l.set(n)
		if err := l.m.notes.put(l.key, n); err != nil {
			l.log.Warn("a try is not noted", "err", err)
		}
		return l.fail(stop, err, old)
	}
	n.Since, n.Tries = 0, 0
	lt.done(&n)
	l.set(n)
	l.finished(err == nil)
	return l.save(stop, n)
}

func (n *note) putAside(lt *letter, now time.Time, err error) {
	kept := n.Aside
	if len(kept) >= mostAside {
		kept = kept[len(kept)-mostAside+1:]
	}
	n.Aside = append(append([]Aside{}, kept...), Aside{What: lt.what, At: call.MomentOf(now), Tries: n.Tries, Error: err.Error()})
}

// try writes a letter and sends it. Only so many are at it at a time, which bounds
// what documents take in memory. A fault of ours in it is this lane's only.
func (l *lane) try(ctx context.Context, lt *letter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("BUG: a mail panicked", "what", lt.what, "err", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal fault: %v", p)
		}
	}()
	select {
	case l.m.slots <- struct{}{}:
		defer func() { <-l.m.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	m, err := lt.write(ctx)
	if err != nil {
		return err
	}
	return l.m.sender().Send(ctx, m)
}

// save notes n until it is noted. It gives false if the end comes first: then what
// was mailed last may be mailed once more.
func (l *lane) save(stop context.Context, n note) bool {
	for {
		err := l.m.notes.put(l.key, n)
		if err == nil {
			return true
		}
		if !l.fail(stop, err, time.Time{}) {
			return false
		}
	}
}

// fail notes why nothing goes out just now and waits for the next try, which is
// not after old. It gives false if the end comes first.
func (l *lane) fail(stop context.Context, err error, old time.Time) bool {
	if stop.Err() != nil {
		return false
	}
	now := l.o.Now()
	wait := l.retry.NextBackOff()
	if left := old.Sub(now); !old.IsZero() && left < wait {
		wait = max(left, 0)
	}
	l.mu.Lock()
	s := &l.status
	l.fails++
	if s.State == StateWell {
		s.State, s.Since = StateRetrying, call.MomentOf(now)
	}
	was := s.State
	if l.fails >= stuckTries {
		s.State = StateStuck
	}
	news := s.Error != err.Error() || s.State != was
	s.Error, s.NextTry, s.Failed = err.Error(), call.MomentOf(now.Add(wait)), s.Failed+1
	state := s.State
	l.mu.Unlock()
	if news {
		l.log.Warn("not mailed; trying again", "err", err, "state", state, "next_try_in", wait.Round(time.Second).String())
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.wake:
		return true
	case <-stop.Done():
		return false
	}
}

// finished: a letter was taken, or given up.
func (l *lane) finished(taken bool) {
	l.retry.Reset()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.status
	if taken {
		s.Sent++
	} else {
		s.Failed++
	}
	s.State, s.Since, s.Error, s.NextTry, l.fails = StateWell, 0, "", 0, 0
}

func (l *lane) resting(r rest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Waiting = r.waiting
	l.status.Next = 0
	if !r.until.IsZero() && (r.waiting > 0 || l.status.Kind == KindReport) {
		l.status.Next = call.MomentOf(r.until)
	}
}

func (l *lane) sleep(stop context.Context, now time.Time, r rest, changed <-chan struct{}) {
	if !r.changed {
		changed = nil
	}
	wait := longestRest
	if !r.until.IsZero() {
		wait = min(wait, max(r.until.Sub(now), 0))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-l.wake:
	case <-stop.Done():
	}
}

func (l *lane) note() note {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// arrived takes over that a mail arrived which somebody had asked for.
func (l *lane) arrived(n *note) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == 0 {
		return false
	}
	n.SentAt, n.Aside, l.asked = l.asked, nil, 0
	return true
}

func (l *lane) set(n note) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n = n
}

// look is what status says of the lane.
func (l *lane) look() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	s.SentAt, s.Tries, s.Aside, s.Missed = l.n.SentAt, l.n.Tries, l.n.Aside, l.n.Missed
	if l.asked != 0 {
		s.SentAt, s.Aside = l.asked, nil
	}
	return s
}

// end lets the mail under way finish, if it is quick about it.
func (l *lane) end() {
	l.stop()
	time.AfterFunc(grace, l.abort)
}
