package mailtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Fate is what becomes of a mail.
type Fate int

// The fates.
const (
	Taken          Fate = iota
	RefusedAddress      // 550 to the address
	RefusedSender       // 550 to the sender
	RefusedContent      // 554 after the final dot
	PutOff              // 451 to the address
	PutOffContent       // 451 after the final dot
	DiesInData          // the connection is cut in the middle of the mail
	DiesAfterDot        // and after all of it: the mail is taken, the answer is lost
)

// Options of Start.
type Options struct {
	TLS                string // "starttls", "tls", "none"
	Username, Password string // "": nobody need sign in
	Mechanisms         []string
	// InClear offers sign-in without TLS, as no server should.
	InClear bool
	// Slow has every byte of an answer sent by itself.
	Slow bool
}

// Mail is one that was taken.
type Mail struct {
	From, To, User string
	Encrypted      bool
	Body           []byte
}

// Server is a mail server at Addr. CA is a file with whom to believe.
type Server struct {
	Addr, CA string
	o        Options

	mu     sync.Mutex
	fate   func(to string, try int) Fate
	tries  map[string]int
	mails  []Mail
	signed []string // mechanisms that somebody signed in with, or tried to
	news   chan struct{}
}

// Start begins a server that ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{o: o, tries: map[string]int{}, news: make(chan struct{}, 1), fate: func(string, int) Fate { return Taken }}
	certificate, ca := certificate(t)
	s.CA = ca
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	if o.Slow {
		l = slow{l}
	}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{s: s, c: c}, nil }))
	server.Domain, server.AllowInsecureAuth, server.ErrorLog = "mail.test", o.InClear, log.New(io.Discard, "", 0)
	server.MaxMessageBytes = 64 << 20
	secure := &tls.Config{Certificates: []tls.Certificate{certificate}}
	switch o.TLS {
	case "starttls":
		server.TLSConfig = secure
	case "tls":
		l = tls.NewListener(l, secure)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return s
}

// Decide sets what becomes of mails; try counts those to that address, from 1.
func (s *Server) Decide(fate func(to string, try int) Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fate = fate
}

// Always is Decide for all.
func (s *Server) Always(f Fate) { s.Decide(func(string, int) Fate { return f }) }

// Mails are those that were taken so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// SignedIn are the mechanisms that were used, in order, also in vain.
func (s *Server) SignedIn() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.signed)
}

// Tries is how often a mail to an address was begun.
func (s *Server) Tries(to string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries[to]
}

// Wait waits until n mails were taken and gives them.
func (s *Server) Wait(t testing.TB, n int) []Mail {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		if mails := s.Mails(); len(mails) >= n {
			return mails
		}
		select {
		case <-s.news:
		case <-late:
			t.Fatalf("%d mails came, not %d", len(s.Mails()), n)
		}
	}
}

type session struct {
	s    *Server
	c    *smtp.Conn
	user string
	from string
	to   string
	fate Fate
}

func (x *session) AuthMechanisms() []string {
	if x.s.o.Username == "" {
		return nil
	}
	if x.s.o.Mechanisms != nil {
		return x.s.o.Mechanisms
	}
	return []string{sasl.Plain, sasl.Login}
}

func (x *session) Auth(mechanism string) (sasl.Server, error) {
	x.s.mu.Lock()
	x.s.signed = append(x.s.signed, mechanism)
	x.s.mu.Unlock()
	check := func(user, password string) error {
		if user != x.s.o.Username || password != x.s.o.Password {
			return smtp.ErrAuthFailed
		}
		x.user = user
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case sasl.Login:
		return &loginServer{check: check}, nil
	case scramSHA256:
		return &scramServer{user: x.s.o.Username, password: x.s.o.Password, well: func() { x.user = x.s.o.Username }}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (x *session) Mail(from string, _ *smtp.MailOptions) error {
	if x.s.o.Username != "" && x.user == "" {
		return smtp.ErrAuthRequired
	}
	x.from = from
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if x.s.fate("", 0) == RefusedSender {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not your address"}
	}
	return nil
}

func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.tries[to]++
	x.to, x.fate = to, x.s.fate(to, x.s.tries[to])
	switch x.fate {
	case RefusedAddress:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user here"}
	case PutOff:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted, try again later"}
	}
	return nil
}

func (x *session) Data(r io.Reader) error {
	if x.fate == DiesInData {
		_, _ = io.ReadFull(r, make([]byte, 300))
		_ = x.c.Conn().Close()
		return io.ErrUnexpectedEOF
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch x.fate {
	case RefusedContent:
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "looks like spam"}
	case PutOffContent:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "out of room, try again later"}
	}
	_, encrypted := x.c.TLSConnectionState()
	x.s.mu.Lock()
	x.s.mails = append(x.s.mails, Mail{From: x.from, To: x.to, User: x.user, Encrypted: encrypted, Body: body})
	x.s.mu.Unlock()
	if x.fate == DiesAfterDot {
		_ = x.c.Conn().Close()
	}
	select {
	case x.s.news <- struct{}{}:
	default:
	}
	return nil
}

func (x *session) Reset()        {}
func (x *session) Logout() error { return nil }

// slow is a listener whose connections say one byte at a time.
type slow struct{ net.Listener }

func (l slow) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return slowConn{c}, err
}

type slowConn struct{ net.Conn }

func (c slowConn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var one int
		one, err = c.Conn.Write(p[n : n+1])
		n += one
	}
	return n, err
}

// Mute gives the address of somebody who takes connections and says nothing.
func Mute(t testing.TB) string { return listen(t, func(net.Conn, <-chan struct{}) {}) }

// Endless gives the address of somebody whose greeting has no end.
func Endless(t testing.TB) string {
	return listen(t, func(c net.Conn, _ <-chan struct{}) {
		line := bytes.Repeat([]byte("220-a moment please\r\n"), 50)
		for {
			if _, err := c.Write(line); err != nil {
				return
			}
		}
	})
}

// Says gives the address of somebody who answers every line with the next of
// these, the first one at once, whatever was asked.
func Says(t testing.TB, lines ...string) string {
	return listen(t, func(c net.Conn, _ <-chan struct{}) {
		heard := make([]byte, 4096)
		for _, line := range lines {
			if _, err := c.Write([]byte(line + "\r\n")); err != nil {
				return
			}
			if _, err := c.Read(heard); err != nil {
				return
			}
		}
	})
}

func listen(t testing.TB, talk func(net.Conn, <-chan struct{})) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	over := make(chan struct{})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				stop := make(chan struct{})
				all.Go(func() {
					select {
					case <-over:
						_ = c.Close()
					case <-stop:
					}
				})
				defer close(stop)
				talk(c, over)
				_, _ = io.Copy(io.Discard, c)
			})
		}
	})
	t.Cleanup(func() {
		close(over)
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// certificate makes one for 127.0.0.1, and the file of who signed it.
func certificate(t testing.TB) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}
