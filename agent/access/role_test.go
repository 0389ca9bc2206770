package access_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"calljournal/agent/access"
	"calljournal/agent/call"
)

func ptr[T any](v T) *T { return &v }

func TestRole_Check(t *testing.T) {
	for _, tt := range []struct {
		role access.Role
		good bool
	}{
		{access.Role{Scope: access.ScopeSync}, true},
		{access.Role{Scope: access.ScopeJournal, Department: "Sales", MaskNumbers: true}, true},
		{access.Role{Scope: access.ScopeAdmin}, true},
		{access.Role{Scope: access.ScopeSync, Department: "Sales"}, false},
		{access.Role{Scope: access.ScopeAdmin, MaskNumbers: true}, false},
		{access.Role{}, false},
		{access.Role{Scope: "root"}, false},
	} {
		if err := tt.role.Check(); (err == nil) != tt.good {
			t.Errorf("%+v: %v", tt.role, err)
		}
	}
}

func TestRole_Sees(t *testing.T) {
	sales := access.Role{Scope: access.ScopeJournal, Department: "Sales"}
	for name, tt := range map[string]struct {
		rec  call.Record
		want bool
	}{
		"caller":     {call.Record{From: call.Party{Department: ptr("Sales")}}, true},
		"called":     {call.Record{To: call.Party{Department: ptr("Sales")}}, true},
		"rang":       {call.Record{Legs: []call.Leg{{Department: ptr("Support")}, {Department: ptr("Sales")}}}, true},
		"others":     {call.Record{From: call.Party{Department: ptr("Support")}, Legs: []call.Leg{{Department: ptr("sales")}}}, false},
		"nobody's":   {call.Record{}, false},
		"only named": {call.Record{To: call.Party{Name: ptr("Sales")}, Queues: []string{"Sales"}}, false},
	} {
		if got := sales.Sees(&tt.rec); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
		if !(access.Role{Scope: access.ScopeJournal}).Sees(&tt.rec) {
			t.Errorf("%s: not for all", name)
		}
	}
}

func TestMaskText(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"101":                        "101",
		"12345":                      "12345",
		"230101":                     "2***01",
		"1230101":                    "***0101",
		"9161230101":                 "916***0101",
		"+74951230101":               "+7495***0101",
		"84951230101":                "8495***0101",
		"+380441230101":              "+3804***0101",
		"+7 (495) 123-01-01":         "+7 (495) ***01-01",
		"Anna 8 916 123 45 67 home":  "Anna 8 916 ***45 67 home",
		"PJSIP/74951230101-0000001a": "PJSIP/7495***0001a",
		"Local/89161234567@out;2":    "Local/8916***4567@out;2",
		"7916123\u200b4567":          "7916***4567",
		"٧٩١٦١٢٣٤٥٦٧":                "٧٩١٦***٤٥٦٧",
		"Иван 230-101, доб. 12":      "Иван 2***01, доб. 12",
		"a\xff79161234567\xff":       "a\xff7916***4567\xff",
	} {
		if got := access.MaskText(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// Whatever stands around a number, it is never whole in the text.
func TestMaskText_NeverWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[1-9][0-9]{5,14}`).Draw(t, "number")
		text := rapid.String().Draw(t, "before") + number + rapid.String().Draw(t, "after")
		if got := access.MaskText(text); strings.Contains(got, number) {
			t.Fatalf("%q shows %s as %q", text, number, got)
		}
	})
}

// Every text of a record is masked, now and when a field is added, but those by
// which calls are asked for; the record itself stays as it was.
func TestMask_WholeRecord(t *testing.T) {
	const number = "79161234567"
	rec := call.Record{
		ID: "main:1780000000.7", PBXIDs: []string{"1780000000.7"}, HealedBy: ptr("main:1780000900.9"), StartedAt: 1_780_000_000_000_000,
		From:  call.Party{Number: ptr(number), E164: ptr("+" + number), Name: ptr("8 (916) 123-45-67"), Extension: nil},
		To:    call.Party{Number: ptr("101"), Extension: ptr("101"), Employee: ptr("Anna")},
		Line:  &call.Line{Number: number, Name: ptr(number), Source: ptr(number)},
		Trunk: ptr(number), Cause: &call.Cause{Text: "to " + number}, AnsweredBy: ptr(number), LastTalkedBy: ptr(number), Queues: []string{number},
		Legs:      []call.Leg{{Channel: "Local/" + number + "@x-1;2", Number: ptr(number), Cause: &call.Cause{Text: number}}},
		Transfers: []call.Transfer{{By: ptr(number), To: ptr(number)}}, Timeline: []call.Span{{Party: ptr(number)}},
		Recordings: []call.Recording{{File: ptr("/monitor/out-" + number + "-101.wav")}},
		Voicemail:  &call.VoicemailEntry{Mailbox: number, File: ptr(number)}, Fax: &call.FaxEntry{Station: ptr(number), File: ptr(number), Result: ptr(number)},
		Account: ptr(number), Tags: []string{"call " + number}, Cost: &call.Cost{Prefix: number},
	}
	before, _ := json.Marshal(rec)
	got, err := json.Marshal(access.Mask(&rec))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{number, "123-45-67", "161234"} {
		if strings.Contains(string(got), part) {
			t.Errorf("%s is in %s", part, got)
		}
	}
	for _, part := range []string{`"id":"main:1780000000.7"`, `"pbx_ids":["1780000000.7"]`, `"healed_by":"main:1780000900.9"`, `"number":"7916***4567"`, `"employee":"Anna"`, `"started_at":"2026-05-28T20:26:40.000Z"`} {
		if !strings.Contains(string(got), part) {
			t.Errorf("%s is not in %s", part, got)
		}
	}
	if after, _ := json.Marshal(rec); string(after) != string(before) {
		t.Error("the record itself was changed")
	}
	if m := access.Mask(map[string]any{number: []any{number, 7, nil}}); strings.Contains(fmt.Sprint(m), number) {
		t.Errorf("a map shows the number: %v", m)
	}
}
