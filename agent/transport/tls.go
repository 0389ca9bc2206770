package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Files names what TLS needs. All may be "".
type Files struct {
	// Cert and Key are our own certificate, as PEM. A server without one does not
	// encrypt; a client without one shows none.
	Cert, Key string
	// CA holds whom we believe. A server that has one wants certificates of its
	// clients; a client without one believes whom the system does.
	CA string
}

// Check reads the files and says what is wrong with them.
func (f Files) Check() error {
	if f.Cert != "" {
		if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	if f.CA != "" {
		if _, err := loadPool(f.CA); err != nil {
			return fmt.Errorf("certificate authority: %w", err)
		}
	}
	return nil
}

// ServerTLS is TLS 1.2 and up for a listener; nil without a certificate.
func ServerTLS(f Files, log *slog.Logger) (*tls.Config, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if f.Cert == "" {
		return nil, nil
	}
	own := f.pair(log)
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.get() },
	}
	if f.CA != "" {
		believed := f.pool(log)
		c.ClientAuth = tls.RequireAndVerifyClientCert
		plain := c.Clone()
		c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			pool, err := believed.get()
			if err != nil {
				return nil, err
			}
			with := plain.Clone()
			with.ClientCAs = pool
			return with, nil
		}
	}
	return c, nil
}

// ClientTLS is TLS 1.2 and up for connections that we open to host, a name or an
// address without the port.
func ClientTLS(host string, f Files, log *slog.Logger) (*tls.Config, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if host == "" {
		return nil, errors.New("there is no host whose certificate could be checked")
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if f.Cert != "" {
		own := f.pair(log)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.get() }
	}
	if f.CA != "" {
		believed := f.pool(log)
		// A Config has its roots for good, and ours may be renewed: the same
		// check as crypto/tls makes, against the roots of now.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error {
			pool, err := believed.get()
			if err != nil {
				return err
			}
			o := x509.VerifyOptions{Roots: pool, DNSName: host, Intermediates: x509.NewCertPool()}
			for _, cert := range s.PeerCertificates[1:] {
				o.Intermediates.AddCert(cert)
			}
			_, err = s.PeerCertificates[0].Verify(o)
			return err
		}
	}
	return c, nil
}

func (f Files) pair(log *slog.Logger) *reread[*tls.Certificate] {
	return &reread[*tls.Certificate]{log: log, now: time.Now, paths: []string{f.Cert, f.Key}, load: func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		return &pair, err
	}}
}

func (f Files) pool(log *slog.Logger) *reread[*x509.CertPool] {
	return &reread[*x509.CertPool]{log: log, now: time.Now, paths: []string{f.CA}, load: func() (*x509.CertPool, error) { return loadPool(f.CA) }}
}

func loadPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("there is no certificate in %s", path)
	}
	return pool, nil
}

// rereadAfter bounds how often the files are looked at.
const rereadAfter = time.Second

// reread is what files hold, read again when they have changed. A renewal that
// cannot be read, or is half written, leaves what was there before in use.
type reread[T any] struct {
	paths []string
	load  func() (T, error)
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	have    bool
	held    T
	stamp   string // of the files as they were last read
	checked time.Time
}

func (r *reread[T]) get() (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.have && now.Sub(r.checked) < rereadAfter {
		return r.held, nil
	}
	r.checked = now
	stamp, err := stampOf(r.paths)
	if r.have && stamp == r.stamp {
		return r.held, nil
	}
	var fresh T
	if err == nil {
		fresh, err = r.load()
	}
	r.stamp = stamp
	switch {
	case err == nil:
		r.have, r.held = true, fresh
	case r.have:
		r.log.Warn("changed, but cannot be used: the one before stays in use", "files", r.paths, "err", err)
	default:
		return r.held, fmt.Errorf("read %v: %w", r.paths, err)
	}
	return r.held, nil
}

// stampOf tells one state of files from another.
func stampOf(paths []string) (stamp string, err error) {
	for _, p := range paths {
		st, statErr := os.Stat(p)
		if statErr != nil {
			stamp, err = stamp+"none;", statErr
			continue
		}
		stamp += fmt.Sprintf("%d %d;", st.ModTime().UnixNano(), st.Size())
	}
	return stamp, err
}
