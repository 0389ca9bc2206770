package agent

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"calljournal/agent/config"
)

// listenLocal opens the control socket for its owner and group. A file that a
// killed daemon left is removed, one that a living daemon answers at is not.
func listenLocal(path string) (net.Listener, error) {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("control socket %s: there is a file of another kind: move it away, or set agent.socket", path)
		}
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("control socket %s: another calljournal runs and answers there: see calljournal status", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket left by a daemon that is gone: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("make the folder of the control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil && runtime.GOOS != "windows" {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

// connections at a time, over which new ones wait in the system's queue.
const maxConnections = 1024

func listenNetwork(h config.HTTP) (net.Listener, error) {
	var secure *tls.Config
	if h.TLSCert != "" {
		c := &certificate{cert: h.TLSCert, key: h.TLSKey}
		if _, err := c.get(nil); err != nil {
			return nil, fmt.Errorf("http.tls_cert: %w", err)
		}
		secure = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
		if h.ClientCA != "" {
			pem, err := os.ReadFile(h.ClientCA)
			if err != nil {
				return nil, fmt.Errorf("http.client_ca: %w", err)
			}
			secure.ClientCAs, secure.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
			if !secure.ClientCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("http.client_ca: there is no certificate in %s", h.ClientCA)
			}
		}
	}
	l, err := net.Listen("tcp", h.Listen)
	if err != nil {
		return nil, fmt.Errorf("http.listen: %w (another program has the port? choose one with [http] listen)", err)
	}
	l = &limited{Listener: l, slots: make(chan struct{}, maxConnections)}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	return l, nil
}

// limited accepts no more connections than it has slots.
type limited struct {
	net.Listener
	slots chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotted{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

type slotted struct {
	net.Conn
	free func()
}

func (c *slotted) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// certificate reads its files again when they have changed, so that a renewal
// needs no restart. One that cannot be read leaves the one before in use.
type certificate struct {
	cert, key string

	mu      sync.Mutex
	read    time.Time
	loaded  *tls.Certificate
	checked time.Time
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded != nil && time.Since(c.checked) < time.Second {
		return c.loaded, nil
	}
	c.checked = time.Now()
	changed, err := newest(c.cert, c.key)
	if err == nil && !changed.Equal(c.read) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.cert, c.key); err == nil {
			c.loaded, c.read = &pair, changed
		}
	}
	if c.loaded == nil {
		return nil, errors.Join(errors.New("no certificate"), err)
	}
	return c.loaded, nil
}

func newest(paths ...string) (t time.Time, err error) {
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return t, err
		}
		if st.ModTime().After(t) {
			t = st.ModTime()
		}
	}
	return t, nil
}
