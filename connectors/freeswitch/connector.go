package freeswitch

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
	Username string // user@domain of the directory for userauth; "": the event socket's own password
	Secret   string
	TLS      *tls.Config // nil: plain TCP, all that FreeSWITCH itself can do
	Logger   *slog.Logger
	Recorder wire.Recorder // sees what Reread needs; may be nil

	QueueBytes   int
	SignInWithin time.Duration
	IdleAfter    time.Duration // something is asked, to see whether the line lives
	DeadAfter    time.Duration
	AnswerWithin time.Duration // 10 s: to the questions asked at a connect
	AuditEvery   time.Duration // connectors.AuditEvery, give or take a sixth
	AuditConfirm time.Duration // connectors.AuditConfirm
}

// Connector is one FreeSWITCH. Its Run may be called again and again, never
// twice at the same time.
type Connector struct {
	cfg    Config
	log    *slog.Logger
	count  wire.Counters
	events atomic.Uint64

	mu       sync.Mutex // version, warnings
	version  string
	warnings map[warning]string

	// What a session leaves to the next.
	core     string        // Core-UUID: another one is another process
	stopping bool          // it said that it shuts down
	ahead    time.Duration // how far the PBX's clock is ahead of ours
	roll     bool          // we hear all that a roll needs

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
	line, allowed, err := c.signedIn(ctx, c.cfg.Recorder)
	if err != nil {
		return err
	}
	defer line.Close()
	c.advise(allowed)
	if err := c.subscribe(line, allowed); err != nil {
		return err
	}
	line.Start(wire.NewESL(Needed(), &c.count))

	p, err := openParser(ctx)
	if err != nil {
		return c.fail("read", err, "")
	}
	defer p.close(c.log)
	s := newSession(c, number, line, call.Moment(line.Begun()), emit)
	lost := s.run(ctx, p)
	why := lost
	if why == nil {
		why = line.Err()
	}
	err = c.lost(why, s.goodbye)
	if ctx.Err() != nil {
		err = errors.New("the daemon stops")
	}
	s.finish(err)
	return err
}

// signedIn connects and signs in: for the events, and for every survey.
func (c *Connector) signedIn(ctx context.Context, recorder wire.Recorder) (line *wire.Line, allowed string, err error) {
	conn, err := wire.Dial(ctx, c.cfg.Address, c.cfg.TLS)
	if err != nil {
		return nil, "", c.unreachable(err)
	}
	line = wire.NewLine(ctx, conn, wire.Options{
		Counters: &c.count, QueueBytes: c.cfg.QueueBytes, Recorder: recorder,
		SignIn: c.cfg.SignInWithin, IdleAfter: c.cfg.IdleAfter, DeadAfter: c.cfg.DeadAfter,
		Ping: command("api status"),
	})
	if allowed, err = c.signIn(line); err != nil {
		line.Close()
		return nil, "", err
	}
	return line, allowed, nil
}

// lost names the end of a session that had begun.
func (c *Connector) lost(err error, goodbye bool) error {
	switch {
	case errors.Is(err, wire.ErrSilent):
		return c.fail("read", fmt.Errorf("%w: %w", connectors.ErrLineDead, err), "the PBX hangs, or the network between drops what is sent")
	case errors.Is(err, wire.ErrNotSent):
		return c.fail("ask", fmt.Errorf("%w: %w", connectors.ErrLineDead, err), "the PBX hangs, or the network between drops what is sent")
	case goodbye && c.stopping:
		return c.fail("read", errors.New("the PBX was shut down"), "")
	case goodbye:
		return c.fail("read", errors.New("the PBX said goodbye"), "its log says why: mod_event_socket reloaded, or this connection ended by hand")
	case errors.Is(err, io.EOF):
		return c.fail("read", errors.New("the PBX closed the connection"), "its log says why: stopped, or its queue for a slow reader was full")
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
	warnClear   warning = "clear"   // the password went over the network
	warnDefault warning = "default" // the password that everybody knows
	warnEvents  warning = "events"  // events that we may not hear
	warnSilent  warning = "silent"  // questions that were not answered
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
