package web

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// Whatever the daemon gives as the reason of a field has words for people.
func TestRulesHaveWords(t *testing.T) {
	sources, err := filepath.Glob("../call/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, name := range sources {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, pattern := range []string{`because\("[a-z_]+", "([^"]+)"`, `return [a-zA-Z.]+(?:\([A-Za-z]+\))?, "([^"]+)"`} {
			if pattern[0] == 'r' && filepath.Base(name) != "lost.go" {
				continue
			}
			for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(b), -1) {
				rules = append(rules, m[1])
			}
		}
	}
	all := journal.Unique | journal.Repeat | journal.Target | journal.Callback | journal.CalledBack | journal.CameBack | journal.Lost | journal.Short | journal.Spam
	for _, v := range []journal.Verdict{{Types: all, Missed: true, HealedBy: "x"}, {Types: journal.Short}} {
		for _, r := range reasons(v.Explain(journal.DefaultRules(), "+79161234567"), readLanguages().all[0]) {
			if !regexp.MustCompile(`^\p{Cyrillic}`).MatchString(r.Text) {
				t.Errorf("%s: no words for %q", r.Field, r.Text)
			}
		}
	}
	if len(rules) < 40 {
		t.Fatalf("only %d rules were found", len(rules))
	}
	for _, l := range readLanguages().all {
		for _, rule := range rules {
			if _, ok := l.words["rule."+rule]; !ok {
				t.Errorf("%s has no words for %q", l.Code, rule)
			}
		}
		for _, doubt := range []string{
			call.DoubtStartUnseen, call.DoubtEndUnseen, call.DoubtLinkLost, call.DoubtPBXRestarted, call.DoubtClockStepped, call.DoubtFactsLost,
			call.DoubtTooLong, call.DoubtStartReported, call.DoubtEndReported, call.DoubtAnswerUnknown, call.DoubtZoneAssumed,
		} {
			if l.Word("doubt", doubt) == doubt {
				t.Errorf("%s has no words for %s", l.Code, doubt)
			}
		}
	}
}

// Whatever the daemon finds wrong with itself is said in every language, with all
// that it gives.
func TestFindingsHaveWords(t *testing.T) {
	sources, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range sources {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\.Add(?:Problem|Warning)\(([^,]*), `).FindAllStringSubmatch(string(b), -1) {
			kind, err := strconv.Unquote(m[1])
			if err != nil {
				t.Errorf("%s: the kind %s is not written out", name, m[1])
			}
			if kind == "" {
				continue
			}
			found++
			var values []string
			for _, l := range readLanguages().all {
				text, ok := l.words["finding."+kind]
				if !ok {
					t.Errorf("%s has no words for %q", l.Code, kind)
				}
				named := regexp.MustCompile(`\{[a-z_]+\}`).FindAllString(text, -1)
				slices.Sort(named)
				if named = slices.Compact(named); values == nil {
					values = named
				}
				if !slices.Equal(named, values) {
					t.Errorf("%s: %q says %v, and elsewhere %v", l.Code, kind, named, values)
				}
			}
		}
	}
	if found < 20 {
		t.Fatalf("only %d findings were found", found)
	}
}
