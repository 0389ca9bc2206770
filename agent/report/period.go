package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// The periods that have a name: whole days, of which the last may not be over.
// Weeks begin on Monday.
const (
	Today     = "today"
	Yesterday = "yesterday"
	ThisWeek  = "this-week"
	LastWeek  = "last-week"
	ThisMonth = "this-month"
	LastMonth = "last-month"
	Days7     = "7d" // with today
	Days30    = "30d"
	All       = "all" // the whole journal
)

// Periods are the names of periods.
func Periods() []string {
	return []string{Today, Yesterday, ThisWeek, LastWeek, ThisMonth, LastMonth, Days7, Days30, All}
}

// Period is the calls that began at From or later and before To. A zero From is
// the first call of the journal, a zero To is now.
type Period struct{ From, To time.Time }

// PeriodOf gives the period of a name as it is at now, on the calendar of now's
// zone.
func PeriodOf(name string, now time.Time) (Period, error) {
	day := func(add int) time.Time { return midnight(now, 0, add) }
	monday := -(int(now.Weekday()) + 6) % 7
	first := 1 - now.Day()
	switch name {
	case Today:
		return Period{day(0), day(1)}, nil
	case Yesterday:
		return Period{day(-1), day(0)}, nil
	case ThisWeek:
		return Period{day(monday), day(monday + 7)}, nil
	case LastWeek:
		return Period{day(monday - 7), day(monday)}, nil
	case ThisMonth:
		return Period{day(first), midnight(now, 1, first)}, nil
	case LastMonth:
		return Period{midnight(now, -1, first), day(first)}, nil
	case Days7:
		return Period{day(-6), day(1)}, nil
	case Days30:
		return Period{day(-29), day(1)}, nil
	case All:
		return Period{}, nil
	}
	return Period{}, fmt.Errorf("period %.40q is not known: want %s", name, strings.Join(Periods(), ", "))
}

// midnight is the beginning of a day so many months and days from that of t.
func midnight(t time.Time, months, days int) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m+time.Month(months), d+days, 0, 0, 0, 0, t.Location())
}

// wholeDays says that both ends are midnights.
func (p Period) wholeDays() bool {
	return p.From.Equal(midnight(p.From, 0, 0)) && p.To.Equal(midnight(p.To, 0, 0))
}

// wholeMonths says that both ends are midnights of a first of a month.
func (p Period) wholeMonths() bool {
	return p.wholeDays() && p.From.Day() == 1 && p.To.Day() == 1
}

// days is on how many dates the period has a part.
func (p Period) days() int {
	if !p.From.Before(p.To) {
		return 0
	}
	return int(dayOf(p.To.Add(-time.Nanosecond))-dayOf(p.From)) + 1
}

func dayOf(t time.Time) journal.Day { return journal.DayOf(t.Year(), t.Month(), t.Day()) }

// before is the period that p is compared with: as long, right in front of it, by
// the calendar where p is whole days or months. Of a period that is not over at
// now only as much is compared as there was of it: the first nine days of a month
// with the first nine of the month before.
func (p Period) before(now time.Time) Period {
	end := p.To
	if now.Before(end) {
		end = now
	}
	shift := func(t time.Time) time.Time { return t.Add(p.From.Sub(p.To)) }
	switch {
	case p.wholeMonths():
		months := (p.To.Year()-p.From.Year())*12 + int(p.To.Month()-p.From.Month())
		shift = func(t time.Time) time.Time { return t.AddDate(0, -months, 0) }
	case p.wholeDays():
		days := int(dayOf(p.To) - dayOf(p.From))
		shift = func(t time.Time) time.Time { return t.AddDate(0, 0, -days) }
	}
	b := Period{shift(p.From), shift(end)}
	if b.To.After(p.From) { // the 31st is compared with a month of 30 days
		b.To = p.From
	}
	return b
}

// step is how long the bars of a chart of the period are.
func (p Period) step() journal.Step {
	switch days := p.days(); {
	case days <= 1:
		return journal.Hourly
	case days <= 62:
		return journal.Daily
	case days <= 400:
		return journal.Weekly
	}
	return journal.Monthly
}

// rows gives a row for every step of the period, also for those without calls.
func (p Period) rows(step journal.Step, rows []journal.Row) []journal.Row {
	var out []journal.Row
	add := func(at string) {
		if n := len(out); n > 0 && out[n-1].At == at {
			return
		}
		row := journal.Row{At: at}
		if i := slices.IndexFunc(rows, func(r journal.Row) bool { return r.At == at }); i >= 0 {
			row = rows[i]
		}
		out = append(out, row)
	}
	if step == journal.Hourly {
		calendar := journal.NewCalendar(p.From.Location())
		for t := p.From; t.Before(p.To); t = t.Add(time.Hour) {
			add(calendar.Row(call.MomentOf(t), step))
		}
		return out
	}
	for d := dayOf(p.From); d < dayOf(p.From)+journal.Day(p.days()); d++ {
		add(d.Row(step))
	}
	return out
}
