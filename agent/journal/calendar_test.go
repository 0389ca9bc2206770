package journal_test

import (
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// Every quarter of an hour of years in zones with every kind of change: the day
// and hour are those that the standard library's calendar says, and each moment
// is in the span of its day.
func TestCalendar_AgreesWithTime(t *testing.T) {
	for _, name := range []string{
		"UTC", "Europe/Moscow", "Europe/Berlin", "America/Sao_Paulo", "Africa/Cairo", "America/St_Johns",
		"Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "America/Havana", "Asia/Beirut",
	} {
		z := mustZone(name)
		c := journal.NewCalendar(z)
		for at := time.Date(2010, 12, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2013; at = at.Add(15 * time.Minute) {
			m := call.MomentOf(at)
			day, hour := c.Day(m)
			local := at.In(z)
			if got, want := day.String(), local.Format(time.DateOnly); got != want || hour != local.Hour() {
				t.Fatalf("%s in %s: got %s %d h, want %s %d h", at, name, got, hour, want, local.Hour())
			}
			if from, to := c.Span(day); m < from || m >= to {
				t.Fatalf("%s in %s: not in the span of its day, %s to %s", at, name, from.Time(), to.Time())
			}
			first, end := c.FirstWhole(m), c.EndWhole(m)
			if from, _ := c.Span(first); from < m {
				t.Fatalf("%s in %s: %s begins before it", at, name, first)
			}
			if _, to := c.Span(end - 1); to > m || first < end || first > end+2 {
				t.Fatalf("%s in %s: whole days up to %s, and again from %s", at, name, end, first)
			}
			if got, want := day.Weekday(), local.Weekday(); got != want {
				t.Fatalf("%s in %s: %s, want %s", at, name, got, want)
			}
		}
	}
}

// Days of 23 and 25 hours are as long as they are.
func TestCalendar_Span(t *testing.T) {
	c := journal.NewCalendar(zone)
	for _, tt := range []struct {
		day   journal.Day
		hours float64
	}{
		{journal.DayOf(2026, 3, 28), 24}, {journal.DayOf(2026, 3, 29), 23}, {journal.DayOf(2026, 3, 30), 24},
		{journal.DayOf(2026, 10, 24), 24}, {journal.DayOf(2026, 10, 25), 25}, {journal.DayOf(2026, 10, 26), 24},
	} {
		from, to := c.Span(tt.day)
		if got := to.Sub(from).Hours(); got != tt.hours {
			t.Errorf("%s: %v hours, want %v", tt.day, got, tt.hours)
		}
	}
}

func TestCalendar_Rows(t *testing.T) {
	c := journal.NewCalendar(zone)
	at := func(s string) call.Moment {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return call.MomentOf(v)
	}
	tests := []struct {
		at   string
		step journal.Step
		want string
	}{
		{"2026-01-01T12:00:00Z", journal.Whole, ""},
		{"2026-01-01T23:30:00Z", journal.Daily, "2026-01-02"},
		{"2026-01-01T12:00:00Z", journal.Weekly, "2025-12-29"},
		{"2026-01-04T22:59:00Z", journal.Weekly, "2025-12-29"},
		{"2026-01-04T23:00:00Z", journal.Weekly, "2026-01-05"},
		{"2026-01-31T23:00:00Z", journal.Monthly, "2026-02"},
		{"2026-10-25T00:30:00Z", journal.Hourly, "2026-10-25T02:00+02:00"},
		{"2026-10-25T01:30:00Z", journal.Hourly, "2026-10-25T02:00+01:00"},
		{"1969-12-31T22:30:00Z", journal.Daily, "1969-12-31"},
	}
	for _, tt := range tests {
		if got := c.Row(at(tt.at), tt.step); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.at, got, tt.want)
		}
	}
	for name, want := range map[string]journal.Step{"": journal.Whole, "hour": journal.Hourly, "day": journal.Daily, "week": journal.Weekly, "month": journal.Monthly} {
		if got, err := journal.StepOf(name); err != nil || got != want {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := journal.StepOf("year"); err == nil {
		t.Error("a year is a step")
	}
}
