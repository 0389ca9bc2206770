package freeswitch

import (
	"slices"
	"strings"

	"calljournal/connectors/wire"
)

// What a rule reads, in groups. An event of FreeSWITCH has up to 250 headers;
// every one that is not named here is cut off before anyone parses it.
var (
	// who and when: on every event
	identity = []string{"Event-Name", "Event-Subclass", "Event-Date-Timestamp", "Core-UUID", "Unique-ID"}

	// who a leg is, where it leads and who made it
	description = []string{
		"Channel-Name", "Call-Direction", "Channel-Call-UUID", "Answer-State",
		"Caller-Caller-ID-Name", "Caller-Caller-ID-Number", "Caller-Orig-Caller-ID-Name", "Caller-Orig-Caller-ID-Number",
		"Caller-Destination-Number", "Caller-RDNIS", "Caller-Context", "Caller-Channel-Created-Time",
		"Other-Type", "Other-Leg-Unique-ID", "variable_originating_leg_uuid", "variable_originator",
		"variable_other_loopback_leg_uuid", "variable_loopback_app", "variable_loopback_app_arg",
		"variable_cc_member_session_uuid", "variable_cc_queue", "variable_fifo_bridge_uuid", "variable_fifo_name",
		"variable_sip_gateway_name", "variable_sip_gateway", "variable_sip_authorized", "variable_user_name", "variable_dialed_user",
		"variable_accountcode", "variable_session_id",
	}

	// what runs on a channel
	application = []string{"variable_current_application", "variable_current_application_data"}

	// what a leg's last event says of its whole life
	history = []string{
		"Hangup-Cause", "Caller-Channel-Progress-Time", "Caller-Channel-Progress-Media-Time", "Caller-Channel-Answered-Time",
		"Caller-Channel-Bridged-Time", "Caller-Channel-Hangup-Time", "variable_hangup_cause_q850", "variable_transfer_history",
		"variable_sip_hangup_disposition", "variable_sip_invite_failure_status", "variable_sip_term_status",
		"variable_transfer_to", "variable_transfer_destination", "variable_refer_uuid",
	}

	bridge = []string{"Bridge-A-Unique-ID", "Bridge-B-Unique-ID", "Other-Leg-Unique-ID", "variable_transfer_history"}
)

// kept are the variables that go into call.LegHistory.Vars as they are.
var kept = []string{
	"endpoint_disposition", "transfer_disposition", "sip_redirected_to", "originate_disposition", "originate_failed_cause",
	"last_bridge_to", "last_bridge_hangup_cause", "bridge_hangup_cause", "loopback_hangup_cause", "last_app", "last_arg",
	"cc_cause", "cc_cancel_reason", "hold_events", "sip_h_Referred-By",
}

// Needed is what goes on to go-eventsocket: by event, in lower case, a CUSTOM
// one by its subclass. CHANNEL_STATE, CALLSTATE and EXECUTE, the bulk of what
// FreeSWITCH can send, say nothing that these do not.
func Needed() wire.Needed {
	need := func(groups ...[]string) wire.EventNeed {
		return wire.EventNeed{Headers: slices.Concat(append([][]string{identity}, groups...)...)}
	}
	only := func(n wire.EventNeed, header string, values ...string) wire.EventNeed {
		n.Only = map[string][]string{header: values}
		return n
	}
	vars := make([]string, len(kept))
	for i, name := range kept {
		vars[i] = "variable_" + name
	}
	ended := need(description, application, history, vars)
	return wire.Needed{
		"channel_create":          need(description),
		"channel_uuid":            need([]string{"Old-Unique-ID"}),
		"channel_progress":        need([]string{"Call-Direction", "Channel-Call-UUID", "Caller-Channel-Progress-Time"}),
		"channel_progress_media":  need([]string{"Call-Direction", "Caller-Channel-Progress-Media-Time"}, application),
		"channel_answer":          need([]string{"Call-Direction", "Channel-Call-UUID", "Caller-Channel-Answered-Time", "variable_sip_redirected_to"}, application),
		"channel_bridge":          need(bridge),
		"channel_unbridge":        need(bridge),
		"channel_hold":            need(),
		"channel_unhold":          need(),
		"channel_park":            need(),
		"channel_unpark":          need(),
		"channel_hangup":          need(),
		"channel_hangup_complete": ended,
		"channel_destroy":         ended,
		"record_start":            need([]string{"Record-File-Path"}, application),
		"record_stop":             need([]string{"Record-File-Path"}, application),
		"heartbeat":               need([]string{"Session-Since-Startup", "Session-Count", "Uptime-msec", "FreeSWITCH-Version"}),
		"shutdown":                need(),
		"callcenter::info": only(need([]string{"CC-Action", "CC-Queue", "CC-Member-Session-UUID", "CC-Agent", "CC-Agent-UUID", "CC-Cause", "CC-Cancel-Reason"}),
			"CC-Action", "member-queue-start", "member-queue-end", "agent-offering", "bridge-agent-start"),
		"fifo::info":          only(need([]string{"FIFO-Action", "FIFO-Name"}, application), "FIFO-Action", "push", "caller_pop", "abort", "consumer_start"),
		"valet_parking::info": need([]string{"Action", "Valet-Extension", "Valet-Lot-Name", "Bridge-To-UUID"}),
		"conference::maintenance": only(need([]string{"Action", "Conference-Name", "Conference-Unique-ID", "Conference-Size"}),
			"Action", "add-member", "del-member"),
		"vm::maintenance": only(need([]string{"VM-Action", "VM-User", "VM-File-Path", "VM-UUID", "VM-Message-Len"}),
			"VM-Action", "leave-message"),
		"spandsp::rxfaxresult": need([]string{"fax-success", "fax-result-text", "fax-remote-station-id", "fax-document-transferred-pages", "variable_fax_filename"}),
		"spandsp::txfaxresult": need([]string{"fax-success", "fax-result-text", "fax-remote-station-id", "fax-document-transferred-pages", "variable_fax_filename"}),
	}
}

// subscription is the command that asks for the needed events by name and for
// no other. Everything behind CUSTOM is a subclass, so it comes last. JSON,
// because one odd variable name ends a plain connection (PRESCRIBED.md, E4).
// allowed are the only events that the user may hear, in lower case; nil is no
// limit. FreeSWITCH refuses the whole command for one name that is not among
// them (mod_event_socket.c: parse_command).
func subscription(allowed []string) string {
	var names, subclasses []string
	for name := range Needed() {
		if allowed != nil && !slices.Contains(allowed, name) {
			continue
		}
		if strings.Contains(name, "::") {
			subclasses = append(subclasses, name)
		} else {
			names = append(names, strings.ToUpper(name))
		}
	}
	slices.Sort(names)
	slices.Sort(subclasses)
	command := "event json " + strings.Join(names, " ")
	if len(subclasses) > 0 {
		command += " CUSTOM " + strings.Join(subclasses, " ")
	}
	return command
}
