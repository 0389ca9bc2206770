package freeswitch

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/fiorix/go-eventsocket/eventsocket"

	"calljournal/connectors/wire"
)

// parser is one go-eventsocket connection for one session, behind a door of its
// own. It never sees FreeSWITCH, its password, an answer or a command: it turns
// events into maps.
//
// The package has one clean end: we write the session's last message,
// wire.ESLEnd; when that comes out nothing is left inside; we close our side;
// its reader ends by EOF. Until then every event is taken, wanted or not, for its
// reader blocks for ever on an event that nobody takes (PRESCRIBED.md, E7).
type parser struct {
	messages chan Message  // all events, in order
	conn     net.Conn      // our side of its connection
	quit     chan struct{} // nobody wants messages any more
	done     chan struct{} // it has ended; err says why
	err      error
}

const (
	openWithin  = 5 * time.Second
	closeWithin = 5 * time.Second
)

// openParser starts a connection and returns when it waits for events.
func openParser(ctx context.Context) (*parser, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, openWithin, fmt.Errorf("go-eventsocket did not sign in at its door within %v", openWithin))
	defer cancel()
	door, err := wire.OpenDoor()
	if err != nil {
		return nil, err
	}
	type dialled struct {
		conn *eventsocket.Connection
		err  error
	}
	inside := make(chan dialled, 1)
	go func() { // ends with the door: refused, or by the deadline behind it
		c, err := eventsocket.Dial(net.JoinHostPort(door.Host, door.Port), door.Secret)
		inside <- dialled{c, err}
	}()
	conn, err := door.Admit(ctx, wire.AskESL)
	if err != nil {
		return nil, err
	}
	select {
	case d := <-inside:
		if d.err != nil {
			conn.Close()
			return nil, fmt.Errorf("go-eventsocket at its door: %w", d.err)
		}
		p := &parser{messages: make(chan Message, 64), conn: conn, quit: make(chan struct{}), done: make(chan struct{})}
		go p.read(d.conn)
		return p, nil
	case <-ctx.Done():
		conn.Close()
		return nil, context.Cause(ctx)
	}
}

// read takes events out of the package until its connection has ended.
func (p *parser) read(c *eventsocket.Connection) {
	defer close(p.done)
	for {
		e, err := c.ReadEvent()
		if err != nil {
			p.err = err
			return
		}
		select {
		case p.messages <- Message(e.Header):
		case <-p.quit:
		}
	}
}

// close ends the package after its last message, or drops what it still has if
// there was none.
func (p *parser) close(log *slog.Logger) {
	close(p.quit)
	p.conn.Close()
	patience := time.NewTimer(closeWithin)
	defer patience.Stop()
	select {
	case <-p.done:
	case <-patience.C:
		log.Warn("the event socket parser did not end in time; it is left behind", "after", closeWithin)
	}
}
