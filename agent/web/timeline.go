package web

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"calljournal/agent/call"
)

// timeline is a call as it is drawn: time runs to the right, places are shares of
// the width, so that the drawing fits any screen without a script or a style.
//
//	0:00         0:30         1:00
//	the caller ───────────────────────────
//	▐ menu ▌▐ queue     ▌▐ talk          ▌
//	101 Anna ── answered ─────────────────
//	          ▐ rings    ▌▐ talk         ▌
//	102 Oleg ── answered elsewhere ───────
//	          ▐ rings    ▌
type timeline struct {
	Height int
	Ticks  []tick
	Lanes  []lane
	Marks  []mark
	Kinds  []string // that are drawn, for the legend
	More   int      // parties that there was no room for
}

type tick struct {
	X, Text string
	Anchor  string // start, middle, end
}

// lane is one party.
type lane struct {
	Y, Middle int
	Name      string
	Note      string // what became of it
	Bars      []block
}

// block is one stretch of a party's time.
type block struct {
	Kind, X, Width string
	Text, Title    string // in it if there is room, and beside it
	At             string // seconds since the call began, for players
}

// mark is a moment at which the call was moved on.
type mark struct{ X, Title string }

const (
	laneHeight  = 42
	axisHeight  = 22
	mostLanes   = 40
	roomForText = 7.0 // of a hundred
)

// scale is where moments are.
type scale struct {
	from, to call.Moment
}

func (s scale) share(m call.Moment) float64 {
	m = min(max(m, s.from), s.to)
	return float64(m-s.from) * 100 / float64(s.to-s.from)
}

func place(share float64) string { return fmt.Sprintf("%.3f%%", share) }

// timelineOf draws a call; nil if there is no time in it to draw.
func timelineOf(r *call.Record, l *language) *timeline {
	s := scale{r.StartedAt, r.EndedAt}
	for i := range r.Legs {
		if m := r.Legs[i].StartedAt; m != 0 {
			s.from = min(s.from, m)
		}
		s.to = max(s.to, r.Legs[i].EndedAt)
	}
	if s.from == 0 || s.to <= s.from {
		return nil
	}
	t := &timeline{}
	names := namesOf(r)
	used := map[string]bool{}
	add := func(to *lane, kind string, from, end call.Moment, party string) {
		if from == 0 || end <= from {
			return
		}
		used[kind] = true
		ms := end.Sub(from).Milliseconds()
		b := block{
			Kind: kind, X: place(s.share(from)), Width: place(max(s.share(end)-s.share(from), 0.25)),
			At: fmt.Sprintf("%.1f", from.Sub(r.StartedAt).Seconds()),
		}
		text := l.Word("span", kind)
		if party != "" {
			text += " " + party
		}
		b.Title = text + ", " + length(ms)
		if s.share(end)-s.share(from) >= roomForText {
			b.Text = text + " " + length(ms)
		}
		to.Bars = append(to.Bars, b)
	}

	caller := lane{Name: partyName(&r.From), Note: l.Word("role", call.RoleCaller)}
	if caller.Name == "" {
		caller.Name, caller.Note = l.Word("role", call.RoleCaller), ""
	}
	for _, sp := range r.Timeline {
		party := ""
		if sp.Party != nil {
			party = cmp.Or(names[*sp.Party], *sp.Party)
		}
		add(&caller, sp.Kind, sp.From, sp.To, party)
	}
	lanes := []lane{caller}
	at := map[string]int{}
	for i := range r.Legs {
		g := &r.Legs[i]
		if g.Role == call.RoleCaller {
			continue
		}
		key := cmp.Or(plain(g.Extension), plain(g.Number), g.Channel)
		n, ok := at[key]
		if !ok {
			n = len(lanes)
			at[key] = n
			lanes = append(lanes, lane{Name: legName(g)})
		}
		lanes[n].Note = l.Word("result", g.Result)
		until := func(next ...call.Moment) call.Moment {
			for _, m := range append(next, g.EndedAt, r.EndedAt) {
				if m != 0 {
					return m
				}
			}
			return 0
		}
		if first := until(g.RingingAt, g.AnsweredAt); first.Sub(g.StartedAt) > 0 {
			add(&lanes[n], "call", g.StartedAt, first, "")
		}
		add(&lanes[n], "ring", g.RingingAt, until(g.AnsweredAt), "")
		if g.Result == "answered" {
			add(&lanes[n], "line", g.AnsweredAt, until(), "")
		}
	}
	if t.More = len(lanes) - mostLanes; t.More > 0 {
		lanes = lanes[:mostLanes]
	} else {
		t.More = 0
	}
	for i := range lanes {
		lanes[i].Y = axisHeight + i*laneHeight
		lanes[i].Middle = lanes[i].Y + 15
	}
	t.Lanes = lanes
	t.Height = axisHeight + len(lanes)*laneHeight
	for _, tr := range r.Transfers {
		if tr.At != 0 {
			t.Marks = append(t.Marks, mark{place(s.share(tr.At)), l.Transfer(&tr, names)})
		}
	}
	for _, kind := range []string{"wait", "ivr", "queue", "call", "ring", "talk", "conference", "hold", "line", "park", "voicemail", "fax"} {
		if used[kind] {
			t.Kinds = append(t.Kinds, kind)
		}
	}
	t.Ticks = ticks(s)
	return t
}

// steps between ticks, in seconds.
var tickSteps = []int64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400}

const mostTicks = 6

func ticks(s scale) (list []tick) {
	seconds := (s.to - s.from) / 1e6
	step := tickSteps[len(tickSteps)-1]
	for _, one := range tickSteps {
		if int64(seconds)/one < mostTicks {
			step = one
			break
		}
	}
	for n := int64(0); n <= int64(seconds) && len(list) <= mostTicks; n += step {
		share := s.share(s.from + call.Moment(n*1e6))
		anchor := "middle"
		switch {
		case n == 0:
			anchor = "start"
		case share > 95:
			anchor = "end"
		}
		list = append(list, tick{place(share), length(n * 1000), anchor})
	}
	return list
}

// namesOf are the employees of a call by their extensions.
func namesOf(r *call.Record) map[string]string {
	names := map[string]string{}
	add := func(extension, name *string) {
		if extension != nil && name != nil {
			names[*extension] = *name
		}
	}
	for _, p := range []*call.Party{&r.From, &r.To} {
		add(p.Extension, p.Employee)
	}
	for i := range r.Legs {
		add(r.Legs[i].Extension, r.Legs[i].Employee)
	}
	return names
}

func partyName(p *call.Party) string {
	return strings.Join(slices.DeleteFunc([]string{cmp.Or(plain(p.Employee), plain(p.Name)), cmp.Or(plain(p.Extension), known(p.Number))},
		func(s string) bool { return s == "" }), " ")
}

func legName(g *call.Leg) string {
	number := cmp.Or(plain(g.Extension), plain(g.Number))
	if g.Employee != nil {
		return strings.TrimSpace(number + " " + *g.Employee)
	}
	return cmp.Or(number, g.Channel)
}

// Transfer says who moved a call on, and where to.
func (l *language) Transfer(t *call.Transfer, names map[string]string) string {
	who := func(s *string) string {
		if s == nil {
			return unknown
		}
		if name := names[*s]; name != "" {
			return *s + " " + name
		}
		return *s
	}
	return l.Word("transfer", t.Type) + ": " + who(t.By) + " → " + who(t.To)
}
