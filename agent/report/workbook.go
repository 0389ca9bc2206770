package report

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/journal"
	"calljournal/agent/sheet"
)

// table is one table of the report for a spreadsheet.
type table struct {
	id   string   // in CSV
	name string   // in a workbook
	head []string // of the columns in front of the figures
	rows []tableRow
}

type tableRow struct {
	front []string // one for each of head
	journal.Row
}

// tables are those with figures in their columns. Periods and groups are as
// GET /v1/stats writes them, in CSV; as people do, in a workbook.
func (c *content) tables(spell bool) []table {
	w := c.w
	steps := map[journal.Step]string{journal.Hourly: "hour", journal.Daily: "day", journal.Weekly: "week", journal.Monthly: "month"}
	ids := map[journal.By]string{
		journal.ByEmployee: "employee", journal.ByDepartment: "department", journal.ByQueue: "queue", journal.ByLine: "line", journal.BySource: "source",
	}
	span := func(p Period) string {
		if spell {
			return w.dates(p)
		}
		return p.From.Format("2006-01-02T15:04Z07:00") + "/" + p.To.Format("2006-01-02T15:04Z07:00")
	}
	this, before := w.ThisPeriod, w.PeriodBefore
	if !spell {
		this, before = "this", "before"
	}
	out := []table{{"total", w.Total, []string{w.Total}, []tableRow{
		{[]string{this + ": " + span(c.Period)}, c.total}, {[]string{before + ": " + span(c.before)}, c.previous},
	}}}
	by := table{id: steps[c.step], name: w.ByStep[c.step], head: []string{w.StepHead[c.step]}}
	for _, r := range c.steps {
		at := r.At
		if spell {
			at = w.step(r.At, c.step)
		}
		by.rows = append(by.rows, tableRow{[]string{at}, r})
	}
	out = append(out, by)
	for _, g := range c.groups {
		t := table{id: ids[g.by], name: w.By[g.by], head: []string{w.Head[g.by]}}
		for _, r := range g.rows {
			t.rows = append(t.rows, tableRow{[]string{r.Group}, r})
		}
		out = append(out, t)
	}
	return out
}

// csv is one table, for programs: a row for each group of each table, under the
// names that figures have in GET /v1/stats. Of the hours of the week and of the
// callers who wait there is a count only; rows of the table about have none.
func (c *content) csv(out io.Writer) error {
	columns := append([]sheet.Column{{Name: "table", Kind: sheet.Text}, {Name: "row", Kind: sheet.Text}}, figureSheet(func(name string) string { return name })...)
	t, err := sheet.NewCSV(out, c.Now.Location(), columns)
	if err != nil {
		return err
	}
	add := func(table, row string, f *journal.Figures) { err = errors.Join(err, t.Row(figureRow(f, table, row))) }
	only := func(table, row, figure string, n int64) {
		cells := make([]any, len(columns))
		cells[0], cells[1] = table, row
		for i, column := range columns {
			if column.Name == figure {
				cells[i] = n
			}
		}
		err = errors.Join(err, t.Row(cells))
	}
	for _, about := range []string{
		"agent " + clean(c.Agent), "journal " + c.feed, fmt.Sprintf("seq %d-%d", c.seqs[0], c.seqs[1]), "made " + c.Now.Format(time.RFC3339), "zone " + zoneName(c.Now),
	} {
		only("about", about, "", 0)
	}
	for _, x := range c.tables(false) {
		for i := range x.rows {
			add(x.id, x.rows[i].front[0], &x.rows[i].Figures)
		}
	}
	days := english().Weekdays
	for d, day := range c.total.Load {
		for h, n := range day {
			if n > 0 {
				only("hour_of_week", days[d]+" "+strconv.Itoa(h), "inbound", n)
			}
		}
	}
	for _, m := range c.missed {
		only("open", c.caller(m), "missed", int64(m.Times))
	}
	return errors.Join(err, t.Close())
}

// figureSheet are columns for all figures.
func figureSheet(name func(string) string) (columns []sheet.Column) {
	for _, n := range figureNames() {
		columns = append(columns, sheet.Column{Name: name(n), Kind: figureKind(n)})
	}
	return columns
}

func figureRow(f *journal.Figures, front ...string) (cells []any) {
	for _, text := range front {
		cells = append(cells, text)
	}
	all := figures(f)
	for _, name := range figureNames() {
		cells = append(cells, all[name].cell())
	}
	return cells
}

// xlsx is a workbook for people: a sheet about the report, one for each table,
// one for the hours of the week, and one for the callers who wait.
func (c *content) xlsx(out io.Writer) error {
	w := c.w
	book, err := sheet.NewWorkbook(out, c.Now.Location())
	if err != nil {
		return err
	}
	write := func(name string, columns []sheet.Column, rows [][]any) {
		if err != nil {
			return
		}
		var t sheet.Writer
		if t, err = book.Sheet(name, columns); err != nil {
			return
		}
		for _, r := range rows {
			if err = t.Row(r); err != nil {
				break
			}
		}
		err = errors.Join(err, t.Close())
	}
	var about [][]any
	for _, line := range append([]string{clean(c.Agent), w.dates(c.Period), c.position(), c.made()}, c.about()...) {
		about = append(about, []any{line, nil})
	}
	about = append(about, []any{nil, nil}, []any{w.Formulas, nil})
	for _, name := range figureNames() {
		about = append(about, []any{w.figure(name).Name, w.formula(name, c.rules)})
	}
	write(w.About, []sheet.Column{{Name: w.Title, Kind: sheet.Prose}, {Name: w.Formula, Kind: sheet.Prose}}, about)
	for _, t := range c.tables(true) {
		var columns []sheet.Column
		for _, h := range t.head {
			columns = append(columns, sheet.Column{Name: h, Kind: sheet.Prose})
		}
		columns = append(columns, figureSheet(func(n string) string { return w.figure(n).Name })...)
		var rows [][]any
		for i := range t.rows {
			rows = append(rows, figureRow(&t.rows[i].Figures, t.rows[i].front...))
		}
		write(t.name, columns, rows)
	}
	columns := []sheet.Column{{Name: w.Weekday, Kind: sheet.Text}}
	for h := range 24 {
		columns = append(columns, sheet.Column{Name: strconv.Itoa(h), Kind: sheet.Number})
	}
	var week [][]any
	for d, day := range c.total.Load {
		row := []any{w.LongWeekdays[d]}
		for _, n := range day {
			row = append(row, n)
		}
		week = append(week, row)
	}
	write(w.Week, columns, week)
	zone := ", " + zoneName(c.Now)
	var waiting [][]any
	for _, m := range c.missed {
		line, asked := "", ""
		if n := len(m.Calls); n > 0 {
			line, asked = lineOf(&m.Calls[n-1]), askedOf(&m.Calls[n-1])
		}
		waiting = append(waiting, []any{m.LastAt.Time(), c.caller(m), line, asked, int64(m.Times), int64(m.Attempts), m.LostAt.Time()})
	}
	write(w.Missed, []sheet.Column{
		{Name: w.LastAt + zone, Kind: sheet.Time}, {Name: w.Caller, Kind: sheet.Prose}, {Name: w.Line, Kind: sheet.Text}, {Name: w.Asked, Kind: sheet.Prose},
		{Name: w.Times, Kind: sheet.Number}, {Name: strings.ReplaceAll(w.Tried, "\u00ad", ""), Kind: sheet.Number}, {Name: w.LostAt + zone, Kind: sheet.Time},
	}, waiting)
	return errors.Join(err, book.Close())
}
