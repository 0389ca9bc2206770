package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// The formats of a report.
const (
	PDF  = "pdf"
	CSV  = "csv"
	XLSX = "xlsx"
)

// Formats are the formats of a report.
func Formats() []string { return []string{PDF, CSV, XLSX} }

// The languages of a report.
const (
	Russian = "ru"
	English = "en"
)

// Languages are the languages of a report.
func Languages() []string { return []string{Russian, English} }

// Request is which report is wanted.
type Request struct {
	Format   string // one of Formats
	Language string // one of Languages
	Agent    string // whose journal it is
	Period   Period
	// Now is when the report is made; its zone is that of days and hours.
	Now time.Time
	// Oldest is when the oldest call of the journal began: what was before it is not
	// known, and so not compared with. Zero: there is none.
	Oldest time.Time
	// Filter says in words what narrows Source; the period is not in it.
	Filter []Condition
	// Department and Masked say what the reader sees, if not everything.
	Department string
	Masked     bool
}

// Condition is one parameter of a filter as GET /v1/calls names it, and what it
// was given: any of these.
type Condition struct {
	Name  string
	Words []string
}

// Table is a grouping of calls, as GET /v1/stats has it.
type Table struct {
	By   journal.By
	Step journal.Step
}

// Source is the journal as the reader of the report may see it, narrowed by the
// filter of the report: who is limited gets figures of his calls, and numbers
// masked. Its errors are given back as they are.
type Source interface {
	// Rules are those by which calls were judged.
	Rules() journal.Rules
	// Position is where the feed ends now.
	Position() (journal string, seq uint64)
	// Rows counts the calls of a period for each of tables. The group of a line is
	// its name in front of its number, if the company gave it one.
	Rows(ctx context.Context, p Period, tables []Table) ([][]journal.Row, error)
	// Missed gives the callers whose last missed call is in the period and whom
	// nobody has spoken with yet, the last one first: n at most.
	Missed(ctx context.Context, p Period, n int) (callers []*journal.MissedCaller, more bool, err error)
}

// Document is a report that was made.
type Document struct {
	Name        string // of a file, in ASCII
	ContentType string
	Bytes       []byte
	Total       journal.Figures // of all calls that it is about
}

// Make makes a report. It fails if Source fails, if ctx ends, or if the request
// has a format or language that is not there.
func Make(ctx context.Context, req Request, from Source) (Document, error) {
	w, ok := languages()[req.Language]
	if !ok {
		return Document{}, fmt.Errorf("language %.20q: want %s", req.Language, strings.Join(Languages(), " or "))
	}
	if !slices.Contains(Formats(), req.Format) {
		return Document{}, fmt.Errorf("format %.20q: want %s", req.Format, strings.Join(Formats(), ", "))
	}
	c, err := gather(ctx, req, from, w)
	if err != nil {
		return Document{}, err
	}
	doc := Document{Name: "report-" + c.fileDates() + "." + req.Format, Total: c.total.Figures}
	switch req.Format {
	case PDF:
		doc.ContentType = "application/pdf"
		doc.Bytes, err = c.pdf()
	case CSV:
		doc.ContentType = "text/csv; charset=utf-8"
		doc.Bytes, err = written(c.csv)
	case XLSX:
		doc.ContentType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
		doc.Bytes, err = written(c.xlsx)
	}
	if err != nil {
		return Document{}, fmt.Errorf("write a report as %s: %w", req.Format, err)
	}
	return doc, nil
}

func written(write func(io.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	err := write(&b)
	return b.Bytes(), err
}

// maxMissed is how many callers are listed who wait to be called back.
const maxMissed = 50

// maxHourly is up to how many days the calls are counted by the hour: longer
// periods would have to read too many calls for that. They show the load only.
const maxHourly = 100

// content is what a report says, in no format yet.
type content struct {
	Request
	w        *words
	rules    journal.Rules
	feed     string // id of the journal
	seqs     [2]uint64
	before   Period
	total    journal.Row
	previous journal.Row
	step     journal.Step
	steps    []journal.Row // every step of the period
	hours    [24]hour
	byHour   bool // answered and missed are known by the hour
	groups   []group
	missed   []*journal.MissedCaller
	more     bool // there are more of them
}

// hour is the inbound calls of one hour of the day.
type hour struct{ inbound, answered, missed int64 }

// group is a table of figures.
type group struct {
	by   journal.By
	rows []journal.Row
}

// groupings are the tables by group, in their order.
func groupings() []journal.By {
	return []journal.By{journal.ByEmployee, journal.ByDepartment, journal.ByQueue, journal.ByLine, journal.BySource}
}

// gather counts what the report says. If the journal changed meanwhile, it counts
// once more: sums and tables of one report should agree. In a busy journal they
// may differ by the last calls all the same, and both positions are told.
func gather(ctx context.Context, req Request, from Source, w *words) (*content, error) {
	c := &content{Request: req, w: w}
	for range 2 {
		c.feed, c.seqs[0] = from.Position()
		if err := c.count(ctx, from); err != nil {
			return nil, err
		}
		if _, c.seqs[1] = from.Position(); c.seqs[1] == c.seqs[0] {
			break
		}
	}
	return c, nil
}

func (c *content) count(ctx context.Context, from Source) (err error) {
	c.rules = from.Rules()
	if err := c.bound(ctx, from); err != nil {
		return err
	}
	c.step = c.Period.step()
	tables := []Table{{journal.ByNothing, journal.Whole}, {journal.ByNothing, c.step}}
	for _, by := range groupings() {
		tables = append(tables, Table{by, journal.Whole})
	}
	c.byHour = c.Period.days() <= maxHourly
	if c.byHour {
		tables = append(tables, Table{journal.ByNothing, journal.Hourly})
	}
	rows, err := from.Rows(ctx, c.Period, tables)
	if err != nil {
		return err
	}
	c.total, c.steps = only(rows[0]), c.Period.rows(c.step, rows[1])
	c.groups = nil
	for i, by := range groupings() {
		c.groups = append(c.groups, group{by, sorted(rows[2+i])})
	}
	c.countHours(rows[2+len(groupings()):])
	rows, err = from.Rows(ctx, c.before, []Table{{journal.ByNothing, journal.Whole}})
	if err != nil {
		return err
	}
	c.previous = only(rows[0])
	c.missed, c.more, err = from.Missed(ctx, c.Period, maxMissed)
	return err
}

// ErrPeriod: a period without a moment in it.
var ErrPeriod = errors.New("the period ends before it begins")

// bound gives an open period its ends, and a very long one those of its calls:
// a chart has no room for centuries.
func (c *content) bound(ctx context.Context, from Source) error {
	p, zone := &c.Period, c.Now.Location()
	if p.To.IsZero() {
		p.To = midnight(c.Now, 0, 1)
	}
	p.From, p.To = p.From.In(zone), p.To.In(zone)
	if !p.From.Before(p.To) {
		return fmt.Errorf("from %s to %s: %w", p.From.Format(time.DateTime), p.To.Format(time.DateTime), ErrPeriod)
	}
	if p.From.Before(p.To.AddDate(-10, 0, 0)) {
		rows, err := from.Rows(ctx, *p, []Table{{journal.ByNothing, journal.Daily}})
		if err != nil {
			return err
		}
		first, last := midnight(c.Now, 0, 0), midnight(c.Now, 0, 0)
		if n := len(rows[0]); n > 0 {
			first = dayAt(rows[0][0].At, first)
			if d := dayAt(rows[0][n-1].At, last); d.After(last) { // by the clock of a PBX
				last = d
			}
		}
		if first.After(p.From) {
			p.From = first
		}
		if end := midnight(last, 0, 1); p.To.After(end) {
			p.To = end
		}
	}
	c.before = p.before(c.Now)
	return nil
}

// dayAt is the beginning of a day that is written as a row of statistics has it.
func dayAt(at string, or time.Time) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, at, or.Location())
	if err != nil {
		return or
	}
	return t
}

func only(rows []journal.Row) journal.Row {
	if len(rows) == 0 {
		return journal.Row{}
	}
	return rows[0]
}

// sorted puts the busiest first.
func sorted(rows []journal.Row) []journal.Row {
	slices.SortStableFunc(rows, func(a, b journal.Row) int { return int(b.Calls - a.Calls) })
	return rows
}

func (c *content) countHours(hourly [][]journal.Row) {
	c.hours = [24]hour{}
	for _, day := range c.total.Load {
		for h, n := range day {
			c.hours[h].inbound += n
		}
	}
	for _, rows := range hourly {
		for _, r := range rows {
			var h int
			if _, err := fmt.Sscanf(r.At[len("2006-01-02T"):], "%02d:", &h); err == nil && h < 24 {
				c.hours[h].answered += r.Answered
				c.hours[h].missed += r.Missed
			}
		}
	}
}

// fileDates is the period in the name of a file.
func (c *content) fileDates() string {
	first, last := c.Period.From, c.Period.To.Add(-time.Nanosecond)
	if c.Period.days() <= 1 {
		return first.Format(time.DateOnly)
	}
	return first.Format(time.DateOnly) + "-to-" + last.Format(time.DateOnly)
}

// at is a moment in the zone of the report.
func (c *content) at(m call.Moment) time.Time { return m.Time().In(c.Now.Location()) }
