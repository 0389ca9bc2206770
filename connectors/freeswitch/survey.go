package freeswitch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/wire"
)

// survey is the PBX being asked how things stand, on a connection of its own:
// at the beginning of a session, and again after a loss.
//
// "show channels" comes from a database that FreeSWITCH fills by and by
// (switch_core_sqldb.c), so that it may name legs that are gone; "uuid_dump" asks
// the channel itself, and says what an event of it would say. A leg that the
// list does not name yet tells of itself in its own events.
type survey struct {
	version string
	core    string
	started call.Moment // of FreeSWITCH's process
	listed  bool        // rows is the whole list
	rows    []row
	dumps   map[string]Message // by uuid, what each channel says of itself
	err     error              // what could not be asked
}

// row is a line of "show channels as json".
type row struct {
	UUID        string `json:"uuid"`
	Direction   string `json:"direction"`
	Created     string `json:"created_epoch"`
	Name        string `json:"name"`
	Number      string `json:"cid_num"`
	Dest        string `json:"dest"`
	App         string `json:"application"`
	Data        string `json:"application_data"`
	Context     string `json:"context"`
	Account     string `json:"accountcode"`
	State       string `json:"callstate"`
	Call        string `json:"call_uuid"`
	FirstName   string `json:"initial_cid_name"`
	FirstNumber string `json:"initial_cid_num"`
	FirstDest   string `json:"initial_dest"`
}

// dumpsMost bounds the questions after single channels: with more the list
// must do.
const dumpsMost = 500

// question asks the PBX something and gives its answer and when it came.
type question func(text string) (answer string, at time.Time, err error)

// asking hands a connection of its own to f, to ask what it wants. What is said
// there is in the recording, if one is made; so is what f gives back.
func (c *Connector) asking(ctx context.Context, f func(question) error) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.link.AnswerWithin, fmt.Errorf("no answer within %v", c.link.AnswerWithin))
	defer cancel()
	defer func() {
		text := ""
		if err != nil {
			text = err.Error()
		}
		c.link.Record(wire.Surveyed, text, time.Now())
	}()
	line, _, err := c.signedIn(ctx, nil)
	if err != nil {
		return err
	}
	defer line.Close()
	return f(func(text string) (string, time.Time, error) {
		r, err := ask(line, text)
		now := time.Now()
		if err == nil {
			c.link.Record(wire.Answered, text+"\n"+r.text(), now)
		}
		return r.text(), now, err
	})
}

// survey asks everything. It never fails as a whole: what could not be asked is
// in err.
func (c *Connector) survey(ctx context.Context) *survey {
	v := &survey{dumps: make(map[string]Message)}
	v.err = c.asking(ctx, v.ask)
	return v
}

// list gives the channels that are up.
func list(ask question) ([]row, error) {
	text, _, err := ask("api show channels as json")
	if err != nil {
		return nil, fmt.Errorf("show channels: %w", err)
	}
	if strings.HasPrefix(text, "-") {
		return nil, fmt.Errorf("show channels: the PBX says %s", wire.Quote([]byte(text)))
	}
	var table struct {
		Rows []row `json:"rows"`
	}
	if err := json.Unmarshal([]byte(text), &table); err != nil {
		return nil, fmt.Errorf("show channels: %w", err)
	}
	return table.Rows, nil
}

// askable says that a channel's id can stand in a question.
func askable(uuid string) bool { return uuid != "" && !strings.ContainsAny(uuid, " \r\n\x00") }

func (v *survey) ask(ask question) error {
	status, at, err := ask("api status")
	if err != nil {
		return fmt.Errorf("status: %w", err)
	}
	v.readStatus(status, at)
	// Not every user may ask it, and not every version knows it: then the first
	// event tells.
	if core, _, err := ask("api global_getvar core_uuid"); err != nil {
		return fmt.Errorf("global_getvar: %w", err)
	} else if text := strings.TrimSpace(core); len(text) == 36 && strings.Count(text, "-") == 4 {
		v.core = text
	}
	rows, err := list(ask)
	if err != nil {
		return err
	}
	for i, r := range rows {
		if i >= dumpsMost || !askable(r.UUID) {
			v.rows = append(v.rows, r)
			continue
		}
		dump, _, err := ask("api uuid_dump " + r.UUID + " json")
		if err != nil { // the list is whole all the same
			v.rows, v.listed = append(v.rows, rows[i:]...), true
			return fmt.Errorf("uuid_dump: %w", err)
		}
		m := readDump(dump)
		switch {
		case m.channelTime("Created") != 0:
			v.dumps[r.UUID] = m
		case strings.HasPrefix(dump, "-ERR No such channel"):
			// Only a plain no means that the list is behind: who may not ask, or a
			// channel that cannot tell of itself yet, is no reason to give a call up.
			exists, _, err := ask("api uuid_exists " + r.UUID)
			if err != nil {
				v.rows, v.listed = append(v.rows, rows[i:]...), true
				return fmt.Errorf("uuid_exists: %w", err)
			}
			if strings.TrimSpace(exists) == "false" {
				continue
			}
		}
		v.rows = append(v.rows, r)
	}
	v.listed = true
	return nil
}

// readDump reads the answer to uuid_dump; nil if it is none.
func readDump(text string) Message {
	raw := make(map[string]any)
	if json.Unmarshal([]byte(text), &raw) != nil {
		return nil
	}
	m := make(Message, len(raw))
	for name, value := range raw {
		m[recased(name)] = value
	}
	return m
}

// readStatus reads "UP 0 years, 1 day, ..." and the version behind it.
func (v *survey) readStatus(text string, now time.Time) {
	first, rest, _ := strings.Cut(text, "\n")
	if up, ok := strings.CutPrefix(first, "UP "); ok {
		age := time.Duration(0)
		for _, part := range strings.Split(up, ",") {
			count, unit, _ := strings.Cut(strings.TrimSpace(part), " ")
			n, err := strconv.Atoi(count)
			if err != nil || n < 0 || n > 1_000_000_000 {
				return
			}
			for name, one := range map[string]time.Duration{"year": 365 * 24 * time.Hour, "day": 24 * time.Hour, "hour": time.Hour,
				"minute": time.Minute, "second": time.Second, "millisecond": time.Millisecond, "microsecond": time.Microsecond} {
				if strings.TrimSuffix(unit, "s") == name && n <= int(time.Duration(1<<62)/one) {
					age += time.Duration(n) * one
				}
			}
		}
		if age > 0 {
			v.started = call.MomentOf(now.Add(-age))
		}
	}
	if _, after, ok := strings.Cut(rest, "(Version "); ok {
		version, _, _ := strings.Cut(after, ")")
		v.version = strings.Join(strings.Fields(version), " ")
	}
}

// ids are the legs that are up.
func (v *survey) ids() []call.LegID {
	ids := make([]call.LegID, len(v.rows))
	for i, r := range v.rows {
		ids[i] = call.LegID(r.UUID)
	}
	return ids
}

// live gives the legs that are up.
func (v *survey) live() []call.LiveLeg {
	bridges := v.bridges()
	legs := make([]call.LiveLeg, 0, len(v.rows))
	for _, r := range v.rows {
		if r.UUID == "" {
			continue
		}
		l := v.leg(r)
		if room := v.dumps[r.UUID].variable("conference_uuid"); room != "" && l.App == call.AppConference {
			l.Bridge, l.BridgeKind = room, call.BridgeConference
		} else {
			l.Bridge = bridges[r.UUID]
		}
		legs = append(legs, l)
	}
	return legs
}

// leg is one leg: what its channel says of itself, and what the list alone
// keeps: the numbers as they were at the beginning.
func (v *survey) leg(r row) call.LiveLeg {
	m, dumped := v.dumps[r.UUID]
	if !dumped {
		m = r.message()
	}
	e := m.described(call.LegSeen)
	e.Originated = e.Originated && dumped // the list alone does not say who asked for a leg
	l := call.LiveLeg{
		Leg: call.LegID(r.UUID), Link: e.Link, Channel: e.Channel, Endpoint: e.Endpoint, Local: e.Local, State: e.State,
		Number: e.Number, CallerName: e.CallerName, Connected: e.Connected, Dialled: e.Dialled, Context: e.Context, Account: e.Account,
		Queue: e.Queue, Created: m.channelTime("Created"), Peer: e.Peer, Originated: e.Originated,
	}
	if r.Direction != "outbound" {
		if r.FirstNumber != "" {
			l.Number = r.FirstNumber
		}
		if r.FirstName != "" && r.FirstName != l.Number {
			l.CallerName = r.FirstName
		}
		if r.FirstDest != "" {
			l.Dialled = r.FirstDest
		}
		if l.Link == "" {
			l.Link = r.UUID // the list gives a call no id before it is bridged
		}
	}
	if half := m.variable("other_loopback_leg_uuid"); half != "" {
		l.Peer = call.LegID(half)
	}
	if l.Created == 0 {
		l.Created = seconds(r.Created)
	}
	switch {
	case r.answered():
		l.State = call.StateUp
	case r.State == "RINGING" && r.Direction == "outbound":
		l.State = call.StateRinging
	}
	if m.channelTime("Answered") != 0 {
		l.State = call.StateUp
	}
	for _, f := range m.executes(r.App, r.Data) {
		l.App, l.Data = f.App, f.Data
		if f.App == call.AppQueue {
			l.Queue = f.Data
		}
	}
	return l
}

// message is a row as an event would have it, as far as a row goes.
func (r row) message() Message {
	m := Message{}
	for name, value := range map[string]string{
		"Unique-ID": r.UUID, "Channel-Name": r.Name, "Call-Direction": r.Direction, "Channel-Call-UUID": r.Call,
		"Caller-Caller-ID-Number": r.Number, "Caller-Destination-Number": r.Dest, "Caller-Context": r.Context, "variable_accountcode": r.Account,
	} {
		if value != "" {
			m[spelling(name)] = value
		}
	}
	// Of a leg that is called the list does not say by whom: the call's first
	// leg, or it has a call of its own.
	if r.Direction == "outbound" && r.Call != "" && r.Call != r.UUID {
		m[spelling("variable_originator")] = r.Call
	}
	return m
}

// answered reads FreeSWITCH's callstate.
func (r row) answered() bool { return r.State == "ACTIVE" || r.State == "HELD" || r.State == "UNHELD" }

// bridges finds who talks with whom: a channel that was bridged names the other
// (bridge_uuid), and that one names it, or nobody who is up. Where only the list
// is to be had, an answered channel names another's call.
func (v *survey) bridges() map[string]string {
	bridges := make(map[string]string)
	rows := make(map[string]row, len(v.rows))
	for _, r := range v.rows {
		rows[r.UUID] = r
	}
	// names is whom a channel says to be bridged with, if that one is up.
	names := func(r row) string {
		other := r.Call
		if m := v.dumps[r.UUID]; m != nil {
			if m.channelTime("Bridged") == 0 {
				return ""
			}
			other = m.variable("bridge_uuid")
		} else if !r.answered() || !rows[other].answered() {
			return ""
		}
		if _, up := rows[other]; !up || other == r.UUID {
			return ""
		}
		return other
	}
	for _, r := range v.rows {
		other := names(r)
		if other == "" {
			continue
		}
		if back := names(rows[other]); back == r.UUID || back == "" {
			id := bridgeID(r.UUID, other)
			bridges[r.UUID], bridges[other] = id, id
		}
	}
	return bridges
}

// facts are what the channels say of what has happened to them already.
func (v *survey) facts(seen call.Moment) []call.Event {
	var facts []call.Event
	for _, r := range v.rows {
		m := v.dumps[r.UUID]
		if m == nil {
			continue
		}
		add := func(k call.Kind, at call.Moment) {
			if at != 0 {
				facts = append(facts, call.Event{Kind: k, Leg: call.LegID(r.UUID), At: at, Seen: seen})
			}
		}
		if m.outbound() {
			add(call.LegRinging, m.channelTime("Progress"))
		}
		add(call.LegAnswered, m.channelTime("Answered"))
		if half := m.variable("other_loopback_leg_uuid"); half != "" {
			facts = append(facts, call.Event{Kind: call.LegPaired, Leg: call.LegID(r.UUID), Peer: call.LegID(half), At: m.channelTime("Created"), Seen: seen})
		}
	}
	return facts
}

// advised keeps the standing warning about questions that were not answered.
func (c *Connector) advised(v *survey) {
	switch {
	case v.err == nil:
		c.link.Warn(warnSilent, "")
	case errors.Is(v.err, context.Canceled), errors.Is(v.err, io.EOF):
		// the session itself ends
	default:
		c.link.Warn(warnSilent, fmt.Sprintf("calls that are up at a connect may not be recognised, for the PBX could not be asked (%v): the user needs esl-allowed-api \"status show uuid_dump uuid_exists global_getvar\"", v.err))
	}
}
