package storage

import (
	"fmt"
	"math/rand/v2"

	"calljournal/agent/call"
)

// office makes up the calls of an office, always the same ones from the same seed.
type office struct {
	rnd *rand.Rand
	now call.Moment // when the next call begins
	n   int
}

func newOffice(seed uint64) *office {
	return &office{rnd: rand.New(rand.NewPCG(seed, 1)), now: 1_780_000_000_000_000}
}

func ptr[T any](v T) *T { return &v }

func (o *office) number() string { return fmt.Sprintf("79%09d", o.rnd.IntN(1_000_000_000)) }

func (o *office) leg(channel, ext, role, result string, at call.Moment) call.Leg {
	l := call.Leg{Channel: channel, Role: role, Result: result, StartedAt: at, EndedAt: at.Add(40_000_000_000)}
	if ext != "" {
		l.Extension, l.Number = ptr(ext), ptr(ext)
		l.Employee, l.Department = ptr("Сотрудник "+ext), ptr("Продажи")
		l.RingingAt = at.Add(120_000_000)
		l.RingMs = ptr(o.rnd.Int64N(20_000))
	}
	if result == "answered" {
		l.AnsweredAt = l.RingingAt.Add(4_000_000_000)
		l.TalkMs = ptr(o.rnd.Int64N(300_000))
	}
	l.Cause = &call.Cause{Q850: 16, Text: "Normal Clearing"}
	return l
}

// call makes the next call: its record, and the facts it came from.
func (o *office) call() (*call.Record, []call.Event) {
	o.n++
	o.now += call.Moment(o.rnd.Int64N(9_000_000) + 1000)
	at := o.now.Ms()
	uid := fmt.Sprintf("%d.%d", at/1_000_000, o.n*7)
	from, to := o.number(), fmt.Sprintf("7495123010%d", o.rnd.IntN(4))
	ext := fmt.Sprint(100 + o.rnd.IntN(40))
	trunk := fmt.Sprintf("PJSIP/trunk-provider-%08x", o.n*7)
	phone := fmt.Sprintf("PJSIP/%s-%08x", ext, o.n*7+1)
	pbx, kind := "main", "asterisk"
	if o.n%3 == 0 {
		pbx, kind = "branch", "freeswitch"
		uid = o.uuid()
		trunk, phone = "sofia/external/"+from+"@203.0.113.5", "sofia/internal/"+ext+"@198.51.100.7:5060"
	}
	wait, talk := o.rnd.Int64N(60_000), o.rnd.Int64N(600_000)
	r := &call.Record{
		ID: pbx + ":" + uid, Rev: 1, Agent: "office-1", PBX: pbx, PBXKind: kind, PBXIDs: []string{uid},
		Direction: call.Inbound, Origin: call.OriginDialled, Status: call.StatusAnswered,
		From: call.Party{Number: ptr(from), E164: ptr("+" + from)},
		To:   call.Party{Number: ptr(to), E164: ptr("+" + to)},
		Line: &call.Line{Number: to, Name: ptr("Сайт"), Source: ptr("yandex-direct")}, Trunk: ptr("trunk-provider"),
		EndedBy: ptr("caller"), Cause: &call.Cause{Q850: 16, Text: "Normal Clearing"},
		StartedAt: at, PBXAnsweredAt: at.Add(50_000_000), RingingAt: at.Add(3_100_000_000),
		AnsweredAt: at + call.Moment(wait*1000), EndedAt: at + call.Moment((wait+talk)*1000),
		WaitMs: ptr(wait), TotalWaitMs: ptr(wait), IVRMs: ptr(int64(3000)), QueueMs: ptr(wait / 2),
		RingMs: ptr(wait / 3), TalkMs: ptr(talk), HoldMs: ptr(int64(0)), TotalMs: ptr(wait + talk),
		AnsweredBy: ptr(ext), LastTalkedBy: ptr(ext),
		Queues: []string{"sales"}, Transfers: []call.Transfer{}, Tags: []string{}, Doubts: []string{}, Types: []string{"unique", "target"},
		Recordings: []call.Recording{{File: ptr("2026/05/" + uid + ".wav"), StartedAt: at, DurationMs: ptr(talk), Available: true}},
		Quality:    call.QualityComplete,
	}
	r.Legs = []call.Leg{
		o.leg(trunk, "", call.RoleCaller, "answered", at),
		o.leg(fmt.Sprintf("PJSIP/%d-%08x", 100+o.rnd.IntN(40), o.n*7+2), fmt.Sprint(100+o.rnd.IntN(40)), call.RolePhone, "answered_elsewhere", at.Add(3_000_000_000)),
		o.leg(phone, ext, call.RolePhone, "answered", at.Add(3_000_000_000)),
	}
	r.Timeline = []call.Span{
		{Kind: "ivr", From: at, To: at.Add(3_000_000_000)},
		{Kind: "queue", From: at.Add(3_000_000_000), To: r.AnsweredAt},
		{Kind: "talk", From: r.AnsweredAt, To: r.EndedAt, Party: ptr(ext)},
	}
	if o.rnd.IntN(10) < 3 {
		r.Status, r.Missed, r.AbandonedIn = call.StatusAbandoned, true, ptr("queue")
		r.AnsweredAt, r.AnsweredBy, r.LastTalkedBy, r.TalkMs = 0, nil, nil, ptr(int64(0))
		r.Timeline, r.Legs, r.Recordings = r.Timeline[:2], r.Legs[:2], []call.Recording{}
	}
	return r, o.facts(uid, trunk, phone, from, to, ext, at)
}

func (o *office) uuid() string {
	a, b := o.rnd.Uint64(), o.rnd.Uint64()
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff)
}

func (o *office) facts(uid, trunk, phone, from, to, ext string, at call.Moment) []call.Event {
	caller, callee, bridge := call.LegID(uid), call.LegID(uid+"1"), o.uuid()
	if len(uid) == len(bridge) {
		callee = call.LegID(o.uuid())
	}
	base := []call.Event{
		{Kind: call.LegCreated, Leg: caller, Link: uid, Channel: trunk, Endpoint: "trunk-provider", State: call.StateCalling, Number: from, Dialled: to, Context: "from-provider"},
		{Kind: call.Executed, Leg: caller, App: call.AppPlayback, Data: "welcome", Dialled: to},
		{Kind: call.LegAnswered, Leg: caller},
		{Kind: call.Executed, Leg: caller, App: call.AppQueue, Data: "sales"},
		{Kind: call.Queued, Leg: caller, Queue: "sales"},
		{Kind: call.LegCreated, Leg: callee, Link: uid, Channel: phone, Endpoint: ext, State: call.StateDown, Number: ext, Context: "internal", Queue: "sales"},
		{Kind: call.Dialled, Leg: caller, Peer: callee, Number: ext},
		{Kind: call.QueueOffered, Leg: caller, Peer: callee, Queue: "sales"},
		{Kind: call.LegConnected, Leg: callee, Number: from},
		{Kind: call.LegRinging, Leg: callee},
		{Kind: call.LegAnswered, Leg: callee},
		{Kind: call.DialEnded, Leg: caller, Peer: callee, Result: "ANSWER"},
		{Kind: call.QueueMember, Leg: caller, Peer: callee, Queue: "sales"},
		{Kind: call.Joined, Leg: callee, Bridge: bridge},
		{Kind: call.Joined, Leg: caller, Bridge: bridge},
		{Kind: call.RecordBegun, Leg: caller, File: "/var/spool/asterisk/monitor/2026/05/" + uid + ".wav"},
		{Kind: call.Held, Leg: callee},
		{Kind: call.Resumed, Leg: callee},
		{Kind: call.Parted, Leg: callee, Bridge: bridge},
		{Kind: call.Parted, Leg: caller, Bridge: bridge},
		{Kind: call.LegHungUp, Leg: callee, Cause: &call.Cause{Q850: 16}},
		{Kind: call.LegEnded, Leg: callee, Cause: &call.Cause{Q850: 16, Text: "Normal Clearing"}},
		{Kind: call.RecordEnded, Leg: caller, File: "/var/spool/asterisk/monitor/2026/05/" + uid + ".wav"},
		{Kind: call.LegEnded, Leg: caller, Cause: &call.Cause{Q850: 16, Text: "Normal Clearing"}},
	}
	if len(uid) == len(bridge) {
		base[len(base)-1].History = &call.LegHistory{
			Created: at, Progress: at.Add(100_000_000), Answered: at.Add(3_000_000_000), Bridged: at.Add(3_100_000_000), HungUp: at.Add(60_000_000_000),
			Transfers: []call.TransferNote{{At: at, ID: bridge, Method: "bl_xfer", Target: ext + "/internal/XML"}},
			Vars:      map[string]string{"hangup_disposition": "recv_bye", "sip_term_status": "200", "originate_disposition": "SUCCESS"},
		}
	}
	for i := range base {
		e := &base[i]
		e.Session, e.Seq, e.N = 3, uint64(o.n*30+i), uint64(o.n*24+i)
		at += call.Moment(o.rnd.Int64N(5_000_000))
		e.At, e.Seen = at, at+call.Moment(o.rnd.Int64N(2000))
	}
	return base
}

func reasons() []call.Reason {
	return []call.Reason{
		{Field: "direction", Rule: "first leg leads outside", Facts: []uint64{1}},
		{Field: "status", Rule: "caller and a person in one bridge", Facts: []uint64{14, 15}},
		{Field: "ended_by", Rule: "the side whose leg asked for the end first", Facts: []uint64{20}},
		{Field: "queues", Rule: "waited in a queue", Facts: []uint64{4}},
	}
}
