package uplink

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// What both ends must agree on.
const (
	Protocol    = "calljournal-uplink/1"
	AgentHeader = "Calljournal-Agent"
)

// Times of a line.
const (
	defaultPing = 15 * time.Second // of silence, then a ping, and as long for its answer
	dialWithin  = 30 * time.Second // until the centre has said yes or no
	firstPause  = time.Second
	longest     = time.Minute
	steadyAfter = time.Minute // a line that held so long starts with firstPause again
)

// States of a line.
const (
	Connecting = "connecting" // never up yet in this run
	Up         = "up"
	Lost       = "lost"    // tried again by itself
	Refused    = "refused" // the centre does not let us in: somebody must see to it
)

// Options of New. All but Ping must be set.
type Options struct {
	URL, Agent string
	Token      func() string // asked at each attempt, so that it can be renewed
	TLS        *tls.Config
	Handler    http.Handler // what the centre may ask
	Logger     *slog.Logger
	Now        func() time.Time
	// Ping is how long the line may be silent before it is asked whether it still
	// is there, and how long that may take; 0 is 15 s.
	Ping time.Duration
}

// Line is the branch's end.
type Line struct {
	o    Options
	mu   sync.Mutex
	look Look
}

// Look is what a Line says of itself.
type Look struct {
	State    string
	Since    time.Time
	Error    string    // why it is not up
	NextTry  time.Time // zero while it is up
	Sessions uint64    // connections so far
	Requests uint64    // of the centre
	AskedAt  time.Time // when the last of them came
}

// New makes a Line; Run must follow.
func New(o Options) *Line {
	o.Ping = cmp.Or(o.Ping, defaultPing)
	return &Line{o: o, look: Look{State: Connecting, Since: o.Now()}}
}

// Look says how the line is now.
func (l *Line) Look() Look {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.look
}

// Run keeps the line until ctx ends.
func (l *Line) Run(ctx context.Context) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, longest
	for ctx.Err() == nil {
		up, err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if up > steadyAfter {
			pause.Reset()
		}
		wait := pause.NextBackOff()
		l.lost(err, wait)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (l *Line) lost(err error, wait time.Duration) {
	text, now := err.Error(), l.o.Now()
	l.mu.Lock()
	state := Lost
	var no *refusedError
	switch {
	case errors.As(err, &no):
		state = Refused
	case l.look.Sessions == 0:
		state = Connecting
	}
	news := state != l.look.State || text != l.look.Error
	if state != l.look.State {
		l.look.Since = now
	}
	l.look.State, l.look.Error, l.look.NextTry = state, text, now.Add(wait)
	l.mu.Unlock()
	if news {
		l.o.Logger.Warn("uplink is not up", "url", l.o.URL, "err", text, "again_in", wait.Round(time.Millisecond).String())
	}
}

// refusedError: the centre answered, but not with a line.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// session is one connection, from the dial to its end; it says how long it was up.
func (l *Line) session(ctx context.Context) (time.Duration, error) {
	c, err := l.dial(ctx)
	if err != nil {
		return 0, err
	}
	began := l.o.Now()
	l.mu.Lock()
	l.look.State, l.look.Since, l.look.Error, l.look.NextTry = Up, began, "", time.Time{}
	l.look.Sessions++
	l.mu.Unlock()
	l.o.Logger.Info("uplink is up", "url", l.o.URL)

	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true) // the encryption is beneath
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l.mu.Lock()
			l.look.Requests++
			l.look.AskedAt = l.o.Now()
			l.mu.Unlock()
			l.o.Handler.ServeHTTP(w, r)
		}),
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: l.o.Ping, PingTimeout: l.o.Ping},
		ReadHeaderTimeout: dialWithin,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(l.o.Logger.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	_ = server.Serve(&single{conn: c})
	_ = server.Close()
	return l.o.Now().Sub(began), errors.New("the connection to the centre was lost")
}

// dial asks the centre to turn a request into a line. http.Transport does it, so
// that proxies and their environment variables work as everywhere.
func (l *Line) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before 101 it ends the request, after that it means nothing
	timer := time.AfterFunc(dialWithin, cancel)
	defer timer.Stop()

	var socket net.Conn
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { socket = i.Conn }})
	var protocols http.Protocols
	protocols.SetHTTP1(true) // only HTTP/1.1 can be turned into something else
	way := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: l.o.TLS, Protocols: &protocols,
		DialContext: (&net.Dialer{Timeout: dialWithin, KeepAlive: defaultPing}).DialContext,
	}
	defer way.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.o.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", Protocol)
	req.Header.Set("Authorization", "Bearer "+l.o.Token())
	req.Header.Set(AgentHeader, l.o.Agent)
	resp, err := way.RoundTrip(req)
	if err != nil {
		if !timer.Stop() {
			err = fmt.Errorf("no answer within %s", dialWithin)
		}
		return nil, fmt.Errorf("dial the centre: %w", err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if both, ok := resp.Body.(io.ReadWriteCloser); ok && resp.Header.Get("Upgrade") == Protocol {
			return newConn(both, socket), nil
		}
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, &refusedError{fmt.Sprintf("the centre answered %s: is [uplink] token_file the token that its [[agent]] %q has?", resp.Status, l.o.Agent)}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return nil, fmt.Errorf("the centre answered %s", resp.Status)
	}
	return nil, &refusedError{fmt.Sprintf("the centre answered %s: %.200q: is [uplink] url the address of a calljournal collect?", resp.Status, said)}
}
