package config

import (
	"fmt"
	"maps"
	"net"
	netmail "net/mail"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"calljournal/agent/schedule"
)

// How the connection to the mail server is encrypted.
const (
	MailStartTLS = "starttls" // asked for, and required, before anything else is said
	MailTLS      = "tls"      // from the first byte
	MailNone     = "none"     // not at all: on this machine only
)

// Mail is [mail]: the server that takes our mail.
type Mail struct {
	Server       string   `toml:"server"`
	TLS          string   `toml:"tls"`
	CA           string   `toml:"ca"`
	Username     string   `toml:"username"`
	Password     Secret   `toml:"password"`
	PasswordFile string   `toml:"password_file"`
	From         string   `toml:"from"`
	Timeout      Duration `toml:"timeout"`
}

// Host is the server without its port.
func (m Mail) Host() string {
	host, _, _ := net.SplitHostPort(m.Server)
	return host
}

// Formats of a report.
const (
	ReportPDF  = "pdf"
	ReportXLSX = "xlsx"
	ReportCSV  = "csv"
)

// Report is one [[report]]: a document that is mailed again and again.
type Report struct {
	Name   string   `toml:"name"`
	Format string   `toml:"format"`
	Period string   `toml:"period"`
	At     string   `toml:"at"`
	To     []string `toml:"to"`
	Lang   string   `toml:"lang"`
	Filter Filter   `toml:"filter"`

	schedule schedule.Schedule
}

// Schedule is At, parsed.
func (r Report) Schedule() schedule.Schedule { return r.schedule }

// Filter is the query of GET /v1/calls, but for its period.
type Filter struct {
	Direction  []string `toml:"direction"`
	Status     []string `toml:"status"`
	Missed     *bool    `toml:"missed"`
	Type       []string `toml:"type"`
	Employee   []string `toml:"employee"`
	Department []string `toml:"department"`
	Queue      []string `toml:"queue"`
	Line       []string `toml:"line"`
	Source     []string `toml:"source"`
	Trunk      []string `toml:"trunk"`
	Number     []string `toml:"number"`
	MinTalk    Duration `toml:"min_talk"`
	MaxTalk    Duration `toml:"max_talk"`
	MinWait    Duration `toml:"min_wait"`
	MaxWait    Duration `toml:"max_wait"`
	Weekday    []string `toml:"weekday"`
	Hour       []int    `toml:"hour"`
	Has        []string `toml:"has"`
	Text       string   `toml:"q"`
}

// Values is the filter as GET /v1/calls has it.
func (f Filter) Values() url.Values {
	v := url.Values{}
	for key, list := range map[string][]string{
		"direction": f.Direction, "status": f.Status, "type": f.Type, "employee": f.Employee, "department": f.Department, "queue": f.Queue,
		"line": f.Line, "source": f.Source, "trunk": f.Trunk, "number": f.Number, "weekday": f.Weekday, "has": f.Has,
	} {
		if len(list) > 0 {
			v[key] = slices.Clone(list)
		}
	}
	for key, d := range map[string]time.Duration{"min_talk": f.MinTalk.Duration, "max_talk": f.MaxTalk.Duration, "min_wait": f.MinWait.Duration, "max_wait": f.MaxWait.Duration} {
		if d != 0 {
			v.Set(key, d.String())
		}
	}
	for _, h := range f.Hour {
		v.Add("hour", strconv.Itoa(h))
	}
	if f.Missed != nil {
		v.Set("missed", strconv.FormatBool(*f.Missed))
	}
	if f.Text != "" {
		v.Set("q", f.Text)
	}
	return v
}

// Alert is one [[alert]]: mail about missed calls.
type Alert struct {
	Name       string   `toml:"name"`
	To         []string `toml:"to"`
	Lang       string   `toml:"lang"`
	Every      Duration `toml:"every"` // 0: at once
	After      Duration `toml:"after"`
	Quiet      string   `toml:"quiet"`
	Department []string `toml:"department"`
	Queue      []string `toml:"queue"`
	Line       []string `toml:"line"`

	quiet QuietHours
}

// QuietHours is Quiet, parsed.
func (a Alert) QuietHours() QuietHours { return a.quiet }

// QuietHours are hours of every day, as minutes since midnight; none if both are
// the same. They may go over midnight.
type QuietHours struct{ From, Until int }

// End is when quiet hours that a moment is in end; outside of them, the moment.
func (q QuietHours) End(t time.Time) time.Time {
	minute := t.Hour()*60 + t.Minute()
	day := t.Day()
	switch {
	case q.From < q.Until && minute >= q.From && minute < q.Until, q.From > q.Until && minute < q.Until:
	case q.From > q.Until && minute >= q.From:
		day++
	default:
		return t
	}
	return schedule.At(t.Year(), t.Month(), day, q.Until/60, q.Until%60, t.Location())
}

const (
	mailTimeout   = 2 * time.Minute
	mostAddresses = 50 // of a report or an alert: each gets a mail of its own
	mostMailings  = 100
	longestDigest = 24 * time.Hour
	portOfTLS     = "465"
)

var (
	languages     = []string{"en", "ru"}
	quietHours    = regexp.MustCompile(`^([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)$`)
	directions    = []string{"inbound", "outbound", "internal"}
	statuses      = []string{"answered", "abandoned", "no_answer", "busy", "rejected", "failed", "voicemail", "fax", "self_service"}
	callTypes     = []string{"unique", "repeat", "target", "callback", "called_back", "came_back", "lost", "short", "spam"}
	weekdays      = []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	thingsToHave  = []string{"recording", "voicemail", "fax"}
	periods       = []string{"today", "yesterday", "this-week", "last-week", "this-month", "last-month", "7d", "30d", "all"}
	reportFormats = []string{ReportPDF, ReportXLSX, ReportCSV}
)

func (v *validator) mail() {
	m := &v.c.Mail
	switch {
	case m.Server != "":
		v.mailServer(m)
	case *m != (Mail{}):
		v.wrong("mail.server", "is missing: want host:port, as smtp.example:587")
	case len(v.c.Report)+len(v.c.Alert) > 0:
		v.wrong("mail.server", "is missing: [[report]] and [[alert]] need [mail], with a server that takes it, as smtp.example:587")
	}
	if n := len(v.c.Report) + len(v.c.Alert); n > mostMailings {
		v.wrong("report", "there are %d reports and alerts: want at most %d", n, mostMailings)
	}
	v.reports()
	v.alerts()
}

func (v *validator) mailServer(m *Mail) {
	v.address("mail.server", m.Server, "587")
	if m.TLS == "" {
		m.TLS = MailStartTLS
		if strings.HasSuffix(m.Server, ":"+portOfTLS) {
			m.TLS = MailTLS
		}
	}
	if v.oneOf("mail.tls", m.TLS, MailStartTLS, MailTLS, MailNone) && m.TLS == MailNone {
		switch {
		case !loopback(m.Host()):
			v.wrong("mail.tls", `"none" is for a server on this machine: to %s the mail, which names callers, would go unencrypted`, m.Host())
		case m.Username != "":
			v.wrong("mail.tls", `"none" does not go with username: the password would go unencrypted`)
		}
	}
	v.secret("mail.password", &m.Password, m.PasswordFile, m.Username != "")
	if m.Username == "" && !m.Password.IsZero() {
		v.wrong("mail.username", "is missing: there is a password")
	}
	if m.From == "" {
		v.wrong("mail.from", "is missing: want the address that the mail comes from, as journal@company.example")
	} else {
		v.mailAddress("mail.from", m.From)
	}
	if m.CA != "" {
		if _, err := os.Stat(m.CA); err != nil {
			v.wrong("mail.ca", "%v", err)
		}
	}
	if _, written := v.places["mail.timeout"]; !written {
		m.Timeout.Duration = mailTimeout
	} else if d := m.Timeout.Duration; m.Timeout.bad == "" && d >= 0 && (d < time.Second || d > 30*time.Minute) {
		v.wrong("mail.timeout", `%s: want a length of time from "1s" to "30m"`, d)
	}
}

// mailAddress gives the address itself, without a name before it.
func (v *checker) mailAddress(key, text string) string {
	a, err := netmail.ParseAddress(text)
	switch {
	case err != nil:
		v.wrong(key, `%q is no address: want name@company.example, or "A Name <name@company.example>"`, text)
		return ""
	case strings.ContainsFunc(a.Address, func(r rune) bool { return r > unicode.MaxASCII }):
		v.wrong(key, "%q: an address has no letters but Latin ones: write a domain as xn--...", a.Address)
		return ""
	case len(a.Address) > 254: // RFC 5321, 4.5.3.1.3
		v.wrong(key, "is longer than 254 bytes")
		return ""
	}
	return a.Address
}

func (v *checker) recipients(at string, to []string) {
	switch {
	case len(to) == 0:
		v.wrong(at+"to", `is missing: want addresses, as ["boss@company.example"]`)
	case len(to) > mostAddresses:
		v.wrong(at+"to", "has %d addresses: want at most %d; a mailing list has room for more", len(to), mostAddresses)
	}
	seen := map[string]bool{}
	for i, text := range to {
		key := fmt.Sprintf("%sto[%d]", at, i)
		if a := strings.ToLower(v.mailAddress(key, text)); a != "" && seen[a] {
			v.wrong(key, "%q is there twice", text)
		} else {
			seen[a] = true
		}
	}
}

func (v *checker) lang(key string, lang *string) {
	if *lang == "" {
		*lang = languages[0]
	}
	v.oneOf(key, *lang, languages...)
}

func (v *validator) reports() {
	names := map[string]string{}
	for i := range v.c.Report {
		r, at := &v.c.Report[i], fmt.Sprintf("report[%d].", i)
		v.name(at+"name", r.Name)
		v.unique(names, at+"name", r.Name)
		if r.Format == "" {
			r.Format = ReportPDF
		}
		v.oneOf(at+"format", r.Format, reportFormats...)
		v.oneOf(at+"period", r.Period, periods...)
		v.recipients(at, r.To)
		v.lang(at+"lang", &r.Lang)
		v.filter(at+"filter.", &r.Filter)
		v.departments("report "+r.Name, r.Filter.Department)
		var err error
		if r.schedule, err = schedule.Parse(r.At); r.At == "" {
			v.wrong(at+"at", "is missing: want %s", schedule.Examples)
		} else if err != nil {
			v.wrong(at+"at", "%v", err)
		}
	}
}

func (v *checker) filter(at string, f *Filter) {
	for _, list := range []struct {
		key          string
		words, known []string
	}{{"direction", f.Direction, directions}, {"status", f.Status, statuses}, {"type", f.Type, callTypes}, {"weekday", f.Weekday, weekdays}, {"has", f.Has, thingsToHave}} {
		for n, word := range list.words {
			v.oneOf(fmt.Sprintf("%s%s[%d]", at, list.key, n), word, list.known...)
		}
	}
	for n, h := range f.Hour {
		if h < 0 || h > 23 {
			v.wrong(fmt.Sprintf("%shour[%d]", at, n), "%d: want an hour of the day, from 0 to 23", h)
		}
	}
	values := f.Values()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		list := values[key]
		switch {
		case len(list) > 100:
			v.wrong(at+key, "has %d words: want at most 100", len(list))
		case slices.ContainsFunc(list, func(s string) bool { return len(s) > 300 }):
			v.wrong(at+key, "has a word of more than 300 bytes")
		case slices.Contains(list, ""):
			v.wrong(at+key, "has an empty word: leave it out")
		}
	}
}

func (v *validator) alerts() {
	names := map[string]string{}
	for i := range v.c.Alert {
		a, at := &v.c.Alert[i], fmt.Sprintf("alert[%d].", i)
		v.name(at+"name", a.Name)
		v.unique(names, at+"name", a.Name)
		v.recipients(at, a.To)
		v.lang(at+"lang", &a.Lang)
		v.departments("alert "+a.Name, a.Department)
		if d := a.Every.Duration; d > 0 && d < time.Minute || d > longestDigest {
			v.wrong(at+"every", `%s: want a length of time from "1m" to "24h", or none for a mail at once`, d)
		}
		if d := a.After.Duration; d > v.c.Rules.LostWindow.Duration {
			v.wrong(at+"after", "%s: want less than rules.lost_window (%s), after which a missed call is lost", d, v.c.Rules.LostWindow.Duration)
		}
		if a.Quiet == "" {
			continue
		}
		m := quietHours.FindStringSubmatch(a.Quiet)
		if m == nil {
			v.wrong(at+"quiet", `%q: want the hours without mail, as "20:00-08:00"`, a.Quiet)
			continue
		}
		minutes := func(h, m string) int {
			hour, _ := strconv.Atoi(h)
			minute, _ := strconv.Atoi(m)
			return hour*60 + minute
		}
		if a.quiet = (QuietHours{minutes(m[1], m[2]), minutes(m[3], m[4])}); a.quiet.From == a.quiet.Until {
			v.wrong(at+"quiet", "%q begins when it ends", a.Quiet)
		}
	}
}
