package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"calljournal/agent/call"
	"calljournal/storage"
)

// Journal is what a forwarder needs of the store; *storage.DB is one.
type Journal interface {
	Journal() string
	Feed(after uint64, limit int) (storage.Page, error)
	Call(id string) (*call.Record, error)
	Head() uint64
	Oldest() uint64
	Changed() <-chan struct{}
	Forwarders() ([]storage.Forwarder, error)
	SetForwarder(storage.Forwarder, ...storage.DeadLetter) error
	DropForwarder(name string) error
}

// Options of New. All but Recording and Open must be set.
type Options struct {
	Agent   string
	Journal Journal
	// Encode writes an entry as GET /v1/sync does.
	Encode func(*storage.Entry) ([]byte, error)
	Logger *slog.Logger
	Now    func() time.Time
	// Recording opens what a CRM is to get along with a call; nil: nothing.
	Recording Recording
	// Open makes the sink of a [[forward]]; nil goes by its kind.
	Open func(Settings, *slog.Logger) (Sink, error)
}

// States of a forwarder.
const (
	StateWell     = "well"
	StateRetrying = "retrying" // the last try failed
	StateStuck    = "stuck"    // it has been failing for a while: somebody should look
)

// Status is one forwarder now.
type Status struct {
	Name, Kind, Address string
	State               string
	Seq, Lag            uint64
	Waiting             call.Moment // when the oldest entry that waits was committed; 0: none waits
	Since               call.Moment // not well since
	Error               string
	NextTry             call.Moment
	Dead                int
	Missed              uint64
	Sent, Failed        uint64 // entries and requests, in this run
	LiveSent, LiveLost  uint64 // live events, in this run
}

// grace is what a request under way gets to come to its end.
const grace = time.Second

// ErrUnknown: there is no such forwarder.
var ErrUnknown = errors.New("no such forwarder")

// Forwarders are all that are configured. Its methods may be called from any
// goroutine.
type Forwarders struct {
	o        Options
	watchers atomic.Pointer[[]*runner] // those that want live events: not to wait for mu

	mu      sync.Mutex
	runners map[string]*runner
	ended   bool
}

// New makes Forwarders that send nothing: Apply must follow.
func New(o Options) *Forwarders {
	f := &Forwarders{o: o, runners: map[string]*runner{}}
	f.watchers.Store(new([]*runner))
	if o.Open == nil {
		f.o.Open = f.open
	}
	return f
}

// open makes a sink by its kind.
func (f *Forwarders) open(s Settings, log *slog.Logger) (Sink, error) {
	switch s.Kind {
	case KindWebhook:
		return newWebhook(s, f.o.Agent, f.o.Journal.Journal(), f.o.Now)
	case KindNATS:
		return newBus(s, f.o.Agent, f.o.Journal.Journal(), log)
	case KindFile:
		return newLines(s, f.o.Now)
	case KindBitrix24:
		return newBitrix24(s, f.o.Recording, log, f.o.Now)
	case KindAmoCRM:
		return newAmoCRM(s, log, f.o.Now)
	}
	return nil, fmt.Errorf("kind %q is not known", s.Kind)
}

// Apply starts what is new, stops what is gone, and lets what changed go on with
// its new settings from where it was. It does not wait for the far sides.
func (f *Forwarders) Apply(all []Settings) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	wanted := map[string]bool{}
	for _, s := range all {
		wanted[s.Name] = true
		old := f.runners[s.Name]
		if old != nil && reflect.DeepEqual(old.s, s) {
			continue
		}
		f.start(s, old)
	}
	for name, r := range f.runners {
		if wanted[name] {
			continue
		}
		delete(f.runners, name)
		r.end()
		go func() {
			<-r.done
			f.retire(name)
		}()
	}
	var watchers []*runner
	for _, r := range f.runners {
		if r.live != nil {
			watchers = append(watchers, r)
		}
	}
	f.watchers.Store(&watchers)
	f.retireUnknown(wanted)
}

// start begins a forwarder once the one before it of that name has ended.
func (f *Forwarders) start(s Settings, old *runner) {
	r := newRunner(&f.o, s)
	stop, endWork := context.WithCancel(context.Background())
	abort, endRequest := context.WithCancel(context.Background())
	r.stop, r.abort = endWork, endRequest
	f.runners[s.Name] = r
	begin := func() {
		for {
			err := r.load()
			if err == nil {
				break
			}
			if !r.fail(stop, err, 0) {
				return
			}
		}
		r.recovered()
		r.run(stop, abort)
	}
	if old != nil {
		old.end()
	}
	go func() {
		defer close(r.done)
		defer endRequest()
		if old != nil {
			<-old.done
		}
		begin()
	}()
}

// end lets the request under way finish, if it is quick about it.
func (r *runner) end() {
	r.stop()
	time.AfterFunc(grace, r.abort)
}

// retireUnknown lets retention go on over the place of a forwarder that was
// removed from the configuration while the daemon was down.
func (f *Forwarders) retireUnknown(wanted map[string]bool) {
	known, err := f.o.Journal.Forwarders()
	if err != nil {
		f.o.Logger.Error("forwarders of before cannot be read", "err", err)
		return
	}
	for _, k := range known {
		if !wanted[k.Name] && !k.Retired {
			f.retireAs(k)
		}
	}
}

func (f *Forwarders) retire(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runners[name] != nil || f.ended {
		return // it came back
	}
	f.retireUnknown(f.names())
}

func (f *Forwarders) names() map[string]bool {
	names := map[string]bool{}
	for name := range f.runners {
		names[name] = true
	}
	return names
}

func (f *Forwarders) retireAs(k storage.Forwarder) {
	k.Retired = true
	if err := f.o.Journal.SetForwarder(k); err != nil {
		f.o.Logger.Error("a forwarder that is configured no more still holds its entries", "forward", k.Name, "err", err)
		return
	}
	f.o.Logger.Warn("a forwarder is configured no more: its place is kept, but no entry is kept for it", "forward", k.Name, "after", k.Seq, "dead", len(k.Dead))
}

// End stops all forwarders and gives a channel that is closed when they have
// ended: soon, unless a disk hangs.
func (f *Forwarders) End() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	ended := make(chan struct{})
	runners := slices.Collect(maps.Values(f.runners))
	for _, r := range runners {
		r.end()
	}
	go func() {
		defer close(ended)
		for _, r := range runners {
			<-r.done
		}
	}()
	return ended
}

// Status gives all forwarders by name.
func (f *Forwarders) Status() []Status {
	f.mu.Lock()
	runners := slices.Collect(maps.Values(f.runners))
	f.mu.Unlock()
	head := f.o.Journal.Head()
	out := make([]Status, 0, len(runners))
	for _, r := range runners {
		out = append(out, r.look(head))
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (r *runner) look(head uint64) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Seq, s.Dead, s.Missed = r.at.Seq, len(r.at.Dead), r.at.Missed
	s.Lag = head - min(s.Seq, head)
	if s.Lag == 0 {
		s.Waiting = 0
	}
	return s
}

func (f *Forwarders) runner(name string) (*runner, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.runners[name]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%w as %q", ErrUnknown, name)
}

// Dead gives the dead letters of a forwarder, by their numbers.
func (f *Forwarders) Dead(name string) ([]storage.DeadLetter, error) {
	r, err := f.runner(name)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.at.Dead), nil
}

// Resend has dead letters sent again, those with the given numbers or all, and
// says how many. They stay in the list until the far side has them.
func (f *Forwarders) Resend(name string, seqs []uint64) (int, error) {
	return f.change(name, seqs, func(l *storage.DeadLetter) bool {
		l.Again = true
		return true
	})
}

// Drop forgets dead letters, those with the given numbers or all, and says how
// many. They are not sent any more.
func (f *Forwarders) Drop(name string, seqs []uint64) (int, error) {
	return f.change(name, seqs, func(*storage.DeadLetter) bool { return false })
}

// change does something to dead letters; stay says whether one stays in the list.
func (f *Forwarders) change(name string, seqs []uint64, stay func(*storage.DeadLetter) bool) (n int, err error) {
	r, err := f.runner(name)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	kept := make([]storage.DeadLetter, 0, len(r.at.Dead))
	for _, l := range r.at.Dead {
		if len(seqs) == 0 || slices.Contains(seqs, l.Seq) {
			n++
			r.changeLetter(l.Seq)
			if !stay(&l) {
				continue
			}
		}
		kept = append(kept, l)
	}
	r.at.Dead = kept
	r.mu.Unlock()
	if err := r.store(); err != nil {
		return 0, err
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return n, nil
}
