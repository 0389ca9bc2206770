package asterisk

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"calljournal/agent/call"
)

// Normalise turns one AMI message into the facts it states. It has no memory:
// what can only be known from two messages is the tracker's affair. A message
// that states nothing gives nil. seen is when its bytes arrived; it stands in
// for At where the PBX sent no Timestamp (manager.conf: timestampevents).
//
// The names of events and headers are those of Asterisk 13 to 23
// (https://docs.asterisk.org, "AMI Events"); a header that one of the versions
// lacks is simply empty.
func Normalise(m map[string]string, seen call.Moment) []call.Event {
	h := message(m)
	state := statements[strings.ToLower(m["Event"])]
	if state == nil {
		return nil
	}
	at := h.stamp()
	if at == 0 {
		at = seen
	}
	facts := state(h)
	for i := range facts {
		facts[i].At, facts[i].Seen = at, seen
	}
	return facts
}

// statements says what each event states, by its name in lower case: the
// documents and the wire do not agree on upper case (Newexten, NewExten).
// FullyBooted and Shutdown are the connector's: they are about the link.
var statements = map[string]func(message) []call.Event{
	"newchannel":    func(h message) []call.Event { return one(h.newChannel()) },
	"newstate":      func(h message) []call.Event { return h.newState() },
	"rename":        func(h message) []call.Event { return one(h.rename()) },
	"newcallerid":   func(h message) []call.Event { return one(h.leg(call.LegNumbered)) },
	"hangup":        func(h message) []call.Event { return one(h.ended(call.LegEnded)) },
	"hanguprequest": func(h message) []call.Event { return one(h.ended(call.LegHungUp)) },

	"dialbegin": func(h message) []call.Event { return one(h.dial(call.Dialled)) },
	"dialstate": func(h message) []call.Event { return h.dialState() },
	"dialend":   func(h message) []call.Event { return one(h.dial(call.DialEnded)) },

	"bridgeenter": func(h message) []call.Event { return one(h.bridge(call.Joined)) },
	"bridgeleave": func(h message) []call.Event { return one(h.bridge(call.Parted)) },
	"bridgemerge": func(h message) []call.Event {
		return []call.Event{{Kind: call.BridgeMerged, Bridge: h.get("ToBridgeUniqueid"), Bridge2: h.get("FromBridgeUniqueid")}}
	},
	"localbridge": func(h message) []call.Event {
		return []call.Event{{Kind: call.LegPaired, Leg: h.id("LocalOneUniqueid"), Peer: h.id("LocalTwoUniqueid")}}
	},
	"hold":   func(h message) []call.Event { return one(h.leg(call.Held)) },
	"unhold": func(h message) []call.Event { return one(h.leg(call.Resumed)) },

	"blindtransfer":     func(h message) []call.Event { return h.blindTransfer() },
	"attendedtransfer":  func(h message) []call.Event { return h.attendedTransfer() },
	"pickup":            func(h message) []call.Event { return h.pickup() },
	"parkedcall":        func(h message) []call.Event { return one(h.parking(call.Parked)) },
	"unparkedcall":      func(h message) []call.Event { return one(h.parking(call.Unparked)) },
	"parkedcalltimeout": func(h message) []call.Event { return one(h.parkEnded("timeout")) },
	"parkedcallgiveup":  func(h message) []call.Event { return one(h.parkEnded("abandoned")) },
	"queuecallerjoin":   func(h message) []call.Event { return one(h.queue(call.Queued)) },
	"queuecallerleave":  func(h message) []call.Event { return one(h.queue(call.Unqueued)) },
	"agentcalled":       func(h message) []call.Event { return one(h.queue(call.QueueOffered)) },
	"agentlogin":        func(h message) []call.Event { return one(h.agentLogin()) },
	"agentconnect":      func(h message) []call.Event { return one(h.queue(call.QueueMember)) },
	"newexten":          func(h message) []call.Event { return h.newExten() },
	"varset":            func(h message) []call.Event { return h.varSet() },
	"mixmonitorstart":   func(h message) []call.Event { return one(h.leg(call.RecordBegun)) },
	"mixmonitorstop":    func(h message) []call.Event { return one(h.leg(call.RecordEnded)) },
	"messagewaiting":    func(h message) []call.Event { return h.messageWaiting() },
	"faxstatus":         func(h message) []call.Event { return h.faxStatus() },
	"receivefax":        func(h message) []call.Event { return one(h.fax("receive")) },
	"sendfax":           func(h message) []call.Event { return one(h.fax("send")) },
	"originateresponse": func(h message) []call.Event { return one(h.originated()) },
	"newaccountcode":    func(h message) []call.Event { return one(h.leg(call.LegAccount)) },
	"parkedcallswap":    func(h message) []call.Event { return h.parkedSwap() },
	"chanspystart":      func(h message) []call.Event { return h.spyStart() },
	"confbridgejoin":    func(h message) []call.Event { return h.conference(call.Joined) },
	"confbridgeleave":   func(h message) []call.Event { return h.conference(call.Parted) },
}

func one(e call.Event) []call.Event { return []call.Event{e} }

// message is one AMI message as amigo gives it.
type message map[string]string

// get is a header's value; the words by which Asterisk says that there is none
// give "".
func (h message) get(name string) string {
	v := h[name]
	if v == "<unknown>" || v == "<null>" {
		return ""
	}
	return v
}

func (h message) id(name string) call.LegID { return call.LegID(h.get(name)) }

// stamp is the Timestamp header, seconds with a fraction; zero if there is none
// or if it is absurd.
func (h message) stamp() call.Moment {
	whole, frac, _ := strings.Cut(h["Timestamp"], ".")
	s, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || s <= 0 || s > 1<<33 {
		return 0
	}
	us := int64(0)
	for i := range 6 {
		us *= 10
		if i < len(frac) && frac[i] >= '0' && frac[i] <= '9' {
			us += int64(frac[i] - '0')
		}
	}
	return call.Moment(s*1e6 + us)
}

// number is a header as a bounded integer; zero if it is none.
func (h message) number(name string) int {
	n, err := strconv.Atoi(h[name])
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}

// leg is a fact about the channel whose snapshot the message carries. The
// snapshot is kept with it, so that a leg whose Newchannel was missed still has
// its name and number.
func (h message) leg(k call.Kind) call.Event {
	e := h.snapshot("")
	e.Kind = k
	return e
}

// snapshot reads the channel snapshot whose headers begin with prefix.
func (h message) snapshot(prefix string) call.Event {
	channel := h.get(prefix + "Channel")
	e := call.Event{
		Leg:        h.id(prefix + "Uniqueid"),
		Link:       h.get(prefix + "Linkedid"),
		Channel:    channel,
		State:      channelState(h[prefix+"ChannelState"]),
		Number:     h.get(prefix + "CallerIDNum"),
		CallerName: unescape(h.get(prefix + "CallerIDName")),
		Dialled:    h.get(prefix + "Exten"),
		Context:    h.get(prefix + "Context"),
		Account:    h.get(prefix + "AccountCode"),
	}
	e.Endpoint, e.Local = endpoint(channel)
	return e
}

// channelState translates AST_STATE_* (include/asterisk/channelstate.h).
func channelState(s string) call.LegState {
	switch s {
	case "0", "1", "2":
		return call.StateDown
	case "3", "4":
		return call.StateCalling
	case "5":
		return call.StateRinging
	case "6":
		return call.StateUp
	case "7":
		return call.StateBusy
	}
	return call.StateUnknown
}

func (h message) newChannel() call.Event {
	e := h.leg(call.LegCreated)
	// Nobody's far end is calling, and no older channel asked for this one: the
	// PBX made it by itself, for an Originate.
	e.Originated = e.State == call.StateDown && (e.Link == "" || e.Link == string(e.Leg))
	return e
}

func (h message) newState() []call.Event {
	switch channelState(h["ChannelState"]) {
	case call.StateRinging:
		return one(h.leg(call.LegRinging))
	case call.StateUp:
		return one(h.leg(call.LegAnswered))
	}
	return nil
}

func (h message) rename() call.Event {
	e := call.Event{Kind: call.LegNamed, Leg: h.id("Uniqueid"), Channel: h.get("Newname")}
	e.Endpoint, e.Local = endpoint(e.Channel)
	return e
}

func (h message) ended(k call.Kind) call.Event {
	e := h.leg(k)
	// TechCause, of 23.1 and late 22, is the SIP status.
	e.Cause = &call.Cause{Q850: h.number("Cause"), Text: h.get("Cause-txt"), SIP: h.number("TechCause")}
	return e
}

// dial reads DialBegin and DialEnd. The caller's snapshot is absent when nobody
// dials: an Originate, a feature transfer.
func (h message) dial(k call.Kind) call.Event {
	e := h.leg(k)
	e.Peer = h.id("DestUniqueid")
	e.PeerChannel, e.PeerLink = h.get("DestChannel"), h.get("DestLinkedid")
	if k == call.Dialled {
		e.Number = dialledNumber(h.get("DialString"))
	} else {
		e.Number, e.Result = h.get("Forward"), h.get("DialStatus")
	}
	return e
}

func (h message) dialState() []call.Event {
	e := h.snapshot("Dest")
	switch h.get("DialStatus") {
	case "RINGING":
		e.Kind = call.LegRinging
	case "PROGRESS":
		e.Kind = call.LegProgress
	default:
		return nil
	}
	return one(e)
}

func (h message) bridge(k call.Kind) call.Event {
	e := h.leg(k)
	e.Bridge, e.BridgeKind, e.Swap = h.get("BridgeUniqueid"), bridgeKind(h), h.id("SwapUniqueid")
	e.Members = h.number("BridgeNumChannels")
	return e
}

// bridgeKind tells by what a bridge does: a holding bridge is a queue of
// listeners to music (main/bridge.c: holding_bridge), ConfBridge's are rooms.
// A talk of three is softmix too, but its type is basic.
func bridgeKind(h message) call.BridgeKind {
	switch {
	case h["BridgeTechnology"] == "holding_bridge" || h["BridgeType"] == "parking" || h["BridgeType"] == "holding":
		return call.BridgeHolding
	case h["BridgeCreator"] == "ConfBridge" || h["BridgeType"] == "base" && h["BridgeTechnology"] == "softmix":
		return call.BridgeConference
	}
	return call.BridgeTalk
}

// conference repeats BridgeEnter and BridgeLeave: a user without the class that
// shows these still sees who is in a room.
func (h message) conference(k call.Kind) []call.Event {
	e := h.leg(k)
	e.Bridge, e.BridgeKind, e.Data = h.get("BridgeUniqueid"), call.BridgeConference, h.get("Conference")
	return one(e)
}

func (h message) blindTransfer() []call.Event {
	if !strings.EqualFold(h["Result"], "Success") {
		return nil
	}
	e := call.Event{Kind: call.Transferred, Leg: h.id("TransfererUniqueid"), Peer: h.id("TransfereeUniqueid"),
		Bridge: h.get("BridgeUniqueid"), Channel: h.get("TransfererChannel"), Link: h.get("TransfererLinkedid")}
	e.Endpoint, e.Local = endpoint(e.Channel)
	e.Transfer = &call.TransferFact{Type: call.TransferBlind, Transferer: e.Leg, Transferee: e.Peer,
		To: h.get("Extension"), External: h["IsExternal"] == "Yes"}
	return one(e)
}

func (h message) attendedTransfer() []call.Event {
	if !strings.EqualFold(h["Result"], "Success") {
		return nil
	}
	t := &call.TransferFact{Type: call.TransferAttended, Transferer: h.id("OrigTransfererUniqueid"), Second: h.id("SecondTransfererUniqueid"),
		Transferee: h.id("TransfereeUniqueid"), Target: h.id("TransferTargetUniqueid"),
		To: h.get("SecondTransfererConnectedLineNum"), External: h["IsExternal"] == "Yes"}
	e := call.Event{Kind: call.Transferred, Leg: t.Transferer, Peer: t.Transferee, Transfer: t, Channel: h.get("OrigTransfererChannel"),
		Link: h.get("OrigTransfererLinkedid"), Bridge: h.get("OrigBridgeUniqueid"), Bridge2: h.get("SecondBridgeUniqueid")}
	e.Endpoint, e.Local = endpoint(e.Channel)
	return one(e)
}

func (h message) pickup() []call.Event {
	e := h.leg(call.PickedUp)
	e.Peer = h.id("TargetUniqueid")
	return one(e)
}

func (h message) parking(k call.Kind) call.Event {
	e := h.snapshot("Parkee")
	e.Kind, e.Number = k, h.get("ParkingSpace")
	by, _ := endpoint(h.get("ParkerDialString"))
	e.By, e.Peer = by, h.id("RetrieverUniqueid")
	return e
}

func (h message) parkEnded(how string) call.Event {
	e := h.parking(call.ParkEnded)
	e.Result = how
	return e
}

// parkedSwap: another channel takes the parked one's place, as when a Local
// channel optimises away; the parking goes on with the new one.
func (h message) parkedSwap() []call.Event {
	e := h.parking(call.Parked)
	e.Swap = h.id("SwapUniqueid")
	return one(e)
}

func (h message) queue(k call.Kind) call.Event {
	e := h.leg(k)
	e.Queue, e.Peer = h.get("Queue"), h.id("DestUniqueid")
	e.PeerChannel, e.PeerLink = h.get("DestChannel"), h.get("DestLinkedid")
	return e
}

// agentLogin reads app_agent_pool: the agent stays on the line for his callers.
func (h message) agentLogin() call.Event {
	e := h.leg(call.Executed)
	e.App, e.Data = call.AppAgent, h.get("Agent")
	return e
}

// applications are those of the dialplan that tell what a call is about.
var applications = map[string]call.AppKind{
	"voicemail": call.AppVoicemail, "minivmrecord": call.AppVoicemail,
	"voicemailmain": call.AppMailbox, "vmauthenticate": call.AppMailbox,
	"receivefax": call.AppFax, "rxfax": call.AppFax, "sendfax": call.AppFax, "txfax": call.AppFax,
	"confbridge": call.AppConference, "meetme": call.AppConference,
	"chanspy": call.AppSpy, "extenspy": call.AppSpy,
	"mixmonitor": call.AppRecord, "monitor": call.AppRecord,
	"background": call.AppPlayback, "playback": call.AppPlayback, "waitexten": call.AppPlayback, "read": call.AppPlayback,
	"busy": call.AppBusy, "congestion": call.AppBusy,
	"agentlogin": call.AppAgent,
}

func (h message) newExten() []call.Event {
	name := strings.ToLower(h["Application"])
	app, ok := applications[name]
	if !ok {
		return nil
	}
	e := h.leg(call.Executed)
	e.App, e.Data, e.State = app, h.get("AppData"), channelState(h["ChannelState"])
	first, _, _ := strings.Cut(e.Data, ",")
	switch app {
	case call.AppVoicemail, call.AppConference:
		// VoiceMail(102@default&103@default,s): the first box is the one called
		e.Data, _, _ = strings.Cut(first, "&")
	case call.AppFax:
		e.Data = "receive"
		if name == "sendfax" || name == "txfax" {
			e.Data = "send"
		}
	case call.AppRecord:
		e.File = first
	}
	return one(e)
}

func (h message) varSet() []call.Event {
	switch h["Variable"] {
	case "MIXMONITOR_FILENAME":
		e := h.leg(call.RecordBegun)
		e.File, e.Data = h.get("Value"), "name"
		return one(e)
	case "VM_MESSAGEFILE":
		e := h.leg(call.MailboxLeft)
		e.Number, e.File = "", h.get("Value")
		return one(e)
	case "FAXSTATUS":
		e := h.leg(call.FaxEnded)
		e.Number, e.Result = "", h.get("Value")
		return one(e)
	}
	return nil
}

// messageWaiting also comes when the owner empties his box: only with a
// channel in it (18 and later) does it say that this call left something.
func (h message) messageWaiting() []call.Event {
	e := h.leg(call.MailboxLeft)
	if e.Leg == "" || h["Waiting"] == "0" {
		return nil
	}
	e.Number = h.get("Mailbox")
	return one(e)
}

func (h message) faxStatus() []call.Event {
	e := h.leg(call.Executed)
	e.App, e.Data, e.File = call.AppFax, h.get("Operation"), h.get("FileName")
	return one(e)
}

func (h message) fax(direction string) call.Event {
	e := h.leg(call.FaxEnded)
	e.Data, e.Number, e.Pages, e.File = direction, h.get("RemoteStationID"), h.number("PagesTransferred"), h.get("FileName")
	return e
}

// originated reads the answer to an Originate with Async. A failed one has
// neither a Uniqueid nor the suffix of its channel's name.
func (h message) originated() call.Event {
	e := h.leg(call.Originated)
	e.Link, e.Result = "", h.get("Response")
	if e.Dialled == "" {
		e.Dialled = h.get("CallerIDNum")
	}
	return e
}

func (h message) spyStart() []call.Event {
	e := h.snapshot("Spyer")
	e.Kind, e.App, e.Peer = call.Executed, call.AppSpy, h.id("SpyeeUniqueid")
	return one(e)
}

// inside are the technologies of channels that Asterisk makes for itself.
var inside = map[string]bool{
	"local": true, "asyncgoto": true, "surrogate": true, "message": true, "announcer": true, "recorder": true,
	"cbann": true, "cbrec": true, "bridge": true, "multicastrtp": true, "unicastrtp": true, "parked": true, "console": false,
}

// endpoint takes a channel's name apart: "PJSIP/trunk-provider-00000115" is the
// endpoint "trunk-provider"; "DAHDI/i1/74951230101-5" is "i1/74951230101". local
// says that the channel is the PBX's own and has nobody at its far end.
func endpoint(channel string) (name string, local bool) {
	tech, rest, ok := strings.Cut(channel, "/")
	if !ok {
		return channel, false
	}
	local = inside[strings.ToLower(tech)]
	rest, _, _ = strings.Cut(rest, ";")
	if i := strings.LastIndexByte(rest, '-'); i > 0 && isSerial(rest[i+1:]) {
		rest = rest[:i]
	}
	return rest, local
}

// isSerial: the running number behind a channel's name, hexadecimal in most
// drivers.
func isSerial(s string) bool {
	if s == "" {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') && (r < 'A' || r > 'F') {
			return false
		}
	}
	return true
}

// dialledNumber finds the number in the target of a Dial, in all the forms that
// drivers take: 101, 7903…@trunk, trunk/7903…, trunk/sip:7903…@host,
// PJSIP/101 (as Queue writes it), 105@context/n.
func dialledNumber(target string) string {
	if tech, rest, ok := strings.Cut(target, "/"); ok && strings.IndexFunc(tech, isLower) < 0 && strings.IndexFunc(tech, isUpper) >= 0 || strings.EqualFold(tech, "local") {
		target = rest
	}
	best, digits := "", -1
	for part := range strings.SplitSeq(target, "/") {
		part = strings.TrimPrefix(strings.TrimPrefix(part, "sip:"), "sips:")
		user, _, at := strings.Cut(part, "@")
		n := 0
		for i := range len(user) {
			if user[i] >= '0' && user[i] <= '9' {
				n++
			}
		}
		if at {
			n += 100 // a user part in front of a host or endpoint is the number
		}
		if n > digits {
			best, digits = user, n
		}
	}
	return best
}

func isLower(r rune) bool { return r >= 'a' && r <= 'z' }
func isUpper(r rune) bool { return r >= 'A' && r <= 'Z' }

// unescape undoes ast_escape_c (main/utils.c), which AMI applies to the names of
// callers but not to their numbers, and makes the rest valid UTF-8.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') >= 0 {
		var b strings.Builder
		b.Grow(len(s))
		for i := 0; i < len(s); i++ {
			if s[i] != '\\' || i+1 == len(s) {
				b.WriteByte(s[i])
				continue
			}
			i++
			if j := strings.IndexByte(`abfnrtv\'"?`, s[i]); j >= 0 {
				b.WriteByte("\a\b\f\n\r\t\v\\'\"?"[j])
			} else {
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
		}
		s = b.String()
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}
