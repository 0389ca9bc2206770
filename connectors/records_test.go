package connectors_test

import (
	"strings"
	"testing"
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
