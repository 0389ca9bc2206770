package transport_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"calljournal/agent/transport"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serveHello answers every request until the test ends.
func serveHello(t *testing.T, files transport.Files, most int) *transport.Listener {
	t.Helper()
	return serveHelloTelling(t, files, most, func(http.ConnState) {})
}

// serveHelloTelling tells the state of each connection once the listener knows it.
func serveHelloTelling(t *testing.T, files transport.Files, most int, tell func(http.ConnState)) *transport.Listener {
	t.Helper()
	l, err := transport.Listen("127.0.0.1:0", files, most, quiet())
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }),
		ConnState: func(c net.Conn, state http.ConnState) {
			l.ConnState(c, state)
			tell(state)
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l
}

// ask makes one request on a connection of its own and gives the serial number
// of the server's certificate.
func ask(host, address string, files transport.Files, change func(*tls.Config)) (serial int64, err error) {
	c, err := transport.ClientTLS(host, files, quiet())
	if err != nil {
		return 0, err
	}
	if change != nil {
		change(c)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
	resp, err := client.Get("https://" + address)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), err
}

func TestTLS(t *testing.T) {
	dir, ca, other := t.TempDir(), newAuthority(t), newAuthority(t)
	caFile, otherFile := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "other.crt")
	writePEM(t, caFile, "CERTIFICATE", ca.cert.Raw)
	writePEM(t, otherFile, "CERTIFICATE", other.cert.Raw)
	cert, key := ca.issue(t, dir, "server", 2)
	clientCert, clientKey := ca.issue(t, dir, "client", 3)
	strangerCert, strangerKey := other.issue(t, dir, "stranger", 4)

	open := serveHello(t, transport.Files{Cert: cert, Key: key}, 10).Addr().String()
	mutual := serveHello(t, transport.Files{Cert: cert, Key: key, CA: caFile}, 10).Addr().String()
	tests := []struct {
		name, address string
		files         transport.Files
		change        func(*tls.Config)
		refused       bool
	}{
		{"believed", open, transport.Files{CA: caFile}, nil, false},
		{"not believed by the system", open, transport.Files{}, nil, true},
		{"not believed by the file", open, transport.Files{CA: otherFile}, nil, true},
		{"TLS 1.2", open, transport.Files{CA: caFile}, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, false},
		{"TLS 1.1", open, transport.Files{CA: caFile}, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }, true},
		{"no certificate where one is wanted", mutual, transport.Files{CA: caFile}, nil, true},
		{"a certificate where one is wanted", mutual, transport.Files{CA: caFile, Cert: clientCert, Key: clientKey}, nil, false},
		{"a stranger's certificate", mutual, transport.Files{CA: caFile, Cert: strangerCert, Key: strangerKey}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serial, err := ask("127.0.0.1", tt.address, tt.files, tt.change)
			if (err != nil) != tt.refused || err == nil && serial != 2 {
				t.Errorf("certificate %d, %v", serial, err)
			}
		})
	}
}

// A certificate that is good, but for somebody else.
func TestTLS_AnotherName(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	caFile := filepath.Join(dir, "ca.crt")
	writePEM(t, caFile, "CERTIFICATE", ca.cert.Raw)
	cert, key := ca.issue(t, dir, "server", 2)
	address := serveHello(t, transport.Files{Cert: cert, Key: key}, 10).Addr().String()
	for _, host := range []string{"office.example", "127.0.0.2"} {
		if _, err := ask(host, address, transport.Files{CA: caFile}, nil); err == nil {
			t.Errorf("a certificate for 127.0.0.1 was taken for %s", host)
		}
	}
}

// Whom a server and a client believe is read again, like their own certificates.
// What cannot be used leaves what was there before.
func TestTLS_Renewed(t *testing.T) {
	dir, first, second := t.TempDir(), newAuthority(t), newAuthority(t)
	believed := filepath.Join(dir, "ca.crt")
	writePEM(t, believed, "CERTIFICATE", first.cert.Raw)
	cert, key := first.issue(t, dir, "both", 2)
	files := transport.Files{Cert: cert, Key: key, CA: believed}
	l := serveHello(t, files, 10)
	client, err := transport.ClientTLS("127.0.0.1", files, quiet())
	if err != nil {
		t.Fatal(err)
	}
	dial := func() (int64, error) {
		h := http.Client{Transport: &http.Transport{TLSClientConfig: client, DisableKeepAlives: true}}
		resp, err := h.Get("https://" + l.Addr().String())
		if err != nil {
			return 0, err
		}
		resp.Body.Close()
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), nil
	}
	// The files are looked at once a second: what counts is that it comes to be.
	becomes := func(what string, want int64) {
		t.Helper()
		var serial int64
		var err error
		for range 100 {
			if serial, err = dial(); err == nil && serial == want {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("%s: certificate %d, %v", what, serial, err)
	}
	if serial, err := dial(); err != nil || serial != 2 {
		t.Fatalf("at first: certificate %d, %v", serial, err)
	}
	if err := os.WriteFile(cert, []byte("half a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(believed, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	becomes("broken files", 2)
	writePEM(t, believed, "CERTIFICATE", second.cert.Raw)
	second.issue(t, dir, "both", 3)
	becomes("renewed by another authority", 3)
}

func TestFiles_Check(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]transport.Files{
		"no such file":                {Cert: filepath.Join(dir, "none"), Key: filepath.Join(dir, "none")},
		"certificate: tls: failed":    {Cert: empty, Key: empty},
		"there is no certificate in ": {CA: empty},
	} {
		if err := f.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	if err := (transport.Files{}).Check(); err != nil {
		t.Errorf("no files: %v", err)
	}
}

// A listener that is full of connections that do nothing still lets a new one
// in: for the one that has been idle the longest.
func TestListener_IdleMakeRoom(t *testing.T) {
	const most = 4
	l := serveHello(t, transport.Files{}, most)
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	hello := func(c net.Conn) error {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		_, err := io.ReadAtLeast(c, make([]byte, 4096), len("HTTP/1.1 200 OK"))
		return err
	}
	var all []net.Conn
	for i := range 4 * most {
		c := dial()
		if err := hello(c); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		all = append(all, c)
	}
	alive := 0
	for _, c := range all {
		if hello(c) == nil {
			alive++
		}
	}
	if alive == 0 || alive > most {
		t.Errorf("%d connections are left, at most %d may be", alive, most)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// A crowd from one address does not cost another one its only connection.
func TestListener_CrowdOfOneAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is one address to dial from only")
	}
	// An answer is read before its connection is known to be idle again; and the
	// only idle one is the first to go.
	idle := make(chan struct{}, 64)
	l := serveHelloTelling(t, transport.Files{}, 4, func(state http.ConnState) {
		if state == http.StateIdle {
			idle <- struct{}{}
		}
	})
	dial := func(from string) net.Conn {
		t.Helper()
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	hello := func(c net.Conn) error {
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err := io.ReadAtLeast(c, make([]byte, 4096), len("HTTP/1.1 200 OK"))
		if err == nil {
			<-idle
		}
		return err
	}
	quiet := dial("127.0.0.2")
	if err := hello(quiet); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := hello(dial("127.0.0.3")); err != nil {
			t.Fatal(err)
		}
	}
	if err := hello(quiet); err != nil {
		t.Errorf("the connection that was idle for the longest time, of another address: %v", err)
	}
}

// Connections that are at work are not cut for new ones: those wait.
func TestListener_BusyStay(t *testing.T) {
	l, err := transport.Listen("127.0.0.1:0", transport.Files{}, 1, quiet())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.ConnState(first, http.StateNew)
	l.ConnState(first, http.StateActive)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	select {
	case <-accepted:
		t.Fatal("a second connection beside the only slot")
	default:
	}
	first.Close()
	first.Close() // gives back one slot, not two
	second := <-accepted
	if second == nil {
		t.Fatal("the second connection never came")
	}
	ended := make(chan error)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	l.Close()
	if err := <-ended; err == nil {
		t.Error("Accept goes on after Close")
	}
	second.Close()
}
