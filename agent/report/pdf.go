package report

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/sheet"

	"github.com/signintech/gopdf"
)

// maxRows is how many rows of a group are printed; tables for programs have all.
const maxRows = 200

// pdf draws the report.
func (c *content) pdf() ([]byte, error) {
	w := c.w
	p := newPaper()
	p.pdf.SetInfo(gopdf.PdfInfo{Title: w.Title + ", " + w.dates(c.Period), Author: p.printed(c.Agent), Creator: "calljournal", CreationDate: c.Now})
	running := p.printed(c.Agent) + " · " + w.Title + " · " + w.dates(c.Period)
	p.onPage = func() {
		f := face{size: 7, colour: dim}
		p.text(left, top-10, f, p.fit(f, running, inner))
		p.line(left, top-4, right, top-4, hairline)
		p.y = top + 6
	}
	c.head(p)
	c.tiles(p)
	if c.total.Calls > 0 {
		c.stepChart(p)
		c.allFigures(p)
		c.weekChart(p)
		for _, g := range c.groups {
			c.groupTable(p, g)
		}
		c.stepTable(p)
		c.missedTable(p)
	}
	c.formulas(p)
	p.number(c.w.Page, p.printed(c.origin()))
	return p.bytes()
}

// origin says what the report rests on: whose journal, up to which entry of its
// feed, and when.
func (c *content) origin() string {
	return strings.Join([]string{clean(c.Agent), c.position(), c.made()}, " · ")
}

func (c *content) position() string {
	a, b := strconv.FormatUint(c.seqs[0], 10), strconv.FormatUint(c.seqs[1], 10)
	if a == b {
		return fill(c.w.Feed, c.feed, a)
	}
	return fill(c.w.FeedGrew, c.feed, a, b)
}

func (c *content) made() string {
	return fill(c.w.Made, c.Now.Format(c.w.DayTime)+" "+zoneName(c.Now))
}

// zoneName is the zone by its name in the configuration, and its offset.
func zoneName(t time.Time) string {
	offset := "UTC" + t.Format("-07:00")
	switch name := t.Location().String(); name {
	case "UTC":
		return name
	case "Local", "": // that of the machine: it has no name here
		return offset
	default:
		return name + " (" + offset + ")"
	}
}

// head is the title and what the report is about.
func (c *content) head(p *paper) {
	w := c.w
	p.y += 6
	f := face{size: 8, colour: dim}
	p.text(left, p.y, f, p.fit(f, p.printed(c.Agent), inner))
	p.y += 24
	title := face{size: 22, bold: true, colour: ink}
	p.text(left, p.y, title, w.Title)
	p.y += 19
	x := left + p.text(left, p.y, face{size: 13, colour: ink}, w.dates(c.Period))
	if c.Now.Before(c.Period.To) {
		p.text(x, p.y, face{size: 9, colour: dim}, "   "+w.SoFar)
	}
	body := face{size: 8.5, colour: ink}
	for _, line := range c.about() {
		lines := p.wrap(body, p.printed(line), inner)
		lines = lines[:min(len(lines), 4)]
		p.lines(left, p.y+14, 11, body, lines)
		p.y += float64(len(lines)) * 11
	}
	p.y += 5
	note := face{size: 7.5, colour: dim}
	origin := c.position() + " · " + c.made()
	p.y += 10
	p.text(left, p.y, note, p.fit(note, origin, inner))
	p.y += 12
}

// about are the sentences below the title: what is in the report, and what the
// reader does not see.
func (c *content) about() (lines []string) {
	w := c.w
	if conditions := c.conditions(); conditions != "" {
		lines = append(lines, w.Filter+": "+conditions)
	}
	if c.Department != "" {
		lines = append(lines, w.Department+": "+clean(c.Department))
	}
	if c.Masked {
		lines = append(lines, w.Masked)
	}
	t := &c.total.Figures
	if t.Calls == 0 {
		return append(lines, w.Empty)
	}
	summary := fill(w.Summary, w.of(t.Calls, w.CallsOf), w.of(t.Inbound, w.InboundOf))
	if t.Inbound > 0 {
		summary += " " + fill(w.SummaryMissed, w.count(t.Answered), w.count(t.Missed))
	}
	return append(lines, summary)
}

// tileFigures are the figures that are looked at first.
func tileFigures() []string {
	return []string{
		"inbound", "answered", "missed", "service_level", "wait_average_ms",
		"outbound", "unique", "target_rate", "called_back_share", "talk_total_ms",
	}
}

// tiles shows the key figures large.
func (c *content) tiles(p *paper) {
	const across, gap, high = 5, 8.0, 50.0
	wide := (inner - gap*(across-1)) / across
	now, before := figures(&c.total.Figures), figures(&c.previous.Figures)
	for i, name := range tileFigures() {
		x, y := left+float64(i%across)*(wide+gap), p.y+float64(i/across)*(high+gap)
		p.box(x, y, wide, high, shade)
		f := face{size: 7.5, colour: dim}
		p.text(x+8, y+13, f, p.fit(f, c.w.figure(name).Name, wide-12))
		value := now[name].text(c.w)
		if name == "talk_total_ms" {
			value = c.w.long(now[name].n)
		}
		big := face{size: 17, bold: true, colour: ink}
		for p.width(big, value) > wide-14 && big.size > 8 {
			big.size--
		}
		p.text(x+8, y+31, big, value)
		if c.compared() {
			c.changed(p, x+8, y+43, face{size: 7.5}, name, now[name], before[name])
		}
	}
	p.y += 2*high + gap
	if c.compared() {
		p.y += 11
		p.text(left, p.y, faceNote, fill(c.w.Compared, c.w.dates(c.before)))
	} else if c.tooNew() {
		p.y += 11
		p.text(left, p.y, faceNote, fill(c.w.TooNew, c.w.spell(c.w, c.Oldest, c.Oldest)))
	}
	p.y += 4
}

// compared says that there was something before, and that all of it is known.
func (c *content) compared() bool { return c.previous.Calls > 0 && !c.tooNew() }

// tooNew: the journal begins in the middle of the period before, or after it.
func (c *content) tooNew() bool {
	return !c.Oldest.IsZero() && !c.before.From.IsZero() && midnight(c.Oldest, 0, 0).After(c.before.From)
}

// changed writes how a figure has changed, green if that is good.
func (c *content) changed(p *paper, x, y float64, f face, name string, now, before figure) {
	text, direction := now.change(before, c.w)
	if text == "" {
		return
	}
	f.colour = dim
	switch direction * better(name) {
	case 1:
		f.colour = good
	case -1:
		f.colour = bad
	}
	if direction != 0 {
		p.triangle(x, y-0.6, f.size*0.6, direction > 0, f.colour)
		x += f.size*0.6 + 3
	}
	p.text(x, y, f, text)
}

// figureSections are all figures, in two columns.
func figureSections() [2][]figureSection {
	return [2][]figureSection{{
		{"inbound", []string{"calls", "inbound", "answered", "answer_rate", "missed", "abandoned_ivr", "abandoned_queue", "abandoned_ring", "voicemail", "short", "spam"}},
		{"fate", []string{"called_back", "called_back_share", "came_back", "lost", "open"}},
		{"callers", []string{"unique", "repeat", "first_call_share", "target", "target_rate"}},
	}, {
		{"wait", []string{"service_level", "wait_average_ms", "wait_p90_ms", "wait_longest_ms", "ring_average_ms", "ring_p90_ms", "ring_longest_ms"}},
		{"talk", []string{"talk_average_ms", "talk_p90_ms", "talk_longest_ms", "talk_total_ms"}},
		{"outbound", []string{"outbound", "outbound_answered", "callbacks", "reached", "internal", "internal_answered"}},
	}}
}

type figureSection struct {
	name    string
	figures []string
}

// allFigures shows every figure with that of the period before.
func (c *content) allFigures(p *paper) {
	const line, gap = 11.5, 24.0
	sections := figureSections()
	height := 0.0
	for _, half := range sections {
		h := 0.0
		for _, s := range half {
			h += line * (float64(len(s.figures)) + 1.5)
		}
		height = max(height, h)
	}
	p.section(c.w.Sections["figures"], height)
	wide := (inner - gap) / 2
	now, before := figures(&c.total.Figures), figures(&c.previous.Figures)
	start := p.y
	for i, half := range sections {
		x, y := left+float64(i)*(wide+gap), start
		for _, s := range half {
			y += line * 1.3
			p.text(x, y-3, face{size: 8, bold: true, colour: ink}, c.w.Sections[s.name])
			if s.name == half[0].name && c.compared() {
				p.textRight(x+wide-48, y-3, faceHead, c.w.Before)
				p.text(x+wide-41, y-3, faceHead, c.w.Change)
			}
			p.line(x, y, x+wide, y, dim)
			for _, name := range s.figures {
				y += line
				words := c.w.figure(name).Name
				indent := 0.0
				if strings.HasPrefix(name, "abandoned_") || name == "voicemail" {
					indent = 8
				}
				p.text(x+indent, y-3, faceBody, p.fit(faceBody, words, wide-128-indent))
				bold := face{size: 8, bold: true, colour: ink}
				if c.compared() {
					p.textRight(x+wide-92, y-3, bold, now[name].text(c.w))
					p.textRight(x+wide-48, y-3, face{size: 8, colour: dim}, before[name].text(c.w))
					c.changed(p, x+wide-41, y-3, face{size: 7}, name, now[name], before[name])
				} else {
					p.textRight(x+wide, y-3, bold, now[name].text(c.w))
				}
				p.line(x, y, x+wide, y, hairline)
			}
			y += line * 0.5
		}
		p.y = max(p.y, y)
	}
}

// stepChart shows the calls of each day, or whatever a step is.
func (c *content) stepChart(p *paper) {
	p.section(c.w.ByStep[c.step], 120)
	names := []string{c.w.figure("answered").Name, c.w.figure("missed").Name, c.w.figure("outbound").Name}
	p.legend(p.y-8, names, []colour{answered, missed, outbound})
	p.y += 6
	var bars []bar
	for _, r := range c.steps {
		b := bar{mark: c.w.mark(r.At, c.step), parts: []int64{r.Answered, r.Missed}, beside: r.Outbound}
		if c.step == journal.Daily {
			t, err := time.Parse(time.DateOnly, r.At)
			b.pale = err == nil && (t.Weekday() == time.Saturday || t.Weekday() == time.Sunday)
		}
		bars = append(bars, b)
	}
	p.bars(left+24, inner-24, 92, bars, []colour{answered, missed, outbound}, c.w.count)
}

// weekChart shows the hours of the day, and below them those of the week.
func (c *content) weekChart(p *paper) {
	if c.step == journal.Hourly || c.total.Inbound == 0 {
		return
	}
	const label, sum, cellHigh = 24.0, 34.0, 14.0
	p.section(c.w.ByHour, 90+7*cellHigh+60)
	wide := inner - label - sum
	var bars []bar
	for h, n := range c.hours {
		b := bar{mark: strconv.Itoa(h), parts: []int64{n.answered, n.missed}}
		if !c.byHour {
			b.parts = []int64{n.inbound, 0}
		}
		bars = append(bars, b)
	}
	if c.byHour {
		p.legend(p.y-8, []string{c.w.figure("answered").Name, c.w.figure("missed").Name}, []colour{answered, missed})
	}
	p.y += 6
	p.bars(left+label, wide, 70, bars, []colour{answered, missed, outbound}, c.w.count)
	p.y += 24
	f, slot := face{size: 6.5, colour: ink}, wide/24
	p.text(left, p.y, faceSection, c.w.ByWeek)
	p.y += 10
	p.textRight(right, p.y-3, faceHead, c.w.Sum)
	most := int64(0)
	for _, day := range c.total.Load {
		most = max(most, slices.Max(day[:]))
	}
	for d, day := range c.total.Load {
		y := p.y + float64(d)*cellHigh
		p.text(left, y+9.5, face{size: 7.5, colour: dim}, c.w.Weekdays[d])
		total := int64(0)
		for h, n := range day {
			total += n
			x := left + label + float64(h)*slot
			p.box(x, y, slot-1, cellHigh-1, heat(n, most))
			f.colour = ink
			if n*2 > most {
				f.colour = white
			}
			if n > 0 {
				p.textMiddle(x+(slot-1)/2, y+9, f, strconv.FormatInt(n, 10))
			}
		}
		p.textRight(right, y+9.5, face{size: 7.5, bold: true, colour: ink}, c.w.count(total))
	}
	p.y += 7 * cellHigh
	for h := range 24 {
		p.textMiddle(left+label+(float64(h)+0.5)*slot, p.y+7, face{size: 6.5, colour: dim}, strconv.Itoa(h))
	}
	p.y += 12
}

// groupFigures are the columns of a table by group: the figures that go with it.
func groupFigures(by journal.By) []string {
	switch by {
	case journal.ByEmployee:
		return []string{"calls", "answered", "missed", "answered_elsewhere", "outbound", "callbacks", "ring_average_ms", "talk_average_ms", "talk_total_ms"}
	case journal.ByDepartment:
		return []string{"calls", "answered", "missed", "outbound", "callbacks", "service_level", "ring_average_ms", "talk_average_ms", "talk_total_ms"}
	case journal.ByQueue:
		return []string{"inbound", "answered", "missed", "abandoned_queue", "service_level", "wait_average_ms", "wait_p90_ms", "wait_longest_ms", "talk_average_ms"}
	}
	return []string{"inbound", "answered", "missed", "service_level", "wait_average_ms", "unique", "target", "target_rate", "outbound"}
}

func (c *content) groupTable(p *paper, g group) {
	if len(g.rows) == 0 {
		return
	}
	names := groupFigures(g.by)
	columns := append([]column{{head: c.w.Head[g.by]}, {width: 52, bars: true}}, c.figureColumns(names)...)
	var rows [][]cell
	for i := range g.rows[:min(len(g.rows), maxRows)] {
		r := &g.rows[i]
		rows = append(rows, append([]cell{{text: p.printed(r.Group)}, barCell(r)}, c.figureCells(names, r)...))
	}
	note := ""
	if n := len(g.rows) - maxRows; n > 0 {
		note = fill(c.w.More, c.w.of(int64(n), c.w.RowsOf)) + " "
	}
	if (g.by == journal.ByEmployee || g.by == journal.ByDepartment || g.by == journal.ByQueue) && len(g.rows) > 1 {
		note += c.w.Overlap
	}
	p.table(c.w.By[g.by], c.w.Continued, columns, rows, note)
}

func barCell(r *journal.Row) cell { return cell{bar: [3]int64{r.Answered, r.Missed, r.Outbound}} }

func (c *content) figureColumns(names []string) (columns []column) {
	for _, name := range names {
		width := 40.0
		if name == "talk_total_ms" {
			width = 46
		}
		columns = append(columns, column{head: c.w.figure(name).Head, width: width, right: true})
	}
	return columns
}

func (c *content) figureCells(names []string, r *journal.Row) (cells []cell) {
	all := figures(&r.Figures)
	for _, name := range names {
		x := all[name]
		text := x.text(c.w)
		f := faceBody
		switch {
		case x.kind == sheet.Number && x.n == 0:
			f.colour = faint // what is not there need not be read
		case name == "missed":
			f.colour = bad
		}
		cells = append(cells, cell{text: text, face: &f})
	}
	return cells
}

// stepTable has the figures behind the chart.
func (c *content) stepTable(p *paper) {
	names := []string{"calls", "inbound", "answered", "missed", "service_level", "wait_average_ms", "unique", "target", "outbound", "callbacks", "talk_total_ms"}
	columns := append([]column{{head: c.w.StepHead[c.step]}}, c.figureColumns(names)...)
	var rows [][]cell
	for i := range c.steps {
		if r := &c.steps[i]; r.Calls > 0 {
			rows = append(rows, append([]cell{{text: c.w.step(r.At, c.step)}}, c.figureCells(names, r)...))
		}
	}
	p.table(c.w.ByStep[c.step], c.w.Continued, columns, rows, "")
}

// missedTable has who waits to be called back.
func (c *content) missedTable(p *paper) {
	w := c.w
	if len(c.missed) == 0 {
		if c.total.Missed > 0 {
			p.section(w.Missed, 14)
			p.y += 8
			p.text(left, p.y, faceBody, w.NobodyMissed)
		}
		return
	}
	columns := []column{
		{head: w.LastAt, width: 82}, {head: w.Caller}, {head: w.Line, width: 92}, {head: w.Asked, width: 104},
		{head: w.Times, width: 30, right: true}, {head: w.Tried, width: 42, right: true}, {head: w.LostAt, width: 86, right: true},
	}
	var rows [][]cell
	for _, m := range c.missed {
		line, asked := none, none
		if n := len(m.Calls); n > 0 {
			line, asked = lineOf(&m.Calls[n-1]), askedOf(&m.Calls[n-1])
		}
		tried := ""
		if m.Attempts > 0 {
			tried = w.count(int64(m.Attempts))
		}
		rows = append(rows, []cell{
			{text: c.moment(m.LastAt)}, {text: p.printed(c.caller(m))}, {text: p.printed(line)}, {text: p.printed(asked)},
			{text: w.count(int64(m.Times))}, {text: tried}, {text: c.moment(m.LostAt)},
		})
	}
	note := ""
	if c.more {
		note = fill(w.MoreMissed, w.of(int64(len(c.missed)), w.CallersOf))
	}
	p.table(w.Missed, w.Continued, columns, rows, note)
}

func (c *content) moment(m call.Moment) string {
	if m == 0 {
		return none
	}
	return c.at(m).Format(c.w.DayTime)
}

// caller is who called, as people know him.
func (c *content) caller(m *journal.MissedCaller) string {
	number := m.Number
	if m.E164 != nil {
		number = m.E164
	}
	text := c.w.Withheld
	if number != nil && !journal.Withheld(*number) {
		text = *number
	}
	if m.Name != nil && *m.Name != "" && *m.Name != text {
		text += " " + *m.Name
	}
	return text
}

func lineOf(m *journal.MissedCall) string {
	switch {
	case m.Line == nil:
		return ""
	case m.Line.Name != nil:
		return *m.Line.Name
	}
	return m.Line.Number
}

// askedOf is who should have answered: the queues, else the people.
func askedOf(m *journal.MissedCall) string {
	names := slices.Clone(m.Queues)
	for _, a := range m.Asked {
		if len(names) == 4 {
			break
		}
		if a.Employee != nil {
			names = append(names, *a.Employee)
		} else {
			names = append(names, a.Extension)
		}
	}
	return strings.Join(names, ", ")
}

// formulas says how the figures are made.
func (c *content) formulas(p *paper) {
	const name = 142.0
	p.section(c.w.Formulas, 60)
	p.y += 2
	for _, figure := range figureNames() {
		lines := p.wrap(faceNote, c.w.formula(figure, c.rules), inner-name)
		h := float64(len(lines))*8.5 + 3
		if p.room(h) {
			p.section(c.w.Formulas+", "+c.w.Continued, 0)
		}
		label := face{size: 7, bold: true, colour: ink}
		p.text(left, p.y+7, label, p.fit(label, c.w.figure(figure).Name, name-6))
		p.lines(left+name, p.y+7, 8.5, faceNote, lines)
		p.y += h
	}
}

// conditions is the filter in words.
func (c *content) conditions() string {
	var parts []string
	for _, condition := range c.Filter {
		name, ok := c.w.Conditions[condition.Name]
		if !ok {
			name = condition.Name
		}
		words := make([]string, len(condition.Words))
		for i, word := range condition.Words {
			words[i] = c.w.value(condition.Name, word)
		}
		parts = append(parts, name+" "+strings.Join(words, ", "))
	}
	return strings.Join(parts, "; ")
}

// clean is a text from outside that may be part of a longer one.
func clean(s string) string {
	letters := []rune(strings.ToValidUTF8(s, "\ufffd"))
	if len(letters) > maxPrinted/3 {
		letters = append(letters[:maxPrinted/3], '…')
	}
	return string(letters)
}

// fill puts words into a text of the catalogue.
func fill(text string, words ...string) string {
	for _, word := range words {
		text = strings.Replace(text, "%s", word, 1)
	}
	return text
}
