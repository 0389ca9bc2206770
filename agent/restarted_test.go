package agent_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors"
	"calljournal/connectors/asterisk"
	"calljournal/connectors/freeswitch"
	"calljournal/connectors/replay"
)

// goodbyes are what a PBX says when it is stopped properly.
var goodbyes = map[string]string{
	replay.Asterisk:   "Event: Shutdown\r\nPrivilege: system,all\r\nShutdown: Cleanly\r\nRestart: True\r\n\r\n",
	replay.FreeSWITCH: "Content-Length: 47\nContent-Type: text/event-plain\n\nEvent-Name: SHUTDOWN\nEvent-Info: System%20Down\n\n",
}

// A PBX is stopped, or killed, in the middle of a call, and another process
// answers at its address: the call is closed as the first thing of the new
// session, before anything is said of what is up now.
func TestPBXRestarted(t *testing.T) {
	for kind, name := range answeredCalls {
		for _, how := range []string{"killed", "stopped"} {
			t.Run(kind+"/"+how, func(t *testing.T) {
				r := *oneRecording(t, kind, name)
				cutBeforeTheEnd(&r)
				if how == "stopped" {
					last := r.Chunks[len(r.Chunks)-1].At
					r.Stream = append(slices.Clip(r.Stream), goodbyes[kind]...)
					r.Chunks = append(slices.Clip(r.Chunks), replay.Chunk{At: last, Bytes: len(goodbyes[kind])})
				}
				facts := restarted(t, &r)
				f := newFeed(trackerOptions(kind, usual))
				sessions := 0
				for _, e := range facts {
					f.apply(e)
					if e.Kind == call.LinkUp {
						sessions++
					}
					if e.Kind != call.Snapshot || sessions < 2 {
						continue
					}
					if len(f.current()) == 0 || len(f.tracker.Live(e.At)) > 0 || f.gaps != 1 {
						t.Fatalf("%d calls closed, %d open, %d gaps", len(f.current()), len(f.tracker.Live(e.At)), f.gaps)
					}
					for _, c := range f.current() {
						if !slices.Contains(c.Doubts, call.DoubtPBXRestarted) {
							t.Errorf("%s: %v", c.ID, c.Doubts)
						}
					}
					return
				}
				t.Fatal("no second session")
			})
		}
	}
}

// restarted gives the facts of a link to a PBX that plays a recording to its end,
// goes away, and comes back as another process.
func restarted(t *testing.T, r *replay.Recording) (facts []call.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	play := func(o replay.Options) (s *replay.Server, end func()) {
		o.User, o.Secret, o.Unpaced, o.Lead = "calljournal", "s3cret of the test", true, 30*time.Millisecond
		s, err := replay.Listen(r.Kind, replay.Once(r), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		return s, func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	// The break at the end is the process's end: everything it said has arrived.
	s, end := play(replay.Options{Cuts: []replay.Cut{{At: r.Duration() + time.Second, Down: time.Hour}}})
	var conn connectors.Connector
	if r.Kind == replay.Asterisk {
		conn = asterisk.New(asterisk.Config{Address: s.Addr(), Username: "calljournal", Secret: "s3cret of the test"})
	} else {
		conn = freeswitch.New(freeswitch.Config{Address: s.Addr(), Secret: "s3cret of the test"})
	}
	if err := conn.Run(ctx, 1, func(e call.Event) { facts = append(facts, e) }); err == nil {
		t.Fatal("the first process did not end")
	}
	end()
	_, end = play(replay.Options{Anew: true, Address: s.Addr(), Mute: func(replay.Message) bool { return true }})
	defer end()
	session, over := context.WithCancel(ctx)
	defer over()
	if err := conn.Run(session, 2, func(e call.Event) {
		if facts = append(facts, e); e.Kind == call.Snapshot {
			over()
		}
	}); err != nil {
		t.Fatal(err)
	}
	return facts
}
