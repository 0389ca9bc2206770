package judge_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"calljournal/connectors/replay/judge"
)

const expectation = `{"scenario": "made_up", "pbx_kind": "asterisk", "gap": false, "zero_ms": 100,
 "tolerance_ms": {"wait_ms": 150, "ring_ms": 150, "talk_ms": 150, "total_ms": 150, "hold_ms": 300, "ivr_ms": 300, "queue_ms": 300},
 "calls": [
  {"direction": "inbound", "from": "79161122001", "to": "74951230101", "status": "answered", "origin": "dialled",
   "answered_by": "101", "last_talked_by": {"any": ["102", null]}, "wait_ms": 600, "ring_ms": {"any": [0, null]}, "talk_ms": 2500,
   "total_ms": 3100, "hold_ms": 0, "queues": ["sales"], "ended_by": {"any": ["callee", "pbx"]},
   "transfers": [{"type": "blind", "by": "101", "to": {"any": ["102", "79161122002"]}, "answered": true}],
   "recordings": 1, "voicemail": "200", "fax": false, "start_ms": 0, "tolerance_ms": {"talk_ms": 10}, "from_name": "Имя <b>", "note": "x"},
  {"direction": "internal", "from": "101", "to": "102", "status": "busy", "start_ms": 5000, "total_ms": 300}
 ]}`

const records = `[
 {"id": "main:1", "pbx": "main", "quality": "complete", "direction": "inbound", "origin": "dialled",
  "from": {"number": "+79161122001", "name": "Имя <b>"}, "to": {"number": "84951230101"}, "status": "answered",
  "answered_by": "101", "last_talked_by": null, "wait_ms": 749, "ring_ms": null, "talk_ms": 2509, "total_ms": 3109, "hold_ms": null,
  "queues": ["sales@office"], "ended_by": "pbx", "transfers": [{"type": "blind", "by": "101", "to": "102", "at": "2026-01-01T00:00:01.000Z", "answered": true}],
  "recordings": [{"file": "a.wav"}], "voicemail": {"mailbox": "200@default"}, "fax": null,
  "started_at": "2026-01-01T00:00:00.000Z", "ended_at": "2026-01-01T00:00:03.109Z",
  "timeline": [{"kind": "ring", "from": "2026-01-01T00:00:00.000Z", "to": "2026-01-01T00:00:00.600Z"},
               {"kind": "talk", "from": "2026-01-01T00:00:00.600Z", "to": "2026-01-01T00:00:03.109Z"}]},
 {"id": "main:2", "pbx": "main", "quality": "complete", "direction": "internal", "from": {"number": "101"}, "to": {"number": "102"}, "status": "busy",
  "total_ms": 300, "started_at": "2026-01-01T00:00:05.000Z", "ended_at": "2026-01-01T00:00:05.300Z", "timeline": []}
]`

func given(t *testing.T) (*judge.Expect, []judge.Record) {
	t.Helper()
	e, err := judge.Read([]byte(expectation))
	if err != nil {
		t.Fatal(err)
	}
	var r []judge.Record
	if err := json.Unmarshal([]byte(records), &r); err != nil {
		t.Fatal(err)
	}
	return e, r
}

func TestJudge_perfect(t *testing.T) {
	e, r := given(t)
	if v := judge.Judge(e, r); !v.Exact() || v.String() != "ok    made_up" {
		t.Error(v)
	}
	r[0], r[1] = r[1], r[0]
	if v := judge.Judge(e, r); !v.Exact() {
		t.Errorf("in another order: %v", v)
	}
}

// TestJudge_findsEachFault changes one thing of perfect records at a time.
func TestJudge_findsEachFault(t *testing.T) {
	set := func(field, value string) func([]judge.Record) []judge.Record {
		return func(r []judge.Record) []judge.Record {
			var v any
			if err := json.Unmarshal([]byte(value), &v); err != nil {
				t.Fatal(err)
			}
			r[0][field] = v
			return r
		}
	}
	for _, c := range []struct {
		name   string
		change func([]judge.Record) []judge.Record
		want   string // in the one line of the verdict
	}{
		{"direction", set("direction", `"outbound"`), `direction: expected "inbound", got "outbound"`},
		{"from", set("from", `{"number": "79161122009", "name": "Имя <b>"}`), `from: expected "79161122001", got "79161122009"`},
		{"name", set("from", `{"number": "79161122001", "name": "x"}`), `from_name: expected "Имя <b>", got "x"`},
		{"no name", set("from", `{"number": "79161122001"}`), `got absent`},
		{"to", set("to", `{"number": null}`), `to: expected "74951230101", got null`},
		{"status", set("status", `"abandoned"`), `status:`},
		{"extension", set("answered_by", `"1011"`), `answered_by: expected "101", got "1011"`},
		{"choice", set("last_talked_by", `"103"`), `last_talked_by: expected "102" or null, got "103"`},
		{"time", set("wait_ms", `751`), `wait_ms: expected 600, got 751`},
		{"own tolerance", set("talk_ms", `2511`), `talk_ms: expected 2500, got 2511`},
		{"null is no time", set("talk_ms", `null`), `talk_ms: expected 2500, got null`},
		{"queue", set("queues", `["sales", "support"]`), `queues: expected ["sales"], got ["sales","support"]`},
		{"no transfer", set("transfers", `[]`), `transfers:`},
		{"transfer's target", set("transfers", `[{"type": "blind", "by": "101", "to": "104", "answered": true}]`), `transfers:`},
		{"transfer's answer", set("transfers", `[{"type": "blind", "by": "101", "to": "102", "answered": null}]`), `transfers:`},
		{"recordings", set("recordings", `[]`), `recordings: expected 1, got 0`},
		{"mailbox", set("voicemail", `null`), `voicemail: expected "200", got null`},
		{"fax", set("fax", `{}`), `fax: expected false, got true`},
		{"absent", func(r []judge.Record) []judge.Record { delete(r[0], "status"); return r }, `status: expected "answered", got absent`},
		{"never ended", set("ended_at", `null`), `ended_at: expected sound, got the call never ended`},
		{"ended before", set("ended_at", `"2025-01-01T00:00:00.000Z"`), `started_at: expected sound, got not before ended_at`},
		{"negative", set("total_wait_ms", `-1`), `total_wait_ms: expected sound, got negative: -1`},
		{"id", set("id", `"other:1"`), `id: expected sound`},
		{"no timeline", set("timeline", `null`), `timeline: expected sound, got absent`},
		{"hole", set("timeline", `[{"kind": "ring", "from": "2026-01-01T00:00:00.000Z", "to": "2026-01-01T00:00:00.600Z"},
			{"kind": "talk", "from": "2026-01-01T00:00:00.601Z", "to": "2026-01-01T00:00:03.109Z"}]`), `timeline: expected sound`},
		{"missing", func(r []judge.Record) []judge.Record { return r[:1] }, `MISSING internal 101 -> 102`},
		{"spurious", func(r []judge.Record) []judge.Record { return append(r, r[1]) }, `SPURIOUS internal 101 -> 102 busy`},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, r := given(t)
			v := judge.Judge(e, c.change(r))
			if v.Exact() || len(v.Lines()) != 1 || !strings.Contains(v.Lines()[0], c.want) {
				t.Errorf("want one line with %q, got %v", c.want, v)
			}
		})
	}
}

func TestJudge_circumstances(t *testing.T) {
	t.Run("slack", func(t *testing.T) {
		e, r := given(t)
		r[0]["wait_ms"] = 820.0
		if v := judge.Judge(e, r, judge.Slack(100*time.Millisecond)); !v.Exact() {
			t.Error(v)
		}
	})
	t.Run("partial record of a touched call", func(t *testing.T) {
		e, r := given(t)
		r[0]["quality"], r[0]["talk_ms"], r[0]["status"] = "partial", nil, "no_answer"
		if judge.Judge(e, r).Exact() {
			t.Error("partial though nothing touched it, and exact")
		}
		if v := judge.Judge(e, r, judge.WithBlind(judge.Blind{FromMs: 1000, ToMs: 1600})); !v.Exact() {
			t.Error(v)
		}
		e.Calls[0]["partial"] = true
		if v := judge.Judge(e, r); !v.Exact() {
			t.Error(v)
		}
		r[0]["ended_at"] = nil
		if judge.Judge(e, r).Exact() {
			t.Error("a call that never ended, and exact")
		}
	})
	t.Run("a call nobody could see", func(t *testing.T) {
		e, r := given(t)
		if v := judge.Judge(e, r[:1], judge.WithBlind(judge.Blind{FromMs: 5000, ToMs: 5600})); !v.Exact() {
			t.Error(v)
		}
	})
	t.Run("optional", func(t *testing.T) {
		e, r := given(t)
		e.Calls[1]["optional"] = true
		if v := judge.Judge(e, r[:1]); !v.Exact() {
			t.Error(v)
		}
	})
	t.Run("gap", func(t *testing.T) {
		e, r := given(t)
		e.Gap = true
		if v := judge.Judge(e, r, judge.WithGaps(0)); v.Exact() {
			t.Error("a gap was wanted, none was there, and exact")
		}
		if v := judge.Judge(e, r, judge.WithGaps(1)); !v.Exact() {
			t.Error(v)
		}
	})
}
