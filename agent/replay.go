package agent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/journal"
	"calljournal/connectors/wire"
)

// Replayed is what came out of a recorded link.
type Replayed struct {
	Records   []call.Record     `json:"calls"` // as they are at the end, in the order in which they were first recorded
	Open      []call.Record     `json:"open"`  // still in progress when the recording ended
	Gaps      []call.Gap        `json:"gaps"`  // times in which the recording is blind
	Messages  uint64            `json:"messages"`
	Thinned   uint64            `json:"thinned"`
	Facts     uint64            `json:"facts"`
	Anomalies uint64            `json:"anomalies"`
	Malformed map[string]uint64 `json:"malformed"`
	Stamped   bool              `json:"stamped"` // it says when things happened
}

// settle is how long after the last message calls are given to become records.
const settle = 5 * time.Second

// Source gives the chunks of a recorded link in their order, io.EOF after the
// last.
type Source func() (wire.Chunk, error)

// Replay rebuilds calls from a recorded link, with the connector's own way of
// reading it and the rules: no PBX, no clock, no journal. If the source fails,
// what it gave until then is rebuilt, and its error comes along.
func Replay(next Source, o call.Options, d *journal.Directory) (*Replayed, error) {
	conn, err := connectRecorded(config.PBX{Name: o.PBX, Kind: o.PBXKind}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, err
	}
	p := replay{tracker: call.New(o), directory: d, at: map[string]int{}}
	var failed error
	for {
		c, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if failed = err; err != nil {
			break
		}
		switch c.Kind {
		case wire.Began:
			p.out.Stamped = p.out.Stamped || c.Seen == 0 // RawStream says so
		case wire.Heard:
			p.out.Stamped = p.out.Stamped || c.Seen != 0
		}
		conn.Reread(c, p.state)
	}
	p.pass(p.now.Add(settle))
	out := &p.out
	out.Open = p.tracker.Live(p.now)
	for i := range out.Open {
		d.Enrich(&out.Open[i])
	}
	s := conn.Stats()
	out.Messages, out.Thinned, out.Malformed = s.Messages, s.Thinned, s.Malformed
	if out.Messages == 0 {
		return out, errors.Join(failed, errors.New("there is no message in it: is it the recorded stream of a PBX of this kind?"))
	}
	return out, failed
}

// RawStream is the source of a stream that was kept as it came off the socket,
// by whatever program. It has no times of arrival: the stamps of the PBX have to
// do, and where it sent none, everything is said to have happened at begin.
func RawStream(r io.Reader, begin time.Time) Source {
	in := bufio.NewReaderSize(r, 64<<10)
	begun, ended := false, false
	return func() (wire.Chunk, error) {
		if ended {
			return wire.Chunk{}, io.EOF
		}
		if !begun {
			begun = true
			first, _ := in.Peek(64 << 10) // an error comes again
			c := wire.Chunk{Kind: wire.Began, Data: []byte("raw")}
			if !bytes.Contains(first, []byte("Timestamp")) {
				c.Seen = int64(call.MomentOf(begin))
			}
			return c, nil
		}
		buf := make([]byte, 64<<10)
		n, err := in.Read(buf)
		if n == 0 && err != nil {
			ended = true
			if errors.Is(err, io.EOF) {
				return wire.Chunk{}, io.EOF
			}
			return wire.Chunk{}, fmt.Errorf("read the stream: %w", err)
		}
		return wire.Chunk{Kind: wire.Heard, Data: buf[:n]}, nil
	}
}

// replay is one run through a recorded link.
type replay struct {
	tracker   *call.Tracker
	directory *journal.Directory
	now       call.Moment    // on the clock of who recorded
	ahead     call.Moment    // so far is the PBX's
	at        map[string]int // where a call is in out.Records
	out       Replayed
}

// pass lets time pass up to m, second by second, as it does in a running daemon.
// Of a long silence only the first minute counts: every timeout is over by then.
func (p *replay) pass(m call.Moment) {
	if p.now == 0 {
		p.now = m
	}
	for limit := 60; p.now.Add(time.Second) <= m && limit > 0; limit-- {
		p.now = p.now.Add(time.Second)
		p.apply(call.Event{Kind: call.Ticked, At: p.now + p.ahead, Seen: p.now})
	}
	p.now = max(p.now, m)
}

func (p *replay) state(e call.Event) {
	p.pass(e.Seen)
	if e.Kind == call.LinkUp {
		p.ahead = e.At - e.Seen
	}
	p.out.Facts++
	p.apply(e)
}

func (p *replay) apply(e call.Event) {
	for _, c := range p.tracker.Apply(e) {
		switch c.Op {
		case call.CallRecorded:
			p.directory.Enrich(c.Record)
			if i, ok := p.at[c.Record.ID]; ok {
				p.out.Records[i] = *c.Record
				continue
			}
			p.at[c.Record.ID] = len(p.out.Records)
			p.out.Records = append(p.out.Records, *c.Record)
		case call.CallDeleted:
			p.remove(c.ID)
		case call.GapFound:
			p.out.Gaps = append(p.out.Gaps, *c.Gap)
		case call.Anomaly:
			p.out.Anomalies++
		}
	}
}

func (p *replay) remove(id string) {
	i, ok := p.at[id]
	if !ok {
		return
	}
	p.out.Records = append(p.out.Records[:i], p.out.Records[i+1:]...)
	delete(p.at, id)
	for other, j := range p.at {
		if j > i {
			p.at[other] = j - 1
		}
	}
}
