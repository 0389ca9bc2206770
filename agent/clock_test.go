package agent_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"calljournal/agent/call"
	"calljournal/connectors/replay"
)

// step is a clock that is set: everything from a moment on happens by so much
// later or earlier.
type step struct {
	at call.Moment
	by time.Duration
}

func (s step) of(m call.Moment) call.Moment {
	if m < s.at {
		return m
	}
	return m.Add(s.by)
}

// pbx sets the PBX's clock: its stamps of what happens from then on move.
func (s step) pbx(e call.Event) call.Event {
	if e.Seen < s.at {
		return e
	}
	e.At, e.From = s.of(e.At), s.of(e.From)
	if e.History != nil {
		h := *e.History
		for _, m := range []*call.Moment{&h.Created, &h.Progress, &h.ProgressMedia, &h.Answered, &h.Bridged, &h.HungUp} {
			*m = s.of(*m)
		}
		e.History = &h
	}
	return e
}

// ours sets the clock of this machine, by which arrivals are stamped.
func (s step) ours(e call.Event) call.Event {
	if at := e.Seen; at >= s.at {
		e.Seen = s.of(at)
		if ofTheLink(e) || e.Kind == call.Ticked {
			e.At = e.At.Add(s.by)
		}
	}
	return e
}

// Whichever clock is set, whenever and by how much: no duration is negative, no
// call stays open, and the calls that were up say that they are in doubt.
func TestClockSteps(t *testing.T) {
	type source struct {
		*replay.Recording
		facts []call.Event
	}
	var all []source
	for _, kind := range bothKinds {
		for _, r := range recordings(t, kind) {
			if facts := factsOf(t, r, usual); len(facts) < 600 && len(r.Cuts) == 0 {
				all = append(all, source{r, facts})
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		src := rapid.SampledFrom(all).Draw(rt, "recording")
		i := rapid.IntRange(0, len(src.facts)-1).Draw(rt, "fact")
		by := time.Duration(rapid.Int64Range(int64(4*time.Second), int64(26*time.Hour)).Draw(rt, "by"))
		if rapid.Bool().Draw(rt, "back") {
			by = -by
		}
		s := step{src.facts[i].Seen, by}
		set := s.pbx
		pbx := rapid.Bool().Draw(rt, "the PBX's")
		if !pbx {
			set = s.ours
		}
		unset, f := newFeed(trackerOptions(src.Kind, usual)), newFeed(trackerOptions(src.Kind, usual))
		for _, e := range src.facts {
			unset.apply(e)
			f.apply(set(e))
			f.possible(rt)
			for _, now := range []call.Moment{e.At, set(e).At} {
				for _, r := range f.tracker.Live(now) {
					if text := impossible(&r, f.evidence[r.ID]); text != "" {
						rt.Fatalf("seen live: %s", text)
					}
				}
			}
		}
		last := set(src.facts[len(src.facts)-1])
		f.apply(call.Event{Kind: call.Snapshot, At: last.At, Seen: last.Seen})
		f.possible(rt)
		if n := len(f.tracker.Live(last.At)); n > 0 {
			rt.Fatalf("%d calls are open for ever", n)
		}
		for id, r := range unset.records {
			was := r.StartedAt.Add(time.Second) < s.at && s.at < r.EndedAt.Add(-time.Second)
			// What is told of a call after its end has the new clock too. And a clock
			// that is set back by less than the PBX was silent shows nowhere.
			shows := pbx && (by > 0 || -by > r.EndedAt.Sub(r.StartedAt)+4*time.Second)
			got, ok := f.holding(r.PBXIDs) // which of two calls made one is the older is in doubt too
			switch {
			case !ok:
				rt.Fatalf("%s is gone", id)
			case shows && was && !slices.Contains(r.Doubts, call.DoubtStartUnseen) && !slices.Contains(got.Doubts, call.DoubtClockStepped):
				rt.Fatalf("%s was up, and has the doubts %v", id, got.Doubts)
			case r.EndedAt < s.at.Add(-20*time.Second) && slices.Contains(got.Doubts, call.DoubtClockStepped):
				rt.Fatalf("%s was over, and has the doubts %v", id, got.Doubts)
			}
		}
	})
}

// holding gives the record that a call went into.
func (f *feed) holding(ids []string) (call.Record, bool) {
	for _, r := range f.records {
		if slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(r.PBXIDs, id) }) {
			return r, true
		}
	}
	return call.Record{}, false
}
