package web

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// stats is the figures of a period. Each number of calls leads to them, and
// a test follows them all.
func (s *Site) stats(v *visit) (any, error) {
	sel, err := v.selection("30d", "by", "sort")
	if err != nil {
		return nil, err
	}
	st := &statsPage{selection: sel, visit: v, filter: sel.Query(), now: s.o.Now().In(s.o.Zone)}
	st.filter.Del("from")
	st.filter.Del("to")
	if st.By = cmp.Or(sel.Asked("by"), groupings[0]); !slices.Contains(groupings, st.By) {
		st.By = groupings[0]
	}
	if err := st.ask(); err != nil {
		return nil, err
	}
	return st, nil
}

// groupings are the tables of the page.
var groupings = []string{"employee", "department", "queue", "line", "source", "trunk"}

// statsPage is what the template of the page is given.
type statsPage struct {
	*selection
	Compared *period     // the period before, nil if there is none
	TooNew   call.Moment // when the journal begins, if that is after the period before; 0: it is not
	By       string
	Cards    []card
	Course   *chart // by hour, day, week or month: answered, outbound, missed
	Steps    []stepRow
	StepName string
	Hours    *chart // by the hour of the day: inbound
	Week     *weekTable
	Tabs     []tab
	Table    *groupTable
	Formulas []formula

	visit  *visit
	filter url.Values // without the period
	now    time.Time
	behind *behind
}

// card is a figure with those that go with it.
type card struct {
	Figure cardFigure
	Change *change
	Notes  []cardFigure
}

type cardFigure struct{ Name, Text, To string }

type formula struct{ Name, Text string }

type tab struct {
	Name, To string
	Now      bool
}

// cards are the figures at the top, each with those below it.
var cards = [][]string{
	{"calls", "inbound", "internal"},
	{"answered", "answer_rate"},
	{"missed", "voicemail", "lost"},
	{"abandoned", "short"},
	{"service_level"},
	{"wait_average_ms", "wait_p90_ms", "wait_longest_ms"},
	{"unique", "repeat"},
	{"target"},
	{"target_rate"},
	{"outbound", "outbound_answered", "callbacks", "reached"},
	{"called_back_share", "called_back", "came_back"},
	{"talk_average_ms", "talk_p90_ms", "talk_longest_ms", "talk_total_ms"},
}

// ask asks the interface: once for the period, once for the one before.
func (st *statsPage) ask() error {
	hourly := st.days() <= 2
	course := "total.day"
	if hourly {
		course = "total.hour"
	}
	q := st.question("total.load", course, st.By)
	st.Period.ask(q)
	tables, err := st.visit.Client.StatsTables(st.visit.Context(), q)
	if err != nil {
		return err
	}
	st.behind = newBehind(st.filter, tables.Settings)
	total, load := journal.Figures{}, [7][24]int64{}
	for _, row := range tables.Tables[0].Rows {
		total, load = row.Figures, *row.Load
	}
	var before *journal.Figures
	b, ok := st.Period.before(st.now)
	if oldest := tables.Oldest; ok && oldest != 0 && b.From.Before(dayAfter(oldest.Time().In(b.From.Location()), 0)) {
		st.TooNew, ok = oldest, false // half a period is nothing to compare with
	}
	if ok {
		q := st.question("total")
		b.ask(q)
		earlier, err := st.visit.Client.StatsTables(st.visit.Context(), q)
		if err != nil {
			return err
		}
		for _, row := range earlier.Tables[0].Rows { // none: nothing to compare with
			st.Compared, before = &b, &row.Figures
		}
	}
	for _, names := range cards {
		st.Cards = append(st.Cards, st.card(names, &total, before))
	}
	st.course(tables.Tables[1].Rows, hourly)
	if !hourly && total.Inbound > 0 {
		st.week(load)
	}
	for _, by := range groupings {
		st.Tabs = append(st.Tabs, tab{by, st.With("by", by), by == st.By})
	}
	st.groups(tables.Tables[2].Rows, &total)
	st.formulas(tables)
	return nil
}

// question asks for tables of the calls of the page's filter.
func (st *statsPage) question(tables ...string) url.Values {
	q := url.Values{"table": tables}
	maps.Copy(q, st.filter)
	return q
}

func (st *statsPage) days() int {
	if st.Period.From.IsZero() || st.Period.To.IsZero() {
		return 1 << 20
	}
	return st.Period.days()
}

// figure is a figure of the whole page, with the way to its calls.
func (st *statsPage) figure(name string, of *journal.Figures, group url.Values) cardFigure {
	f := figureOf(name)
	n := f.of(of)
	out := cardFigure{Name: name, Text: f.write(st.lang, n)}
	if n != nil && *n != 0 {
		out.To = st.behind.calls(f, group, st.Period)
	}
	return out
}

func (st *statsPage) card(names []string, now, before *journal.Figures) card {
	c := card{Figure: st.figure(names[0], now, nil)}
	for _, name := range names[1:] {
		c.Notes = append(c.Notes, st.figure(name, now, nil))
	}
	if f := figureOf(names[0]); before != nil {
		c.Change = f.change(st.lang, f.of(now), f.of(before))
	}
	return c
}

// formulas are those of all figures, in the words of the page.
func (st *statsPage) formulas(t api.StatisticsTables) {
	l, set := st.lang, t.Settings
	depth := l.Text("stats.journal")
	if set.UniqueDepthMs > 0 {
		depth = l.setting(set.UniqueDepthMs)
	}
	fill := strings.NewReplacer("{depth}", depth, "{target}", l.setting(set.TargetMinTalkMs), "{short}", l.setting(set.ShortAbandonMs),
		"{lost}", l.setting(set.LostWindowMs), "{level}", l.setting(set.ServiceLevelMs))
	for _, f := range figureList {
		st.Formulas = append(st.Formulas, formula{f.name, fill.Replace(l.Text("formula." + f.name))})
	}
}

// Formula is that of one figure.
func (st *statsPage) Formula(name string) string {
	return st.Formulas[slices.IndexFunc(st.Formulas, func(f formula) bool { return f.Name == name })].Text
}

// The kinds of calls in the course of a period, from the line upwards, and below.
var courseKinds = []string{"answered", "outbound", "missed"}

// stepRow is one step of the course: a column of the chart, a row of its table.
type stepRow struct {
	Name    string
	Figures []cardFigure // of courseKinds
}

// step is a stretch of the course of a period.
type step struct {
	from, to time.Time
	n        [3]int64 // of courseKinds
}

// mostSteps bounds a chart.
const mostSteps = 400

// course puts the rows of hours or days together to the columns of a chart: of
// days while they fit, then of weeks and months.
func (st *statsPage) course(rows []api.StatisticsRow, hourly bool) {
	zone := st.now.Location()
	layout := time.DateOnly
	if hourly {
		layout = "2006-01-02T15:04Z07:00"
	}
	at := func(r api.StatisticsRow) time.Time {
		t, err := time.ParseInLocation(layout, r.At, zone)
		if err != nil {
			return st.now
		}
		return t.In(zone)
	}
	from, to := st.Period.From, st.Period.To
	if len(rows) == 0 {
		return
	}
	if from.IsZero() {
		from = at(rows[0])
	}
	if to.IsZero() {
		to = dayAfter(at(rows[len(rows)-1]), 1)
	}
	st.StepName = stepName(from, to, hourly)
	steps := stepsOf(from, to, st.StepName)
	for _, r := range rows {
		t := at(r)
		i, found := slices.BinarySearchFunc(steps, t, func(s step, t time.Time) int { return s.from.Compare(t) })
		if !found {
			i--
		}
		if i = max(i, 0); i >= len(steps) {
			continue
		}
		for k, name := range courseKinds {
			steps[i].n[k] += *figureOf(name).of(&r.Figures)
		}
	}
	all := make([]series, len(courseKinds))
	for k, name := range courseKinds {
		all[k] = series{Kind: "c-" + name, Down: name == "missed", N: make([]int64, len(steps))}
		for i := range steps {
			all[k].N[i] = steps[i].n[k]
		}
	}
	st.Course = newChart(st.lang, len(steps), all...)
	for i := range steps {
		within := period{From: steps[i].from, To: steps[i].to}
		col := &st.Course.Columns[i]
		row := stepRow{Name: st.lang.stepTitle(within, st.StepName)}
		title := []string{}
		for k, name := range courseKinds {
			f := figureOf(name)
			n := steps[i].n[k]
			one := cardFigure{Name: name, Text: f.write(st.lang, &n)}
			if n > 0 {
				one.To = st.behind.calls(f, nil, within)
			}
			row.Figures = append(row.Figures, one)
			title = append(title, strings.ToLower(st.lang.Text("figure."+name))+": "+one.Text)
		}
		if col.Label != "" {
			col.Label = st.lang.stepLabel(steps[i].from, st.StepName)
		}
		col.Title = row.Name + "\n" + strings.Join(title, "\n")
		col.To = st.behind.calls(figureOf("calls"), nil, within)
		st.Steps = append(st.Steps, row)
	}
}

// stepName says which steps a chart of the period has.
func stepName(from, to time.Time, hourly bool) string {
	days := period{From: from, To: to}.days()
	switch {
	case hourly:
		return "hour"
	case days <= 62:
		return "day"
	case days <= 400:
		return "week"
	}
	return "month"
}

// stepsOf cuts [from, to) into steps; the first and the last may be shorter.
func stepsOf(from, to time.Time, name string) (steps []step) {
	next := func(t time.Time) time.Time {
		year, month, day := t.Date()
		switch name {
		case "hour":
			return t.Add(time.Hour - time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second)
		case "day":
			day++
		case "week":
			day += 7 - int(t.Weekday()+6)%7
		default:
			month, day = month+1, 1
		}
		return beginning(year, month, day, t.Location())
	}
	for t := from; t.Before(to) && len(steps) < mostSteps; t = next(t) {
		end := next(t)
		if end.After(to) {
			end = to
		}
		steps = append(steps, step{from: t, to: end})
	}
	return steps
}

// weekTable is the inbound calls by hour of the week.
type weekTable struct {
	Hours []int
	Days  []weekRow
	Sums  []weekCell // of the hours
}

type weekRow struct {
	Name  string
	Cells []weekCell
	Sum   weekCell
}

type weekCell struct {
	N     int64
	Level int // 0 to 7: how dark
	To    string
}

// heatLevels is how many shades there are beside none.
const heatLevels = 7

func (st *statsPage) week(load [7][24]int64) {
	first, last, most := 23, 0, int64(0)
	sums := [24]int64{}
	for _, day := range load {
		for h, n := range day {
			if n > 0 {
				first, last, most = min(first, h), max(last, h), max(most, n)
			}
			sums[h] += n
		}
	}
	to := func(n int64, q url.Values) string {
		if n == 0 {
			return ""
		}
		return st.behind.calls(figureOf("inbound"), q, st.Period)
	}
	hour := func(h int) url.Values { return url.Values{"hour": {hours[h]}} }
	st.Week = &weekTable{}
	for h := first; h <= last; h++ {
		st.Week.Hours = append(st.Week.Hours, h)
		st.Week.Sums = append(st.Week.Sums, weekCell{N: sums[h], To: to(sums[h], hour(h))})
	}
	for d, day := range load {
		row := weekRow{Name: st.lang.days[d]}
		for h := first; h <= last; h++ {
			n, q := day[h], hour(h)
			q.Set("weekday", weekdays[d])
			row.Cells = append(row.Cells, weekCell{N: n, Level: int((n*heatLevels + most - 1) / most), To: to(n, q)})
			row.Sum.N += n
		}
		row.Sum.To = to(row.Sum.N, url.Values{"weekday": {weekdays[d]}})
		st.Week.Days = append(st.Week.Days, row)
	}
	st.Hours = newChart(st.lang, last-first+1, series{Kind: "c-inbound", N: sums[first : last+1]})
	for i := range st.Hours.Columns {
		col, sum := &st.Hours.Columns[i], st.Week.Sums[i]
		if col.Label != "" {
			col.Label = hours[first+i]
		}
		col.To = sum.To
		col.Title = st.lang.Word("hour", hours[first+i]) + "\n" + strings.ToLower(st.lang.Text("figure.inbound")) + ": " + st.lang.Number(sum.N)
	}
}

// groupTable is the figures of each employee, department, and so on.
type groupTable struct {
	Sections []section
	Columns  []tableColumn
	Rows     []groupRow
	Sum      []cardFigure
	More     int // rows that are not shown
	Sort     string
	NameSort tableColumn
}

// section is columns with a heading above.
type section struct {
	Name string
	Span int
}

type tableColumn struct {
	Name string
	Sort string // ascending, descending: now; "": not by this
	To   string // sorted by this
}

type groupRow struct {
	Name    string
	Figures []cardFigure
}

// groupColumns are the columns of the table, by their sections.
var groupColumns = []struct {
	section string
	figures []string
}{
	{"calls", []string{"calls", "inbound", "answered", "missed", "answer_rate", "called_back_share", "unique", "target", "target_rate", "outbound"}},
	{"wait", []string{"service_level", "wait_average_ms", "wait_p90_ms", "wait_longest_ms"}},
	{"talk", []string{"talk_average_ms", "talk_p90_ms", "talk_longest_ms", "talk_total_ms"}},
}

// ofEmployees is the figure that only employees have.
const ofEmployees = "answered_elsewhere"

// mostGroups bounds the table; the interface gives all of them.
const mostGroups = 500

func (st *statsPage) groups(rows []api.StatisticsRow, total *journal.Figures) {
	t := &groupTable{Sort: cmp.Or(st.Asked("sort"), "-calls")}
	name, descending := strings.CutPrefix(t.Sort, "-")
	var columns []string
	for _, c := range groupColumns {
		figures := c.figures
		if st.By == "employee" && c.section == "calls" {
			figures = append(slices.Clone(figures), ofEmployees)
		}
		t.Sections = append(t.Sections, section{c.section, len(figures)})
		columns = append(columns, figures...)
	}
	sorted := func(column string, first bool) tableColumn {
		c := tableColumn{Name: column}
		to := "-" + column // the greatest first
		if first {
			to = column
		}
		if column == name {
			c.Sort, to = "ascending", "-"+column
			if descending {
				c.Sort, to = "descending", column
			}
		}
		c.To = st.With("sort", to)
		return c
	}
	t.NameSort = sorted("name", true)
	by := -1
	for i, column := range columns {
		t.Columns = append(t.Columns, sorted(column, false))
		if column == name {
			by = i
		}
	}
	slices.SortStableFunc(rows, func(a, b api.StatisticsRow) int {
		order := 0
		switch {
		case by >= 0:
			x, y := figureOf(name).of(&a.Figures), figureOf(name).of(&b.Figures)
			if x == nil || y == nil { // what is not known comes last
				switch {
				case x != nil:
					return -1
				case y != nil:
					return 1
				}
				return strings.Compare(a.Group, b.Group)
			}
			order = cmp.Compare(*x, *y)
		case name == "name":
			order = strings.Compare(a.Group, b.Group)
		default: // nothing that there is
			order = -cmp.Compare(a.Calls, b.Calls)
		}
		if descending {
			order = -order
		}
		return cmp.Or(order, strings.Compare(a.Group, b.Group))
	})
	if len(rows) > mostGroups {
		t.More = len(rows) - mostGroups
		rows = rows[:mostGroups]
	}
	for _, r := range rows {
		row := groupRow{Name: st.groupName(r.Group)}
		group := url.Values{st.By: {r.Group}}
		if st.By == "employee" || st.By == "department" {
			group.Set("part", journal.PartCounted)
		}
		for _, column := range columns {
			one := st.figure(column, &r.Figures, group)
			if r.Group == "" || strings.Contains(r.Group, masked) { // what is masked cannot be asked for
				one.To = ""
			}
			row.Figures = append(row.Figures, one)
		}
		t.Rows = append(t.Rows, row)
	}
	for _, column := range columns {
		sum := st.figure(column, total, nil)
		if column == ofEmployees {
			sum = cardFigure{Name: column, Text: unknown} // the whole has none: there nobody else answers
		}
		t.Sum = append(t.Sum, sum)
	}
	st.Table = t
}

// groupName is how a group is called: a line by its name too.
func (st *statsPage) groupName(group string) string {
	if st.By == "line" && !strings.Contains(group, masked) {
		for _, l := range st.names.Lines {
			if l.Number == group && l.Name != "" {
				return l.Name + " · " + group
			}
		}
	}
	return cmp.Or(group, unknown)
}

// masked is what stands for digits that a reader does not see.
const masked = "***"
