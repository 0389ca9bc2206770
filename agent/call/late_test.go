package call_test

import (
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
)

// CHANNEL_DESTROY comes long after CHANNEL_HANGUP_COMPLETE: the session was in the
// retries of mod_json_cdr.
func TestLateDestroy(t *testing.T) {
	b := newBook(newFS(t))
	end := func(id, peer call.LegID, channel, endpoint, number string, state call.LegState) call.Event {
		e := fsEnd(id, "NORMAL_CLEARING", "", 0, 1000)
		e.Link, e.Peer, e.Channel, e.Endpoint, e.State, e.Number, e.At = "a", peer, channel, endpoint, state, number, at(5000)
		e.History.HungUp = at(5000)
		return e
	}
	endA := end("a", "", "sofia/external/79161234567@192.0.2.1", "external", "79161234567", call.StateCalling)
	endA.By = call.EndedByFarEnd
	endB := end("b", "a", "sofia/internal/1001@192.0.2.2", "1001", "1001", call.StateDown)
	for _, e := range fsTalking(t).kept {
		b.note(b.tracker.Apply(e))
	}
	b.at(5001, endA).at(5002, endB)
	before := *b.calls["main:a"].Record
	b.at(21_000, of(call.Ticked, "")) // over its Linger
	b.at(25_000, endB)                // the session thread was in mod_json_cdr's HTTP retries
	r := b.calls["main:a"].Record
	if r.Quality != before.Quality || len(r.Legs) != len(before.Legs) || value(r.TalkMs) != value(before.TalkMs) {
		t.Errorf("a complete call (%s, %d legs, talk %v) is replaced by %s, %d legs, talk %v, %v", before.Quality, len(before.Legs), value(before.TalkMs), r.Quality, len(r.Legs), value(r.TalkMs), r.Doubts)
	}
}

// The end of a leg is told late (a slow api_hangup_hook), with its own time.
func TestLateEndIsNoStep(t *testing.T) {
	b := newBook(fsTalking(t))
	end := fsEnd("b", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)
	end.At = at(3000)
	b.script.fsBridge(3000, call.Parted, "a", "b")
	b.at(3001, of(call.LegGone, "b")).
		at(3100, fsOut("d", "a", "1002", "1002")).at(3200, of(call.LegRinging, "d")).at(6500, of(call.LegAnswered, "d"))
	b.script.fsBridge(6500, call.Joined, "a", "d")
	b.at(7000, end).
		at(9000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).at(9001, fsEnd("d", "NORMAL_CLEARING", "", 3100, 6500))
	r := b.calls["main:a"].Record
	if slices.Contains(r.Doubts, call.DoubtClockStepped) {
		t.Errorf("%s %v", r.Quality, r.Doubts)
	}
}

// A transfer told by a leg's last event names a consultation leg that was gone when
// the link came back.
func TestTransferNamesALegThatIsGone(t *testing.T) {
	b := newBook(newFS(t))
	b.at(0, fsIn("a", "external", "79161234567", "74951230101")).at(10, fsOut("b", "a", "1001", "1001")).
		at(1000, of(call.LegAnswered, "b")).at(1000, of(call.LegAnswered, "a"))
	b.at(5000, of(call.LinkDown, "")).at(9000, of(call.LinkUp, "")).at(9001, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{
		{Leg: "a", Link: "a", Channel: "sofia/external/79161234567@192.0.2.1", Endpoint: "external", State: call.StateUp, Number: "79161234567", Created: at(0)},
		{Leg: "b", Link: "a", Channel: "sofia/internal/1001@192.0.2.2", Endpoint: "1001", State: call.StateUp, Number: "1001", Created: at(0), Peer: "a"},
		{Leg: "c2", Link: "a", Channel: "sofia/internal/1002@192.0.2.2", Endpoint: "1002", State: call.StateUp, Number: "1002", Created: at(6000), Peer: "b2"}}})
	b.at(9500, call.Event{Kind: call.Transferred, Leg: "b", Peer: "a", Transfer: &call.TransferFact{Type: call.TransferAttended, Transferer: "b", Second: "b2", Transferee: "a", Target: "c2", External: true}}).
		at(9500, fsEnd("b", "NORMAL_CLEARING", "", 0, 1000)).at(20_000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).
		at(20_001, fsEnd("c2", "NORMAL_CLEARING", "", 6000, 7000)).at(3_600_000, of(call.Ticked, ""))
	if n := b.tracker.Open(); n != 0 || len(b.calls) != 1 {
		t.Errorf("an hour after its last channel ended the call is open (%d) and not recorded (%d)", n, len(b.calls))
	}
}

// A transfer is told between the coming back of the link and the list of what is
// up, which has the leg that nobody knew.
func TestTransferNamesALegOfTheList(t *testing.T) {
	b := newBook(newFS(t)).at(0, fsIn("a", "external", "79161234567", "74951230101")).at(10, fsOut("b", "a", "1001", "1001")).
		at(1000, of(call.LegAnswered, "b")).at(1000, of(call.LegAnswered, "a")).at(5000, of(call.LinkDown, "")).at(9000, of(call.LinkUp, "")).
		at(9000, call.Event{Kind: call.Transferred, Leg: "b", Peer: "a", Transfer: &call.TransferFact{Type: call.TransferAttended, Transferer: "b", Transferee: "a", Target: "c2"}}).
		at(9001, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{
			{Leg: "c2", Link: "a", Channel: "sofia/internal/1002@192.0.2.2", Endpoint: "1002", State: call.StateUp, Number: "1002", Created: at(6000)}}})
	if n := b.tracker.Open(); n != 1 || len(b.calls) != 0 {
		t.Errorf("%d open, %d recorded, and 1002 is still there", n, len(b.calls))
	}
	again := newBook(newFS(t))
	again.tracker.Restore(b.kept, b.tracker.Ahead())
	for _, b := range []*book{b, again} {
		b.at(30_000, of(call.Ticked, "")).at(40_000, fsEnd("c2", "NORMAL_CLEARING", "", 6000, 7000))
		if r := b.calls["main:a"].Record; r == nil || len(r.Legs) != 3 || b.tracker.Open() != 0 {
			t.Errorf("%+v", r)
		}
	}
}

// A call that was opened again and ended again lingers from its second end.
func TestLingerAfterReopening(t *testing.T) {
	b := newBook(newScript(t))
	other := client("o")
	b.at(0, other).at(10, gone("o", 16)) // keeps the head of the queue
	b.at(0, client("c")).at(20, of(call.LegAnswered, "c")).at(100, gone("c", 16))
	late := phone("p", "101", "c")
	b.at(900, late).at(15_005, gone("p", 16)) // its second end
	b.at(15_200, of(call.Ticked, ""))
	b.at(15_300, call.Event{Kind: call.MailboxLeft, Leg: "c", Number: "101@default"})
	if r := b.calls["main:c"].Record; r.Voicemail == nil {
		t.Errorf("%v after the call's end its mailbox is not taken in: %s", 300*time.Millisecond, r.Status)
	}
}

func many(b *book, leg call.LegID, n int) {
	for i := range n {
		b.at(2000+i%100, call.Event{Kind: call.LegNumbered, Leg: leg, Number: "101"})
	}
}

// A call that has lost facts says so, also after a restart.
func TestTooManyFactsAfterARestart(t *testing.T) {
	whole := newBook(newScript(t).answered())
	many(whole, "p", 20_000)
	whole.at(2900, call.Event{Kind: call.MailboxLeft, Leg: "p"}) // is dropped
	o := call.Options{Agent: "a", PBX: "main", PBXKind: "asterisk", Trunks: []string{"PJSIP/trunk-*"}}
	again := newBook(&script{t: t, tracker: call.New(o)})
	again.tracker.Restore(whole.kept, whole.tracker.Ahead())
	for _, b := range []*book{whole, again} {
		b.at(4000, gone("c", 16)).at(4000, gone("p", 16))
	}
	if !slices.Equal(whole.calls["main:c"].Record.Doubts, again.calls["main:c"].Record.Doubts) {
		t.Errorf("doubts %v, after a restart %v", whole.calls["main:c"].Record.Doubts, again.calls["main:c"].Record.Doubts)
	}
}

// And when it is joined with another.
func TestTooManyFactsAfterAMerge(t *testing.T) {
	b := newBook(newScript(t))
	b.at(0, client("c")).at(10, of(call.LegAnswered, "c"))
	k := call.Event{Kind: call.LegCreated, Leg: "k", Link: "k", Channel: "PJSIP/101-k", Endpoint: "101", State: call.StateCalling, Number: "101", Dialled: "102"}
	b.at(100, k).at(110, of(call.LegAnswered, "k"))
	for i := range 20_005 {
		b.at(200+i%100, call.Event{Kind: call.LegNumbered, Leg: "k", Number: "101"})
	}
	b.at(2000, in("x", "c")).at(2000, in("x", "k")).at(4000, gone("c", 16)).at(4000, gone("k", 16))
	r := b.calls["main:c"].Record
	if !slices.Contains(r.Doubts, call.DoubtTooLong) {
		t.Errorf("the call with which it was merged had lost facts: %s %v", r.Quality, r.Doubts)
	}
}

// Two recordings of one leg (all of it, and one on demand): each ends when it ends.
func TestTwoRecordingsOfOneLeg(t *testing.T) {
	b := newBook(fsTalking(t))
	b.at(1100, call.Event{Kind: call.RecordBegun, Leg: "a", File: "/r/all.wav"}).
		at(1500, call.Event{Kind: call.RecordBegun, Leg: "a", File: "/r/demand.wav"}).
		at(2500, call.Event{Kind: call.RecordEnded, Leg: "a", File: "/r/demand.wav"}).
		at(5000, call.Event{Kind: call.RecordEnded, Leg: "a", File: "/r/all.wav"}).
		at(5000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).at(5001, fsEnd("b", "NORMAL_CLEARING", "", 0, 1000))
	for i, want := range []int64{3900, 1000} {
		if x := b.calls["main:a"].Record.Recordings[i]; value(x.DurationMs) != want {
			t.Errorf("%v lasts %v ms, want %d", value(x.File), value(x.DurationMs), want)
		}
	}
}
