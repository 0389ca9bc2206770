package web_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
)

var (
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	radioField  = regexp.MustCompile(`<input type="radio" name="([^"]*)" value="([^"]*)"`)
)

// onlyRules is books in which nothing is written.
type onlyRules struct{ api.Books }

func (onlyRules) Rules() journal.Rules                 { return journal.DefaultRules() }
func (onlyRules) RulesOf(uint32) (journal.Rules, bool) { return journal.DefaultRules(), true }

// The form asks the interface for the report of what the page shows, in each
// format and language.
func TestReports(t *testing.T) {
	p := newRigWith(t, func(o *api.Options) { o.Books = onlyRules{} }, someCompany(300)...).signedIn("manager")
	for path, want := range map[string]url.Values{
		"/reports":            {"period": {"last-month"}},
		"/reports?period=all": {"period": {"all"}},
		"/reports?direction=inbound&direction=outbound&employee=%3Cb%3E&period=7d":     {"period": {"7d"}, "direction": {"inbound", "outbound"}, "employee": {"<b>"}},
		"/reports?from=2026-01-01&to=2026-01-31&min_talk=30s&period=all":               {},
		"/reports?from=2026-01-01&min_talk=30s&to=2026-01-31":                          {"from": {"2026-01-01"}, "to": {"2026-02-01"}, "min_talk": {"30s"}},
		"/reports?from=2026-01-01T09%3A00&to=2026-01-01T10%3A00&weekday=monday&hour=9": {"from": {"2026-01-01T09:00:00Z"}, "to": {"2026-01-01T10:00:00Z"}, "weekday": {"monday"}, "hour": {"9"}},
	} {
		status, head, page := p.get(path)
		if len(want) == 0 {
			if status != http.StatusSeeOther || strings.Contains(head.Get("Location"), "period") {
				t.Errorf("%s: %d to %s", path, status, head.Get("Location"))
			}
			continue
		}
		_, form, _ := strings.Cut(page, `action="/v1/report"`)
		asked := url.Values{}
		for _, m := range hiddenField.FindAllStringSubmatch(form[:strings.Index(form, "</form>")], -1) {
			asked.Add(m[1], html.UnescapeString(m[2]))
		}
		if asked.Encode() != want.Encode() {
			t.Errorf("%s asks for %v, want %v", path, asked, want)
		}
		choices := map[string][]string{}
		for _, m := range radioField.FindAllStringSubmatch(form, -1) {
			choices[m[1]] = append(choices[m[1]], m[2])
		}
		if !slices.Equal(choices["format"], []string{"pdf", "xlsx", "csv"}) || !slices.Equal(choices["lang"], []string{"ru", "en"}) {
			t.Errorf("%s lets choose %v", path, choices)
		}
		for _, format := range choices["format"] {
			for _, lang := range choices["lang"] {
				asked.Set("format", format)
				asked.Set("lang", lang)
				status, head, body := p.get("/v1/report?" + asked.Encode())
				if status != http.StatusOK || !strings.Contains(head.Get("Content-Disposition"), "."+format) || len(body) == 0 {
					t.Errorf("%s as %s in %s: %d %s", path, format, lang, status, head)
				}
			}
		}
	}
}

// postOffice mails what it is told to.
type postOffice struct {
	api.Outgoing // nothing else is asked of it
	refuses      map[string]string
}

func (p postOffice) SendReport(_ context.Context, name string) ([]api.MailSent, error) {
	if name != "Morning / <b>" {
		return nil, api.ErrNotFound
	}
	return []api.MailSent{{To: "boss@example.com", Error: p.refuses["boss@example.com"]}, {To: "sales@example.com", Error: p.refuses["sales@example.com"]}}, nil
}

// What is mailed is listed for who sees all calls, and an administrator may have
// it mailed now.
func TestReports_ByMail(t *testing.T) {
	post := postOffice{refuses: map[string]string{}}
	at := func(hour int) call.Moment { return call.MomentOf(time.Date(2026, 3, 2, hour, 15, 0, 0, time.UTC)) }
	r := newRigWith(t, func(o *api.Options) {
		o.Outgoing = post
		o.Status = func(context.Context) (api.Status, error) {
			return api.Status{State: api.StateWell, Mailings: []api.Mailing{
				{Kind: "report", Name: "Morning / <b>", To: "boss@example.com", State: "well", SentAt: at(8), NextAt: at(9)},
				{Kind: "report", Name: "Morning / <b>", To: "sales@example.com", State: "retrying", Error: "421 <i>busy</i>", NextTry: at(10)},
				{Kind: "alert", Name: "missed", To: "shift@example.com", State: "stuck", Waiting: 2, Aside: []api.MailAside{{What: "of Monday", At: at(7), Error: "550 no such user"}}},
			}}, nil
		}
	})
	for who, c := range map[string]struct{ sees, sends bool }{"admin": {true, true}, "manager": {true, false}, "sales": {false, false}, "masked": {false, false}} {
		p := r.signedIn(who)
		_, _, page := p.get("/reports")
		if strings.Contains(page, "@example.com") != c.sees {
			t.Errorf("%s sees who gets mail: %v", who, !c.sees)
		}
		for _, text := range []string{"boss@example.com", "Morning / &lt;b&gt;", "421 &lt;i&gt;busy", "08:15", "again", "10:15", "550 no such user", "2 calls wait", "stuck"} {
			if c.sees && !strings.Contains(page, text) {
				t.Errorf("%s does not see %q", who, text)
			}
		}
		if got := strings.Count(page, `/send"`); got != map[bool]int{true: 1}[c.sends] {
			t.Errorf("%s may send %d reports", who, got)
		}
		if strings.Contains(page, "<i>busy") {
			t.Error("what a mail server says is markup")
		}
		status, head, _ := p.post("/reports/Morning%20%2F%20%3Cb%3E/send", nil)
		if want := map[bool]int{true: http.StatusSeeOther, false: http.StatusForbidden}[c.sends]; status != want {
			t.Errorf("%s sends: %d, want %d", who, status, want)
		}
		if c.sends {
			if _, _, page := p.get(head.Get("Location")); !strings.Contains(page, "Mailed: <bdi>Morning / &lt;b&gt;") {
				t.Errorf("%s does not say that it was mailed", head.Get("Location"))
			}
		}
	}
	p := r.signedIn("admin")
	if status, _, _ := p.post("/reports/Evening/send", nil); status != http.StatusNotFound {
		t.Errorf("a report that there is not: %d", status)
	}
	post.refuses["sales@example.com"] = "550 <b>no</b>"
	if status, _, page := p.post("/reports/Morning%20%2F%20%3Cb%3E/send", nil); status != http.StatusBadGateway || !strings.Contains(page, "sales@example.com: 550 &lt;b&gt;no") || strings.Contains(page, "boss@example.com: ") {
		t.Errorf("refused by the mail server: %d", status)
	}
}
