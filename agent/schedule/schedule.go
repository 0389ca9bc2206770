package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// Schedule is when something is due again and again.
type Schedule struct {
	text         string
	hour, minute int
	weekdays     []time.Weekday // of a weekly one
	day          int            // of a monthly one
	cron         cron.Schedule  // of one written as cron has it; nil: one of ours
}

// Examples is what a text can look like, for messages.
const Examples = `"daily 08:00", "weekly mon 08:00", "monthly 1 08:00", or the five fields of cron, as "30 7 * * mon-fri"`

var errForm = errors.New("want " + Examples)

// Parse reads a schedule. Its errors say what would be right.
func Parse(text string) (Schedule, error) {
	fields := strings.Fields(strings.ToLower(text))
	s := Schedule{text: strings.Join(fields, " ")}
	var err error
	switch {
	case len(fields) == 0:
		return s, errForm
	case fields[0] == "daily" && len(fields) == 2:
		err = s.clock(fields[1])
	case fields[0] == "weekly" && len(fields) == 3:
		if err = s.days(fields[1]); err == nil {
			err = s.clock(fields[2])
		}
	case fields[0] == "monthly" && len(fields) == 3:
		if s.day, err = strconv.Atoi(fields[1]); err != nil || s.day < 1 || s.day > 31 {
			return s, fmt.Errorf("%q is no day of a month: want 1 to 31; 29 to 31 are the last day of a shorter month", fields[1])
		}
		err = s.clock(fields[2])
	case len(fields) == 5:
		return s, s.fields()
	default:
		return s, errForm
	}
	return s, err
}

func (s *Schedule) clock(text string) error {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return fmt.Errorf("%q is no time of day: want 08:00", text)
	}
	s.hour, s.minute = t.Hour(), t.Minute()
	return nil
}

func (s *Schedule) days(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		day := time.Sunday
		for day <= time.Saturday && (len(name) < 3 || !strings.HasPrefix(strings.ToLower(day.String()), name)) {
			day++
		}
		if day > time.Saturday {
			return fmt.Errorf("%q is no day of the week: want mon, tue, wed, thu, fri, sat, sun, or some of them with commas", name)
		}
		s.weekdays = append(s.weekdays, day)
	}
	return nil
}

// fields reads the five fields of cron. A zone of its own it must not have: there
// is one for all.
func (s *Schedule) fields() error {
	parser, err := cron.TryNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Extended)
	if err != nil {
		return err
	}
	if strings.Contains(s.text, "=") {
		return errForm
	}
	if s.cron, err = parser.Parse(s.text); err != nil {
		return fmt.Errorf("%w: %w", err, errForm)
	}
	if s.cron.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return errors.New("there is no such day")
	}
	return nil
}

// String is the text that it was made of.
func (s Schedule) String() string { return s.text }

// Next is the first moment after the given one, by the clock of its location;
// zero: there is none within years.
func (s Schedule) Next(after time.Time) (next time.Time) {
	// What a clock shows does not only grow: it is set back and steps over times.
	// So what it would show in order is looked through for the first moment that
	// comes of it, from before a step to behind one.
	for shown := s.shown(clockOf(after).Add(-near)); !shown.IsZero(); shown = s.shown(shown) {
		if !next.IsZero() && shown.After(clockOf(next).Add(near)) {
			break
		}
		t := At(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), after.Location())
		if t.After(after) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

// clockOf is what the clock of its location shows at t, as if it were one of UTC.
func clockOf(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.Add(time.Duration(offset) * time.Second).UTC()
}

// mostMonths is how far ahead is looked.
const mostMonths = 62

// shown is the first time after the given one, on a clock that is never set.
func (s Schedule) shown(after time.Time) time.Time {
	if s.cron != nil {
		return s.cron.Next(after)
	}
	y, m, d := after.Date()
	for ; d < 31*mostMonths; d++ { // time.Date makes of the 40th the 9th of the next month
		if t := time.Date(y, m, d, s.hour, s.minute, 0, 0, time.UTC); s.on(t) && t.After(after) {
			return t
		}
	}
	return time.Time{}
}

// on says whether the schedule has something on a day.
func (s Schedule) on(day time.Time) bool {
	switch {
	case s.day != 0:
		return day.Day() == min(s.day, time.Date(day.Year(), day.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day())
	case s.weekdays != nil:
		return slices.Contains(s.weekdays, day.Weekday())
	}
	return true
}

// Latest is the last moment after the first and not after the second one; zero:
// there is none.
func (s Schedule) Latest(after, until time.Time) time.Time {
	// A schedule may come every minute, and the stretch may be years.
	for _, back := range []time.Duration{time.Hour, 24 * time.Hour, 40 * 24 * time.Hour, until.Sub(after)} {
		from := until.Add(-back)
		if from.Before(after) {
			from = after
		}
		var last time.Time
		for t := s.Next(from); !t.IsZero() && !t.After(until); t = s.Next(t) {
			last = t
		}
		if !last.IsZero() || !from.After(after) {
			return last
		}
	}
	return time.Time{}
}

// At is when the clock of a zone shows a time on a day: the first time where it
// does twice. Where it leaves the time out, it is as long after midnight.
func At(year int, month time.Month, day, hour, minute int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, hour, minute, 0, 0, zone)
	if back := again(t); back != 0 {
		return t.Add(-back)
	}
	wall := time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	if _, offset := t.Zone(); t.Unix()+int64(offset) == wall.Unix() {
		return t
	}
	_, before := t.Add(-near).Zone()
	return wall.Add(-time.Duration(before) * time.Second).In(zone)
}

// near is how far around a step of a clock is looked for: none is as large.
const near = 3 * time.Hour

// again says by how much a clock was set back since it showed the same as at t;
// 0: it shows that for the first time.
func again(t time.Time) time.Duration {
	_, now := t.Zone()
	_, was := t.Add(-near).Zone()
	back := time.Duration(was-now) * time.Second
	if back <= 0 {
		return 0
	}
	if _, then := t.Add(-back).Zone(); then != was {
		return 0
	}
	return back
}
