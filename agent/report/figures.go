package report

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/journal"
	"calljournal/agent/sheet"
)

// figure is the value of one figure.
type figure struct {
	kind  sheet.Kind // Number, Duration or Share
	known bool
	n     int64 // a count, or milliseconds
	share journal.Ratio
}

// figures gives all figures by their names in JSON, which also tell durations.
func figures(f *journal.Figures) map[string]figure {
	out := map[string]figure{}
	v := reflect.ValueOf(f).Elem()
	for i, name := range figureNames() {
		x := figure{kind: sheet.Number, known: true}
		if strings.HasSuffix(name, "_ms") {
			x.kind = sheet.Duration
		}
		switch value := v.Field(i).Interface().(type) {
		case int64:
			x.n = value
		case *int64:
			if x.known = value != nil; x.known {
				x.n = *value
			}
		case journal.Ratio:
			x.kind, x.share, x.known = sheet.Share, value, value.Of != 0
		}
		out[name] = x
	}
	return out
}

// figureNames are the names of all figures, in their order.
func figureNames() (names []string) {
	t := reflect.TypeFor[journal.Figures]()
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("json"))
	}
	return names
}

// figureKind is of which kind the figure of a name is.
func figureKind(name string) sheet.Kind { return figures(&journal.Figures{})[name].kind }

// text is a figure for people.
func (x figure) text(w *words) string {
	switch {
	case !x.known:
		return none
	case x.kind == sheet.Duration:
		return w.clock(x.n)
	case x.kind == sheet.Share:
		return w.share(x.share)
	}
	return w.count(x.n)
}

// cell is a figure for a table of package sheet.
func (x figure) cell() any {
	switch {
	case !x.known:
		return nil
	case x.kind == sheet.Duration:
		return time.Duration(x.n) * time.Millisecond
	case x.kind == sheet.Share:
		text, _ := x.share.MarshalJSON()
		return string(text)
	}
	return x.n
}

// change says how a figure has changed since before, and in which direction: 1 it
// grew, -1 it fell, 0 neither, with "" if there is nothing to compare.
func (x figure) change(before figure, w *words) (text string, direction int) {
	if !x.known || !before.known {
		return "", 0
	}
	signed := func(n int64, text string) (string, int) {
		switch {
		case n > 0:
			return "+" + text, 1
		case n < 0:
			return "–" + text, -1
		}
		return text, 0
	}
	switch x.kind {
	case sheet.Share:
		a, b := tenths(x.share), tenths(before.share)
		d := max(a-b, b-a)
		return signed(a-b, strconv.FormatInt(d/10, 10)+w.Point+strconv.FormatInt(d%10, 10)+w.Points)
	case sheet.Duration:
		if before.n < 1000*60*60 {
			a, b := (x.n+500)/1000, (before.n+500)/1000
			return signed(a-b, w.clock(max(a-b, b-a)*1000))
		}
	}
	if before.n == 0 {
		return "", 0
	}
	d := x.n - before.n
	percent := (max(d, -d)*200 + before.n) / (before.n * 2)
	if percent == 0 {
		d = 0
	}
	return signed(d, w.count(percent)+w.Percent)
}

// tenths is a share in tenths of a percent, as people read it.
func tenths(r journal.Ratio) int64 { return (r.Part*2000 + r.Of) / (r.Of * 2) }

// better says whether it is good (1) or bad (-1) that a figure grows; 0: neither.
func better(name string) int {
	switch name {
	case "answered", "answer_rate", "service_level", "target", "target_rate", "called_back_share", "unique":
		return 1
	case "missed", "abandoned_ivr", "abandoned_queue", "abandoned_ring", "voicemail", "lost", "open", "wait_average_ms", "wait_longest_ms", "wait_p90_ms", "spam":
		return -1
	}
	return 0
}
