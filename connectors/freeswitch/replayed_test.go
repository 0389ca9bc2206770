package freeswitch

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/replay"
)

// TestRun_replayed lets the whole connector hear a recording over the real
// protocol, in the ways in which a network can bring it, and compares with what
// the events state one by one.
func TestRun_replayed(t *testing.T) {
	for _, test := range []struct {
		name, recording string
		options         replay.Options
	}{
		{"as it is", "att_xfer_refer", replay.Options{}},
		{"chopped", "queue_answered", replay.Options{Chop: 7}},
		{"login and events in one segment", "loopback_followme", replay.Options{CoalesceLogin: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := recording(t, test.recording)
			want := facts(t, r)

			test.options.Secret, test.options.KeepTime, test.options.Unpaced = "s", true, true
			pbx, err := replay.Listen(replay.FreeSWITCH, replay.Once(r), test.options)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- pbx.Run(ctx) }()
			defer func() {
				stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
			}()

			l := connect(t, Config{Address: pbx.Addr(), Secret: "s"})
			var b brief
			var got []string
			for len(got) < len(want) {
				e := l.next(t)
				switch e.Kind {
				case call.LinkUp, call.Snapshot:
				default:
					got = append(got, b.line(e))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// facts are what a recording's events state, without the second account of
// every leg's end.
func facts(t *testing.T, r *replay.Recording) (lines []string) {
	var b brief
	known := newTally()
	for _, m := range read(t, r.Stream, Needed()) {
		if !known.take(m) {
			continue
		}
		for _, e := range Normalise(m, 1) {
			lines = append(lines, b.line(e))
		}
	}
	return lines
}

// watched is a Connector's Run under the eyes of a test.
type watched struct {
	facts chan call.Event
	err   chan error
	stop  context.CancelFunc
	c     *Connector
}

func connect(t *testing.T, cfg Config) *watched {
	t.Helper()
	l := &watched{c: New(cfg)}
	l.run(t, 1)
	return l
}

func (l *watched) run(t *testing.T, session uint64) {
	ctx, stop := context.WithCancel(context.Background())
	l.facts, l.err, l.stop = make(chan call.Event, 4096), make(chan error, 1), stop
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.err <- l.c.Run(ctx, session, func(e call.Event) { l.facts <- e })
	}()
	t.Cleanup(func() { stop(); <-done })
}

// patience is when a test gives up waiting: no verdict depends on it.
const patience = 20 * time.Second

func (l *watched) next(t *testing.T) call.Event {
	t.Helper()
	select {
	case e := <-l.facts:
		return e
	case err := <-l.err:
		l.err <- err
		select {
		case e := <-l.facts: // stated before the end
			return e
		default:
			t.Fatalf("the link ended: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("no fact came")
	}
	return call.Event{}
}

// until gives the facts up to the first of a kind.
func (l *watched) until(t *testing.T, kind call.Kind) []call.Event {
	t.Helper()
	for all := []call.Event{}; ; {
		all = append(all, l.next(t))
		if all[len(all)-1].Kind == kind {
			return all
		}
	}
}

// end waits for Run to return.
func (l *watched) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-l.err:
		l.err <- err
		return err
	case <-time.After(patience):
		t.Fatal("the link did not end")
		return nil
	}
}
