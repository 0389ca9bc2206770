package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	netmail "net/mail"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/storage"
)

// Journal is what alerts need of the store; *storage.DB is one.
type Journal interface {
	Journal() string
	Feed(after uint64, limit int) (storage.Page, error)
	Call(id string) (*call.Record, error)
	Revisions(id string) ([]storage.Entry, error)
	Head() uint64
	Changed() <-chan struct{}
}

// Options of New. All but Open must be set.
type Options struct {
	Agent   string
	Path    string // of the notes
	Journal Journal
	Zone    *time.Location // of schedules, quiet hours and the times in a mail
	// Document makes what a report is mailed with.
	Document func(context.Context, Report) (*Document, error)
	Logger   *slog.Logger
	Now      func() time.Time
	// Open makes the server of a [mail]; nil: the real one.
	Open func(config.Mail) Sender
}

// Sender takes messages; *Server is one.
type Sender interface {
	Send(context.Context, *Message) error
}

// Kinds of mailing.
const (
	KindReport = "report"
	KindAlert  = "alert"
)

// States of a mailing.
const (
	StateWell     = "well"
	StateRetrying = "retrying" // the last try failed
	StateStuck    = "stuck"    // it has been failing for a while: somebody should look
)

// Status is one report or alert to one address, now.
type Status struct {
	Kind, Name, To string
	State          string
	Next           call.Moment // when the next mail is due; 0: it is not known that there will be one
	Waiting        int         // missed calls that it will be about
	SentAt         call.Moment // when the server last took one
	Since          call.Moment // not well since
	Error          string
	NextTry        call.Moment
	Tries          int // of the mail that is under way
	Aside          []Aside
	Missed         uint64 // entries that no alert could look at any more
	Sent, Failed   uint64 // mails and tries, in this run
}

// Sent is what became of a mail that somebody asked for.
type Sent struct {
	To    string
	Error string // "": the server has it
}

// Errors of reports that somebody asks for.
var (
	ErrUnknown  = errors.New("no such report")
	ErrNoServer = errors.New("there is no [mail] in the configuration")
)

const (
	grace    = time.Second // what a mail under way gets to come to its end
	mostOpen = 2           // mails written and sent at a time
)

// Mailings are all that are configured. Its methods may be called from any
// goroutine.
type Mailings struct {
	o     Options
	notes *notes
	slots chan struct{}

	mu      sync.Mutex
	server  config.Mail
	send    Sender
	reports []config.Report
	lanes   map[string]*lane
	gone    map[string]*lane // configured no more, and not at their ends yet
	ended   bool
}

// New makes Mailings that mail nothing: Apply must follow. The error says what of
// the past cannot be read; the Mailings are good all the same.
func New(o Options) (*Mailings, error) {
	if o.Open == nil {
		o.Open = func(m config.Mail) Sender { return NewServer(m, o.Logger) }
	}
	n, err := openNotes(o.Path)
	return &Mailings{o: o, notes: n, slots: make(chan struct{}, mostOpen), lanes: map[string]*lane{}, gone: map[string]*lane{}}, err
}

// Apply starts what is new, stops what is gone, and lets what changed go on with
// its new settings from where it was. It does not wait for the mail server.
func (m *Mailings) Apply(server config.Mail, reports []config.Report, alerts []config.Alert) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return
	}
	if m.send == nil || m.server != server {
		m.server, m.send = server, m.o.Open(server)
		for _, l := range m.lanes { // the next try may be a good one
			l.nudge()
		}
	}
	m.reports = slices.Clone(reports)
	wanted := map[string]source{}
	for _, c := range reports {
		for _, to := range c.To {
			wanted[laneKey(KindReport, c.Name, to)] = &report{&m.o, c, to}
		}
	}
	for _, c := range alerts {
		for _, to := range c.To {
			wanted[laneKey(KindAlert, c.Name, to)] = &alert{o: &m.o, c: c, to: to}
		}
	}
	keys := map[string]bool{}
	for key, src := range wanted {
		keys[key] = true
		switch old, gone := m.lanes[key], m.gone[key]; {
		case old == nil:
			m.start(key, src, gone)
		case !sameSource(old.src, src):
			m.start(key, src, old)
		}
	}
	for key, l := range m.lanes {
		if !keys[key] {
			delete(m.lanes, key)
			m.gone[key] = l
			l.end()
			go func() {
				<-l.done
				m.forget(key, l)
			}()
		}
	}
	m.tidy()
}

// forget lets go of a lane that has ended, unless it came back.
func (m *Mailings) forget(key string, l *lane) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone[key] == l {
		delete(m.gone, key)
	}
	if !m.ended {
		m.tidy()
	}
}

// tidy forgets what is noted of lanes that are configured no more.
func (m *Mailings) tidy() {
	keys := map[string]bool{}
	for key := range m.lanes {
		keys[key] = true
	}
	if err := m.notes.keep(keys); err != nil {
		m.o.Logger.Warn("what is configured no more is still noted", "err", err)
	}
}

func sameSource(a, b source) bool {
	switch a := a.(type) {
	case *report:
		b, ok := b.(*report)
		return ok && a.to == b.to && reflect.DeepEqual(a.c, b.c)
	case *alert:
		b, ok := b.(*alert)
		return ok && a.to == b.to && reflect.DeepEqual(a.c, b.c)
	}
	return false
}

// laneKey tells lanes apart, also in the file of notes.
func laneKey(kind, name, to string) string {
	if a, err := netmail.ParseAddress(to); err == nil {
		to = a.Address
	}
	return kind + "/" + name + "/" + strings.ToLower(to)
}

// start begins a lane once the one before it of that key has ended.
func (m *Mailings) start(key string, src source, old *lane) {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier, b.RandomizationFactor = retryFirst, retryMost, 2, 0.3
	b.Reset()
	l := &lane{o: &m.o, m: m, key: key, src: src, wake: make(chan struct{}, 1), done: make(chan struct{}), retry: b}
	switch s := src.(type) {
	case *report:
		l.status = Status{Kind: KindReport, Name: s.c.Name, To: s.to}
	case *alert:
		l.status = Status{Kind: KindAlert, Name: s.c.Name, To: s.to}
	}
	l.status.State = StateWell
	l.log = m.o.Logger.With(l.status.Kind, l.status.Name, "to", l.status.To)
	stop, endWork := context.WithCancel(context.Background())
	abort, endMail := context.WithCancel(context.Background())
	l.stop, l.abort = endWork, endMail
	m.lanes[key] = l
	if old != nil {
		old.end()
	} else {
		l.begin() // here, so that a new alert misses nothing that comes after Apply
	}
	go func() {
		defer close(l.done)
		defer endMail()
		if old != nil {
			<-old.done
			l.begin()
		}
		l.run(stop, abort)
	}()
}

// nudge has a lane look again now.
func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (m *Mailings) sender() Sender {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.send
}

// End stops all lanes and gives a channel that is closed when they have ended:
// soon, unless a disk hangs.
func (m *Mailings) End() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	ended := make(chan struct{})
	lanes := slices.Collect(maps.Values(m.lanes))
	for _, l := range lanes {
		l.end()
	}
	lanes = slices.AppendSeq(lanes, maps.Values(m.gone))
	go func() {
		defer close(ended)
		for _, l := range lanes {
			<-l.done
		}
	}()
	return ended
}

// Status gives all mailings: reports first, by name, then by address.
func (m *Mailings) Status() []Status {
	m.mu.Lock()
	lanes := slices.Collect(maps.Values(m.lanes))
	m.mu.Unlock()
	out := make([]Status, 0, len(lanes))
	for _, l := range lanes {
		out = append(out, l.look())
	}
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(-cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.To, b.To))
	})
	return out
}

// SendNow mails a report at once to everybody who gets it, as its schedule would
// now, and says what became of it; the schedule stays as it is. What fails is not
// tried again.
func (m *Mailings) SendNow(ctx context.Context, name string) ([]Sent, error) {
	m.mu.Lock()
	i := slices.IndexFunc(m.reports, func(r config.Report) bool { return r.Name == name })
	if i < 0 {
		m.mu.Unlock()
		return nil, fmt.Errorf("%w as %q", ErrUnknown, name)
	}
	c := m.reports[i]
	m.mu.Unlock()
	free, err := m.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	d, about, err := (&report{o: &m.o, c: c}).document(ctx, m.o.Now())
	if err != nil {
		return nil, err
	}
	return m.mail(ctx, about, d, c.To), nil
}

// Send mails a report that no schedule knows to whom somebody names: once, and
// says what became of it. ErrNoServer.
func (m *Mailings) Send(ctx context.Context, about Report, d *Document, to []string) ([]Sent, error) {
	m.mu.Lock()
	none := m.server.Server == ""
	m.mu.Unlock()
	if none {
		return nil, ErrNoServer
	}
	free, err := m.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	return m.mail(ctx, about, d, to), nil
}

func (m *Mailings) slot(ctx context.Context) (free func(), err error) {
	select {
	case m.slots <- struct{}{}:
		return func() { <-m.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// mail sends a report to each address.
func (m *Mailings) mail(ctx context.Context, about Report, d *Document, to []string) (out []Sent) {
	for _, to := range to {
		msg, err := (&report{o: &m.o, to: to}).message(about, d)
		if err == nil {
			err = m.sender().Send(ctx, msg)
		}
		s := Sent{To: to}
		if err != nil {
			s.Error = err.Error()
			m.o.Logger.Warn("a report that was asked for was not mailed", "report", about.Name, "to", to, "err", err)
		} else {
			m.o.Logger.Info("a report that was asked for was mailed", "report", about.Name, "to", to)
			m.arrived(laneKey(KindReport, about.Name, to), about.At)
		}
		out = append(out, s)
	}
	return out
}

// arrived: an address takes mail, so what was set aside need not be shown.
func (m *Mailings) arrived(key string, at time.Time) {
	m.mu.Lock()
	l := m.lanes[key]
	m.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	l.asked = call.MomentOf(at)
	l.status.Sent++
	l.mu.Unlock()
	l.nudge()
}
