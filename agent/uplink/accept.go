package uplink

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Branch is the centre's end of a line: an http.RoundTripper whose requests, to
// any host with the scheme http, go to the branch.
type Branch struct {
	transport *http.Transport
	conn      *conn
	mu        sync.Mutex
	dialled   bool
}

// ErrNoUpgrade: a request that does not ask for a line.
var ErrNoUpgrade = errors.New("this address is for [uplink] of calljournal only")

// ErrLineEnded: the branch's connection is gone.
var ErrLineEnded = errors.New("the uplink has ended")

// Accept turns a request that the caller has checked into a line. After an error
// nothing has been answered yet if it is ErrNoUpgrade, else the connection is
// gone. ping is as in Options.
func Accept(w http.ResponseWriter, r *http.Request, ping time.Duration) (*Branch, error) {
	ping = cmp.Or(ping, defaultPing)
	if r.Method != http.MethodPost || r.Header.Get("Upgrade") != Protocol || !strings.EqualFold(r.Header.Get("Connection"), "Upgrade") {
		return nil, ErrNoUpgrade
	}
	socket, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("take over the connection: %w", err)
	}
	// The server's deadlines were for a request.
	err = socket.SetDeadline(time.Now().Add(dialWithin))
	if err == nil {
		_, err = io.WriteString(socket, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+Protocol+"\r\n\r\n")
	}
	if err == nil {
		err = socket.SetDeadline(time.Time{})
	}
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("answer the branch: %w", err)
	}
	b := &Branch{conn: newConn(&buffer{buffered.Reader, socket}, socket)}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true) // the encryption is beneath
	b.transport = &http.Transport{
		Protocols: &protocols, DialContext: b.dial, MaxConnsPerHost: 1,
		HTTP2: &http.HTTP2Config{SendPingTimeout: ping, PingTimeout: ping, StrictMaxConcurrentRequests: true},
	}
	return b, nil
}

// dial gives the one connection there is, once.
func (b *Branch) dial(context.Context, string, string) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dialled {
		return nil, ErrLineEnded
	}
	b.dialled = true
	return b.conn, nil
}

// RoundTrip implements http.RoundTripper.
func (b *Branch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.transport.RoundTrip(r)
	if err != nil && r.Context().Err() == nil {
		// There is no second connection to try: this one is of no more use.
		b.Close()
		return nil, fmt.Errorf("%w: %w", ErrLineEnded, err)
	}
	return resp, err
}

// Ended is closed when the line is gone.
func (b *Branch) Ended() <-chan struct{} { return b.conn.closed }

// Close cuts the line.
func (b *Branch) Close() { _ = b.conn.Close() }

// buffer reads what the server had read already, then the socket.
type buffer struct {
	r *bufio.Reader
	net.Conn
}

func (b *buffer) Read(p []byte) (int, error) { return b.r.Read(p) }
