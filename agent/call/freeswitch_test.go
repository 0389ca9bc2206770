package call_test

import (
	"fmt"
	"testing"
	"time"

	"calljournal/agent/call"
)

// These are calls as FreeSWITCH tells them, of kinds that the recordings in this
// project do not hold. The facts are those that its events state.

func newFS(t testing.TB) *script {
	return &script{t: t, tracker: call.New(call.Options{Agent: "a", PBX: "main", PBXKind: "freeswitch"})}
}

func fsIn(id call.LegID, profile, number, dialled string) call.Event {
	e := call.Event{Kind: call.LegCreated, Leg: id, Link: string(id), Channel: "sofia/" + profile + "/" + number + "@192.0.2.1", Endpoint: profile,
		State: call.StateCalling, Number: number, Dialled: dialled}
	if profile == "internal" {
		e.Endpoint = number
	}
	return e
}

// fsOut is a leg that FreeSWITCH calls, for the leg by; for nobody if by is "".
func fsOut(id, by call.LegID, endpoint, number string) call.Event {
	return call.Event{Kind: call.LegCreated, Leg: id, Peer: by, Link: string(by), Channel: "sofia/x/" + number, Endpoint: endpoint,
		State: call.StateDown, Number: number, Dialled: number, Originated: by == ""}
}

func fsEnd(id call.LegID, cause, by string, created, answered int, vars ...string) call.Event {
	h := &call.LegHistory{Created: at(created)}
	if answered > 0 {
		h.Answered = at(answered)
	}
	e := call.Event{Kind: call.LegEnded, Leg: id, Cause: &call.Cause{Text: cause, Q850: 16}, By: by, History: h}
	if cause == "NO_ANSWER" {
		e.Cause.Q850 = 19
	}
	for i := 0; i+1 < len(vars); i += 2 {
		if h.Vars == nil {
			h.Vars = map[string]string{}
		}
		h.Vars[vars[i]] = vars[i+1]
	}
	return e
}

// fsBridge states a bridge of two legs, or its end.
func (s *script) fsBridge(ms int, k call.Kind, a, b call.LegID, notes ...string) *script {
	h := &call.LegHistory{}
	for _, n := range notes {
		h.Transfers = append(h.Transfers, call.TransferNote{ID: n, Method: "bl_xfer", Target: n, At: at(ms).Add(-time.Hour)})
	}
	id := fmt.Sprint(min(a, b), "+", max(a, b))
	return s.state(ms, call.Event{Kind: k, Leg: a, Peer: b, Bridge: id, History: h}).state(ms, call.Event{Kind: k, Leg: b, Peer: a, Bridge: id})
}

// fsTalking is an inbound call from a to 1001, whose leg is b, in a talk from
// second 1 on.
func fsTalking(t testing.TB) *script {
	return newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, fsOut("b", "a", "1001", "1001")).
		state(100, of(call.LegRinging, "b")).state(1000, of(call.LegAnswered, "b")).state(1000, of(call.LegAnswered, "a")).
		fsBridge(1000, call.Joined, "a", "b")
}

// current are the records that were not merged into others, by id.
func (s *script) current() map[string]call.Record {
	s.state(100_000, of(call.Ticked, ""))
	current := map[string]call.Record{}
	for _, r := range s.records {
		current[r.ID] = r
	}
	for _, d := range s.deleted {
		var id, into string
		fmt.Sscanf(d, "%s into %s", &id, &into)
		delete(current, id)
	}
	return current
}

// want compares fields of the only record.
func (s *script) want(fields map[string]any) {
	s.t.Helper()
	current := s.current()
	if len(current) != 1 {
		for _, r := range current {
			s.t.Logf("%s %v -> %v %s", r.Direction, value(r.From.Number), value(r.To.Number), r.Status)
		}
		s.t.Fatalf("%d records, want one", len(current))
	}
	for _, r := range current {
		wantRecord(s.t, r, fields)
	}
}

func wantRecord(t testing.TB, r call.Record, fields map[string]any) {
	t.Helper()
	transfers := ""
	for _, x := range r.Transfers {
		transfers += fmt.Sprintf("%s %v>%v %v;", x.Type, value(x.By), value(x.To), value(x.Answered))
	}
	got := map[string]any{"direction": r.Direction, "origin": r.Origin, "from": value(r.From.Number), "to": value(r.To.Number), "status": r.Status,
		"answered_by": value(r.AnsweredBy), "last_talked_by": value(r.LastTalkedBy), "ended_by": value(r.EndedBy), "wait": value(r.WaitMs),
		"ring": value(r.RingMs), "talk": value(r.TalkMs), "hold": value(r.HoldMs), "total": value(r.TotalMs), "transfers": transfers,
		"voicemail": r.Voicemail != nil, "quality": r.Quality}
	for name, want := range fields {
		if n, ok := want.(int); ok {
			want = int64(n)
		}
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func TestFreeSWITCH_AnswerAndInstantHangup(t *testing.T) {
	newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, fsOut("b", "a", "1001", "1001")).
		state(100, of(call.LegRinging, "b")).state(2000, of(call.LegAnswered, "b")).state(2000, of(call.LegAnswered, "a")).
		state(2020, fsEnd("b", "NORMAL_CLEARING", call.EndedByFarEnd, 10, 2000)).state(2040, fsEnd("a", "NORMAL_CLEARING", call.EndedByPBX, 0, 2000)).
		want(map[string]any{"status": "answered", "answered_by": "1001", "wait": 2000, "ring": 1900, "talk": 20, "ended_by": "callee"})
}

func TestFreeSWITCH_CancelAndAnswerCross(t *testing.T) {
	newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, fsOut("b", "a", "1001", "1001")).
		state(100, of(call.LegRinging, "b")).state(2500, of(call.LegAnswered, "b")).
		state(2500, fsEnd("a", "ORIGINATOR_CANCEL", call.EndedByFarEnd, 0, 0)).state(2500, fsEnd("b", "ORIGINATOR_CANCEL", call.EndedByPBX, 10, 2500)).
		want(map[string]any{"status": "abandoned", "answered_by": nil, "ended_by": "caller", "talk": 0, "ring": 2400})
}

func TestFreeSWITCH_GroupThatMustConfirm(t *testing.T) {
	// 1001 picks up and never presses the key; the mobile does, a second after it picked up.
	newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).
		state(10, fsOut("b", "a", "1001", "1001")).state(10, fsOut("m", "a", "provider", "79035550302")).
		state(100, of(call.LegRinging, "b")).state(200, of(call.LegRinging, "m")).
		state(1000, of(call.LegAnswered, "b")).state(2000, of(call.LegAnswered, "m")).
		state(3000, fsEnd("b", "LOSE_RACE", call.EndedByPBX, 10, 1000)).state(3000, of(call.LegAnswered, "a")).fsBridge(3000, call.Joined, "a", "m").
		state(5000, fsEnd("m", "NORMAL_CLEARING", call.EndedByFarEnd, 10, 2000)).fsBridge(5000, call.Parted, "a", "m").
		state(5000, fsEnd("a", "NORMAL_CLEARING", call.EndedByPBX, 0, 3000)).
		want(map[string]any{"direction": "inbound", "status": "answered", "answered_by": "79035550302", "last_talked_by": "79035550302", "wait": 3000, "ring": 1800, "talk": 2000, "ended_by": "callee"})
}

func TestFreeSWITCH_DiallerCallsTheClientFirst(t *testing.T) {
	client := fsOut("a", "", "provider", "79161234567")
	client.Connected = "74951234567"
	newFS(t).state(0, client).state(200, of(call.LegRinging, "a")).state(2000, of(call.LegAnswered, "a")).
		state(2010, fsOut("b", "a", "1001", "1001")).state(2100, of(call.LegRinging, "b")).state(3000, of(call.LegAnswered, "b")).
		fsBridge(3000, call.Joined, "a", "b").
		state(5000, fsEnd("b", "NORMAL_CLEARING", call.EndedByFarEnd, 2010, 3000)).fsBridge(5000, call.Parted, "a", "b").
		state(5010, fsEnd("a", "NORMAL_CLEARING", call.EndedByPBX, 0, 2000)).
		want(map[string]any{"direction": "outbound", "origin": "originated", "from": "1001", "to": "79161234567", "status": "answered",
			"answered_by": "79161234567", "last_talked_by": "79161234567", "wait": 3000, "ring": 900, "talk": 2000, "ended_by": "caller"})
}

func TestFreeSWITCH_ParkedThenJoinedByAProgram(t *testing.T) {
	newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, of(call.LegAnswered, "a")).
		state(20, call.Event{Kind: call.Executed, Leg: "a", App: call.AppPark}).
		state(1000, fsOut("b", "", "1001", "1001")).state(1100, of(call.LegRinging, "b")).state(2000, of(call.LegAnswered, "b")).
		fsBridge(2200, call.Joined, "a", "b").
		state(4000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 10)).fsBridge(4000, call.Parted, "a", "b").
		state(4000, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 1000, 2000)).
		want(map[string]any{"direction": "inbound", "origin": "dialled", "from": "79161234567", "status": "answered", "answered_by": "1001", "wait": 2200,
			"ring": 900, "talk": 1800, "ended_by": "caller"})
}

// fsConsulted is fsTalking, and 1001 talks with 1002 from a second channel of
// his from second 3 on, the first talk on hold since second 2.
func fsConsulted(t testing.TB) *script {
	return fsTalking(t).state(2000, of(call.Held, "b")).
		state(2200, fsIn("c", "internal", "1001", "1002")).state(2210, fsOut("d", "c", "1002", "1002")).state(2300, of(call.LegRinging, "d")).
		state(3000, of(call.LegAnswered, "d")).state(3000, of(call.LegAnswered, "c")).fsBridge(3000, call.Joined, "c", "d")
}

func TestFreeSWITCH_ConsultationJoinedByAProgram(t *testing.T) {
	fsConsulted(t).fsBridge(4000, call.Parted, "c", "d").fsBridge(4000, call.Parted, "a", "b").fsBridge(4040, call.Joined, "a", "d").
		state(4060, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000)).state(4060, fsEnd("c", "NORMAL_CLEARING", call.EndedByPBX, 2200, 3000)).
		state(6000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).fsBridge(6000, call.Parted, "a", "d").
		state(6000, fsEnd("d", "NORMAL_CLEARING", call.EndedByPBX, 2210, 3000)).
		want(map[string]any{"status": "answered", "answered_by": "1001", "last_talked_by": "1002", "ended_by": "caller", "total": 6000,
			"transfers": "attended 1001>1002 true;"})
}

func TestFreeSWITCH_AttendedByFeatureCode(t *testing.T) {
	// att_xfer: the second leg is made for the phone's own, whose first bridge
	// stays open; nothing says hold.
	newFS := func() *script {
		return fsTalking(t).state(2000, fsOut("d", "b", "1002", "1002")).state(2100, of(call.LegRinging, "d")).
			state(3000, of(call.LegAnswered, "d")).fsBridge(3000, call.Joined, "b", "d")
	}
	newFS().fsBridge(4000, call.Parted, "b", "d").fsBridge(4000, call.Parted, "a", "b").
		state(4000, fsEnd("b", "NORMAL_CLEARING", call.EndedByFarEnd, 10, 1000)).fsBridge(4040, call.Joined, "a", "d").
		state(6000, fsEnd("d", "NORMAL_CLEARING", call.EndedByFarEnd, 2000, 3000)).fsBridge(6000, call.Parted, "a", "d").
		state(6000, fsEnd("a", "NORMAL_CLEARING", call.EndedByPBX, 0, 1000)).
		want(map[string]any{"status": "answered", "answered_by": "1001", "last_talked_by": "1002", "hold": 2000, "talk": 5000, "total": 6000,
			"ended_by": "callee", "transfers": "attended 1001>1002 true;"})

	// 1002 refuses, or leaves again: the caller is taken back.
	newFS().state(3500, fsEnd("d", "NORMAL_CLEARING", call.EndedByFarEnd, 2000, 3000)).fsBridge(3500, call.Parted, "b", "d").
		state(5000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).fsBridge(5000, call.Parted, "a", "b").
		state(5000, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000)).
		want(map[string]any{"status": "answered", "last_talked_by": "1001", "hold": 1500, "talk": 4000, "transfers": "", "ended_by": "caller"})
}

func TestFreeSWITCH_OutboundCallerTransfers(t *testing.T) {
	newFS(t).state(0, fsIn("a", "internal", "1001", "79161112233")).state(10, fsOut("b", "a", "provider", "79161112233")).
		state(200, of(call.LegRinging, "b")).state(1000, of(call.LegAnswered, "b")).state(1000, of(call.LegAnswered, "a")).fsBridge(1000, call.Joined, "a", "b").
		fsBridge(2000, call.Parted, "a", "b").
		state(2000, call.Event{Kind: call.Transferred, Leg: "a", Peer: "b", Transfer: &call.TransferFact{Type: call.TransferBlind, Transferer: "a", Transferee: "b", To: "1003", External: true}}).
		state(2000, fsEnd("a", "NORMAL_CLEARING", call.EndedByPBX, 0, 1000)).
		state(2020, fsOut("c", "b", "1003", "1003")).state(2100, of(call.LegRinging, "c")).state(3000, of(call.LegAnswered, "c")).
		fsBridge(3000, call.Joined, "b", "c", "x").
		state(5000, fsEnd("b", "NORMAL_CLEARING", call.EndedByFarEnd, 10, 1000)).fsBridge(5000, call.Parted, "b", "c", "x").
		state(5000, fsEnd("c", "NORMAL_CLEARING", call.EndedByPBX, 2020, 3000)).
		want(map[string]any{"direction": "outbound", "from": "1001", "to": "79161112233", "status": "answered", "answered_by": "79161112233",
			"last_talked_by": "1003", "wait": 1000, "talk": 3000, "total": 5000, "ended_by": "callee", "transfers": "blind 1001>1003 true;"})
}

func TestFreeSWITCH_TransferToNowhere(t *testing.T) {
	fsTalking(t).fsBridge(2000, call.Parted, "a", "b", "99").
		state(2000, call.Event{Kind: call.Transferred, Leg: "b", Peer: "a", Transfer: &call.TransferFact{Type: call.TransferBlind, Transferer: "b", Transferee: "a", To: "99", External: true}}).
		state(2000, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000)).state(2040, fsEnd("a", "NO_ROUTE_DESTINATION", call.EndedByPBX, 0, 1000)).
		want(map[string]any{"status": "answered", "last_talked_by": "1001", "ended_by": "pbx", "talk": 1000, "total": 2040, "transfers": "blind 1001>99 false;"})
}

func TestFreeSWITCH_MovedByAProgram(t *testing.T) {
	// The history grew while they talked; its stamps are another clock's.
	moved := func(first, second []string) *script {
		s := newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, fsOut("b", "a", "1001", "1001")).
			state(100, of(call.LegRinging, "b")).state(1000, of(call.LegAnswered, "b")).state(1000, of(call.LegAnswered, "a"))
		return s.fsBridge(1000, call.Joined, "a", "b", first...).fsBridge(2000, call.Parted, "a", "b", second...).
			state(2000, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000)).
			state(2010, fsOut("c", "a", "1002", "1002")).state(2100, of(call.LegRinging, "c")).state(3000, of(call.LegAnswered, "c")).
			fsBridge(3000, call.Joined, "a", "c", "1002").
			state(4000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).state(4000, fsEnd("c", "NORMAL_CLEARING", call.EndedByPBX, 2010, 3000))
	}
	moved(nil, []string{"1002"}).want(map[string]any{"transfers": "redirect <nil>>1002 true;", "talk": 2000, "last_talked_by": "1002"})
	moved([]string{"1002"}, []string{"1002"}).want(map[string]any{"transfers": ""}) // the dialplan's, before the talk
	moved(nil, nil).want(map[string]any{"transfers": ""})                           // the dialplan's, after it
}

func TestFreeSWITCH_MailboxBehindALoopback(t *testing.T) {
	// The mailbox answers the -b half only in early media; the caller leaves in its greeting.
	newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, fsOut("b", "a", "1001", "1001")).state(100, of(call.LegRinging, "b")).
		state(3000, fsEnd("b", "NO_ANSWER", call.EndedByPBX, 10, 0)).state(3000, of(call.LegAnswered, "a")).
		state(4000, call.Event{Kind: call.LegCreated, Leg: "x", Peer: "a", Channel: "loopback/voicemail-a", Endpoint: "voicemail", Local: true, State: call.StateDown}).
		state(4000, call.Event{Kind: call.LegPaired, Leg: "x", Peer: "y"}).
		state(4000, call.Event{Kind: call.LegCreated, Leg: "y", Channel: "loopback/voicemail-b", Endpoint: "voicemail", Local: true, State: call.StateCalling}).
		state(4000, call.Event{Kind: call.Executed, Leg: "y", App: call.AppVoicemail, Data: "1001"}).
		fsBridge(4010, call.Joined, "a", "x").
		state(5000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 3000)).state(5000, fsEnd("x", "ORIGINATOR_CANCEL", "", 4000, 0)).
		state(5000, fsEnd("y", "ORIGINATOR_CANCEL", "", 4000, 0)).
		want(map[string]any{"status": "voicemail", "answered_by": nil, "talk": 0, "ended_by": "caller", "voicemail": true})
}

func TestFreeSWITCH_LeftBeforeTheMailbox(t *testing.T) {
	newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, fsOut("b", "a", "1001", "1001")).state(100, of(call.LegRinging, "b")).
		state(3000, of(call.LegAnswered, "a")).state(3000, fsEnd("b", "NO_ANSWER", call.EndedByPBX, 10, 0)).
		state(3600, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 3000, "last_app", "sleep")).
		want(map[string]any{"status": "abandoned", "voicemail": false, "ended_by": "caller"})
}

func TestFreeSWITCH_Eavesdropping(t *testing.T) {
	s := fsTalking(t).state(2000, fsIn("s", "internal", "1003", "881001")).state(2010, of(call.LegAnswered, "s")).
		state(4000, call.Event{Kind: call.Executed, Leg: "s", Peer: "b", App: call.AppSpy, Data: "b"}).
		state(4000, fsEnd("s", "NORMAL_CLEARING", call.EndedByFarEnd, 2000, 2010)).
		state(5000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).state(5000, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000))
	if len(s.records) != 2 {
		t.Fatalf("%d records", len(s.records))
	}
	wantRecord(t, s.records[0], map[string]any{"direction": "internal", "from": "1003", "to": "881001", "status": "self_service", "talk": 0})
	wantRecord(t, s.records[1], map[string]any{"direction": "inbound", "status": "answered", "talk": 4000, "last_talked_by": "1001"})
}

// TestFreeSWITCH_LastEventsAlone: HANGUP_COMPLETE carries a leg's whole life, so
// that a call whose other events were lost is still one call.
func TestFreeSWITCH_LastEventsAlone(t *testing.T) {
	a, b := fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000), fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000)
	in, out := fsIn("a", "external", "79161234567", "74951230101"), fsOut("b", "a", "1001", "1001")
	a.Link, b.Link = "a", "a"
	a.Channel, a.Endpoint, a.State, a.Number, a.Dialled = in.Channel, in.Endpoint, in.State, in.Number, in.Dialled
	b.Channel, b.Endpoint, b.State, b.Number, b.Peer = out.Channel, out.Endpoint, out.State, out.Number, "a"
	for _, e := range []*call.Event{&a, &b} {
		e.History.Bridged, e.History.HungUp = at(1000), at(3000)
	}
	b.History.Progress = at(100)
	a.History.Vars, b.History.Vars = map[string]string{"last_bridge_to": "b"}, map[string]string{"last_bridge_to": "a"}
	want := map[string]any{"direction": "inbound", "from": "79161234567", "to": "74951230101", "status": "answered", "answered_by": "1001",
		"wait": 1000, "ring": 900, "talk": 2000, "total": 3000, "ended_by": "caller", "quality": call.QualityPartial}
	t.Run("the phone's first", func(t *testing.T) { newFS(t).state(3000, b).state(3000, a).want(want) })
	t.Run("the caller's first", func(t *testing.T) { newFS(t).state(3000, a).state(3000, b).want(want) })
}

// fsNoted is e with a note of a transfer at the given millisecond, of which a
// note says only the second.
func fsNoted(e call.Event, ms int, method, target string) call.Event {
	if e.History == nil {
		e.History = &call.LegHistory{}
	}
	second := at(ms) / call.Moment(time.Second/time.Microsecond) * call.Moment(time.Second/time.Microsecond)
	e.History.Transfers = append(e.History.Transfers, call.TransferNote{ID: method + target, Method: method, Target: target, At: second})
	return e
}

func TestFreeSWITCH_MovedWhileItRings(t *testing.T) {
	moved := func(cause string) *script {
		end := fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 4000)
		return newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, fsOut("b", "a", "1001", "1001")).
			state(100, of(call.LegRinging, "b")).state(2500, fsEnd("b", cause, call.EndedByPBX, 10, 0)).
			state(2510, fsOut("c", "a", "1003", "1003")).state(2600, of(call.LegRinging, "c")).
			state(4000, of(call.LegAnswered, "c")).state(4000, of(call.LegAnswered, "a")).fsBridge(4000, call.Joined, "a", "c").
			state(5000, fsNoted(end, 2500, "bl_xfer", "1003")).state(5000, fsEnd("c", "NORMAL_CLEARING", call.EndedByPBX, 2510, 4000))
	}
	moved("ORIGINATOR_CANCEL").want(map[string]any{"transfers": "redirect <nil>>1003 true;", "answered_by": "1003", "wait": 4000})
	moved("NO_ANSWER").want(map[string]any{"transfers": "", "answered_by": "1003"}) // the dialplan went on by itself
}

func TestFreeSWITCH_MovedOutOfAQueue(t *testing.T) {
	moved := func(result string) *script {
		queued := call.Event{Kind: call.Queued, Leg: "a", Queue: "sales"}
		left := call.Event{Kind: call.Unqueued, Leg: "a", Queue: "sales", Result: result}
		end := fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 10)
		return newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, of(call.LegAnswered, "a")).state(10, queued).
			state(2500, left).state(2510, fsOut("c", "a", "1003", "1003")).state(2600, of(call.LegRinging, "c")).
			state(5000, fsNoted(end, 2500, "bl_xfer", "1003")).state(5000, fsEnd("c", "ORIGINATOR_CANCEL", call.EndedByPBX, 2510, 0))
	}
	moved("BREAK_OUT").want(map[string]any{"transfers": "redirect <nil>>1003 false;", "status": "abandoned"})
	moved("TIMEOUT").want(map[string]any{"transfers": "", "status": "abandoned"})
}

func TestFreeSWITCH_CallerLeavesDuringAConsultation(t *testing.T) {
	// att_xfer keeps the thread of the phone's leg: both ends are stated when the consultation is over.
	fsTalking(t).state(2000, fsOut("c", "b", "1002", "1002")).state(2100, of(call.LegRinging, "c")).state(3000, of(call.LegAnswered, "c")).
		fsBridge(3000, call.Joined, "b", "c").
		state(4000, of(call.LegGone, "a")).state(6000, of(call.LegGone, "b")).
		state(6000, fsEnd("b", "NORMAL_CLEARING", call.EndedByFarEnd, 10, 1000)).fsBridge(6000, call.Parted, "a", "b").
		state(6000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).state(6500, fsEnd("c", "NORMAL_CLEARING", call.EndedByPBX, 2000, 3000)).
		want(map[string]any{"status": "answered", "talk": 3000, "total": 4000, "ended_by": "caller"})
}

func TestFreeSWITCH_GivenAwayWhileTheTargetRings(t *testing.T) {
	parted := fsNoted(call.Event{Kind: call.Parted, Leg: "a", Peer: "b", Bridge: "a+b"}, 3000, "uuid_br", "c")
	fsTalking(t).state(2000, fsOut("c", "b", "1002", "1002")).state(2100, of(call.LegRinging, "c")).
		state(3000, fsEnd("b", "NORMAL_CLEARING", call.EndedByFarEnd, 10, 1000)).state(3030, parted).
		state(6000, fsEnd("c", "DESTINATION_OUT_OF_ORDER", call.EndedByPBX, 2000, 0)).state(6000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).
		want(map[string]any{"status": "answered", "talk": 2000, "total": 6000, "transfers": "attended 1001>1002 false;"})
}

func TestFreeSWITCH_SeveralPhonesOfAnOriginate(t *testing.T) {
	phone := func(id call.LegID, number, shown string) call.Event {
		e := fsOut(id, "", number, number)
		e.Link, e.Connected = string(id), shown
		return e
	}
	originate := func(shown string) *script {
		return newFS(t).state(0, phone("b", "1001", "79035550302")).state(0, phone("c", "1002", shown)).
			state(100, of(call.LegRinging, "b")).state(100, of(call.LegRinging, "c")).state(2000, of(call.LegAnswered, "c")).
			state(2020, fsEnd("b", "LOSE_RACE", call.EndedByPBX, 0, 0)).
			state(2020, fsOut("x", "c", "provider", "79035550302")).state(3000, of(call.LegAnswered, "x")).fsBridge(3000, call.Joined, "c", "x").
			state(4000, fsEnd("c", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 2000)).state(4000, fsEnd("x", "NORMAL_CLEARING", call.EndedByPBX, 2020, 3000))
	}
	originate("79035550302").want(map[string]any{"direction": "outbound", "origin": "originated", "from": "1002", "to": "79035550302", "talk": 1000})
	s := originate("79035550303")
	if s.state(100_000, of(call.Ticked, "")); len(s.records) != 2 {
		t.Errorf("two originates for two clients gave %d records", len(s.records))
	}
}

func TestFreeSWITCH_ForwardedAndNotAnswered(t *testing.T) {
	// The phone's 302 is only told when its leg ends, and another phone of the group took the call.
	in := newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, fsOut("b", "a", "1001", "1001")).state(10, fsOut("c", "a", "1002", "1002")).
		state(100, of(call.LegRinging, "b")).state(100, of(call.LegRinging, "c"))
	in.state(2000, of(call.LegAnswered, "c")).state(2000, of(call.LegAnswered, "a")).fsBridge(2000, call.Joined, "a", "c").
		state(2020, call.Event{Kind: call.Forwarded, Leg: "b", Number: "1005"}).state(2020, fsEnd("b", "LOSE_RACE", call.EndedByPBX, 10, 0)).
		state(4000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 2000)).state(4000, fsEnd("c", "NORMAL_CLEARING", call.EndedByPBX, 10, 2000)).
		want(map[string]any{"status": "answered", "answered_by": "1002", "transfers": "forward 1001>1005 false;"})
}

func TestFreeSWITCH_BlindToHisOwnNumber(t *testing.T) {
	fsTalking(t).state(2000, call.Event{Kind: call.Transferred, Leg: "b", Peer: "a", Transfer: &call.TransferFact{Type: call.TransferBlind, Transferer: "b", Transferee: "a", To: "1001"}}).
		fsBridge(2000, call.Parted, "a", "b").state(2000, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000)).
		state(2000, fsOut("c", "a", "1001", "1001")).state(2100, of(call.LegRinging, "c")).state(3000, of(call.LegAnswered, "c")).fsBridge(3000, call.Joined, "a", "c").
		state(4000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).state(4000, fsEnd("c", "NORMAL_CLEARING", call.EndedByPBX, 2000, 3000)).
		want(map[string]any{"talk": 2000, "transfers": "blind 1001>1001 true;"})
}

func TestFreeSWITCH_TransferToldLate(t *testing.T) {
	// The channel of the phone that gave the call away stays in the dialplan for two seconds more.
	given := &call.TransferFact{Type: call.TransferAttended, Transferer: "b", Second: "d", Transferee: "a", Target: "e", External: true}
	fsTalking(t).state(2000, call.Event{Kind: call.Held, Leg: "b"}).state(2500, fsIn("d", "internal", "1001", "1003")).state(2510, fsOut("e", "d", "1003", "1003")).
		state(2600, of(call.LegRinging, "e")).state(3000, of(call.LegAnswered, "e")).state(3000, of(call.LegAnswered, "d")).fsBridge(3000, call.Joined, "d", "e").
		fsBridge(4000, call.Parted, "d", "e").state(4000, fsEnd("d", "NORMAL_CLEARING", call.EndedByPBX, 2500, 3000)).
		state(4010, call.Event{Kind: call.Resumed, Leg: "b"}).fsBridge(4010, call.Parted, "b", "a").fsBridge(4020, call.Joined, "a", "e", "1001").
		state(6000, call.Event{Kind: call.Transferred, Leg: "b", Peer: "a", Transfer: given}).state(6000, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000)).
		state(7000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).state(7000, fsEnd("e", "NORMAL_CLEARING", call.EndedByPBX, 2510, 3000)).
		want(map[string]any{"last_talked_by": "1003", "total": 7000, "transfers": "attended 1001>1003 true;"})
}

func TestFreeSWITCH_ListeningInByALongNumber(t *testing.T) {
	newFS(t).state(0, fsIn("a", "internal", "1004", "7811001")).state(20, of(call.LegAnswered, "a")).
		state(20, call.Event{Kind: call.Executed, Leg: "a", App: call.AppSpy}).
		state(3000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20)).
		want(map[string]any{"direction": "internal", "from": "1004", "to": "7811001", "status": "self_service"})
}

func TestFreeSWITCH_CallerGivenToWhomOneTalkedWithBefore(t *testing.T) {
	given := &call.TransferFact{Type: call.TransferAttended, Transferer: "b", Second: "k", Transferee: "a", Target: "m", External: true}
	newFS(t).state(0, fsIn("k", "internal", "1001", "1002")).state(10, fsOut("m", "k", "1002", "1002")).
		state(1000, of(call.LegAnswered, "m")).state(1000, of(call.LegAnswered, "k")).fsBridge(1000, call.Joined, "k", "m").
		state(2000, fsIn("a", "external", "79161234567", "74951230101")).state(2010, fsOut("b", "a", "1001", "1001")).state(2100, of(call.LegRinging, "b")).
		state(3000, call.Event{Kind: call.Held, Leg: "k"}).state(3000, of(call.LegAnswered, "b")).state(3000, of(call.LegAnswered, "a")).fsBridge(3000, call.Joined, "a", "b").
		state(4000, call.Event{Kind: call.Held, Leg: "b"}).state(4000, call.Event{Kind: call.Resumed, Leg: "k"}).
		fsBridge(5000, call.Parted, "k", "m").state(5000, fsEnd("k", "NORMAL_CLEARING", call.EndedByPBX, 0, 1000)).
		state(5000, call.Event{Kind: call.Transferred, Leg: "b", Peer: "a", Transfer: given}).state(5000, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 2010, 3000)).
		fsBridge(5000, call.Parted, "a", "b").fsBridge(5150, call.Joined, "a", "m").
		state(7000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 2000, 3000)).state(7000, fsEnd("m", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000)).
		want(map[string]any{"direction": "inbound", "from": "79161234567", "answered_by": "1001", "last_talked_by": "1002", "wait": 1000, "talk": 4000,
			"hold": 1000, "total": 5000, "transfers": "attended 1001>1002 true;"})
}

func TestFreeSWITCH_OnePhoneOfAnOriginateAfterTheOther(t *testing.T) {
	phone := func(id call.LegID, number, shown string) call.Event {
		e := fsOut(id, "", number, number)
		e.Link, e.Connected = string(id), shown
		return e
	}
	originate := func(shown string, later int) *script {
		return newFS(t).state(0, phone("b", "1001", "79035550302")).state(100, of(call.LegRinging, "b")).
			state(2000, fsEnd("b", "NO_ANSWER", call.EndedByPBX, 0, 0)).state(2000+later, phone("c", "1002", shown)).
			state(3000, of(call.LegAnswered, "c")).state(3000, fsOut("x", "c", "provider", "79035550302")).state(4000, of(call.LegAnswered, "x")).
			fsBridge(4000, call.Joined, "c", "x").
			state(5000, fsEnd("c", "NORMAL_CLEARING", call.EndedByFarEnd, 2000, 3000)).state(5000, fsEnd("x", "NORMAL_CLEARING", call.EndedByPBX, 3000, 4000))
	}
	originate("79035550302", 20).want(map[string]any{"direction": "outbound", "origin": "originated", "from": "1002", "to": "79035550302", "wait": 4000, "talk": 1000})
	for name, s := range map[string]*script{"for another client": originate("79035550303", 20), "a while later": originate("79035550302", 600)} {
		ids := map[string]bool{}
		for _, r := range s.state(100_000, of(call.Ticked, "")).records {
			ids[r.ID] = true
		}
		if len(ids) != 2 {
			t.Errorf("%s: %d calls, want two", name, len(ids))
		}
	}
}

func TestFreeSWITCH_ParkedAfterAskingForAPlace(t *testing.T) {
	// The phone's second line is parked first, then the caller in its stead, a second after the transfer.
	given := &call.TransferFact{Type: call.TransferAttended, Transferer: "b", Second: "k", Transferee: "a", External: true}
	fsTalking(t).state(2000, call.Event{Kind: call.Held, Leg: "b"}).state(2500, fsIn("k", "internal", "1001", "6006")).state(2510, of(call.LegAnswered, "k")).
		state(2520, call.Event{Kind: call.Parked, Leg: "k", Number: "6006"}).state(3000, call.Event{Kind: call.ParkEnded, Leg: "k", Number: "6006"}).
		state(3000, fsEnd("k", "ATTENDED_TRANSFER", call.EndedByPBX, 2500, 2510)).
		state(3000, call.Event{Kind: call.Transferred, Leg: "b", Peer: "a", Transfer: given}).state(3000, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000)).
		fsBridge(3010, call.Parted, "a", "b").state(4050, call.Event{Kind: call.Parked, Leg: "a", Number: "6006"}).
		state(6000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).
		want(map[string]any{"talk": 2000, "total": 6000, "transfers": "park 1001>6006 <nil>;"})
}

func TestFreeSWITCH_PickedUpAfterABlindTransfer(t *testing.T) {
	fsTalking(t).state(2000, call.Event{Kind: call.Transferred, Leg: "b", Peer: "a", Transfer: &call.TransferFact{Type: call.TransferBlind, Transferer: "b", Transferee: "a", To: "1002"}}).
		fsBridge(2000, call.Parted, "a", "b").state(2000, fsEnd("b", "NORMAL_CLEARING", call.EndedByPBX, 10, 1000)).
		state(2000, fsOut("c", "a", "1002", "1002")).state(2100, of(call.LegRinging, "c")).
		state(3000, fsIn("p", "internal", "1003", "**1002")).state(3010, of(call.LegAnswered, "p")).
		state(3020, fsEnd("c", "PICKED_OFF", call.EndedByPBX, 2000, 0)).fsBridge(3030, call.Joined, "a", "p").
		state(5000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).state(5000, fsEnd("p", "NORMAL_CLEARING", call.EndedByPBX, 3000, 3010)).
		want(map[string]any{"last_talked_by": "1003", "transfers": "blind 1001>1002 true;pickup 1003>1003 true;"})
}

func TestFreeSWITCH_OriginateForwardedByTheEmployee(t *testing.T) {
	newFS(t).state(0, fsOut("b", "", "1001", "1001")).state(100, of(call.LegRinging, "b")).state(1000, of(call.LegAnswered, "b")).
		state(1000, call.Event{Kind: call.Forwarded, Leg: "b", Number: "1005"}).state(1020, fsOut("x", "b", "provider", "79035550302")).
		state(2000, of(call.LegAnswered, "x")).fsBridge(2000, call.Joined, "b", "x").
		state(3000, fsEnd("b", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 1000)).state(3000, fsEnd("x", "NORMAL_CLEARING", call.EndedByPBX, 1020, 2000)).
		want(map[string]any{"from": "1005", "to": "79035550302", "transfers": "forward 1001>1005 true;"})
}

func TestFreeSWITCH_AnOldNoteToldFirstWhenATalkEnds(t *testing.T) {
	// The dialplan's transfer of the beginning; the caller's own history comes only with the end of his first talk.
	old := fsNoted(call.Event{Kind: call.Parted, Leg: "a", Peer: "p", Bridge: "a+p"}, 9000, "bl_xfer", "1001")
	old.History.Transfers[0].At = at(0)
	newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, fsOut("b", "a", "1001", "1001")).state(100, of(call.LegRinging, "b")).
		state(3000, fsIn("p", "internal", "1003", "**1001")).state(3010, of(call.LegAnswered, "p")).state(3010, of(call.LegAnswered, "a")).
		state(3020, fsEnd("b", "PICKED_OFF", call.EndedByPBX, 10, 0)).
		state(3030, call.Event{Kind: call.Joined, Leg: "p", Peer: "a", Bridge: "a+p"}).state(3030, call.Event{Kind: call.Joined, Leg: "a", Peer: "p", Bridge: "a+p"}).
		state(9000, fsEnd("p", "NORMAL_CLEARING", call.EndedByFarEnd, 3000, 3010)).state(9000, old).
		state(12000, fsEnd("a", "NORMAL_CLEARING", call.EndedByPBX, 0, 3010)).
		want(map[string]any{"answered_by": "1003", "talk": 5970, "transfers": "pickup 1003>1003 true;"})
}

func TestFreeSWITCH_PauseBeforeAMailbox(t *testing.T) {
	// The stock dialplan answers and sleeps for a second before the mailbox.
	s := newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, fsOut("b", "a", "1001", "1001")).state(100, of(call.LegRinging, "b")).
		state(5000, fsEnd("b", "NO_ANSWER", call.EndedByPBX, 10, 0)).state(5010, of(call.LegAnswered, "a")).
		state(6020, call.Event{Kind: call.Executed, Leg: "a", App: call.AppVoicemail, Data: "1001"}).
		state(9000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 5010))
	s.want(map[string]any{"status": "voicemail", "wait": 9000, "talk": 0})
	if r := s.last(); *r.IVRMs != 0 {
		t.Errorf("ivr %d: nothing was played", *r.IVRMs)
	}
}

func TestFreeSWITCH_TheGreetingIsTheMailboxs(t *testing.T) {
	// The mailbox is named when it begins to record.
	s := newFS(t).state(0, fsIn("a", "external", "79161234567", "74951230101")).state(10, of(call.LegAnswered, "a")).
		state(10, call.Event{Kind: call.Queued, Leg: "a", Queue: "sales"}).state(5000, call.Event{Kind: call.Unqueued, Leg: "a", Queue: "sales", Result: "TIMEOUT"}).
		state(9000, call.Event{Kind: call.Executed, Leg: "a", App: call.AppVoicemail, Data: "1001"}).
		state(12000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 10))
	s.want(map[string]any{"status": "voicemail", "wait": 12000, "talk": 0})
	if r := s.last(); *r.IVRMs != 0 || *r.QueueMs != 4990 {
		t.Errorf("ivr %d, queue %d", *r.IVRMs, *r.QueueMs)
	}
}
