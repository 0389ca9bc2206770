package web_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"calljournal/agent/api"
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
