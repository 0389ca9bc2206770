package agent_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/config"
	"calljournal/storage"
)

// What need not be kept goes, but not past a consumer; past the limit it goes on
// all the same, loudly, until the consumer begins anew or is forgotten.
func TestAgent_Retention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		c := testConfig(t, t.TempDir(), "main")
		c.Retention = config.Retention{CallsDays: 1, WaitForConsumersDays: 2}
		d := start(t, c, map[string]*fakePBX{"main": {session: speak(inbound(1))}}, nil)
		status := func() api.Status {
			t.Helper()
			st, err := d.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		consumer := func(seq uint64) {
			t.Helper()
			if err := d.store.SetConsumer(storage.Consumer{Name: "central", Journal: d.store.Journal(), Seq: seq}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		consumer(0)
		head := d.store.Head()
		if head == 0 {
			t.Fatal("no call was recorded")
		}
		time.Sleep(3 * day / 2)
		st := status()
		if st.Journal.Oldest != 1 || st.State != api.StateWell || st.Retention.HeldBy != "central" || !strings.Contains(strings.Join(st.Warnings, "\n"), "consumer central") {
			t.Errorf("while a consumer needs it: oldest %d, %s, held by %q, %q", st.Journal.Oldest, st.State, st.Retention.HeldBy, st.Warnings)
		}
		time.Sleep(day)
		st = status()
		if st.Journal.Oldest != head+1 || st.Retention.Dropped != head || st.State != api.StateDegraded ||
			len(st.Consumers) != 1 || st.Consumers[0].Missed != head || !strings.Contains(strings.Join(st.Problems, "\n"), "consumer central: 1 entries") {
			t.Errorf("past the limit: oldest %d, %s, %+v, %+v, %q", st.Journal.Oldest, st.State, st.Retention, st.Consumers, st.Problems)
		}
		if _, _, err := d.store.Calls(storage.Query{}); err != nil || d.store.Stats().Calls != 0 {
			t.Errorf("%d calls are left, %v", d.store.Stats().Calls, err)
		}
		consumer(0) // anew
		if st := status(); st.State != api.StateWell || st.Consumers[0].Missed != 0 {
			t.Errorf("begun anew: %s, %+v", st.State, st.Consumers)
		}
		d.end(t)
	})
}

// A consumer that is up to date holds nothing back, and one that is forgotten
// neither; the reader of what is gone is told where to begin.
func TestAgent_RetentionWithoutLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(t, t.TempDir(), "main")
		c.Retention = config.Retention{CallsDays: 1}
		facts := inbound(1)
		for n := 2; n <= 200; n++ {
			for _, f := range inbound(n) {
				f.after += time.Duration(n) * 10 * time.Second
				facts = append(facts, f)
			}
		}
		d := start(t, c, map[string]*fakePBX{"main": {session: speak(facts)}}, nil)
		time.Sleep(time.Hour)
		head := d.store.Head()
		if head != 200 {
			t.Fatalf("%d entries", head)
		}
		for name, seq := range map[string]uint64{"central": head, "gone": 10} {
			if err := d.store.SetConsumer(storage.Consumer{Name: name, Journal: d.store.Journal(), Seq: seq}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(25 * time.Hour)
		if st, err := d.Status(t.Context()); err != nil || st.Journal.Oldest != 11 || st.Retention.HeldBy != "gone" {
			t.Errorf("held: %+v, %+v, %v", st.Journal, st.Retention, err)
		}
		if err := d.store.DropConsumer("gone"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if st, err := d.Status(t.Context()); err != nil || st.Journal.Oldest != head+1 || st.State != api.StateWell || st.Retention.Dropped != head {
			t.Errorf("after all: %+v, %s, %q, %v", st.Journal, st.State, st.Problems, err)
		}
		if _, err := d.store.Feed(10, 1); !errors.Is(err, storage.ErrExpired) {
			t.Errorf("the feed after 10: %v", err)
		}
		d.end(t)
	})
}

// A clock that leaps ahead makes no call old.
func TestAgent_RetentionAndAWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		c := testConfig(t, t.TempDir(), "main")
		c.Retention = config.Retention{CallsDays: 30}
		d := startAt(t, c, map[string]*fakePBX{"main": {session: speak(inbound(1))}}, nil, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
		time.Sleep(5 * time.Minute)
		ahead.Store(int64(10 * 365 * 24 * time.Hour))
		time.Sleep(time.Hour)
		st, err := d.Status(t.Context())
		if err != nil || st.Journal.Calls != 1 || st.Retention.Dropped != 0 || !strings.Contains(strings.Join(st.Problems, "\n"), "set forward by 87600h") {
			t.Errorf("%d calls, %+v, %q, %v", st.Journal.Calls, st.Retention, st.Problems, err)
		}
		d.end(t)
	})
}
