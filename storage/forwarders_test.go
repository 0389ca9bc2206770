package storage

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForwarder_ComesBackWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	d := mustOpen(t, path, Options{Reserve: -1})
	want := Forwarder{
		Name: "crm", Journal: d.Journal(), Seq: 41, Until: 50, At: 1700000000000000, Refused: 2,
		Dead: []DeadLetter{{Seq: 7, Call: "main:1.1", At: 1700000000000001, Tries: 5, Error: "422", Again: true}, {Seq: 9}},
	}
	for _, f := range []Forwarder{{Name: "crm", Seq: 1}, want, {Name: "bus", Journal: "another", Retired: true}} {
		if err := d.SetForwarder(f, f.Dead...); err != nil {
			t.Fatal(err)
		}
	}
	// What is not named stays; what is gone is gone.
	if err := d.SetForwarder(want, DeadLetter{Seq: 8}, DeadLetter{Seq: 8, Gone: true}, DeadLetter{Seq: 900, Gone: true}); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, path, Options{Reserve: -1})
	defer d.Close()
	all, err := d.Forwarders()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Forwarder{{Name: "bus", Journal: "another", Retired: true}, want}, all); diff != "" {
		t.Error(diff)
	}
	if err := d.DropForwarder("crm"); err != nil {
		t.Fatal(err)
	}
	if err := d.SetForwarder(Forwarder{Name: "crm"}); err != nil {
		t.Fatal(err)
	}
	if all, err = d.Forwarders(); err != nil || len(all) != 2 || len(all[1].Dead) != 0 {
		t.Errorf("dead letters outlast their forwarder: %+v, %v", all, err)
	}
	if err := d.DropForwarder("crm"); err != nil {
		t.Fatal(err)
	}
	if all, err = d.Forwarders(); err != nil || len(all) != 1 || all[0].Name != "bus" {
		t.Errorf("after the drop: %+v, %v", all, err)
	}
}

func TestForwarder_NeedsAName(t *testing.T) {
	d := mustOpen(t, filepath.Join(t.TempDir(), "journal.db"), Options{Reserve: -1})
	defer d.Close()
	for _, name := range []string{"", "a\nb", "a/b", strings.Repeat("x", 1000)} {
		if err := d.SetForwarder(Forwarder{Name: name}); !errors.Is(err, ErrForwarder) {
			t.Errorf("%.20q: %v", name, err)
		}
		if err := d.DropForwarder(name); !errors.Is(err, ErrForwarder) {
			t.Errorf("drop %.20q: %v", name, err)
		}
	}
}

// Retention keeps what a forwarder has not sent, and its dead letters.
func TestForwarder_HoldsRetention(t *testing.T) {
	d := mustOpen(t, filepath.Join(t.TempDir(), "journal.db"), Options{Reserve: -1})
	defer d.Close()
	var b Batch
	for range 20 {
		b.Entries = append(b.Entries, Entry{Op: OpDelete, ID: "main:1"})
	}
	if err := d.Commit(&b); err != nil {
		t.Fatal(err)
	}
	oldest := func(f Forwarder, want uint64, heldBy string) {
		t.Helper()
		f.Name = "crm"
		if err := d.DropForwarder("crm"); err != nil {
			t.Fatal(err)
		}
		if err := d.SetForwarder(f, f.Dead...); err != nil {
			t.Fatal(err)
		}
		done, err := d.Retain(Retention{MaxBytes: 1})
		if err != nil || d.Oldest() != want || done.HeldBy != heldBy {
			t.Errorf("%+v: oldest %d, want %d; held by %q, want %q; %v", f, d.Oldest(), want, done.HeldBy, heldBy, err)
		}
	}
	here := d.Journal()
	oldest(Forwarder{Journal: here, Seq: 4}, 5, "forward/crm")
	oldest(Forwarder{Journal: here, Seq: 12, Dead: []DeadLetter{{Seq: 11}, {Seq: 8}}}, 8, "forward/crm")
	oldest(Forwarder{Journal: here, Seq: 12, Dead: []DeadLetter{{Seq: 11}}}, 11, "forward/crm")
	oldest(Forwarder{Journal: here, Seq: 12}, 13, "forward/crm")
	oldest(Forwarder{Journal: here, Seq: 12, Retired: true}, 21, "")
}
