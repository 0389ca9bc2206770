package call_test

import (
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
)

// A message that waited somewhere is late, and the next ones are not: that is no
// clock that was set. One that comes further ahead than any before is.
func TestLateMessagesAreNoStep(t *testing.T) {
	for _, c := range []struct {
		name     string
		late     time.Duration // of the call's first message
		ahead    time.Duration // of its last
		linkUp   bool
		wantStep bool
	}{
		{"all in time", 0, 0, true, false},
		{"the first is late", 20 * time.Second, 0, true, false},
		{"the clock was set on", 0, time.Hour, true, true},
		{"late, and the clock was set on", 20 * time.Second, time.Hour, true, true},
		{"the clock was set on, and nobody knows the link", 0, time.Hour, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tracker := call.New(call.Options{Agent: "a", PBX: "main", PBXKind: "freeswitch"})
			var records []call.Record
			say := func(ms int, stray time.Duration, e call.Event) {
				e.At = at(ms)
				e.Seen = e.At.Add(30*time.Millisecond - stray) // 30 ms are the network's
				for _, change := range tracker.Apply(e) {
					if change.Op == call.CallRecorded {
						records = append(records, *change.Record)
					}
				}
			}
			if c.linkUp {
				say(-60_000, 0, call.Event{Kind: call.LinkUp, Session: 1})
			}
			say(0, -c.late, fsIn("a", "external", "79161234567", "74951230101"))
			say(10, 0, fsOut("b", "a", "1001", "1001"))
			say(30_000, c.ahead, fsEnd("b", "NO_ANSWER", call.EndedByPBX, 10, 0))
			say(30_000, c.ahead, fsEnd("a", "NORMAL_CLEARING", call.EndedByPBX, 0, 0))
			if len(records) != 1 {
				t.Fatalf("%d records", len(records))
			}
			if got := slices.Contains(records[0].Doubts, call.DoubtClockStepped); got != c.wantStep {
				t.Errorf("doubts %v", records[0].Doubts)
			}
		})
	}
}
