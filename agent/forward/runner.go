package forward

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"calljournal/agent/call"
	"calljournal/storage"

	"github.com/cenkalti/backoff/v5"
)

const (
	retryFirst, retryMost     = 500 * time.Millisecond, time.Minute
	refusedFirst, refusedMost = 200 * time.Millisecond, 10 * time.Second
	askedMost                 = time.Hour // of a Retry-After

	// stuckTries and stuckAfter: failing so often, or for so long, is no hiccup.
	stuckTries, stuckAfter = 3, 30 * time.Second
	// refusedInRow: when the far side refuses so many entries one after the other
	// it is not the entries that are wrong, and no more of them are set aside.
	refusedInRow = 20
	// deadMost: a list that nobody looks at must not grow for ever. The forwarder
	// then stops instead.
	deadMost = 10_000

	// settle is how long after its record a call is taken for finished: the tracker
	// lets go of it after 15 s.
	settle = 20 * time.Second
	// Entries that the filter leaves out are noted now and then only, and looked
	// through so many at a time.
	skipSave, scanMost = 1000, 5000
)

// runner is one forwarder at work.
type runner struct {
	o    *Options
	s    Settings
	log  *slog.Logger
	wake chan struct{} // somebody asked for dead letters to be sent again
	live chan *Event   // nil: not asked for
	done chan struct{}

	stop, abort func() // no new request; give up the one under way

	// The goroutine's own.
	sink    Sink
	tries   map[uint64]int // of entries refused and not yet set aside
	retry   *backoff.ExponentialBackOff
	refused *backoff.ExponentialBackOff

	saving  sync.Mutex // over a write, so that an older state never replaces a newer
	mu      sync.Mutex // over what follows
	at      storage.Forwarder
	dirty   bool            // at is not in the journal as it is
	due     bool            // and must be before anything else is sent
	letters map[uint64]bool // numbers of dead letters that are not in the journal as they are here
	saved   uint64
	status  Status
	fails   int
}

func newBackOff(first, most time.Duration) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier, b.RandomizationFactor = first, most, 2, 0.3
	b.Reset()
	return b
}

func newRunner(o *Options, s Settings) *runner {
	r := &runner{
		o: o, s: s, log: o.Logger.With("forward", s.Name, "kind", s.Kind), wake: make(chan struct{}, 1), done: make(chan struct{}),
		tries: map[uint64]int{}, letters: map[uint64]bool{}, retry: newBackOff(retryFirst, retryMost), refused: newBackOff(refusedFirst, refusedMost),
		status: Status{Name: s.Name, Kind: s.Kind, Address: s.address(), State: StateWell},
	}
	if s.Live {
		r.live = make(chan *Event, liveWaiting)
	}
	return r
}

// load finds the place where the forwarder goes on, and notes it, so that from
// now on retention waits for it.
func (r *runner) load() error {
	all, err := r.o.Journal.Forwarders()
	if err != nil {
		return err
	}
	id := r.o.Journal.Journal()
	oldest := r.o.Journal.Oldest() - 1
	fresh := storage.Forwarder{Name: r.s.Name, Journal: id, Seq: oldest, At: r.now()}
	i := slices.IndexFunc(all, func(f storage.Forwarder) bool { return f.Name == r.s.Name })
	switch {
	case i < 0:
		if r.s.Newest {
			fresh.Seq = r.o.Journal.Head()
		}
		r.log.Info("a new forwarder begins", "after", fresh.Seq)
	case all[i].Journal != id:
		r.log.Error("the journal is another one than the forwarder knows, restored or saved from damage: everything in it is sent again, from the oldest",
			"was", all[i].Journal, "is", id, "after", fresh.Seq)
		fresh.Missed = all[i].Missed
		for _, l := range all[i].Dead { // all of them come again
			r.changeLetter(l.Seq)
		}
	default:
		fresh = all[i]
		fresh.Retired = false
	}
	r.mu.Lock()
	r.at, r.dirty = fresh, true
	r.mu.Unlock()
	return r.store()
}

// store writes the state, if it differs from what is written.
func (r *runner) store() error {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	at := r.at
	dirty, due, letters := r.dirty, r.due, r.letters
	changed := make([]storage.DeadLetter, 0, len(letters))
	for seq := range letters {
		if l := letterOf(at.Dead, seq); l != nil {
			changed = append(changed, *l)
		} else {
			changed = append(changed, storage.DeadLetter{Seq: seq, Gone: true})
		}
	}
	r.dirty, r.due, r.letters = false, false, map[uint64]bool{}
	r.mu.Unlock()
	if !dirty {
		return nil
	}
	err := r.o.Journal.SetForwarder(at, changed...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.dirty, r.due = true, r.due || due
		maps.Copy(r.letters, letters)
		return err
	}
	r.saved = at.Seq
	return nil
}

// letterOf finds a dead letter, which are in order of their numbers; nil: gone.
func letterOf(dead []storage.DeadLetter, seq uint64) *storage.DeadLetter {
	i, ok := findLetter(dead, seq)
	if !ok {
		return nil
	}
	return &dead[i]
}

func findLetter(dead []storage.DeadLetter, seq uint64) (int, bool) {
	return slices.BinarySearchFunc(dead, seq, func(l storage.DeadLetter, seq uint64) int { return cmp.Compare(l.Seq, seq) })
}

// changeLetter has a dead letter written, or removed, with the next note.
func (r *runner) changeLetter(seq uint64) { r.letters[seq], r.dirty, r.due = true, true, true }

// save is store until it succeeds. It gives false if the end comes first: then
// what was sent last may be sent once more.
func (r *runner) save(stop context.Context) bool {
	for {
		err := r.store()
		if err == nil {
			return true
		}
		if errors.Is(err, storage.ErrClosed) || !r.fail(stop, fmt.Errorf("note what was sent: %w", err), 0) {
			return false
		}
	}
}

// run works until stop ends; requests end with abort.
func (r *runner) run(stop, abort context.Context) {
	defer func() {
		if err := r.store(); err != nil && !errors.Is(err, storage.ErrClosed) {
			r.log.Warn("what was sent last is not noted and may be sent again", "err", err)
		}
		if r.sink != nil {
			_ = r.sink.Close() // nothing is waiting in it
		}
	}()
	for r.sink == nil {
		sink, err := r.o.Open(r.s, r.log)
		if err == nil {
			r.sink = sink
			r.recovered()
		} else if !r.fail(stop, err, 0) {
			return
		}
	}
	if sink, ok := r.sink.(LiveSink); ok && r.live != nil {
		var live sync.WaitGroup
		defer live.Wait() // before the sink is closed
		live.Go(func() { r.tell(stop, sink) })
	}
	for stop.Err() == nil {
		if !r.resend(stop, abort) {
			return
		}
		changed := r.o.Journal.Changed()
		batch, wait, err := r.gather()
		if err != nil {
			if !r.fail(stop, err, 0) {
				return
			}
			continue
		}
		if r.worthSaving() && !r.save(stop) {
			return
		}
		if len(batch) == 0 {
			r.rest(stop, changed, wait)
			continue
		}
		if !r.deliver(stop, abort, batch) {
			return
		}
	}
}

// worthSaving: an entry that was only left out is no reason to write.
func (r *runner) worthSaving() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.due || r.dirty && r.at.Seq-r.saved >= skipSave
}

// rest waits for something to do.
func (r *runner) rest(stop context.Context, changed <-chan struct{}, wait time.Duration) {
	var timer <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-changed:
	case <-timer:
	case <-r.wake:
	case <-stop.Done():
	}
}

// gather reads the next batch and freezes it: until it is delivered, also over a
// restart, it ends at the same entry. wait is when there may be more without a
// change of the journal; 0: never.
func (r *runner) gather() (batch []Entry, wait time.Duration, err error) {
	r.mu.Lock()
	at := r.at
	r.mu.Unlock()
	limit := r.s.Batch
	if r.s.filtered() {
		limit = max(limit, 500)
	}
	after, waiting, read := at.Seq, call.Moment(0), 0
scan:
	for at.Until == 0 || after < at.Until {
		page, err := r.o.Journal.Feed(after, limit)
		if errors.Is(err, storage.ErrExpired) && read == 0 {
			r.missed(after, page.Oldest)
			return nil, time.Millisecond, nil
		}
		if err != nil {
			return nil, 0, err
		}
		for i := range page.Entries {
			e := &page.Entries[i]
			if at.Until != 0 && e.Seq > at.Until {
				break scan
			}
			take, later, err := r.take(e)
			if err != nil {
				return nil, 0, err
			}
			if later > 0 {
				wait, waiting = later, e.At
				break scan
			}
			after = e.Seq
			if !take {
				continue
			}
			text, err := r.o.Encode(e)
			if err != nil {
				return nil, 0, fmt.Errorf("encode entry %d: %w", e.Seq, err)
			}
			batch = append(batch, Entry{*e, text})
			if len(batch) == r.s.Batch && at.Until == 0 {
				break scan
			}
		}
		if len(page.Entries) == 0 {
			break
		}
		if read += len(page.Entries); read >= scanMost && at.Until == 0 {
			wait = time.Nanosecond // not to be deaf for a whole journal that the filter leaves out
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case after == at.Seq:
	case len(batch) == 0:
		r.at.Seq, r.at.Until, r.at.At, r.dirty = after, 0, r.now(), true
	case r.at.Until != after:
		r.at.Until, r.dirty, r.due = after, true, true
	}
	if len(batch) > 0 {
		waiting = batch[0].At
	}
	r.status.Waiting = waiting
	return batch, wait, nil
}

// take says whether an entry goes out, and if not yet, when to ask again. Where a
// call is sent once, its first revision makes room for the newest, and the others
// are left out.
func (r *runner) take(e *storage.Entry) (take bool, later time.Duration, err error) {
	if e.Call != nil && r.s.once() {
		if e.Call.Rev > 1 {
			return false, 0, nil
		}
		if left := e.At.Add(settle).Sub(r.now()); left > 0 {
			return false, min(left, settle), nil // min: the clock may have been set back
		}
		if there, err := r.newest(e); err != nil || !there {
			return false, 0, err
		}
	}
	return r.s.wants(e), 0, nil
}

// newest puts the newest revision of its call into an entry. It gives false if
// the call is erased, or part of another one.
func (r *runner) newest(e *storage.Entry) (bool, error) {
	newest, err := r.o.Journal.Call(e.Call.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		e.Call = newest
	}
	return err == nil, err
}

// missed goes on behind entries that the journal has no longer.
func (r *runner) missed(after, oldest uint64) {
	r.log.Error("entries were dropped from the journal before they were sent", "from", after+1, "to", oldest-1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at.Missed += oldest - 1 - after
	r.at.Seq, r.at.Until, r.dirty, r.due = oldest-1, 0, true, true
}

// deliver sends a batch until nothing is left of it. It gives false if the end
// comes first.
func (r *runner) deliver(stop, abort context.Context, batch []Entry) bool {
	pending, most := batch, len(batch)
	for len(pending) > 0 {
		n := min(most, len(pending))
		err := r.send(abort, pending[:n])
		var errs Partial
		var refused *Refused
		switch {
		case err == nil:
			errs = make(Partial, n)
		case errors.As(err, &errs) && len(errs) == n:
		case errors.As(err, &refused) && n > 1:
			most = n / 2 // to find the one that is meant
			continue
		case refused != nil:
			errs = Partial{err}
		default:
			if !r.fail(stop, err, 0) {
				return false
			}
			continue
		}
		rest, taken, again, err := r.sort(pending[:n], errs)
		pending = append(rest, pending[n:]...)
		r.advance(pending)
		if taken > 0 || len(pending) == 0 {
			r.recovered()
			most = min(2*most, len(batch))
		}
		if len(pending) == 0 {
			return true // noted along with the end of the next batch
		}
		if len(rest) < n && !r.save(stop) || len(rest) > 0 && !r.fail(stop, err, again) || stop.Err() != nil {
			return false
		}
	}
	return true
}

// sort sets aside what was refused often enough, and gives what must be sent
// again, how many were taken, and the first reason. again is not 0 if that reason
// is the refusal of an entry: it is when to try that once more.
func (r *runner) sort(sent []Entry, errs Partial) (rest []Entry, taken int, again time.Duration, first error) {
	for i := range sent {
		e, err := &sent[i], errs[i]
		var refused *Refused
		switch {
		case err == nil:
			taken++
			delete(r.tries, e.Seq)
			continue
		case errors.As(err, &refused) && r.setAside(e, err):
			continue
		}
		rest = append(rest, *e)
		if first != nil {
			continue
		}
		first = err
		switch {
		case refused != nil && r.tries[e.Seq] < r.s.Tries:
			again = r.refused.NextBackOff()
		case refused != nil:
			first = fmt.Errorf("one entry after the other is refused, so it is not the entries that are wrong, and no more of them are set aside: %w", err)
		}
	}
	if len(rest) < len(sent) {
		r.refused.Reset()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Sent += uint64(taken)
	if taken > 0 {
		r.at.Refused = 0
	}
	return rest, taken, again, first
}

// setAside makes a dead letter of an entry that was refused so often that there
// is no use in trying it again now.
func (r *runner) setAside(e *Entry, err error) bool {
	r.tries[e.Seq]++
	if r.tries[e.Seq] < r.s.Tries {
		return false
	}
	id := e.ID
	if e.Call != nil {
		id = e.Call.ID
	}
	if !r.putAside(storage.DeadLetter{Seq: e.Seq, Call: id, At: r.now(), Tries: r.tries[e.Seq], Error: err.Error()}) {
		return false
	}
	r.log.Error("the far side refuses an entry: it is set aside, the rest goes on", "seq", e.Seq, "call", id, "err", err, "tries", r.tries[e.Seq])
	delete(r.tries, e.Seq)
	return true
}

// putAside adds a dead letter, unless so many were refused that it is the far
// side's fault.
func (r *runner) putAside(l storage.DeadLetter) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.Refused >= refusedInRow || len(r.at.Dead) >= deadMost {
		return false
	}
	i, there := findLetter(r.at.Dead, l.Seq)
	if there { // the daemon was killed, and entries before it are sent again
		r.at.Dead = slices.Delete(r.at.Dead, i, i+1)
	}
	r.at.Dead = slices.Insert(r.at.Dead, i, l)
	r.at.Refused++
	r.changeLetter(l.Seq)
	return true
}

// advance moves the cursor up to what is still to be sent of the batch.
func (r *runner) advance(pending []Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seq, until := r.at.Until, uint64(0)
	if len(pending) > 0 {
		seq, until = pending[0].Seq-1, r.at.Until
		r.status.Waiting = pending[0].At
	}
	if seq > r.at.Seq {
		r.at.Seq, r.at.Until, r.at.At, r.dirty, r.due = seq, until, r.now(), true, true
	}
}

// resend sends the dead letters that somebody asked for. One that fails for other
// reasons than before is tried so often, too, and then stays where it was: what is
// new must not wait for it.
func (r *runner) resend(stop, abort context.Context) bool {
	for {
		r.mu.Lock()
		i := slices.IndexFunc(r.at.Dead, func(l storage.DeadLetter) bool { return l.Again })
		var seq uint64
		if i >= 0 {
			seq = r.at.Dead[i].Seq
		}
		r.mu.Unlock()
		if i < 0 {
			return true
		}
		page, err := r.o.Journal.Feed(seq-1, 1)
		switch {
		case errors.Is(err, storage.ErrExpired), err == nil && len(page.Entries) == 0:
			err = &Refused{errors.New("the journal does not have this entry any more")}
		case err == nil:
			err = r.sendAgain(abort, &page.Entries[0])
		}
		var refused *Refused
		if err != nil && !errors.As(err, &refused) {
			if r.tries[seq]++; r.tries[seq] < r.s.Tries {
				if !r.fail(stop, err, 0) {
					return false
				}
				continue
			}
		}
		delete(r.tries, seq)
		r.resent(seq, err)
		if !r.save(stop) {
			return false
		}
	}
}

func (r *runner) sendAgain(abort context.Context, e *storage.Entry) error {
	if e.Call != nil && r.s.once() {
		if _, err := r.newest(e); err != nil {
			return err
		}
	}
	text, err := r.o.Encode(e)
	if err != nil {
		return fmt.Errorf("encode entry %d: %w", e.Seq, err)
	}
	return r.send(abort, []Entry{{*e, text}})
}

func (r *runner) resent(seq uint64, err error) {
	if err == nil {
		r.recovered()
		r.log.Info("the far side took an entry that it had refused", "seq", seq)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := findLetter(r.at.Dead, seq)
	if !ok {
		return // dropped meanwhile
	}
	r.changeLetter(seq)
	if err == nil {
		r.at.Dead = slices.Delete(r.at.Dead, i, i+1)
		r.at.Refused = 0
		r.status.Sent++
		return
	}
	l := &r.at.Dead[i]
	l.Again, l.Tries, l.Error = false, l.Tries+1, err.Error()
}

// send is one request. A fault of ours in it is that sink's loss only.
func (r *runner) send(abort context.Context, batch []Entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("BUG: the sink panicked", "err", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal fault: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeoutCause(abort, r.s.Timeout, fmt.Errorf("no answer within %s", r.s.Timeout))
	defer cancel()
	err = r.sink.Send(ctx, batch)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx) // rather than what it was in the middle of
	}
	return err
}

// fail notes why nothing goes out just now and waits for the next try; again is
// not 0 if one entry is being refused, which is not the forwarder's being stuck.
// It gives false if the end comes first.
func (r *runner) fail(stop context.Context, err error, again time.Duration) bool {
	if stop.Err() != nil {
		return false
	}
	wait := again
	if wait == 0 {
		wait = r.retry.NextBackOff()
		var busy *Busy
		if errors.As(err, &busy) && busy.After > 0 {
			wait = min(busy.After, askedMost)
			wait += time.Duration(rand.Int64N(int64(wait)/10 + 1)) // not all at once
		}
	}
	now := r.now()
	r.mu.Lock()
	s := &r.status
	if s.State == StateWell {
		s.Since, s.State = now, StateRetrying
	}
	if again == 0 {
		r.fails++
	}
	was := s.State
	if r.fails >= stuckTries || r.fails > 0 && now.Sub(s.Since) >= stuckAfter {
		s.State = StateStuck
	}
	news := s.Error != err.Error() || s.State != was
	s.Error, s.NextTry, s.Failed = err.Error(), now.Add(wait), s.Failed+1
	state, since := s.State, s.Since
	r.mu.Unlock()
	if news {
		r.log.Warn("not delivered; trying again until it is", "err", err, "state", state, "since", since.Time(), "next_try_in", wait.Round(time.Millisecond).String())
	}

	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop.Done():
		return false
	}
}

// recovered: something went out.
func (r *runner) recovered() {
	r.retry.Reset()
	r.mu.Lock()
	s := &r.status
	state, since := s.State, s.Since
	s.State, s.Since, s.Error, s.NextTry, r.fails = StateWell, 0, "", 0, 0
	r.mu.Unlock()
	if state == StateStuck {
		r.log.Info("delivering again", "since", since.Time())
	}
}

func (r *runner) now() call.Moment { return call.MomentOf(r.o.Now()) }
