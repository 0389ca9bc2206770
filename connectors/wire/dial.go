package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// DialTimeout is how long connecting may take, TLS handshake included.
const DialTimeout = 10 * time.Second

// DialError is why no connection could be made, with what the operator can do.
type DialError struct {
	Err  error
	Hint string
}

func (e *DialError) Error() string { return e.Err.Error() }

// Unwrap gives the socket's or the handshake's own error.
func (e *DialError) Unwrap() error { return e.Err }

// Dial connects to a PBX by TCP, and by TLS on it if there is a configuration.
// Its error is a *DialError.
func Dial(ctx context.Context, address string, secure *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, DialTimeout, fmt.Errorf("no answer within %v", DialTimeout))
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &DialError{Err: because(ctx, err), Hint: dialHint(err)}
	}
	if secure == nil {
		return conn, nil
	}
	secure = secure.Clone()
	if secure.ServerName == "" {
		secure.ServerName, _, _ = net.SplitHostPort(address)
	}
	wrapped := tls.Client(conn, secure)
	if err := wrapped.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &DialError{Err: fmt.Errorf("TLS: %w", because(ctx, err)), Hint: tlsHint(err)}
	}
	return wrapped, nil
}

// because puts the reason for a context's end in the place of its bare error.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func dialHint(err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "is the PBX running, and does it listen on this address and port?"
	case errors.As(err, &dns):
		return "is the host name right?"
	default:
		return "is the PBX up, and does a firewall let us through?"
	}
}

func tlsHint(err error) string {
	var plain tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &plain):
		return fmt.Sprintf("the port does not speak TLS, it began with %s: set tls = false or take the PBX's TLS port", Quote(plain.RecordHeader[:]))
	case errors.As(err, &unknown):
		return "the PBX's certificate is signed by nobody this system trusts: add its authority"
	case errors.As(err, &name):
		return "the PBX's certificate is for another name: use that name in address"
	default:
		return "does this port speak TLS?"
	}
}

// Recognise says what the first bytes of a stream look like, "" if unknown. It
// is for the error about a port that does not speak the expected protocol.
func Recognise(first []byte) string {
	has := func(prefix string) bool { return bytes.HasPrefix(first, []byte(prefix)) }
	switch {
	case has("Asterisk Call Manager"):
		return "an Asterisk manager interface"
	case has("Content-Type: auth/request"), has("Content-Type: text/rude-rejection"):
		return "a FreeSWITCH event socket"
	case has("HTTP/"), has("<html"), has("<!DOCTYPE"):
		return "a web server"
	case has("SSH-"):
		return "an SSH server"
	case has("SIP/2.0"):
		return "a SIP port"
	case has("220 "), has("220-"):
		return "a mail or FTP server"
	case len(first) >= 2 && (first[0] == 0x15 || first[0] == 0x16) && first[1] == 3:
		return "a TLS port"
	default:
		return ""
	}
}

// Quote shows bytes from outside in an error: escaped, and not many of them.
func Quote(p []byte) string {
	const most = 40
	if len(p) > most {
		return fmt.Sprintf("%q...", p[:most])
	}
	return fmt.Sprintf("%q", p)
}

// Loopback tells whether an address given by the operator stays on this machine.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}
