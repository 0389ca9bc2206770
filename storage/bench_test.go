package storage

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"calljournal/agent/call"
)

// fill commits calls as a busy office makes them, with their facts coming and
// going, 100 calls a commit.
func fill(t fataler, d *DB, o *office, calls int) {
	t.Helper()
	for calls > 0 {
		b := &Batch{Why: map[string]Why{}, Drop: map[string][]uint64{}}
		for range min(calls, 100) {
			r, facts := o.call()
			b.Entries = append(b.Entries, Entry{Op: OpCall, Call: r})
			b.Why[r.ID] = Why{Reasons: reasons(), Facts: facts}
			calls--
		}
		mustCommit(t, d, b)
	}
}

func BenchmarkCommitCalls(b *testing.B) {
	d := mustOpen(b, filepath.Join(b.TempDir(), "journal.db"), Options{Reserve: -1})
	defer d.Close()
	b.ReportAllocs()
	fill(b, d, newOffice(1), b.N)
	b.ReportMetric(float64(d.Stats().UsedBytes)/float64(b.N), "bytes/call")
}

// Facts of 50 calls in progress: each commit brings 100 and drops 100.
func BenchmarkCommitFacts(b *testing.B) {
	d := mustOpen(b, filepath.Join(b.TempDir(), "journal.db"), Options{Reserve: -1})
	defer d.Close()
	_, facts := newOffice(1).call()
	n := uint64(0)
	b.ReportAllocs()
	for range b.N/100 + 1 {
		batch := &Batch{Drop: map[string][]uint64{}}
		for range 100 {
			e := facts[n%uint64(len(facts))]
			n++
			e.N = n
			batch.Facts = append(batch.Facts, Fact{PBX: "main", Event: &e})
			if n > 1200 {
				batch.Drop["main"] = append(batch.Drop["main"], n-1200)
			}
		}
		mustCommit(b, d, batch)
	}
}

// BenchmarkOpen opens a journal of 100,000 calls and serves its first page.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "journal.db")
	d := mustOpen(b, path, Options{Reserve: -1, NoSync: true})
	fill(b, d, newOffice(1), 100_000)
	b.Logf("%d bytes a call", d.Stats().UsedBytes/100_000)
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		begin := time.Now()
		d := mustOpen(b, path, Options{Reserve: -1})
		opened := time.Since(begin)
		recs, _, err := d.Calls(Query{})
		if err != nil || len(recs) != 50 {
			b.Fatal(len(recs), err)
		}
		b.ReportMetric(float64(opened.Milliseconds()), "open-ms")
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQueries(b *testing.B) {
	d := mustOpen(b, filepath.Join(b.TempDir(), "journal.db"), Options{Reserve: -1, NoSync: true})
	defer d.Close()
	fill(b, d, newOffice(1), 100_000)
	for name, q := range map[string]Query{
		"first page":  {},
		"by status":   {Status: []string{call.StatusAbandoned}},
		"number":      {Number: []string{"79001"}},
		"no such one": {Number: []string{"no such number"}},
		"by talk":     {Sort: "-talk", Status: []string{call.StatusAnswered}},
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				if _, _, err := d.Calls(q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSalvage(b *testing.B) {
	dir := b.TempDir()
	path := filepath.Join(dir, "journal.db")
	d := mustOpen(b, path, Options{Reserve: -1, NoSync: true})
	fill(b, d, newOffice(1), 100_000)
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for i := range b.N {
		s, err := Salvage(path, filepath.Join(dir, fmt.Sprint(i)), Options{})
		if err != nil || s.Entries != 100_000 || s.Lost != 0 {
			b.Fatal(s, err)
		}
	}
}
