package schedule

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

const shown = "Mon 2006-01-02 15:04 -0700"

func TestNext(t *testing.T) {
	for _, c := range []struct {
		name, schedule, zone, after string
		want                        []string
	}{
		{"every day", "daily 08:00", "Europe/Moscow", "2026-11-22T08:00:00+03:00", []string{"Mon 2026-11-23 08:00 +0300", "Tue 2026-11-24 08:00 +0300"}},
		{"today, if it is still to come", "daily 08:00", "Europe/Moscow", "2026-11-22T07:59:59+03:00", []string{"Sun 2026-11-22 08:00 +0300"}},
		{"on Mondays", "weekly mon 08:00", "Europe/Moscow", "2026-11-23T08:00:00+03:00", []string{"Mon 2026-11-30 08:00 +0300"}},
		{"on two days", "weekly Monday,thu 8:30", "UTC", "2026-11-22T00:00:00Z", []string{"Mon 2026-11-23 08:30 +0000", "Thu 2026-11-26 08:30 +0000", "Mon 2026-11-30 08:30 +0000"}},
		{"on the first", "monthly 1 08:00", "UTC", "2026-11-22T00:00:00Z", []string{"Tue 2026-12-01 08:00 +0000", "Fri 2027-01-01 08:00 +0000"}},
		{"at the end of each month", "monthly 31 23:50", "UTC", "2027-12-31T23:50:00Z", []string{
			"Mon 2028-01-31 23:50 +0000", "Tue 2028-02-29 23:50 +0000", "Fri 2028-03-31 23:50 +0000", "Sun 2028-04-30 23:50 +0000"}},
		{"on the 30th, in February too", "monthly 30 00:00", "UTC", "2026-01-30T00:00:00Z", []string{"Sat 2026-02-28 00:00 +0000", "Mon 2026-03-30 00:00 +0000"}},
		{"an hour that is left out", "daily 02:30", "Europe/Berlin", "2026-03-28T03:00:00+01:00", []string{"Sun 2026-03-29 03:30 +0200", "Mon 2026-03-30 02:30 +0200"}},
		{"an hour that comes twice", "daily 02:30", "Europe/Berlin", "2026-10-24T03:00:00+02:00", []string{"Sun 2026-10-25 02:30 +0200", "Mon 2026-10-26 02:30 +0100"}},
		{"no midnight", "daily 00:00", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00", []string{"Sun 2018-11-04 01:00 -0200", "Mon 2018-11-05 00:00 -0200"}},
		{"half an hour back", "daily 01:45", "Australia/Lord_Howe", "2026-04-04T03:00:00+11:00", []string{"Sun 2026-04-05 01:45 +1100", "Mon 2026-04-06 01:45 +1030"}},
		{"a day that there is not", "daily 08:00", "Pacific/Apia", "2011-12-29T08:00:00-10:00", []string{"Sat 2011-12-31 08:00 +1400", "Sun 2012-01-01 08:00 +1400"}},
		{"cron", "30 7 * * mon-fri", "Europe/Moscow", "2026-11-20T07:30:00+03:00", []string{"Mon 2026-11-23 07:30 +0300", "Tue 2026-11-24 07:30 +0300"}},
		{"cron, the last day", "0 20 L * *", "UTC", "2026-02-01T00:00:00Z", []string{"Sat 2026-02-28 20:00 +0000", "Tue 2026-03-31 20:00 +0000"}},
		{"cron, an hour that comes twice", "30 2 * * *", "Europe/Berlin", "2026-10-24T03:00:00+02:00", []string{"Sun 2026-10-25 02:30 +0200", "Mon 2026-10-26 02:30 +0100"}},
		{"cron, an hour that is left out", "30 2 * * *", "Europe/Berlin", "2026-03-28T03:00:00+01:00", []string{"Sun 2026-03-29 03:30 +0200", "Mon 2026-03-30 02:30 +0200"}},
		{"cron, months with a step of half an hour", "0 0 1 * *", "Australia/Lord_Howe", "2017-09-01T00:00:00+10:30", []string{"Sun 2017-10-01 00:00 +1030", "Wed 2017-11-01 00:00 +1100"}},
		{"cron, every hour of a long night", "0 * * * *", "Europe/Berlin", "2026-10-25T01:00:00+02:00", []string{"Sun 2026-10-25 02:00 +0200", "Sun 2026-10-25 03:00 +0100"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Parse(c.schedule)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.after)
			if err != nil {
				t.Fatal(err)
			}
			at = at.In(zone(t, c.zone))
			for _, want := range c.want {
				if at = s.Next(at); at.Format(shown) != want {
					t.Fatalf("%s, want %s", at.Format(shown), want)
				}
			}
		})
	}
}

func TestParse_Refuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "want", "hourly": "want", "daily": "want", "daily 8am": "no time of day", "daily 24:00": "no time of day",
		"weekly 08:00": "want", "weekly mond,day 08:00": "no day of the week", "weekly m 08:00": "no day of the week",
		"monthly 32 08:00": "no day of a month", "monthly 0 08:00": "no day of a month",
		"0 0 30 2 *": "no such day", "61 0 * * *": "want", "@daily": "want", "TZ=UTC 0 8 * * *": "want", "TZ=UTC 8 * * *": "want",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Whatever the schedule and the zone: moments only grow, each shows another time
// on the clock, and Latest finds the one that Next would have come to.
func TestSchedule_NamesEachMomentOnce(t *testing.T) {
	zones := []*time.Location{time.UTC, zone(t, "Europe/Berlin"), zone(t, "Australia/Lord_Howe"), zone(t, "America/Sao_Paulo"), zone(t, "Africa/Casablanca")}
	texts := []string{"daily 02:30", "daily 00:00", "weekly sun 02:00", "monthly 31 02:15", "*/30 * * * *", "15 1-3 * * *", "0 0 1 * *", "daily 23:59"}
	rapid.Check(t, func(r *rapid.T) {
		s, err := Parse(rapid.SampledFrom(texts).Draw(r, "schedule"))
		if err != nil {
			r.Fatal(err)
		}
		begin := time.Unix(rapid.Int64Range(1_400_000_000, 1_900_000_000).Draw(r, "begin"), 0).In(rapid.SampledFrom(zones).Draw(r, "zone"))
		at, clock := begin, ""
		for range 40 {
			next := s.Next(at)
			if !next.After(at) {
				r.Fatalf("after %s comes %s", at, next)
			}
			if next.Format("2006-01-02 15:04") == clock {
				r.Fatalf("%s comes twice", next)
			}
			if got := s.Latest(begin, next.Add(30*time.Second)); !got.Equal(next) {
				r.Fatalf("the latest until %s is %s, want %s", next.Add(30*time.Second), got, next)
			}
			at, clock = next, next.Format("2006-01-02 15:04")
		}
		if got := s.Latest(at, s.Next(at).Add(-time.Second)); !got.IsZero() {
			r.Fatalf("between two moments there is %s", got)
		}
	})
}
