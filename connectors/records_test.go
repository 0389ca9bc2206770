package connectors_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"calljournal/connectors"
)

func TestText(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"short", "Anna", "Anna"},
		{"as long as it may be", strings.Repeat("a", 512), strings.Repeat("a", 512)},
		{"too long", strings.Repeat("a", 513), strings.Repeat("a", 512)},
		{"a letter on the border", strings.Repeat("a", 511) + "ж", strings.Repeat("a", 511)},
		{"no text", "\xff\xfeAnna\x80", "\uFFFDAnna\uFFFD"},
		{"no text, and longer when it is made one", strings.Repeat("\x920", 256), strings.Repeat("\uFFFD0", 128)},
	} {
		got := connectors.Text(c.value)
		if got != c.want || len(got) > connectors.LongestText || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes, %q", c.name, len(got), got)
		}
	}
}

func TestStamp(t *testing.T) {
	moscow := time.FixedZone("", 3*3600)
	for text, want := range map[string]string{
		"2026-03-01 10:00:00":        "2026-03-01T07:00:00Z",
		"2026-03-01 10:00:00.250000": "2026-03-01T07:00:00.25Z",
		"1980-01-01 00:00:00":        "1979-12-31T21:00:00Z",
		"2199-12-31 23:59:59":        "2199-12-31T20:59:59Z",
		"0000-01-01 00:00:00":        "",
		"0000-00-00 00:00:00":        "",
		"1979-12-31 23:59:59":        "",
		"2200-01-01 00:00:00":        "",
		"9999-12-31 23:59:59":        "",
		"2026-03-01":                 "",
		"":                           "",
	} {
		at, ok := connectors.Stamp(text, moscow)
		if ok != (want != "") || ok && at.UTC().Format(time.RFC3339Nano) != want || ok != connectors.IsStamp(text) {
			t.Errorf("%q: %v, %v", text, at, ok)
		}
	}
}
