package web

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// period is the stretch of time that a page is about: From <= a call's beginning
// < To. The address of the page says it by a word (period=this-week), which means
// other days next week, or by from and to, which stay. There a day without a clock
// is the whole day, in to as well: to=2026-01-31 ends with that day. (The HTTP
// interface reads such a to as the moment at which that day begins: ask says it.)
//
//	address ──▶ visit.period ──▶ period ──▶ ask   ──▶ api.Client
//	                               ├──────▶ keep  ──▶ addresses of links
//	                               └──────▶ template "period": links and fields
type period struct {
	Word     string    // one of periodWords, or "": from and to were given
	From, To time.Time // zero: no such end
	Choices  []periodChoice
	Fields   []periodField // of the form
}

type periodChoice struct {
	Word, Path string
	Current    bool
}

type periodField struct{ Name, Value, Type string }

// allTime is the period without ends.
const allTime = "all"

var periodWords = []string{"today", "yesterday", "this-week", "last-week", "this-month", "last-month", "7d", "30d", allTime}

// period reads the period from the address; without one it is that of the word
// standard.
func (v *visit) period(standard string) (period, error) {
	q := v.URL.Query()
	p, err := readPeriod(q, standard, v.site.o.Now().In(v.site.o.Zone))
	if err != nil {
		return p, v.refuse(err.Error())
	}
	for _, word := range periodWords {
		other := period{Word: word}
		to := url.Values{}
		for name, values := range q {
			if name != "cursor" { // of the pages of this period
				to[name] = values
			}
		}
		other.keep(to)
		p.Choices = append(p.Choices, periodChoice{word, v.URL.Path + "?" + to.Encode(), word == p.Word})
	}
	return p, nil
}

// wrongPeriod is the key of the words that say what is wrong.
type wrongPeriod string

func (w wrongPeriod) Error() string { return string(w) }

func readPeriod(q url.Values, standard string, now time.Time) (p period, err error) {
	from, hasClock, err := readTime(q.Get("from"), now.Location())
	if err != nil {
		return p, err
	}
	to, toHasClock, err := readTime(q.Get("to"), now.Location())
	if err != nil {
		return p, err
	}
	if from.IsZero() && to.IsZero() {
		p.Word = standard
		if word := q.Get("period"); word != "" {
			p.Word = word
		}
		if !slices.Contains(periodWords, p.Word) {
			return p, wrongPeriod("period.unknown")
		}
		p.From, p.To = named(p.Word, now)
		p.Fields = []periodField{{"from", "", "date"}, {"to", "", "date"}}
		return p, nil
	}
	kind, layout, last := "date", time.DateOnly, to
	if hasClock || toHasClock {
		kind, layout = "datetime-local", "2006-01-02T15:04"
	}
	if !to.IsZero() && !toHasClock {
		to = dayAfter(to, 1)
		if hasClock { // the field has one too: there the end of the day is the beginning of the next
			last = to
		}
	}
	if p.From, p.To = from, to; !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return p, wrongPeriod("period.backwards")
	}
	written := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(layout)
	}
	p.Fields = []periodField{{"from", written(from), kind}, {"to", written(last), kind}}
	return p, nil
}

// readTime reads a day, or a moment, as addresses and fields have it.
func readTime(text string, zone *time.Location) (at time.Time, hasClock bool, err error) {
	if text == "" {
		return at, false, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339Nano} {
		t, err := time.ParseInLocation(layout, text, zone)
		switch {
		case err != nil:
		case layout == time.DateOnly:
			return dayAfter(t.Add(12*time.Hour), 0), false, nil // not a moment of the day before
		default:
			return t.In(zone), true, nil
		}
	}
	return at, false, wrongPeriod("period.notime")
}

// named is what a word means at a moment. The days are whole, today too.
func named(word string, now time.Time) (from, to time.Time) {
	days := func(first, end int) (time.Time, time.Time) { return dayAfter(now, first), dayAfter(now, end) }
	months := func(first, end int) (time.Time, time.Time) {
		month := func(n int) time.Time { return beginning(now.Year(), now.Month()+time.Month(n), 1, now.Location()) }
		return month(first), month(end)
	}
	monday := -int(now.Weekday()+6) % 7
	switch word {
	case "today":
		return days(0, 1)
	case "yesterday":
		return days(-1, 0)
	case "this-week":
		return days(monday, monday+7)
	case "last-week":
		return days(monday-7, monday)
	case "this-month":
		return months(0, 1)
	case "last-month":
		return months(-1, 0)
	case "7d":
		return days(-6, 1)
	case "30d":
		return days(-29, 1)
	}
	return time.Time{}, time.Time{}
}

// beginning is when a day begins: not at midnight where the clocks are set forward
// then.
func beginning(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if t.Day() != time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Day() {
		_, t = t.ZoneBounds()
	}
	return t
}

// dayAfter is when the day begins that is so many days after that of t.
func dayAfter(t time.Time, days int) time.Time {
	year, month, day := t.Date()
	return beginning(year, month, day+days, t.Location())
}

// ask puts the period into a question to the HTTP interface.
func (p period) ask(q url.Values) {
	q.Del("period")
	for name, t := range map[string]time.Time{"from": p.From, "to": p.To} {
		if q.Del(name); !t.IsZero() {
			q.Set(name, dayOrMoment(t))
		}
	}
}

// keep puts the period into the query of a page's address.
func (p period) keep(q url.Values) {
	for _, name := range []string{"period", "from", "to"} {
		q.Del(name)
	}
	if p.Word != "" {
		q.Set("period", p.Word)
		return
	}
	if !p.From.IsZero() {
		q.Set("from", dayOrMoment(p.From))
	}
	if !p.To.IsZero() {
		if midnight(p.To) {
			q.Set("to", dayAfter(p.To, -1).Format(time.DateOnly))
		} else {
			q.Set("to", dayOrMoment(p.To))
		}
	}
}

// dayOrMoment is a time as both the pages and the HTTP interface read it as from.
func dayOrMoment(t time.Time) string {
	if hour, minute, second := t.Clock(); hour+minute+second+t.Nanosecond() == 0 {
		return t.Format(time.DateOnly)
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// midnight says whether t is where its day begins.
func midnight(t time.Time) bool { return t.Equal(dayAfter(t, 0)) }

// before is the period to compare p with: as long, just before it. Of a period
// that is not over it is only as much as has passed of p, or half a day would be
// compared with a whole one. ok is false if there is none.
func (p period) before(now time.Time) (b period, ok bool) {
	if p.From.IsZero() || p.To.IsZero() || !p.From.Before(now) {
		return b, false
	}
	back := func(t time.Time) time.Time { return t.AddDate(0, 0, -p.days()) }
	switch {
	case p.Word == "this-month" || p.Word == "last-month":
		back = func(t time.Time) time.Time {
			year, month, day := t.Date()
			hour, minute, second := t.Clock()
			last := time.Date(year, month, 0, 0, 0, 0, 0, t.Location()).Day()
			if day > last { // the 31st, and the month before has 30
				return time.Date(year, month, 1, 0, 0, 0, 0, t.Location())
			}
			return time.Date(year, month-1, day, hour, minute, second, 0, t.Location())
		}
	case !midnight(p.From) || !midnight(p.To):
		back = func(t time.Time) time.Time { return t.Add(-p.To.Sub(p.From)) }
	}
	b = period{From: back(p.From), To: back(p.To)}
	if now.Before(p.To) {
		b.To = back(now).Truncate(time.Minute)
	}
	return b, b.From.Before(b.To)
}

// days is how many dates the period touches.
func (p period) days() int {
	date := func(t time.Time) time.Time {
		year, month, day := t.Date()
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	return int(date(p.To.Add(-1)).Sub(date(p.From)).Hours()/24) + 1
}

// Span writes a period: 2–8 марта 2026.
func (l *language) Span(p period) string {
	from, to := p.From, p.To
	switch {
	case from.IsZero() && to.IsZero():
		return l.Word("period", allTime)
	case !from.IsZero() && !midnight(from) || !to.IsZero() && !midnight(to):
		moment := func(t time.Time) string { return l.date(l, t) + ", " + t.Format("15:04") }
		switch {
		case from.IsZero():
			return l.Text("period.until", moment(to))
		case to.IsZero():
			return l.Text("period.since", moment(from))
		case from.Format(time.DateOnly) == to.Add(-1).Format(time.DateOnly):
			return moment(from) + "\u2013" + to.Format("15:04")
		}
		return moment(from) + " \u2013 " + moment(to)
	case to.IsZero():
		return l.Text("period.since", l.date(l, from))
	}
	last := dayAfter(to, -1)
	switch {
	case from.IsZero():
		return l.Text("period.upto", l.date(l, last))
	case from.Equal(last):
		return l.date(l, from)
	}
	// What the first date has in common with the last is said once.
	first, whole := strings.Fields(l.date(l, from)), strings.Fields(l.date(l, last))
	dash := " \u2013 "
	if first[2] == whole[2] {
		if first = first[:2]; first[1] == whole[1] {
			first, dash = first[:1], "\u2013"
		}
	}
	return strings.Join(first, " ") + dash + strings.Join(whole, " ")
}

// short says that the period has both ends and touches no more dates than days.
func (p period) short(days int) bool {
	return !p.From.IsZero() && !p.To.IsZero() && p.days() <= days
}

// stepTitle writes a step of a chart: the hour, the day with its weekday, the days
// of the week, the month.
func (l *language) stepTitle(p period, step string) string {
	if step == "day" || step == "hour" {
		return l.days[(p.From.Weekday()+6)%7] + ", " + l.Span(p)
	}
	return l.Span(p)
}

// stepLabel is what fits under a column.
func (l *language) stepLabel(from time.Time, step string) string {
	switch step {
	case "hour":
		return from.Format("15")
	case "month":
		return from.Format(l.shortMonth)
	}
	return from.Format(l.shortDay)
}
