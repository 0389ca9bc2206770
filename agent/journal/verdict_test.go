package journal_test

import (
	"slices"
	"strings"
	"testing"

	"calljournal/agent/journal"
)

func TestTypes(t *testing.T) {
	names := []string{"unique", "repeat", "target", "callback", "called_back", "came_back", "lost", "short", "spam"}
	all := journal.TypesOf(names)
	if got := all.Names(); !slices.Equal(got, names) {
		t.Errorf("got %q", got)
	}
	if got := journal.TypesOf([]string{"vip", ""}).Names(); got == nil || len(got) != 0 {
		t.Errorf("no types: %#v", got)
	}
}

// Every type says by which rule and which setting it was given.
func TestVerdict_Explain(t *testing.T) {
	rules := journal.DefaultRules()
	rules.SpamShortCalls = 7
	tests := []struct {
		verdict journal.Verdict
		want    []string
	}{
		{journal.Verdict{Types: journal.Unique | journal.Target}, []string{"types unique: 30 days unique_depth_days", "types target: 30s target_min_talk"}},
		{journal.Verdict{Types: journal.Repeat, Missed: true}, []string{"types repeat: 30 days", "missed neither short nor spam"}},
		{journal.Verdict{Types: journal.Short}, []string{"types short: 5s short_abandon", "missed short are not missed"}},
		{journal.Verdict{Types: journal.Callback}, []string{"types callback: open"}},
		{journal.Verdict{Types: journal.CalledBack, Missed: true, HealedBy: "x"}, []string{"types called_back: 24h0m0s lost_window", "missed", "healed_by talk"}},
		{journal.Verdict{Types: journal.CameBack, Missed: true, HealedBy: "x"}, []string{"types came_back: 24h0m0s", "missed", "healed_by"}},
		{journal.Verdict{Types: journal.Lost, Missed: true}, []string{"types lost: 24h0m0s lost_window", "missed"}},
		{journal.Verdict{Types: journal.Spam, SpamBy: journal.SpamHand}, []string{"types spam: list", "missed"}},
		{journal.Verdict{Types: journal.Spam, SpamBy: journal.SpamNumber}, []string{"types spam: spam_numbers_file", "missed"}},
		{journal.Verdict{Types: journal.Spam, SpamBy: journal.SpamPrefix, SpamDigits: 4}, []string{"types spam: 7916 spam_numbers_file", "missed"}},
		{journal.Verdict{Types: journal.Spam, SpamBy: journal.SpamShort}, []string{"types spam: 7 5s spam_short_calls", "missed"}},
		{journal.Verdict{Types: journal.Spam, SpamBy: journal.SpamPrefix, SpamDigits: 200}, []string{"types spam: 79161122001", "missed"}},
	}
	for _, tt := range tests {
		why := tt.verdict.Explain(rules, "+79161122001")
		if len(why) != len(tt.want) {
			t.Errorf("%+v: %+v, want %q", tt.verdict, why, tt.want)
			continue
		}
		for i, r := range why {
			for _, word := range strings.Fields(tt.want[i]) {
				if !strings.Contains(r.Field+" "+r.Rule, word) {
					t.Errorf("%+v: %s %q does not say %s", tt.verdict, r.Field, r.Rule, word)
				}
			}
		}
	}
	rules.UniqueDepth = 0
	if why := (&journal.Verdict{Types: journal.Repeat}).Explain(rules, ""); !strings.Contains(why[0].Rule, "whole journal") {
		t.Errorf("%q", why[0].Rule)
	}
}
