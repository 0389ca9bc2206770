package call_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"

	"pgregory.net/rapid"
)

// script states facts one after the other, each at the millisecond given.
type script struct {
	t       testing.TB
	tracker *call.Tracker
	seq     uint64
	kept    []call.Event
	records []call.Record
	deleted []string
	gaps    []call.Gap
	odd     []string
	dropped int
}

func newScript(t testing.TB) *script {
	return &script{t: t, tracker: call.New(call.Options{Agent: "a", PBX: "main", PBXKind: "asterisk", Trunks: []string{"PJSIP/trunk-*"}})}
}

const epoch = call.Moment(1_800_000_000_000_000)

func at(ms int) call.Moment { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func (s *script) state(ms int, e call.Event) *script {
	s.seq++
	e.Seq, e.At, e.Seen = s.seq, at(ms), at(ms)
	s.apply(e)
	return s
}

func (s *script) apply(e call.Event) {
	for _, c := range s.tracker.Apply(e) {
		switch c.Op {
		case call.FactKept:
			s.kept = append(s.kept, *c.Event)
		case call.FactsDropped:
			s.dropped += len(c.Facts)
			s.kept = slices.DeleteFunc(s.kept, func(e call.Event) bool { return slices.Contains(c.Facts, e.N) })
		case call.CallRecorded:
			s.records = append(s.records, *c.Record)
		case call.CallDeleted:
			s.deleted = append(s.deleted, c.ID+" into "+c.Into)
		case call.GapFound:
			s.gaps = append(s.gaps, *c.Gap)
		case call.Anomaly:
			s.odd = append(s.odd, c.Why)
		}
	}
}

func (s *script) last() call.Record {
	s.t.Helper()
	if len(s.records) == 0 {
		s.t.Fatal("no record")
	}
	return s.records[len(s.records)-1]
}

// The legs of most scripts: a client on the trunk, and phones.
func client(id call.LegID) call.Event {
	return call.Event{Kind: call.LegCreated, Leg: id, Link: string(id), Channel: "PJSIP/trunk-a-1", Endpoint: "trunk-a", State: call.StateCalling,
		Number: "79161234567", CallerName: "Клиент", Dialled: "74951230101"}
}

func phone(id call.LegID, ext, link string) call.Event {
	return call.Event{Kind: call.LegCreated, Leg: id, Link: link, Channel: "PJSIP/" + ext + "-" + string(id), Endpoint: ext, State: call.StateDown, Number: ext}
}

func of(k call.Kind, leg call.LegID) call.Event { return call.Event{Kind: k, Leg: leg} }

func in(bridge string, leg call.LegID) call.Event {
	return call.Event{Kind: call.Joined, Leg: leg, Bridge: bridge, State: call.StateUp}
}

func gone(leg call.LegID, q850 int) call.Event {
	return call.Event{Kind: call.LegEnded, Leg: leg, Cause: &call.Cause{Q850: q850}}
}

// answered is a call from c to 101 that talks from second 1 to second 3.
func (s *script) answered() *script {
	return s.state(0, client("c")).state(10, phone("p", "101", "c")).
		state(12, call.Event{Kind: call.Dialled, Leg: "c", Peer: "p", Number: "101", Dialled: "74951230101"}).
		state(100, of(call.LegRinging, "p")).
		state(1000, of(call.LegAnswered, "p")).state(1001, of(call.LegAnswered, "c")).
		state(1002, in("b", "p")).state(1002, in("b", "c"))
}

func (s *script) hungUp() *script {
	return s.state(3002, of(call.LegHungUp, "c")).state(3003, gone("c", 16)).state(3004, gone("p", 16))
}

func value[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func TestTracker_AnsweredCall(t *testing.T) {
	r := newScript(t).answered().hungUp().last()
	for _, c := range []struct {
		field     string
		got, want any
	}{
		{"id", r.ID, "main:c"}, {"rev", r.Rev, uint64(1)}, {"direction", r.Direction, call.Inbound}, {"status", r.Status, call.StatusAnswered},
		{"from", value(r.From.Number), "79161234567"}, {"from.name", value(r.From.Name), "Клиент"}, {"to", value(r.To.Number), "74951230101"},
		{"answered_by", value(r.AnsweredBy), "101"}, {"ended_by", value(r.EndedBy), "caller"}, {"trunk", value(r.Trunk), "trunk-a"},
		{"wait_ms", value(r.WaitMs), int64(1002)}, {"ring_ms", value(r.RingMs), int64(900)}, {"talk_ms", value(r.TalkMs), int64(2000)},
		{"total_ms", value(r.TotalMs), int64(3002)}, {"total_wait_ms", value(r.TotalWaitMs), int64(1002)}, {"quality", r.Quality, call.QualityComplete},
		{"legs", len(r.Legs), 2}, {"missed", r.Missed, false},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, want %v", c.field, c.got, c.want)
		}
	}
}

func TestTracker_LateFactMakesARevision(t *testing.T) {
	s := newScript(t).state(0, client("c")).state(20, of(call.LegAnswered, "c")).state(2000, of(call.LegHungUp, "c")).state(2001, gone("c", 16))
	if r := s.last(); r.Status != call.StatusAbandoned || r.Rev != 1 {
		t.Fatalf("before: %s rev %d", r.Status, r.Rev)
	}
	s.state(2300, call.Event{Kind: call.MailboxLeft, Leg: "c", Number: "101@default"})
	r := s.last()
	if r.Status != call.StatusVoicemail || r.Rev != 2 || r.Voicemail == nil || r.Voicemail.Mailbox != "101" {
		t.Errorf("after the mailbox's light: %s rev %d %+v", r.Status, r.Rev, r.Voicemail)
	}
	s.state(2400, of(call.LegNumbered, "c"))
	if s.last().Rev != 2 {
		t.Error("a fact that changes nothing made a revision")
	}
}

func TestTracker_FactsAreLetGo(t *testing.T) {
	s := newScript(t).answered().hungUp()
	if len(s.kept) == 0 || s.dropped != 0 {
		t.Fatalf("kept %d, dropped %d right after the end", len(s.kept), s.dropped)
	}
	s.state(60_000, of(call.Ticked, ""))
	if len(s.kept) != 0 {
		t.Errorf("%d facts are kept a minute after the end", len(s.kept))
	}
	s.state(60_001, of(call.LegNumbered, "p"))
	if len(s.records) != 1 || len(s.odd) != 1 {
		t.Errorf("a word about a leg long dead: %d records, odd %v", len(s.records), s.odd)
	}
}

func TestTracker_EndBeforeAnythingElseIsNoCall(t *testing.T) {
	s := newScript(t).state(0, gone("x", 16)).state(1, of(call.LegHungUp, "y")).state(2, call.Event{Kind: call.Parted, Leg: "z", Bridge: "b"})
	if len(s.records) != 0 || len(s.kept) != 0 || len(s.odd) != 3 {
		t.Errorf("records %d, kept %d, odd %v", len(s.records), len(s.kept), s.odd)
	}
}

func TestTracker_ConsultationThatBecomesTheTransfer(t *testing.T) {
	s := newScript(t).answered().
		state(1500, of(call.Held, "p")).
		state(1600, call.Event{Kind: call.LegCreated, Leg: "k", Link: "k", Channel: "PJSIP/101-k", Endpoint: "101", State: call.StateCalling, Number: "101", Dialled: "102"}).
		state(1610, phone("q", "102", "k")).
		state(1611, call.Event{Kind: call.Dialled, Leg: "k", Peer: "q", Number: "102", Dialled: "102"}).
		state(2000, of(call.LegAnswered, "q")).state(2001, of(call.LegAnswered, "k")).state(2002, in("b2", "q")).state(2002, in("b2", "k")).
		state(2500, call.Event{Kind: call.Parted, Leg: "c", Bridge: "b"}).state(2500, in("b2", "c")).
		state(2501, call.Event{Kind: call.Transferred, Leg: "p", Peer: "c", Transfer: &call.TransferFact{Type: call.TransferAttended, Transferer: "p", Second: "k", Transferee: "c", Target: "q"}}).
		state(2502, call.Event{Kind: call.Parted, Leg: "k", Bridge: "b2"}).state(2503, gone("k", 16)).state(2503, gone("p", 16)).
		state(4000, of(call.LegHungUp, "q")).state(4001, gone("q", 16)).state(4002, gone("c", 16))
	if len(s.records) != 1 {
		t.Fatalf("%d records", len(s.records))
	}
	r := s.last()
	if len(r.Transfers) != 1 || r.Transfers[0].Type != call.TransferAttended || value(r.Transfers[0].By) != "101" || value(r.Transfers[0].To) != "102" || !*r.Transfers[0].Answered {
		t.Errorf("transfers %+v", r.Transfers)
	}
	if *r.HoldMs != 1000 || *r.TalkMs != 3000-2 || value(r.LastTalkedBy) != "102" || value(r.EndedBy) != "callee" {
		t.Errorf("hold %d, talk %d, last %v, ended by %v", *r.HoldMs, *r.TalkMs, value(r.LastTalkedBy), value(r.EndedBy))
	}
}

// moves has the caller leave the bridge b for the phone r by another extension.
func (s *script) moves(ms int, caller call.LegID, from, to string) *script {
	return s.state(ms, call.Event{Kind: call.Parted, Leg: caller, Bridge: from}).
		state(ms+10, phone("r", to, "c")).
		state(ms+11, call.Event{Kind: call.Dialled, Leg: caller, Peer: "r", Number: to, Dialled: to}).
		state(ms+20, of(call.LegRinging, "r")).
		state(ms+500, of(call.LegAnswered, "r")).
		state(ms+501, in("b2", caller)).state(ms+501, in("b2", "r")).
		state(ms+2000, of(call.LegHungUp, caller)).state(ms+2001, gone(caller, 16)).state(ms+2001, gone("r", 16))
}

func TestTracker_MovedByAProgram(t *testing.T) {
	transfers := func(r call.Record) (out []string) {
		for _, x := range r.Transfers {
			out = append(out, fmt.Sprint(x.Type, " ", value(x.By), " ", value(x.To), " ", value(x.Answered)))
		}
		return out
	}
	t.Run("soon after a transfer", func(t *testing.T) {
		s := newScript(t).answered().
			state(1500, call.Event{Kind: call.LegCreated, Leg: "p2", Link: "p2", Channel: "PJSIP/101-p2", Endpoint: "101", State: call.StateCalling, Number: "101", Dialled: "102"}).
			state(1510, phone("q", "102", "p2")).
			state(1511, call.Event{Kind: call.Dialled, Leg: "p2", Peer: "q", Number: "102", Dialled: "102"}).
			state(1600, of(call.LegAnswered, "q")).state(1600, in("b1", "q")).state(1600, in("b1", "p2")).
			state(2000, call.Event{Kind: call.Parted, Leg: "p2", Bridge: "b1"}).state(2000, in("b1", "c")).
			state(2000, call.Event{Kind: call.Transferred, Leg: "p", Peer: "c", Transfer: &call.TransferFact{
				Type: call.TransferAttended, Transferer: "p", Second: "p2", Transferee: "c", Target: "q"}}).
			state(2001, call.Event{Kind: call.Parted, Leg: "c", Bridge: "b"}).
			state(2002, gone("p", 16)).state(2002, gone("p2", 16)).
			moves(2800, "c", "b1", "103").state(4900, gone("q", 16))
		if got, want := transfers(s.last()), []string{"attended 101 102 true", "redirect <nil> 103 true"}; !slices.Equal(got, want) {
			t.Errorf("transfers are %q, want %q", got, want)
		}
	})
	t.Run("to an announcement, which is no talk", func(t *testing.T) {
		s := newScript(t).answered().
			state(2000, call.Event{Kind: call.Executed, Leg: "c", App: call.AppPlayback, Dialled: "8007"}).
			state(2001, call.Event{Kind: call.Parted, Leg: "c", Bridge: "b"}).state(2002, gone("p", 16)).
			state(2100, call.Event{Kind: call.Executed, Leg: "c", App: call.AppPlayback, Dialled: "8007"}).
			state(4000, gone("c", 16))
		if got, want := transfers(s.last()), []string{"redirect <nil> 8007 false"}; !slices.Equal(got, want) {
			t.Errorf("transfers are %q, want %q", got, want)
		}
	})
	t.Run("out of a conference", func(t *testing.T) {
		s := newScript(t).answered().
			state(1500, call.Event{Kind: call.LegCreated, Leg: "x", Link: "x", Channel: "PJSIP/trunk-a-2", Endpoint: "trunk-a", State: call.StateCalling, Number: "79161234568", Dialled: "8600"}).
			state(1501, of(call.LegAnswered, "x")).
			state(1501, call.Event{Kind: call.Executed, Leg: "x", App: call.AppConference, Data: "8600", Dialled: "8600"}).
			state(1502, call.Event{Kind: call.Joined, Leg: "x", Bridge: "k", BridgeKind: call.BridgeConference, State: call.StateUp}).
			state(1510, call.Event{Kind: call.LegCreated, Leg: "q", Link: "q", Channel: "PJSIP/102-q", Endpoint: "102", State: call.StateCalling, Number: "102", Dialled: "8600"}).
			state(1511, of(call.LegAnswered, "q")).
			state(1512, call.Event{Kind: call.Joined, Leg: "q", Bridge: "k", BridgeKind: call.BridgeConference, State: call.StateUp}).
			state(2800, call.Event{Kind: call.Parted, Leg: "x", Bridge: "k"}).
			state(2810, phone("r", "103", "x")).
			state(2811, call.Event{Kind: call.Dialled, Leg: "x", Peer: "r", Number: "103", Dialled: "103"}).
			state(2900, of(call.LegAnswered, "r")).state(2900, in("b2", "r")).state(2900, in("b2", "x")).
			state(3500, of(call.LegHungUp, "x")).state(3501, gone("x", 16)).state(3501, gone("r", 16))
		if got, want := transfers(s.last()), []string{"redirect <nil> 103 true"}; !slices.Equal(got, want) {
			t.Errorf("transfers are %q, want %q", got, want)
		}
	})
	t.Run("while a phone rings", func(t *testing.T) {
		s := newScript(t).state(0, client("c")).state(10, phone("p", "101", "c")).
			state(12, call.Event{Kind: call.Dialled, Leg: "c", Peer: "p", Number: "101", Dialled: "74951230101"}).
			state(100, of(call.LegRinging, "p")).
			state(900, call.Event{Kind: call.DialEnded, Leg: "c", Peer: "p", Result: "CANCEL"}).state(901, gone("p", 16)).
			moves(900, "c", "", "103")
		if got, want := transfers(s.last()), []string{"redirect <nil> 103 true"}; !slices.Equal(got, want) {
			t.Errorf("transfers are %q, want %q", got, want)
		}
	})
	t.Run("the party that was called", func(t *testing.T) {
		s := newScript(t).
			state(0, call.Event{Kind: call.LegCreated, Leg: "c", Link: "c", Channel: "PJSIP/101-c", Endpoint: "101", State: call.StateCalling, Number: "101", Dialled: "79161234567"}).
			state(10, call.Event{Kind: call.LegCreated, Leg: "o", Link: "c", Channel: "PJSIP/trunk-a-1", Endpoint: "trunk-a", State: call.StateDown}).
			state(11, call.Event{Kind: call.Dialled, Leg: "c", Peer: "o", Number: "79161234567", Dialled: "79161234567"}).
			state(1000, of(call.LegAnswered, "o")).state(1001, of(call.LegAnswered, "c")).
			state(1002, in("b", "o")).state(1002, in("b", "c")).
			state(1999, call.Event{Kind: call.Parted, Leg: "c", Bridge: "b"}).state(2001, gone("c", 16)).
			moves(2000, "o", "b", "102")
		if got, want := transfers(s.last()), []string{"redirect <nil> 102 true"}; !slices.Equal(got, want) {
			t.Errorf("transfers are %q, want %q", got, want)
		}
	})
}

// A member of a queue, or a phone called from a menu, may be told something
// before it is joined with the caller, who goes on waiting for it.
func TestTracker_PhoneIsToldSomethingFirst(t *testing.T) {
	for _, c := range []struct {
		name        string
		queue       string
		ivr, queued int64
	}{{"member of a queue", "sales", 500, 2500}, {"phone", "", 500, 0}} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t).state(0, client("c")).state(0, of(call.LegAnswered, "c"))
			if c.queue != "" {
				s.state(490, call.Event{Kind: call.Executed, Leg: "c", App: call.AppPlayback}).state(500, call.Event{Kind: call.Queued, Leg: "c", Queue: c.queue})
			}
			s.state(500, phone("p", "101", "c")).state(501, call.Event{Kind: call.Dialled, Leg: "c", Peer: "p", Number: "101", Dialled: "s"}).
				state(502, of(call.LegRinging, "p")).state(1500, of(call.LegAnswered, "p"))
			if c.queue != "" {
				s.state(1500, call.Event{Kind: call.Unqueued, Leg: "c", Queue: c.queue})
			}
			r := s.state(3000, in("b", "p")).state(3000, in("b", "c")).hungUp().last()
			if value(r.IVRMs) != c.ivr || value(r.QueueMs) != c.queued || value(r.WaitMs) != int64(3000) {
				t.Errorf("ivr_ms %v, queue_ms %v, wait_ms %v; want %d, %d, 3000", value(r.IVRMs), value(r.QueueMs), value(r.WaitMs), c.ivr, c.queued)
			}
		})
	}
}

func TestTracker_ConsultationThatDoesNotIsACallOfItsOwn(t *testing.T) {
	s := newScript(t).answered().
		state(1600, call.Event{Kind: call.LegCreated, Leg: "k", Link: "k", Channel: "PJSIP/101-k", Endpoint: "101", State: call.StateCalling, Number: "101", Dialled: "102"}).
		state(1610, phone("q", "102", "k")).state(1700, of(call.LegRinging, "q")).
		state(2000, of(call.LegHungUp, "k")).state(2001, gone("k", 16)).state(2002, gone("q", 127)).hungUp()
	var said []string
	for _, r := range s.records {
		said = append(said, r.Direction+" "+r.Status)
	}
	if got := strings.Join(said, ", "); got != "internal abandoned, inbound answered" {
		t.Errorf("records: %s", got)
	}
}

func TestTracker_MergedCallIsDeleted(t *testing.T) {
	// The second call is over and recorded when a fact ties it to the first.
	s := newScript(t).answered().state(1500, client("d")).state(1600, gone("d", 16))
	if len(s.records) != 1 || s.records[0].ID != "main:d" {
		t.Fatalf("records %v", len(s.records))
	}
	s.state(1700, call.Event{Kind: call.Dialled, Leg: "c", Peer: "d"})
	if len(s.deleted) != 1 || s.deleted[0] != "main:d into main:c" {
		t.Errorf("deleted %v", s.deleted)
	}
}

func TestTracker_ConferenceKeepsCallsApart(t *testing.T) {
	room := func(leg call.LegID, k call.Kind) call.Event {
		return call.Event{Kind: k, Leg: leg, Bridge: "room", BridgeKind: call.BridgeConference, State: call.StateUp}
	}
	other := client("d")
	other.Channel, other.Endpoint, other.Number = "PJSIP/102-d", "102", "102"
	s := newScript(t).state(0, client("c")).state(10, of(call.LegAnswered, "c")).state(20, room("c", call.Joined)).
		state(500, other).state(510, of(call.LegAnswered, "d")).state(520, room("d", call.Joined)).
		state(1520, of(call.LegHungUp, "d")).state(1521, room("d", call.Parted)).state(1522, gone("d", 16)).
		state(2000, of(call.LegHungUp, "c")).state(2001, gone("c", 16))
	if len(s.records) != 2 {
		t.Fatalf("%d records", len(s.records))
	}
	r := s.last()
	if r.Status != call.StatusAnswered || value(r.AnsweredBy) != "102" || *r.TalkMs != 1001 || *r.RingMs != 0 {
		t.Errorf("%s by %v, talk %d, ring %d", r.Status, value(r.AnsweredBy), *r.TalkMs, *r.RingMs)
	}
}

// ---- the link

func TestTracker_GapAndSnapshot(t *testing.T) {
	s := newScript(t).answered().state(2000, call.Event{Kind: call.LinkDown, Data: "link lost"}).
		state(5000, call.Event{Kind: call.LinkUp}).
		state(5001, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{
			{Leg: "n", Link: "n", Channel: "PJSIP/trunk-a-9", Endpoint: "trunk-a", State: call.StateUp, Number: "79990000000", Dialled: "74951230102", Created: at(4000), Bridge: "nb"},
			{Leg: "m", Link: "n", Channel: "PJSIP/103-9", Endpoint: "103", State: call.StateUp, Number: "103", Created: at(4000), Bridge: "nb"}}})
	if len(s.gaps) != 1 || s.gaps[0].From != at(2000) || s.gaps[0].To != at(5000) || s.gaps[0].Reason != "link lost" {
		t.Fatalf("gaps %+v", s.gaps)
	}
	if len(s.records) != 1 {
		t.Fatalf("%d records: what is gone must be closed", len(s.records))
	}
	if r := s.last(); r.Quality != call.QualityPartial || !slices.Contains(r.Doubts, call.DoubtEndUnseen) || r.Status != call.StatusAnswered {
		t.Errorf("the call that is gone: %s %v %s", r.Quality, r.Doubts, r.Status)
	}
	s.state(6000, of(call.LegHungUp, "n")).state(6001, gone("n", 16)).state(6002, gone("m", 16))
	r := s.last()
	if r.ID != "main:n" || !slices.Contains(r.Doubts, call.DoubtStartUnseen) || r.Status != call.StatusAnswered || value(r.To.Number) != "74951230102" {
		t.Errorf("the call that was taken in: %s %v %s to %v", r.ID, r.Doubts, r.Status, value(r.To.Number))
	}
}

func TestTracker_SnapshotOfWhatIsKnownChangesNothing(t *testing.T) {
	s := newScript(t).answered().state(1500, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{
		{Leg: "p", Link: "c", Channel: "PJSIP/101-p", Endpoint: "101", State: call.StateUp, Bridge: "b", Created: at(0)},
		{Leg: "c", Link: "c", Channel: "PJSIP/trunk-a-1", Endpoint: "trunk-a", State: call.StateUp, Bridge: "b", Created: at(0)}}}).hungUp()
	want := newScript(t).answered().hungUp().last()
	got := s.last()
	if *got.TalkMs != *want.TalkMs || *got.WaitMs != *want.WaitMs || got.Quality != want.Quality || got.StartedAt != want.StartedAt {
		t.Errorf("talk %d wait %d %s, want %d %d %s", *got.TalkMs, *got.WaitMs, got.Quality, *want.TalkMs, *want.WaitMs, want.Quality)
	}
}

func TestTracker_RestartedPBX(t *testing.T) {
	for name, restart := range map[string]call.Event{
		"stated":        {Kind: call.PBXStarted},
		"by its uptime": {Kind: call.LinkUp, From: at(4000)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t).answered().state(2000, call.Event{Kind: call.LinkDown}).state(6000, restart)
			if r := s.last(); !slices.Contains(r.Doubts, call.DoubtPBXRestarted) {
				t.Errorf("doubts %v", r.Doubts)
			}
		})
	}
}

func TestTracker_OnlyACalledLegIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		leg                 call.LiveLeg
		direction, from, to any
	}{
		"an employee had called out": {call.LiveLeg{Endpoint: "trunk-a", Channel: "PJSIP/trunk-a-7", Number: "79050000039", Connected: "128"}, call.Outbound, "128", "79050000039"},
		"a client was put through":   {call.LiveLeg{Endpoint: "101", Channel: "PJSIP/101-7", Number: "101", Connected: "79161234567"}, call.Inbound, "79161234567", nil},
		"employees":                  {call.LiveLeg{Endpoint: "101", Channel: "PJSIP/101-7", Number: "101", Connected: "102"}, call.Internal, "102", "101"},
	} {
		t.Run(name, func(t *testing.T) {
			c.leg.Leg, c.leg.Link, c.leg.State, c.leg.Created = "m", "n", call.StateUp, at(0)
			r := newScript(t).state(1000, call.Event{Kind: call.Snapshot, Live: []call.LiveLeg{c.leg}}).state(2000, gone("m", 16)).last()
			if r.Direction != c.direction || value(r.From.Number) != c.from || value(r.To.Number) != c.to || r.Quality != call.QualityPartial {
				t.Errorf("%s from %v to %v, %s", r.Direction, value(r.From.Number), value(r.To.Number), r.Quality)
			}
		})
	}
}

func TestTracker_MissingFactsAreADoubt(t *testing.T) {
	for name, lose := range map[string]call.Kind{"who is dialled": call.Dialled, "the entry into the bridge": call.Joined, "the creation of a leg": call.LegCreated} {
		t.Run(name, func(t *testing.T) {
			whole, torn := newScript(t).answered().state(2999, call.Event{Kind: call.DialEnded, Leg: "c", Peer: "p"}), newScript(t)
			lost := false
			for _, e := range whole.kept {
				if e.Kind == lose && (e.Leg == "p" || e.Peer == "p") && !lost {
					lost = true
					continue
				}
				e.Members = 1 // the PBX counts who is in a bridge
				torn.apply(e)
			}
			r := torn.state(3000, call.Event{Kind: call.Parted, Leg: "p", Bridge: "b"}).state(3000, call.Event{Kind: call.Parted, Leg: "c", Bridge: "b"}).hungUp().last()
			if !lost || !slices.Contains(r.Doubts, call.DoubtFactsLost) {
				t.Errorf("doubts %v", r.Doubts)
			}
		})
	}
}

func TestTracker_TiesByNothingButTheNumber(t *testing.T) {
	local := func(id call.LegID, exten string) call.Event {
		return call.Event{Kind: call.LegCreated, Leg: id, Link: string(id), Channel: "Local/" + exten + "@x-1;1", Endpoint: exten, Local: true, State: call.StateDown, Originated: true, Dialled: exten}
	}
	t.Run("a phone that the PBX called sends the call on", func(t *testing.T) {
		first := phone("p", "104", "p")
		first.Originated = true
		s := newScript(t).state(0, first).state(4, local("l", "105")).
			state(5, call.Event{Kind: call.DialEnded, Peer: "p", Result: "CANCEL", Number: "105"}).
			state(6, gone("p", 23)).state(10, gone("l", 0))
		if len(s.records) != 1 || len(s.last().Transfers) != 1 || s.last().Transfers[0].Type != call.TransferForward {
			t.Errorf("%d records, %+v", len(s.records), s.records)
		}
	})
	t.Run("who gave the call away is called back", func(t *testing.T) {
		back := phone("r", "101", "r")
		back.Originated = true
		s := newScript(t).answered().
			state(1500, call.Event{Kind: call.Transferred, Leg: "p", Peer: "c", Endpoint: "101", Transfer: &call.TransferFact{Type: call.TransferAttended, Transferer: "p", Second: "p", Transferee: "c"}}).
			state(1501, call.Event{Kind: call.Parted, Leg: "p", Bridge: "b"}).state(1502, gone("p", 16)).
			state(4000, back).state(4010, of(call.LegRinging, "r")).
			state(6000, gone("r", 0)).state(6001, gone("c", 16))
		if len(s.records) != 1 || len(s.last().Legs) != 3 {
			t.Errorf("%d records, legs %+v", len(s.records), s.last().Legs)
		}
	})
}

// ---- properties

// facts draws a call or several with everything that can happen to legs, in no
// sensible order at all.
func facts(t *rapid.T) []call.Event {
	legs := []call.LegID{"a", "b", "c", "d", "e", "f"}
	leg := rapid.SampledFrom(legs)
	bridges := rapid.SampledFrom([]string{"x", "y", "z"})
	n := rapid.IntRange(1, 60).Draw(t, "facts")
	out := make([]call.Event, 0, n)
	clock := 0
	for i := range n {
		clock += rapid.IntRange(-50, 200).Draw(t, "later")
		e := call.Event{Session: 1, Seq: uint64(i + 1), At: at(clock), Seen: at(max(clock, 0)), Leg: leg.Draw(t, "leg")}
		e.Kind = call.Kind(rapid.IntRange(1, int(call.Unexplained)).Draw(t, "kind"))
		switch e.Kind {
		case call.LegSeen, call.LegVanished, call.Met, call.MetLeft:
			e.Kind = call.Ticked // the tracker's own
		case call.LegCreated:
			e.Channel = fmt.Sprintf("PJSIP/%s-%s", rapid.SampledFrom([]string{"101", "102", "trunk-a"}).Draw(t, "endpoint"), e.Leg)
			e.Endpoint, _, _ = strings.Cut(strings.TrimPrefix(e.Channel, "PJSIP/"), "-")
			e.Link = string(leg.Draw(t, "link"))
			e.State = call.LegState(rapid.IntRange(0, 5).Draw(t, "state"))
			e.Local = rapid.IntRange(0, 4).Draw(t, "local") == 0
			e.Number, e.Dialled = "7"+string(e.Leg), "102"
		case call.Dialled, call.DialEnded, call.LegPaired, call.PickedUp, call.Unparked, call.QueueOffered, call.QueueMember, call.LegAlias:
			e.Peer = leg.Draw(t, "peer")
		case call.Joined, call.Parted, call.BridgeMerged:
			e.Bridge, e.Bridge2 = bridges.Draw(t, "bridge"), bridges.Draw(t, "bridge2")
			e.BridgeKind = call.BridgeKind(len(e.Bridge+"x") % 2 * map[string]int{"x": 0, "y": 1, "z": 2}[e.Bridge])
			e.State = call.StateUp
		case call.Transferred:
			e.Transfer = &call.TransferFact{Type: call.TransferAttended, Transferer: e.Leg, Second: leg.Draw(t, "second"), Transferee: leg.Draw(t, "transferee")}
		case call.Queued, call.Unqueued:
			e.Queue = "q"
		case call.LegEnded, call.LegHungUp:
			e.Cause = &call.Cause{Q850: rapid.IntRange(0, 130).Draw(t, "cause")}
		case call.LinkUp:
			e.From = at(rapid.IntRange(-10_000, clock+1).Draw(t, "started"))
		case call.Snapshot:
			for _, l := range legs[:rapid.IntRange(0, len(legs)).Draw(t, "live")] {
				e.Live = append(e.Live, call.LiveLeg{Leg: l, Link: string(leg.Draw(t, "link")), Channel: "PJSIP/101-" + string(l), Endpoint: "101",
					State: call.StateUp, Created: at(clock - 500), Bridge: bridges.Draw(t, "bridge")})
			}
		}
		out = append(out, e)
	}
	return out
}

// sound is what holds for a record whatever the facts were.
func sound(t interface{ Fatalf(string, ...any) }, r call.Record) {
	if r.EndedAt < r.StartedAt || *r.TotalMs < 0 || *r.TalkMs < 0 || *r.WaitMs < 0 || *r.HoldMs < 0 {
		t.Fatalf("negative time: %+v", r)
	}
	if *r.TalkMs > *r.TotalMs || *r.HoldMs > *r.TalkMs || *r.TotalWaitMs != *r.TotalMs-*r.TalkMs {
		t.Fatalf("times do not add up: talk %d, hold %d, total %d", *r.TalkMs, *r.HoldMs, *r.TotalMs)
	}
	if r.Timeline[0].From != r.StartedAt || r.Timeline[len(r.Timeline)-1].To != r.EndedAt {
		t.Fatalf("the timeline is not from start to end: %+v", r)
	}
	for i := 1; i < len(r.Timeline); i++ {
		if r.Timeline[i].From != r.Timeline[i-1].To {
			t.Fatalf("a hole in the timeline: %+v", r.Timeline)
		}
	}
	if (r.Status == call.StatusAnswered) != (r.AnsweredAt != 0) {
		t.Fatalf("%s, answered at %d", r.Status, r.AnsweredAt)
	}
	for _, l := range r.Legs {
		if l.TalkMs != nil && *l.TalkMs > *r.TotalMs || l.RingMs != nil && *l.RingMs < 0 {
			t.Fatalf("leg %+v of a call of %d ms", l, *r.TotalMs)
		}
	}
}

func TestTracker_AnyFactsGiveSoundRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &script{t: nil, tracker: call.New(call.Options{PBX: "main", Trunks: []string{"PJSIP/trunk-*"}})}
		owner := map[string]string{} // leg -> the record that has it
		all := facts(t)
		for _, e := range all {
			s.apply(e)
			for _, r := range s.tracker.Live(e.Seen) {
				sound(t, r)
			}
		}
		end := all[len(all)-1].Seen
		s.apply(call.Event{Kind: call.Snapshot, At: end, Seen: end}) // nothing is up any more
		if live := s.tracker.Live(end); len(live) != 0 {
			t.Fatalf("%d calls are open though no leg is", len(live))
		}
		current := map[string]call.Record{}
		for _, r := range s.records {
			sound(t, r)
			current[r.ID] = r
		}
		for _, d := range s.deleted {
			id, _, _ := strings.Cut(d, " ")
			delete(current, id)
		}
		for _, r := range current {
			for _, l := range r.PBXIDs {
				if other, twice := owner[l]; twice && other != r.ID {
					t.Fatalf("leg %s is in %s and in %s", l, other, r.ID)
				}
				owner[l] = r.ID
			}
		}
	})
}

func TestTracker_RestoreGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := facts(t)
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		o := call.Options{PBX: "main", Trunks: []string{"PJSIP/trunk-*"}}
		whole := &script{tracker: call.New(o)}
		for _, e := range all[:cut] {
			whole.apply(e)
		}
		again := &script{tracker: call.New(o)}
		again.tracker.Restore(whole.kept, whole.tracker.Ahead())
		whole.records, again.records = nil, nil
		for _, e := range all[cut:] {
			if e.Kind == call.LinkUp || e.Kind == call.LinkDown {
				continue // whether the link was up is the agent's to remember
			}
			whole.apply(e)
			again.apply(e)
		}
		if len(whole.records) != len(again.records) {
			t.Fatalf("%d records, restored %d", len(whole.records), len(again.records))
		}
		for i := range whole.records {
			a, b := whole.records[i], again.records[i]
			if a.ID != b.ID || a.Rev != b.Rev || a.Status != b.Status || *a.TalkMs != *b.TalkMs || *a.TotalMs != *b.TotalMs || len(a.Legs) != len(b.Legs) {
				t.Fatalf("restored: %+v\nwhole: %+v", b, a)
			}
		}
	})
}
