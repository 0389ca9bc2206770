package web

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/feature/plural"
)

var said = regexp.MustCompile(`\((?:t|n) "([a-z_.]+)"|\{\{-? ?(?:t|n) "([a-z_.]+)"|\.(?:Text|Count)\("([a-z_.]+)"`)

// Every language has the same words, and every word that a page says is there.
func TestCatalogues(t *testing.T) {
	ls := readLanguages()
	first := ls.all[0]
	for _, l := range ls.all[1:] {
		for _, pair := range [][2]*language{{first, l}, {l, first}} {
			for key, text := range pair[0].words {
				other, ok := pair[1].words[key]
				if !ok {
					t.Errorf("%s has %q, %s has not", pair[0].Code, key, pair[1].Code)
				}
				if strings.Count(text, "%") != strings.Count(other, "%") {
					t.Errorf("%q: %q and %q take different things", key, text, other)
				}
			}
			for key := range pair[0].counted {
				if pair[1].counted[key] == nil {
					t.Errorf("%s counts %q, %s does not", pair[0].Code, key, pair[1].Code)
				}
			}
		}
	}
	needs := map[string][]plural.Form{"ru": {plural.One, plural.Few, plural.Many}, "en": {plural.One, plural.Other}}
	for _, l := range ls.all {
		for key, texts := range l.counted {
			for _, form := range needs[l.Code] {
				if texts[form] == "" {
					t.Errorf("%s %q has no plural form %v: %v", l.Code, key, form, slices.Collect(maps.Keys(texts)))
				}
			}
		}
	}
	seen := 0
	err := fs.WalkDir(files, "templates", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		for _, m := range said.FindAllStringSubmatch(string(b), -1) {
			key := m[1] + m[2] + m[3]
			_, word := first.words[key]
			_, count := first.counted[key]
			if seen++; !word && !count && !strings.HasSuffix(key, ".") {
				t.Errorf("%s says %q, which has no words", name, key)
			}
		}
		return err
	})
	if err != nil || seen == 0 {
		t.Errorf("%d words found in the templates, %v", seen, err)
	}
}

func TestLanguage_Writes(t *testing.T) {
	l := map[string]*language{}
	for _, one := range readLanguages().all {
		l[one.Code] = one
		one.counted["test.calls"] = map[string]map[plural.Form]string{
			"ru": {plural.One: "%s звонок", plural.Few: "%s звонка", plural.Many: "%s звонков"},
			"en": {plural.One: "%s call", plural.Other: "%s calls"},
		}[one.Code]
	}
	for _, c := range []struct {
		n      int64
		ru, en string
	}{
		{0, "0 звонков", "0 calls"}, {1, "1 звонок", "1 call"}, {2, "2 звонка", "2 calls"}, {5, "5 звонков", "5 calls"}, {11, "11 звонков", "11 calls"},
		{21, "21 звонок", "21 calls"}, {112, "112 звонков", "112 calls"}, {1234, "1234 звонка", "1234 calls"}, {12345, "12\u00a0345 звонков", "12,345 calls"},
		{1234567, "1\u00a0234\u00a0567 звонков", "1,234,567 calls"}, {-3, "\u22123 звонка", "\u22123 calls"},
	} {
		if got := l["ru"].Count("test.calls", c.n); got != c.ru {
			t.Errorf("%d in Russian: %q, want %q", c.n, got, c.ru)
		}
		if got := l["en"].Count("test.calls", c.n); got != c.en {
			t.Errorf("%d in English: %q, want %q", c.n, got, c.en)
		}
	}
	for ms, want := range map[int64]string{0: "0:00", 499: "0:00", 500: "0:01", 59_600: "1:00", 65_000: "1:05", 3_600_000: "1:00:00", 3_599_700: "1:00:00", 90_061_000: "25:01:01"} {
		if got := length(ms); got != want {
			t.Errorf("%d ms: %q, want %q", ms, got, want)
		}
	}
	if got := l["ru"].Decimal(12.345, 1); got != "12,3" {
		t.Errorf("a decimal in Russian: %q", got)
	}
}

// One thing has one word, whichever page names it: in Russian one stem at least.
func TestOneThingOneWord(t *testing.T) {
	const stem = 5 // letters: more of them may be an ending
	for _, l := range readLanguages().all {
		for _, keys := range [][]string{
			{"direction.inbound", "figure.inbound", "journal.inbound", "stats.week", "stats.byhourofday"},
			{"direction.outbound", "figure.outbound", "figure.outbound_answered", "journal.outbound"},
			{"direction.internal", "figure.internal", "journal.internal"},
			{"type.unique", "typewhy.unique", "figure.unique"}, {"type.repeat", "typewhy.repeat", "figure.repeat"},
			{"type.target", "typewhy.target", "figure.target"}, {"type.callback", "typewhy.callback", "figure.callbacks"},
			{"type.called_back", "typewhy.called_back", "figure.called_back", "missed.called_back"},
			{"type.came_back", "typewhy.came_back", "figure.came_back", "missed.came_back"},
			{"type.lost", "typewhy.lost", "figure.lost", "missed.lost"}, {"type.short", "typewhy.short", "figure.short"},
		} {
			begins := func(key string) string {
				letters := []rune(strings.ToLower(l.Text(key)))
				return string(letters[:min(stem, len(letters))])
			}
			for _, key := range keys[1:] {
				if begins(key) != begins(keys[0]) && !strings.HasPrefix(begins(key), strings.ToLower(l.Text(keys[0]))) {
					t.Errorf("%s: %s is %q, and %s is %q", l.Code, keys[0], l.Text(keys[0]), key, l.Text(key))
				}
			}
		}
	}
}
