package config_test

import (
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"calljournal/agent/config"
)

const withMail = minimal + `
[mail]
server = "smtp.example:587"
username = "journal@company.example"
password = "the-password"
from = "Журнал <journal@company.example>"
`

func TestMail_DefaultsAndRedacted(t *testing.T) {
	c, err := parse(t, withMail+`
[[report]]
name = "sales"
period = "last-week"
at = "weekly mon 08:00"
to = ["boss@company.example", "Анна <anna@company.example>"]
filter = { direction = ["inbound"], missed = true, department = ["Продажи"], min_wait = "1m30s", q = "x", hour = [9, 10], weekday = ["monday"] }

[[alert]]
name = "lost"
to = ["boss@company.example"]
lang = "ru"
every = "15m"
after = "30m"
quiet = "20:00-8:00"
`)
	if err != nil {
		t.Fatal(err)
	}
	if m := c.Mail; m.TLS != config.MailStartTLS || m.Timeout.Duration != 2*time.Minute || m.Host() != "smtp.example" || m.Password.Reveal() != "the-password" {
		t.Errorf("%+v", m)
	}
	if strings.Contains(c.Redacted(), "the-password") {
		t.Error("the password shows")
	}
	r := c.Report[0]
	if r.Format != "pdf" || r.Lang != "en" || r.Schedule().String() != "weekly mon 08:00" {
		t.Errorf("%+v", r)
	}
	want := url.Values{"direction": {"inbound"}, "missed": {"true"}, "department": {"Продажи"}, "min_wait": {"1m30s"}, "q": {"x"}, "hour": {"9", "10"}, "weekday": {"monday"}}
	if got := r.Filter.Values(); !reflect.DeepEqual(got, want) {
		t.Errorf("filter %v, want %v", got, want)
	}
	if a := c.Alert[0]; a.QuietHours() != (config.QuietHours{From: 20 * 60, Until: 8 * 60}) || a.Every.Minutes() != 15 {
		t.Errorf("%+v", a)
	}
	c, err = parse(t, minimal+"[mail]\nserver = \"smtp.example:465\"\nfrom = \"a@b.example\"\n")
	if err != nil || c.Mail.TLS != config.MailTLS {
		t.Errorf("%+v, %v: 465 is encrypted from the first byte", c.Mail, err)
	}
	if _, err = parse(t, minimal+"[mail]\nserver = \"127.0.0.1:25\"\ntls = \"none\"\nfrom = \"a@b.example\"\n"); err != nil {
		t.Errorf("a server on this machine: %v", err)
	}
}

func TestMail_Errors(t *testing.T) {
	report := func(lines string) string {
		return withMail + "[[report]]\nname = \"r\"\nperiod = \"yesterday\"\nat = \"daily 08:00\"\nto = [\"a@b.example\"]\n" + lines
	}
	alert := func(lines string) string {
		return withMail + "[[alert]]\nname = \"a\"\nto = [\"a@b.example\"]\n" + lines
	}
	for _, tt := range []struct {
		name, text string
		line       int
		want       string
	}{
		{"no server", minimal + "[mail]\nfrom = \"a@b.example\"\n", 8, "host:port"},
		{"a report without mail", minimal + "[[report]]\nname = \"r\"\nperiod = \"yesterday\"\nat = \"daily 08:00\"\nto = [\"a@b.example\"]\n", 0, "need [mail]"},
		{"misspelt key", withMail + "pasword_file = \"x\"\n", 14, `did you mean "password_file"?`},
		{"bad tls", withMail + "tls = \"startls\"\n", 14, `did you mean "starttls"?`},
		{"unencrypted", withMail + "tls = \"none\"\n", 14, "on this machine"},
		{"a password unencrypted", strings.Replace(withMail, "smtp.example:587", "127.0.0.1:25", 1) + "tls = \"none\"\n", 14, "password would go unencrypted"},
		{"no password", strings.Replace(withMail, "password = \"the-password\"\n", "", 1), 9, "password_file"},
		{"no user", strings.Replace(withMail, "username = \"journal@company.example\"\n", "", 1), 9, "there is a password"},
		{"no sender", strings.Replace(withMail, "from = \"Журнал <journal@company.example>\"\n", "", 1), 9, "from"},
		{"a header in the sender", strings.Replace(withMail, "Журнал <", `x\r\nBcc: y@z.example <`, 1), 13, "control character"},
		{"no timeout", withMail + "timeout = \"0s\"\n", 14, `from "1s" to "30m"`},
		{"no ca", withMail + "ca = \"/nonexistent/ca.pem\"\n", 14, "no such file"},

		{"bad format", report("format = \"docx\"\n"), 19, "pdf, xlsx, csv"},
		{"bad period", strings.Replace(report(""), "yesterday", "last_week", 1), 16, `did you mean "last-week"?`},
		{"bad time", strings.Replace(report(""), "daily 08:00", "daily 8", 1), 17, "no time of day"},
		{"bad cron", strings.Replace(report(""), "daily 08:00", "61 * * * *", 1), 17, "weekly mon 08:00"},
		{"nobody", strings.Replace(report(""), "[\"a@b.example\"]", "[]", 1), 18, "boss@company.example"},
		{"no address", strings.Replace(report(""), "a@b.example", "boss", 1), 18, "is no address"},
		{"twice", strings.Replace(report(""), "[\"a@b.example\"]", "[\"a@b.example\", \"A <A@b.example>\"]", 1), 18, "there twice"},
		{"a domain of other letters", strings.Replace(report(""), "a@b.example", "a@почта.example", 1), 18, "xn--"},
		{"bad language", report("lang = \"de\"\n"), 19, "en, ru"},
		{"misspelt filter", report("filter = { departement = [\"x\"] }\n"), 19, `did you mean "department"?`},
		{"bad word in a filter", report("filter = { status = [\"mised\"] }\n"), 19, "is not known"},
		{"an empty word in a filter", report("filter = { queue = [\"\"] }\n"), 19, "empty word"},
		{"a text for yes and no", report("filter = { missed = \"yes\" }\n"), 19, "true or false"},
		{"no hour", report("filter = { hour = [9, 24] }\n"), 19, "from 0 to 23"},
		{"a text for an hour", report("filter = { hour = [\"9\"] }\n"), 19, "as [9, 10]"},
		{"a number for a time", report("filter = { min_talk = 30 }\n"), 19, `as "30s"`},
		{"two of a name", report("[[report]]\nname = \"r\"\nperiod = \"yesterday\"\nat = \"daily 08:00\"\nto = [\"a@b.example\"]\n"), 20, "twice"},

		{"misspelt alert", alert("evry = \"15m\"\n"), 17, `did you mean "every"?`},
		{"too often", alert("every = \"1s\"\n"), 17, `from "1m" to "24h"`},
		{"too late", alert("after = \"48h\"\n"), 17, "lost_window"},
		{"bad hours", alert("quiet = \"8-20\"\n"), 17, "20:00-08:00"},
		{"no hours", alert("quiet = \"08:00-08:00\"\n"), 17, "begins when it ends"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.text)
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *config.Error", err)
			}
			if p := e.Problems[0]; p.Line != tt.line {
				t.Errorf("line %d, want %d", p.Line, tt.line)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "the-password") {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestQuietHours_End(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night, noon := config.QuietHours{From: 20 * 60, Until: 8 * 60}, config.QuietHours{From: 12 * 60, Until: 13*60 + 30}
	for _, tt := range []struct {
		hours    config.QuietHours
		at, want string
	}{
		{night, "2026-11-22T19:59:59+01:00", "2026-11-22T19:59:59+01:00"},
		{night, "2026-11-22T20:00:00+01:00", "2026-11-23T08:00:00+01:00"},
		{night, "2026-11-23T07:59:59+01:00", "2026-11-23T08:00:00+01:00"},
		{night, "2026-11-23T08:00:00+01:00", "2026-11-23T08:00:00+01:00"},
		{night, "2026-10-24T23:00:00+02:00", "2026-10-25T08:00:00+01:00"}, // the clocks are set back
		{noon, "2026-11-22T12:30:00+01:00", "2026-11-22T13:30:00+01:00"},
		{noon, "2026-11-22T11:30:00+01:00", "2026-11-22T11:30:00+01:00"},
		{config.QuietHours{}, "2026-11-22T00:00:00+01:00", "2026-11-22T00:00:00+01:00"},
	} {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := tt.hours.End(at.In(zone)).Format(time.RFC3339); got != tt.want {
			t.Errorf("%v at %s: until %s, want %s", tt.hours, tt.at, got, tt.want)
		}
	}
}
