package web

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

func TestReadLength(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "90": 90 * time.Second, "90s": 90 * time.Second, "1m30s": 90 * time.Second, "1:30": 90 * time.Second, "0:07": 7 * time.Second,
		"1:02:03": time.Hour + 2*time.Minute + 3*time.Second, "1.5s": 1500 * time.Millisecond, "100:00": 100 * time.Minute,
		"": -1, "x": -1, "1:5": -1, "1:60": -1, ":30": -1, "1:30:": -1, "1:00:00:00": -1, "-5": -1, "-5s": -1, "1:-3": -1, "9999999999": -1,
	} {
		got, ok := readLength(text)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for _, d := range []time.Duration{0, 7 * time.Second, 90 * time.Second, 59*time.Minute + 59*time.Second, time.Hour, 25*time.Hour + time.Second} {
		if got, ok := readLength(length(d.Milliseconds())); !ok || got != d {
			t.Errorf("%v is written %s and read as %v", d, length(d.Milliseconds()), got)
		}
	}
}

// Every value that a filter knows, and every reason for a status, has words.
func TestFilterHasWords(t *testing.T) {
	known := map[string][]string{
		"whether": {"true", "false"}, "part": {journal.PartCounted, journal.PartElsewhere}, "abandoned": {"ivr", "queue", "ring"},
		"span":     {"wait", "ivr", "queue", "call", "ring", "talk", "conference", "hold", "line", "park", "voicemail", "fax"},
		"role":     {call.RoleCaller, call.RolePhone, call.RoleTrunk, call.RoleConsultation},
		"result":   {"answered", "no_answer", "answered_elsewhere", "busy", "rejected", "cancelled", "failed"},
		"transfer": {"blind", "attended", "redirect", "forward", "pickup", "park"},
		"endedby":  {"caller", "callee", "pbx"}, "fax": {"received", "sent"},
		"quality": {call.QualityComplete, call.QualityPartial, call.QualityBackfilled},
		"filter":  slices.Clone(singles), "sort": sorts, "direction": {call.Inbound, call.Outbound, call.Internal},
	}
	for _, f := range filterFields {
		known["filter"] = append(known["filter"], f.name)
		if f.values != nil && f.name != "hour" {
			known[f.name] = f.values
		}
	}
	record := reflect.TypeFor[call.Record]()
	for i := range record.NumField() {
		known["field"] = append(known["field"], record.Field(i).Tag.Get("json"))
	}
	for _, l := range readLanguages().all {
		for part, values := range known {
			for _, value := range values {
				if _, ok := l.words[part+"."+value]; !ok {
					t.Errorf("%s: no words for %s %q", l.Code, part, value)
				}
			}
		}
	}
}
