package asterisk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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

// Config is what a Connector must know. Zero durations and sizes get wire's
// defaults.
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
	IdleAfter    time.Duration // a Ping is sent
	DeadAfter    time.Duration
	AnswerWithin time.Duration // 10 s: to the questions asked at a connect
	AuditEvery   time.Duration // connectors.AuditEvery, give or take a sixth
	AuditConfirm time.Duration // connectors.AuditConfirm
}

// Connector is one Asterisk. Its Run may be called again and again, never twice
// at the same time.
type Connector struct {
	cfg    Config
	log    *slog.Logger
	count  wire.Counters
	events atomic.Uint64

	mu       sync.Mutex // version, warnings
	version  string
	warnings map[warning]string

	// What a session leaves to the next.
	started  start // of the PBX's process, as the last session knew it
	stopping bool  // the PBX said that it shuts down

	reread   *rereading // the recorded session in hand
	sessions uint64     // reread so far
}

// New gives a Connector; it does nothing before Run.
func New(c Config) *Connector {
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
	return &Connector{cfg: c, log: c.Logger.With("source", c.Name), warnings: make(map[warning]string)}
}

var _ connectors.Connector = (*Connector)(nil)

// Run implements connectors.Connector.
func (c *Connector) Run(ctx context.Context, number uint64, emit func(call.Event)) error {
	err := c.run(ctx, number, emit)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *Connector) run(ctx context.Context, number uint64, emit func(call.Event)) error {
	conn, err := wire.Dial(ctx, c.cfg.Address, c.cfg.TLS)
	if err != nil {
		return c.unreachable(err)
	}
	line := wire.NewLine(ctx, conn, wire.Options{
		Counters: &c.count, QueueBytes: c.cfg.QueueBytes, Recorder: c.cfg.Recorder,
		SignIn: c.cfg.SignInWithin, IdleAfter: c.cfg.IdleAfter, DeadAfter: c.cfg.DeadAfter,
		Ping: action("Ping", "cj-idle"),
	})
	defer line.Close()
	greeting, err := c.signIn(line)
	if err != nil {
		return err
	}
	c.know(greeting)
	line.Start(wire.NewAMI(needed(), &c.count))

	p, err := openParser(ctx, c.log)
	if err != nil {
		return c.fail("read", err, "")
	}
	defer p.close()
	s := newSession(c, number, line, call.Moment(line.Begun()), emit)
	lost := s.run(p)
	why := lost
	if why == nil {
		why = line.Err()
	}
	err = c.lost(why)
	if ctx.Err() != nil {
		err = errors.New("the daemon stops")
	}
	s.finish(err)
	return err
}

// lost names the end of a session that had begun.
func (c *Connector) lost(err error) error {
	switch {
	case errors.Is(err, wire.ErrSilent):
		return c.fail("read", fmt.Errorf("%w: %w", connectors.ErrLineDead, err), "the PBX hangs, or the network between drops what is sent")
	case errors.Is(err, wire.ErrNotSent):
		return c.fail("ask", fmt.Errorf("%w: %w", connectors.ErrLineDead, err), "the PBX hangs, or the network between drops what is sent")
	case errors.Is(err, io.EOF) && c.stopping:
		return c.fail("read", errors.New("the PBX was shut down"), "")
	case errors.Is(err, io.EOF):
		return c.fail("read", errors.New("the PBX closed the connection"), "its log says why: stopped, a slow reader (writetimeout), or kicked")
	}
	return c.fail("read", err, "")
}

func (c *Connector) unreachable(err error) error {
	hint := ""
	var d *wire.DialError
	if errors.As(err, &d) {
		hint = d.Hint
	}
	kind := connectors.ErrUnreachable
	if errors.As(err, new(tls.RecordHeaderError)) {
		kind = connectors.ErrNotAPBX
	}
	return c.fail("connect", fmt.Errorf("%w: %w", kind, err), hint)
}

func (c *Connector) fail(op string, err error, hint string) error {
	return &connectors.LinkError{Op: op, Address: c.cfg.Address, Err: err, Hint: hint}
}

// Stats implements connectors.Connector.
func (c *Connector) Stats() connectors.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := connectors.Stats{
		PBXVersion:     c.version,
		Bytes:          c.count.Bytes.Load(),
		Messages:       c.count.Messages.Load(),
		Thinned:        c.count.Thinned.Load(),
		Events:         c.events.Load(),
		Malformed:      c.count.Malformed(),
		DroppedByQueue: c.count.Lost.Load(),
		QueueBytes:     uint64(c.count.QueueBytes.Load()),
		LastByteAt:     call.Moment(c.count.LastByte.Load()),
	}
	for _, w := range slices.Sorted(maps.Keys(c.warnings)) {
		s.Warnings = append(s.Warnings, c.warnings[w])
	}
	return s
}

func (c *Connector) know(version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version = version
}

// warning is a standing piece of advice: it is there until what it is about is
// seen to be well.
type warning string

const (
	warnClear  warning = "clear"  // the secret went over the network
	warnDenied warning = "denied" // questions that we may not ask
	warnRights warning = "rights" // more rights than we need
	warnSilent warning = "silent" // questions that were not answered
	warnStamps warning = "stamps" // events without a Timestamp
)

// warn sets a standing warning, or with an empty text takes it back.
func (c *Connector) warn(w warning, text string) {
	c.mu.Lock()
	had := c.warnings[w]
	if text == "" {
		delete(c.warnings, w)
	} else {
		c.warnings[w] = text
	}
	c.mu.Unlock()
	if text != "" && text != had {
		c.log.Warn("the PBX's settings need attention", "advice", text)
	}
}
