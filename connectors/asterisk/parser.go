package asterisk

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/ivahaev/amigo"

	"calljournal/connectors/wire"
)

// parser is one amigo for one session, behind a door of its own. It never sees
// the PBX, its secret, or an action: it turns messages into maps.
//
// amigo (v0.1.11) can be ended cleanly in one way only, and everything here is
// about that way. Its Close, called from outside, races with the loop that
// reconnects (reconnect is a plain bool), loses what is still queued, and leaves
// a goroutine behind if the connection is alive. So:
//
//  1. we write the session's last message, wire.AMIEnd; when it comes out of the
//     channel, amigo has nothing left;
//  2. we close our side of its connection: its readers and writers end by EOF;
//  3. its loop dials again; the door is shut, so the dial is refused, and this
//     amigo reports by a call on the goroutine of the loop itself ("AMI
//     Reconnect failed", the only error it does not report from a goroutine of
//     its own);
//  4. in that call we Close it: the goroutine that reads reconnect is the one
//     that writes it, and the next thing it does is to leave.
type parser struct {
	messages chan map[string]string // everything amigo read, in order
	conn     net.Conn               // our side of its connection
	done     chan struct{}          // it has been closed
	log      *slog.Logger
}

const (
	openWithin  = 5 * time.Second
	closeWithin = 5 * time.Second
)

// openParser starts an amigo and returns when it waits for messages.
func openParser(ctx context.Context, log *slog.Logger) (*parser, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, openWithin, fmt.Errorf("amigo did not sign in at its door within %v", openWithin))
	defer cancel()
	door, err := wire.OpenDoor()
	if err != nil {
		return nil, err
	}
	p := &parser{messages: make(chan map[string]string, 64), done: make(chan struct{}), log: log}
	a := amigo.New(&amigo.Settings{
		Host: door.Host, Port: door.Port, Username: "calljournal", Password: door.Secret,
		ReconnectInterval: time.Millisecond, // zero would be a second; nobody is there to reconnect to
	})
	// Everything is registered before Connect: amigo holds a lock of its own
	// while it calls back.
	signedIn, running := make(chan struct{}), make(chan struct{})
	var connected, closed sync.Once
	a.On("connect", func(string) { connected.Do(func() { close(signedIn) }) })
	a.On("error", func(what string) {
		if what == "AMI Reconnect failed" {
			<-running // Close reads what Connect sets
			closed.Do(func() {
				a.Close()
				close(p.done)
			})
		}
	})
	a.SetEventChannel(p.messages)
	a.Connect()
	close(running)

	p.conn, err = door.Admit(ctx, wire.AskAMI)
	if err != nil {
		p.close() // the door is shut: it ends as in 3
		return nil, err
	}
	// Not a byte before amigo has its second reader: it throws the first away
	// with all that it holds.
	select {
	case <-signedIn:
		return p, nil
	case <-ctx.Done():
		p.close()
		return nil, context.Cause(ctx)
	}
}

// close ends amigo after its last message, or drops what it still has if there
// was none.
func (p *parser) close() {
	if p.conn != nil {
		p.conn.Close()
	}
	patience := time.NewTimer(closeWithin)
	defer patience.Stop()
	for {
		select {
		case <-p.messages:
		case <-p.done:
			return
		case <-patience.C:
			// Somebody else listens on the door's port by now and keeps amigo
			// waiting; it ends when he hangs up. It has no secret of ours.
			p.log.Warn("the AMI parser did not end in time; it is left behind", "after", closeWithin)
			return
		}
	}
}
