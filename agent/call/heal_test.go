package call_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
)

// book is a feed as the journal keeps it: by id the newest record and its facts.
type book struct {
	*script
	calls map[string]call.Closed
	ops   []string
}

func newBook(s *script) *book { return &book{script: s, calls: map[string]call.Closed{}} }

func (b *book) note(cs []call.Change) {
	for _, c := range cs {
		switch c.Op {
		case call.FactKept:
			b.kept = append(b.kept, *c.Event)
		case call.FactsDropped:
			b.kept = slices.DeleteFunc(b.kept, func(e call.Event) bool { return slices.Contains(c.Facts, e.N) })
		case call.CallRecorded:
			b.calls[c.ID] = call.Closed{Record: c.Record, Facts: c.Evidence}
			b.ops = append(b.ops, "record "+c.ID+" "+c.Record.Quality+" "+c.Record.Status)
		case call.CallDeleted:
			delete(b.calls, c.ID)
			b.ops = append(b.ops, "delete "+c.ID+" into "+c.Into)
		}
	}
}

func (b *book) at(ms int, e call.Event) *book {
	b.seq++
	e.Seq = b.seq
	if e.At == 0 {
		e.At = at(ms)
	}
	e.Seen = at(ms)
	b.note(b.tracker.Apply(e))
	return b
}

func (b *book) find(ids []string, _, _ call.Moment) (out []call.Closed) {
	for _, id := range slices.Sorted(maps.Keys(b.calls)) {
		k := b.calls[id]
		if slices.ContainsFunc(k.Record.PBXIDs, func(x string) bool { return slices.Contains(ids, x) }) || slices.Contains(ids, strings.TrimPrefix(id, "main:")) {
			out = append(out, k)
		}
	}
	return out
}

func (b *book) heal(gap call.Gap, rows ...call.Event) *book {
	b.note(b.tracker.Heal(rows, []call.Gap{gap}, b.find))
	return b
}

// astRow is a row of Master.csv, without a linked id, as it comes.
func astRow(leg call.LegID, channel, endpoint, number, dialled, with string, from, answered, to int) call.Event {
	return call.Event{Kind: call.Reported, At: at(to), Seen: at(31_000), Leg: leg, Channel: channel, Endpoint: endpoint, Number: number, Dialled: dialled,
		PeerChannel: with, State: call.StateCalling, Result: "ANSWER", App: call.AppDial,
		History: &call.LegHistory{Created: at(from), Answered: at(answered), HungUp: at(to)}}
}

// consulting is a client in a talk with 101, who has put him on hold and talks with 102.
func consulting(t *testing.T) *book {
	b := newBook(newScript(t))
	c := client("c")
	c.Channel = "PJSIP/trunk-a-0000000c"
	ph := phone("p", "101", "c")
	ph.Channel = "PJSIP/101-0000000p"
	k := call.Event{Kind: call.LegCreated, Leg: "k", Link: "k", Channel: "PJSIP/101-0000000k", Endpoint: "101", State: call.StateCalling, Number: "101", Dialled: "102"}
	q := phone("q", "102", "k")
	q.Channel = "PJSIP/102-0000000q"
	return b.at(0, c).at(10, ph).at(12, call.Event{Kind: call.Dialled, Leg: "c", Peer: "p", Number: "101", Dialled: "74951230101"}).
		at(1000, of(call.LegAnswered, "p")).at(1001, of(call.LegAnswered, "c")).at(1002, in("b", "p")).at(1002, in("b", "c")).
		at(5000, of(call.Held, "p")).
		at(5100, k).at(5110, q).at(5111, call.Event{Kind: call.Dialled, Leg: "k", Peer: "q", Number: "102", Dialled: "102"}).
		at(6000, of(call.LegAnswered, "q")).at(6001, of(call.LegAnswered, "k")).at(6002, in("b2", "q")).at(6002, in("b2", "k"))
}

// transferRows are what Asterisk writes if 101 gives the client to 102 at second 12.
func transferRows() []call.Event {
	return []call.Event{
		astRow("c", "PJSIP/trunk-a-0000000c", "trunk-a", "79161234567", "74951230101", "PJSIP/101-0000000p", 0, 1000, 12_000),
		astRow("k", "PJSIP/101-0000000k", "101", "101", "102", "PJSIP/102-0000000q", 5000, 6000, 12_000),
		astRow("c", "PJSIP/trunk-a-0000000c", "trunk-a", "79161234567", "74951230101", "PJSIP/102-0000000q", 12_000, 12_000, 20_000),
	}
}

// In a gap an attended transfer joins two calls, both of which ended in it: read at
// once or when they have been let go, the rows make one of them.
func TestHeal_RowsTieTwoHeldCalls(t *testing.T) {
	gap := call.Gap{PBX: "main", From: at(10_000), To: at(30_000)}
	down := func() *book {
		return consulting(t).at(10_000, of(call.LinkDown, "")).at(30_000, of(call.LinkUp, "")).at(30_001, of(call.Snapshot, ""))
	}
	later := down().at(46_000, of(call.Ticked, "")).heal(gap, transferRows()...) // read after Linger
	soon := down().heal(gap, transferRows()...).at(46_000, of(call.Ticked, ""))  // read at once, as always
	if len(later.calls) != 1 {
		t.Errorf("read after Linger: %d calls, want 1", len(later.calls))
	}
	if len(soon.calls) != 1 {
		t.Errorf("read at once: %d calls, want 1", len(soon.calls))
	}
}

// Two closed calls that rows tie together: their facts are told in the order in
// which they came.
func TestHeal_TwoClosedCalls(t *testing.T) {
	gap := call.Gap{PBX: "main", From: at(10_000), To: at(30_000)}
	rows := transferRows()
	for i := range rows {
		rows[i].Seen = rows[i].At // so that the rows themselves do not look like a step
	}
	b := consulting(t).at(10_000, of(call.LinkDown, "")).at(30_000, of(call.LinkUp, "")).at(30_001, of(call.Snapshot, "")).at(46_000, of(call.Ticked, "")).heal(gap, rows...)
	facts := b.calls["main:c"].Facts
	for i := 1; i < len(facts); i++ {
		if facts[i].Kind != call.Reported && facts[i].Seen < facts[i-1].Seen {
			t.Errorf("fact %d (%v) was seen before fact %d (%v)", i, facts[i].Kind, i-1, facts[i-1].Kind)
		}
	}
	if r := b.calls["main:c"].Record; slices.Contains(r.Doubts, call.DoubtClockStepped) {
		t.Errorf("no clock was set: %v", r.Doubts)
	}
}

// A held call is named after a first channel that was never seen; the row of that
// one comes.
func TestHeal_RowOfTheChannelThatNamesAHeldCall(t *testing.T) {
	s := newBook(newScript(t)).at(0, of(call.LinkUp, "")).at(1, of(call.Snapshot, "")).at(2000, of(call.LinkDown, "")).at(30_000, of(call.LinkUp, "")).
		at(30_001, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{
			{Leg: "1.2", Link: "1.1", Channel: "PJSIP/102-00000002", Endpoint: "102", State: call.StateUp, Number: "102", Created: at(3000), Bridge: "b2"},
			{Leg: "1.3", Link: "1.1", Channel: "PJSIP/103-00000003", Endpoint: "103", State: call.StateUp, Number: "103", Created: at(12_000), Bridge: "b2"}}})
	gap := call.Gap{PBX: "main", From: at(2000), To: at(30_000)}
	// 1.1 (a client) called 1.2, 1.2 was given to 1.3 by... the client's channel ended at 13 s
	s.heal(gap, astRow("1.1", "PJSIP/trunk-a-00000001", "trunk-a", "79161234567", "74951230101", "PJSIP/102-00000002", 3000, 5000, 13_000))
	if len(s.calls) != 0 {
		t.Errorf("a call in progress is in the journal as over: %v", s.ops)
	}
	s.at(40_000, of(call.LegHungUp, "1.2")).at(40_000, gone("1.2", 16)).at(40_001, gone("1.3", 16)).at(60_000, of(call.Ticked, ""))
	if r := s.calls["main:1.1"].Record; r == nil || value(r.From.Number) != "79161234567" {
		t.Errorf("the caller whom the row named is forgotten: %v", r)
	}
}

// Two are in a room; x came and left in the gap, y is still there. Of two in a
// room one has the row, and it names the other's channel.
func TestHeal_ConfereeHasACallOfHisOwn(t *testing.T) {
	row := astRow("x", "PJSIP/trunk-a-0000000x", "trunk-a", "79161234567", "74951230101", "PJSIP/102-0000000y", 5000, 5010, 9000)
	row.App, row.Data = call.AppConference, "room1"
	y := call.Event{Kind: call.LegCreated, Leg: "y", Link: "y", Channel: "PJSIP/102-0000000y", Endpoint: "102", State: call.StateCalling, Number: "102", Dialled: "8000"}
	room := call.Event{Kind: call.Joined, Leg: "y", Bridge: "r", BridgeKind: call.BridgeConference, State: call.StateUp}
	gap := call.Gap{PBX: "main", From: at(4000), To: at(30_000)}
	for name, wait := range map[string]bool{"y is still there": false, "y's call is over and let go": true} {
		b := newBook(newScript(t)).at(3500, y).at(3510, of(call.LegAnswered, "y")).at(3520, call.Event{Kind: call.Executed, Leg: "y", App: call.AppConference, Data: "room1"}).at(3530, room).
			at(4000, of(call.LinkDown, "")).at(30_000, of(call.LinkUp, "")).at(30_001, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{
			{Leg: "y", Link: "y", Channel: "PJSIP/102-0000000y", Endpoint: "102", State: call.StateUp, Number: "102", Dialled: "8000", Created: at(3500), Bridge: "r", BridgeKind: call.BridgeConference}}})
		if !wait {
			b.heal(gap, row)
		}
		b.at(40_000, of(call.LegHungUp, "y")).at(40_000, gone("y", 16)).at(60_000, of(call.Ticked, ""))
		b.heal(gap, row)
		if len(b.calls) != 2 {
			t.Errorf("%s: %d calls, want 2: x has none", name, len(b.calls))
		}
	}
}

// halfSeenChain is a call of which only its end is seen: 102 and 103 talk.
func halfSeenChain(t *testing.T) *book {
	return newBook(newScript(t)).at(0, of(call.LinkUp, "")).at(1, of(call.Snapshot, "")).at(2000, of(call.LinkDown, "")).at(30_000, of(call.LinkUp, "")).
		at(30_001, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{
			{Leg: "1.2", Link: "1.2", Channel: "PJSIP/102-00000002", Endpoint: "102", State: call.StateUp, Number: "102", Created: at(3000), Bridge: "b2"},
			{Leg: "1.3", Link: "1.2", Channel: "PJSIP/103-00000003", Endpoint: "103", State: call.StateUp, Number: "103", Created: at(12_000), Bridge: "b2"}}})
}

// A row that only another row ties to a held call, and a restart.
func TestHeal_RowsAfterARestart(t *testing.T) {
	gap := call.Gap{PBX: "main", From: at(2000), To: at(30_000)}
	rows := []call.Event{
		astRow("1.1", "PJSIP/trunk-a-00000001", "trunk-a", "79161234567", "74951230101", "PJSIP/102-00000002", 3000, 5000, 13_000),
		astRow("1.2", "PJSIP/102-00000002", "102", "102", "103", "PJSIP/103-00000003", 13_000, 14_000, 36_000),
	}
	end := func(b *book) { // 1.2 and 1.3 go on after the row, as after a swap of the other side
		b.at(40_000, of(call.LegHungUp, "1.2")).at(40_000, gone("1.2", 16)).at(40_001, gone("1.3", 16)).at(60_000, of(call.Ticked, ""))
	}
	whole := halfSeenChain(t).heal(gap, rows...)
	again := newBook(&script{t: t, tracker: call.New(call.Options{Agent: "a", PBX: "main", PBXKind: "asterisk", Trunks: []string{"PJSIP/trunk-*"}})})
	again.tracker.Restore(whole.kept, whole.tracker.Ahead())
	again.kept = append(again.kept, whole.kept...)
	end(whole)
	end(again)
	if len(again.kept) != 0 {
		t.Errorf("%d facts of a call that is over stay in the store for ever", len(again.kept))
	}
	for id, k := range whole.calls {
		if a := again.calls[id]; a.Record == nil || value(a.Record.From.Number) != value(k.Record.From.Number) {
			t.Errorf("%s: from %v, after a restart %+v", id, value(k.Record.From.Number), a.Record)
		}
	}
}

// FreeSWITCH renamed a leg (CHANNEL_UUID); its row has the new name.
func TestHeal_RowOfARenamedLeg(t *testing.T) {
	b := newBook(newFS(t))
	b.at(0, fsIn("old", "external", "79161234567", "74951230101")).at(5, call.Event{Kind: call.LegAlias, Leg: "new", Peer: "old"}).
		at(20, of(call.LegAnswered, "new")).at(2000, of(call.LinkDown, "")).at(60_000, of(call.LinkUp, "")).at(60_001, of(call.Snapshot, "")).at(80_000, of(call.Ticked, ""))
	row := fsEnd("new", "NORMAL_CLEARING", call.EndedByFarEnd, 0, 20)
	row.Kind, row.At, row.Seen, row.Link, row.History.HungUp, row.State = call.Reported, at(9000), at(81_000), "new", at(9000), call.StateCalling
	row.Channel, row.Endpoint, row.Number, row.Dialled = "sofia/external/79161234567@192.0.2.1", "external", "79161234567", "74951230101"
	b.heal(call.Gap{PBX: "main", From: at(2000), To: at(60_000)}, row)
	if len(b.calls) != 1 {
		t.Errorf("%d calls of one", len(b.calls))
	}
}

// A call began in a gap, its end was seen, its row was read: no clock was set.
func TestHeal_IsNoSteppedClock(t *testing.T) {
	for name, late := range map[string]time.Duration{"stamps that arrive 2 ms late": 2 * time.Millisecond, "a PBX without stamps": 0} {
		b := newBook(newScript(t))
		step := func(ms int, e call.Event) {
			e.At, e.Seen = at(ms).Add(-late), at(ms)
			b.note(b.tracker.Apply(e))
		}
		step(0, of(call.LinkUp, ""))
		step(1, of(call.Snapshot, ""))
		step(2000, of(call.LinkDown, ""))
		step(30_000, of(call.LinkUp, ""))
		step(30_001, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{
			{Leg: "1.1", Link: "1.1", Channel: "PJSIP/trunk-a-00000001", Endpoint: "trunk-a", State: call.StateUp, Number: "79161234567", Dialled: "74951230101", Created: at(3000), Bridge: "b2"},
			{Leg: "1.2", Link: "1.1", Channel: "PJSIP/102-00000002", Endpoint: "102", State: call.StateUp, Number: "102", Created: at(3000), Bridge: "b2"}}})
		step(40_000, of(call.LegHungUp, "1.1"))
		step(40_000, gone("1.1", 16))
		step(40_001, gone("1.2", 16))
		row := astRow("1.1", "PJSIP/trunk-a-00000001", "trunk-a", "79161234567", "74951230101", "PJSIP/102-00000002", 3000, 5000, 40_000)
		row.Seen = at(41_000)
		b.heal(call.Gap{PBX: "main", From: at(2000), To: at(30_000)}, row)
		if r := b.calls["main:1.1"].Record; slices.Contains(r.Doubts, call.DoubtClockStepped) {
			t.Errorf("%s: no clock was set: %v", name, r.Doubts)
		}
	}
}
