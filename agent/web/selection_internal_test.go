package web

import (
	"testing"
	"time"
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
