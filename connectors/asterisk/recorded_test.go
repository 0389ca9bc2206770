package asterisk

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"calljournal/agent/call"
	"calljournal/connectors/replay"
	"calljournal/connectors/wire"
)

// loadStream is what an all-classes user got from a real PBX at 30 calls a
// second. It is too long to live in the project; without it the recordings that
// do are taken, one after the other.
const loadStream = "../../../shared/pbx/scenarios/asterisk/load_30cps/stream.ami.gz"

func recordedStream(tb testing.TB) []byte {
	tb.Helper()
	if packed, err := os.ReadFile(loadStream); err == nil {
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			tb.Fatal(err)
		}
		stream, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		_, stream, _ = bytes.Cut(stream, []byte("\r\n"))
		return stream
	}
	recordings, err := replay.OpenArchive("../replay/testdata/asterisk.tar.zst")
	if err != nil {
		tb.Skipf("no recorded stream: %v", err)
	}
	var stream []byte
	for _, r := range recordings {
		for _, m := range r.Messages() {
			stream = append(stream, m.Raw...)
		}
	}
	return stream
}

// Every recording, played by a server over the socket, through sign-in, survey,
// queue, door and amigo, gives exactly the facts that its messages give one by
// one: nothing lost, nothing twice, nothing in another order.
func TestRun_Recordings(t *testing.T) {
	recordings, err := replay.OpenArchive("../replay/testdata/asterisk.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	options := []replay.Options{{}, {CoalesceLogin: true}, {Chop: 7}, {NoStamps: true}}
	slots := make(chan struct{}, 4) // one at a time is slow, all at once is too much
	for i, r := range recordings {
		if len(r.Cuts) > 0 || len(r.Parts) > 1 {
			continue // the link breaks: the agent's tests
		}
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			o := options[i%len(options)]
			if o.Chop > 0 && len(r.Stream) > 200_000 {
				o.Chop = 0
			}
			playRecording(t, r, o)
		})
	}
}

func playRecording(t *testing.T, r *replay.Recording, o replay.Options) {
	want := statedBy(r, o.NoStamps)
	o.User, o.Secret, o.Unpaced, o.KeepTime = testUser, testSecret, true, true
	s, err := replay.Listen(replay.Asterisk, replay.Once(r), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var pbx sync.WaitGroup
	pbx.Go(func() { s.Run(ctx) })
	defer pbx.Wait()
	defer stop()
	l := connect(t, Config{Address: s.Addr()})
	var got []call.Event
	snapshots := 0
	for len(got) < len(want) {
		e := l.next(t)
		switch e.Kind {
		case call.LinkUp:
		case call.Snapshot:
			snapshots++
		default:
			e.Session, e.Seq, e.Seen = 0, 0, 0
			if o.NoStamps {
				e.At = 0
			}
			got = append(got, e)
		}
	}
	l.stop()
	if err := l.wait(t); err != nil {
		t.Error(err)
	}
	if more := l.until(t, call.LinkDown); len(more) != 1 {
		t.Errorf("besides: %v", kinds(more))
	}
	if snapshots != 1 {
		t.Errorf("%d snapshots", snapshots)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-by one +by the link):\n%.3000s", diff)
	}
	for _, w := range l.Stats().Warnings {
		if !o.NoStamps || !strings.Contains(w, "timestampevents") {
			t.Errorf("warned: %s", w)
		}
	}
}

// statedBy are the facts of a recording's events, one message at a time.
func statedBy(r *replay.Recording, noStamps bool) []call.Event {
	var count wire.Counters
	f := wire.NewAMI(needed(), &count)
	var all []call.Event
	for _, m := range r.Messages() {
		text := string(m.Raw)
		if !strings.HasPrefix(text, "Event: ") || strings.Contains(text, "\r\nActionID: rec-") ||
			strings.HasPrefix(text, "Event: FullyBooted\r") || strings.HasPrefix(text, "Event: Cdr\r") || strings.HasPrefix(text, "Event: CEL\r") {
			continue
		}
		f.Feed(m.Raw, time.Now().UnixMicro(), func(msg []byte) {
			h := make(map[string]string)
			for line := range strings.SplitSeq(string(msg), "\r\n") {
				if name, value, ok := strings.Cut(line, ": "); ok {
					h[name] = value
				}
			}
			for _, e := range Normalise(h, 0) {
				if noStamps {
					e.At = 0
				}
				all = append(all, e)
			}
		})
	}
	return all
}
