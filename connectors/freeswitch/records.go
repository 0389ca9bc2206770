package freeswitch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors"
	"calljournal/connectors/spool"
)

// Records reads what FreeSWITCH itself writes of a leg when it is over: the
// files of mod_json_cdr, which know as much as its last event, or the lines of
// mod_cdr_csv, which know what their template asks for.
//
// The times of a template with *_stamp are local ones of the PBX, and nothing in
// them says of which zone: the machine's is taken, and the record says so.
type Records struct {
	columns []string // nil: found out
	zone    *time.Location
}

// NewRecords reads lines with the columns in the order given, by the names of the
// channel variables in the template. Without, it must be one of the templates that
// cdr_csv.conf.xml comes with. zone is that of the PBX's machine.
func NewRecords(columns []string, zone *time.Location) *Records {
	return &Records{columns: columns, zone: zone}
}

var _ connectors.Records = (*Records)(nil)

// The templates of cdr_csv.conf.xml. Those named sql, snom and linksys begin as
// example does.
var (
	exampleColumns = []string{"caller_id_name", "caller_id_number", "destination_number", "context", "start_stamp", "answer_stamp", "end_stamp",
		"duration", "billsec", "hangup_cause", "uuid", "bleg_uuid", "accountcode"}
	asteriskColumns = []string{"accountcode", "caller_id_number", "destination_number", "context", "caller_id", "channel_name", "bridge_channel",
		"last_app", "last_arg", "start_stamp", "answer_stamp", "end_stamp", "duration", "billsec", "hangup_cause", "amaflags", "uuid", "userfield"}
)

// Read reads a line, or a whole file of mod_json_cdr.
func (r *Records) Read(record []byte, seen call.Moment) (call.Event, error) {
	text := strings.TrimSpace(string(record))
	switch {
	case text == "":
		return call.Event{}, nil
	case strings.HasPrefix(text, "{"):
		vars, err := readJSON(text)
		if err != nil {
			return call.Event{}, err
		}
		return r.fact(vars, seen)
	}
	if values, ok := strings.CutPrefix(text, "INSERT INTO cdr VALUES ("); ok {
		text = strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(values, ";"), ")"), `", "`, `","`)
	}
	// mod_cdr_csv writes a value as it is, so a line break or a quote in one
	// cannot be told from the end of it: every line is for itself.
	fields, _ := spool.Fields(strings.TrimSuffix(text, ";"))
	if slices.Contains(fields, "uuid") && slices.Contains(fields, "hangup_cause") {
		r.columns = fields // a heading
		return call.Event{}, nil
	}
	columns := r.columns
	if columns == nil {
		switch first := slices.IndexFunc(fields, connectors.IsStamp); {
		case first == 4 && len(fields) >= len(exampleColumns)-1:
			columns = exampleColumns
		case first == 9 && len(fields) >= len(asteriskColumns)-1:
			columns = asteriskColumns
		default:
			return call.Event{}, errors.New("the order of its columns is not known: name the variables of the template in cdr_columns")
		}
	}
	if len(fields) < len(columns)-1 {
		return call.Event{}, fmt.Errorf("it has %d columns where %d were expected", len(fields), len(columns))
	}
	vars := make(map[string]string, len(columns))
	for i, f := range fields {
		if i < len(columns) {
			vars[columns[i]] = strings.TrimSpace(f)
		}
	}
	return r.fact(vars, seen)
}

// readJSON takes from a file of mod_json_cdr the channel's variables, and what the
// caller had asked for before any transfer: the oldest of its profiles.
func readJSON(text string) (map[string]string, error) {
	type profile struct {
		Number      string `json:"caller_id_number"`
		Name        string `json:"caller_id_name"`
		ANI         string `json:"ani"`
		Destination string `json:"destination_number"`
		Context     string `json:"context"`
		Originator  struct {
			Profiles []struct {
				UUID string `json:"uuid"`
			} `json:"originator_caller_profiles"`
		} `json:"originator"`
	}
	var file struct {
		Variables map[string]any `json:"variables"`
		Callflow  []struct {
			Profile profile `json:"caller_profile"`
		} `json:"callflow"`
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	vars := make(map[string]string, len(file.Variables))
	for name, v := range file.Variables {
		s, ok := v.(string)
		if !ok {
			continue
		}
		// encode-values, which is on unless it is switched off
		if plain, err := url.PathUnescape(s); err == nil {
			s = plain
		}
		vars[name] = s
	}
	if n := len(file.Callflow); n > 0 {
		p := file.Callflow[n-1].Profile
		vars["caller_id_number"], vars["caller_id_name"] = p.Number, p.Name
		vars["destination_number"], vars["context"] = p.Destination, p.Context
		if vars["fifo_role"] == "caller" && p.ANI != "" {
			vars["caller_id_number"], vars["caller_id_name"] = p.ANI, "" // mod_fifo puts the agent's in their place
		}
		for _, f := range file.Callflow {
			if o := f.Profile.Originator.Profiles; len(o) > 0 {
				vars["originator"] = o[0].UUID
			}
		}
	}
	return vars, nil
}

// fact makes the fact of a leg's variables, through the same reading as of the
// event by which the leg would have ended.
func (r *Records) fact(vars map[string]string, seen call.Moment) (call.Event, error) {
	for name, v := range vars {
		if name == "hold_events" || name == "transfer_history" { // lists
			vars[name] = strings.ToValidUTF8(v, "\uFFFD")
		} else {
			vars[name] = connectors.Text(v)
		}
	}
	if vars["uuid"] == "" {
		return call.Event{}, fmt.Errorf("%w: let the template write ${uuid}", connectors.ErrNoID)
	}
	// A template says less of how legs belong together than the channel knew.
	if vars["last_bridge_to"] == "" && vars["bleg_uuid"] != "" {
		vars["last_bridge_to"] = vars["bleg_uuid"]
	}
	if vars["direction"] == "outbound" && vars["originator"] == "" && vars["originating_leg_uuid"] == "" && vars["cc_member_session_uuid"] == "" && vars["call_uuid"] != vars["uuid"] {
		vars["originator"] = vars["call_uuid"]
	}
	m := Message{}
	set := func(header, value string) {
		if value != "" {
			m[spelling(header)] = value
		}
	}
	for name, v := range vars {
		set("variable_"+name, v)
	}
	set("Unique-ID", vars["uuid"])
	set("Channel-Name", vars["channel_name"])
	set("Call-Direction", vars["direction"])
	set("Channel-Call-UUID", vars["call_uuid"])
	set("Caller-Caller-ID-Number", vars["caller_id_number"])
	set("Caller-Caller-ID-Name", vars["caller_id_name"])
	set("Caller-Destination-Number", vars["destination_number"])
	set("Caller-Context", vars["context"])
	set("Hangup-Cause", vars["hangup_cause"])
	local := false
	for header, name := range map[string]string{"Created": "start", "Progress": "progress", "Progress-Media": "progress_media",
		"Answered": "answer", "Bridged": "bridge", "Hangup": "end"} {
		at, guess := r.moment(vars, name)
		local = local || guess
		set("Caller-Channel-"+header+"-Time", at)
	}
	facts := m.ended()
	if len(facts) == 0 || m.channelTime("Created") == 0 || m.channelTime("Hangup") < m.channelTime("Created") {
		return call.Event{}, fmt.Errorf("it does not say from when to when: %.30q, %.30q", vars["start_stamp"]+vars["start_uepoch"], vars["end_stamp"]+vars["end_uepoch"])
	}
	e := facts[len(facts)-1]
	for _, f := range facts[:len(facts)-1] {
		switch f.Kind {
		case call.Executed:
			e.App, e.Data, e.File = f.App, f.Data, f.File
		case call.Transferred:
			e.Transfer = f.Transfer
		}
	}
	if e.History.Vars == nil {
		e.History.Vars = map[string]string{}
	}
	with := vars["last_bridge_to"]
	switch {
	case vars["cc_side"] == "agent" && vars["cc_agent_type"] == "uuid-standby":
		e.App, e.Queue = call.AppAgent, vars["cc_queue"]
	case with != "" && vars["fifo_role"] == "caller":
		e.Link = string(e.Leg) // mod_fifo gives him the agent's
		e.History.Vars[call.VarQueueAgent] = with
	case with != "" && vars["cc_agent_uuid"] == with:
		e.History.Vars[call.VarQueueAgent] = with
	}
	e.Kind, e.Seen = call.Reported, seen
	if local {
		e.Doubt = call.DoubtZoneAssumed
	}
	if half := vars["other_loopback_leg_uuid"]; half != "" {
		e.History.Vars["other_loopback_leg_uuid"] = half
	}
	e.PeerChannel = vars["bridge_channel"]
	if e.Cause != nil && e.Cause.Q850 == 0 {
		e.Cause.Q850 = q850[e.Cause.Text]
	}
	if e.History.Bridged == 0 && vars["bridge_uepoch"] == "" && vars["start_uepoch"] == "" {
		r.coarse(&e, vars)
	}
	return e, nil
}

// q850 are the numbers of those causes (switch_types.h) that say how a call ended
// which nobody answered, for templates without hangup_cause_q850.
var q850 = map[string]int{"UNALLOCATED_NUMBER": 1, "NO_ROUTE_DESTINATION": 3, "NORMAL_CLEARING": 16, "USER_BUSY": 17, "NO_USER_RESPONSE": 18, "NO_ANSWER": 19,
	"CALL_REJECTED": 21, "DESTINATION_OUT_OF_ORDER": 27, "INVALID_NUMBER_FORMAT": 28, "NORMAL_TEMPORARY_FAILURE": 41}

// coarse is for a template that does not tell when the legs were joined: then it
// is a row about this leg and the other.
func (r *Records) coarse(e *call.Event, vars map[string]string) {
	e.Connected = vars["destination_number"]
	if vars["direction"] == "" { // legs=a, as it comes: only those that called
		e.State, e.Originated = call.StateCalling, false
	}
	e.Peer = call.LegID(vars["bleg_uuid"])
	e.Result = "CHANUNAVAIL"
	switch cause := vars["hangup_cause"]; {
	case e.History.Answered != 0:
		e.Result = "ANSWER"
	case cause == "USER_BUSY":
		e.Result = "BUSY"
	case cause == "NO_ANSWER" || cause == "NO_USER_RESPONSE" || cause == "ALLOTTED_TIMEOUT":
		e.Result = "NOANSWER"
	case cause == "ORIGINATOR_CANCEL":
		e.Result, e.By = "NOANSWER", call.EndedByFarEnd
	}
	if e.App == call.AppNone {
		e.App = call.AppDial
	}
}

// moment is a time of a leg in microseconds since the epoch; guess says that it
// is of a zone that had to be assumed.
func (r *Records) moment(vars map[string]string, name string) (us string, guess bool) {
	if v := vars[name+"_uepoch"]; v != "" {
		return v, false
	}
	if s, err := strconv.ParseInt(vars[name+"_epoch"], 10, 64); err == nil && s > 0 && s < latest/1_000_000 {
		return strconv.FormatInt(s*1_000_000, 10), false
	}
	t, ok := connectors.Stamp(vars[name+"_stamp"], r.zone)
	if !ok {
		return "", false
	}
	return strconv.FormatInt(t.UnixMicro(), 10), true
}
