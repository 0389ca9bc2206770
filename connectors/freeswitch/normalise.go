package freeswitch

import (
	"slices"
	"strconv"
	"strings"

	"calljournal/agent/call"
)

// Normalise turns one event into the facts it states. It has no memory: what
// can only be known from two events is the tracker's affair. An event that
// states nothing gives nil. seen is when its bytes arrived; it stands in where
// FreeSWITCH sent no time.
//
// The times are the channel's own where it has them (Caller-Channel-*-Time), for
// these do not wait in a queue before they are written down; else the event's.
func Normalise(m Message, seen call.Moment) []call.Event {
	state := statements[m.name()]
	if state == nil {
		return nil
	}
	at := m.moment("Event-Date-Timestamp")
	if at == 0 {
		at = seen
	}
	facts := state(m)
	for i := range facts {
		facts[i].Seen = seen
		if facts[i].At == 0 {
			facts[i].At = at
		}
	}
	return facts
}

// statements says what each event states.
var statements = map[string]func(Message) []call.Event{
	"channel_create": Message.created,
	"channel_uuid": func(m Message) []call.Event {
		return m.one(call.Event{Kind: call.LegAlias, Peer: m.id("Old-Unique-ID")})
	},
	"channel_progress":       Message.progress,
	"channel_progress_media": Message.progressMedia,
	"channel_answer":         Message.answered,
	"channel_bridge":         func(m Message) []call.Event { return m.bridged(call.Joined) },
	"channel_unbridge":       func(m Message) []call.Event { return m.bridged(call.Parted) },
	"channel_hold":           func(m Message) []call.Event { return m.one(call.Event{Kind: call.Held}) },
	"channel_unhold":         func(m Message) []call.Event { return m.one(call.Event{Kind: call.Resumed}) },
	"channel_park":           func(m Message) []call.Event { return m.one(call.Event{Kind: call.Executed, App: call.AppPark}) },
	"channel_unpark":         func(m Message) []call.Event { return m.one(call.Event{Kind: call.Executed, App: call.AppNone}) },
	// A thread that is busy elsewhere, as in att_xfer, says the end of its partner
	// late, and with a late time.
	"channel_hangup":          func(m Message) []call.Event { return m.one(call.Event{Kind: call.LegGone}) },
	"channel_hangup_complete": Message.ended,
	"channel_destroy":         Message.ended, // says all once more: a second chance if the first was lost
	"record_start":            func(m Message) []call.Event { return m.recording(call.RecordBegun) },
	"record_stop":             func(m Message) []call.Event { return m.recording(call.RecordEnded) },
	"callcenter::info":        Message.callcenter,
	"fifo::info":              Message.fifo,
	"valet_parking::info":     Message.valet,
	"conference::maintenance": Message.conference,
	"vm::maintenance":         Message.mailbox,
	"spandsp::rxfaxresult":    func(m Message) []call.Event { return m.fax("receive") },
	"spandsp::txfaxresult":    func(m Message) []call.Event { return m.fax("send") },
	// heartbeat and shutdown are the connector's
}

// one is e about the channel that the event is about. An event about nobody
// states nothing.
func (m Message) one(e call.Event) []call.Event {
	e.Leg = m.id("Unique-ID")
	if e.Leg == "" {
		return nil
	}
	return []call.Event{e}
}

// outbound: FreeSWITCH called this leg's far end. That says nothing about the
// call's direction.
func (m Message) outbound() bool { return m.get("Call-Direction") == "outbound" }

// local: half of a loopback channel.
func (m Message) local() bool { return strings.HasPrefix(m.get("Channel-Name"), "loopback/") }

// described is everything an event says of who its leg is. What CHANNEL_CREATE
// says of numbers holds for the leg's life: transfers, pickups and queues
// rewrite them later, so that the last event's are only for a leg whose creation
// was not seen.
func (m Message) described(k call.Kind) call.Event {
	e := call.Event{
		Kind: k, Leg: m.id("Unique-ID"), Link: m.get("Channel-Call-UUID"), Peer: m.parent(),
		Channel: m.get("Channel-Name"), Endpoint: m.endpoint(), Local: m.local(),
		Context: m.get("Caller-Context"), Account: m.variable("accountcode"),
	}
	e.Originated = m.outbound() && e.Peer == ""
	if m.outbound() {
		e.State = call.StateDown
		e.Number = m.first("variable_dialed_user", "Caller-Destination-Number")
		e.Dialled = m.get("Caller-Destination-Number")
		e.Connected = m.get("Caller-Caller-ID-Number")
	} else {
		e.State = call.StateCalling
		e.Number = m.first("Caller-Orig-Caller-ID-Number", "Caller-Caller-ID-Number")
		e.CallerName = m.first("Caller-Orig-Caller-ID-Name", "Caller-Caller-ID-Name")
		e.Dialled = m.get("Caller-Destination-Number")
	}
	if e.CallerName == e.Number {
		e.CallerName = "" // FreeSWITCH fills in the number where there was no name
	}
	if m.variable("cc_member_session_uuid") != "" {
		e.Queue = m.variable("cc_queue")
	} else if m.variable("fifo_bridge_uuid") != "" {
		e.Queue = m.variable("fifo_name")
	}
	return e
}

// first is the first of the headers that is not empty.
func (m Message) first(names ...string) string {
	for _, name := range names {
		if v := m.get(name); v != "" {
			return v
		}
	}
	return ""
}

// parent is the leg for which FreeSWITCH called this one; none if it calls us
// or if a program had it called. A queue's member has no Other-Leg and a
// Call-UUID of its own, only the variable of mod_callcenter or mod_fifo ties it.
func (m Message) parent() call.LegID {
	if !m.outbound() {
		return ""
	}
	if id := m.first("variable_originating_leg_uuid", "variable_originator"); id != "" {
		return call.LegID(id)
	}
	if m.get("Other-Type") == "originator" {
		return m.id("Other-Leg-Unique-ID")
	}
	return call.LegID(m.first("variable_cc_member_session_uuid", "variable_fifo_bridge_uuid"))
}

// endpoint names what a channel leads to: a directory user by his name; else
// the gateway; else the profile, of a leg that is known to lead outside (the
// stock profile "external"; or unauthenticated, in the context "public"); else
// the user part of the address, as of a phone.
func (m Message) endpoint() string {
	channel := m.get("Channel-Name")
	technology, rest, ok := strings.Cut(channel, "/")
	if !ok {
		return channel
	}
	if technology == "loopback" {
		rest = strings.TrimSuffix(strings.TrimSuffix(rest, "-a"), "-b")
		return lastPart(rest)
	}
	if gateway := m.first("variable_sip_gateway_name", "variable_sip_gateway"); gateway != "" {
		return gateway
	}
	if m.outbound() {
		if user := m.variable("dialed_user"); user != "" {
			return user
		}
	} else if m.variable("sip_authorized") == "true" {
		if user := m.variable("user_name"); user != "" {
			return user
		}
	}
	profile, address, ok := strings.Cut(rest, "/")
	if technology == "sofia" && ok {
		stranger := !m.outbound() && m.get("Caller-Context") == "public"
		if profile == "external" || stranger {
			return profile
		}
		address = strings.TrimPrefix(strings.TrimPrefix(address, "sips:"), "sip:")
		user, _, _ := strings.Cut(address, "@")
		return user
	}
	return lastPart(rest)
}

// lastPart is what stands behind the last slash, without its host.
func lastPart(s string) string {
	s = s[strings.LastIndexByte(s, '/')+1:]
	s, _, _ = strings.Cut(s, "@")
	return s
}

func (m Message) created() []call.Event {
	e := m.described(call.LegCreated)
	e.At = m.channelTime("Created")
	facts := m.one(e)
	if facts == nil {
		return nil
	}
	if half := m.variable("other_loopback_leg_uuid"); half != "" {
		facts = append(facts, m.one(call.Event{Kind: call.LegPaired, Peer: call.LegID(half)})...)
	}
	// loopback/app=NAME:ARG runs NAME on its -b half
	if !m.outbound() {
		facts = append(facts, m.executes(m.variable("loopback_app"), m.variable("loopback_app_arg"))...)
	}
	return facts
}

// progress is a phone's ringing only on a leg that FreeSWITCH called; on the
// caller's it is what he is told of it.
func (m Message) progress() []call.Event {
	if !m.outbound() {
		return nil
	}
	// The link is for a leg of whose creation nobody heard.
	return m.one(call.Event{Kind: call.LegRinging, At: m.channelTime("Progress"), Link: m.get("Channel-Call-UUID")})
}

func (m Message) progressMedia() []call.Event {
	at := m.channelTime("Progress-Media")
	if m.outbound() {
		return m.one(call.Event{Kind: call.LegProgress, At: at})
	}
	return m.executes(m.variable("current_application"), m.variable("current_application_data"))
}

func (m Message) answered() []call.Event {
	at := m.channelTime("Answered")
	facts := m.one(call.Event{Kind: call.LegAnswered, At: at, Link: m.get("Channel-Call-UUID")})
	if facts == nil {
		return nil
	}
	facts = append(facts, m.forwarded(at)...)
	return append(facts, m.executes(m.variable("current_application"), m.variable("current_application_data"))...)
}

// forwarded is a phone's 302. It keeps the channel and its name, though another
// phone rings and answers; only the variable tells.
func (m Message) forwarded(at call.Moment) []call.Event {
	to := sipUser(m.variable("sip_redirected_to"))
	if to == "" || !m.outbound() || m.local() {
		return nil
	}
	return m.one(call.Event{Kind: call.Forwarded, Number: to, At: at})
}

// bridged says both sides' part. A bridge has no name of its own in
// FreeSWITCH: it is the two legs, in whichever order. The channel's transfers
// so far come with it: one that is there at the end of a talk and was not at its
// beginning has ended it.
func (m Message) bridged(k call.Kind) []call.Event {
	a, b := m.get("Bridge-A-Unique-ID"), m.get("Bridge-B-Unique-ID")
	if a == "" || b == "" {
		a, b = m.get("Unique-ID"), m.get("Other-Leg-Unique-ID")
	}
	if a == "" || b == "" || a == b {
		return nil
	}
	id := bridgeID(a, b)
	facts := []call.Event{
		{Kind: k, Leg: call.LegID(a), Peer: call.LegID(b), Bridge: id},
		{Kind: k, Leg: call.LegID(b), Peer: call.LegID(a), Bridge: id},
	}
	for i := range facts {
		if facts[i].Leg == m.id("Unique-ID") {
			facts[i].History = &call.LegHistory{Transfers: m.transfers()} // also of none
		}
	}
	return facts
}

// bridgeID names the bridge of two legs, the same whichever is named first.
func bridgeID(a, b string) string { return min(a, b) + "+" + max(a, b) }

// transfers reads transfer_history: "epoch:uuid:method:target", several of them
// as a list (switch_ivr.c, sofia.c).
func (m Message) transfers() []call.TransferNote {
	var notes []call.TransferNote
	for _, entry := range m.all("variable_transfer_history") {
		part := strings.SplitN(entry, ":", 4)
		if len(part) != 4 {
			continue
		}
		n := call.TransferNote{At: seconds(part[0]), ID: part[1], Method: part[2], Target: part[3]}
		if n.Method == "bl_xfer" { // ext/context/dialplan
			n.Target, _, _ = strings.Cut(n.Target, "/")
		}
		notes = append(notes, n)
	}
	return notes
}

// ended states the leg's end, and before it what only the last event tells: the
// application that ran, and that this leg's phone sent the call on, or
// transferred the other side.
func (m Message) ended() []call.Event {
	e := m.described(call.LegEnded)
	if rdnis := m.get("Caller-RDNIS"); rdnis != "" && !m.outbound() {
		e.Dialled = rdnis // what was asked for before the last transfer
	}
	if shown := m.get("Caller-Orig-Caller-ID-Number"); shown != "" && e.Originated {
		e.Connected = shown // the other has become the employee's own
	}
	e.At = m.channelTime("Hangup")
	e.Cause = &call.Cause{Q850: m.number("variable_hangup_cause_q850"), Text: m.get("Hangup-Cause"), SIP: m.sipStatus()}
	e.By = hangupBy(m.variable("sip_hangup_disposition"))
	e.History = &call.LegHistory{
		Created:       m.channelTime("Created"),
		Progress:      m.channelTime("Progress"),
		ProgressMedia: m.channelTime("Progress-Media"),
		Answered:      m.channelTime("Answered"),
		Bridged:       m.channelTime("Bridged"),
		HungUp:        e.At,
		Transfers:     m.transfers(),
	}
	for _, name := range kept {
		if v := m.variable(name); v != "" {
			if e.History.Vars == nil {
				e.History.Vars = make(map[string]string, 8)
			}
			e.History.Vars[name] = v
		}
	}
	end := m.one(e)
	if end == nil {
		return nil
	}
	var facts []call.Event
	for _, f := range m.executes(m.variable("last_app"), m.variable("last_arg")) {
		if f.App != call.AppPlayback { // may be the music of a hold: no menu
			facts = append(facts, f)
		}
	}
	for i := range facts {
		facts[i].At = e.At
	}
	facts = append(facts, m.forwarded(e.At)...) // if nobody answered, this is the first to say so
	if t := m.transferred(); t != nil {
		facts = append(facts, *t)
	}
	return append(facts, end...)
}

// transferred reads what sofia leaves on the channel of a phone that sent a
// REFER (sofia.c: transfer_to): "blind:LEG" of the one given away, or
// "att:LEG" of the one it was given to. Given to an application, or to a phone
// that still rang, there is no such leg, only the consultation.
func (m Message) transferred() *call.Event {
	how, leg, ok := strings.Cut(m.variable("transfer_to"), ":")
	if !ok && m.variable("transfer_disposition") == "recv_replace" && m.variable("refer_uuid") != "" {
		how, ok = "att", true
	}
	if !ok {
		return nil
	}
	t := &call.TransferFact{Transferer: m.id("Unique-ID"), External: true}
	switch how {
	case "blind":
		t.Type, t.Transferee = call.TransferBlind, call.LegID(leg)
		t.To = strings.TrimPrefix(m.variable("transfer_destination"), "blind:")
	case "att":
		t.Type, t.Target = call.TransferAttended, call.LegID(leg)
		t.Second, t.Transferee = m.id("variable_refer_uuid"), m.id("variable_last_bridge_to")
	default:
		return nil
	}
	return &call.Event{Kind: call.Transferred, At: m.channelTime("Hangup"), Leg: t.Transferer, Peer: t.Transferee, Transfer: t}
}

// sipStatus is the final answer to the INVITE if it was a refusal.
func (m Message) sipStatus() int {
	for _, name := range []string{"variable_sip_invite_failure_status", "variable_sip_term_status"} {
		if n := m.number(name); n >= 300 && n < 700 {
			return n
		}
	}
	return 0
}

// hangupBy translates sip_hangup_disposition (mod_sofia.c).
func hangupBy(disposition string) string {
	switch disposition {
	case "recv_bye", "recv_cancel":
		return call.EndedByFarEnd
	case "recv_refuse":
		return call.EndedByRefusal
	case "send_bye", "send_cancel", "send_refuse":
		return call.EndedByPBX
	}
	return ""
}

func (m Message) recording(k call.Kind) []call.Event {
	app, data := m.variable("current_application"), m.variable("current_application_data")
	if applications[app] == call.AppVoicemail {
		// the message itself: no recording of a call, but proof of a mailbox
		if k == call.RecordBegun {
			return m.executes(app, data)
		}
		return nil
	}
	return m.one(call.Event{Kind: k, File: m.get("Record-File-Path")})
}

// applications are those that tell what a call is about.
var applications = map[string]call.AppKind{
	"voicemail":  call.AppVoicemail,
	"rxfax":      call.AppFax,
	"txfax":      call.AppFax,
	"conference": call.AppConference,
	"callcenter": call.AppQueue,
	"fifo":       call.AppAgent,
	"eavesdrop":  call.AppSpy,
	"userspy":    call.AppSpy,
	"three_way":  call.AppSpy,
	"intercept":  call.AppPickup,
	"playback":   call.AppPlayback, "endless_playback": call.AppPlayback, "loop_playback": call.AppPlayback,
	"play_and_get_digits": call.AppPlayback, "play_and_detect_speech": call.AppPlayback,
	"ivr": call.AppPlayback, "read": call.AppPlayback, "say": call.AppPlayback, "speak": call.AppPlayback, "phrase": call.AppPlayback,
}

// executes says that the channel runs an application that means something.
func (m Message) executes(app, data string) []call.Event {
	kind, ok := applications[app]
	if !ok {
		return nil
	}
	e := call.Event{Kind: call.Executed, App: kind, Data: data}
	word := strings.Fields(data)
	switch kind {
	case call.AppVoicemail: // "profile domain box" leaves a message, "check profile domain box" reads
		if len(word) > 0 {
			if word[0] == "check" || word[0] == "admin" {
				e.App = call.AppMailbox
			}
			e.Data = word[len(word)-1]
		}
	case call.AppFax:
		e.Data, e.File = "receive", data
		if app == "txfax" {
			e.Data = "send"
		}
	case call.AppAgent: // "queue out wait": of the other forms, who calls needs none
		if !slices.Contains(word, "out") || slices.Contains(word, "nowait") {
			return nil
		}
	case call.AppConference: // room@profile+pin
		e.Data, _, _ = strings.Cut(data, "@")
	case call.AppSpy, call.AppPickup:
		if len(word) > 0 {
			e.Data, e.Peer = word[len(word)-1], call.LegID(word[len(word)-1])
		}
	}
	return m.one(e)
}

// callcenter reads mod_callcenter. The times in it are whole seconds; the
// event's own is used. A member's leg is a leg of its own, tied by its variables.
func (m Message) callcenter() []call.Event {
	e := call.Event{Leg: m.id("CC-Member-Session-UUID"), Queue: m.get("CC-Queue")}
	if e.Leg == "" {
		return nil
	}
	switch m.get("CC-Action") {
	case "member-queue-start":
		e.Kind = call.Queued
	case "member-queue-end":
		e.Kind = call.Unqueued
		e.Result = strings.ToUpper(m.first("CC-Cancel-Reason", "CC-Cause"))
	case "agent-offering":
		e.Kind = call.QueueOffered
		e.Number, _, _ = strings.Cut(m.get("CC-Agent"), "@")
	case "bridge-agent-start":
		e.Kind = call.QueueMember
		e.Peer = m.id("CC-Agent-UUID")
		e.Number, _, _ = strings.Cut(m.get("CC-Agent"), "@")
	default:
		return nil
	}
	return []call.Event{e}
}

// fifo reads mod_fifo, of what befalls the caller: who fetches him is in the
// bridge. Of who fetches, whether he stays on the line for the next.
func (m Message) fifo() []call.Event {
	e := call.Event{Kind: call.Unqueued, Queue: m.get("FIFO-Name")}
	switch m.get("FIFO-Action") {
	case "consumer_start":
		return m.executes("fifo", m.variable("current_application_data"))
	case "push":
		e.Kind = call.Queued
	case "caller_pop", "abort":
	default:
		return nil
	}
	return m.one(e)
}

// valet reads mod_valet_parking. The event is about the parked leg; who parked
// it is in the transfer that brought it there.
func (m Message) valet() []call.Event {
	e := call.Event{Number: m.get("Valet-Extension"), Data: m.get("Valet-Lot-Name")}
	switch m.get("Action") {
	case "hold":
		e.Kind = call.Parked
	case "bridge":
		e.Kind, e.Peer = call.Unparked, m.id("Bridge-To-UUID")
	case "exit":
		e.Kind = call.ParkEnded
	default:
		return nil
	}
	return m.one(e)
}

func (m Message) conference() []call.Event {
	e := call.Event{Bridge: m.get("Conference-Unique-ID"), BridgeKind: call.BridgeConference, Data: m.get("Conference-Name"),
		Members: m.number("Conference-Size")}
	switch m.get("Action") {
	case "add-member":
		e.Kind = call.Joined
	case "del-member":
		e.Kind = call.Parted
	}
	if e.Kind == 0 || e.Bridge == "" {
		return nil
	}
	return m.one(e)
}

func (m Message) mailbox() []call.Event {
	if m.get("VM-Action") != "leave-message" {
		return nil
	}
	return []call.Event{{Kind: call.MailboxLeft, Leg: call.LegID(m.first("Unique-ID", "VM-UUID")), Number: m.get("VM-User"),
		File: m.get("VM-File-Path"), DurationMs: int64(m.number("VM-Message-Len")) * 1000}}
}

func (m Message) fax(direction string) []call.Event {
	result := m.get("fax-result-text")
	if m.get("fax-success") == "1" {
		result = "SUCCESS"
	}
	return m.one(call.Event{Kind: call.FaxEnded, Data: direction, Number: m.get("fax-remote-station-id"), Result: result,
		Pages: m.number("fax-document-transferred-pages"), File: m.variable("fax_filename")})
}

// sipUser is the user part of a SIP address, "<sip:1002@host:5060>;x=y".
func sipUser(address string) string {
	_, rest, ok := strings.Cut(address, "sip:")
	if !ok {
		if _, rest, ok = strings.Cut(address, "sips:"); !ok {
			return ""
		}
	}
	user, _, ok := strings.Cut(rest, "@")
	if !ok {
		return ""
	}
	user, _, _ = strings.Cut(user, ";")
	return user
}

// seconds reads whole seconds since the epoch.
func seconds(s string) call.Moment {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > latest/1_000_000 {
		return 0
	}
	return call.Moment(n * 1_000_000)
}
