package agent_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"calljournal/agent/call"
	"calljournal/connectors/replay"
)

// What a PBX said of real calls, with messages left out, said twice and in
// another order: whatever comes of it, it is possible. The long form:
//
//	go test ./agent -run TestMangled -rapid.checks 100000

// mangling is one thing that happens to a stream of facts.
type mangling struct {
	what   string // drop, double, move
	at, by int
}

func manglings(most int) *rapid.Generator[mangling] {
	return rapid.Custom(func(t *rapid.T) mangling {
		return mangling{
			what: rapid.SampledFrom([]string{"drop", "double", "move"}).Draw(t, "what"),
			at:   rapid.IntRange(0, most-1).Draw(t, "at"),
			by:   rapid.IntRange(1, 30).Draw(t, "by"), // how many facts later it comes, or comes again
		}
	})
}

// latestAfter is how long after its time a message may still come.
const latestAfter = 5 * time.Second

// mangle gives the stream as it might have come; the clock ticks on regardless.
func mangle(facts []call.Event, all []mangling) []call.Event {
	said := slices.DeleteFunc(slices.Clone(facts), func(e call.Event) bool { return e.Kind == call.Ticked })
	for _, m := range all {
		if len(said) == 0 {
			return nil
		}
		at := m.at % len(said)
		e := said[at]
		if ofTheLink(e) {
			continue
		}
		if m.what != "double" {
			said = slices.Delete(said, at, at+1)
		}
		if m.what != "drop" {
			to := at
			for to < len(said) && to < at+m.by && !ofTheLink(said[to]) && said[to].Seen < e.Seen.Add(latestAfter) {
				to++
			}
			said = slices.Insert(said, to, e)
		}
	}
	var out []call.Event
	var now call.Moment
	for _, e := range said {
		for now != 0 && now < e.Seen {
			now = now.Add(time.Second)
			out = append(out, call.Event{Kind: call.Ticked, At: now, Seen: now})
		}
		now = max(now, e.Seen)
		e.Seen = now
		out = append(out, e)
	}
	return out
}

// ofTheLink are the facts that no PBX states but the connector itself.
func ofTheLink(e call.Event) bool {
	switch e.Kind {
	case call.LinkUp, call.LinkDown, call.LinkGap, call.Snapshot, call.PBXStarted:
		return true
	}
	return false
}

func TestMangled(t *testing.T) {
	type source struct {
		*replay.Recording
		facts []call.Event
	}
	var all []source
	for _, kind := range bothKinds {
		for _, r := range recordings(t, kind) {
			if facts := factsOf(t, r, usual); len(facts) < 600 {
				all = append(all, source{r, facts})
			}
		}
	}
	var runs, records, doubtful atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		src := rapid.SampledFrom(all).Draw(rt, "recording")
		rt.Logf("%s, %d facts", src.Name, len(src.facts))
		facts := withEnd(mangle(src.facts, rapid.SliceOfN(manglings(len(src.facts)), 1, 40).Draw(rt, "manglings")))
		if len(facts) == 0 {
			return
		}
		restart := rapid.IntRange(0, len(facts)).Draw(rt, "restart before")
		whole, again := newFeed(trackerOptions(src.Kind, usual)), newFeed(trackerOptions(src.Kind, usual))
		for i, e := range facts {
			whole.apply(e)
			if i == restart {
				again.restart()
			}
			again.apply(e)
			whole.possible(rt)
		}
		if len(whole.notes) > 0 {
			rt.Fatal(whole.notes)
		}
		if d := gocmp.Diff(whole.texts(), again.texts()); d != "" {
			rt.Fatalf("restarted before fact %d: uninterrupted (-), restored (+):\n%.2000s", restart, d)
		}
		// The ends that were left out are found when the PBX is asked what is up.
		last := facts[len(facts)-1]
		whole.apply(call.Event{Kind: call.Snapshot, At: last.At, Seen: last.Seen})
		whole.possible(rt)
		if n := len(whole.tracker.Live(last.At)); n > 0 {
			rt.Fatalf("%d calls are open for ever", n)
		}
		runs.Add(1)
		for _, r := range whole.current() {
			records.Add(1)
			if r.Quality != call.QualityComplete {
				doubtful.Add(1)
			}
		}
	})
	t.Logf("%d streams, %d records, %d of them in doubt", runs.Load(), records.Load(), doubtful.Load())
}

// possible checks the records that came since it was asked last.
func (f *feed) possible(t rapid.TB) {
	for _, id := range f.fresh {
		r, ok := f.records[id]
		if !ok {
			continue
		}
		if text := impossible(&r, f.evidence[id]); text != "" {
			t.Fatalf("%s rev %d: %s\n%s", r.ID, r.Rev, text, f.texts()[id])
		}
	}
	if len(f.fresh) > 0 {
		owner := map[string]string{}
		for id, r := range f.records {
			for _, p := range r.PBXIDs {
				if other := owner[p]; other != "" {
					t.Fatalf("%s is in two records, %s and %s", p, other, id)
				}
				owner[p] = id
			}
		}
	}
	f.fresh = f.fresh[:0]
}

// impossible says what cannot be true in a record concluded from facts.
func impossible(r *call.Record, facts []call.Event) string {
	ms := map[string]int64{}
	for name, p := range map[string]*int64{"wait": r.WaitMs, "total_wait": r.TotalWaitMs, "ivr": r.IVRMs, "queue": r.QueueMs, "ring": r.RingMs,
		"talk": r.TalkMs, "hold": r.HoldMs, "total": r.TotalMs} {
		if p == nil {
			continue
		}
		if ms[name] = *p; *p < 0 {
			return fmt.Sprintf("%s is %d ms", name, *p)
		}
	}
	for _, c := range []struct{ part, whole string }{{"talk", "total"}, {"hold", "talk"}, {"wait", "total"}, {"total_wait", "total"}, {"ivr", "wait"}, {"queue", "wait"}} {
		if ms[c.part] > ms[c.whole] {
			return fmt.Sprintf("%s %d ms is more than %s %d ms", c.part, ms[c.part], c.whole, ms[c.whole])
		}
	}
	if ms["ivr"]+ms["queue"] > ms["wait"] {
		return fmt.Sprintf("ivr %d and queue %d are more than wait %d", ms["ivr"], ms["queue"], ms["wait"])
	}
	if ms["talk"]+ms["total_wait"] > ms["total"]+1 {
		return fmt.Sprintf("talk %d and total wait %d are more than total %d", ms["talk"], ms["total_wait"], ms["total"])
	}
	// When, only a row of the PBX's own records may leave open.
	reported := slices.ContainsFunc(facts, func(e call.Event) bool { return e.Kind == call.Reported })
	if answered := r.Status == call.StatusAnswered; answered != (r.AnsweredAt != 0) && !(answered && reported) {
		return fmt.Sprintf("status %s, answered at %d", r.Status, r.AnsweredAt)
	}
	at := r.StartedAt
	for _, s := range r.Timeline {
		if s.From != at || s.To < s.From {
			return fmt.Sprintf("the timeline is at %v and goes on from %v to %v", at.Time(), s.From.Time(), s.To.Time())
		}
		at = s.To
	}
	if at != r.EndedAt && len(r.Timeline) > 0 || r.EndedAt < r.StartedAt {
		return fmt.Sprintf("from %v to %v, the timeline ends at %v", r.StartedAt.Time(), r.EndedAt.Time(), at.Time())
	}
	for _, l := range r.Legs {
		if l.StartedAt != 0 && l.EndedAt != 0 && l.EndedAt < l.StartedAt || l.RingMs != nil && *l.RingMs < 0 || l.TalkMs != nil && *l.TalkMs < 0 {
			return fmt.Sprintf("leg %s: %+v", l.Channel, l)
		}
		// An employee may have been on the line before the caller with whom he was joined.
		if l.StartedAt < r.StartedAt && (l.Role == call.RoleCaller || l.Role == call.RoleTrunk) {
			return fmt.Sprintf("leg %s (%s) began before the call", l.Channel, l.Role)
		}
	}
	if !slices.IsSortedFunc(r.Transfers, func(a, b call.Transfer) int { return cmp.Compare(a.At, b.At) }) {
		return "transfers out of order"
	}
	return ""
}
