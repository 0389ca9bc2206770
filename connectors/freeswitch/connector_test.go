package freeswitch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"calljournal/agent/call"
	"calljournal/connectors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// core is the Core-UUID that the fakePBX names.
const core = "11111111-2222-3333-4444-555555555555"

// dump is a channel's own account of itself, as uuid_dump gives it.
func dump(headers ...string) string {
	frame := eventFrame("CHANNEL_DATA", headers...)
	return frame[strings.IndexByte(frame, '{'):]
}

// talking is a fakePBX with one call up: a caller and the phone that he talks
// with, and a row of a leg that is gone.
func talking() *fakePBX {
	return &fakePBX{
		rows: []row{
			{UUID: "a", Direction: "inbound", Created: "1795376000", Name: "sofia/external/79160000001@192.0.2.1", Number: "1001", Dest: "1001",
				Context: "default", State: "ACTIVE", Call: "a", FirstNumber: "79160000001", FirstName: "Ivan", FirstDest: "74951230101"},
			{UUID: "b", Direction: "outbound", Created: "1795376001", Name: "sofia/internal/1001@192.0.2.7", Number: "79160000001", Dest: "1001",
				State: "ACTIVE", Call: "a"},
			{UUID: "gone", Direction: "inbound", Created: "1795375000", Name: "sofia/external/1@192.0.2.1", State: "ACTIVE"},
		},
		dumps: map[string]string{
			"a": dump("Unique-ID", "a", "Call-Direction", "inbound", "Channel-Name", "sofia/external/79160000001@192.0.2.1", "Caller-Context", "public",
				"Caller-Caller-ID-Number", "1001", "Caller-Channel-Created-Time", "1795376000500000", "Caller-Channel-Answered-Time", "1795376003000000",
				"Caller-Channel-Bridged-Time", "1795376003020000", "variable_bridge_uuid", "b", "Channel-Call-UUID", "a"),
			"b": dump("Unique-ID", "b", "Call-Direction", "outbound", "Channel-Name", "sofia/internal/1001@192.0.2.7", "variable_dialed_user", "1001",
				"variable_originator", "a", "Caller-Channel-Created-Time", "1795376000600000", "Caller-Channel-Progress-Time", "1795376000700000",
				"Caller-Channel-Answered-Time", "1795376002980000", "Caller-Channel-Bridged-Time", "1795376003020000", "variable_bridge_uuid", "a", "Channel-Call-UUID", "a"),
		},
	}
}

func TestRun(t *testing.T) {
	for _, chop := range []int{0, 1, 7} {
		t.Run(fmt.Sprintf("pieces of %d", chop), func(t *testing.T) {
			pbx := talking()
			pbx.chop = chop
			pbx.events = func(p *peer) {
				p.event("CHANNEL_HANGUP_COMPLETE", "Unique-ID", "b", "Core-UUID", core, "Event-Date-Timestamp", "1795376009000000")
				p.stay()
			}
			l := connect(t, Config{Address: pbx.listen(t), Secret: "s"})

			up := l.next(t)
			if up.Kind != call.LinkUp || up.Session != 1 || up.Seq != 1 || up.From == 0 || up.Data != "FreeSWITCH 1.10.12-release 64bit Core-UUID "+core {
				t.Errorf("the session began with %+v", up)
			}
			snapshot := l.next(t)
			want := []call.LiveLeg{
				{Leg: "a", Link: "a", Channel: "sofia/external/79160000001@192.0.2.1", Endpoint: "external", State: call.StateUp, Number: "79160000001",
					CallerName: "Ivan", Dialled: "74951230101", Context: "public", Bridge: "a+b", Created: 1795376000500000},
				{Leg: "b", Link: "a", Channel: "sofia/internal/1001@192.0.2.7", Endpoint: "1001", State: call.StateUp, Number: "1001",
					Bridge: "a+b", Created: 1795376000600000, Peer: "a"},
			}
			if d := cmp.Diff(want, snapshot.Live); snapshot.Kind != call.Snapshot || d != "" {
				t.Errorf("snapshot %v (-want +got)\n%s", snapshot.Kind, d)
			}
			all := append([]call.Event{up, snapshot}, l.until(t, call.LegEnded)...)
			past := []string{}
			for i, e := range all {
				if e.Seq != uint64(i+1) {
					t.Errorf("fact %d has number %d", i+1, e.Seq)
				}
				if i >= 2 {
					past = append(past, fmt.Sprint(e.Leg, kindNames[e.Kind], int64(e.At)))
				}
			}
			wantPast := []string{"aLegAnswered1795376003000000", "bLegRinging1795376000700000", "bLegAnswered1795376002980000", "bLegEnded1795376009000000"}
			if !slices.Equal(past, wantPast) {
				t.Errorf("after the snapshot came %v, want %v", past, wantPast)
			}
			l.stop()
			if err := l.end(t); err != nil {
				t.Errorf("a link that was stopped ended with %v", err)
			}
		})
	}
}

// TestRun_SnapshotFromTheListAlone: a user who may not ask the channels
// themselves, or whom they do not tell, still learns who is up.
func TestRun_SnapshotFromTheListAlone(t *testing.T) {
	denied := talking()
	denied.answers = map[string]string{"uuid_dump a json": "denied", "uuid_dump b json": "denied", "uuid_dump gone json": "denied", "global_getvar core_uuid": "denied"}
	mute := talking()
	mute.dumps, mute.mute = nil, true
	for name, pbx := range map[string]*fakePBX{"denied": denied, "mute": mute} {
		t.Run(name, func(t *testing.T) {
			pbx.events = func(p *peer) { p.event("HEARTBEAT", "Core-UUID", core); p.stay() }
			l := connect(t, Config{Address: pbx.listen(t), Secret: "s"})
			live := l.until(t, call.Snapshot)
			if d := cmp.Diff(fromTheList, live[len(live)-1].Live); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

var fromTheList = []call.LiveLeg{
	{Leg: "a", Link: "a", Channel: "sofia/external/79160000001@192.0.2.1", Endpoint: "external", State: call.StateUp, Number: "79160000001",
		CallerName: "Ivan", Dialled: "74951230101", Context: "default", Bridge: "a+b", Created: 1795376000000000},
	{Leg: "b", Link: "a", Channel: "sofia/internal/1001@192.0.2.7", Endpoint: "1001", State: call.StateUp, Number: "1001",
		Dialled: "1001", Connected: "79160000001", Bridge: "a+b", Created: 1795376001000000, Peer: "a"},
	{Leg: "gone", Link: "gone", Channel: "sofia/external/1@192.0.2.1", Endpoint: "external", State: call.StateUp, Created: 1795375000000000},
}

// TestRun_TellsWhatIsWrong: what ended a link is typed, and says what to do.
func TestRun_TellsWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name string
		pbx  *fakePBX
		cfg  Config
		kind error
		says string
	}{
		{"wrong password", &fakePBX{secret: "other"}, Config{Secret: "s3cr3t"}, connectors.ErrLoginRefused, "event_socket.conf.xml"},
		{"wrong user", &fakePBX{users: map[string]string{"cj@pbx": "s"}}, Config{Username: "ck@pbx", Secret: "s3cr3t"}, connectors.ErrLoginRefused, "directory"},
		{"not on the list", &fakePBX{greeting: "Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"}, Config{}, connectors.ErrLoginRefused, "apply-inbound-acl"},
		{"an Asterisk", &fakePBX{greeting: "Asterisk Call Manager/9.0.0\r\n"}, Config{}, connectors.ErrNotAPBX, `kind = "asterisk"`},
		{"a web server", &fakePBX{greeting: "HTTP/1.1 400 Bad Request\r\n"}, Config{}, connectors.ErrNotAPBX, "web server"},
		{"another frame", &fakePBX{greeting: "Content-Type: text/plain\n\n"}, Config{}, connectors.ErrNotAPBX, "8021"},
		{"no events for us", &fakePBX{answers: map[string]string{"event": "-ERR no keywords supplied"}}, Config{Secret: "s"}, nil, "esl-allowed-events"},
		{"a line break in the secret", &fakePBX{}, Config{Secret: "a\nb"}, nil, "line break"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Address = test.pbx.listen(t)
			l := connect(t, test.cfg)
			err := l.end(t)
			var link *connectors.LinkError
			if !errors.As(err, &link) || link.Address != test.cfg.Address {
				t.Fatalf("the link ended with %v", err)
			}
			if test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("%v is no %v", err, test.kind)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v does not say %q", err, test.says)
			}
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%v shows the secret", err)
			}
			if len(l.facts) > 0 {
				t.Errorf("a fact was stated: %+v", <-l.facts)
			}
		})
	}
}

func TestRun_Unreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	if err := connect(t, Config{Address: address}).end(t); !errors.Is(err, connectors.ErrUnreachable) {
		t.Errorf("%v is not unreachable", err)
	}
}

func TestRun_Silence(t *testing.T) {
	short := Config{Secret: "s", SignInWithin: 20 * time.Millisecond, IdleAfter: 10 * time.Millisecond, DeadAfter: 30 * time.Millisecond}
	t.Run("in the place of a greeting", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		short.Address = l.Addr().String()
		if err := connect(t, short).end(t); !errors.Is(err, connectors.ErrNotAPBX) {
			t.Errorf("ended with %v", err)
		}
	})
	t.Run("on a line that has died", func(t *testing.T) {
		pbx := &fakePBX{deaf: true}
		short.Address, short.SignInWithin = pbx.listen(t), time.Second
		l := connect(t, short)
		if err := l.end(t); !errors.Is(err, connectors.ErrLineDead) {
			t.Errorf("ended with %v", err)
		}
		if down := l.until(t, call.LinkDown); down[0].Kind != call.LinkUp {
			t.Errorf("the session began with %v", down[0].Kind)
		}
	})
	t.Run("that a question ends", func(t *testing.T) {
		pbx := &fakePBX{}
		short.Address, short.SignInWithin, short.DeadAfter = pbx.listen(t), time.Second, patience
		l := connect(t, short)
		l.until(t, call.Snapshot)
		before := l.c.link.Count.Thinned.Load()
		for l.c.link.Count.Thinned.Load() < before+3 { // the answers to three Pings
			select {
			case err := <-l.err:
				t.Fatalf("the link ended: %v", err)
			case <-time.After(time.Millisecond):
			}
		}
	})
}

// TestRun_UserAuth signs in as a directory user, and says what he may not hear.
func TestRun_UserAuth(t *testing.T) {
	users := map[string]string{"cj@pbx": "s"}
	signIn := func(allowed string, cut ...int) []string {
		pbx := &fakePBX{users: users, allowed: allowed}
		if len(cut) > 0 {
			pbx.cut = cut[0]
		}
		l := connect(t, Config{Address: pbx.listen(t), Username: "cj@pbx", Secret: "s"})
		l.until(t, call.Snapshot)
		l.stop()
		l.end(t)
		if slices.Contains(pbx.commands(), "auth") {
			t.Error("it also tried auth")
		}
		return l.c.Stats().Warnings
	}
	if w := signIn(strings.TrimPrefix(subscription(nil), "event json ")); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	if w := signIn("all"); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	// FreeSWITCH cuts a long answer, and its end with it.
	if w := signIn("all", len("Content-Type: command/reply\nReply-Text: +OK accepted\nAllowed-Events: all\nAllowed-A")); len(w) > 0 {
		t.Errorf("of a cut answer: warnings %q", w)
	}
	w := signIn("CHANNEL_CREATE HEARTBEAT")
	if len(w) != 1 || !strings.Contains(w[0], "CHANNEL_HANGUP_COMPLETE") || strings.Contains(w[0], "CHANNEL_CREATE") {
		t.Errorf("warnings %q", w)
	}
}

// TestRun_Goodbye: FreeSWITCH tells that it goes.
func TestRun_Goodbye(t *testing.T) {
	const notice = "Content-Type: text/disconnect-notice\nContent-Length: 4\n\nBye\n"
	for _, test := range []struct {
		name   string
		events func(p *peer)
		says   string
	}{
		{"shut down", func(p *peer) { p.event("SHUTDOWN"); p.say(notice) }, "shut down"},
		{"thrown out", func(p *peer) { p.say(notice) }, "goodbye"},
		{"closed", func(p *peer) {}, "closed the connection"},
		{"in the middle of an event", func(p *peer) { p.say(eventFrame("CHANNEL_CREATE", "Unique-ID", "x")[:60]) }, "closed the connection"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := connect(t, Config{Address: (&fakePBX{events: test.events}).listen(t), Secret: "s"})
			err := l.end(t)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("ended with %v", err)
			}
			var all []call.Event
			for len(l.facts) > 0 {
				all = append(all, <-l.facts)
			}
			if len(all) < 2 || all[0].Kind != call.LinkUp || all[len(all)-1].Kind != call.LinkDown || !strings.Contains(all[len(all)-1].Data, test.says) {
				t.Errorf("facts %+v", all)
			}
		})
	}
}

// TestRun_NewProcess: another Core-UUID, in the answer to a question or on an
// event, is another process.
func TestRun_NewProcess(t *testing.T) {
	l := connect(t, Config{Address: (&fakePBX{}).listen(t), Secret: "s"})
	l.until(t, call.Snapshot)
	l.stop()
	l.end(t)

	const second, third = "22222222-2222-3333-4444-555555555555", "33333333-2222-3333-4444-555555555555"
	pbx := &fakePBX{answers: map[string]string{"global_getvar core_uuid": second}}
	surveyed := make(chan struct{})
	pbx.events = func(p *peer) {
		p.event("CHANNEL_CREATE", "Unique-ID", "x", "Core-UUID", second)
		<-surveyed
		p.event("CHANNEL_CREATE", "Unique-ID", "y", "Core-UUID", third)
		p.stay()
	}
	l.c.link.Address = pbx.listen(t)
	l.run(t, 2)
	var got []string
	for len(got) < 6 {
		e := l.next(t)
		if got = append(got, fmt.Sprint(e.Kind, e.Leg)); len(got) == 4 {
			close(surveyed)
		}
	}
	want := []string{"LinkUp", "PBXStarted", "Snapshot", "LegCreatedx", "PBXStarted", "LegCreatedy"}
	if !slices.Equal(got, want) {
		t.Errorf("facts %v, want %v", got, want)
	}
}

// TestRun_SilentLoss: FreeSWITCH drops events for a slow reader without a word;
// its heartbeats tell.
func TestRun_SilentLoss(t *testing.T) {
	beat := func(p *peer, at, sessions, up int) {
		p.event("HEARTBEAT", "Core-UUID", core, "Event-Date-Timestamp", fmt.Sprint(at*1e6), "Session-Since-Startup", fmt.Sprint(sessions), "Session-Count", fmt.Sprint(up))
	}
	const zero = 1795376000
	pbx := &fakePBX{}
	pbx.events = func(p *peer) {
		beat(p, zero, 10, 0)
		p.event("CHANNEL_CREATE", "Core-UUID", core, "Unique-ID", "k", "variable_session_id", "11")
		beat(p, zero+20, 13, 3) // 12 and 13 may be on their way
		p.event("CHANNEL_CREATE", "Core-UUID", core, "Unique-ID", "m", "variable_session_id", "13")
		beat(p, zero+40, 13, 2) // 12 never came
		p.event("CHANNEL_DESTROY", "Core-UUID", core, "Unique-ID", "k", "variable_session_id", "11")
		p.stay()
	}
	l := connect(t, Config{Address: pbx.listen(t), Secret: "s"})
	facts := l.until(t, call.LinkGap)
	g := facts[len(facts)-1]
	if g.From != zero*1e6 || g.At != (zero+40)*1e6 || !strings.HasPrefix(g.Data, "1 channels") {
		t.Errorf("gap %+v", g)
	}
	// The loss leads to another look at what is up.
	snapshots := 0
	for _, e := range append(facts, l.until(t, call.Snapshot)...) {
		if e.Kind == call.Snapshot {
			snapshots++
		}
	}
	if snapshots == 0 {
		t.Error("no snapshot healed the gap")
	}
}

// TestTally is its arithmetic.
func TestTally(t *testing.T) {
	event := func(name, leg string, n int) Message {
		return Message{"Event-Name": name, "Unique-Id": leg, spelling("variable_session_id"): fmt.Sprint(n)}
	}
	beat := func(last, up int) Message {
		return Message{"Event-Name": "HEARTBEAT", spelling("Session-Since-Startup"): fmt.Sprint(last), spelling("Session-Count"): fmt.Sprint(up)}
	}
	r := newTally()
	for i, step := range []struct {
		m       Message
		counts  bool // take's answer, for what is no heartbeat
		missing uint64
		since   call.Moment
		stale   bool
	}{
		{m: beat(100, 0)},
		{m: event("CHANNEL_CREATE", "a", 101), counts: true},
		{m: event("CHANNEL_CREATE", "b", 102), counts: true},
		{m: beat(102, 2)},
		{m: event("CHANNEL_HANGUP_COMPLETE", "a", 101), counts: true},
		{m: event("CHANNEL_DESTROY", "a", 101), counts: false}, // said once more
		{m: event("CHANNEL_DESTROY", "z", 103), counts: true},  // a session that never ran
		{m: beat(105, 1)},
		{m: beat(105, 0), missing: 2, since: 2}, // 104 and 105 were not on their way; b is gone, or about to tell
		{m: beat(105, 0), stale: true},          // it was gone
		{m: beat(3, 0)},                         // counts from the beginning again
		{m: beat(4, 1)},
		{m: beat(4, 1), missing: 1, since: 6},
	} {
		at := call.Moment(0)
		if step.m.name() != "heartbeat" {
			if got := r.take(step.m); got != step.counts {
				t.Errorf("step %d: take is %v", i, got)
			}
			continue
		}
		at = call.Moment(r.beats + 1)
		missing, since, stale := r.heartbeat(step.m, at)
		if missing != step.missing || stale != step.stale || missing > 0 && since != step.since {
			t.Errorf("step %d: %d missing since %d, stale %v; want %d, %d, %v", i, missing, since, stale, step.missing, step.since, step.stale)
		}
	}
}

// TestBefore: a snapshot is stated before the facts that came while it was asked
// for, and so it must say how things stood before them.
func TestBefore(t *testing.T) {
	held := []call.Event{
		{Kind: call.Parted, Leg: "old", Bridge: "old+stays"},
		{Kind: call.Parted, Leg: "stays", Bridge: "old+stays"},
		{Kind: call.LegEnded, Leg: "old", Channel: "sofia/x", History: &call.LegHistory{Created: 5, Answered: 6}},
		{Kind: call.LegCreated, Leg: "new"},
		{Kind: call.LegAnswered, Leg: "new"},
		{Kind: call.Joined, Leg: "new", Bridge: "new+stays"},
		{Kind: call.Joined, Leg: "stays", Bridge: "new+stays"},
		{Kind: call.LegCreated, Leg: "brief"},
		{Kind: call.LegEnded, Leg: "brief"},
		{Kind: call.LegAnswered, Leg: "rings"},
	}
	live := []call.LiveLeg{{Leg: "stays", Bridge: "new+stays"}, {Leg: "new", Bridge: "new+stays"}, {Leg: "rings"}}
	known := []call.Event{{Kind: call.LegAnswered, Leg: "stays"}, {Kind: call.LegAnswered, Leg: "new"}, {Kind: call.LegRinging, Leg: "rings"}, {Kind: call.LegAnswered, Leg: "rings"}}
	gotLive, gotKnown := before(held, live, known)
	wantLive := []call.LiveLeg{{Leg: "stays", Bridge: "old+stays"}, {Leg: "rings"},
		{Leg: "old", Channel: "sofia/x", State: call.StateUp, Created: 5, Bridge: "old+stays"}}
	wantKnown := []call.Event{{Kind: call.LegAnswered, Leg: "stays"}, {Kind: call.LegRinging, Leg: "rings"}}
	if d := cmp.Diff(wantLive, gotLive); d != "" {
		t.Errorf("live (-want +got)\n%s", d)
	}
	if d := cmp.Diff(wantKnown, gotKnown); d != "" {
		t.Errorf("known (-want +got)\n%s", d)
	}
}

// TestRun_QueueFull: while the journal takes nothing, events are lost only
// beyond the memory they may use; the loss is stated in its place.
func TestRun_QueueFull(t *testing.T) {
	const many = 3000
	said := make(chan struct{})
	pbx := &fakePBX{}
	pbx.events = func(p *peer) {
		for i := range many {
			p.event("CHANNEL_HOLD", "Core-UUID", core, "Unique-ID", fmt.Sprint(i), "Event-Date-Timestamp", "1795376000000000")
		}
		close(said)
		p.stay()
	}
	l := &watched{c: New(Config{Address: pbx.listen(t), Secret: "s", QueueBytes: 16 << 10})}
	l.run(t, 1)
	<-said // taken off the network although nobody takes a fact yet: Run's emit has room for what is held
	held, lost := 0, uint64(0)
	for held == 0 || uint64(held)+lost < many {
		switch e := l.next(t); e.Kind {
		case call.Held:
			held++
		case call.LinkGap:
			var n uint64
			if _, err := fmt.Sscanf(e.Data, "%d events lost", &n); err != nil {
				t.Fatalf("gap %q", e.Data)
			}
			lost += n
		}
	}
	if got := l.c.Stats().DroppedByQueue; got != lost {
		t.Errorf("%d counted as dropped, %d stated", got, lost)
	}
}

// TestRun_HundredSessionsLeaveNothing; goleak looks in TestMain.
func TestRun_HundredSessionsLeaveNothing(t *testing.T) {
	pbx := talking()
	ends := []func(p *peer){
		func(p *peer) { p.event("CHANNEL_HOLD", "Unique-ID", "x"); p.stay() },
		func(p *peer) { p.event("CHANNEL_HOLD", "Unique-ID", "x") },
		func(p *peer) {
			for range 100 { // more than go-eventsocket's own 16, and nobody waits for them
				p.event("CHANNEL_HOLD", "Unique-ID", "x")
			}
		},
		func(p *peer) { p.say("Content-Length: 5") },
	}
	var n atomic.Int64
	pbx.events = func(p *peer) { ends[n.Add(1)%4](p) }
	address := pbx.listen(t)
	c := New(Config{Address: address, Secret: "s"})
	for i := range 100 {
		l := &watched{c: c}
		l.run(t, uint64(i+1))
		l.until(t, call.LinkUp)
		l.stop()
		l.end(t)
	}
}

// FuzzNormalise: whatever an event says, its facts are of the event's time and
// about somebody.
func FuzzNormalise(f *testing.F) {
	for _, name := range []string{"att_xfer_refer", "queue_answered", "conference3", "voicemail_left", "valet_park"} {
		for i, m := range read(f, recording(f, name).Stream, Needed()) {
			if i%9 == 0 {
				body, _ := json.Marshal(m)
				f.Add(body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := make(Message)
		if json.Unmarshal(body, &m) != nil {
			return
		}
		for _, e := range Normalise(m, 9) {
			if e.Kind == 0 || e.At == 0 || e.Seen != 9 {
				t.Fatalf("%+v of %q", e, body)
			}
			if e.Leg == "" && e.Kind != call.MailboxLeft {
				t.Fatalf("about nobody: %+v of %q", e, body)
			}
		}
		r := newTally()
		r.take(m)
		r.heartbeat(m, 1)
	})
}

// FreeSWITCH refuses a whole subscription for one event that the user may not
// hear, so only what he may is asked for.
func TestSubscription_OnlyWhatTheUserMayHear(t *testing.T) {
	for allowed, want := range map[string]string{
		"CHANNEL_CREATE CHANNEL_HANGUP_COMPLETE PRESENCE_IN":      "event json CHANNEL_CREATE CHANNEL_HANGUP_COMPLETE",
		"channel_answer callcenter::info conference::maintenance": "event json CHANNEL_ANSWER CUSTOM callcenter::info conference::maintenance",
		"all": subscription(nil),
		"":    subscription(nil),
	} {
		if got := subscription(only(allowed)); got != want {
			t.Errorf("allowed %q: %q, want %q", allowed, got, want)
		}
	}
}
