package storage

import (
	"math"
	"slices"
	"testing"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// A summary has the types in the order of journal.Types.
func TestSummaryTypesAreThoseOfTheJournal(t *testing.T) {
	if names := journal.Types(math.MaxUint16).Names(); !slices.Equal(names, callTypes) {
		t.Errorf("%q, want %q", callTypes, names)
	}
}

func TestWalks(t *testing.T) {
	d := openTemp(t, Options{NoSync: true, Reserve: -1})
	o := newOffice(3)
	var calls []*call.Record
	for range 5 {
		b := callBatch(o, 40)
		for i := range b.Entries {
			r := b.Entries[i].Call
			if r.Missed && i%2 == 0 {
				r.Types = []string{"repeat", "lost"}
			}
			calls = append(calls, r)
		}
		mustCommit(t, d, b)
	}
	slices.SortStableFunc(calls, func(a, b *call.Record) int { return int(a.StartedAt - b.StartedAt) })

	var forth []string
	for p := (Position{}); ; {
		recs, next, err := d.CallsAfter(p, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) == 0 {
			break
		}
		for _, r := range recs {
			forth = append(forth, r.ID)
		}
		p = next
	}
	var all, lost []string
	for _, r := range calls {
		all = append(all, r.ID)
		if r.Missed && slices.Contains(r.Types, "lost") && r.StartedAt >= calls[50].StartedAt {
			lost = append([]string{r.ID}, lost...)
		}
	}
	if !slices.Equal(forth, all) {
		t.Errorf("forth: %d calls in another order than %d", len(forth), len(all))
	}
	var back []string
	for p := (Position{Started: math.MaxInt64}); ; {
		recs, at, err := d.MissedBefore(p, calls[50].StartedAt, func(is journal.Types) bool { return is.Has(journal.Lost) }, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) == 0 {
			break
		}
		for _, r := range recs {
			back = append(back, r.ID)
		}
		p = at[len(at)-1]
	}
	if len(lost) == 0 || !slices.Equal(back, lost) {
		t.Errorf("back: %q, want %q", back, lost)
	}
}
