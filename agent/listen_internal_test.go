package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"calljournal/agent/config"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = a.sign(t, "authority", 1, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) sign(t *testing.T, name string, serial int64, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(serial), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// issue writes a certificate and its key as files.
func (a *authority) issue(t *testing.T, dir, name string, serial int64) (cert, key string) {
	t.Helper()
	c, k := a.sign(t, name, serial, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	writePEM(t, cert, "CERTIFICATE", c.Raw)
	writePEM(t, key, "EC PRIVATE KEY", der)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func serveHello(t *testing.T, h config.HTTP) (address string) {
	t.Helper()
	l, err := listenNetwork(h)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

func TestListenNetwork_TLS(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	caFile := filepath.Join(dir, "ca.crt")
	writePEM(t, caFile, "CERTIFICATE", ca.cert.Raw)
	cert, key := ca.issue(t, dir, "server", 2)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	dial := func(address string, client ...tls.Certificate) (serial int64, err error) {
		c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, Certificates: client})
		if err != nil {
			return 0, err
		}
		defer c.Close()
		// The server's word on our certificate comes after the handshake.
		_, err = c.Write([]byte("GET / HTTP/1.0\r\n\r\n"))
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), err
	}

	address := serveHello(t, config.HTTP{Listen: "127.0.0.1:0", TLSCert: cert, TLSKey: key})
	if serial, err := dial(address); err != nil || serial != 2 {
		t.Errorf("certificate %d, %v", serial, err)
	}

	mutual := serveHello(t, config.HTTP{Listen: "127.0.0.1:0", TLSCert: cert, TLSKey: key, ClientCA: caFile})
	if _, err := dial(mutual); err == nil {
		t.Error("a client without a certificate was let in")
	}
	clientCert, clientKey := ca.issue(t, dir, "client", 3)
	pair, err := tls.LoadX509KeyPair(clientCert, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dial(mutual, pair); err != nil {
		t.Errorf("a client with a certificate: %v", err)
	}
}

// A renewed certificate is taken over; a broken one leaves the old one in use.
func TestCertificate_Reread(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	cert, key := ca.issue(t, dir, "server", 2)
	c := &certificate{cert: cert, key: key}
	serial := func() int64 {
		t.Helper()
		c.checked = time.Time{} // as if a second had passed
		got, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(got.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	if n := serial(); n != 2 {
		t.Fatalf("certificate %d", n)
	}
	changed := func(after time.Duration) {
		t.Helper()
		at := time.Now().Add(after)
		if err := os.Chtimes(cert, at, at); err != nil {
			t.Fatal(err)
		}
	}
	ca.issue(t, dir, "server", 3)
	changed(time.Hour)
	if n := serial(); n != 3 {
		t.Errorf("after the renewal: certificate %d", n)
	}
	if err := os.WriteFile(cert, []byte("half a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	changed(2 * time.Hour)
	if n := serial(); n != 3 {
		t.Errorf("a broken file: certificate %d", n)
	}
}

func TestListenLocal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes mean nothing here")
	}
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := listenLocal(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o660 {
		t.Errorf("mode: %v, %v", st.Mode(), err)
	}
	if _, err := listenLocal(path); err == nil || !strings.Contains(err.Error(), "another calljournal") {
		t.Errorf("a second daemon: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as a kill leaves it
	l.Close()
	if l, err = listenLocal(path); err != nil {
		t.Fatalf("a socket left by a kill: %v", err)
	}
	l.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is still there after the end")
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenLocal(path); err == nil {
		t.Error("a file that is no socket was taken away")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file: %q, %v", b, err)
	}
}

// More connections than there are slots wait; they are not refused.
func TestLimited(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &limited{Listener: inner, slots: make(chan struct{}, 1)}
	defer l.Close()
	for range 2 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	free := func() bool {
		select {
		case l.slots <- struct{}{}:
			<-l.slots
			return true
		default:
			return false
		}
	}
	if free() {
		t.Error("a connection takes no slot")
	}
	first.Close()
	first.Close() // gives back one slot, not two
	if !free() {
		t.Error("a closed connection keeps its slot")
	}
	second, err := l.Accept()
	if err != nil {
		t.Fatalf("the second connection never came: %v", err)
	}
	second.Close()
}
