package agent_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/quotedprintable"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/mail/mailtest"
)

// missedCall is what a PBX says of a caller who gives up after 30 s.
func missedCall(n int) []said {
	facts := inbound(n)[:4]
	at := func(ms int, e call.Event) said { return said{time.Duration(ms) * time.Millisecond, e} }
	caller, phone := facts[0].event.Leg, facts[1].event.Leg
	cause := &call.Cause{Q850: 16, Text: "Normal Clearing"}
	return append(facts,
		at(30000, call.Event{Kind: call.LegHungUp, Leg: caller, Cause: cause}),
		at(30001, call.Event{Kind: call.DialEnded, Leg: caller, Peer: phone, Result: "CANCEL"}),
		at(30002, call.Event{Kind: call.LegEnded, Leg: phone, Cause: cause}),
		at(30003, call.Event{Kind: call.LegEnded, Leg: caller, Cause: cause}))
}

// mailing is a daemon that mails, with a clock that can be set on.
type mailing struct {
	*daemon
	c    config.Config
	on   atomic.Int64 // what its clock is ahead
	tick time.Duration
}

// later sets the clock on and has everybody look at it: another timeout of [mail]
// is a reason to.
func (m *mailing) later(t *testing.T, d time.Duration) {
	t.Helper()
	m.on.Add(int64(d))
	m.tick += time.Second
	next := m.c
	next.Mail.Timeout.Duration = 30*time.Second + m.tick
	if applied, restart := m.Reload(&next); len(restart) > 0 {
		t.Fatalf("applied %q, restart %q", applied, restart)
	}
}

func mailConfig(t *testing.T, post *mailtest.Server, lines string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	c, err := config.Parse(filepath.Join(dir, "calljournal.toml"), []byte(fmt.Sprintf(`
[agent]
name = "office"
data_dir = %q
socket = %q
timezone = "Europe/Moscow"
[http]
listen = "127.0.0.1:0"
[[http.token]]
name = "admin"
scope = "admin"
token = "0123456789abcdef"
[[employee]]
extension = "101"
name = "Анна"
department = "Продажи"
[[pbx]]
name = "main"
kind = "asterisk"
address = "127.0.0.1:1"
username = "u"
secret = "s"
trunks = ["PJSIP/trunk-*"]
[mail]
server = %q
ca = %q
username = "journal@company.example"
password = "the-password"
from = "Журнал <journal@company.example>"
`, filepath.Join(dir, "data"), "/nonexistent/control.sock", post.Addr, post.CA)+lines), config.OSEnv())
	if err != nil {
		t.Fatal(err)
	}
	c.Agent.Socket = ""
	return c
}

func startMailing(t *testing.T, c *config.Config, facts []said) *mailing {
	t.Helper()
	m := &mailing{c: *c}
	m.daemon = startAt(t, c, map[string]*fakePBX{"main": {session: allAtOnce(facts)}}, nil, func() time.Time { return time.Now().Add(time.Duration(m.on.Load())) })
	return m
}

func (m *mailing) status(t *testing.T, wanted func(api.Mailing) bool) (api.Status, api.Mailing) {
	t.Helper()
	for range 3000 {
		st, err := m.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range st.Mailings {
			if wanted(s) {
				return st, s
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	st, err := m.Status(t.Context())
	t.Fatalf("it never came to that: %+v, %v", st.Mailings, err)
	return st, api.Mailing{}
}

// recorded waits for a missed call.
func recorded(t *testing.T, d *daemon) {
	t.Helper()
	late := time.After(30 * time.Second)
	for {
		changed := d.store.Changed()
		for _, e := range d.feed(t) {
			if e.Call != nil && e.Call.Missed {
				return
			}
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("no missed call: %+v", d.feed(t))
		}
	}
}

// body is a mail's text parts, decoded.
func body(m mailtest.Mail) string {
	b, _ := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(m.Body)))
	return string(b)
}

// From a PBX's words to the mailbox: a missed call, over TLS and signed in.
func TestMail_MissedCall(t *testing.T) {
	post := mailtest.Start(t, mailtest.Options{TLS: "starttls", Username: "journal@company.example", Password: "the-password"})
	c := mailConfig(t, post, "[[alert]]\nname = \"missed\"\nto = [\"boss@company.example\"]\nlang = \"ru\"\ndepartment = [\"Продажи\"]\n")
	d := startMailing(t, c, missedCall(1))
	recorded(t, d.daemon)
	d.status(t, func(m api.Mailing) bool { return m.State == api.ForwarderWell })
	d.later(t, time.Minute)
	mail := post.Wait(t, 1)[0]
	if mail.To != "boss@company.example" || !mail.Encrypted || mail.User != "journal@company.example" {
		t.Errorf("%+v", mail)
	}
	for _, want := range []string{"79160000001", "повесил трубку", "Анна", "office"} {
		if !strings.Contains(body(mail), want) {
			t.Errorf("no %q in %s", want, body(mail))
		}
	}
	d.end(t)
}
