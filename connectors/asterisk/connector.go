package asterisk

import (
	"context"
	"errors"
	"io"

	"calljournal/agent/call"
	"calljournal/connectors"
	"calljournal/connectors/link"
	"calljournal/connectors/wire"
)

// Config is what a Connector must know. The Username is that of manager.conf.
type Config = link.Config

// Connector is one Asterisk. Its Run may be called again and again, never twice
// at the same time.
type Connector struct {
	link *link.Link

	// What a session leaves to the next.
	started  start // of the PBX's process, as the last session knew it
	stopping bool  // the PBX said that it shuts down

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
	line, err := c.link.Dial(ctx, action("Ping", "cj-idle"), c.link.Recorder)
	if err != nil {
		return err
	}
	defer line.Close()
	greeting, err := c.signIn(line)
	if err != nil {
		return err
	}
	c.link.Know(greeting)
	line.Start(wire.NewAMI(needed(), &c.link.Count))

	p, err := openParser(ctx, c.link.Log)
	if err != nil {
		return c.link.Fail("read", err, "")
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
	case errors.Is(err, io.EOF) && c.stopping:
		return c.link.Fail("read", errors.New("the PBX was shut down"), "")
	case errors.Is(err, io.EOF):
		return c.link.Fail("read", errors.New("the PBX closed the connection"), "its log says why: stopped, a slow reader (writetimeout), or kicked")
	}
	return c.link.Lost(err)
}

// Stats implements connectors.Connector.
func (c *Connector) Stats() connectors.Stats { return c.link.Stats() }

// The standing warnings.
const (
	warnClear  link.Warning = "clear"  // the secret went over the network
	warnDenied link.Warning = "denied" // questions that we may not ask
	warnRights link.Warning = "rights" // more rights than we need
	warnSilent link.Warning = "silent" // questions that were not answered
	warnStamps link.Warning = "stamps" // events without a Timestamp
)
