package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/connectors/asterisk"
	"calljournal/connectors/wire"
)

// Replayed is what came out of a recorded stream.
type Replayed struct {
	Records   []call.Record     `json:"calls"` // as they are at the end, in the order in which they were first recorded
	Open      []call.Record     `json:"open"`  // still in progress when the stream ended
	Messages  uint64            `json:"messages"`
	Thinned   uint64            `json:"thinned"`
	Facts     uint64            `json:"facts"`
	Anomalies uint64            `json:"anomalies"`
	Malformed map[string]uint64 `json:"malformed"`
	Stamped   bool              `json:"stamped"` // the stream says when things happened
}

// settle is how long after the last message calls are given to become records.
const settle = 5 * time.Second

// Replay rebuilds calls from the raw stream of a manager interface, with nothing
// but the rules: no PBX, no clock, no journal. Time is what the stream's stamps
// say; begin is when it is taken to begin if it has none.
func Replay(r io.Reader, o call.Options, d *journal.Directory, begin time.Time) (*Replayed, error) {
	count := &wire.Counters{}
	var framer wire.Framer
	switch o.PBXKind {
	case "asterisk":
		framer = wire.NewAMI(asterisk.Needed(), count)
	default:
		return nil, fmt.Errorf("streams of %s cannot be replayed by this version", o.PBXKind)
	}
	p := replay{tracker: call.New(o), directory: d, seen: call.MomentOf(begin), at: map[string]int{}}
	p.state(call.Event{Kind: call.LinkUp})
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		framer.Feed(buf[:n], 0, p.message)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the stream: %w", err)
		}
	}
	p.pass(p.seen.Add(settle))
	out := &p.out
	out.Open = p.tracker.Live(p.seen)
	for i := range out.Open {
		d.Enrich(&out.Open[i])
	}
	out.Messages, out.Thinned, out.Malformed = count.Messages.Load(), count.Thinned.Load(), count.Malformed()
	if out.Messages == 0 {
		return nil, errors.New("there is no message in it: is it the raw stream of a manager interface?")
	}
	return out, nil
}

// replay is one run through a stream.
type replay struct {
	tracker   *call.Tracker
	directory *journal.Directory
	seen      call.Moment
	seq       uint64
	at        map[string]int // where a call is in out.Records
	out       Replayed
}

// message takes one message as the protocol package would read it.
func (p *replay) message(msg []byte) {
	headers := map[string]string{}
	for line := range bytes.SplitSeq(msg, []byte("\n")) {
		name, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\r"), ":")
		if !ok {
			continue
		}
		if _, twice := headers[name]; !twice {
			headers[name] = strings.TrimPrefix(value, " ")
		}
	}
	facts := asterisk.Normalise(headers, p.seen)
	if len(facts) == 0 {
		return
	}
	if stamped := headers["Timestamp"] != ""; stamped {
		if !p.out.Stamped {
			p.seen = facts[0].At // the first stamp: time begins here
		}
		p.out.Stamped = true
		p.pass(facts[0].At)
	}
	for _, e := range facts {
		e.Seen = p.seen
		p.state(e)
	}
}

// pass lets time pass up to m, second by second, as it does in a running daemon.
// After a long silence in the stream only the first minute of it counts: every
// timeout is over by then.
func (p *replay) pass(m call.Moment) {
	for limit := 60; p.seen.Add(time.Second) <= m && limit > 0; limit-- {
		p.seen = p.seen.Add(time.Second)
		p.apply(call.Event{Kind: call.Ticked, At: p.seen, Seen: p.seen})
	}
	p.seen = max(p.seen, m)
}

func (p *replay) state(e call.Event) {
	p.seq++
	e.Session, e.Seq = 1, p.seq
	if e.Seen == 0 {
		e.At, e.Seen = p.seen, p.seen
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
