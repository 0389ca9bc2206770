package journal

import (
	"cmp"
	"slices"
	"time"

	"calljournal/agent/call"
)

// Sheet puts cells, and calls of days that are not whole in a period, together to
// rows: one for each step of time and each group.
type Sheet struct {
	by       By
	step     Step
	calendar Calendar
	rules    Rules
	rows     map[rowKey]*row
}

type rowKey struct{ at, group string }

type row struct {
	Cell
	week [7][24]int64
}

// Row is one line of statistics.
type Row struct {
	At    string // the step of time, as Calendar.Row writes it; "" for the whole period
	Group string
	Figures
	// Load is how many inbound calls began in each hour of the week, from Monday.
	Load [7][24]int64
}

// NewSheet is empty.
func NewSheet(c Calendar, r Rules, by By, step Step) *Sheet {
	return &Sheet{by: by, step: step, calendar: c, rules: r, rows: map[rowKey]*row{}}
}

// NeedsCalls says that days are not enough: hours are counted from calls.
func (s *Sheet) NeedsCalls() bool { return s.step == Hourly }

// AddDay takes in the cell of a group, which must be of the sheet's grouping, on
// a day.
func (s *Sheet) AddDay(group string, d Day, c *Cell) {
	r := s.row(d.Row(s.step), group)
	r.Merge(c)
	for hour, n := range c.hours {
		r.week[weekday(d)][hour] += n
	}
}

// AddCall takes in one call.
func (s *Sheet) AddCall(rec *call.Record) {
	d, hour := s.calendar.Day(rec.StartedAt)
	at := s.calendar.Row(rec.StartedAt, s.step)
	for _, sh := range shares(rec, s.rules) {
		if sh.group.By != s.by {
			continue
		}
		r := s.row(at, sh.group.Name)
		r.add(&sh, hour)
		if sh.has(countInbound) {
			r.week[weekday(d)][hour]++
		}
	}
}

func weekday(d Day) int { return int(d.Weekday()+6) % 7 }

func (s *Sheet) row(at, group string) *row {
	k := rowKey{at, group}
	r := s.rows[k]
	if r == nil {
		r = &row{}
		s.rows[k] = r
	}
	return r
}

// Len is the number of rows.
func (s *Sheet) Len() int { return len(s.rows) }

// Unsure says that the longest of something is not known from the cells alone.
func (s *Sheet) Unsure() bool {
	for _, r := range s.rows {
		if r.Unsure() {
			return true
		}
	}
	return false
}

// Rows are in order of time, and in each step of time by group.
func (s *Sheet) Rows() []Row {
	out := make([]Row, 0, len(s.rows))
	for k, r := range s.rows {
		out = append(out, Row{At: k.at, Group: k.group, Figures: r.Figures(), Load: r.week})
	}
	slices.SortFunc(out, func(a, b Row) int {
		return cmp.Or(cmp.Compare(instant(a.At), instant(b.At)), cmp.Compare(a.At, b.At), cmp.Compare(a.Group, b.Group))
	})
	return out
}

// instant puts the two equal hours of an autumn night in order; other steps are
// in order as they are written.
func instant(at string) int64 {
	t, err := time.Parse("2006-01-02T15:04Z07:00", at)
	if err != nil {
		return 0
	}
	return t.Unix()
}
