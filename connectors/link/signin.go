package link

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"calljournal/connectors"
	"calljournal/connectors/wire"
)

// CheckSecret fails if the user name or the secret would end a line, and so begin
// another command.
func (l *Link) CheckSecret() error {
	if strings.ContainsAny(l.Username+l.Secret, "\r\n\x00") {
		return l.Fail("sign in", errors.New("the user name or the secret contains a line break"), "check username and secret in the configuration")
	}
	return nil
}

// Greeting is what to do where a protocol's greeting does not come.
type Greeting struct {
	Port   string // a question: is this the port of ...?
	Other  string // the other kind of PBX, as wire.Recognise names it
	Kind   string // and as the configuration names it
	Closed string // where to look if the PBX hangs up before it
}

// NotGreeted says what came in the place of the greeting: first, or else err.
func (l *Link) NotGreeted(g Greeting, first []byte, err error) error {
	switch {
	case len(first) > 0:
		hint := g.Port
		switch known := wire.Recognise(first); known {
		case "":
		case "a TLS port":
			hint = "this looks like a TLS port: set tls = true"
		case g.Other:
			hint = fmt.Sprintf("this looks like %s: set kind = %q", g.Other, g.Kind)
		default:
			hint = "this looks like " + known + ": " + g.Port
		}
		return l.Fail("greet", fmt.Errorf("%w: it begins with %s", connectors.ErrNotAPBX, wire.Quote(first)), hint)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return l.Fail("greet", fmt.Errorf("%w: it says nothing", connectors.ErrNotAPBX), "a TLS port waits for the client to begin: if this is one, set tls = true")
	case errors.Is(err, io.EOF):
		return l.Fail("greet", fmt.Errorf("%w: the connection was closed before a greeting", connectors.ErrUnreachable), g.Closed)
	}
	return l.Fail("greet", fmt.Errorf("%w: %w", connectors.ErrUnreachable, err), "")
}

// NotAnswered is for a question of the sign-in.
func (l *Link) NotAnswered(what string, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("no answer in time")
	}
	return l.Fail("sign in", fmt.Errorf("%w: %s: %w", connectors.ErrUnreachable, what, err), "")
}
