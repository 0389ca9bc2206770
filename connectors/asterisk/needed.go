package asterisk

import (
	"slices"

	"calljournal/connectors/wire"
)

// Needed is what Normalise reads of each event: everything else is dropped
// before it is parsed. More than half of what an Asterisk sends to a user with
// every class is VarSet, and of an event's seventeen headers a rule needs five.
func Needed() wire.Needed {
	// The snapshot of the channel that an event is about. All of it is read once,
	// at the channel's creation; later, no more than what takes the creation's
	// place if that was missed.
	whole := []string{"Channel", "ChannelState", "CallerIDNum", "CallerIDName", "Exten", "Context", "AccountCode", "Uniqueid", "Linkedid"}
	brief := []string{"Channel", "CallerIDNum", "Exten", "Uniqueid", "Linkedid"}
	with := func(base []string, more ...string) wire.EventNeed {
		return wire.EventNeed{Headers: append(slices.Clone(base), more...)}
	}
	cause := []string{"Cause", "Cause-txt", "TechCause", "ChannelState"}
	dest := []string{"DestChannel", "DestUniqueid", "DestLinkedid"}
	bridge := []string{"BridgeUniqueid", "BridgeType", "BridgeTechnology", "BridgeCreator", "BridgeNumChannels", "SwapUniqueid", "ChannelState"}
	parkee := []string{"ParkeeChannel", "ParkeeChannelState", "ParkeeCallerIDNum", "ParkeeExten", "ParkeeUniqueid", "ParkeeLinkedid",
		"ParkerDialString", "ParkingSpace", "RetrieverUniqueid"}
	transferer := []string{"Result", "IsExternal", "BridgeUniqueid"}

	needed := wire.Needed{
		"newchannel":     with(whole),
		"newstate":       with(brief, "ChannelState"),
		"rename":         with(nil, "Uniqueid", "Newname"),
		"newcallerid":    with(brief),
		"newaccountcode": with(brief, "AccountCode"),
		"hanguprequest":  with(brief, cause...),
		"hangup":         with(brief, cause...),

		"dialbegin": with(brief, append(slices.Clone(dest), "DialString")...),
		"dialend":   with(brief, append(slices.Clone(dest), "DialStatus", "Forward")...),
		"dialstate": with(nil, "DestChannel", "DestCallerIDNum", "DestExten", "DestUniqueid", "DestLinkedid", "DialStatus"),

		"bridgeenter": with(brief, bridge...),
		"bridgeleave": with(brief, bridge...),
		"bridgemerge": with(nil, "ToBridgeUniqueid", "FromBridgeUniqueid"),
		"localbridge": with(nil, "LocalOneUniqueid", "LocalTwoUniqueid"),
		"hold":        with(brief),
		"unhold":      with(brief),

		"blindtransfer": with(transferer, "TransfererChannel", "TransfererUniqueid", "TransfererLinkedid", "TransfereeUniqueid", "Extension"),
		"attendedtransfer": with(transferer, "OrigTransfererChannel", "OrigTransfererUniqueid", "OrigTransfererLinkedid", "OrigBridgeUniqueid",
			"SecondTransfererUniqueid", "SecondTransfererConnectedLineNum", "SecondBridgeUniqueid", "TransfereeUniqueid", "TransferTargetUniqueid"),
		"pickup":            with(brief, "TargetUniqueid"),
		"parkedcall":        with(parkee),
		"unparkedcall":      with(parkee),
		"parkedcalltimeout": with(parkee),
		"parkedcallgiveup":  with(parkee),
		"parkedcallswap":    with(parkee, "SwapUniqueid"),

		"queuecallerjoin":  with(brief, "Queue"),
		"queuecallerleave": with(brief, "Queue"),
		"agentlogin":       with(brief, "Agent"),
		"agentcalled":      with(brief, append(slices.Clone(dest), "Queue")...),
		"agentconnect":     with(brief, append(slices.Clone(dest), "Queue")...),
		"confbridgejoin":   with(brief, "BridgeUniqueid", "Conference"),
		"confbridgeleave":  with(brief, "BridgeUniqueid", "Conference"),

		"newexten": {Headers: append(slices.Clone(brief), "ChannelState", "Application", "AppData"), Only: map[string][]string{"Application": applicationNames()}},
		"varset":   {Headers: append(slices.Clone(brief), "Variable", "Value"), Only: map[string][]string{"Variable": {"MIXMONITOR_FILENAME", "VM_MESSAGEFILE", "FAXSTATUS"}}},

		"mixmonitorstart":   with(brief),
		"mixmonitorstop":    with(brief),
		"messagewaiting":    with(brief, "Mailbox", "Waiting"),
		"faxstatus":         with(brief, "Operation", "FileName"),
		"receivefax":        with(brief, "RemoteStationID", "PagesTransferred", "FileName"),
		"sendfax":           with(brief, "RemoteStationID", "PagesTransferred", "FileName"),
		"originateresponse": with(brief, "Response"),
		"chanspystart":      with(nil, "SpyerChannel", "SpyerCallerIDNum", "SpyerExten", "SpyerUniqueid", "SpyerLinkedid", "SpyeeUniqueid"),

		// for the connector itself
		"fullybooted": with(nil, "Uptime", "LastReload", "Status"),
		"shutdown":    with(nil, "Shutdown", "Restart"),
	}
	return needed
}

func applicationNames() []string {
	names := make([]string, 0, len(applications))
	for name := range applications {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
