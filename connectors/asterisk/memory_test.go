package asterisk

import (
	"bytes"
	"runtime"
	"testing"

	"calljournal/agent/call"
)

// A million events leave no more behind than a quarter of a million.
func TestRun_MemoryStaysFlat(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("a million events take too long")
	}
	stream := recordedStream(t)
	events := bytes.Count(stream, []byte("\nEvent: "))
	round := (250_000 + events - 1) / events
	goOn := make(chan struct{})
	l := newLink(t, Config{Address: serve(t, func(p *peer) {
		if !p.login("") || !p.survey() {
			return
		}
		for n := 1; ; n++ {
			for range round {
				p.raw(stream)
			}
			p.say("%s", hangup(999_999))
			if _, ok := <-goOn; !ok {
				break
			}
		}
		p.stay()
	})})
	ended := make(chan struct{})
	l.run(t, func(e call.Event) {
		if e.Leg == "1795376013.999999" {
			ended <- struct{}{}
		}
	})
	heap := func() uint64 {
		<-ended
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	first := heap()
	var last uint64
	for range 3 {
		goOn <- struct{}{}
		last = heap()
	}
	close(goOn)
	if s := l.Stats(); s.Messages < 1_000_000 || s.DroppedByQueue > 0 {
		t.Errorf("%d messages, %d lost", s.Messages, s.DroppedByQueue)
	}
	if grown := int64(last) - int64(first); grown > 4<<20 {
		t.Errorf("%d bytes in use after the first quarter, %d after the last", first, last)
	} else {
		t.Logf("%d bytes in use after the first quarter, %d after the last", first, last)
	}
}
