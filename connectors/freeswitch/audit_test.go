package freeswitch

import (
	"strconv"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/wire"
)

// The list of an audit does not come through the stream of events: a doubt waits
// until the stream has caught up with the list that it came from, however late it
// is.
func TestAudit_WaitsForTheEvents(t *testing.T) {
	const hour = 3600
	type event struct{ arrives, stamped int } // seconds
	for _, c := range []struct {
		name      string
		before    event // the first of the session
		after     []event
		due       int // when the doubt of second 10 is put to the test; 0: never
		forgotten bool
	}{
		{"as they happen", event{0, 0}, []event{{12, 12}, {14, 14}, {15, 15}}, 15, false},
		{"minutes late", event{0, 0}, []event{{40, 9}, {80, 10}, {130, 12}, {180, 14}, {200, 15}}, 200, false},
		{"a clock that is ahead", event{0, hour}, []event{{12, hour + 12}, {16, hour + 16}}, 16, false},
		{"late from a clock that is ahead", event{0, hour}, []event{{40, hour + 9}, {50, hour + 15}}, 50, false},
		{"silence", event{0, 0}, []event{{20, 9}}, 80, false},
		{"a clock that is set back", event{0, 0}, []event{{50, 50 - hour}, {100, 100 - hour}, {150, 150 - hour}, {200, 200 - hour}, {250, 250 - hour},
			{300, 300 - hour}, {350, 350 - hour}, {400, 400 - hour}, {450, 450 - hour}, {500, 500 - hour}, {550, 550 - hour}, {600, 600 - hour}}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			zero := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
			at := func(seconds int) call.Moment { return call.MomentOf(zero.Add(time.Duration(seconds) * time.Second)) }
			s := newSession(New(Config{Name: "main", AuditConfirm: 5 * time.Second, AuditEvery: time.Hour}), 1, nil, at(0), func(call.Event) {})
			hear := func(e event) {
				s.take(Message{spelling("Event-Name"): "RE_SCHEDULE", spelling(wire.ESLSeen): strconv.FormatInt(int64(at(e.arrives)), 10),
					spelling("Event-Date-Timestamp"): strconv.FormatInt(at(e.stamped).Time().UnixMicro(), 10)})
			}
			hear(c.before)
			doubt := at(10).Time()
			s.doubtAt, s.auditDue = doubt, doubt.Add(5*time.Second)
			due := 0
			for second := 10; second < 620 && due == 0 && !s.doubtAt.IsZero(); second++ {
				for _, e := range c.after {
					if e.arrives == second {
						hear(e)
					}
				}
				if s.auditIsDue(at(second).Time()) {
					due = second
				}
			}
			if due != c.due || s.doubtAt.IsZero() != c.forgotten {
				t.Errorf("due at second %d, want %d; forgotten: %v, want %v", due, c.due, s.doubtAt.IsZero(), c.forgotten)
			}
			if c.forgotten && s.lead != -hour*time.Second {
				t.Errorf("the clock that was set back is still expected: %v", s.lead)
			}
		})
	}
}
