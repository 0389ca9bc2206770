package call_test

import (
	"testing"

	"calljournal/agent/call"
)

// Touched gives what facts were about, once, and says when it is over.
func TestTracker_Touched(t *testing.T) {
	tr := call.New(call.Options{PBX: "main", Trunks: []string{"PJSIP/trunk-*"}})
	at := call.Moment(1_700_000_000_000_000)
	say := func(e call.Event) {
		at += 1_000_000
		e.At, e.Seen = at, at
		tr.Apply(e)
	}
	created := call.Event{Kind: call.LegCreated, Leg: "1.1", Link: "1.1", Channel: "PJSIP/trunk-a-1", Endpoint: "trunk-a", State: call.StateCalling, Number: "79160000001", Dialled: "74951230101"}
	say(created)
	if got := tr.Touched(at); len(got) != 0 {
		t.Fatalf("nobody watches: %+v", got)
	}
	tr.Watch(true)
	tr.Watch(true) // twice is once
	say(call.Event{Kind: call.LegCreated, Leg: "1.2", Link: "1.1", Channel: "PJSIP/101-2", Endpoint: "101", State: call.StateDown, Number: "101"})
	say(call.Event{Kind: call.Dialled, Leg: "1.1", Peer: "1.2", Number: "101"})
	say(call.Event{Kind: call.LegRinging, Leg: "1.2"})
	got := tr.Touched(at)
	if len(got) != 1 || !got[0].Live || got[0].Call.ID != "main:1.1" || len(got[0].Call.Legs) != 2 || got[0].Call.Legs[1].RingingAt == 0 {
		t.Fatalf("%+v", got)
	}
	if got := tr.Touched(at); len(got) != 0 {
		t.Fatalf("nothing was said since: %+v", got)
	}
	say(call.Event{Kind: call.LegEnded, Leg: "1.2"})
	say(call.Event{Kind: call.LegEnded, Leg: "1.1"})
	if got := tr.Touched(at); len(got) != 1 || got[0].Live || got[0].Call.EndedAt == 0 {
		t.Fatalf("%+v", got)
	}
	tr.Watch(false)
	say(created)
	if got := tr.Touched(at); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
}
