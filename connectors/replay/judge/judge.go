package judge

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Mismatch is one field of a record that is not as expected.
type Mismatch struct{ Field, Want, Got string }

// CallVerdict is what came of one expected call, or of one record that nobody
// expected.
type CallVerdict struct {
	Call     string // direction, from, to
	ID       string // of the record
	Missing  bool   // no record for an expected call
	Spurious bool   // a record for no call
	Wrong    []Mismatch
}

// Verdict is what came of one recording.
type Verdict struct {
	Scenario string
	Notes    []string // what concerns no single call
	Calls    []CallVerdict
}

// Exact says that everything is as expected.
func (v *Verdict) Exact() bool {
	return len(v.Notes) == 0 && !slices.ContainsFunc(v.Calls, func(c CallVerdict) bool {
		return c.Missing || c.Spurious || len(c.Wrong) > 0
	})
}

// Lines gives one line for each thing that is wrong.
func (v *Verdict) Lines() []string {
	out := slices.Clone(v.Notes)
	for _, c := range v.Calls {
		switch {
		case c.Missing:
			out = append(out, "MISSING "+c.Call)
		case c.Spurious:
			out = append(out, "SPURIOUS "+c.Call)
		case len(c.Wrong) > 0:
			var w []string
			for _, m := range c.Wrong {
				w = append(w, fmt.Sprintf("%s: expected %s, got %s", m.Field, m.Want, m.Got))
			}
			out = append(out, "["+c.Call+"] "+strings.Join(w, ", "))
		}
	}
	return out
}

func (v *Verdict) String() string {
	if v.Exact() {
		return "ok    " + v.Scenario
	}
	return "WRONG " + v.Scenario + ":\n        " + strings.Join(v.Lines(), "\n        ")
}

// Blind is a stretch of the recording's time, in milliseconds, in which the
// daemon could not see the PBX.
type Blind struct{ FromMs, ToMs float64 }

// How long before and after a stretch of blindness a call may still suffer
// from it: the last events on their way, and the time to connect again.
const (
	blindBefore, blindAfter   = 400, 3400
	unseenBefore, unseenAfter = 50, 1500
)

// Option is a circumstance of a judgement.
type Option func(*judgement)

// Slack allows that much more tolerance of every time, as where the PBX gives
// no stamps.
func Slack(d time.Duration) Option {
	return func(j *judgement) { j.slack += float64(d.Milliseconds()) }
}

// WithBlind says when the daemon could not see: what it missed there may be
// partial, and a call that was there only then may be missing.
func WithBlind(b ...Blind) Option { return func(j *judgement) { j.blind = append(j.blind, b...) } }

// WithGaps says how many gaps the feed holds; one must be there if the
// recording or a Blind asks for it. Without it gaps are not looked at.
func WithGaps(n int) Option { return func(j *judgement) { j.gaps = &n } }

type judgement struct {
	expect *Expect
	slack  float64
	blind  []Blind
	gaps   *int
}

// Judge compares the newest records of all calls with what is expected.
func Judge(e *Expect, records []Record, options ...Option) *Verdict {
	j := judgement{expect: e}
	for _, o := range options {
		o(&j)
	}
	v := &Verdict{Scenario: e.Scenario}
	for _, p := range pairUp(e.Calls, records) {
		switch {
		case p.got == nil:
			if !p.want.is("optional") && !j.unseen(p.want) {
				v.Calls = append(v.Calls, CallVerdict{Call: p.want.title(), Missing: true})
			}
		case p.want == nil:
			v.Calls = append(v.Calls, CallVerdict{ID: text(p.got["id"]), Spurious: true, Call: fmt.Sprintf("%s %s -> %s %s",
				text(p.got["direction"]), text(look(p.got, "from")), text(look(p.got, "to")), text(p.got["status"]))})
		default:
			v.Calls = append(v.Calls, CallVerdict{Call: p.want.title(), ID: text(p.got["id"]), Wrong: j.compare(p.want, p.got)})
		}
	}
	if j.gaps != nil && *j.gaps == 0 && (e.Gap || len(j.blind) > 0) {
		v.Notes = append(v.Notes, "gap: none in the feed")
	}
	return v
}

func (j *judgement) touched(c Call) bool {
	from, to := c.span(j.expect.ZeroMs)
	return c.is("partial") || slices.ContainsFunc(j.blind, func(b Blind) bool {
		return from < b.ToMs+blindAfter && to > b.FromMs-blindBefore
	})
}

// unseen says that the call was there only while the daemon was blind.
func (j *judgement) unseen(c Call) bool {
	if _, ok := c["total_ms"].(float64); !ok {
		return false
	}
	from, to := c.span(j.expect.ZeroMs)
	return slices.ContainsFunc(j.blind, func(b Blind) bool {
		return from > b.FromMs-unseenBefore && to < b.ToMs+unseenAfter
	})
}

func (j *judgement) compare(want Call, got Record) []Mismatch {
	doubtful := j.touched(want) && got["quality"] != "complete"
	own, _ := want["tolerance_ms"].(map[string]any)
	var wrong []Mismatch
	for _, field := range slices.Sorted(keys(want)) {
		if aside[field] || doubtful && field != "direction" && field != "from" && field != "to" {
			continue
		}
		tolerance := j.expect.Tolerance[field] + j.slack
		if f, ok := own[field].(float64); ok {
			tolerance = f + j.slack
		}
		value := look(got, field)
		if value == absent || !accepted(field, want[field], value, tolerance) {
			wrong = append(wrong, Mismatch{field, show(want[field]), show(value)})
		}
	}
	for _, m := range sound(got) {
		if !doubtful || m.Field != "timeline" {
			wrong = append(wrong, m)
		}
	}
	return wrong
}

func keys(c Call) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range c {
			if !yield(k) {
				return
			}
		}
	}
}

// absentType marks a field that a record does not have, as opposed to null.
type absentType struct{}

var absent any = absentType{}

// look gives the value in a record that is compared with the wanted field.
func look(r Record, field string) any {
	switch field {
	case "from", "to":
		party, ok := r[field]
		if !ok {
			return absent
		}
		p, _ := party.(map[string]any)
		return p["number"]
	case "from_name":
		p, _ := r["from"].(map[string]any)
		if name, ok := p["name"]; ok {
			return name
		}
		return absent
	}
	v, ok := r[field]
	if !ok {
		return absent
	}
	list, _ := v.([]any)
	switch field {
	case "recordings":
		return float64(len(list))
	case "voicemail":
		m, _ := v.(map[string]any)
		return plainName(m["mailbox"])
	case "fax":
		return v != nil
	case "queues":
		names := []any{}
		for _, q := range list {
			names = append(names, plainName(q))
		}
		return names
	case "transfers":
		moves := []any{}
		for _, t := range list {
			m, _ := t.(map[string]any)
			moves = append(moves, map[string]any{"type": m["type"], "by": m["by"], "to": m["to"], "answered": m["answered"]})
		}
		return moves
	}
	return v
}

// plainName cuts "name@domain" down to the name.
func plainName(v any) any {
	if v == nil {
		return nil
	}
	name, _, _ := strings.Cut(text(v), "@")
	return name
}

func accepted(field string, want, got any, tolerance float64) bool {
	return slices.ContainsFunc(choices(want), func(w any) bool { return same(field, w, got, tolerance) })
}

func same(field string, want, got any, tolerance float64) bool {
	switch field {
	case "wait_ms", "ring_ms", "talk_ms", "total_ms", "hold_ms", "ivr_ms", "queue_ms":
		w, ok := want.(float64)
		if !ok {
			return want == nil && got == nil
		}
		g, known := got.(float64)
		return (known || got == nil && w == 0) && math.Abs(g-w) <= tolerance
	case "from", "to", "answered_by", "last_talked_by":
		return sameNumber(want, got) || want == "" && got == nil
	case "transfers":
		return sameTransfers(want, got)
	}
	return reflect.DeepEqual(want, got)
}

func sameTransfers(want, got any) bool {
	w, _ := want.([]any)
	g, _ := got.([]any)
	if len(w) != len(g) {
		return false
	}
	for i := range w {
		wm, _ := w[i].(map[string]any)
		gm, _ := g[i].(map[string]any)
		for field, v := range wm {
			if !slices.ContainsFunc(choices(v), func(c any) bool {
				if field == "by" || field == "to" {
					return c == nil || sameNumber(c, gm[field])
				}
				return c == nil || reflect.DeepEqual(c, gm[field])
			}) {
				return false
			}
		}
	}
	return true
}

var notDigit = regexp.MustCompile(`\D`)

// lastTen is what of a number is the same in every way of writing it.
func lastTen(v any) string {
	d := notDigit.ReplaceAllString(text(v), "")
	return d[max(0, len(d)-10):]
}

// sameNumber: extensions are equal exactly, long numbers by their end.
func sameNumber(want, got any) bool {
	if want == nil || got == nil {
		return want == nil && got == nil
	}
	if text(want) == text(got) {
		return true
	}
	a, b := lastTen(want), lastTen(got)
	return len(a) == 10 && a == b
}

func moment(v any) (time.Time, bool) {
	s, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}

// sound is what every record must satisfy by itself.
func sound(r Record) []Mismatch {
	var bad []Mismatch
	complain := func(field, what string) { bad = append(bad, Mismatch{field, "sound", what}) }
	start, started := moment(r["started_at"])
	end, ended := moment(r["ended_at"])
	if !ended {
		complain("ended_at", "the call never ended")
	} else if !started || start.After(end) {
		complain("started_at", "not before ended_at")
	}
	for _, f := range []string{"wait_ms", "ring_ms", "talk_ms", "total_ms", "hold_ms", "ivr_ms", "queue_ms", "total_wait_ms"} {
		if v, ok := r[f].(float64); ok && v < 0 {
			complain(f, fmt.Sprintf("negative: %v", v))
		}
	}
	if !strings.HasPrefix(text(r["id"]), text(r["pbx"])+":") {
		complain("id", "not <pbx>:...: "+text(r["id"]))
	}
	line, ok := r["timeline"].([]any)
	if !ok {
		complain("timeline", "absent")
		return bad
	}
	at := start
	for i, x := range line {
		span, _ := x.(map[string]any)
		from, ok1 := moment(span["from"])
		to, ok2 := moment(span["to"])
		if !ok1 || !ok2 || !from.Equal(at) || to.Before(from) || i == len(line)-1 && !to.Equal(end) {
			complain("timeline", "not gapless from start to end")
			break
		}
		at = to
	}
	return bad
}

type pair struct {
	want Call
	got  Record
}

// pairUp finds for each call its record: by parties, then by order of start;
// one to one. What is left over stands alone.
func pairUp(want []Call, records []Record) []pair {
	type candidate struct {
		cost float64
		w, r int
	}
	var all []candidate
	zeroR, zeroW := math.Inf(1), math.Inf(1)
	starts := make([]float64, len(records))
	for i, r := range records {
		if t, ok := moment(r["started_at"]); ok {
			starts[i] = float64(t.UnixMilli())
		}
		zeroR = min(zeroR, starts[i])
	}
	for _, w := range want {
		if !w.is("optional") {
			zeroW = min(zeroW, w.number("start_ms"))
		}
	}
	if math.IsInf(zeroW, 1) {
		zeroW = 0
	}
	for i, w := range want {
		for k, r := range records {
			cost := min(2, math.Abs((starts[k]-zeroR)-(w.number("start_ms")-zeroW))/1000)
			for _, f := range []string{"from", "to"} {
				if _, ok := w[f]; ok && !accepted(f, w[f], look(r, f), 0) {
					cost += 4
				}
			}
			if !accepted("direction", w["direction"], r["direction"], 0) {
				cost++
			}
			if w.is("optional") {
				cost += 0.01
			}
			if cost < 8 || len(want) == 1 && len(records) == 1 {
				all = append(all, candidate{cost, i, k})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(a.cost, b.cost) })
	doneW, doneR := make([]bool, len(want)), make([]bool, len(records))
	var out []pair
	for _, c := range all {
		if !doneW[c.w] && !doneR[c.r] {
			doneW[c.w], doneR[c.r] = true, true
			out = append(out, pair{want[c.w], records[c.r]})
		}
	}
	for i, w := range want {
		if !doneW[i] {
			out = append(out, pair{want: w})
		}
	}
	for i, r := range records {
		if !doneR[i] {
			out = append(out, pair{got: r})
		}
	}
	return out
}
