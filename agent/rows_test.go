package agent_test

import (
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"calljournal/agent/call"
	"calljournal/connectors/replay"
)

// What a PBX wrote of real calls, with values in it that no PBX writes, read
// because some of the calls were not seen: whatever comes of it, it is possible.

// value finds the values in a row of any form.
var value = regexp.MustCompile(`[^",{}:\[\]\s]+( \d\d:\d\d:\d\d)?`)

// edges are values at the borders of what is one.
var edges = []string{"", "0", "1", "-1", "0.000001", "1e308", "1e9", "NaN", "9223372036854775807", "99999999999", "8589934592", "1772359200", "1772359200000000", "9007199254740992",
	"0000-01-01 00:00:00", "1970-01-01 00:00:00", "1980-01-01 00:00:00", "2026-03-29 02:30:00", "2199-12-31 23:59:59", "9999-12-31 23:59:59",
	"1772359200.1", "4102444800.1", "9999999999.1", "99999999999.1", "x-1772359200.1", "ANSWERED", "NO ANSWER", "BUSY", "Dial", "Queue", "AppDial2", "Local/1@a-00000001;1", "Local/1@a-00000001;2",
	"PJSIP/101-00000002", "ARRAY::1772359200000000:1:bl_xfer:2", "ARRAY::", "fifo_role", "caller", "cc_agent_uuid", "AgentLogin", "%00", "\\u0000", "inbound", "outbound", "\xff", "\U0010FFFF", "<101>"}

// nameless are records without what depends on which of their rows came first: a
// row that says nothing new may add its doubt of the time zone, or come too late to.
func nameless(texts map[string]string) (out []string) {
	for _, text := range texts {
		out = append(out, doubts.ReplaceAllString(idAndRev.ReplaceAllString(text, ""), ""))
	}
	slices.Sort(out)
	return out
}

var (
	idAndRev = regexp.MustCompile(`^\{\s*"id": "[^"]*",\s*"rev": \d+,`)
	doubts   = regexp.MustCompile(`"doubts": \[[^\]]*\]`)
)

// TestHealed_AnyRow: real rows, some with another value in them. Read twice they
// change nothing, and read in two goes they say what they say at once.
func TestHealed_AnyRow(t *testing.T) {
	type source struct {
		*replay.Recording
		form  string
		facts []call.Event
		lines [][]byte
		all   []string // the values of all lines
	}
	var sources []*source
	for _, v := range forms {
		for _, r := range recordings(t, v.kind) {
			_, lines := writtenBy(t, r, v.form)
			if len(lines) == 0 || len(lines) > 30 {
				continue
			}
			s := &source{Recording: r, form: v.form, facts: factsOf(t, r, usual), lines: lines}
			for _, l := range lines {
				s.all = append(s.all, value.FindAllString(string(l), -1)...)
			}
			sources = append(sources, s)
		}
	}
	var readable, refused, records atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		src := sources[rapid.IntRange(0, len(sources)-1).Draw(rt, "recording")]
		rt.Logf("%s, %s", src.Name, src.form)
		lines := make([]string, len(src.lines))
		for i, l := range src.lines {
			lines[i] = string(l)
		}
		changes := rapid.IntRange(0, 12).Draw(rt, "changes")
		for range changes {
			i := rapid.IntRange(0, len(lines)-1).Draw(rt, "row")
			found := value.FindAllStringIndex(lines[i], -1)
			if src.form == "cdr_custom" && i == 0 || len(found) == 0 {
				continue // the heading
			}
			at := rapid.SampledFrom(found).Draw(rt, "value at")
			by := rapid.OneOf(rapid.SampledFrom(edges), rapid.SampledFrom(src.all)).Draw(rt, "by")
			lines[i] = lines[i][:at[0]] + by + lines[i][at[1]:]
		}
		reader, _ := writtenBy(t, src.Recording, src.form)
		var rows []call.Event
		for _, l := range lines {
			switch e, err := reader.Read([]byte(l), call.MomentOf(src.T0.Add(time.Hour))); {
			case err != nil:
				refused.Add(1)
			case e.Kind != 0:
				readable.Add(1)
				rows = append(rows, e)
			}
		}
		at := func(name string) call.Moment {
			return call.MomentOf(src.T0.Add(src.Duration() * time.Duration(rapid.IntRange(-1, 9).Draw(rt, name)) / 8))
		}
		gap := call.Gap{PBX: "main", From: at("gap from"), To: at("gap to")}
		seen := withEnd(cutOut(src.facts, gap.From, gap.To))
		if gap.From >= gap.To { // nothing was seen
			gap.From, gap.To, seen = call.MomentOf(src.T0.Add(-time.Hour)), call.MomentOf(src.T0.Add(time.Hour)), nil
		}
		f, halves := newFeed(trackerOptions(src.Kind, usual)), newFeed(trackerOptions(src.Kind, usual))
		for _, e := range seen {
			f.apply(e)
			halves.apply(e)
		}
		f.heal(rows, gap)
		f.possible(rt)
		read := rapid.IntRange(0, len(rows)).Draw(rt, "of the rows, are read first")
		halves.heal(rows[:read], gap)
		halves.possible(rt)
		halves.heal(call.WithKin(rows[:read], rows[read:]), gap)
		halves.possible(rt)
		once := f.texts()
		f.heal(rows, gap)
		f.possible(rt)
		if len(f.notes)+len(halves.notes) > 0 {
			rt.Fatal(f.notes, halves.notes)
		}
		if changes == 0 {
			if d := gocmp.Diff(once, f.texts()); d != "" {
				rt.Fatalf("read once (-), twice (+):\n%.2000s", d)
			}
			if d := gocmp.Diff(nameless(once), nameless(halves.texts())); d != "" {
				rt.Fatalf("read at once (-), in two goes (+):\n%.2000s", d)
			}
		}
		records.Add(int64(len(f.order)))
	})
	t.Logf("%d rows read, %d refused, %d records", readable.Load(), refused.Load(), records.Load())
}
