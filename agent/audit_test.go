package agent_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors"
	"calljournal/connectors/asterisk"
	"calljournal/connectors/freeswitch"
	"calljournal/connectors/replay"
)

// A PBX that loses events is found out in the middle of a session, without a
// reconnect. That nothing is found where nothing was lost is with the recordings:
// TestCapture_ReplayGivesTheSameRecords audits them all the time.

// ends are the messages that tell of a leg's end.
var ends = []string{"Event: Hangup\r\n", "Event-Name: CHANNEL_HANGUP\n", "Event-Name: CHANNEL_HANGUP_COMPLETE\n", "Event-Name: CHANNEL_DESTROY\n"}

func isEnd(m replay.Message) bool {
	return slices.ContainsFunc(ends, func(e string) bool { return bytes.Contains(m.Raw, []byte(e)) })
}

// audited plays a recording to a connector until done says that what the audit
// was to find has been found.
func audited(t *testing.T, r *replay.Recording, mute func(replay.Message) bool, done func(*feed) bool) *feed {
	t.Helper()
	s, err := replay.Listen(r.Kind, replay.Once(r), replay.Options{User: "calljournal", Secret: "s3cret of the test", Unpaced: true,
		Lead: 30 * time.Millisecond, Mute: mute})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var conn connectors.Connector
	const every, confirm = 20 * time.Millisecond, 10 * time.Millisecond
	if r.Kind == replay.Asterisk {
		conn = asterisk.New(asterisk.Config{Address: s.Addr(), Username: "calljournal", Secret: "s3cret of the test", AuditEvery: every, AuditConfirm: confirm})
	} else {
		conn = freeswitch.New(freeswitch.Config{Address: s.Addr(), Secret: "s3cret of the test", AuditEvery: every, AuditConfirm: confirm})
	}
	f := newFeed(trackerOptions(r.Kind, usual))
	found := false
	if err := conn.Run(ctx, 1, func(e call.Event) {
		f.apply(e)
		select {
		case <-s.Done():
			if !found && done(f) {
				found = true
				cancel()
			}
		default:
		}
	}); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !found {
		t.Error("the audit did not find it")
	}
	return f
}

func oneRecording(t *testing.T, kind, name string) *replay.Recording {
	t.Helper()
	for _, r := range recordings(t, kind) {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no recording %s", name)
	return nil
}

var answeredCalls = map[string]string{replay.Asterisk: "in_answered_1", replay.FreeSWITCH: "inbound_answered"}

func TestAudit_LostHangUp(t *testing.T) {
	for kind, name := range answeredCalls {
		t.Run(kind, func(t *testing.T) {
			f := audited(t, oneRecording(t, kind, name), isEnd, func(f *feed) bool { return len(f.current()) > 0 })
			if f.gaps == 0 {
				t.Error("the loss is no gap")
			}
			for _, r := range f.current() {
				if !slices.Contains(r.Doubts, call.DoubtEndUnseen) || r.Quality != call.QualityPartial || r.Status != call.StatusAnswered {
					t.Errorf("%s, %s, %v", r.Status, r.Quality, r.Doubts)
				}
			}
			if open := f.tracker.Live(call.MomentOf(time.Now())); len(open) > 0 {
				t.Errorf("%d calls are open for ever", len(open))
			}
		})
	}
}

func TestAudit_UnheardCall(t *testing.T) {
	for kind, name := range answeredCalls {
		t.Run(kind, func(t *testing.T) {
			r := *oneRecording(t, kind, name)
			cutBeforeTheEnd(&r)
			live := func(f *feed) []call.Record { return f.tracker.Live(call.MomentOf(time.Now())) }
			f := audited(t, &r, func(replay.Message) bool { return true }, func(f *feed) bool { return len(live(f)) > 0 })
			if f.gaps == 0 {
				t.Error("the loss is no gap")
			}
			for _, c := range live(f) {
				if !slices.Contains(c.Doubts, call.DoubtStartUnseen) {
					t.Errorf("%s: %v", c.ID, c.Doubts)
				}
			}
		})
	}
}

// cutBeforeTheEnd leaves out everything from the first leg's end on.
func cutBeforeTheEnd(r *replay.Recording) {
	size := 0
	for _, m := range r.Messages() {
		if isEnd(m) {
			break
		}
		size = bytes.Index(r.Stream[size:], m.Raw) + size + len(m.Raw)
	}
	r.Stream = r.Stream[:size]
	if size == 0 {
		panic(fmt.Sprint("nothing is left of ", r.Name))
	}
}
