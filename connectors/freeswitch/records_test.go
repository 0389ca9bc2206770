package freeswitch

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"calljournal/agent/call"
	"calljournal/connectors"
)

const (
	exampleLine  = `"Anna","79161234567","74951230101","public","2026-03-01 13:00:00","2026-03-01 13:00:03","2026-03-01 13:00:10","10","7","NORMAL_CLEARING","11111111-2222-3333-4444-555555555555","66666666-2222-3333-4444-555555555555","","PCMU","PCMU"` + "\n"
	asteriskLine = `"","79161234567","74951230101","public","""Anna"" <79161234567>","sofia/external/79161234567@192.0.2.1","sofia/internal/101@192.0.2.2","bridge","user/101","2026-03-01 13:00:00","2026-03-01 13:00:03","2026-03-01 13:00:10","10","7","NORMAL_CLEARING","DOCUMENTATION","11111111-2222-3333-4444-555555555555",""` + "\n"
	jsonFile     = `{"core-uuid":"c","variables":{"uuid":"11111111-2222-3333-4444-555555555555","direction":"inbound","channel_name":"sofia/external/79161234567%40192.0.2.1",
"start_uepoch":"1772359200000000","progress_uepoch":"1772359201000000","answer_uepoch":"1772359203000000","bridge_uepoch":"1772359203020000","end_uepoch":"1772359210000000",
"hangup_cause":"NORMAL_CLEARING","hangup_cause_q850":"16","sip_hangup_disposition":"recv_bye","last_bridge_to":"66666666-2222-3333-4444-555555555555","bridge_channel":"sofia/internal/101%40192.0.2.2","last_app":"bridge"},
"callflow":[{"caller_profile":{"caller_id_name":"Anna","caller_id_number":"79161234567","destination_number":"102","context":"default"}},
{"caller_profile":{"caller_id_name":"Anna","caller_id_number":"79161234567","destination_number":"74951230101","context":"public"}}]}`
)

func TestRecords(t *testing.T) {
	moscow := time.FixedZone("", 3*3600)
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct{ name, text, doubt, result string }{
		{"example", exampleLine, call.DoubtZoneAssumed, "ANSWER"},
		{"asterisk", asteriskLine, call.DoubtZoneAssumed, "ANSWER"},
		{"sql", `INSERT INTO cdr VALUES (` + strings.Replace(strings.TrimSpace(exampleLine), `,"PCMU","PCMU"`, "", 1) + ");\n", call.DoubtZoneAssumed, "ANSWER"},
		{"json", jsonFile, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := NewRecords(nil, moscow).Read([]byte(c.text), 1)
			if err != nil {
				t.Fatal(err)
			}
			h := e.History
			if e.Kind != call.Reported || h.Created.Time() != start || h.Answered.Sub(h.Created) != 3*time.Second || h.HungUp.Sub(h.Created) != 10*time.Second {
				t.Fatalf("%+v %+v", e, h)
			}
			if e.Leg != "11111111-2222-3333-4444-555555555555" || e.Number != "79161234567" || e.Dialled != "74951230101" || e.State != call.StateCalling || e.Doubt != c.doubt || e.Result != c.result {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestRecords_AgentOnTheLine(t *testing.T) {
	const agent = "66666666-2222-3333-4444-555555555555"
	read := func(variables string) call.Event {
		t.Helper()
		text := strings.Replace(jsonFile, `"variables":{`, `"variables":{`+variables+`,`, 1)
		e, err := NewRecords(nil, time.UTC).Read([]byte(strings.ReplaceAll(text, `"caller_id_name":"Anna","caller_id_number":"79161234567"`, `"caller_id_name":"Agent","caller_id_number":"1004","ani":"79161234567"`)), 1)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := read(`"fifo_role":"caller","call_uuid":"` + agent + `"`); e.Number != "79161234567" || e.CallerName != "" || e.Link != string(e.Leg) || e.History.Vars[call.VarQueueAgent] != agent {
		t.Errorf("mod_fifo's caller: %+v %v", e, e.History.Vars)
	}
	if e := read(`"cc_agent_uuid":"` + agent + `"`); e.Number != "1004" || e.History.Vars[call.VarQueueAgent] != agent || e.App == call.AppAgent {
		t.Errorf("mod_callcenter's caller: %+v %v", e, e.History.Vars)
	}
	if e := read(`"cc_side":"agent","cc_agent_type":"uuid-standby"`); e.App != call.AppAgent || e.History.Vars[call.VarQueueAgent] != "" {
		t.Errorf("mod_callcenter's agent: %+v %v", e, e.History.Vars)
	}
	if e := read(`"cc_side":"agent","cc_agent_type":"callback"`); e.App == call.AppAgent {
		t.Errorf("a phone that mod_callcenter called: %+v", e)
	}
}

func TestRecords_Unreadable(t *testing.T) {
	for _, c := range []struct {
		text string
		want error
	}{
		{"a,b,c\n", nil},
		{`{"variables":`, nil},
		{`{"variables":{"start_uepoch":"1"}}`, connectors.ErrNoID},
		{strings.Replace(jsonFile, "1772359200000000", "0", 1), nil},
		{strings.Replace(jsonFile, `"end_uepoch":"1772359210000000"`, `"end_uepoch":"1772359100000000"`, 1), nil},
		{strings.Replace(exampleLine, "11111111-2222-3333-4444-555555555555", "", 1), connectors.ErrNoID},
	} {
		e, err := NewRecords(nil, time.UTC).Read([]byte(c.text), 1)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%.80q: %+v, %v", c.text, e, err)
		}
	}
}

func FuzzRecords(f *testing.F) {
	for _, s := range []string{exampleLine, asteriskLine, jsonFile, strings.Replace(exampleLine, "Anna", "\"; DROP \xff\n", 1), `{"variables":{"uuid":"%zz","transfer_history":"ARRAY::a|:b"}}`,
		strings.Replace(exampleLine, "Anna", strings.Repeat("\x920", 300), 1),
		`{"variables":{"uuid":"u","start_uepoch":"1772359200000000","end_uepoch":"1772359210000000","last_bridge_to":"ARRAY::","fifo_role":"caller"}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := NewRecords(nil, time.UTC).Read([]byte(text), 1)
		if err != nil || e.Kind == 0 {
			return
		}
		if h := e.History; e.Leg == "" || h.Created <= 0 || h.HungUp < h.Created {
			t.Errorf("%q: %+v", text, h)
		}
		for _, s := range []string{e.Number, e.CallerName, e.Dialled, e.Channel, e.PeerChannel, e.Link, e.Data} {
			if !utf8.ValidString(s) || len(s) > connectors.LongestText {
				t.Errorf("%q: kept %.40q", text, s)
			}
		}
		tracker := call.New(call.Options{PBX: "p", PBXKind: "freeswitch"})
		tracker.Heal([]call.Event{e, e}, []call.Gap{{From: 1, To: 1 << 60}}, func([]string, call.Moment, call.Moment) []call.Closed { return nil })
	})
}
