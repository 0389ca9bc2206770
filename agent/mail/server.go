package mail

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"calljournal/agent/config"
	"calljournal/agent/transport"
)

// Refused: the server will not have this mail for this address, now or later.
type Refused struct{ Err error }

func (e *Refused) Error() string { return e.Err.Error() }
func (e *Refused) Unwrap() error { return e.Err }

// Server takes our mail. It may be used by several goroutines.
type Server struct {
	m   config.Mail
	log *slog.Logger
}

// NewServer is the server of a [mail] that was validated.
func NewServer(m config.Mail, log *slog.Logger) *Server { return &Server{m, log} }

// Send hands a message over and returns nil once the server has said that it has
// it. *Refused says that trying again is of no use; after every other error the
// server may or may not have it. No error holds the password.
func (s *Server) Send(ctx context.Context, m *Message) error {
	msg, err := m.compose(s.m.From)
	if err != nil {
		return &Refused{err}
	}
	return s.session(ctx, func(c *gomail.Client, conn *smtp.Client) error {
		err := c.SendWithSMTPClient(conn, msg)
		if err == nil || msg.IsDelivered() { // what comes after the server's yes is no matter
			return nil
		}
		var sent *gomail.SendError
		if !errors.As(err, &sent) {
			return err
		}
		said, _, _ := strings.Cut(err.Error(), ", affected ") // the address and the Message-ID
		text := fmt.Errorf("%s: %s", m.To, s.clean(said))
		switch sent.Reason {
		case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
			if code := sent.ErrorCode(); code >= 500 && code <= 599 {
				return &Refused{text}
			}
		}
		return text
	})
}

// Probe signs in and hangs up. It says how the connection was encrypted.
func (s *Server) Probe(ctx context.Context) (encrypted string, err error) {
	err = s.session(ctx, func(_ *gomail.Client, conn *smtp.Client) error {
		if state, err := conn.GetTLSConnectionState(); err == nil {
			encrypted = tls.VersionName(state.Version)
		}
		return nil
	})
	return encrypted, err
}

const (
	dialTimeout = 30 * time.Second
	// mostAnswered bounds what a server may say in one session: an answer that
	// never ends must not fill the memory.
	mostAnswered = 1 << 20
)

// session connects, encrypts, signs in, does something, and hangs up, all within
// the timeout.
func (s *Server) session(ctx context.Context, do func(*gomail.Client, *smtp.Client) error) error {
	timeout := s.m.Timeout.Duration
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s did not come to an end within %s", s.m.Server, timeout))
	defer cancel()
	client, hangUp, err := s.client(ctx)
	if err != nil {
		return err
	}
	defer hangUp()
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err == nil {
		if err = do(client, conn); err == nil {
			_ = conn.Quit() // what had to be said is said
		}
	} else {
		err = s.connectError(err)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx) // rather than what it was in the middle of
	}
	return err
}

// connectError says what did not work before a mail was even spoken of.
func (s *Server) connectError(err error) error {
	text := s.clean(err.Error())
	switch {
	case strings.Contains(text, "SMTP AUTH"):
		return fmt.Errorf("sign in to %s as %s: %s", s.m.Server, s.m.Username, text)
	case strings.Contains(text, "does not support STARTTLS"):
		return fmt.Errorf("%s does not offer STARTTLS, without which nothing is sent: is it the right port?", s.m.Server)
	}
	return fmt.Errorf("connect to %s: %s", s.m.Server, text)
}

// client is made for one session; hangUp cuts it whatever it is in the middle of.
func (s *Server) client(ctx context.Context) (_ *gomail.Client, hangUp func(), err error) {
	host, portText, err := net.SplitHostPort(s.m.Server)
	if err != nil {
		return nil, nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, nil, err
	}
	secure, err := transport.ClientTLS(host, transport.Files{CA: s.m.CA}, s.log)
	if err != nil {
		return nil, nil, fmt.Errorf("[mail] ca: %w", err)
	}
	var raw *measured
	var stop func() bool
	hangUp = func() {
		if raw != nil {
			stop()
			_ = raw.Close()
		}
	}
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTimeout}
		c, err := d.DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		raw = &measured{Conn: c, left: mostAnswered}
		stop = context.AfterFunc(ctx, func() { _ = c.Close() })
		if s.m.TLS != config.MailTLS {
			return raw, nil
		}
		encrypted := tls.Client(raw, secure)
		return encrypted, encrypted.HandshakeContext(dialing)
	}
	policy := gomail.NoTLS // or there already
	if s.m.TLS == config.MailStartTLS {
		policy = gomail.TLSMandatory
	}
	options := []gomail.Option{
		gomail.WithPort(port), gomail.WithTimeout(s.m.Timeout.Duration), gomail.WithDialContextFunc(dial),
		gomail.WithTLSConfig(secure), gomail.WithTLSPolicy(policy), gomail.WithoutNoop(), gomail.WithoutRset(),
		gomail.WithoutSMTPUTF8(), // our addresses do not need it, and not every server on the way has it
	}
	if s.m.Username != "" && s.m.TLS != config.MailNone {
		options = append(options, gomail.WithUsername(s.m.Username), gomail.WithPassword(s.m.Password.Reveal()),
			// Not the -PLUS ones: servers and TLS versions do not agree on how a channel is
			// bound, there is no second try, and the certificate was checked.
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("[mail]: %w", err)
	}
	return client, hangUp, nil
}

// clean makes one line that can be shown of what a server has said: it may have
// said our password back.
func (s *Server) clean(text string) string {
	password := s.m.Password.Reveal()
	if password != "" {
		plain := base64.StdEncoding.EncodeToString([]byte("\x00" + s.m.Username + "\x00" + password))
		for _, secret := range []string{plain, base64.StdEncoding.EncodeToString([]byte(password)), password} {
			text = strings.ReplaceAll(text, secret, "(hidden)")
		}
	}
	return oneLine(text, 300)
}

// measured is a connection of which so much can be read, and no more.
type measured struct {
	net.Conn
	left int
}

func (m *measured) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, fmt.Errorf("the mail server has said more than %d bytes: %w", mostAnswered, io.ErrShortBuffer)
	}
	n, err := m.Conn.Read(p[:min(len(p), m.left)])
	m.left -= n
	return n, err
}
