package transport

import (
	"fmt"
	"testing"
	"time"
)

func TestOrigin(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:4711":            "192.0.2.1",
		"[::ffff:192.0.2.1]:4711":   "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[2001:db8:1:2::9]:81":      "2001:db8:1:2::/64",
		"[fe80::1%eth0]:81":         "fe80::/64",
		"@":                         "@",
	} {
		if got := origin(remote); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}

// Whoever has many addresses makes the table neither grow nor forget those who
// guess just now.
func TestGuesses_Bounded(t *testing.T) {
	now := time.Unix(0, 0)
	g := NewGuesses(func() time.Time { return now })
	busy := func() time.Duration {
		delay, done, ok := g.note("busy")
		if !ok {
			t.Fatal("one at a time was refused")
		}
		done()
		return delay
	}
	for range 30 {
		busy()
	}
	for i := range 10 * guessers {
		now = now.Add(time.Millisecond)
		if _, done, ok := g.note(fmt.Sprint("address ", i)); ok {
			done()
		}
		if i%100 == 0 {
			if d := busy(); d != guessLongest {
				t.Fatalf("after %d others: a delay of %v", i, d)
			}
		}
	}
	if len(g.from) > guessers {
		t.Errorf("%d addresses are remembered", len(g.from))
	}
}

// One address cannot take all the places of those who wait.
func TestGuesses_EachItsShare(t *testing.T) {
	g := NewGuesses(func() time.Time { return time.Unix(0, 0) })
	got := 0
	for range guessWaiting {
		if _, _, ok := g.note("192.0.2.1"); ok {
			got++
		}
	}
	if got != guessEach {
		t.Errorf("%d answers of one address are held back at a time", got)
	}
	if _, _, ok := g.note("192.0.2.2"); !ok {
		t.Error("another address has no place")
	}
}
