package freeswitch

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/fiorix/go-eventsocket/eventsocket"

	"calljournal/agent/call"
	"calljournal/connectors/wire"
)

// BenchmarkStream holds the whole connector against the bare loop that
// go-eventsocket's own documentation shows, both on the same stream: everything
// that a real FreeSWITCH said during many calls, subscribed to ALL, over TCP. One
// run measures both, so that it is one machine in one mood.
//
//	go test -run - -bench Stream ./connectors/freeswitch
func BenchmarkStream(b *testing.B) {
	stream, events := allEvents(b)
	var bare, ours time.Duration
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		bare += bareLoop(b, stream, events)
		ours += connectorLoop(b, stream)
	}
	rate := func(d time.Duration) float64 { return float64(events*b.N) / d.Seconds() }
	b.ReportMetric(rate(bare), "bare-events/s")
	b.ReportMetric(rate(ours), "ours-events/s")
	b.ReportMetric(rate(ours)/rate(bare), "times")
}

// allEvents is a recording as FreeSWITCH sends it to who subscribes to ALL in
// JSON, and how many events that are.
func allEvents(tb testing.TB) (stream []byte, events int) {
	f := wire.NewESL(nil, new(wire.Counters))
	for range 4 { // long enough for the start to weigh nothing
		for _, name := range []string{"mixed20", "att_xfer_refer", "queue_agent_rejects", "loopback_followme"} {
			f.Feed(recording(tb, name).Stream, 1, func(frame []byte) {
				stream = append(stream, frame...)
				events++
			})
		}
	}
	return stream, events
}

// bareLoop is how long go-eventsocket takes by itself.
func bareLoop(b *testing.B, stream []byte, events int) time.Duration {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		p := &peer{f: &fakePBX{events: func(p *peer) { p.conn.Write(stream); p.command() }}, conn: conn}
		p.f.serve(conn)
		conn.Close()
	}()
	c, err := eventsocket.Dial(l.Addr().String(), "s")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	if _, err := c.Send("event json ALL"); err != nil {
		b.Fatal(err)
	}
	for range events {
		if _, err := c.ReadEvent(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

// connectorLoop is how long the connector takes, from its subscription to the
// last fact.
func connectorLoop(b *testing.B, stream []byte) time.Duration {
	last := []byte(eventFrame("CHANNEL_ANSWER", "Unique-ID", "the-last"))
	var began time.Time
	pbx := &fakePBX{events: func(p *peer) {
		began = time.Now()
		p.conn.Write(bytes.Join([][]byte{stream, last}, nil))
		p.stay()
	}}
	address := pbx.listen(b)
	ctx, stop := context.WithCancel(context.Background())
	var took time.Duration
	err := New(Config{Address: address, Secret: "s"}).Run(ctx, 1, func(e call.Event) {
		if e.Leg == "the-last" {
			took = time.Since(began)
			stop()
		}
	})
	if err != nil || took == 0 {
		b.Fatalf("%v after %v", err, took)
	}
	stop()
	return took
}
