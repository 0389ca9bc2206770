package report

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestPaper_Printed(t *testing.T) {
	p := newPaper()
	for in, want := range map[string]string{
		"":                   "–",
		" \t\r\n":            "–",
		"\u202e\u200b\ufeff": "–",
		"Анна Петрова":       "Анна Петрова",
		"a\tb\r\n  c":        "a b c",
		"a\x00\x1b\x7fb":     "a�b",
		"bad \xff\xfe":       "bad �",
		"漢字漢字 x":             "� x",
		"مرحبا 123":          "� 123",
		"Андреи\u0306":       "Андрей",
		"Zoe\u0308":          "Zoë",
		"gnp.\u202eexe":      "gnp.exe",
		"1 500 ₽ · №7 «Ё» – “x”…": "1 500 ₽ · №7 «Ё» – “x”…",
		strings.Repeat("я", 5000): strings.Repeat("я", maxPrinted),
	} {
		if got := p.printed(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if p.err != nil {
		t.Error(p.err)
	}
}

// Whatever a text is, what is printed of it is short, is one line, and has no
// letter that the font does not have; cut and broken, it keeps within its width.
func TestPaper_AnyText(t *testing.T) {
	p, f := newPaper(), face{size: 8}
	rapid.Check(t, func(t *rapid.T) {
		text := p.printed(rapid.String().Draw(t, "text"))
		width := rapid.Float64Range(20, 200).Draw(t, "width")
		if n := len([]rune(text)); n == 0 || n > maxPrinted {
			t.Fatalf("%d letters", n)
		}
		p.font(f)
		for _, r := range text {
			if has, err := p.pdf.IsCurrFontContainGlyph(r); err != nil || !has || unicode.IsControl(r) {
				t.Fatalf("%q is not in the font", r)
			}
		}
		if cut := p.fit(f, text, width); p.width(f, cut) > width {
			t.Fatalf("%q is %f wide, not %f", cut, p.width(f, cut), width)
		}
		lines := p.wrap(f, text, width)
		for _, l := range lines {
			if p.width(f, l) > width {
				t.Fatalf("%q is %f wide, not %f", l, p.width(f, l), width)
			}
		}
		without := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if without(strings.Join(lines, "")) != without(text) {
			t.Fatalf("%q became %q", text, lines)
		}
	})
	if p.err != nil {
		t.Error(p.err)
	}
}

func TestPaper_WrapAtSoftHyphens(t *testing.T) {
	p, f := newPaper(), face{size: 8}
	if got := p.wrap(f, "Пропу\u00adщено", 60); len(got) != 1 || got[0] != "Пропущено" {
		t.Errorf("%q", got)
	}
	if got := p.wrap(f, "Пропу\u00adщено", 30); len(got) != 2 || got[0] != "Пропу-" || got[1] != "щено" {
		t.Errorf("%q", got)
	}
}

func TestEven(t *testing.T) {
	for most, want := range map[int64]int64{1: 1, 4: 1, 5: 2, 8: 2, 9: 5, 20: 5, 21: 10, 40: 10, 41: 20, 1_000_000: 500_000} {
		if got := even(most, 4); got != want {
			t.Errorf("%d: %d, want %d", most, got, want)
		}
	}
}
