package uplink_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"calljournal/agent/uplink"
)

const token = "the branch's token"

// centre is a server that takes lines from whoever has the token.
type centre struct {
	*httptest.Server
	lines chan *uplink.Branch
}

func newCentre(t *testing.T, ping time.Duration) *centre {
	t.Helper()
	c := &centre{lines: make(chan *uplink.Branch, 10)}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get(uplink.AgentHeader) != "office-1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		b, err := uplink.Accept(w, r, ping)
		if errors.Is(err, uplink.ErrNoUpgrade) {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		c.lines <- b
	}))
	c.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	t.Cleanup(c.Close)
	return c
}

// branch keeps a line to url until the test ends.
func (c *centre) branch(t *testing.T, url, token string, ping time.Duration, h http.Handler) *uplink.Line {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(c.Certificate())
	l := uplink.New(uplink.Options{
		URL: url, Agent: "office-1", Token: func() string { return token }, TLS: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"},
		Handler: h, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Ping: ping,
	})
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { l.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait() })
	return l
}

func get(b *uplink.Branch, path string) (string, error) {
	resp, err := (&http.Client{Transport: b}).Get("http://branch" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func echo(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "branch "+r.URL.RequestURI()) }

func TestLine_CentreAsks(t *testing.T) {
	c := newCentre(t, 0)
	l := c.branch(t, c.URL+"/v1/uplink", token, 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 4<<20))
			return
		}
		echo(w, r)
	}))
	b := <-c.lines
	var asking sync.WaitGroup
	for i := range 30 {
		asking.Go(func() {
			want := fmt.Sprintf("branch /v1/sync?after=%d", i)
			if got, err := get(b, fmt.Sprintf("/v1/sync?after=%d", i)); err != nil || got != want {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	asking.Wait()
	if got, err := get(b, "/large"); err != nil || len(got) != 4<<20 {
		t.Errorf("a large answer: %d bytes, %v", len(got), err)
	}
	look := l.Look()
	if look.State != uplink.Up || look.Sessions != 1 || look.Requests != 31 || look.Error != "" {
		t.Errorf("%+v", look)
	}
}

// The centre cuts the line: the branch dials again by itself.
func TestLine_DialsAgain(t *testing.T) {
	c := newCentre(t, 0)
	l := c.branch(t, c.URL, token, 0, http.HandlerFunc(echo))
	first := <-c.lines
	if _, err := get(first, "/"); err != nil {
		t.Fatal(err)
	}
	first.Close()
	<-first.Ended()
	if _, err := get(first, "/"); !errors.Is(err, uplink.ErrLineEnded) {
		t.Errorf("over a line that ended: %v", err)
	}
	second := <-c.lines
	if got, err := get(second, "/again"); err != nil || got != "branch /again" {
		t.Errorf("%q, %v", got, err)
	}
	if look := l.Look(); look.Sessions != 2 {
		t.Errorf("%+v", look)
	}
}

func TestLine_Refused(t *testing.T) {
	c := newCentre(t, 0)
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for _, tt := range []struct{ name, url, token, state, want string }{
		{"wrong token", c.URL, "another", uplink.Refused, `[[agent]] "office-1"`},
		{"no collect", other.URL, token, uplink.Refused, "404"},
		{"nobody there", "https://127.0.0.1:1/", token, uplink.Connecting, "dial the centre"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var said lockedBuffer
			l := uplink.New(uplink.Options{URL: tt.url, Agent: "office-1", Token: func() string { return tt.token },
				TLS: c.Client().Transport.(*http.Transport).TLSClientConfig, Handler: http.NotFoundHandler(), Logger: slog.New(slog.NewTextHandler(&said, nil)), Now: time.Now})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); l.Run(ctx) }()
			for l.Look().Error == "" {
				time.Sleep(time.Millisecond)
			}
			look := l.Look()
			cancel()
			<-done
			if look.State != tt.state || !strings.Contains(look.Error, tt.want) || look.NextTry.IsZero() {
				t.Errorf("%+v", look)
			}
			if strings.Contains(said.String(), tt.token) {
				t.Errorf("the token is in the log: %s", said.String())
			}
		})
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A connection that takes bytes and gives none, as after a router lost its table:
// both ends notice, and the branch dials again.
func TestLine_HalfOpen(t *testing.T) {
	const ping = 100 * time.Millisecond
	c := newCentre(t, ping)
	dead := newTunnel(t, c.Listener.Addr().String())
	l := c.branch(t, "https://"+dead.Addr().String(), token, ping, http.HandlerFunc(echo))
	first := <-c.lines
	if _, err := get(first, "/"); err != nil {
		t.Fatal(err)
	}
	dead.freeze()
	<-first.Ended()
	second := <-c.lines // the tunnel lets new connections through
	if _, err := get(second, "/"); err != nil {
		t.Error(err)
	}
	if look := l.Look(); look.State != uplink.Up || look.Sessions < 2 {
		t.Errorf("%+v", look)
	}
}

// tunnel passes connections on; those that are frozen stay open and silent.
type tunnel struct {
	net.Listener
	mu     sync.Mutex
	frozen chan struct{}
}

func newTunnel(t *testing.T, to string) *tunnel {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tn := &tunnel{Listener: l, frozen: make(chan struct{})}
	t.Cleanup(func() { l.Close(); tn.freeze() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				return
			}
			tn.mu.Lock()
			frozen := tn.frozen
			tn.mu.Unlock()
			t.Cleanup(func() { in.Close(); out.Close() })
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				go func() {
					b := make([]byte, 4096)
					for {
						n, err := pair[0].Read(b)
						select {
						case <-frozen:
							_, _ = io.Copy(io.Discard, pair[0])
							return
						default:
						}
						if err != nil {
							pair[1].Close()
							return
						}
						if _, err := pair[1].Write(b[:n]); err != nil {
							return
						}
					}
				}()
			}
		}
	}()
	return tn
}

func (t *tunnel) freeze() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.frozen)
	t.frozen = make(chan struct{})
}

func TestAccept_NoUpgrade(t *testing.T) {
	c := newCentre(t, 0)
	req, err := http.NewRequest(http.MethodPost, c.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set(uplink.AgentHeader, "office-1")
	resp, err := c.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Error(resp.Status)
	}
}
