package agent_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/mail/mailtest"
	"calljournal/agent/report"
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
	on   atomic.Int64  // what its clock is ahead
	tick time.Duration // what the timeout has grown by
}

// later sets the clock on and has everybody look at it: another timeout of [mail]
// is a reason to. The tests never wait for a timer so.
func (m *mailing) later(t *testing.T, d time.Duration) {
	t.Helper()
	m.on.Add(int64(d))
	m.tick += time.Second
	next := m.c
	next.Mail.Timeout.Duration = 30*time.Second + m.tick%time.Minute
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

// until lets a second pass again and again until a mailing is as wanted.
func (m *mailing) until(t *testing.T, wanted func(api.Mailing) bool) (api.Status, api.Mailing) {
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
		m.later(t, time.Second)
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
	d.later(t, time.Minute)
	d.until(t, func(m api.Mailing) bool { return m.Sent == 1 })
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

// A server that dies at every turn gets the mail in the end: what it had taken
// before it died comes once more, under the same Message-ID.
func TestMail_DyingServer(t *testing.T) {
	post := mailtest.Start(t, mailtest.Options{TLS: "starttls", Username: "journal@company.example", Password: "the-password"})
	turns := []mailtest.Fate{mailtest.DiesInData, mailtest.PutOff, mailtest.DiesAfterDot, mailtest.PutOffContent, mailtest.Taken}
	post.Decide(func(_ string, try int) mailtest.Fate { return turns[max(0, min(try, len(turns))-1)] })
	c := mailConfig(t, post, "[[alert]]\nname = \"missed\"\nto = [\"boss@company.example\"]\n")
	d := startMailing(t, c, missedCall(1))
	recorded(t, d.daemon)
	d.later(t, time.Minute)
	_, m := d.until(t, func(m api.Mailing) bool { return m.Sent == 1 })
	if m.State != api.ForwarderWell || m.Tries != 0 || len(m.Aside) != 0 {
		t.Errorf("%+v", m)
	}
	mails := post.Mails()
	if tries := post.Tries("boss@company.example"); tries != len(turns) || len(mails) != 2 {
		t.Fatalf("%d tries, %d mails", tries, len(mails))
	}
	id := regexp.MustCompile(`(?m)^Message-ID: <\w+@company.example>`)
	if one, two := id.Find(mails[0].Body), id.Find(mails[1].Body); one == nil || string(one) != string(two) {
		t.Errorf("%s, %s", one, two)
	}
	d.end(t)
}

// A report goes out on its schedule with the document that GET /v1/report gives;
// one that cannot be mailed is shown, and degrades the daemon; what is asked for
// is mailed at once.
func TestMail_Report(t *testing.T) {
	post := mailtest.Start(t, mailtest.Options{TLS: "tls", Username: "journal@company.example", Password: "the-password"})
	c := mailConfig(t, post, "tls = \"tls\"\n[[report]]\nname = \"daily\"\nformat = \"csv\"\nperiod = \"30d\"\nat = \"daily 08:00\"\nto = [\"boss@company.example\"]\nlang = \"ru\"\nfilter = { missed = true }\n")
	d := startMailing(t, c, missedCall(1))
	recorded(t, d.daemon)
	post.Always(mailtest.PutOff)
	d.later(t, 24*time.Hour)
	st, m := d.until(t, func(m api.Mailing) bool { return m.State == api.ForwarderStuck })
	if m.Kind != "report" || m.To != "boss@company.example" || m.Tries < 3 || !strings.Contains(m.Error, "greylisted") {
		t.Errorf("%+v", m)
	}
	if st.State != api.StateDegraded || !strings.Contains(strings.Join(st.Problems, "\n"), "report daily: not mailed to 1 addresses") {
		t.Errorf("%s: %q", st.State, st.Problems)
	}
	if b, err := json.Marshal(st); err != nil || strings.Contains(string(b), "the-password") {
		t.Errorf("the password shows: %s, %v", b, err)
	}
	post.Always(mailtest.RefusedAddress)
	st, _ = d.until(t, func(m api.Mailing) bool { return len(m.Aside) == 1 })
	if !strings.Contains(strings.Join(st.Warnings, "\n"), "report daily: 1 mails were refused or given up") {
		t.Errorf("%q", st.Warnings)
	}
	post.Always(mailtest.Taken)
	ask := func(method, path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer 0123456789abcdef")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	if code, answer := ask("POST", "/v1/reports/nosuch/send"); code != 404 {
		t.Errorf("%d %s", code, answer)
	}
	if code, answer := ask("POST", "/v1/reports/daily/send"); code != 200 || !strings.Contains(answer, `{"mails":[{"to":"boss@company.example","error":""}]}`) {
		t.Errorf("%d %s", code, answer)
	}
	mail := post.Wait(t, 1)[0]
	_, wanted := ask("GET", "/v1/report?period=30d&format=csv&missed=true")
	_, encoded, _ := strings.Cut(string(mail.Body), "filename=\"report-")
	_, encoded, _ = strings.Cut(encoded, "\r\n\r\n")
	encoded, _, _ = strings.Cut(encoded, "\r\n--")
	got, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(encoded, "\r\n", ""))
	if lines := strings.Split(string(got), "\n"); err != nil || len(lines) < 2 || lines[0] != strings.Split(wanted, "\n")[0] || lines[1] != strings.Split(wanted, "\n")[1] {
		t.Errorf("%v: attached\n%s\nwant\n%s", err, got, wanted)
	}
	if text := body(mail); !strings.Contains(text, "Период") || !strings.Contains(text, "Пропущено: 1\r\n") || !strings.Contains(text, "daily") {
		t.Errorf("%s", text)
	}
	d.until(t, func(m api.Mailing) bool { return len(m.Aside) == 0 && m.SentAt != 0 })
	if code, metrics := ask("GET", "/metrics"); code != 200 || !strings.Contains(metrics, `calljournal_mail_sent_total{kind="report",name="daily"} 1`) {
		t.Errorf("%d %.2000s", code, metrics)
	}
	d.end(t)
}

// The configuration knows the periods of a report, and the filter of GET /v1/calls.
func TestMail_WordsOfAReport(t *testing.T) {
	post := &mailtest.Server{Addr: "127.0.0.1:25"}
	for _, period := range report.Periods() {
		mailConfig(t, post, fmt.Sprintf("[[report]]\nname = \"r\"\nperiod = %q\nat = \"daily 08:00\"\nto = [\"a@b.example\"]\n", period))
	}
	var known, asked []string
	for f := range reflect.TypeFor[config.Filter]().Fields() {
		known = append(known, f.Tag.Get("toml"))
	}
	for f := range reflect.TypeFor[api.CallFilter]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("query"), ",")
		if !slices.Contains([]string{"from", "to", "part"}, name) { // a period has its own key, a part is for following a figure
			asked = append(asked, name)
		}
	}
	slices.Sort(known)
	slices.Sort(asked)
	if !slices.Equal(known, asked) {
		t.Errorf("[report.filter] has %q, GET /v1/calls %q", known, asked)
	}
}
