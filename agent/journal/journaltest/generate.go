package journaltest

import (
	"container/heap"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"calljournal/agent/call"
)

// Generate makes the calls, in order of their end.
func Generate(o Options) iter.Seq[*call.Record] {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 3, 2, 0, 0, 0, 0, o.Zone)
	}
	if o.Days <= 0 {
		o.Days = 30
	}
	return func(yield func(*call.Record) bool) {
		g := &generator{o: o, rnd: rand.New(rand.NewPCG(o.Seed, 0x6a6f75726e616c)), hostile: Hostile()}
		g.zipf = rand.NewZipf(g.rnd, 1.15, 20, uint64(max(50, o.Calls/3)))
		g.run(yield)
	}
}

type generator struct {
	o       Options
	rnd     *rand.Rand
	zipf    *rand.Zipf
	hostile []string
	n       int
	later   plans // calls that follow from missed ones
	under   ends  // calls under way
}

// plan is a call that somebody means to make.
type plan struct {
	at     time.Time
	number string
	back   bool // the company calls back; else the caller tries again
}

// weights of the hours of a working day, and of the days of a week.
var (
	hourWeight = [24]int{1, 1, 1, 1, 1, 2, 4, 10, 40, 90, 110, 100, 80, 70, 90, 100, 95, 80, 50, 30, 15, 8, 4, 2}
	dayWeight  = [7]int{6, 100, 105, 100, 98, 90, 20} // from Sunday
)

// run walks through the minutes, gives each its share of the calls, and gives
// out each call when it has ended.
func (g *generator) run(yield func(*call.Record) bool) {
	const steps = 60
	total := 0
	for d := range g.o.Days {
		day := g.o.Start.AddDate(0, 0, d)
		for h := range 24 {
			total += hourWeight[h] * dayWeight[day.Weekday()] * steps
		}
	}
	weight, made := 0, 0
	for d := range g.o.Days {
		day := g.o.Start.AddDate(0, 0, d)
		for minute := range 24 * steps {
			weight += hourWeight[minute/steps] * dayWeight[day.Weekday()]
			due := int(int64(g.o.Calls)*int64(weight)/int64(total)) - made
			at := time.Date(day.Year(), day.Month(), day.Day(), minute/steps, minute%steps, 0, 0, g.o.Zone)
			offsets := make([]int, due)
			for i := range offsets {
				offsets[i] = g.rnd.IntN(60_000)
			}
			slices.Sort(offsets)
			for _, ms := range offsets {
				made++
				start := at.Add(time.Duration(ms) * time.Millisecond)
				r := g.call(start)
				heap.Push(&g.under, r)
				for g.under.Len() > 0 && g.under[0].EndedAt < moment(start) {
					if !yield(heap.Pop(&g.under).(*call.Record)) {
						return
					}
				}
			}
		}
	}
	for g.under.Len() > 0 {
		if !yield(heap.Pop(&g.under).(*call.Record)) {
			return
		}
	}
}

func (g *generator) one(in int) bool { return g.rnd.IntN(in) == 0 }

func (g *generator) percent(p int) bool { return g.rnd.IntN(100) < p }

// ms is a duration with many small and a few large values.
func (g *generator) ms(mean float64) int64 { return int64(g.rnd.ExpFloat64()*mean) + 1 }

// outside is a number of somebody outside: a few are drawn often.
func (g *generator) outside() string {
	n := g.zipf.Uint64()
	switch {
	case n%97 == 13:
		return fmt.Sprintf("7916000%04d", n%10000) // of spammers
	case n%11 == 3:
		return fmt.Sprintf("7495%07d", n*7919%10_000_000)
	}
	return fmt.Sprintf("79%02d%07d", 10+n%80, n*104729%10_000_000)
}

// written is a number in one of the ways in which providers send it.
func (g *generator) written(number string) string {
	switch g.rnd.IntN(4) {
	case 0:
		return "+" + number
	case 1:
		return "8" + number[1:]
	}
	return number
}

// call makes the call that begins at start: a planned one, or a new one.
func (g *generator) call(start time.Time) *call.Record {
	g.n++
	s := &script{generator: g, start: start, at: start}
	s.r = s.record()
	if g.later.Len() > 0 && !g.later[0].at.After(start) {
		p := heap.Pop(&g.later).(plan)
		if p.back {
			s.outbound(p.number, g.one(3))
		} else {
			s.inbound(p.number)
		}
		return s.r
	}
	switch n := g.rnd.IntN(100); {
	case n < 62:
		s.inbound(g.outside())
	case n < 88:
		s.outbound(g.outside(), g.one(8))
	default:
		s.internal()
	}
	return s.r
}

// follow plans what follows from a missed call.
func (g *generator) follow(number string, end time.Time) {
	if g.later.Len() > 10_000 {
		return
	}
	switch n := g.rnd.IntN(100); {
	case n < 40:
		heap.Push(&g.later, plan{end.Add(time.Duration(g.ms(25*60_000)) * time.Millisecond), number, true})
	case n < 65:
		heap.Push(&g.later, plan{end.Add(time.Duration(g.ms(6*60_000)) * time.Millisecond), number, false})
	case n < 70: // from a second telephone at the same time
		heap.Push(&g.later, plan{end.Add(-2 * time.Second), number, false})
	}
}

// plans is a heap, the next one first.
type plans []plan

func (p plans) Len() int           { return len(p) }
func (p plans) Less(i, j int) bool { return p[i].at.Before(p[j].at) }
func (p plans) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *plans) Push(x any)        { *p = append(*p, x.(plan)) }
func (p *plans) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

// ends is a heap of calls, the one that ends first first.
type ends []*call.Record

func (e ends) Len() int { return len(e) }
func (e ends) Less(i, j int) bool {
	return e[i].EndedAt < e[j].EndedAt || e[i].EndedAt == e[j].EndedAt && e[i].ID < e[j].ID
}
func (e ends) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)   { *e = append(*e, x.(*call.Record)) }
func (e *ends) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
