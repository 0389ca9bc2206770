package asterisk

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"calljournal/connectors"
	"calljournal/connectors/link"
	"calljournal/connectors/wire"
)

// eventMask are the classes in which some rule needs an event. A user who may
// read less gets less and that is that; VarSet and Newexten (dialplan) come in
// masses, and wire drops nearly all of them by name.
const eventMask = "system,call,agent,dialplan"

// action writes an AMI action. Values come from us alone, or were checked for
// line breaks.
func action(name, id string, headers ...string) []byte {
	b := append([]byte("Action: "), name...)
	b = append(append(b, "\r\nActionID: "...), id...)
	for i := 0; i+1 < len(headers); i += 2 {
		b = append(append(append(append(b, "\r\n"...), headers[i]...), ": "...), headers[i+1]...)
	}
	return append(b, "\r\n\r\n"...)
}

// signIn makes sure that there is an AMI at the other end and logs in: by MD5
// challenge, so that the secret stays here, and in clear only if the PBX has no
// challenges. It gives the greeting.
func (c *Connector) signIn(line *wire.Line) (string, error) {
	if err := c.link.CheckSecret(); err != nil {
		return "", err
	}
	greeting, err := line.ReadLine()
	if err != nil || !strings.HasPrefix(greeting, "Asterisk Call Manager") {
		return "", c.notGreeted(greeting, err)
	}
	answer, err := ask(line, action("Challenge", "cj-challenge", "AuthType", "MD5"))
	if err != nil {
		return "", c.link.NotAnswered("Challenge", err)
	}
	login := []string{"Username", c.link.Username, "Events", eventMask}
	if challenge := answer["challenge"]; strings.EqualFold(answer["response"], "Success") && challenge != "" {
		key := md5.Sum([]byte(challenge + c.link.Secret))
		login = append(login, "AuthType", "MD5", "Key", hex.EncodeToString(key[:]))
		c.link.Warn(warnClear, "")
	} else {
		login = append(login, "Secret", c.link.Secret)
		if c.link.TLS == nil && !wire.Loopback(c.link.Address) {
			c.link.Warn(warnClear, "the PBX refuses the MD5 challenge ("+wire.Quote([]byte(answer["message"]))+"), so the secret goes over the network in clear: use TLS")
		}
	}
	answer, err = ask(line, action("Login", "cj-login", login...))
	if err != nil {
		return "", c.link.NotAnswered("Login", err)
	}
	if !strings.EqualFold(answer["response"], "Success") {
		return "", c.link.Fail("sign in", fmt.Errorf("%w: user %q: the PBX says %s", connectors.ErrLoginRefused, c.link.Username, wire.Quote([]byte(answer["message"]))),
			"check username and secret against manager.conf, and its permit and deny for our address")
	}
	return greeting, nil
}

// notGreeted says what there is in the place of a greeting.
func (c *Connector) notGreeted(first string, err error) error {
	return c.link.NotGreeted(link.Greeting{
		Port:   "is this the port of manager.conf, usually 5038?",
		Other:  "a FreeSWITCH event socket",
		Kind:   "freeswitch",
		Closed: "is enabled = yes in manager.conf, and authlimit not used up?",
	}, []byte(first), err)
}

// ask sends an action and reads its answer, by lower-cased names, the first of
// each. It is for the sign-in, when no events come yet; should one, it is passed
// over.
func ask(line *wire.Line, text []byte) (map[string]string, error) {
	if err := line.Send(text); err != nil {
		return nil, err
	}
	for range 64 {
		answer := make(map[string]string)
		for range wire.MaxHeaders {
			text, err := line.ReadLine()
			if err != nil {
				return nil, err
			}
			if text == "" {
				break
			}
			name, value, _ := strings.Cut(text, ":")
			if name = strings.ToLower(strings.TrimSpace(name)); answer[name] == "" {
				answer[name] = strings.TrimSpace(value)
			}
		}
		if answer["response"] != "" {
			return answer, nil
		}
	}
	return nil, errors.New("much was said, but no answer")
}
