package journal_test

import (
	"reflect"
	"slices"
	"testing"

	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The rounding is the obvious one, never off by more than it promises, and keeps
// the order.
func TestRounded(t *testing.T) {
	last := int64(-1)
	check := func(ms int64) {
		got := journal.Rounded(ms)
		if want := journaltest.Rounded(ms); got != want {
			t.Fatalf("%d: got %d, want %d", ms, got, want)
		}
		if off := max(got-ms, ms-got); off*128 > ms {
			t.Fatalf("%d: %d is off by more than 1/128", ms, got)
		}
		if got < last {
			t.Fatalf("%d: %d after %d", ms, got, last)
		}
		last = got
	}
	for ms := range int64(100_000) {
		check(ms)
	}
	for ms := int64(100_000); ms < 1<<40; ms += ms/777 + 1 {
		check(ms)
	}
}

func TestSpread_Percentile(t *testing.T) {
	var s journal.Spread
	if s.Percentile(90) != nil || s.Average() != nil {
		t.Error("something of nothing")
	}
	for ms := range int64(10) {
		s.Add(ms + 1)
	}
	if got := *s.Percentile(90); got != 9 {
		t.Errorf("of 1 to 10: got %d, want 9", got)
	}
	if got := *s.Percentile(100); got != 10 {
		t.Errorf("got %d, want 10", got)
	}
	s.Add(-1)
	if s.Count != 10 {
		t.Errorf("a negative duration counts")
	}
	if got := *s.Average(); got != 6 { // 5.5
		t.Errorf("average: got %d", got)
	}
	s.Add(254) // in one slot with 255, its middle
	if got := *s.Percentile(100); got != 254 {
		t.Errorf("got %d, and the longest is 254", got)
	}
}

// Adding, merging and taking out in any order is the same as adding what is left.
func TestSpread_IsASum(t *testing.T) {
	of := func(values []int64) *journal.Spread {
		var s journal.Spread
		for _, v := range values {
			s.Add(v)
		}
		return &s
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Int64Range(0, 50), rapid.Int64Range(0, 1_000_000), rapid.SampledFrom([]int64{127, 128, 129, 255, 256, 1 << 40}))
		have := rapid.SliceOf(value).Draw(t, "have")
		added := rapid.SliceOf(value).Draw(t, "added")
		removed := slices.Clone(have)[:rapid.IntRange(0, len(have)).Draw(t, "removed")]
		left := append(slices.Clone(have[len(removed):]), added...)

		got := of(have)
		got.Replace(of(removed), of(added))
		want := of(left)
		if got.Count != want.Count || got.Sum != want.Sum {
			t.Fatalf("count %d, sum %d, want %d, %d", got.Count, got.Sum, want.Count, want.Sum)
		}
		p := got.Percentile(90)
		if p != nil && *p > got.Longest {
			t.Fatalf("90%%: %d, and the longest is %d", *p, got.Longest)
		}
		if p != nil && got.Unsure { // then what bounds the longest bounds it too
			*p = min(*p, want.Longest)
		}
		if diff := cmp.Diff(want.Percentile(90), p); diff != "" {
			t.Fatal(diff)
		}
		if got.Longest < want.Longest || !got.Unsure && got.Longest != want.Longest {
			t.Fatalf("longest %d (unsure: %v), want %d", got.Longest, got.Unsure, want.Longest)
		}
		// With a longer one, the longest is known again.
		got.Add(1 << 40)
		if got.Unsure || got.Longest != 1<<40 {
			t.Fatalf("longest %d, unsure: %v", got.Longest, got.Unsure)
		}

		merged := of(have)
		merged.Merge(of(added))
		if diff := cmp.Diff(of(append(slices.Clone(have), added...)), merged, cmp.Exporter(ours)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func ours(t reflect.Type) bool { return t.PkgPath() == "calljournal/agent/journal" }

// Many slots are kept otherwise than few: it must not show.
func TestSpread_ManySlots(t *testing.T) {
	var direct, merged journal.Spread
	var parts [7]journal.Spread
	for ms := int64(1); ms < 1<<35; ms += ms/50 + 1 {
		direct.Add(ms)
		parts[ms%7].Add(ms)
	}
	for i := range parts {
		merged.Merge(&parts[i])
	}
	for p := range int64(101) {
		if diff := cmp.Diff(direct.Percentile(p), merged.Percentile(p)); diff != "" {
			t.Errorf("percentile %d: %s", p, diff)
		}
	}
	for i := range parts {
		merged.Replace(&parts[i], &journal.Spread{})
	}
	if merged.Count != 0 || merged.Sum != 0 || merged.Percentile(90) != nil {
		t.Errorf("%d with a sum of %d are left", merged.Count, merged.Sum)
	}
}
