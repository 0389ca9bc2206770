package agent_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"calljournal/agent/call"
	"calljournal/connectors/replay"
)

// What must hold of every recording, whatever happens to the stream on its way.

var bothKinds = []string{replay.Asterisk, replay.FreeSWITCH}

var usual = variant{trunks: true, stamps: true}

// eachRecording runs a test for every recording of both kinds.
func eachRecording(t *testing.T, test func(t *testing.T, r *replay.Recording)) {
	for _, kind := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			for _, r := range recordings(t, kind) {
				t.Run(r.Name, func(t *testing.T) {
					t.Parallel()
					test(t, r)
				})
			}
		})
	}
}

// rebuilt gives the records that come of facts, by id, as JSON.
func rebuilt(kind string, facts []call.Event) map[string]string {
	f := newFeed(trackerOptions(kind, usual))
	for _, e := range withEnd(facts) {
		f.apply(e)
	}
	return f.texts()
}

// withEnd adds the time after the last fact in which everything is concluded.
func withEnd(facts []call.Event) []call.Event {
	facts = slices.Clone(facts)
	if len(facts) == 0 {
		return nil
	}
	last := facts[len(facts)-1].Seen
	for _, d := range []time.Duration{reaction, time.Minute, 48 * time.Hour} {
		facts = append(facts, call.Event{Kind: call.Ticked, At: last.Add(d), Seen: last.Add(d)})
	}
	return facts
}

func (f *feed) texts() map[string]string {
	out := map[string]string{}
	for _, r := range f.current() {
		b, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			panic(err) // a record is made of strings and numbers
		}
		out[r.ID] = string(b)
	}
	return out
}

// TestSplit: however the stream is cut into pieces on its way, the same facts
// come of it.
func TestSplit(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		eachRecording(t, func(t *testing.T, r *replay.Recording) {
			whole, _ := hear(t, r, usual, nil)
			single, _ := hear(t, r, usual, func() int { return 1 })
			if d := gocmp.Diff(whole, single, gocmp.AllowUnexported(heard{})); d != "" {
				t.Errorf("byte by byte (+) the facts are others than as recorded (-):\n%.2000s", d)
			}
		})
	})
	t.Run("any", func(t *testing.T) {
		var all []*replay.Recording
		for _, kind := range bothKinds {
			all = append(all, recordings(t, kind)...)
		}
		all = slices.DeleteFunc(all, func(r *replay.Recording) bool { return len(r.Stream) > 300_000 })
		rapid.Check(t, func(rt *rapid.T) {
			r := rapid.SampledFrom(all).Draw(rt, "recording")
			most := rapid.SampledFrom([]int{3, 7, 100, 2000}).Draw(rt, "longest")
			sizes := rapid.SliceOfN(rapid.IntRange(1, most), 1, 50).Draw(rt, "pieces")
			i := 0
			cut := func() int { i++; return sizes[i%len(sizes)] }
			whole, _ := hear(t, r, usual, nil)
			pieces, _ := hear(t, r, usual, cut)
			if d := gocmp.Diff(whole, pieces, gocmp.AllowUnexported(heard{})); d != "" {
				rt.Fatalf("%s: in pieces (+) the facts are others than as recorded (-):\n%.2000s", r.Name, d)
			}
		})
	})
}

// together makes one recording of several, each with ids of its own and begun at
// its offset.
func together(recordings []*replay.Recording, offsets []time.Duration) *replay.Recording {
	t0 := recordings[0].T0
	type piece struct {
		at  time.Duration
		raw []byte
	}
	var all []piece
	for i, r := range recordings {
		w := replay.Rewrite{Round: 1 + uint32(offsets[i]/time.Millisecond), Shift: t0.Add(offsets[i]).Sub(r.T0)}
		for _, m := range r.Messages() {
			all = append(all, piece{offsets[i] + m.At, w.Message(r, m)})
		}
	}
	slices.SortStableFunc(all, func(a, b piece) int { return cmp.Compare(a.at, b.at) })
	one := &replay.Recording{Name: "together", Kind: recordings[0].Kind, T0: t0}
	for _, p := range all {
		one.Stream = append(one.Stream, p.raw...)
		one.Chunks = append(one.Chunks, replay.Chunk{At: p.at, Bytes: len(p.raw)})
	}
	return one
}

// TestInterleaved: a PBX with many calls at once says of each what it says of it
// alone.
func TestInterleaved(t *testing.T) {
	for _, kind := range bothKinds {
		all := slices.DeleteFunc(recordings(t, kind), func(r *replay.Recording) bool {
			_, answers := hear(t, r, usual, nil)
			return len(r.Cuts) > 0 || len(r.Stream) > 600_000 || slices.ContainsFunc(answers[0], func(h map[string]string) bool {
				return h["Event"] == "CoreShowChannel" || h["uuid"] != ""
			})
		})
		check := func(t rapid.TB, chosen []*replay.Recording, offsets []time.Duration) {
			alone := map[string]string{}
			for i := range chosen {
				// The first decides about the clock; it plays along unheard.
				one := together([]*replay.Recording{{Kind: kind, T0: chosen[0].T0}, chosen[i]}, []time.Duration{0, offsets[i]})
				maps.Copy(alone, rebuilt(kind, factsOf(t, one, usual)))
			}
			if d := gocmp.Diff(alone, rebuilt(kind, factsOf(t, together(chosen, offsets), usual))); d != "" {
				t.Errorf("together (+) the records are others than alone (-):\n%.3000s", d)
			}
		}
		t.Run(kind+"/all", func(t *testing.T) {
			offsets := make([]time.Duration, len(all))
			for i := range all {
				offsets[i] = time.Duration(i*137%2000) * time.Millisecond
			}
			check(t, all, offsets)
		})
		t.Run(kind+"/any", func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(all), 2, 4, func(r *replay.Recording) string { return r.Name }).Draw(rt, "recordings")
				at := rapid.SliceOfNDistinct(rapid.IntRange(0, 6000), len(chosen), len(chosen), rapid.ID).Draw(rt, "begin")
				offsets := make([]time.Duration, len(at))
				for i, ms := range at {
					offsets[i] = time.Duration(ms) * time.Millisecond
				}
				for i, r := range chosen {
					rt.Logf("%s at %v", r.Name, offsets[i])
				}
				check(rt, chosen, offsets)
			})
		})
	}
}

// mostCrashes bounds the points at which the long recordings are tried.
const mostCrashes = 120

// TestRestore: whenever the daemon is killed, what it kept gives the same end,
// revision by revision.
func TestRestore(t *testing.T) {
	eachRecording(t, func(t *testing.T, r *replay.Recording) {
		facts := withEnd(factsOf(t, r, usual))
		whole := newFeed(trackerOptions(r.Kind, usual))
		for _, e := range facts {
			whole.apply(e)
		}
		want := whole.texts()
		stride := 1 + len(facts)/mostCrashes
		for k := 1; k < len(facts); k += stride {
			f := newFeed(trackerOptions(r.Kind, usual))
			for _, e := range facts[:k] {
				f.apply(e)
			}
			f.restart()
			for _, e := range facts[k:] {
				f.apply(e)
			}
			if d := gocmp.Diff(want, f.texts()); d != "" {
				t.Fatalf("killed before fact %d of %d, %s: uninterrupted (-), restored (+):\n%.2000s", k, len(facts), factLine(facts[k]), d)
			}
			if len(f.notes) > 0 {
				t.Fatalf("killed before fact %d of %d, %s: %v", k, len(facts), factLine(facts[k]), f.notes)
			}
		}
	})
}

// restart goes on with another Tracker that knows only what was kept.
func (f *feed) restart() {
	ahead := f.tracker.Ahead()
	f.tracker = call.New(f.options)
	f.tracker.Restore(slices.SortedFunc(maps.Values(f.kept), func(a, b call.Event) int { return cmp.Compare(a.N, b.N) }), ahead)
}

// near is how far apart two times may be to be the same to a reader.
const near = 150 * time.Millisecond

// TestLost: one message that never came makes no two calls of one, and either
// changes nothing or the record says that it is in doubt. A while after the last
// message the PBX is asked what is up, as a connector asks that suspects a loss.
func TestLost(t *testing.T) {
	var tried, silent atomic.Int64
	eachRecording(t, func(t *testing.T, r *replay.Recording) {
		said, answers := hear(t, r, usual, nil)
		audited := func(said []heard) map[string]string {
			facts := linked(r, said, answers)
			end := facts[len(facts)-1].Seen.Add(time.Minute)
			return rebuilt(r.Kind, append(facts, call.Event{Kind: call.Snapshot, At: end, Seen: end}))
		}
		want := audited(said)
		stride := 1 + len(said)/400
		for k := 0; k < len(said); k += stride {
			if len(said[k].facts) == 0 {
				continue
			}
			tried.Add(1)
			got := audited(slices.Delete(slices.Clone(said), k, k+1))
			what := fmt.Sprintf("without message %d, %s: %s", k, said[k].name, factLine(said[k].facts[0]))
			if len(got) > len(want) {
				t.Errorf("%s: %d calls instead of %d", what, len(got), len(want))
			}
			if d := undoubted(t, want, got); d != "" {
				silent.Add(1)
				t.Logf("%s: changed without a doubt:\n%.600s", what, d)
			}
		}
	})
	t.Logf("%d messages left out, %d times something changed without a doubt", tried.Load(), silent.Load())
}

// The last event of a FreeSWITCH channel describes it as its first one did: where
// that was lost, who called whom is known all the same.
func TestLost_Creation(t *testing.T) {
	legs := 0
	for _, r := range recordings(t, replay.FreeSWITCH) {
		facts := factsOf(t, r, usual)
		if len(facts) > 600 || len(r.Cuts) > 0 {
			continue
		}
		without := func(lost int) (calls []string) {
			f := newFeed(trackerOptions(r.Kind, usual))
			for i, e := range facts {
				if i != lost {
					f.apply(e)
				}
			}
			number := func(p call.Party) string {
				if p.Number == nil {
					return "unknown"
				}
				return *p.Number
			}
			for _, c := range f.current() {
				calls = append(calls, fmt.Sprintf("%s %s -> %s %s", c.Direction, number(c.From), number(c.To), c.Status))
			}
			slices.Sort(calls)
			return calls
		}
		want := without(-1)
		for i, e := range facts {
			if e.Kind != call.LegCreated {
				continue
			}
			legs++
			if got := without(i); !slices.Equal(got, want) {
				t.Errorf("%s, without the creation of %s: %q, want %q", r.Name, e.Channel, got, want)
			}
		}
	}
	if legs < 100 {
		t.Errorf("only %d legs", legs)
	}
}

// undoubted gives how records that claim to be complete differ from the true
// ones.
func undoubted(t *testing.T, want, got map[string]string) string {
	decode := func(text string) (r map[string]any) {
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	var out string
	for id, text := range got {
		g := decode(text)
		switch {
		case g["quality"] != call.QualityComplete:
		case want[id] == "":
			out += "a call of its own: " + id + "\n"
		default:
			w := decode(want[id])
			delete(w, "rev")
			delete(g, "rev")
			out += gocmp.Diff(w, g, gocmp.FilterValues(alike, gocmp.Ignore()))
		}
	}
	if len(got) < len(want) {
		out += fmt.Sprintf("%d calls instead of %d", len(got), len(want))
	}
	return out
}

// alike says that two values are times, or durations, that are near.
func alike(a, b any) bool {
	switch x := a.(type) {
	case float64:
		y, ok := b.(float64)
		return ok && max(x-y, y-x) <= float64(near.Milliseconds())
	case string:
		y, _ := b.(string)
		at, err1 := time.Parse(time.RFC3339Nano, x)
		bt, err2 := time.Parse(time.RFC3339Nano, y)
		return err1 == nil && err2 == nil && at.Sub(bt).Abs() <= near
	}
	return false
}
