package web

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever the numbers are, the columns stand on the line one upon the other, as
// high as they are many by the scale beside them, and nothing leaves the picture.
func TestChart(t *testing.T) {
	l := readLanguages().all[0]
	share := func(text string) float64 {
		f, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 0.01 }
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 70).Draw(t, "columns")
		most := rapid.Int64Range(0, 1_000_000_000_000).Draw(t, "most")
		draw := func(name string) []int64 {
			return rapid.SliceOfN(rapid.Int64Range(0, most), columns, columns).Draw(t, name)
		}
		all := []series{{Kind: "a", N: draw("a")}, {Kind: "b", N: draw("b")}, {Kind: "c", Down: true, N: draw("c")}}
		c := newChart(l, columns, all...)
		if len(c.Columns) != columns || len(c.Grid) > 7 {
			t.Fatalf("%d columns and %d lines, want %d columns", len(c.Columns), len(c.Grid), columns)
		}
		zero, tallest, heights := -1.0, int64(0), map[int64]float64{}
		for i, g := range c.Grid {
			if g.Zero {
				zero = share(g.Y)
			} else if y := share(g.Y); y < 0 || y > 100 {
				t.Errorf("line %d at %s", i, g.Y)
			}
		}
		if zero < 0 {
			t.Fatal("no line to stand on")
		}
		for i, col := range c.Columns {
			top, bottom := zero, zero
			bars := map[string]bar{}
			for _, b := range col.Bars {
				y, height := share(b.Y), share(b.Height)
				bars[b.Kind] = b
				if b.Kind == "c" {
					if !near(y, bottom) {
						t.Errorf("column %d: %s hangs at %f, want %f", i, b.Kind, y, bottom)
					}
					bottom = y + height
				} else {
					if !near(y+height, top) {
						t.Errorf("column %d: %s stands on %f, want %f", i, b.Kind, y+height, top)
					}
					top = y
				}
				if y < -0.01 || y+height > 100.01 {
					t.Errorf("column %d leaves the picture: %v", i, b)
				}
			}
			for _, s := range all {
				height := 0.0
				if b, ok := bars[s.Kind]; ok {
					height = share(b.Height)
				}
				heights[s.N[i]] = height
				tallest = max(tallest, s.N[i])
			}
		}
		for n, height := range heights {
			if tallest > 0 && !near(height, heights[tallest]*float64(n)/float64(tallest)) {
				t.Errorf("%d calls are %f high, and %d are %f", n, height, tallest, heights[tallest])
			}
		}
	})
}

// The steps of a period follow each other without a gap, whatever the clocks do.
func TestStepsOf(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "UTC"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		from := time.Date(2017, 3, 1, 0, 0, 0, 0, zone)
		for unit, c := range map[string]struct{ days, least, most int }{"hour": {2, 47, 49}, "day": {62, 62, 62}, "week": {300, 43, 44}, "month": {900, 29, 31}} {
			for shift := range 400 {
				first := dayAfter(from, shift)
				to := dayAfter(first, c.days)
				steps := stepsOf(first, to, unit)
				if len(steps) < c.least || len(steps) > c.most {
					t.Errorf("%s, %d days from %s have %d steps of a %s", name, c.days, first, len(steps), unit)
				}
				at := first
				for _, s := range steps {
					if !s.from.Equal(at) || !s.to.After(s.from) {
						t.Fatalf("%s: a %s from %s to %s, and the one before ended at %s", name, unit, s.from, s.to, at)
					}
					at = s.to
				}
				if !at.Equal(to) {
					t.Errorf("%s: the steps end at %s, not at %s", name, at, to)
				}
			}
		}
	}
}

// A change is said with what it was, and which way is better.
func TestFigure_Change(t *testing.T) {
	l := readLanguages().all[1]
	n := func(n int64) *int64 { return &n }
	for _, c := range []struct {
		figure             string
		now, before        *int64
		arrow, text, title string
		mood               string
	}{
		{"missed", n(12), n(10), "▲", "20\u00a0%", "was 10", "bad"},
		{"missed", n(8), n(10), "▼", "20\u00a0%", "was 10", "good"},
		{"answered", n(8), n(10), "▼", "20\u00a0%", "was 10", "bad"},
		{"calls", n(15_000), n(10_000), "▲", "50\u00a0%", "was 10,000", ""},
		{"calls", n(9_960), n(10_000), "▼", "0.4\u00a0%", "was 10,000", ""},
		{"calls", n(100_001), n(100_000), "▲", "0.1\u00a0%", "was 100,000", ""},
		{"calls", n(3), n(3), "", "no change", "was 3", ""},
		{"calls", n(3), n(0), "▲", "none before", "", ""},
		{"service_level", n(825), n(800), "▲", "2.5\u00a0pp", "was 80.0\u00a0%", "good"},
		{"wait_average_ms", n(30_000), n(20_000), "▲", "50\u00a0%", "was 0:20", "bad"},
	} {
		got := figureOf(c.figure).change(l, c.now, c.before)
		if got.Arrow != c.arrow || got.Text != c.text || got.Title != c.title || got.Mood != c.mood {
			t.Errorf("%s from %d to %d: %+v", c.figure, *c.before, *c.now, got)
		}
	}
	if got := figureOf("service_level").change(l, nil, n(1)); got != nil {
		t.Errorf("what is not known has changed: %+v", got)
	}
}

// Every figure of the page has its formula in every language, with nothing left to
// fill in; a setting reads as people say it.
func TestFigures_Words(t *testing.T) {
	for _, l := range readLanguages().all {
		for _, f := range figureList {
			for _, part := range []string{"figure", "formula"} {
				if l.Word(part, f.name) == f.name {
					t.Errorf("%s has no %s of %s", l.Code, part, f.name)
				}
			}
		}
	}
	l := readLanguages().all[0]
	for ms, want := range map[int64]string{5_000: "5 с", 1_500: "1,5 с", 120_000: "2 мин", 24 * 3_600_000: "24 ч", 30 * 24 * 3_600_000: "30 дней", 2 * 24 * 3_600_000: "2 дня"} {
		if got := l.setting(ms); got != want {
			t.Errorf("%d ms: %q, want %q", ms, got, want)
		}
	}
}
