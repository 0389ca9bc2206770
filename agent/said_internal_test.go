package agent

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
)

func TestSaid(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	heard := &said{now: func() time.Time { now = now.Add(time.Second); return now }}
	var out bytes.Buffer
	log := slog.New(listener{Handler: slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}), said: heard})

	log.Info("nothing of note")
	link := log.With("pbx", "main").WithGroup("link")
	link.Warn("link lost", "err", errors.New("the far side\n hung up on +7 916 123-45-67"), "secret", config.NewSecret("hush"))
	log.Error("BUG: a call", "stack", "goroutine 1", slog.Group("at", "line", 7), "none", nil)
	link.Warn("link lost", "err", errors.New("the far side\n hung up on +7 916 123-45-67"), "secret", config.NewSecret("hush"))

	log.Warn("not reached", "err", "dial tcp 192.0.2.17:5038, from 8.916.123.45.67, 916.123.45.67", "since", now, "next", 90*time.Second)

	var got []string
	for _, e := range heard.newest() {
		got = append(got, fmt.Sprintf("%d× %s %s %v after %s", e.Times, e.Level, e.Text, e.About, e.At.Sub(e.Since)))
	}
	want := []string{
		"1× warning not reached [err=dial tcp 192.0.2.17:5038, from 8.916.***45.67, 916.***45.67 since=2026-03-02T09:00:03Z next=1m30s] after 0s",
		"2× warning link lost [pbx=main link.err=the far side hung up on +7 916 ***45-67 link.secret=(hidden)] after 2s",
		"1× error BUG: a call [at.line=7] after 0s",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := out.String(); !strings.Contains(text, "BUG") || strings.Contains(text, "link lost") || strings.Contains(text, "of note") {
		t.Errorf("the log's own level does not hold: %s", text)
	}

	for id, want := range map[string]string{
		"main:1790000176.29":                        "main:1790000176.29",
		"main:asterisk01-1790000176.29":             "main:asterisk01-1790000176.29",
		"main:0b3fa0a8-4e0c-4a35-9d6e-123456789012": "main:0b3fa0a8-4e0c-4a35-9d6e-123456789012",
		"1790000176.29":                             "1790000176.29",
		"main:79161234567":                          "main:7916***4567",
		"main:9161234567.1":                         "main:9161***567.1",
		"79161234567:1790000176.29":                 "7916***4567:1790000176.29",
		"main:+79161234567-1790000176.29":           "main:+7916***4567-1790000176.29",
		"main:1790000176.29 of +7 916 123-45-67":    "main:1790***76.29 of +7 916 ***45-67",
		"main:71790000176.29":                       "main:7179***76.29",
		"main:1790000176.29161234567":               "main:1790***4567",
	} {
		log.Warn("a call", "call", id)
		if got := heard.newest()[0].About[0]; got != "call="+want {
			t.Errorf("%s: got %s, want call=%s", id, got, want)
		}
	}

	// What is kept is bounded, whatever is said.
	for n := range 3 * mostSaid {
		log.Warn(strings.Repeat("я", 4000), "n", n, "long", strings.Repeat("x", 1<<20), "bad", "\xff")
	}
	kept := heard.newest()
	if len(kept) != mostSaid {
		t.Errorf("%d entries are kept, want %d", len(kept), mostSaid)
	}
	for _, e := range kept {
		if size := len(e.Text) + len(strings.Join(e.About, "")); size > 2*longestSaid+100 {
			t.Fatalf("an entry of %d bytes", size)
		}
		if e.At == 0 || e.At > call.MomentOf(now) {
			t.Fatalf("at %v", e.At)
		}
	}
	if last := kept[0].About[0]; last != fmt.Sprintf("n=%d", 3*mostSaid-1) {
		t.Errorf("the newest is %q", last)
	}
}
