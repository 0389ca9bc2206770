package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors"
	"calljournal/connectors/wire"
)

// Config is what a connector must know. Zero durations and sizes get wire's
// defaults, or those that are named here.
type Config struct {
	Name     string // of the [[pbx]], for the log
	Address  string // host:port
	Username string
	Secret   string
	TLS      *tls.Config // nil: plain TCP
	Logger   *slog.Logger
	Recorder wire.Recorder // sees what Reread needs; may be nil

	QueueBytes   int
	SignInWithin time.Duration
	IdleAfter    time.Duration // something is sent, to see whether the line lives
	DeadAfter    time.Duration
	AnswerWithin time.Duration // 10 s: to the questions asked at a connect
	AuditEvery   time.Duration // connectors.AuditEvery, give or take a sixth
	AuditConfirm time.Duration // connectors.AuditConfirm
}

// Link is what a connector keeps of its PBX over all its sessions. Stats may be
// called from any goroutine, so may Know, Warn and Record.
type Link struct {
	Config // with its defaults
	Log    *slog.Logger
	Count  wire.Counters
	events atomic.Uint64

	mu       sync.Mutex // version, warnings
	version  string
	warnings map[Warning]string

	recorded recorded
}

// New gives a Link; it does nothing before Dial.
func New(c Config) *Link {
	if c.AnswerWithin == 0 {
		c.AnswerWithin = 10 * time.Second
	}
	if c.AuditEvery == 0 {
		c.AuditEvery = connectors.AuditEvery
	}
	if c.AuditConfirm == 0 {
		c.AuditConfirm = connectors.AuditConfirm
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Link{Config: c, Log: c.Logger.With("source", c.Name), warnings: make(map[Warning]string)}
}

// Dial connects. The line sends ping when it is idle, and what is said on it is
// in the recording of r, which may be nil. The error is a *connectors.LinkError.
func (l *Link) Dial(ctx context.Context, ping []byte, r wire.Recorder) (*wire.Line, error) {
	conn, err := wire.Dial(ctx, l.Address, l.TLS)
	if err != nil {
		return nil, l.unreachable(err)
	}
	return wire.NewLine(ctx, conn, wire.Options{
		Counters: &l.Count, QueueBytes: l.QueueBytes, Recorder: r,
		SignIn: l.SignInWithin, IdleAfter: l.IdleAfter, DeadAfter: l.DeadAfter,
		Ping: ping,
	}), nil
}

func (l *Link) unreachable(err error) error {
	hint := ""
	var d *wire.DialError
	if errors.As(err, &d) {
		hint = d.Hint
	}
	kind := connectors.ErrUnreachable
	if errors.As(err, new(tls.RecordHeaderError)) {
		kind = connectors.ErrNotAPBX
	}
	return l.Fail("connect", fmt.Errorf("%w: %w", kind, err), hint)
}

// Fail is the connectors.LinkError of what was attempted.
func (l *Link) Fail(op string, err error, hint string) error {
	return &connectors.LinkError{Op: op, Address: l.Address, Err: err, Hint: hint}
}

// Lost names the end of a session that had begun, as far as the line alone can
// tell.
func (l *Link) Lost(err error) error {
	const hint = "the PBX hangs, or the network between drops what is sent"
	switch {
	case errors.Is(err, wire.ErrSilent):
		return l.Fail("read", fmt.Errorf("%w: %w", connectors.ErrLineDead, err), hint)
	case errors.Is(err, wire.ErrNotSent):
		return l.Fail("ask", fmt.Errorf("%w: %w", connectors.ErrLineDead, err), hint)
	}
	return l.Fail("read", err, "")
}

// Stats is what connectors.Connector asks for.
func (l *Link) Stats() connectors.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := connectors.Stats{
		PBXVersion:     l.version,
		Bytes:          l.Count.Bytes.Load(),
		Messages:       l.Count.Messages.Load(),
		Thinned:        l.Count.Thinned.Load(),
		Events:         l.events.Load(),
		Malformed:      l.Count.Malformed(),
		DroppedByQueue: l.Count.Lost.Load(),
		QueueBytes:     uint64(l.Count.QueueBytes.Load()),
		LastByteAt:     call.Moment(l.Count.LastByte.Load()),
	}
	for _, w := range slices.Sorted(maps.Keys(l.warnings)) {
		s.Warnings = append(s.Warnings, l.warnings[w])
	}
	return s
}

// Know takes note of the PBX's version, as it says it.
func (l *Link) Know(version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version = version
}

// Warning names a standing piece of advice: it is there until what it is about
// is seen to be well.
type Warning string

// Warn sets a standing warning, or with an empty text takes it back.
func (l *Link) Warn(w Warning, text string) {
	l.mu.Lock()
	had := l.warnings[w]
	if text == "" {
		delete(l.warnings, w)
	} else {
		l.warnings[w] = text
	}
	l.mu.Unlock()
	if text != "" && text != had {
		l.Log.Warn("the PBX's settings need attention", "advice", text)
	}
}
