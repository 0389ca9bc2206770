package web

import (
	"math"
	"strconv"
)

// chart is columns over time, drawn as SVG by the server: it needs no script, each
// column is a link, it prints, and takes its colours from the style sheet. All
// places are shares of the picture, so that it fits any width and its text keeps
// its size.
//
//	answered and outbound stand on the line, missed hangs below it
type chart struct {
	Grid    []gridLine
	Columns []chartColumn
}

type gridLine struct {
	Y     string
	Label string
	Zero  bool
}

type chartColumn struct {
	X, Width       string // its part of the picture
	BarX, BarWidth string
	Middle         string
	Bars           []bar
	Label          string // under it; "": none
	Rare           bool   // the label stays on a telephone too
	Title          string
	To             string // the calls behind it
}

type bar struct{ Kind, Y, Height string }

// series is one kind of calls over the columns.
type series struct {
	Kind string // class of its bars
	Down bool   // hangs below the line
	N    []int64
}

// Labels that there is room for: on a screen, and every so many of them on a
// telephone.
const (
	mostLabels = 16
	rareLabels = 3
)

// newChart draws the columns; what they are called and lead to is filled in then.
func newChart(l *language, columns int, all ...series) *chart {
	up, down := int64(0), int64(0)
	for i := range columns {
		above, below := int64(0), int64(0)
		for _, s := range all {
			if s.Down {
				below += s.N[i]
			} else {
				above += s.N[i]
			}
		}
		up, down = max(up, above), max(down, below)
	}
	step := gridStep(up, down)
	top, bottom := (up+step-1)/step*step, (down+step-1)/step*step
	whole := float64(top + bottom)
	y := func(n int64) string { return percent(float64(top-n) / whole) }
	c := &chart{}
	for n := top; n >= -bottom; n -= step {
		c.Grid = append(c.Grid, gridLine{y(n), l.Number(max(n, -n)), n == 0})
	}
	width := 1 / float64(columns)
	every := (columns + mostLabels - 1) / mostLabels
	for i := range columns {
		x := float64(i) * width
		col := chartColumn{
			X: percent(x), Width: percent(width), Middle: percent(x + width/2), BarX: percent(x + width*0.14), BarWidth: percent(width * 0.72),
			Rare: columns <= mostLabels/2 || i%(every*rareLabels) == 0,
		}
		if i%every == 0 {
			col.Label = strconv.Itoa(i)
		}
		above, below := int64(0), int64(0)
		for _, s := range all {
			n := s.N[i]
			if n == 0 {
				continue
			}
			b := bar{Kind: s.Kind, Height: percent(float64(n) / whole)}
			if s.Down {
				b.Y = y(-below)
				below += n
			} else {
				above += n
				b.Y = y(above)
			}
			col.Bars = append(col.Bars, b)
		}
		c.Columns = append(c.Columns, col)
	}
	return c
}

// gridStep is the distance of the lines: 1, 2 or 5 with zeros behind it, and at
// most six of them.
func gridStep(up, down int64) int64 {
	for step := int64(1); step <= math.MaxInt64/10; step *= 10 {
		for _, n := range []int64{1, 2, 5} {
			if s := step * n; (up+s-1)/s+(down+s-1)/s <= 5 {
				return s
			}
		}
	}
	return max(up, down)
}

func percent(share float64) string { return strconv.FormatFloat(share*100, 'f', 3, 64) + "%" }
