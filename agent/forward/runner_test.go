package forward

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/call"
	"calljournal/storage"
)

func TestRunner_SendsAllInOrderAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 25)
		r.start(nil, settings())
		synctest.Wait()
		want(t, r.sink.taken(), upTo(25))
		r.add(3)
		synctest.Wait()
		want(t, r.sink.taken(), upTo(28))
		if s := r.status(); s.State != StateWell || s.Seq != 28 || s.Lag != 0 || s.Waiting != 0 || s.Sent != 28 {
			t.Errorf("%+v", s)
		}
		if f := r.saved(); f.Seq != 28 || f.Until != 0 || f.Journal != r.db.Journal() {
			t.Errorf("saved: %+v", f)
		}
		r.end()
		if !r.sink.closed {
			t.Error("the sink was not closed")
		}
		r.add(2)
		r.start(nil, settings())
		synctest.Wait()
		want(t, r.sink.taken(), upTo(30))
		r.end()
	})
}

func TestRunner_StartsWhereItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 5)
		r.start(nil, settings(func(s *Settings) { s.Newest = true }))
		synctest.Wait()
		r.add(2)
		synctest.Wait()
		want(t, r.sink.taken(), []uint64{6, 7})
		r.end()
	})
}

// An error without a meaning is tried again for ever, ever more rarely, and never
// at the same moments as everybody else.
func TestRunner_BacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.sink.set(func(context.Context, int, []Entry) error { return errDown })
		r.start(nil, settings())
		synctest.Wait()
		if s := r.status(); s.State != StateRetrying || s.Error != errDown.Error() || s.NextTry == 0 {
			t.Errorf("after one try: %+v", s)
		}
		pass(time.Hour)
		if s := r.status(); s.State != StateStuck || s.Lag != 1 || s.Waiting == 0 || s.Since == 0 {
			t.Errorf("after an hour: %+v", s)
		}
		tries := len(r.sink.at)
		if tries < 50 || tries > 110 {
			t.Errorf("%d tries in an hour", tries)
		}
		var gaps []time.Duration
		for i := range r.sink.at[1:] {
			gaps = append(gaps, r.sink.at[i+1].Sub(r.sink.at[i]))
		}
		if gaps[0] > time.Second || gaps[0] < 300*time.Millisecond || slices.Max(gaps) > 80*time.Second {
			t.Errorf("waits: %v", gaps)
		}
		late := slices.Clone(gaps[20:])
		slices.Sort(late)
		if len(slices.Compact(late)) < 10 {
			t.Errorf("no jitter: %v", late)
		}
		if n := strings.Count(r.logged(), "not delivered"); n > 3 {
			t.Errorf("%d lines in the log for one fault", n)
		}
		r.sink.set(nil)
		pass(2 * time.Minute)
		want(t, r.sink.taken(), upTo(1))
		if s := r.status(); s.State != StateWell || s.Error != "" {
			t.Errorf("%+v", s)
		}
		r.end()
	})
}

func TestRunner_HeedsRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.sink.set(func(_ context.Context, n int, _ []Entry) error {
			if n == 1 {
				return &Busy{5 * time.Minute, errors.New("answered 429")}
			}
			return nil
		})
		r.start(nil, settings())
		pass(10 * time.Minute)
		if gap := r.sink.at[1].Sub(r.sink.at[0]); gap < 5*time.Minute || gap > 6*time.Minute {
			t.Errorf("asked for 5 minutes, waited %v", gap)
		}
		r.end()
	})
}

// refuse is a far side that cannot take some entries, and says so of any batch
// that has one.
func refuse(poison ...uint64) func(context.Context, int, []Entry) error {
	return func(_ context.Context, _ int, batch []Entry) error {
		for _, e := range batch {
			if slices.Contains(poison, e.Seq) {
				return &Refused{errors.New("answered 422: no such client")}
			}
		}
		return nil
	}
}

func TestRunner_SetsPoisonAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 40)
		r.sink.set(refuse(1, 17, 18, 40))
		r.start(nil, settings())
		pass(time.Minute)
		want(t, r.sink.taken(), upTo(40, 1, 17, 18, 40))
		dead, err := r.f.Dead("crm")
		if err != nil || len(dead) != 4 || dead[1].Seq != 17 || dead[1].Tries != 3 || dead[1].Call != record(17).ID || !strings.Contains(dead[1].Error, "no such client") || dead[1].At == 0 {
			t.Errorf("%+v, %v", dead, err)
		}
		if s := r.status(); s.State != StateWell || s.Dead != 4 || s.Lag != 0 {
			t.Errorf("%+v", s)
		}
		tries := 0
		for _, seqs := range r.sink.requests {
			if slices.Equal(seqs, []uint64{17}) {
				tries++
			}
		}
		if tries != 3 {
			t.Errorf("entry 17 was tried %d times on its own", tries)
		}
		// It outlasts a restart, holds retention, and can be sent again.
		r.end()
		r.sink.set(refuse(18))
		r.start(nil, settings())
		synctest.Wait()
		if done, err := r.db.Retain(storage.Retention{MaxBytes: 1}); err != nil || r.db.Oldest() != 1 || done.HeldBy != "forward/crm" {
			t.Errorf("oldest %d, %+v, %v", r.db.Oldest(), done, err)
		}
		if n, err := r.f.Resend("crm", []uint64{17, 18}); n != 2 || err != nil {
			t.Error(n, err)
		}
		synctest.Wait()
		if got := r.sink.taken(); got[len(got)-1] != 17 {
			t.Errorf("taken: %v", got)
		}
		if dead, _ := r.f.Dead("crm"); len(dead) != 3 || dead[1].Seq != 18 || dead[1].Tries != 4 || dead[1].Again {
			t.Errorf("%+v", dead)
		}
		if n, err := r.f.Drop("crm", []uint64{18}); n != 1 || err != nil {
			t.Error(n, err)
		}
		if n, err := r.f.Resend("crm", nil); n != 2 || err != nil {
			t.Error(n, err)
		}
		synctest.Wait()
		if f := r.saved(); len(f.Dead) != 0 || f.Seq != 40 {
			t.Errorf("saved: %+v", f)
		}
		got := r.sink.taken()
		slices.Sort(got)
		want(t, got, upTo(40, 18))
		r.end()
		if _, err := r.f.Dead("other"); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
	})
}

// A dead letter that makes the far side fail does not keep what is new waiting.
func TestRunner_ResendFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.sink.set(refuse(2))
		r.start(nil, settings())
		pass(time.Minute)
		r.sink.set(func(_ context.Context, _ int, batch []Entry) error {
			if batch[0].Seq == 2 {
				return errDown
			}
			return nil
		})
		if _, err := r.f.Resend("crm", nil); err != nil {
			t.Fatal(err)
		}
		r.add(1)
		pass(10 * time.Minute)
		want(t, r.sink.taken(), []uint64{1, 3, 4})
		if dead, _ := r.f.Dead("crm"); len(dead) != 1 || dead[0].Again || dead[0].Error != errDown.Error() {
			t.Errorf("%+v", dead)
		}
		if s := r.status(); s.State != StateWell {
			t.Errorf("%+v", s)
		}
		r.end()
	})
}

// A far side that refuses everything is wrong itself: after some it is waited for.
func TestRunner_RefusedAltogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 100)
		r.sink.set(func(context.Context, int, []Entry) error { return &Refused{errors.New("answered 404")} })
		r.start(nil, settings())
		pass(time.Hour)
		s := r.status()
		if s.Dead != refusedInRow || s.State != StateStuck || s.Seq != refusedInRow || !strings.Contains(s.Error, "404") {
			t.Errorf("%+v", s)
		}
		r.end()
		r.start(nil, settings()) // it is remembered
		pass(time.Hour)
		if s := r.status(); s.Dead != refusedInRow || s.State != StateStuck {
			t.Errorf("after a restart: %+v", s)
		}
		r.sink.set(nil)
		pass(5 * time.Minute)
		want(t, r.sink.taken(), upTo(100, upTo(refusedInRow)...))
		if _, err := r.f.Resend("crm", nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := r.sink.taken()
		slices.Sort(got)
		want(t, got, upTo(100))
		r.end()
	})
}

func TestRunner_PartialAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20)
		r.sink.set(func(_ context.Context, n int, batch []Entry) error {
			errs := make(Partial, len(batch))
			bad := false
			for i, e := range batch {
				switch {
				case e.Seq == 4:
					errs[i], bad = &Refused{errors.New("no")}, true
				case e.Seq%3 == 0 && n < 3:
					errs[i], bad = errors.New("later"), true
				}
			}
			if !bad {
				return nil
			}
			return errs
		})
		r.start(nil, settings())
		pass(time.Minute)
		got := r.sink.taken()
		slices.Sort(got)
		want(t, got, upTo(20, 4)) // and none twice
		if s := r.status(); s.Dead != 1 || s.State != StateWell {
			t.Errorf("%+v", s)
		}
		r.end()
	})
}

// What was sent and not answered is sent again to the byte, in this run and in
// the next, whatever came after it.
func TestRunner_ResendsTheSameBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		hang := func(ctx context.Context, _ int, _ []Entry) error { <-ctx.Done(); return ctx.Err() }
		r.sink.set(hang)
		r.start(nil, settings())
		pass(time.Second)
		r.add(4)
		pass(time.Minute)
		if s := r.status(); !strings.Contains(s.Error, "no answer within 30s") {
			t.Errorf("%+v", s)
		}
		r.end()
		r.add(4)
		if err := r.db.Close(); err != nil {
			t.Fatal(err)
		}
		r.open()
		r.sink.set(nil)
		r.start(nil, settings())
		synctest.Wait()
		want(t, r.sink.taken(), upTo(11))
		if len(r.sink.requests) < 3 {
			t.Fatalf("requests: %v", r.sink.requests)
		}
		for i, body := range r.sink.bodies[:len(r.sink.bodies)-1] {
			if !bytes.Equal(body, r.sink.bodies[0]) {
				t.Errorf("request %d has other bytes: %s", i, body)
			}
		}
		r.end()
	})
}

// Nobody waits for a far side: not the end, not a reload, not another forwarder.
func TestRunner_NobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 30)
		slow, quick := &fakeSink{}, &fakeSink{}
		slow.set(func(ctx context.Context, _ int, _ []Entry) error { <-ctx.Done(); return ctx.Err() })
		open := func(s Settings, _ *slog.Logger) (Sink, error) {
			if s.Name == "slow" {
				return slow, nil
			}
			return quick, nil
		}
		other := func(name string) func(*Settings) { return func(s *Settings) { s.Name, s.Timeout = name, time.Hour } }
		r.start(open, settings(other("slow")), settings(other("quick")))
		synctest.Wait()
		want(t, quick.taken(), upTo(30))
		begin := time.Now()
		r.f.Apply([]Settings{settings(other("slow"), func(s *Settings) { s.Batch = 1 }), settings(other("quick"))})
		if took := time.Since(begin); took != 0 {
			t.Errorf("the reload took %v", took)
		}
		pass(2 * grace)
		if n := len(slow.requests); n != 2 {
			t.Errorf("%d requests: %v", n, slow.requests)
		}
		r.add(1)
		synctest.Wait()
		want(t, quick.taken(), upTo(31))
		begin = time.Now()
		r.end()
		if took := time.Since(begin); took > grace {
			t.Errorf("the end took %v", took)
		}
	})
}

func TestForwarders_Reload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.start(nil)
		if len(r.f.Status()) != 0 {
			t.Error("forwarders from nowhere")
		}
		r.f.Apply([]Settings{settings()})
		synctest.Wait()
		want(t, r.sink.taken(), upTo(3))
		r.f.Apply([]Settings{settings(func(s *Settings) { s.Batch = 1 })})
		r.add(2)
		synctest.Wait()
		want(t, r.sink.taken(), upTo(5))
		r.f.Apply(nil)
		synctest.Wait()
		r.add(2)
		synctest.Wait()
		want(t, r.sink.taken(), upTo(5))
		if f := r.saved(); !f.Retired || f.Seq != 5 || len(r.f.Status()) != 0 {
			t.Errorf("%+v", f)
		}
		if done, err := r.db.Retain(storage.Retention{MaxBytes: 1}); err != nil || done.Dropped == 0 {
			t.Errorf("a forwarder that is gone holds entries: %+v, %v", done, err)
		}
		r.f.Apply([]Settings{settings()}) // and it is back; what was dropped meanwhile is said
		synctest.Wait()
		r.add(1)
		synctest.Wait()
		want(t, r.sink.taken(), append(upTo(5), 8))
		if s := r.status(); s.Missed != 2 || !strings.Contains(r.logged(), "dropped from the journal before they were sent") {
			t.Errorf("%+v", s)
		}
		r.end()
		r.start(nil) // removed while the daemon was down
		synctest.Wait()
		if f := r.saved(); !f.Retired {
			t.Errorf("%+v", f)
		}
		r.end()
	})
}

// Another journal, restored or saved from damage: everything again, and loudly.
func TestRunner_AnotherJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 12)
		if err := r.db.SetForwarder(storage.Forwarder{Name: "crm", Journal: "another", Seq: 900, Until: 950}, storage.DeadLetter{Seq: 5}); err != nil {
			t.Fatal(err)
		}
		r.start(nil, settings())
		synctest.Wait()
		want(t, r.sink.taken(), upTo(12))
		if f := r.saved(); f.Journal != r.db.Journal() || f.Seq != 12 || len(f.Dead) != 0 {
			t.Errorf("%+v", f)
		}
		if !strings.Contains(r.logged(), "level=ERROR") || !strings.Contains(r.logged(), "sent again, from the oldest") {
			t.Error("not said loudly:", r.logged())
		}
		r.end()
	})
}

func TestRunner_Filters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		entry := func(change func(*call.Record)) storage.Entry {
			rec := record(1)
			change(rec)
			return storage.Entry{Op: storage.OpCall, Call: rec}
		}
		r.commit(&storage.Batch{Entries: []storage.Entry{
			entry(func(*call.Record) {}),
			entry(func(r *call.Record) { r.Direction = call.Outbound }),
			entry(func(r *call.Record) { r.Status = call.StatusBusy }),
			entry(func(r *call.Record) { r.From.Department = ptr("Sales") }),
			entry(func(r *call.Record) { r.Legs = []call.Leg{{Department: ptr("Sales")}}; r.Direction = call.Internal }),
			{Op: storage.OpGap, Gap: &call.Gap{PBX: "main", From: 1, To: 2}},
			{Op: storage.OpDelete, ID: "main:x"},
		}})
		for _, tt := range []struct {
			name   string
			change func(*Settings)
			want   []uint64
		}{
			{"all", func(*Settings) {}, upTo(7)},
			{"direction", func(s *Settings) { s.Direction = []string{"outbound", "internal"} }, []uint64{2, 5, 6, 7}},
			{"status", func(s *Settings) { s.Status = []string{"busy"} }, []uint64{3, 6, 7}},
			{"department", func(s *Settings) { s.Department = []string{"Sales"} }, []uint64{4, 5, 6, 7}},
			{"all of them", func(s *Settings) {
				s.Direction, s.Status, s.Department = []string{"inbound"}, []string{"answered"}, []string{"Sales"}
			}, []uint64{4, 6, 7}},
		} {
			r.sink = &fakeSink{}
			r.start(nil, settings(tt.change, func(s *Settings) { s.Name = tt.name }))
			synctest.Wait()
			if got := r.sink.taken(); !slices.Equal(got, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
			}
			if s := r.status(); s.Lag != 0 {
				t.Errorf("%s: %+v", tt.name, s)
			}
			r.end()
		}
	})
}

// Each call once, as it is known a while after its end.
func TestRunner_Final(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		type sent struct {
			id  string
			rev uint64
		}
		var mu sync.Mutex
		var all []sent
		got := func() []sent {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		}
		r.sink.set(func(_ context.Context, _ int, batch []Entry) error {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range batch {
				all = append(all, sent{e.Call.ID, e.Call.Rev})
			}
			return nil
		})
		revision := func(n int, rev uint64) storage.Entry {
			rec := record(n)
			rec.Rev = rev
			return storage.Entry{Op: storage.OpCall, Call: rec}
		}
		r.start(nil, settings(func(s *Settings) { s.Final = true }))
		r.commit(&storage.Batch{Entries: []storage.Entry{revision(1, 1), revision(2, 1)}})
		pass(5 * time.Second)
		r.commit(&storage.Batch{Entries: []storage.Entry{revision(2, 2), revision(3, 1)}})
		pass(5 * time.Second)
		if got := got(); len(got) != 0 {
			t.Errorf("too early: %v", got)
		}
		pass(time.Minute)
		r.commit(&storage.Batch{Entries: []storage.Entry{revision(1, 2), revision(3, 2)}})
		pass(time.Minute)
		if want := []sent{{record(1).ID, 1}, {record(2).ID, 2}, {record(3).ID, 1}}; !slices.Equal(got(), want) {
			t.Errorf("sent %v, want %v", got(), want)
		}
		r.end()
	})
}

// A call that the filter leaves out is no reason to write; the end is.
func TestRunner_NotesWhatItLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		r.start(nil, settings(func(s *Settings) { s.Direction = []string{"outbound"} }))
		synctest.Wait()
		before := r.db.Stats().Commits
		for range 50 {
			r.add(1)
			synctest.Wait()
		}
		if n := r.db.Stats().Commits - before; n != 50 {
			t.Errorf("%d commits for 50 calls", n)
		}
		if f := r.saved(); f.Seq != 0 {
			t.Errorf("%+v", f)
		}
		r.add(2500)
		synctest.Wait()
		if f := r.saved(); f.Seq < 1500 {
			t.Errorf("%+v", f)
		}
		r.end()
		if f := r.saved(); f.Seq != 2550 || len(r.sink.requests) != 0 {
			t.Errorf("%+v, %d requests", f, len(r.sink.requests))
		}
	})
}

// A journal that cannot take the note: what was sent is not sent again for that.
func TestRunner_JournalIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 20)
		full := &fullJournal{DB: r.db}
		r.f = New(Options{Agent: "office", Journal: full, Encode: encode, Now: time.Now, Logger: slog.New(slog.NewTextHandler(r, nil)),
			Open: func(Settings, *slog.Logger) (Sink, error) { return r.sink, nil }})
		r.sink.set(func(_ context.Context, n int, _ []Entry) error {
			full.set(n == 1)
			return nil
		})
		r.f.Apply([]Settings{settings()})
		pass(10 * time.Minute)
		want(t, r.sink.taken(), upTo(10))
		if s := r.status(); s.State != StateStuck || !strings.Contains(s.Error, "no room") {
			t.Errorf("%+v", s)
		}
		full.set(false)
		pass(2 * time.Minute)
		want(t, r.sink.taken(), upTo(20))
		r.end()
	})
}

func TestRunner_SinkCannotBeMadeOrPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		n := 0
		r.sink.set(func(_ context.Context, n int, _ []Entry) error {
			if n == 1 {
				panic("of ours")
			}
			return nil
		})
		r.start(func(Settings, *slog.Logger) (Sink, error) {
			if n++; n < 3 {
				return nil, errors.New("tls_cert: no such file")
			}
			return r.sink, nil
		}, settings())
		synctest.Wait()
		if s := r.status(); s.State != StateRetrying || !strings.Contains(s.Error, "tls_cert") {
			t.Errorf("%+v", s)
		}
		pass(time.Minute)
		want(t, r.sink.taken(), upTo(3))
		if !strings.Contains(r.logged(), "BUG") {
			t.Error("the panic is not in the log")
		}
		r.end()
	})
}

// An entry that is refused and erased meanwhile goes out as what it is then: a delete.
func TestRunner_ErasedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		r.sink.set(refuse(1))
		r.start(nil, settings())
		pass(time.Minute)
		if _, err := r.db.Erase(record(1).ID); err != nil {
			t.Fatal(err)
		}
		var ops []string
		r.sink.set(func(_ context.Context, _ int, batch []Entry) error {
			for _, e := range batch {
				ops = append(ops, e.Op+" "+e.ID)
			}
			return nil
		})
		if _, err := r.f.Resend("crm", []uint64{1}); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if !slices.Contains(ops, "delete "+record(1).ID) {
			t.Errorf("%v", ops)
		}
		r.end()
	})
}

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.start(nil, settings())
		if r.f.Watched() {
			t.Error("watched by nobody")
		}
		r.f.Apply([]Settings{settings(func(s *Settings) { s.Live, s.Direction, s.Status = true, []string{"inbound"}, []string{"busy"} })})
		if !r.f.Watched() {
			t.Error("not watched")
		}
		synctest.Wait()
		inside := record(7)
		inside.Direction = call.Internal
		r.f.Live(&Event{Event: EventStarted, Call: record(1)})
		r.f.Live(&Event{Event: EventStarted, Call: inside})
		synctest.Wait()
		if len(r.sink.live) != 1 || r.sink.live[0].Call.ID != record(1).ID {
			t.Errorf("told %+v", r.sink.live)
		}
		r.sink.gate = make(chan struct{})
		for n := range 2 * liveWaiting {
			r.f.Live(&Event{Event: EventRinging, Call: record(n)})
		}
		close(r.sink.gate)
		synctest.Wait()
		if s := r.status(); s.LiveLost == 0 || s.LiveSent+s.LiveLost != 2*liveWaiting+1 {
			t.Errorf("%+v", s)
		}
		r.end()
	})
}
