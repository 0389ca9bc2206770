package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
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

// TablesInput is what GET /v1/stats/tables can be asked for.
type TablesInput struct {
	CallFilter
	Table []string `query:"table,explode" required:"true" maxItems:"16" doc:"by, step and load, as GET /v1/stats takes them, with dots between them: employee, total.day, total.load"`
}

// StatisticsTables are several tables of the same calls.
type StatisticsTables struct {
	Zone     string             `json:"zone" doc:"whose days and hours they are"`
	Tables   []StatisticsTable  `json:"tables" doc:"in the order in which they were asked for"`
	Formulas []journal.Formula  `json:"formulas"`
	Settings StatisticsSettings `json:"settings" doc:"that the formulas name"`
	Oldest   call.Moment        `json:"oldest" doc:"when the oldest call of the journal began: before it nothing is known; null if there is none"`
}

// StatisticsTable is Statistics without what several have in common.
type StatisticsTable struct {
	By   string          `json:"by"`
	Step string          `json:"step"`
	Rows []StatisticsRow `json:"rows"`
}

// StatisticsSettings are the settings in force of which figures depend.
type StatisticsSettings struct {
	UniqueDepthMs   int64 `json:"unique_depth_ms" doc:"0: the whole journal"`
	TargetMinTalkMs int64 `json:"target_min_talk_ms"`
	ShortAbandonMs  int64 `json:"short_abandon_ms"`
	LostWindowMs    int64 `json:"lost_window_ms"`
	ServiceLevelMs  int64 `json:"service_level_ms"`
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
	huma.Register(api, huma.Operation{
		OperationID: "stats-tables", Method: http.MethodGet, Path: "/v1/stats/tables", Security: []map[string][]string{{"token": {ScopeJournal}}},
		Metadata:    map[string]any{throughView: true},
		Summary:     "Several tables of figures of the same calls",
		Description: "As GET /v1/stats gives them one by one; but where calls must be counted, they are read once for all of the tables.",
	}, s.statsTables)
}

func (s *Server) stats(ctx context.Context, in *StatsInput) (*struct{ Body Statistics }, error) {
	t, err := tableOf(in.By, in.Step, in.Load)
	if err != nil {
		return nil, err
	}
	c, err := s.count(ctx, &in.CallFilter, []table{t})
	if err != nil {
		return nil, err
	}
	return &struct{ Body Statistics }{Statistics{
		By: t.byName, Step: t.stepName, Zone: c.how.zone.String(), Rows: c.rows(0), Formulas: journal.Formulas(c.how.rules),
	}}, nil
}

func (s *Server) statsTables(ctx context.Context, in *TablesInput) (*struct{ Body StatisticsTables }, error) {
	tables := make([]table, len(in.Table))
	for i, name := range in.Table {
		name, load := strings.CutSuffix(name, ".load")
		by, step, _ := strings.Cut(name, ".")
		var err error
		if tables[i], err = tableOf(by, step, load); err != nil {
			return nil, err
		}
	}
	c, err := s.count(ctx, &in.CallFilter, tables)
	if err != nil {
		return nil, err
	}
	r := c.how.rules
	oldest, err := s.oldest()
	if err != nil {
		return nil, err
	}
	out := StatisticsTables{Zone: c.how.zone.String(), Oldest: oldest, Formulas: journal.Formulas(r), Settings: StatisticsSettings{
		UniqueDepthMs: r.UniqueDepth.Milliseconds(), TargetMinTalkMs: r.TargetMinTalk.Milliseconds(), ShortAbandonMs: r.ShortAbandon.Milliseconds(),
		LostWindowMs: r.LostWindow.Milliseconds(), ServiceLevelMs: r.ServiceLevel.Milliseconds(),
	}}
	for i, t := range tables {
		out.Tables = append(out.Tables, StatisticsTable{t.byName, t.stepName, c.rows(i)})
	}
	return &struct{ Body StatisticsTables }{out}, nil
}

// table is one that statistics can be asked for.
type table struct {
	byName, stepName string
	by               journal.By
	step             journal.Step
	load             bool
}

func tableOf(name, stepName string, load bool) (t table, err error) {
	asked := name
	if _, err := journal.StepOf(name); err == nil && name != "" && stepName == "" {
		name, stepName = "total", name
	}
	by, ok := journal.ByOf(name)
	if _, err := journal.StepOf(name); !ok && err == nil && name != "" {
		return t, huma.Error422UnprocessableEntity(fmt.Sprintf("by: %s is total by that step: leave step out, or say what to group by", name))
	}
	if !ok {
		return t, huma.Error422UnprocessableEntity(fmt.Sprintf("by: %.40q is not known: want total, direction, line, source, trunk, queue, employee, department, hour, day, week or month", asked))
	}
	step, err := journal.StepOf(stepName)
	if err != nil {
		return t, huma.Error422UnprocessableEntity(err.Error())
	}
	return table{name, stepName, by, step, load}, nil
}

// oldest is when the oldest call of the journal began; 0: there is none. It is no
// secret of any call.
func (s *Server) oldest() (call.Moment, error) {
	recs, _, err := s.o.Store.Calls(storage.Query{Sort: "started_at", Limit: 1})
	if err != nil || len(recs) == 0 {
		return 0, err
	}
	return recs[0].StartedAt, nil
}

// count counts the calls of a filter for tables. An error is an answer.
func (s *Server) count(ctx context.Context, f *CallFilter, tables []table) (*counter, error) {
	q, err := f.query(s.o.Zone, s.known())
	if err != nil {
		return nil, err
	}
	return s.view(ctx).count(ctx, q, tables)
}

// count counts the calls of a query that the reader sees.
func (v view) count(ctx context.Context, q storage.Query, tables []table) (*counter, error) {
	if err := v.mayAsk(q); err != nil {
		return nil, err
	}
	c := &counter{view: v, ctx: ctx, q: q, tables: tables, how: v.s.counting()}
	err := c.fill()
	if errors.Is(err, errTooManyRows) {
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("this makes more than %d rows: ask for a shorter period, a longer step, or fewer groups", maxStatsRows))
	}
	return c, err
}

func (s *Server) counting() counting {
	if s.o.Rules == nil {
		return counting{journal.DefaultRules(), s.o.Zone}
	}
	return counting{s.o.Rules(), s.o.Zone}
}

// counter fills the sheets of tables, from the totals of days where they tell
// all, else from calls, which it reads once for all of them.
//
//	from                                                                to
//	 │ calls │ totals of whole days │ calls │ totals of whole days │ calls │
//	                                    ▲
//	                  a day of which a longest time was taken back
type counter struct {
	view   view
	ctx    context.Context
	q      storage.Query
	tables []table
	how    counting
	out    []*journal.Sheet // one for each table
}

var (
	errTooManyRows = errors.New("too many rows")
	errUnsure      = errors.New("a longest time is not known")
)

// rows are those of a table, as its reader may see them.
func (c *counter) rows(table int) []StatisticsRow {
	rows := []StatisticsRow{}
	for _, r := range c.out[table].Rows() {
		row := StatisticsRow{At: r.At, Group: r.Group, Figures: r.Figures}
		if c.view.role.MaskNumbers { // of lines and trunks
			row.Group = access.Mask(row.Group)
		}
		if c.tables[table].load {
			row.Load = &r.Load
		}
		rows = append(rows, row)
	}
	return rows
}

func (c *counter) fill() error {
	hourly := slices.ContainsFunc(c.tables, func(t table) bool { return t.step == journal.Hourly })
	if !hourly && !c.q.Narrow() && c.view.role.Department == "" {
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
	c.out = c.out[:0]
	for _, t := range c.tables {
		c.out = append(c.out, journal.NewSheet(journal.NewCalendar(c.how.zone), c.how.rules, t.by, t.step))
	}
}

// fillByDays is the fast way; ok is false if there are no totals. It gives
// errUnsure once it has put days among byCalls of which the calls are needed.
func (c *counter) fillByDays(byCalls map[journal.Day]bool) (ok bool, err error) {
	first, end := journal.Day(math.MinInt32), journal.Day(math.MaxInt32)
	// The totals say themselves of whose days they are: so they are asked twice,
	// first for nothing but that.
	how, ok, err := c.view.s.o.Store.Cells(journal.ByNothing, 0, 0, nil)
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
	found := false // that totals are not enough
	for i, t := range c.tables {
		var unsure []journal.Day
		again, ok, err := c.view.s.o.Store.Cells(t.by, first, end, func(k journal.Key, cell *journal.Cell) error {
			if byCalls[k.Day] {
				return nil
			}
			if cell.Unsure() {
				unsure = append(unsure, k.Day)
			}
			c.out[i].AddDay(k.Name, k.Day, cell)
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
		if c.out[i].Unsure() {
			for _, d := range unsure {
				byCalls[d], found = true, true
			}
		}
	}
	if found {
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
			for _, sheet := range c.out {
				sheet.AddCall(r)
			}
			if err := c.small(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *counter) small() error {
	rows := 0
	for _, sheet := range c.out {
		rows += sheet.Len()
	}
	if rows > maxStatsRows {
		return errTooManyRows
	}
	return nil
}
