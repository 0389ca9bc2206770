package freeswitch

import (
	"context"
	"errors"
	"io"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors"
	"calljournal/connectors/link"
	"calljournal/connectors/wire"
)

// Config is what a Connector must know. A Username is user@domain of the
// directory, for userauth; "" means the event socket's own password. FreeSWITCH
// itself has no TLS.
type Config = link.Config

// Connector is one FreeSWITCH. Its Run may be called again and again, never
// twice at the same time.
type Connector struct {
	link *link.Link

	// What a session leaves to the next.
	core     string        // Core-UUID: another one is another process
	stopping bool          // it said that it shuts down
	ahead    time.Duration // how far the PBX's clock is ahead of ours
	tallies  bool          // we hear all that a tally needs

	reread *rereading // the recorded session in hand, or the last
}

// New gives a Connector; it does nothing before Run.
func New(c Config) *Connector { return &Connector{link: link.New(c)} }

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
	line, allowed, err := c.signedIn(ctx, c.link.Recorder)
	if err != nil {
		return err
	}
	defer line.Close()
	c.advise(allowed)
	if err := c.subscribe(line, allowed); err != nil {
		return err
	}
	line.Start(wire.NewESL(Needed(), &c.link.Count))

	p, err := openParser(ctx)
	if err != nil {
		return c.link.Fail("read", err, "")
	}
	defer p.close(c.link.Log)
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
	line, err = c.link.Dial(ctx, command("api status"), recorder)
	if err != nil {
		return nil, "", err
	}
	if allowed, err = c.signIn(line); err != nil {
		line.Close()
		return nil, "", err
	}
	return line, allowed, nil
}

// lost names the end of a session that had begun.
func (c *Connector) lost(err error, goodbye bool) error {
	switch {
	case errors.Is(err, wire.ErrSilent), errors.Is(err, wire.ErrNotSent):
		return c.link.Lost(err)
	case goodbye && c.stopping:
		return c.link.Fail("read", errors.New("the PBX was shut down"), "")
	case goodbye:
		return c.link.Fail("read", errors.New("the PBX said goodbye"), "its log says why: mod_event_socket reloaded, or this connection ended by hand")
	case errors.Is(err, io.EOF):
		return c.link.Fail("read", errors.New("the PBX closed the connection"), "its log says why: stopped, or its queue for a slow reader was full")
	}
	return c.link.Lost(err)
}

// Stats implements connectors.Connector.
func (c *Connector) Stats() connectors.Stats { return c.link.Stats() }

// The standing warnings.
const (
	warnClear   link.Warning = "clear"   // the password went over the network
	warnDefault link.Warning = "default" // the password that everybody knows
	warnEvents  link.Warning = "events"  // events that we may not hear
	warnSilent  link.Warning = "silent"  // questions that were not answered
)
