package journaltest_test

import (
	"encoding/json"
	"hash/fnv"
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal/journaltest"
)

func options() journaltest.Options {
	return journaltest.Options{Seed: 7, Calls: 5000, Days: 14, Hostile: 20}
}

func TestGenerate_IsTheSameFromTheSameSeed(t *testing.T) {
	digest := func(seed uint64) (sum uint64, n int) {
		h := fnv.New64a()
		o := options()
		o.Seed = seed
		for r := range journaltest.Generate(o) {
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			h.Write(b)
			n++
		}
		return h.Sum64(), n
	}
	a, n := digest(7)
	b, _ := digest(7)
	c, _ := digest(8)
	if a != b || a == c || n != options().Calls {
		t.Errorf("%d calls; digests %x and %x, of another seed %x", n, a, b, c)
	}
}

// The records keep to the contract, so that what a test finds wrong is not theirs.
func TestGenerate_AddsUp(t *testing.T) {
	ids := map[string]bool{}
	last := call.Moment(0)
	for r := range journaltest.Generate(options()) {
		if ids[r.ID] || r.ID == "" || r.Rev != 1 {
			t.Fatalf("id %q, revision %d", r.ID, r.Rev)
		}
		ids[r.ID] = true
		if r.EndedAt < last {
			t.Errorf("%s ended before the call that came before it", r.ID)
		}
		last = r.EndedAt
		at := r.StartedAt
		sum := map[string]int64{}
		for _, p := range r.Timeline {
			if p.From != at || p.To < p.From {
				t.Errorf("%s: %s from %s, expected from %s", r.ID, p.Kind, p.From.Time(), at.Time())
			}
			at = p.To
			sum[p.Kind] += p.To.Sub(p.From).Milliseconds()
		}
		if at != r.EndedAt {
			t.Errorf("%s: the timeline ends at %s, the call at %s", r.ID, at.Time(), r.EndedAt.Time())
		}
		if *r.TalkMs != sum["talk"]+sum["hold"] || *r.TotalMs != *r.TalkMs+*r.TotalWaitMs {
			t.Errorf("%s: talk %d, total %d, wait %d; timeline %v", r.ID, *r.TalkMs, *r.TotalMs, *r.TotalWaitMs, sum)
		}
		if answered := r.Status == call.StatusAnswered; answered != (r.AnsweredAt != 0) || answered != (r.AnsweredBy != nil) {
			t.Errorf("%s: %s, answered at %d by %v", r.ID, r.Status, r.AnsweredAt, r.AnsweredBy)
		}
		if (r.Status == call.StatusAbandoned) != (r.AbandonedIn != nil) {
			t.Errorf("%s: %s in %v", r.ID, r.Status, r.AbandonedIn)
		}
	}
}

func TestGenerate_IsRealistic(t *testing.T) {
	o := options()
	o.Calls = 20_000
	var inbound, missed, transfers, queued, night, hostile int
	numbers := map[string]int{}
	for r := range journaltest.Generate(o) {
		if h := r.StartedAt.Time().Hour(); h < 6 {
			night++
		}
		if r.From.Name != nil && slices.Contains(journaltest.Hostile(), *r.From.Name) {
			hostile++
		}
		if r.Direction != call.Inbound {
			continue
		}
		inbound++
		if r.Missed {
			missed++
		}
		if len(r.Transfers) > 0 {
			transfers++
		}
		if len(r.Queues) > 0 {
			queued++
		}
		if r.From.Number != nil {
			n := *r.From.Number
			numbers[n[max(0, len(n)-10):]]++
		}
	}
	within := func(what string, n, of, from, to int) {
		if n*100 < of*from || n*100 > of*to {
			t.Errorf("%s: %d of %d, want %d to %d %%", what, n, of, from, to)
		}
	}
	within("inbound", inbound, o.Calls, 50, 75)
	within("missed", missed, inbound, 25, 35)
	within("transferred", transfers, inbound, 3, 8)
	within("queued", queued, inbound, 30, 60)
	within("at night", night, o.Calls, 0, 2)
	within("hostile", hostile, o.Calls, 2, 6)
	often := 0
	for _, n := range numbers {
		if n >= 20 {
			often += n
		}
	}
	within("from numbers that call often", often, inbound, 15, 60)
}

// Time zones move the working hours, not the calls.
func TestGenerate_Zone(t *testing.T) {
	z := time.FixedZone("east", 9*3600)
	o := options()
	o.Zone, o.Hostile = z, 0
	night := 0
	for r := range journaltest.Generate(o) {
		if h := r.StartedAt.Time().In(z).Hour(); h < 6 {
			night++
		}
	}
	if night*50 > o.Calls {
		t.Errorf("%d of %d calls at night", night, o.Calls)
	}
}
