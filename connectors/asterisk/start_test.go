package asterisk

import (
	"testing"
	"time"

	"calljournal/agent/call"
)

func TestStart(t *testing.T) {
	at := func(text string) call.Moment {
		m, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		return call.MomentOf(m)
	}
	const ten = "2026-01-22 10:00:00"
	tests := []struct {
		name     string
		settings string
		booted   call.Moment
		here     bool
		want     start
	}{
		{"nothing", "", 0, true, start{}},
		{"not a time", "soon 25:00:00", 0, true, start{}},
		{"of this machine", ten, 0, true, start{at(ten), true}},
		{"of an unknown zone", ten, 0, false, start{at(ten), false}},
		{"uptime alone", "", at(ten).Add(400 * time.Millisecond), false, start{at(ten), true}},
		{"uptime and the same zone", ten, at(ten).Add(1700 * time.Millisecond), false, start{at(ten), true}},
		{"three hours ahead", "2026-01-22 13:00:00", at(ten).Add(-900 * time.Millisecond), false, start{at(ten), true}},
		{"Kathmandu", "2026-01-22 15:45:00", at(ten).Add(time.Second), false, start{at(ten), true}},
	}
	for _, test := range tests {
		if got := startOf(test.settings, test.booted, test.here); got != test.want {
			t.Errorf("%s: %v (%v), want %v", test.name, got.at.Time(), got.sure, test.want.at.Time())
		}
	}
}

func TestStart_OfOneProcess(t *testing.T) {
	const hour = call.Moment(3600e6)
	base := call.Moment(1795376013e6)
	tests := []struct {
		name string
		a, b start
		want bool
	}{
		{"equal", start{base, true}, start{base, true}, true},
		{"rounded otherwise", start{base, true}, start{base + 2e6, true}, true},
		{"a clock set by some seconds", start{base, true}, start{base + 20e6, true}, true},
		{"later", start{base, true}, start{base + 60e6, true}, false},
		{"an hour later", start{base, true}, start{base + hour, true}, false},
		{"an hour of zone", start{base, false}, start{base + hour - 1e6, true}, true},
		{"not a zone", start{base, false}, start{base + hour + 300e6, true}, false},
		{"zone unknown twice", start{base, false}, start{base + hour, false}, false},
	}
	for _, test := range tests {
		if test.a.is(test.b) != test.want || test.b.is(test.a) != test.want {
			t.Errorf("%s: %v", test.name, !test.want)
		}
	}
}
