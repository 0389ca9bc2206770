package journal

import (
	"fmt"
	"time"

	"calljournal/agent/call"
)

// Calendar says to which day and hour of the company a moment belongs. A day is
// a date of its time zone: it has 23, 24 or 25 hours, and begins when that date
// begins.
type Calendar struct{ zone *time.Location }

// NewCalendar makes the Calendar of a time zone.
func NewCalendar(zone *time.Location) Calendar { return Calendar{zone} }

// Day is a date, as days since 1970-01-01.
type Day int32

// DayOf is the date of a year, a month and a day of it.
func DayOf(year int, month time.Month, day int) Day {
	return Day(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

func (d Day) utc() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String is the day as 2026-01-31.
func (d Day) String() string { return d.utc().Format(time.DateOnly) }

// Weekday is the day of the week.
func (d Day) Weekday() time.Weekday { return d.utc().Weekday() }

// Day is the date on which m is, and the hour of that date, 0 to 23. The hour
// that a clock shows twice in autumn is one hour here.
func (c Calendar) Day(m call.Moment) (day Day, hour int) {
	t := m.Time().In(c.zone)
	_, offset := t.Zone()
	local := t.Unix() + int64(offset)
	days := local / 86400
	if local%86400 < 0 {
		days--
	}
	return Day(days), int(local-days*86400) / 3600
}

// Span gives two moments such that every moment of the day is in [from, to). It
// is wider than the day where a zone sets its clocks around midnight.
func (c Calendar) Span(d Day) (from, to call.Moment) {
	east, _ := c.midnight(d)
	_, west := c.midnight(d + 1)
	return call.MomentOf(time.Unix(int64(d)*86400-east, 0)), call.MomentOf(time.Unix(int64(d+1)*86400-west, 0))
}

// FirstWhole is the first day of which no moment is before m.
func (c Calendar) FirstWhole(m call.Moment) Day {
	d, _ := c.Day(m)
	for {
		if from, _ := c.Span(d); from >= m {
			return d
		}
		d++
	}
}

// EndWhole is the day after the last one of which all moments are before m.
func (c Calendar) EndWhole(m call.Moment) Day {
	d, _ := c.Day(m)
	for d++; ; d-- {
		if _, to := c.Span(d - 1); to <= m {
			return d
		}
	}
}

// midnight gives the easternmost and the westernmost offset in force within an
// hour of the midnight with which a day begins: it comes as early as the one and
// as late as the other says.
func (c Calendar) midnight(d Day) (east, west int64) {
	u := d.utc()
	at := time.Date(u.Year(), u.Month(), u.Day(), 0, 0, 0, 0, c.zone)
	_, o := at.Zone()
	east, west = int64(o), int64(o)
	for _, h := range []time.Duration{-time.Hour, time.Hour} {
		_, o := at.Add(h).Zone()
		east, west = max(east, int64(o)), min(west, int64(o))
	}
	return east, west
}

// Step is how long a row of statistics is.
type Step uint8

// The steps.
const (
	Whole Step = iota // the whole period in one row
	Hourly
	Daily
	Weekly // weeks begin on Monday
	Monthly
)

// StepOf reads a step as it is asked for.
func StepOf(name string) (Step, error) {
	switch name {
	case "":
		return Whole, nil
	case "hour":
		return Hourly, nil
	case "day":
		return Daily, nil
	case "week":
		return Weekly, nil
	case "month":
		return Monthly, nil
	}
	return Whole, fmt.Errorf("step %.20q: want hour, day, week or month", name)
}

// Row is the row of step that d belongs to: a day, a Monday, or the first of a
// month.
func (d Day) Row(s Step) string {
	switch s {
	case Daily:
		return d.String()
	case Weekly:
		return (d - Day((d.Weekday()+6)%7)).String()
	case Monthly:
		return d.utc().Format("2006-01")
	}
	return ""
}

// Row is the row of step that m belongs to. An hour is written with its offset,
// so that the two of an autumn night are two.
func (c Calendar) Row(m call.Moment, s Step) string {
	if s == Hourly {
		return m.Time().In(c.zone).Format("2006-01-02T15:00Z07:00")
	}
	d, _ := c.Day(m)
	return d.Row(s)
}
