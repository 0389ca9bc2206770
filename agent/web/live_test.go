package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
)

// liveCall is an inbound call in progress that began so long ago, with the kinds
// and parties of its timeline and how long each took.
func liveCall(id string, spans ...liveSpan) call.Record {
	r := *someCall(id)
	r.AnsweredAt, r.Status = 0, ""
	r.Line = &call.Line{Number: "74951230101", Name: ptr("Сайт")}
	var all time.Duration
	for _, s := range spans {
		all += s.took
	}
	r.EndedAt = call.MomentOf(time.Now())
	r.StartedAt = r.EndedAt.Add(-all)
	at := r.StartedAt
	r.Legs = []call.Leg{{Channel: "PJSIP/trunk-a-1", Number: r.From.Number, Role: call.RoleCaller, StartedAt: at, AnsweredAt: at}}
	for _, s := range spans {
		span := call.Span{Kind: s.kind, From: at, To: at.Add(s.took)}
		if s.party != "" {
			span.Party = &s.party
		}
		r.Timeline = append(r.Timeline, span)
		at = span.To
	}
	return r
}

type liveSpan struct {
	kind, party string
	took        time.Duration
}

func phone(extension, name, department string, ringing, answered call.Moment) call.Leg {
	return call.Leg{Channel: "PJSIP/" + extension + "-1", Number: &extension, Extension: &extension, Employee: &name, Department: &department,
		Role: call.RolePhone, StartedAt: ringing, RingingAt: ringing, AnsweredAt: answered}
}

func board(t *testing.T, calls ...call.Record) *rig {
	return newRigWith(t, func(o *api.Options) {
		o.Live = func(context.Context) ([]call.Record, error) { return calls, nil }
		o.Blind = func() []string { return []string{"branch"} }
	})
}

func TestLive(t *testing.T) {
	queued := liveCall("main:queued", liveSpan{"ivr", "", 5 * time.Second}, liveSpan{"queue", "sales", 40 * time.Second})
	queued.Legs = append(queued.Legs, phone("101", "Анна Петрова", "Продажи", queued.StartedAt, 0))
	soon := liveCall("main:soon", liveSpan{"ring", "", 15 * time.Second})
	menu := liveCall("main:menu", liveSpan{"ivr", "", 3 * time.Second})
	talk := liveCall("main:talk", liveSpan{"ring", "", 4 * time.Second}, liveSpan{"talk", "102", 65 * time.Second})
	talk.Legs = append(talk.Legs, phone("102", "Олег Ли", "Поддержка", talk.StartedAt, talk.StartedAt.Add(4*time.Second)))
	// Transferred, and not spoken with yet: he waits again.
	again := liveCall("main:again", liveSpan{"talk", "102", time.Minute}, liveSpan{"ring", "", 30 * time.Second})
	outbound := liveCall("main:out", liveSpan{"ring", "", 45 * time.Second})
	outbound.Direction, outbound.Line = call.Outbound, nil
	outbound.From, outbound.To = call.Party{Number: ptr("103"), Extension: ptr("103"), Employee: ptr("Иван")}, outbound.From
	_, _, text := board(t, talk, menu, soon, outbound, queued, again).signedIn("manager").get("/live")
	for _, want := range []string{
		`data-call="main:queued" data-state="queue" data-level="bad"`, `data-call="main:soon" data-state="ring" data-level="warn"`,
		`data-call="main:menu" data-state="ivr" data-level="good"`, `data-call="main:again" data-state="ring" data-level="bad"`,
		`data-call="main:out" data-state="ring">`, `data-call="main:talk" data-state="talk">`,
		`data-count="45000" data-judged>0:45</time>`, `data-count="65000">1:05</time>`, `data-queue="sales" data-level="bad"`,
		`data-rings="101"`, "Анна Петрова", "Олег Ли", "Сайт", "1 waiting", ">late<", ">soon late<", ">in time<",
		`id="live-calls">6<`, `id="live-talking">1<`, `id="live-waiting">5<`, `id="live-ringing">1<`,
		"PBX branch is not connected", `data-follow="/v1/live"`, `data-event="calls"`, `data-service-level="20000"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("not on the board: %s", want)
		}
	}
	if strings.Contains(text, "PBX main is not") || strings.Contains(text, "<script>alert") {
		t.Error("a link that is up is missed, or a name is markup")
	}
	order := []string{`data-call="main:queued"`, `data-call="main:again"`, `data-call="main:soon"`, `data-call="main:menu"`, `data-call="main:out"`, `data-call="main:talk"`}
	for i := range len(order) - 1 {
		if strings.Index(text, order[i]) > strings.Index(text, order[i+1]) {
			t.Errorf("%s comes after %s", order[i], order[i+1])
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestLive_Quiet(t *testing.T) {
	status, _, text := board(t).signedIn("manager").get("/live")
	if status != http.StatusOK || !strings.Contains(text, "All quiet") || strings.Contains(text, "<ul class=\"calls\">") {
		t.Errorf("nobody calls: %d %s", status, text)
	}
}

// Who may see a part sees that part, with its numbers masked.
func TestLive_Roles(t *testing.T) {
	ours := liveCall("main:ours", liveSpan{"ring", "", time.Second})
	ours.Legs = append(ours.Legs, phone("101", "Анна Петрова", "Продажи", ours.StartedAt, 0))
	theirs := liveCall("main:theirs", liveSpan{"talk", "102", time.Second})
	r := board(t, ours, theirs)
	for user, want := range map[string]struct{ theirs, number bool }{"admin": {true, true}, "sales": {false, true}, "masked": {true, false}} {
		_, _, text := r.signedIn(user).get("/live")
		if !strings.Contains(text, "main:ours") || strings.Contains(text, "main:theirs") != want.theirs || strings.Contains(text, "79161234567") != want.number {
			t.Errorf("%s sees %s", user, text)
		}
	}
}

// A phone that the PBX calls for its owner rings as well.
func TestLive_Originated(t *testing.T) {
	c := liveCall("main:1", liveSpan{"ring", "", time.Second})
	c.Direction, c.Origin = call.Outbound, call.OriginOriginated
	c.Legs = []call.Leg{phone("103", "Иван", "", c.StartedAt, 0)}
	c.Legs[0].Role = call.RoleCaller
	if _, _, text := board(t, c).signedIn("manager").get("/live"); !strings.Contains(text, `data-rings="103"`) {
		t.Error(text)
	}
}
