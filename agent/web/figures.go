package web

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/journal"
)

// figure is one number of statistics: how it is written, and which calls it counts.
type figure struct {
	name   string // as journal.Figures has it; its words are figure.NAME and formula.NAME
	kind   kind
	of     func(*journal.Figures) *int64 // a share in thousandths; nil: not known
	behind string                        // the filter of the calls behind it; of a time, of those that it is of; or nowhere
	better int                           // 1: more is better, -1: less is, 0: neither
}

type kind uint8

const (
	count kind = iota
	duration
	share
)

// nowhere leads a figure whose calls no filter selects: a wait is of the answered and
// the missed, and neither of the short nor of those that nobody was meant to answer.
const nowhere = "-"

// figureList is the figures that the page shows. {target} and {level} in a filter
// are the settings in force.
var figureList = []figure{
	{"calls", count, func(f *journal.Figures) *int64 { return &f.Calls }, "", 0},
	{"inbound", count, func(f *journal.Figures) *int64 { return &f.Inbound }, "direction=inbound", 0},
	{"answered", count, func(f *journal.Figures) *int64 { return &f.Answered }, "direction=inbound&status=answered", 1},
	{"missed", count, func(f *journal.Figures) *int64 { return &f.Missed }, "missed=true", -1},
	{"abandoned", count, func(f *journal.Figures) *int64 {
		n := f.AbandonedIVR + f.AbandonedQueue + f.AbandonedRing
		return &n
	}, "missed=true&status=abandoned", -1},
	{"voicemail", count, func(f *journal.Figures) *int64 { return &f.Voicemail }, "missed=true&status=voicemail", -1},
	{"short", count, func(f *journal.Figures) *int64 { return &f.Short }, "type=short", 0},
	{"outbound", count, func(f *journal.Figures) *int64 { return &f.Outbound }, "direction=outbound", 0},
	{"outbound_answered", count, func(f *journal.Figures) *int64 { return &f.OutboundAnswered }, "direction=outbound&status=answered", 1},
	{"internal", count, func(f *journal.Figures) *int64 { return &f.Internal }, "direction=internal", 0},
	{"unique", count, func(f *journal.Figures) *int64 { return &f.Unique }, "type=unique", 1},
	{"repeat", count, func(f *journal.Figures) *int64 { return &f.Repeat }, "type=repeat", 0},
	{"target", count, func(f *journal.Figures) *int64 { return &f.Target }, "direction=inbound&type=target", 1},
	{"callbacks", count, func(f *journal.Figures) *int64 { return &f.Callbacks }, "type=callback", 1},
	{"reached", count, func(f *journal.Figures) *int64 { return &f.Reached }, "type=callback&status=answered", 1},
	{"called_back", count, func(f *journal.Figures) *int64 { return &f.CalledBack }, "type=called_back", 1},
	{"came_back", count, func(f *journal.Figures) *int64 { return &f.CameBack }, "type=came_back", 0},
	{"lost", count, func(f *journal.Figures) *int64 { return &f.Lost }, "type=lost", -1},
	{"answered_elsewhere", count, func(f *journal.Figures) *int64 { return &f.Elsewhere }, "part=answered_elsewhere", 0},

	{"wait_average_ms", duration, func(f *journal.Figures) *int64 { return f.WaitAverage }, nowhere, -1},
	{"wait_p90_ms", duration, func(f *journal.Figures) *int64 { return f.WaitP90 }, nowhere, -1},
	{"wait_longest_ms", duration, func(f *journal.Figures) *int64 { return f.WaitLongest }, nowhere, -1},
	{"talk_average_ms", duration, func(f *journal.Figures) *int64 { return f.TalkAverage }, "status=answered&sort=-talk", 0},
	{"talk_p90_ms", duration, func(f *journal.Figures) *int64 { return f.TalkP90 }, "status=answered&sort=-talk", 0},
	{"talk_longest_ms", duration, func(f *journal.Figures) *int64 { return f.TalkLongest }, "status=answered&sort=-talk", 0},
	{"talk_total_ms", duration, func(f *journal.Figures) *int64 { return &f.TalkTotal }, "status=answered&sort=-talk", 0},

	{"service_level", share, ratio(func(f *journal.Figures) journal.Ratio { return f.ServiceLevel }), "direction=inbound&status=answered&max_wait={level}", 1},
	{"answer_rate", share, ratio(func(f *journal.Figures) journal.Ratio { return f.AnswerRate }), "direction=inbound&status=answered", 1},
	{"target_rate", share, ratio(func(f *journal.Figures) journal.Ratio { return f.TargetRate }), "type=unique&min_talk={target}", 1},
	{"called_back_share", share, ratio(func(f *journal.Figures) journal.Ratio { return f.CalledBackShare }), "type=called_back", 1},
}

func ratio(of func(*journal.Figures) journal.Ratio) func(*journal.Figures) *int64 {
	return func(f *journal.Figures) *int64 {
		r := of(f)
		if r.Of == 0 {
			return nil
		}
		n := (r.Part*2000 + r.Of) / (r.Of * 2) // rounded once, to what is shown
		return &n
	}
}

func figureOf(name string) figure {
	return figureList[slices.IndexFunc(figureList, func(f figure) bool { return f.name == name })]
}

// write writes a value of the figure as people read it.
func (f figure) write(l *language, n *int64) string {
	switch {
	case n == nil:
		return unknown
	case f.kind == duration:
		return length(*n)
	case f.kind == share:
		return l.Decimal(float64(*n)/10, 1) + "\u00a0%"
	}
	return l.Number(*n)
}

// change is how a figure stands beside that of the period before.
type change struct {
	Text   string // 12 %
	Title  string // what it was
	Arrow  string
	Spoken string // for who does not see the arrow
	Mood   string // good, bad, or neither
}

func (f figure) change(l *language, now, before *int64) *change {
	if now == nil || before == nil {
		return nil
	}
	c := &change{Title: l.Text("stats.was", f.write(l, before))}
	by := *now - *before
	switch {
	case by == 0:
		c.Text, c.Spoken = l.Text("stats.same"), ""
		return c
	case f.kind == share:
		c.Text = l.Decimal(float64(max(by, -by))/10, 1) + "\u00a0" + l.Text("stats.points")
	case *before == 0:
		c.Text, c.Title = l.Text("stats.fromnothing"), ""
	default:
		by, digits := 100*float64(max(by, -by))/float64(*before), 0
		if by < 1 {
			by, digits = max(by, 0.1), 1
		}
		c.Text = l.Decimal(by, digits) + "\u00a0%"
	}
	c.Arrow, c.Spoken = "▲", l.Text("stats.more")
	if by < 0 {
		c.Arrow, c.Spoken = "▼", l.Text("stats.less")
	}
	switch {
	case f.better*sign(by) > 0:
		c.Mood = "good"
	case f.better*sign(by) < 0:
		c.Mood = "bad"
	}
	return c
}

func sign(n int64) int {
	if n < 0 {
		return -1
	}
	return 1
}

// behind makes addresses of the journal page that show the calls of a figure: the
// same filter and period, and what the figure counts of them.
type behind struct {
	filter   url.Values // of the page, without its period
	settings *strings.Replacer
}

func newBehind(filter url.Values, s api.StatisticsSettings) *behind {
	ms := func(n int64) string { return strconv.FormatInt(n, 10) + "ms" }
	return &behind{filter, strings.NewReplacer("{target}", ms(s.TargetMinTalkMs), "{level}", ms(s.ServiceLevelMs))}
}

// Of the parameters of a filter these can be asked for a second time by giving
// only the second value: a call has one direction, and so on. A call can have
// several types or queues; both at once is something that a filter cannot say.
var oneOfACall = []string{"sort", "direction", "status", "missed", "line", "source", "trunk"}

// calls is the address of the calls of a figure in a period, in a row of a table
// if group says which; "" if no filter says exactly these.
func (b *behind) calls(f figure, group url.Values, within period) string {
	if f.behind == nowhere {
		return ""
	}
	wanted, err := url.ParseQuery(b.settings.Replace(f.behind))
	if err != nil {
		return ""
	}
	for name, values := range group {
		if !wanted.Has(name) { // the figure's own part goes before that of a row
			wanted[name] = values
		}
	}
	q := maps.Clone(b.filter)
	for name, values := range wanted {
		if has := q[name]; len(has) > 0 && !slices.Equal(has, values) && !slices.Contains(oneOfACall, name) {
			return ""
		}
		q[name] = values
	}
	if group.Has("department") && q.Has("employee") { // part would be the employee's
		return ""
	}
	within.keep(q)
	return address("/", q)
}

// setting writes a length of time that somebody chose: 30 s, 24 h, 30 days.
func (l *language) setting(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	const day = 24 * time.Hour
	whole := func(unit time.Duration) bool { return d >= unit && d%unit == 0 }
	switch {
	case whole(day) && d > day:
		return l.Count("stats.days", int64(d/day))
	case whole(time.Hour):
		return l.Text("stats.hours", l.Number(int64(d/time.Hour)))
	case whole(time.Minute):
		return l.Text("stats.minutes", l.Number(int64(d/time.Minute)))
	case whole(time.Second):
		return l.Text("stats.seconds", l.Number(int64(d/time.Second)))
	}
	return l.Text("stats.seconds", l.Decimal(d.Seconds(), 1))
}
