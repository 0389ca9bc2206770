package asterisk

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"calljournal/agent/call"
	"calljournal/connectors/wire"
)

// message reads a message as it stands in a stream, one header a line.
func messageOf(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if !ok {
			continue
		}
		if _, again := m[name]; !again {
			m[name] = strings.TrimPrefix(value, " ")
		}
	}
	return m
}

const seen = call.Moment(1_800_000_000_000_000)

func TestNormalise(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want call.Event
	}{
		"a caller's channel": {
			"Event: Newchannel\nTimestamp: 1795377060.010976\nChannel: PJSIP/trunk-a-00000115\nChannelState: 4\nCallerIDNum: 79161118001\nCallerIDName: O\\\"B\nAccountCode: \nContext: from-trunk\nExten: 74951230101\nUniqueid: 1.1\nLinkedid: 1.1",
			call.Event{Kind: call.LegCreated, At: 1795377060010976, Leg: "1.1", Link: "1.1", Channel: "PJSIP/trunk-a-00000115", Endpoint: "trunk-a",
				State: call.StateCalling, Number: "79161118001", CallerName: `O"B`, Dialled: "74951230101", Context: "from-trunk"},
		},
		"a channel that an Originate makes": {
			"Event: Newchannel\nChannel: Local/101@x-00000006;1\nChannelState: 0\nCallerIDNum: <unknown>\nExten: 101\nUniqueid: 2.1\nLinkedid: 2.1",
			call.Event{Kind: call.LegCreated, At: seen, Leg: "2.1", Link: "2.1", Channel: "Local/101@x-00000006;1", Endpoint: "101@x", Local: true,
				Originated: true, State: call.StateDown, Dialled: "101"},
		},
		"a dialling without a caller": {
			"Event: DialBegin\nDestChannel: PJSIP/101-1\nDestUniqueid: 3.1\nDestLinkedid: 3.1\nDialString: PJSIP/7903@trunk-a",
			call.Event{Kind: call.Dialled, At: seen, Peer: "3.1", PeerChannel: "PJSIP/101-1", PeerLink: "3.1", Number: "7903"},
		},
		"a conference's bridge": {
			"Event: BridgeEnter\nBridgeUniqueid: b\nBridgeType: base\nBridgeTechnology: softmix\nBridgeNumChannels: 3\nChannel: PJSIP/101-1\nChannelState: 6\nUniqueid: 4.1\nLinkedid: 4.1",
			call.Event{Kind: call.Joined, At: seen, Leg: "4.1", Link: "4.1", Channel: "PJSIP/101-1", Endpoint: "101", State: call.StateUp, Bridge: "b",
				BridgeKind: call.BridgeConference, Members: 3},
		},
		"a refused phone's end": {
			"Event: Hangup\nChannel: PJSIP/101-1\nChannelState: 5\nUniqueid: 5.1\nLinkedid: 5.0\nCause: 21\nCause-txt: Call Rejected\nTechCause: 603",
			call.Event{Kind: call.LegEnded, At: seen, Leg: "5.1", Link: "5.0", Channel: "PJSIP/101-1", Endpoint: "101", State: call.StateRinging,
				Cause: &call.Cause{Q850: 21, Text: "Call Rejected", SIP: 603}},
		},
		"a mailbox": {
			"Event: Newexten\nChannel: PJSIP/t-1\nChannelState: 6\nUniqueid: 6.1\nLinkedid: 6.1\nApplication: VoiceMail\nAppData: 102@default&103@default,su",
			call.Event{Kind: call.Executed, At: seen, Leg: "6.1", Link: "6.1", Channel: "PJSIP/t-1", Endpoint: "t", State: call.StateUp, App: call.AppVoicemail, Data: "102@default"},
		},
		"an agent who stays on the line": {
			"Event: AgentLogin\nAgent: 1001\nChannel: PJSIP/101-1\nChannelState: 6\nUniqueid: 8.1\nLinkedid: 8.1",
			call.Event{Kind: call.Executed, At: seen, Leg: "8.1", Link: "8.1", Channel: "PJSIP/101-1", Endpoint: "101", State: call.StateUp, App: call.AppAgent, Data: "1001"},
		},
		"an absurd stamp and absurd numbers": {
			"Event: Hangup\nTimestamp: -99999999999999999999\nUniqueid: 7.1\nCause: -4\nTechCause: 99999999999999999999",
			call.Event{Kind: call.LegEnded, At: seen, Leg: "7.1", Cause: &call.Cause{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Seen = seen
			got := Normalise(messageOf(c.text), seen)
			if len(got) != 1 || !reflect.DeepEqual(got[0], c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestNormalise_StatesNothing(t *testing.T) {
	for _, text := range []string{
		"Event: VarSet\nVariable: BRIDGEPEER\nValue: x\nUniqueid: 1.1", "Event: Newexten\nApplication: NoOp\nUniqueid: 1.1", "Event: DialState\nDialStatus: PROCEEDING",
		"Event: BlindTransfer\nResult: Fail\nTransfererUniqueid: 1.1", "Event: MessageWaiting\nMailbox: 101@default\nWaiting: 1", "Event: Unheard", "Response: Success", "",
	} {
		if got := Normalise(messageOf(text), seen); got != nil {
			t.Errorf("%q states %+v", text, got)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for channel, want := range map[string]string{
		"PJSIP/trunk-provider-00000115": "trunk-provider false", "SIP/101-0000001f": "101 false", "DAHDI/i1/74951230101-5": "i1/74951230101 false",
		"IAX2/peer-123": "peer false", "Local/105@internal-00000041;2": "105@internal true", "PJSIP/front-desk": "front-desk false", "odd": "odd false", "": " false",
	} {
		name, local := endpoint(channel)
		if got := fmt.Sprint(name, " ", local); got != want {
			t.Errorf("endpoint(%q) is %q, want %q", channel, got, want)
		}
	}
}

func TestDialledNumber(t *testing.T) {
	for target, want := range map[string]string{
		"101": "101", "79032000015@trunk-a": "79032000015", "PJSIP/101": "101", "trunk-a/79032000015": "79032000015", "PJSIP/trunk-a/sip:79032000015@192.0.2.1": "79032000015",
		"105@internal": "105", "Local/103@agents/n": "103", "": "",
	} {
		if got := dialledNumber(target); got != want {
			t.Errorf("dialledNumber(%q) is %q, want %q", target, got, want)
		}
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`O\\\"B`: `O\"B`, `a\tb`: "a\tb", `tail\`: `tail\`, `\q`: `\q`, "Иван": "Иван", "\xff": "\uFFFD", "": "",
	} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) is %q, want %q", in, got, want)
		}
	}
}

// What Normalise reads must be among what the stream is thinned to: else a rule
// works in a test and not on a PBX.
func TestNeeded_HasEveryEventThatStates(t *testing.T) {
	needed := Needed()
	for name := range statements {
		if _, ok := needed[name]; !ok {
			t.Errorf("%s states facts and is thinned away", name)
		}
	}
}

func FuzzNormalise(f *testing.F) {
	for name := range statements {
		f.Add("Event: " + name + "\r\nChannel: PJSIP/101-1\r\nUniqueid: 1.1\r\nLinkedid: 1.0\r\nCallerIDName: a\\\r\n\r\n")
	}
	f.Add("Event: Newchannel\r\nTimestamp: 9.9.9\r\nChannel: /;-/\r\nCallerIDName: \\\xff\\\r\nUniqueid: \r\n\r\n")
	f.Fuzz(func(t *testing.T, stream string) {
		framer := wire.NewAMI(Needed(), new(wire.Counters))
		framer.Feed([]byte(stream), int64(seen), func(frame []byte) {
			m := messageOf(string(frame))
			facts := Normalise(m, seen)
			for _, e := range facts {
				if e.Kind == 0 || e.At == 0 || e.Seen != seen {
					t.Errorf("a fact without kind or time: %+v", e)
				}
				if !utf8.ValidString(e.CallerName) {
					t.Errorf("a name that is not UTF-8: %q", e.CallerName)
				}
			}
			if again := Normalise(m, seen); !reflect.DeepEqual(facts, again) {
				t.Error("the same message states something else the second time")
			}
		})
	})
}
