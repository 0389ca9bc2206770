package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

// counting is how statistics are counted.
type counting struct {
	rules journal.Rules
	zone  *time.Location // days and hours
}

// StatsInput is what GET /v1/stats can be asked for.
type StatsInput struct {
	CallFilter
	By   string `query:"by" default:"total" doc:"total, direction, line, source, trunk, queue, employee or department; hour, day, week and month are total by that step"`
	Step string `query:"step" doc:"hour, day, week or month: a row for each; none: one row for the whole period"`
	Load bool   `query:"load" doc:"with the load by hour of the week in each row"`
}

// Statistics are figures of a period, each with its formula.
type Statistics struct {
	By       string            `json:"by"`
	Step     string            `json:"step" doc:"empty: the whole period"`
	Zone     string            `json:"zone" doc:"whose days and hours they are"`
	Rows     []StatisticsRow   `json:"rows" doc:"in order of time, in each step by group; a step or group without calls has no row"`
	Formulas []journal.Formula `json:"formulas"`
}

// StatisticsRow is the figures of one group in one step of time.
type StatisticsRow struct {
	At    string `json:"at" doc:"the hour as 2026-01-31T09:00+03:00, the day, the Monday of the week, or the month as 2026-01; empty for the whole period"`
	Group string `json:"group" doc:"the employee (his name, or his extension), the number of the line, ...; empty in total"`
	journal.Figures
	Load *[7][24]int64 `json:"load,omitempty" doc:"inbound calls by the hour of the week in which they began, from Monday"`
}

// maxStatsRows bounds what one answer takes in memory.
const maxStatsRows = 20_000

func (s *Server) statsRoutes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "stats", Method: http.MethodGet, Path: "/v1/stats", Security: []map[string][]string{{"token": {ScopeJournal}}},
		Metadata: map[string]any{throughView: true},
		Summary:  "Figures of a period, in total or by group",
		Description: "Of whole days without a filter the figures are read from totals that are kept with the calls; " +
			"with a filter, by hour, and for the rest of a day the calls themselves are counted, which takes about a second for 100,000 of them.",
	}, s.stats)
}

func (s *Server) stats(ctx context.Context, in *StatsInput) (*struct{ Body Statistics }, error) {
	q, err := in.query(s.o.Zone)
	if err != nil {
		return nil, err
	}
	v := s.view(ctx)
	if err := v.mayAsk(q); err != nil {
		return nil, err
	}
	name, stepName := in.By, in.Step
	if _, err := journal.StepOf(name); err == nil && name != "" && stepName == "" {
		name, stepName = "total", name
	}
	by, ok := journal.ByOf(name)
	if _, err := journal.StepOf(name); !ok && err == nil && name != "" {
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("by: %s is total by that step: leave step out, or say what to group by", name))
	}
	if !ok {
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("by: %.40q is not known: want total, direction, line, source, trunk, queue, employee, department, hour, day, week or month", in.By))
	}
	step, err := journal.StepOf(stepName)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	c := counter{view: v, ctx: ctx, q: q, by: by, step: step, how: s.counting()}
	sheet, err := c.sheet()
	if err != nil {
		return nil, err
	}
	out := Statistics{By: name, Step: stepName, Zone: c.how.zone.String(), Rows: []StatisticsRow{}, Formulas: journal.Formulas(c.how.rules)}
	for _, r := range sheet.Rows() {
		row := StatisticsRow{At: r.At, Group: r.Group, Figures: r.Figures}
		if v.role.MaskNumbers { // of lines and trunks
			row.Group = access.Mask(row.Group)
		}
		if in.Load {
			row.Load = &r.Load
		}
		out.Rows = append(out.Rows, row)
	}
	return &struct{ Body Statistics }{out}, nil
}

func (s *Server) counting() counting {
	if s.o.Rules == nil {
		return counting{journal.DefaultRules(), s.o.Zone}
	}
	return counting{s.o.Rules(), s.o.Zone}
}

// counter fills a sheet, from the totals of days where they tell all, else from
// calls.
//
//	from                                                                to
//	 │ calls │ totals of whole days │ calls │ totals of whole days │ calls │
//	                                    ▲
//	                  a day of which a longest time was taken back
type counter struct {
	view view
	ctx  context.Context
	q    storage.Query
	by   journal.By
	step journal.Step
	how  counting
	out  *journal.Sheet
}

var (
	errTooManyRows = errors.New("too many rows")
	errUnsure      = errors.New("a longest time is not known")
)

func (c *counter) sheet() (*journal.Sheet, error) {
	err := c.fill()
	if errors.Is(err, errTooManyRows) {
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("this makes more than %d rows: ask for a shorter period, a longer step, or fewer groups", maxStatsRows))
	}
	return c.out, err
}

func (c *counter) fill() error {
	if c.step != journal.Hourly && !c.q.Narrow() && c.view.role.Department == "" {
		byCalls := map[journal.Day]bool{} // days whose totals are not enough
		for range 3 {
			ok, err := c.fillByDays(byCalls)
			if errors.Is(err, errUnsure) {
				continue
			}
			if ok || err != nil {
				return err
			}
			break
		}
	}
	c.renew()
	return c.addCalls(c.q.From, c.q.To, func(journal.Day) bool { return true })
}

func (c *counter) renew() {
	c.out = journal.NewSheet(journal.NewCalendar(c.how.zone), c.how.rules, c.by, c.step)
}

// fillByDays is the fast way; ok is false if there are no totals. It gives
// errUnsure once it has put days among byCalls of which the calls are needed.
func (c *counter) fillByDays(byCalls map[journal.Day]bool) (ok bool, err error) {
	var unsure []journal.Day
	first, end := journal.Day(math.MinInt32), journal.Day(math.MaxInt32)
	// The totals say themselves of whose days they are: so they are asked twice,
	// first for nothing but that.
	how, ok, err := c.view.s.o.Store.Cells(c.by, 0, 0, nil)
	if err != nil {
		return ok, c.view.s.fault("read totals", err)
	}
	if !ok {
		return false, nil
	}
	c.how.zone, c.how.rules.ServiceLevel = how.Zone, how.ServiceLevel
	calendar := journal.NewCalendar(how.Zone)
	if c.q.From != 0 {
		first = calendar.FirstWhole(c.q.From)
	}
	if c.q.To != 0 {
		end = calendar.EndWhole(c.q.To)
	}
	c.renew()
	again, ok, err := c.view.s.o.Store.Cells(c.by, first, end, func(k journal.Key, cell *journal.Cell) error {
		if byCalls[k.Day] {
			return nil
		}
		if cell.Unsure() {
			unsure = append(unsure, k.Day)
		}
		c.out.AddDay(k.Name, k.Day, cell)
		return c.small()
	})
	switch {
	case errors.Is(err, errTooManyRows):
		return ok, errTooManyRows
	case err != nil:
		return ok, c.view.s.fault("read totals", err)
	case !ok || again != how: // they were counted anew meanwhile
		return false, nil
	}
	if c.out.Unsure() {
		for _, d := range unsure {
			byCalls[d] = true
		}
		return true, errUnsure
	}
	for d := range byCalls {
		if d < first || d >= end {
			continue
		}
		from, to := calendar.Span(d)
		if err := c.addCalls(max(from, c.q.From), until(to, c.q.To), func(is journal.Day) bool { return is == d }); err != nil {
			return true, err
		}
	}
	return true, c.addEdges(calendar, first, end)
}

// addEdges counts the calls of the days that are not whole in the period.
func (c *counter) addEdges(calendar journal.Calendar, first, end journal.Day) error {
	if first >= end {
		return c.addCalls(c.q.From, c.q.To, func(journal.Day) bool { return true })
	}
	if c.q.From != 0 {
		_, to := calendar.Span(first - 1)
		if err := c.addCalls(c.q.From, until(to, c.q.To), func(d journal.Day) bool { return d < first }); err != nil {
			return err
		}
	}
	if c.q.To != 0 {
		from, _ := calendar.Span(end)
		return c.addCalls(max(from, c.q.From), c.q.To, func(d journal.Day) bool { return d >= end })
	}
	return nil
}

// until is the earlier of two ends, of which the second may be none.
func until(a, b call.Moment) call.Moment {
	if b != 0 && b < a {
		return b
	}
	return a
}

// addCalls counts the calls of [from, to) on the days that are wanted.
func (c *counter) addCalls(from, to call.Moment, wanted func(journal.Day) bool) error {
	if from != 0 && to != 0 && from >= to {
		return nil
	}
	q := c.q
	q.From, q.To, q.Sort = from, to, ""
	calendar := journal.NewCalendar(c.how.zone)
	for r, err := range c.view.each(c.ctx, q) {
		if err != nil {
			return err
		}
		if d, _ := calendar.Day(r.StartedAt); wanted(d) {
			c.out.AddCall(r)
			if err := c.small(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *counter) small() error {
	if c.out.Len() > maxStatsRows {
		return errTooManyRows
	}
	return nil
}
