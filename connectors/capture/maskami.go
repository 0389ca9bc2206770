package capture

import (
	"bytes"
	"strings"
)

// amiPlain are the headers that only Asterisk itself writes.
var amiPlain = set(`Event Response ActionID Timestamp EventList ListItems ChannelState ParkeeChannelState Cause BridgeType BridgeTechnology
	BridgeCreator BridgeNumChannels Result IsExternal DialStatus Waiting Operation PagesTransferred Uptime LastReload Status Shutdown
	Restart Duration Seconds CoreStartupDate CoreStartupTime AsteriskVersion Application Ping`)

// amiText are those in which anything may stand.
var amiText = set(`Message Channel DestChannel ParkeeChannel SpyerChannel TransfererChannel OrigTransfererChannel Newname CallerIDNum CallerIDName
	DestCallerIDNum ParkeeCallerIDNum SpyerCallerIDNum ConnectedLineNum SecondTransfererConnectedLineNum Exten DestExten ParkeeExten
	SpyerExten Extension Context AccountCode DialString Forward Queue Agent Conference AppData ApplicationData Data Variable Value Mailbox FileName
	RemoteStationID DNID ParkingSpace ParkerDialString`)

func set(names string) map[string]bool {
	m := make(map[string]bool)
	for _, n := range strings.Fields(names) {
		m[strings.ToLower(n)] = true
	}
	return m
}

// amiTreatment is what becomes of a header of the manager interface.
func amiTreatment(name string) treatment {
	name = strings.ToLower(name)
	switch {
	case strings.HasSuffix(name, "uniqueid"), strings.HasSuffix(name, "linkedid"), name == "bridgeid":
		return asID
	case name == "cause-txt", name == "techcause":
		return asStatus
	case amiPlain[name]:
		return asPlain
	case amiText[name]:
		return asText
	}
	return leaveOut
}

// ami masks one message of the manager interface.
func (m *Mask) ami(msg []byte) []byte {
	out := make([]byte, 0, len(msg))
	for line := range bytes.SplitSeq(msg, []byte("\n")) {
		name, value, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\r")), []byte(":"))
		t := amiTreatment(strings.TrimRight(string(name), " "))
		if !ok || t == leaveOut {
			continue
		}
		out = append(append(out, name...), ": "...)
		out = append(out, m.value(t, strings.TrimLeft(string(value), " \t"))...)
		out = append(out, "\r\n"...)
	}
	if len(out) == 0 {
		return nil
	}
	return append(out, "\r\n"...)
}
