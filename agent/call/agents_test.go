package call_test

import (
	"maps"
	"slices"
	"testing"

	"calljournal/agent/call"
)

// wantCalls compares fields of the records, which are those of these ids.
func (s *script) wantCalls(calls map[string]map[string]any) {
	s.t.Helper()
	current := s.current()
	if got, want := slices.Sorted(maps.Keys(current)), slices.Sorted(maps.Keys(calls)); !slices.Equal(got, want) {
		s.t.Errorf("calls %q, want %q", got, want)
	}
	owner := map[string]string{}
	for id, r := range current {
		wantRecord(s.t, r, calls[id])
		for _, leg := range r.PBXIDs {
			if owner[leg] != "" {
				s.t.Errorf("%s is in %s and in %s", leg, owner[leg], id)
			}
			owner[leg] = id
		}
	}
}

// restored goes on with what the store would give back.
func (s *script) restored() *script {
	t := call.New(call.Options{Agent: "a", PBX: "main", PBXKind: "freeswitch"})
	t.Restore(s.kept, s.tracker.Ahead())
	s.tracker = t
	return s
}

var (
	agentsOwn = map[string]any{"direction": "internal", "from": "1004", "to": "9201", "status": "self_service", "talk": 0}
	noted     = func(leg call.LegID) call.Event { return call.Event{Kind: call.Executed, Leg: leg, App: call.AppAgent} }
)

// standby is an agent on the line for mod_callcenter, who serves a caller from
// one moment to another.
func standby(t *testing.T) *script {
	return newFS(t).state(0, fsIn("g", "internal", "1004", "9201")).state(20, of(call.LegAnswered, "g"))
}

func (s *script) serves(caller call.LegID, number string, from, to int) *script {
	return s.comes(caller, number, from-1000).meets(caller, from).leaves(caller, from, to)
}

func (s *script) comes(caller call.LegID, number string, at int) *script {
	return s.state(at, fsIn(caller, "external", number, "74951230101")).state(at+20, of(call.LegAnswered, caller)).
		state(at+20, call.Event{Kind: call.Queued, Leg: caller, Queue: "sales"})
}

func (s *script) meets(caller call.LegID, at int) *script {
	return s.state(at-40, call.Event{Kind: call.QueueMember, Leg: caller, Peer: "g", Queue: "sales", Number: "1004"}).fsBridge(at, call.Joined, caller, "g")
}

func (s *script) leaves(caller call.LegID, from, to int) *script {
	end := fsEnd(caller, "NORMAL_CLEARING", call.EndedByFarEnd, from-1000, from-980)
	end.Peer = "g" // whom he was joined with last
	return s.state(to, end).fsBridge(to+10, call.Parted, caller, "g").state(to+50, call.Event{Kind: call.Unqueued, Leg: caller, Queue: "sales"})
}

func TestAgents_OneCallerAfterTheOther(t *testing.T) {
	caller := func(number string, talk int) map[string]any {
		return map[string]any{"direction": "inbound", "from": number, "to": "74951230101", "status": "answered", "answered_by": "1004", "last_talked_by": "1004",
			"wait": 1000, "talk": talk, "total": 1000 + talk, "ended_by": "caller"}
	}
	want := map[string]map[string]any{"main:g": agentsOwn, "main:a": caller("79161234567", 2000), "main:b": caller("79161234568", 1500)}
	end := func(s *script) *script {
		return s.state(20_000, fsEnd("g", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20))
	}
	end(standby(t).serves("a", "79161234567", 5000, 7000).serves("b", "79161234568", 9000, 10_500)).wantCalls(want)
	// The next waits while he talks.
	end(standby(t).comes("a", "79161234567", 4000).meets("a", 5000).comes("b", "79161234568", 8000).leaves("a", 5000, 7000).meets("b", 9000).leaves("b", 9000, 10_500)).wantCalls(want)
	// The daemon is started anew before each, and in the middle of a talk.
	end(standby(t).restored().comes("a", "79161234567", 4000).restored().meets("a", 5000).restored().leaves("a", 5000, 7000).restored().
		serves("b", "79161234568", 9000, 10_500).restored()).wantCalls(want)
	// What the first was served with is forgotten when the second comes.
	end(standby(t).serves("a", "79161234567", 5000, 7000).state(60_000, of(call.Ticked, "")).restored().serves("b", "79161234568", 69_000, 70_500)).wantCalls(want)
}

func TestAgents_SeenInAList(t *testing.T) {
	// The daemon came when the agent was on the line already. A phone that has just
	// answered the queue is none.
	list := func(at int) *script {
		return newFS(t).comes("a", "79161234567", 4000).state(at, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{
			{Leg: "a", Link: "a", Channel: "sofia/external/79161234567@192.0.2.1", Endpoint: "external", State: call.StateUp, Number: "79161234567", Dialled: "74951230101"},
			{Leg: "g", Link: "g", Channel: "sofia/internal/1004@192.0.2.1", Endpoint: "1004", State: call.StateUp, Number: "1004", Dialled: "9201"}}}).
			meets("a", 12_000).leaves("a", 12_000, 14_000)
	}
	ids := func(s *script) []string {
		return slices.Sorted(maps.Keys(s.state(20_000, fsEnd("g", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20)).current()))
	}
	if got := ids(list(5000).serves("b", "79161234568", 16_000, 17_000)); !slices.Equal(got, []string{"main:a", "main:b", "main:g"}) {
		t.Errorf("an agent on the line: %q", got)
	}
	if got := ids(list(11_000)); !slices.Equal(got, []string{"main:a"}) {
		t.Errorf("a phone: %q", got)
	}
}

func TestAgents_WhoEnds(t *testing.T) {
	s := standby(t).comes("a", "79161234567", 4000).meets("a", 5000).fsBridge(7000, call.Parted, "a", "g").
		state(7000, fsEnd("a", "NORMAL_CLEARING", call.EndedByPBX, 4000, 4020)).state(7010, fsEnd("g", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20))
	s.wantCalls(map[string]map[string]any{"main:g": agentsOwn, "main:a": {"status": "answered", "talk": 2000, "ended_by": "callee"}})
}

func TestAgents_Holds(t *testing.T) {
	s := standby(t).comes("a", "79161234567", 4000).meets("a", 5000).state(5500, of(call.Held, "g")).restored().state(6100, of(call.Resumed, "g")).
		leaves("a", 5000, 7000).state(9000, of(call.Held, "g")).state(9500, fsEnd("g", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20))
	s.wantCalls(map[string]map[string]any{"main:g": agentsOwn, "main:a": {"status": "answered", "talk": 2000, "hold": 600}})
}

func TestAgents_Asterisk(t *testing.T) {
	// The caller gets the agent's linked id when they are joined: what is made for
	// him afterwards has it, and is no part of the agent's call.
	g := phone("g", "1004", "g")
	g.State, g.Dialled = call.StateCalling, "9201"
	hold := in("pool", "g")
	hold.BridgeKind = call.BridgeHolding
	s := newScript(t).state(0, g).state(10, noted("g")).state(20, of(call.LegAnswered, "g")).state(30, hold).
		state(1000, client("c")).state(1010, in("b", "c")).
		state(2000, call.Event{Kind: call.Parted, Leg: "g", Bridge: "pool"}).state(2000, in("b", "g")).state(2001, of(call.LegAnswered, "c")).
		state(4000, call.Event{Kind: call.Transferred, Leg: "g", Peer: "c", Transfer: &call.TransferFact{Type: call.TransferBlind, Transferer: "g", Transferee: "c", To: "102", External: true}}).
		state(4000, call.Event{Kind: call.Parted, Leg: "g", Bridge: "b"}).state(4000, call.Event{Kind: call.Parted, Leg: "c", Bridge: "b"}).state(4020, hold).
		state(4100, phone("p", "102", "g")).state(4110, call.Event{Kind: call.Dialled, Leg: "c", Peer: "p", Number: "102", Dialled: "102"}).
		state(4200, of(call.LegRinging, "p")).state(5000, of(call.LegAnswered, "p")).state(5000, in("b2", "p")).state(5000, in("b2", "c")).
		state(7000, of(call.LegHungUp, "c")).state(7001, gone("c", 16)).state(7002, gone("p", 16)).
		state(9000, of(call.LegHungUp, "g")).state(9001, gone("g", 16))
	s.wantCalls(map[string]map[string]any{"main:g": agentsOwn,
		"main:c": {"status": "answered", "answered_by": "1004", "last_talked_by": "102", "wait": 1000, "talk": 4000, "transfers": "blind 1004>102 true;", "ended_by": "caller"}})
}

// Two callers of whom nothing was seen, while the agent's login was: Asterisk's
// rows tie both to his channel, by its name and by its linked id.
func TestAgents_Rows(t *testing.T) {
	row := func(leg call.LegID, number string, from, to int) call.Event {
		return call.Event{Kind: call.Reported, At: at(to), Seen: at(60_000), Leg: leg, Link: "g", Channel: "PJSIP/trunk-a-0000000" + string(leg), Endpoint: "trunk-a",
			PeerChannel: "PJSIP/1004-0000000g", Number: number, Dialled: "74951230101", State: call.StateCalling, Result: "ANSWER", App: call.AppQueue, Queue: "sales",
			History: &call.LegHistory{Created: at(from), Answered: at(from + 1000), HungUp: at(to)}}
	}
	own := call.Event{Kind: call.Reported, At: at(50_000), Seen: at(60_000), Leg: "g", Link: "g", Channel: "PJSIP/1004-0000000g", Endpoint: "1004", Number: "1004", Dialled: "9201",
		State: call.StateCalling, Result: "ANSWER", App: call.AppAgent, History: &call.LegHistory{Created: at(0), Answered: at(20), HungUp: at(50_000)}}
	late := own
	late.Link = "a"                                                                                  // the older linked id stays
	rows := []call.Event{row("a", "79161234567", 5000, 9000), row("b", "79161234568", 7000, 11_000)} // the second waits meanwhile
	g := phone("g", "1004", "g")
	g.State, g.Dialled, g.Channel = call.StateCalling, "9201", "PJSIP/1004-0000000g"
	for name, c := range map[string]struct {
		seen bool
		rows []call.Event
		want []string
	}{
		"he is on the line still":           {true, rows, []string{"main:a", "main:b"}},
		"nothing was seen of him, too":      {false, append([]call.Event{own}, rows...), []string{"main:a", "main:b", "main:g"}},
		"his first caller was there before": {false, append([]call.Event{late}, rows...), []string{"main:a", "main:b", "main:g"}},
	} {
		s := newScript(t)
		if c.seen {
			s.state(0, g).state(10, noted("g")).state(20, of(call.LegAnswered, "g")).state(4000, call.Event{Kind: call.LinkDown}).state(15_000, call.Event{Kind: call.LinkUp})
		}
		got := map[string]call.Record{}
		for _, x := range s.tracker.Heal(c.rows, []call.Gap{{PBX: "main", From: at(-1), To: at(55_000)}}, func([]string, call.Moment, call.Moment) []call.Closed { return nil }) {
			if x.Op == call.CallRecorded {
				got[x.ID] = *x.Record
			}
		}
		if ids := slices.Sorted(maps.Keys(got)); !slices.Equal(ids, c.want) {
			t.Errorf("%s: calls %q, want %q", name, ids, c.want)
		}
		for _, id := range []string{"main:a", "main:b"} {
			wantRecord(t, got[id], map[string]any{"status": "answered", "answered_by": "1004", "direction": "inbound"})
		}
	}
}

// As above by FreeSWITCH, of an agent whom no queue has joined with anybody yet:
// that he is one is seen by his callers' rows, and by the next caller.
func TestAgents_RowsBeforeHeIsKnown(t *testing.T) {
	row := func(leg call.LegID, number string, from, to int) call.Event {
		e := fsEnd(leg, "NORMAL_CLEARING", call.EndedByFarEnd, from, from+10)
		e.Kind, e.At, e.Seen, e.Link = call.Reported, at(to), at(15_000), string(leg)
		e.Channel, e.Endpoint, e.PeerChannel = "sofia/external/"+number+"@192.0.2.1", "external", "sofia/internal/1004@192.0.2.1"
		e.Number, e.Dialled, e.State = number, "74951230101", call.StateCalling
		e.History.Bridged, e.History.HungUp = at(from+1000), at(to)
		e.History.Vars = map[string]string{"last_bridge_to": "g", call.VarQueueAgent: "g"}
		return e
	}
	s := standby(t).state(4000, call.Event{Kind: call.LinkDown}).state(12_000, call.Event{Kind: call.LinkUp})
	for _, x := range s.tracker.Heal([]call.Event{row("a", "79161234567", 5000, 9000), row("b", "79161234568", 7000, 11_000)},
		[]call.Gap{{PBX: "main", From: at(4000), To: at(12_000)}}, func([]string, call.Moment, call.Moment) []call.Closed { return nil }) {
		if x.Op == call.CallRecorded {
			s.records = append(s.records, *x.Record)
		}
	}
	s.serves("c", "79161234569", 16_000, 17_000).state(20_000, fsEnd("g", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20)).wantCalls(map[string]map[string]any{
		"main:g": {"status": "self_service"}, "main:a": {"status": "answered", "answered_by": "1004", "talk": 3000},
		"main:b": {"status": "answered", "answered_by": "1004", "talk": 3000}, "main:c": {"status": "answered", "answered_by": "1004", "talk": 1000}})
}

// The agent sends a caller on and leaves. What is known of him is kept for as long
// as the caller is there: over a restart, and when others are called for two who
// have his linked id.
func TestAgents_LeavesBeforeHisCallers(t *testing.T) {
	sent := func(s *script, caller, to call.LegID, ms int) *script {
		other := fsOut(to, caller, "1002", "1002")
		return s.state(ms, call.Event{Kind: call.Held, Leg: "g"}).state(ms+100, call.Event{Kind: call.Resumed, Leg: "g"}).
			fsBridge(ms+200, call.Parted, caller, "g").state(ms+210, other).state(ms+300, of(call.LegRinging, to)).
			state(ms+1000, of(call.LegAnswered, to)).fsBridge(ms+1000, call.Joined, caller, to)
	}
	s := sent(standby(t).comes("a", "79161234567", 4000).meets("a", 5000), "a", "p", 7000).
		state(9000, fsEnd("g", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20)).state(60_000, of(call.Ticked, "")).restored().state(70_000, of(call.Ticked, "")).
		state(71_000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 4000, 4020)).state(71_010, fsEnd("p", "NORMAL_CLEARING", call.EndedByPBX, 7210, 8000))
	s.wantCalls(map[string]map[string]any{"main:g": agentsOwn,
		"main:a": {"status": "answered", "answered_by": "1004", "last_talked_by": "1002", "wait": 1000, "hold": 100, "talk": 2200 + 63_000}})
	if open := s.tracker.Open(); open != 0 {
		t.Errorf("%d calls are open", open)
	}

	g := phone("g", "1004", "g")
	g.State, g.Dialled = call.StateCalling, "9201"
	s = newScript(t).state(0, g).state(10, noted("g")).state(20, of(call.LegAnswered, "g"))
	for i, caller := range []call.LegID{"c", "d"} {
		ms, b := 1000+3000*i, "b"+string(caller)
		e := client(caller)
		e.Channel += string(caller)
		s.state(ms, e).state(ms+10, in(b, caller)).state(ms+500, in(b, "g")).state(ms+501, of(call.LegAnswered, caller)).
			state(ms+2000, call.Event{Kind: call.Parted, Leg: "g", Bridge: b}).state(ms+2000, call.Event{Kind: call.Parted, Leg: caller, Bridge: b})
	}
	s.state(8000, of(call.LegHungUp, "g")).state(8001, gone("g", 16)).state(60_000, of(call.Ticked, ""))
	for i, caller := range []call.LegID{"c", "d"} {
		ms, p := 61_000+1000*i, "p"+caller
		s.state(ms, phone(p, "102", "g")).state(ms+10, call.Event{Kind: call.Dialled, Leg: caller, Peer: p, Number: "102", Dialled: "102"})
	}
	for _, leg := range []call.LegID{"c", "pc", "d", "pd"} {
		s.state(65_000, gone(leg, 16))
	}
	s.wantCalls(map[string]map[string]any{"main:g": agentsOwn, "main:c": {"status": "answered"}, "main:d": {"status": "answered"}})
}

// He consults somebody, for whom FreeSWITCH makes a leg in his name, and hands over.
func TestAgents_Consults(t *testing.T) {
	s := standby(t).comes("a", "79161234567", 4000).meets("a", 5000).state(6000, fsOut("p", "g", "1002", "1002")).state(6100, of(call.LegRinging, "p")).
		state(7000, of(call.LegAnswered, "p")).fsBridge(7000, call.Joined, "g", "p").fsBridge(8000, call.Parted, "g", "p").fsBridge(8000, call.Parted, "a", "g").
		fsBridge(8000, call.Joined, "a", "p").state(10_000, fsEnd("a", "NORMAL_CLEARING", call.EndedByFarEnd, 4000, 4020)).
		state(10_010, fsEnd("p", "NORMAL_CLEARING", call.EndedByPBX, 6000, 7000)).serves("b", "79161234568", 12_000, 13_000).
		state(20_000, fsEnd("g", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20))
	s.wantCalls(map[string]map[string]any{"main:g": agentsOwn, "main:b": {"answered_by": "1004", "talk": 1000},
		"main:a": {"status": "answered", "answered_by": "1004", "last_talked_by": "1002", "talk": 5000}})
}

func TestAgents_SeenInATalk(t *testing.T) {
	// With the first caller he is one call; the next has his own.
	s := newFS(t).state(5000, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{
		{Leg: "a", Link: "a", Channel: "sofia/external/79161234567@192.0.2.1", Endpoint: "external", State: call.StateUp, Number: "79161234567", Dialled: "74951230101", Bridge: "a+g"},
		{Leg: "g", Link: "g", Channel: "sofia/internal/1004@192.0.2.1", Endpoint: "1004", State: call.StateUp, Number: "1004", Dialled: "9201", Bridge: "a+g"}}}).
		leaves("a", 4000, 7000).serves("b", "79161234568", 16_000, 17_000).state(20_000, fsEnd("g", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20))
	s.wantCalls(map[string]map[string]any{"main:a": {"status": "answered"}, "main:b": {"answered_by": "1004", "talk": 1000}})
}

func TestAgents_AnnouncementAfterwards(t *testing.T) {
	s := standby(t).comes("a", "79161234567", 4000).meets("a", 5000).fsBridge(7000, call.Parted, "a", "g").
		state(37_000, fsEnd("a", "NORMAL_CLEARING", call.EndedByPBX, 4000, 4020)).state(40_000, fsEnd("g", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20))
	s.wantCalls(map[string]map[string]any{"main:g": agentsOwn, "main:a": {"status": "answered", "ended_by": "pbx"}})
	for _, l := range s.current()["main:a"].Legs {
		if want := map[string]string{"1004": call.RolePhone, "79161234567": call.RoleCaller}[*l.Number]; l.Role != want {
			t.Errorf("%s is the %s", *l.Number, l.Role)
		}
	}
}
