package wire

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"time"
)

// Door is where a protocol package comes in: a listener on loopback that lets in
// one connection, the one that knows its secret, and is closed from then on. The
// packages take nothing but an address and a password; so the PBX's own never
// pass through them.
type Door struct {
	Host, Port string
	Secret     string // good for this door only
	listener   net.Listener
}

// OpenDoor listens on a free port of loopback.
func OpenDoor() (*Door, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a door for the protocol package: %w", err)
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("open a door for the protocol package: %w", err)
	}
	return &Door{Host: host, Port: port, Secret: rand.Text(), listener: l}, nil
}

// Admit waits for the package. ask plays the PBX's side of the protocol's
// sign-in and fails if the other side does not know the secret; then that
// connection is closed and the next one is asked. The door is closed when Admit
// returns.
func (d *Door) Admit(ctx context.Context, ask func(conn net.Conn, secret string) error) (net.Conn, error) {
	defer d.Close()
	defer context.AfterFunc(ctx, d.Close)()
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, fmt.Errorf("wait for the protocol package: %w", err)
		}
		conn.SetDeadline(time.Now().Add(2 * time.Second))
		if err := ask(conn, d.Secret); err != nil {
			conn.Close()
			continue
		}
		conn.SetDeadline(time.Time{})
		return conn, nil
	}
}

// Close shuts the door; a connection that came through stays.
func (d *Door) Close() { d.listener.Close() }
