package web

import (
	"net/url"
	"testing"
	"time"
)

// Wherever it is asked from, a period means days of the company, and the page's
// address, the question to the interface and what people read say the same.
func TestPeriod(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 31, 14, 5, 30, 0, berlin) // a Tuesday, two days after the clocks were set
	languages := map[string]*language{}
	for _, l := range readLanguages().all {
		languages[l.Code] = l
	}
	for address, want := range map[string]struct{ asked, kept, before, ru, en string }{
		"":                  {"from=2026-03-30&to=2026-04-06", "period=this-week", "from=2026-03-23&to=2026-03-24T13:05:00Z", "30 марта – 5 апреля 2026", "30 Mar – 5 Apr 2026"},
		"period=today":      {"from=2026-03-31&to=2026-04-01", "period=today", "from=2026-03-30&to=2026-03-30T12:05:00Z", "31 марта 2026", "31 Mar 2026"},
		"period=yesterday":  {"from=2026-03-30&to=2026-03-31", "period=yesterday", "from=2026-03-29&to=2026-03-30", "30 марта 2026", "30 Mar 2026"},
		"period=last-week":  {"from=2026-03-23&to=2026-03-30", "period=last-week", "from=2026-03-16&to=2026-03-23", "23–29 марта 2026", "23–29 Mar 2026"},
		"period=this-month": {"from=2026-03-01&to=2026-04-01", "period=this-month", "from=2026-02-01&to=2026-03-01", "1–31 марта 2026", "1–31 Mar 2026"},
		"period=last-month": {"from=2026-02-01&to=2026-03-01", "period=last-month", "from=2026-01-01&to=2026-02-01", "1–28 февраля 2026", "1–28 Feb 2026"},
		"period=7d":         {"from=2026-03-25&to=2026-04-01", "period=7d", "from=2026-03-18&to=2026-03-24T13:05:00Z", "25–31 марта 2026", "25–31 Mar 2026"},
		"period=30d":        {"from=2026-03-02&to=2026-04-01", "period=30d", "from=2026-01-31&to=2026-03-01T13:05:00Z", "2–31 марта 2026", "2–31 Mar 2026"},
		"period=all":        {"", "period=all", "", "Всё время", "All time"},
		// The day of the form is in the period; the interface's is not.
		"from=2025-12-30&to=2026-01-02&period=today": {"from=2025-12-30&to=2026-01-03", "from=2025-12-30&to=2026-01-02", "from=2025-12-26&to=2025-12-30", "30 декабря 2025 – 2 января 2026", "30 Dec 2025 – 2 Jan 2026"},
		"from=2026-02-01": {"from=2026-02-01", "from=2026-02-01", "", "с 1 февраля 2026", "since 1 Feb 2026"},
		"to=2026-02-01":   {"to=2026-02-02", "to=2026-02-01", "", "по 1 февраля 2026", "up to 1 Feb 2026"},
		"from=2026-03-29T09:00&to=2026-03-29T10:00":      {"from=2026-03-29T07:00:00Z&to=2026-03-29T08:00:00Z", "from=2026-03-29T07:00:00Z&to=2026-03-29T08:00:00Z", "from=2026-03-29T06:00:00Z&to=2026-03-29T07:00:00Z", "29 марта 2026, 09:00–10:00", "29 Mar 2026, 09:00–10:00"},
		"from=2026-03-01T09:00&to=2026-03-02":            {"from=2026-03-01T08:00:00Z&to=2026-03-03", "from=2026-03-01T08:00:00Z&to=2026-03-02", "from=2026-02-27T17:00:00Z&to=2026-03-01T08:00:00Z", "1 марта 2026, 09:00 – 3 марта 2026, 00:00", "1 Mar 2026, 09:00 – 3 Mar 2026, 00:00"},
		"from=2026-03-01T00:00:00Z&to=2026-03-01T01:00Z": {"", "", "", "", ""},
		"period=tomorrow":                                {"", "", "", "", ""},
		"from=yesterday":                                 {"", "", "", "", ""},
		"from=2026-02-30":                                {"", "", "", "", ""},
		"from=2026-03-02&to=2026-03-01":                  {"", "", "", "", ""},
	} {
		q, err := url.ParseQuery(address)
		if err != nil {
			t.Fatal(err)
		}
		p, err := readPeriod(q, "this-week", now)
		if want.ru == "" {
			if err == nil {
				t.Errorf("%q is understood: %+v", address, p)
			} else if text := languages["ru"].Text(err.Error()); text == err.Error() {
				t.Errorf("%q: no words for %s", address, text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", address, err)
			continue
		}
		asked, kept, before := url.Values{"from": {"x"}, "period": {"x"}}, url.Values{"to": {"x"}}, url.Values{}
		p.ask(asked)
		p.keep(kept)
		if b, ok := p.before(now); ok {
			b.ask(before)
		}
		for what, pair := range map[string][2]string{
			"asked": {text(asked), want.asked}, "kept": {text(kept), want.kept}, "before": {text(before), want.before},
			"in Russian": {languages["ru"].Span(p), want.ru}, "in English": {languages["en"].Span(p), want.en},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%q %s: %q, want %q", address, what, pair[0], pair[1])
			}
		}
		again, err := readPeriod(kept, "", now)
		if err != nil || !again.From.Equal(p.From) || !again.To.Equal(p.To) {
			t.Errorf("%q kept as %q is another period: %v %v", address, kept.Encode(), again, err)
		}
		form := url.Values{}
		for _, f := range p.Fields {
			form.Set(f.Name, f.Value)
		}
		if p.Word != "" {
			form.Set("period", p.Word)
		}
		if again, err := readPeriod(form, "", now); err != nil || !again.From.Equal(p.From) || !again.To.Equal(p.To) {
			t.Errorf("%q sent by the form as %q is another period: %v %v", address, form.Encode(), again, err)
		}
	}
	for _, word := range periodWords {
		for _, l := range languages {
			if l.Word("period", word) == word {
				t.Errorf("%s has no word for %s", l.Code, word)
			}
		}
	}
}

// A day begins when its date does, in a place too where the clocks go from
// midnight to one.
func TestPeriod_WithoutMidnight(t *testing.T) {
	zone, err := time.LoadLocation("America/Sao_Paulo")
	if err != nil {
		t.Fatal(err)
	}
	begins := time.Date(2017, 10, 15, 1, 0, 0, 0, zone)
	for address, now := range map[string]time.Time{
		"period=today": begins.Add(12 * time.Hour), "period=yesterday": begins.Add(30 * time.Hour), "from=2017-10-15&to=2017-10-15": begins, "period=7d": begins.AddDate(0, 0, 6),
	} {
		q, err := url.ParseQuery(address)
		if err != nil {
			t.Fatal(err)
		}
		p, err := readPeriod(q, "", now)
		if err != nil || !p.From.Equal(begins) {
			t.Errorf("%s: from %v, want %v (%v)", address, p.From, begins, err)
			continue
		}
		asked, kept := url.Values{}, url.Values{}
		p.ask(asked)
		p.keep(kept)
		if got := asked.Get("from"); got != "2017-10-15T03:00:00Z" {
			t.Errorf("%s asks from %s", address, got)
		}
		if again, err := readPeriod(kept, "", now); err != nil || !again.From.Equal(p.From) || !again.To.Equal(p.To) {
			t.Errorf("%s kept as %s is another period: %v", address, kept.Encode(), again)
		}
	}
}

// text is a query as one reads it.
func text(q url.Values) string {
	s, _ := url.QueryUnescape(q.Encode())
	return s
}
