package agent_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"calljournal/agent/call"
	"calljournal/connectors/asterisk"
	"calljournal/connectors/freeswitch"
	"calljournal/connectors/replay"
	"calljournal/connectors/wire"
)

// This file is the way from a recording's bytes to the tracker's facts as the
// connectors go it, but for the socket and the protocol packages: wire's framer,
// then Normalise. What a connector asks when it connects is taken from what the
// recorder was answered.

// heard is one message of the PBX, when it came, and the facts it states.
type heard struct {
	seen  call.Moment
	part  int
	name  string // of the event
	facts []call.Event
}

// pieces says how the stream is cut on its way: the sizes of the next pieces.
// Nil: as recorded.
type pieces func() int

// hear gives what a recording says, and what the recorder was answered at the
// beginning of each part.
func hear(t rapid.TB, r *replay.Recording, v variant, cut pieces) (said []heard, answers map[int][]map[string]string) {
	t.Helper()
	answers = map[int][]map[string]string{}
	for _, m := range r.Messages() {
		if r.Kind == replay.FreeSWITCH {
			if rows, ok := rowsOf(m.Body); ok && len(answers[m.Part]) == 0 {
				answers[m.Part] = rows
			}
		} else if h := headersOf(m.Raw); ownAMI(h) {
			answers[m.Part] = append(answers[m.Part], h)
		}
	}
	part, left := 0, 0 // of this part
	var framer wire.Framer
	begin := func() {
		if r.Kind == replay.FreeSWITCH {
			framer = wire.NewESL(freeswitch.Needed(), new(wire.Counters))
		} else {
			framer = wire.NewAMI(asterisk.Needed(), new(wire.Counters))
		}
		left = len(r.Stream)
		if part < len(r.Parts)-1 {
			left = r.Parts[part].Bytes
		}
	}
	begin()
	take := func(frame []byte) {
		if r.Kind == replay.FreeSWITCH {
			m, seen := messageESL(t, frame)
			name, _ := m["Event-Name"].(string)
			if sub, _ := m["Event-Subclass"].(string); sub != "" {
				name = sub
			}
			said = append(said, heard{seen, part, name, freeswitch.Normalise(m, seen)})
			return
		}
		h, seen := messageAMI(t, frame)
		if ownAMI(h) {
			return
		}
		if !v.stamps {
			delete(h, "Timestamp")
		}
		said = append(said, heard{seen, part, h["Event"], asterisk.Normalise(h, seen)})
	}
	stream := r.Stream
	for _, c := range r.Chunks {
		chunk := stream[:c.Bytes]
		stream = stream[c.Bytes:]
		seen := r.T0.Add(c.At).UnixMicro()
		for len(chunk) > 0 {
			n := len(chunk)
			if cut != nil {
				n = min(n, cut())
			}
			n = min(n, left)
			framer.Feed(chunk[:n], seen, take)
			chunk, left = chunk[n:], left-n
			if left == 0 && part < len(r.Parts)-1 {
				part++
				begin()
			}
		}
	}
	return said, answers
}

// messageAMI reads one message as it leaves the framer, as amigo does.
func messageAMI(t rapid.TB, frame []byte) (map[string]string, call.Moment) {
	t.Helper()
	h := headersOf(frame)
	us, err := strconv.ParseInt(h[wire.AMISeen], 10, 64)
	if err != nil {
		t.Fatalf("no stamp of arrival in %q", frame)
	}
	return h, call.Moment(us)
}

func headersOf(message []byte) map[string]string {
	h := map[string]string{}
	for line := range bytes.SplitSeq(message, []byte("\r\n")) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			h[string(name)] = strings.TrimSpace(string(value))
		}
	}
	return h
}

// messageESL reads one event as it leaves the framer, as go-eventsocket does.
func messageESL(t rapid.TB, frame []byte) (freeswitch.Message, call.Moment) {
	t.Helper()
	_, body, _ := bytes.Cut(frame, []byte("\n\n"))
	raw := map[string]any{}
	if err := json.Unmarshal(body, &raw); err != nil {
		t.Fatalf("%v in %q", err, frame)
	}
	m := make(freeswitch.Message, len(raw))
	for k, v := range raw {
		m[recased(k)] = v
	}
	seen, _ := m[recased(wire.ESLSeen)].(string)
	us, err := strconv.ParseInt(seen, 10, 64)
	if err != nil {
		t.Fatalf("no stamp of arrival in %q", frame)
	}
	return m, call.Moment(us)
}

// recased spells a header's name as go-eventsocket does.
func recased(name string) string {
	if name == "" || name[0] == '_' {
		return name
	}
	b := []byte(strings.ToLower(name))
	if strings.HasPrefix(string(b), "variable_") {
		b[0] = 'V'
		return string(b)
	}
	up := true
	for i, c := range b {
		if up && 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
		up = !up && (c == '-' || c == '_')
	}
	return string(b)
}

// ownAMI says that a message answered the recorder's own requests.
func ownAMI(h map[string]string) bool {
	if h["Event"] == "" || strings.HasPrefix(h["ActionID"], "rec-") {
		return true
	}
	switch h["Event"] {
	case "CoreShowChannel", "CoreShowChannelsComplete", "Status", "StatusComplete", "QueueParams", "QueueMember", "QueueEntry",
		"QueueStatusComplete", "BridgeListItem", "BridgeListComplete", "ParkedCallsComplete", "FullyBooted":
		return true
	}
	return false
}

// rowsOf reads the answer to "show channels as json".
func rowsOf(body []byte) ([]map[string]string, bool) {
	if !bytes.HasPrefix(body, []byte(`{"row_count"`)) {
		return nil, false
	}
	var list struct {
		Rows []map[string]string `json:"rows"`
	}
	return list.Rows, json.Unmarshal(body, &list) == nil
}

// session numbers the facts of one link.
type session struct {
	id, seq uint64
	facts   []call.Event
}

func (s *session) state(facts ...call.Event) {
	for _, e := range facts {
		s.seq++
		e.Session, e.Seq = s.id, s.seq
		s.facts = append(s.facts, e)
	}
}

// factsOf gives what a connector would state of a recording, with the time
// passing in between.
func factsOf(t rapid.TB, r *replay.Recording, v variant) []call.Event {
	t.Helper()
	said, answers := hear(t, r, v, nil)
	return linked(r, said, answers)
}

// linked puts the link's own facts between what was heard: up, how things stand,
// down, up again, and the ticks of the clock.
func linked(r *replay.Recording, said []heard, answers map[int][]map[string]string) []call.Event {
	s := session{}
	part := -1
	tick := call.MomentOf(r.T0)
	up := func(to int) {
		for ; part < to; part++ {
			begin := call.MomentOf(r.T0)
			up := call.Event{Kind: call.LinkUp}
			if part >= 0 {
				down := call.MomentOf(r.T0.Add(r.Cuts[part].At))
				s.state(call.Event{Kind: call.LinkDown, At: down, Seen: down, Data: "cut"})
				begin = call.MomentOf(r.T0.Add(r.Parts[part+1].Start))
			}
			up.At, up.Seen = begin, begin
			started, anew := startOf(r, answers[part+1], part+1, begin)
			up.From = started
			s.id++
			s.seq = 0
			s.state(up)
			if anew && part >= 0 {
				s.state(call.Event{Kind: call.PBXStarted, At: begin, Seen: begin, From: started})
			}
			s.state(snapshotOf(r.Kind, answers[part+1], begin))
		}
	}
	for _, m := range said {
		for ; tick < m.seen; tick = tick.Add(time.Second) {
			s.facts = append(s.facts, call.Event{Kind: call.Ticked, At: tick, Seen: tick})
		}
		up(m.part)
		s.state(m.facts...)
	}
	up(max(0, len(r.Parts)-1))
	return s.facts
}

// startOf tells since when the PBX of a part runs, and whether it was started
// after the part before.
func startOf(r *replay.Recording, answers []map[string]string, part int, begin call.Moment) (started call.Moment, anew bool) {
	if r.Kind == replay.FreeSWITCH {
		cores := map[string]int{}
		for _, m := range r.Messages() {
			_, rest, _ := bytes.Cut(m.Body, []byte("\nCore-UUID: "))
			if id, _, ok := bytes.Cut(rest, []byte("\n")); ok {
				if first, known := cores[string(id)]; !known {
					cores[string(id)] = m.Part
				} else if first == part {
					anew = part > 0
				}
			}
		}
		return 0, anew
	}
	for _, h := range answers {
		if up, err := strconv.Atoi(h["Uptime"]); h["Event"] == "FullyBooted" && err == nil {
			started = begin.Add(-time.Duration(up) * time.Second)
			return started, part > 0 && started.Time().After(r.T0.Add(r.Cuts[part-1].At).Add(-time.Second))
		}
	}
	return 0, false
}

// snapshotOf makes of what was answered at the beginning of a session what the
// connector makes of it.
func snapshotOf(kind string, answers []map[string]string, now call.Moment) call.Event {
	snap := call.Event{Kind: call.Snapshot, At: now, Seen: now}
	if kind == replay.FreeSWITCH {
		for _, row := range answers {
			snap.Live = append(snap.Live, liveESL(row, now))
		}
		return snap
	}
	dialled := map[string]string{}
	for _, h := range answers {
		if h["Event"] == "Status" {
			dialled[h["Uniqueid"]] = h["DNID"]
		}
	}
	for _, h := range answers {
		if h["Event"] == "CoreShowChannel" {
			snap.Live = append(snap.Live, liveAMI(h, dialled[h["Uniqueid"]], now))
		}
	}
	return snap
}

// as is what an event with the given headers would state.
func as(h map[string]string, now call.Moment, event string) call.Event {
	m := map[string]string{}
	for k, v := range h {
		m[k] = v
	}
	m["Event"], m["AppData"] = event, h["ApplicationData"]
	for _, e := range asterisk.Normalise(m, now) {
		return e
	}
	return call.Event{}
}

func liveAMI(h map[string]string, dialled string, now call.Moment) call.LiveLeg {
	leg, app := as(h, now, "Newchannel"), as(h, now, "Newexten")
	l := call.LiveLeg{Leg: leg.Leg, Link: leg.Link, Channel: leg.Channel, Endpoint: leg.Endpoint, Local: leg.Local, State: leg.State,
		Number: leg.Number, CallerName: leg.CallerName, Connected: h["ConnectedLineNum"], Dialled: leg.Dialled, Context: leg.Context,
		Account: leg.Account, Bridge: h["BridgeId"], App: app.App, Data: app.Data}
	if l.Connected == "<unknown>" {
		l.Connected = ""
	}
	if dialled != "" {
		l.Dialled = dialled
	}
	if l.App == call.AppQueue {
		l.Queue = l.Data
	}
	var hh, mm, ss int
	if _, err := fmt.Sscanf(h["Duration"], "%d:%d:%d", &hh, &mm, &ss); err == nil {
		l.Created = now.Add(-time.Duration(hh*3600+mm*60+ss) * time.Second)
	}
	return l
}

// liveESL reads one row of "show channels" by writing it as the event that the
// channel's creation would have been.
func liveESL(row map[string]string, now call.Moment) call.LiveLeg {
	m := freeswitch.Message{}
	for header, column := range map[string]string{"Unique-ID": "uuid", "Channel-Call-UUID": "call_uuid", "Channel-Name": "name",
		"Call-Direction": "direction", "Caller-Caller-ID-Number": "cid_num", "Caller-Caller-ID-Name": "cid_name",
		"Caller-Destination-Number": "dest", "Caller-Context": "context", "variable_accountcode": "accountcode"} {
		m[recased(header)] = row[column]
	}
	if first := row["initial_dest"]; first != "" {
		m[recased("Caller-Destination-Number")] = first // dest is where it has got to
	}
	m["Event-Name"] = "CHANNEL_CREATE"
	l := call.LiveLeg{Leg: call.LegID(row["uuid"]), Created: now}
	for _, e := range freeswitch.Normalise(m, now) {
		if e.Kind == call.LegCreated {
			l = call.LiveLeg{Leg: e.Leg, Link: e.Link, Channel: e.Channel, Endpoint: e.Endpoint, Local: e.Local, State: e.State, Number: e.Number,
				CallerName: e.CallerName, Connected: e.Connected, Dialled: e.Dialled, Context: e.Context, Account: e.Account, Peer: e.Peer}
		}
	}
	if s, err := strconv.ParseInt(row["created_epoch"], 10, 64); err == nil {
		l.Created = call.Moment(s * 1e6)
	}
	switch row["callstate"] {
	case "ACTIVE", "HELD":
		l.State = call.StateUp
	case "RINGING":
		if row["direction"] == "outbound" {
			l.State = call.StateRinging
		}
	}
	if l.Link != string(l.Leg) && l.Link != "" && l.State == call.StateUp {
		l.Bridge, l.Peer = l.Link, call.LegID(l.Link)
	}
	return l
}
