package freeswitch

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"calljournal/connectors"
	"calljournal/connectors/link"
	"calljournal/connectors/wire"
)

// command writes one command of the event socket. Its parts come from us alone,
// or were checked for line breaks.
func command(text string) []byte { return []byte(text + "\n\n") }

// reply is one answer: its header lines and its body.
type reply struct {
	headers map[string]string // by lower-cased name, the first of each
	body    string
	merged  bool // it ran into the next answer, for it was cut before its end
}

// text is what the answer says: a command's Reply-Text, a question's body.
func (r reply) text() string {
	if r.headers["content-type"] == "command/reply" {
		return r.headers["reply-text"]
	}
	return r.body
}

func (r reply) ok() bool { return strings.HasPrefix(r.text(), "+OK") }

// readReply reads the next frame of the sign-in that is an answer.
func readReply(line *wire.Line) (reply, error) {
	for range 64 {
		r := reply{headers: make(map[string]string)}
		for range wire.MaxHeaders {
			text, err := line.ReadLine()
			if err != nil {
				return r, err
			}
			if text == "" {
				break
			}
			name, value, _ := strings.Cut(text, ":")
			name = strings.ToLower(strings.TrimSpace(name))
			if r.headers[name] == "" {
				r.headers[name] = strings.TrimSpace(value)
			} else if name == "reply-text" {
				r.merged = true
			}
		}
		if length := r.headers["content-length"]; length != "" {
			n, err := strconv.Atoi(length)
			if err != nil || n < 0 || n > wire.MaxBody {
				return r, fmt.Errorf("a body of %s bytes", wire.Quote([]byte(length)))
			}
			body := make([]byte, n)
			if err := line.ReadFull(body); err != nil {
				return r, err
			}
			r.body = string(body)
		}
		switch r.headers["content-type"] {
		case "command/reply", "api/response":
			return r, nil
		case "text/disconnect-notice", "text/rude-rejection":
			return r, fmt.Errorf("%w: it says %s", io.EOF, wire.Quote([]byte(r.body)))
		}
	}
	return reply{}, errors.New("much was said, but no answer")
}

// ask sends a command and reads its answer.
func ask(line *wire.Line, text string) (reply, error) {
	if err := line.Send(command(text)); err != nil {
		return reply{}, err
	}
	return readReply(line)
}

// signIn makes sure that there is an event socket at the other end and signs in,
// as a directory user if one is configured. It gives the events that this user
// may hear, "" if there is no such limit.
func (c *Connector) signIn(line *wire.Line) (allowed string, err error) {
	if err := c.link.CheckSecret(); err != nil {
		return "", err
	}
	if err := c.greeted(line); err != nil {
		return "", err
	}
	text := "auth " + c.link.Secret
	if c.link.Username != "" {
		// The answer lists what the user may do and is cut at 511 bytes, blank line
		// and all (mod_event_socket.c: reply). The answer to a command that does
		// nothing for us comes right behind it and ends it in any case.
		text = "userauth " + c.link.Username + ":" + c.link.Secret + "\n\nnolog"
	}
	r, err := ask(line, text)
	if err == nil && r.ok() && c.link.Username != "" && !r.merged {
		_, err = readReply(line)
	}
	if err != nil {
		return "", c.link.NotAnswered("auth", err)
	}
	if !r.ok() {
		who, hint := "the event socket's password", "check secret against event_socket.conf.xml"
		if c.link.Username != "" {
			who = fmt.Sprintf("user %q", c.link.Username)
			hint = "check username (user@domain) and secret against the directory: the user needs esl-password"
		}
		return "", c.link.Fail("sign in", fmt.Errorf("%w: %s: the PBX says %s", connectors.ErrLoginRefused, who, wire.Quote([]byte(r.text()))), hint)
	}
	return r.headers["allowed-events"], nil
}

// advise keeps the standing warnings about how we got in.
func (c *Connector) advise(allowed string) {
	clear, stock := "", ""
	if c.link.TLS == nil && !wire.Loopback(c.link.Address) {
		clear = "FreeSWITCH's event socket has no TLS, so the password and every call go over the network in clear: put a tunnel between (WireGuard, stunnel)"
	}
	if c.link.Username == "" && c.link.Secret == "ClueCon" {
		stock = "the event socket has the password that it was shipped with: whoever reaches the port controls the PBX; change it in event_socket.conf.xml"
	}
	c.link.Warn(warnClear, clear)
	c.link.Warn(warnDefault, stock)
	missing := ""
	c.tallies = true
	if words := only(allowed); words != nil {
		c.tallies = slices.Contains(words, "channel_create") && slices.Contains(words, "channel_destroy")
		var denied []string
		for name := range Needed() {
			if !slices.Contains(words, name) {
				denied = append(denied, strings.ToUpper(name))
			}
		}
		if slices.Sort(denied); len(denied) > 0 {
			missing = fmt.Sprintf("user %q may not hear %s: what only these tell is missing; add them to esl-allowed-events", c.link.Username, strings.Join(denied, " "))
		}
	}
	c.link.Warn(warnEvents, missing)
}

// greeted reads the event socket's greeting.
func (c *Connector) greeted(line *wire.Line) error {
	first, err := line.ReadLine()
	if err != nil || !strings.HasPrefix(first, "Content-Type:") {
		return c.notGreeted(first, err)
	}
	kind := strings.TrimSpace(strings.TrimPrefix(first, "Content-Type:"))
	if kind == "text/rude-rejection" {
		return c.link.Fail("greet", fmt.Errorf("%w: the PBX does not take connections from our address", connectors.ErrLoginRefused),
			"add it to the ACL that apply-inbound-acl names in event_socket.conf.xml")
	}
	if kind != "auth/request" {
		return c.notGreeted(first, nil)
	}
	for range wire.MaxHeaders {
		text, err := line.ReadLine()
		if err != nil {
			return c.link.NotAnswered("greeting", err)
		}
		if text == "" {
			return nil
		}
	}
	return c.notGreeted(first, nil)
}

// notGreeted says what there is in the place of a greeting.
func (c *Connector) notGreeted(first string, err error) error {
	return c.link.NotGreeted(link.Greeting{
		Port:   "is this the port of event_socket.conf.xml, usually 8021?",
		Other:  "an Asterisk manager interface",
		Kind:   "asterisk",
		Closed: "is mod_event_socket's limit of listeners used up?",
	}, []byte(first), err)
}

// only reads Allowed-Events: the names in lower case, nil if everything is
// allowed.
func only(allowed string) []string {
	words := strings.Fields(strings.ToLower(allowed))
	if len(words) == 0 || slices.Contains(words, "all") {
		return nil
	}
	return words
}

// subscribe asks for the events that the user may hear.
func (c *Connector) subscribe(line *wire.Line, allowed string) error {
	r, err := ask(line, subscription(only(allowed)))
	if err != nil {
		return c.link.NotAnswered("event", err)
	}
	if !r.ok() {
		return c.link.Fail("ask", fmt.Errorf("for events: the PBX says %s", wire.Quote([]byte(r.text()))), "does the user's esl-allowed-events name any of those that we need?")
	}
	return nil
}
