package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"calljournal/agent"
	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/connectors"
	"calljournal/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakePBX is a connector whose sessions are functions of the test.
type fakePBX struct {
	session func(ctx context.Context, session uint64, emit func(call.Event)) error
	last    atomic.Int64 // LastByteAt
	queue   atomic.Uint64
}

func (f *fakePBX) Run(ctx context.Context, session uint64, emit func(call.Event)) error {
	var seq uint64
	return f.session(ctx, session, func(e call.Event) {
		seq++
		e.Session, e.Seq = session, seq
		if e.Seen == 0 {
			e.Seen = call.MomentOf(time.Now())
		}
		if e.At == 0 {
			e.At = e.Seen
		}
		f.last.Store(int64(e.Seen))
		emit(e)
	})
}

func (f *fakePBX) Stats() connectors.Stats {
	return connectors.Stats{LastByteAt: call.Moment(f.last.Load()), QueueBytes: f.queue.Load()}
}

// said is a fact and when it is said, from the beginning of its call.
type said struct {
	after time.Duration
	event call.Event
}

// inbound is what a PBX says of a call that is answered after 3 s and talked
// for 5 s; n tells calls apart.
func inbound(n int) []said {
	caller, phone := call.LegID(fmt.Sprintf("1700000000.%d", 2*n)), call.LegID(fmt.Sprintf("1700000000.%d", 2*n+1))
	link, bridge := string(caller), fmt.Sprintf("bridge-%d", n)
	cause := &call.Cause{Q850: 16, Text: "Normal Clearing"}
	at := func(ms int, e call.Event) said { return said{time.Duration(ms) * time.Millisecond, e} }
	return []said{
		at(0, call.Event{Kind: call.LegCreated, Leg: caller, Link: link, Channel: fmt.Sprintf("PJSIP/trunk-a-%08x", 2*n), Endpoint: "trunk-a",
			State: call.StateCalling, Number: fmt.Sprintf("7916%07d", n), Dialled: "74951230101", Context: "from-outside"}),
		at(1000, call.Event{Kind: call.LegCreated, Leg: phone, Link: link, Channel: fmt.Sprintf("PJSIP/101-%08x", 2*n+1), Endpoint: "101", State: call.StateDown, Number: "101"}),
		at(1001, call.Event{Kind: call.Dialled, Leg: caller, Peer: phone, Number: "101"}),
		at(1100, call.Event{Kind: call.LegRinging, Leg: phone}),
		at(3000, call.Event{Kind: call.LegAnswered, Leg: phone}),
		at(3001, call.Event{Kind: call.DialEnded, Leg: caller, Peer: phone, Result: "ANSWER"}),
		at(3002, call.Event{Kind: call.LegAnswered, Leg: caller}),
		at(3003, call.Event{Kind: call.Joined, Leg: phone, Bridge: bridge}),
		at(3004, call.Event{Kind: call.Joined, Leg: caller, Bridge: bridge}),
		at(8000, call.Event{Kind: call.LegHungUp, Leg: caller, Cause: cause}),
		at(8001, call.Event{Kind: call.Parted, Leg: caller, Bridge: bridge}),
		at(8002, call.Event{Kind: call.Parted, Leg: phone, Bridge: bridge}),
		at(8003, call.Event{Kind: call.LegEnded, Leg: phone, Cause: cause}),
		at(8004, call.Event{Kind: call.LegEnded, Leg: caller, Cause: cause}),
	}
}

// begin is what every session begins with.
func begin(emit func(call.Event), live ...call.LiveLeg) {
	emit(call.Event{Kind: call.LinkUp})
	emit(call.Event{Kind: call.Snapshot, Live: live})
}

// speak says the facts at their times and waits for the end.
func speak(facts []said) func(context.Context, uint64, func(call.Event)) error {
	return func(ctx context.Context, _ uint64, emit func(call.Event)) error {
		begin(emit)
		start := time.Now()
		for _, f := range facts {
			if !pause(ctx, f.after-time.Since(start)) {
				return nil
			}
			emit(f.event)
		}
		<-ctx.Done()
		return nil
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// testConfig has one [[pbx]] for each name, and no listeners.
func testConfig(t *testing.T, dir string, names ...string) *config.Config {
	t.Helper()
	text := "[agent]\nname = \"test\"\n[http]\nlisten = \"\"\n[[employee]]\nextension = \"101\"\nname = \"Anna\"\n"
	for _, name := range names {
		text += fmt.Sprintf("[[pbx]]\nname = %q\nkind = \"asterisk\"\naddress = \"127.0.0.1:1\"\nusername = \"u\"\nsecret = \"s\"\ntrunks = [\"PJSIP/trunk-*\"]\n", name)
	}
	c, err := config.Parse(filepath.Join(dir, "calljournal.toml"), []byte(text), config.OSEnv())
	if err != nil {
		t.Fatal(err)
	}
	c.Agent.DataDir, c.Agent.Socket = filepath.Join(dir, "data"), ""
	return c
}

// watched is the real store with a hand on its commits.
type watched struct {
	*storage.DB
	before func(*storage.Batch) error // runs first; an error is the outcome

	mu      sync.Mutex
	commits int
}

func (w *watched) Commit(b *storage.Batch) error {
	w.mu.Lock()
	w.commits++
	w.mu.Unlock()
	if w.before != nil {
		if err := w.before(b); err != nil {
			return err
		}
	}
	return w.DB.Commit(b)
}

// daemon is an agent under test with its store.
type daemon struct {
	*agent.Agent
	store *watched
	ended chan error
	stop  context.CancelFunc
}

func start(t *testing.T, c *config.Config, pbxs map[string]*fakePBX, before func(*storage.Batch) error) *daemon {
	t.Helper()
	return startAt(t, c, pbxs, before, time.Now)
}

func startAt(t *testing.T, c *config.Config, pbxs map[string]*fakePBX, before func(*storage.Batch) error, now func() time.Time) *daemon {
	t.Helper()
	d := &daemon{store: &watched{before: before}, ended: make(chan error, 1)}
	var err error
	d.Agent, err = agent.New(agent.Options{
		Config: c, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Version: "test", Now: now,
		Connect: func(p config.PBX, _ *slog.Logger) (connectors.Connector, error) { return pbxs[p.Name], nil },
		Store: func(path string, o storage.Options) (agent.Store, error) {
			d.store.DB, err = storage.Open(path, o)
			return d.store, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, d.stop = context.WithCancel(t.Context())
	go func() { d.ended <- d.Run(ctx) }()
	return d
}

func (d *daemon) end(t *testing.T) {
	t.Helper()
	d.stop()
	if err := <-d.ended; err != nil {
		t.Errorf("the end: %v", err)
	}
}

// feed reads everything a central server would.
func (d *daemon) feed(t *testing.T) []storage.Entry {
	t.Helper()
	page, err := d.store.Feed(0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range page.Entries {
		if e.Seq != uint64(i+1) {
			t.Fatalf("entry %d has the number %d", i+1, e.Seq)
		}
	}
	return page.Entries
}

// latest gives the newest record of each call, and the gaps.
func latest(t *testing.T, entries []storage.Entry) (calls map[string]*call.Record, gaps []call.Gap) {
	t.Helper()
	calls = map[string]*call.Record{}
	for _, e := range entries {
		switch e.Op {
		case storage.OpCall:
			if old := calls[e.Call.ID]; old != nil && old.Rev >= e.Call.Rev {
				t.Errorf("%s: rev %d after rev %d", e.Call.ID, e.Call.Rev, old.Rev)
			}
			calls[e.Call.ID] = e.Call
		case storage.OpGap:
			gaps = append(gaps, *e.Gap)
		case storage.OpDelete:
			delete(calls, e.ID)
		}
	}
	return calls, gaps
}

func TestAgent_RecordsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, testConfig(t, t.TempDir(), "main"), map[string]*fakePBX{"main": {session: speak(inbound(1))}}, nil)
		time.Sleep(5 * time.Second)
		live, err := d.Live(t.Context())
		if err != nil || len(live) != 1 || live[0].Status != call.StatusAnswered {
			t.Errorf("calls in progress: %+v, %v", live, err)
		}
		st, err := d.Status(t.Context())
		if err != nil || st.State != api.StateWell || st.OpenCalls != 1 || st.Links[0].State != api.LinkUp {
			t.Errorf("status during the call: %+v, %v", st, err)
		}
		time.Sleep(10 * time.Second)
		calls, gaps := latest(t, d.feed(t))
		r := calls["main:1700000000.2"]
		if len(calls) != 1 || r == nil || len(gaps) != 0 {
			t.Fatalf("feed: %v, gaps %v", slices.Collect(maps.Keys(calls)), gaps)
		}
		if r.Status != call.StatusAnswered || *r.TalkMs < 4990 || *r.TalkMs > 5010 || *r.AnsweredBy != "101" || r.Agent != "test" {
			t.Errorf("record: status %s, talk %d, answered by %s, agent %s", r.Status, *r.TalkMs, *r.AnsweredBy, r.Agent)
		}
		if l := r.Legs[len(r.Legs)-1]; l.Employee == nil || *l.Employee != "Anna" {
			t.Errorf("the phone's leg has no employee: %+v", l)
		}
		if w, err := d.store.Why(r.ID); err != nil || len(w.Facts) == 0 || len(w.Reasons) == 0 {
			t.Errorf("why: %+v, %v", w, err)
		}
		if st, err := d.Status(t.Context()); err != nil || st.LastCall == nil || st.LastCall.ID != r.ID {
			t.Errorf("last call in status: %+v, %v", st.LastCall, err)
		}
		d.end(t)
	})
}

// An end in the middle of a talk, by a signal or by the power, and a new run:
// one record, whole, and a gap for the time in between.
func TestAgent_EndsInTheMiddleOfACall(t *testing.T) {
	for _, kill := range []bool{false, true} {
		t.Run(map[bool]string{false: "signal", true: "kill"}[kill], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				facts := inbound(1)
				start0 := time.Now()
				d := start(t, testConfig(t, dir, "main"), map[string]*fakePBX{"main": {session: speak(facts)}}, nil)
				time.Sleep(5 * time.Second)
				next := testConfig(t, dir, "main")
				if kill {
					// What is on disk now is what a killed daemon leaves.
					killed := t.TempDir()
					next = testConfig(t, killed, "main")
					copyFile(t, filepath.Join(dir, "data", "journal.db"), filepath.Join(killed, "data", "journal.db"))
				}
				d.end(t)
				time.Sleep(time.Until(start0.Add(6 * time.Second)))

				second := &fakePBX{session: func(ctx context.Context, session uint64, emit func(call.Event)) error {
					if session != 2 {
						t.Errorf("session %d after session 1", session)
					}
					begin(emit, liveLegs(1)...)
					for _, f := range facts {
						if wait := time.Until(start0.Add(f.after)); wait > 0 {
							time.Sleep(wait)
							emit(f.event)
						}
					}
					<-ctx.Done()
					return nil
				}}
				d = start(t, next, map[string]*fakePBX{"main": second}, nil)
				time.Sleep(20 * time.Second)
				calls, gaps := latest(t, d.feed(t))
				r := calls["main:1700000000.2"]
				if len(calls) != 1 || r == nil {
					t.Fatalf("calls: %v", slices.Collect(maps.Keys(calls)))
				}
				if r.Status != call.StatusAnswered || r.EndedAt.Sub(r.StartedAt).Round(10*time.Millisecond) != 8*time.Second {
					t.Errorf("record: %s, %v to %v", r.Status, r.StartedAt.Time(), r.EndedAt.Time())
				}
				if len(gaps) != 1 || gaps[0].Reason != "agent stopped" || gaps[0].PBX != "main" {
					t.Fatalf("gaps: %+v", gaps)
				}
				if from := gaps[0].From.Time(); from.After(start0.Add(5*time.Second)) || from.Before(start0.Add(3*time.Second)) {
					t.Errorf("the gap begins at %v, the run ended at %v", from, start0.Add(5*time.Second))
				}
				d.end(t)
			})
		})
	}
}

func liveLegs(n int) []call.LiveLeg {
	var out []call.LiveLeg
	for _, f := range inbound(n) {
		if e := f.event; e.Kind == call.LegCreated {
			out = append(out, call.LiveLeg{Leg: e.Leg, Link: e.Link, Channel: e.Channel, Endpoint: e.Endpoint, State: call.StateUp, Number: e.Number,
				Bridge: fmt.Sprintf("bridge-%d", n)})
		}
	}
	return out
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Many calls that end together share commits, however slow the disk is, and all
// of them are there.
func TestAgent_SlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pbxs, each = 10, 20
		names, links := []string{}, map[string]*fakePBX{}
		for p := range pbxs {
			name := fmt.Sprintf("pbx-%d", p)
			var facts []said
			for n := range each {
				facts = append(facts, inbound(n)...)
			}
			slices.SortStableFunc(facts, func(a, b said) int { return int(a.after - b.after) })
			names, links[name] = append(names, name), &fakePBX{session: speak(facts)}
		}
		d := start(t, testConfig(t, t.TempDir(), names...), links, func(*storage.Batch) error {
			time.Sleep(500 * time.Millisecond)
			return nil
		})
		time.Sleep(30 * time.Second)
		if calls, _ := latest(t, d.feed(t)); len(calls) != pbxs*each {
			t.Errorf("%d calls of %d", len(calls), pbxs*each)
		}
		d.end(t)
		if d.store.commits > 80 {
			t.Errorf("%d commits in 30 s of half a second each", d.store.commits)
		}
	})
}

// While nothing can be written, status says so and since when; memory stays
// bounded, because emit waits; then everything is written, once.
func TestAgent_DiskFullAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		var batches []*storage.Batch
		var emitted atomic.Int64
		pbx := &fakePBX{session: func(ctx context.Context, _ uint64, emit func(call.Event)) error {
			begin(emit)
			for n := 0; ; n++ {
				for _, f := range inbound(n) {
					if !pause(ctx, time.Millisecond) {
						return nil
					}
					emit(f.event)
					emitted.Add(1)
				}
			}
		}}
		d := start(t, testConfig(t, t.TempDir(), "main"), map[string]*fakePBX{"main": pbx}, func(b *storage.Batch) error {
			if full.Load() {
				batches = append(batches, b)
				return &storage.Error{Op: "commit", Path: "journal.db", Err: storage.ErrFull}
			}
			return nil
		})
		time.Sleep(time.Second)
		full.Store(true)
		began := time.Now()
		time.Sleep(time.Minute)
		synctest.Wait()
		st, err := d.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		k := st.Journal.Stuck
		if st.State != api.StateDegraded || k == nil || !strings.Contains(k.Error, "no room left") || k.Since.Time().Sub(began) > time.Second {
			t.Errorf("status while stuck: %s, %+v", st.State, k)
		}
		if st.Journal.DiskFree <= 0 || !strings.Contains(strings.Join(st.Problems, " "), "free on the disk") {
			t.Errorf("the figure is missing: %q", st.Problems)
		}
		before := emitted.Load()
		time.Sleep(time.Minute)
		synctest.Wait()
		if now := emitted.Load(); now != before || now > 30_000 {
			t.Errorf("emit goes on while nothing can be written: %d, then %d", before, now)
		}
		for _, b := range batches {
			if b != batches[0] {
				t.Error("another batch was tried before the first one succeeded")
				break
			}
		}
		full.Store(false)
		time.Sleep(10 * time.Second)
		if st, err := d.Status(t.Context()); err != nil || st.Journal.Stuck != nil || st.State != api.StateWell {
			t.Errorf("10 s after room came back: %s, %+v, %v", st.State, st.Journal.Stuck, err)
		}
		if emitted.Load() == before {
			t.Error("nothing goes on after room came back")
		}
		calls, _ := latest(t, d.feed(t))
		for n := range int(before)/len(inbound(0)) - 1 {
			if id := fmt.Sprintf("main:1700000000.%d", 2*n); calls[id] == nil {
				t.Fatalf("%s is missing", id)
			}
		}
		d.end(t)
	})
}

// An end while nothing can be written does not hang.
func TestAgent_EndsWithAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		urgent := 0
		d := start(t, testConfig(t, t.TempDir(), "main"), map[string]*fakePBX{"main": {session: speak(inbound(1))}}, func(b *storage.Batch) error {
			if b.Urgent {
				urgent++
			}
			return storage.ErrFull
		})
		time.Sleep(20 * time.Second)
		began := time.Now()
		d.stop()
		if err := <-d.ended; err == nil {
			t.Error("changes were lost and Run says nothing")
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the end took %v", took)
		}
		if urgent == 0 {
			t.Error("the reserve was not asked for")
		}
	})
}

// A journal that no later try can write ends the run, so that the next one mends
// it.
func TestAgent_DamagedJournalEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, testConfig(t, t.TempDir(), "main"), map[string]*fakePBX{"main": {session: speak(inbound(1))}}, func(*storage.Batch) error {
			return &storage.Error{Op: "commit", Path: "journal.db", Err: storage.ErrDamaged}
		})
		if err := <-d.ended; !errors.Is(err, storage.ErrDamaged) {
			t.Errorf("the end: %v", err)
		}
		d.stop()
	})
}

// A connector that does not end keeps Run no longer than promised.
func TestAgent_StuckConnector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := start(t, testConfig(t, t.TempDir(), "main"), map[string]*fakePBX{"main": {session: func(context.Context, uint64, func(call.Event)) error {
			<-release
			return nil
		}}}, nil)
		time.Sleep(time.Second)
		began := time.Now()
		d.stop()
		if err := <-d.ended; err == nil || time.Since(began) > 15*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		close(release)
	})
}

func TestAgent_RetriesALink(t *testing.T) {
	tests := []struct {
		name        string
		err         error
		panics      bool
		state       string
		first, most time.Duration
	}{
		// A PBX that comes up again is found at once, one that refuses us is left alone.
		{"lost", &connectors.LinkError{Op: "connect", Address: "127.0.0.1:1", Err: connectors.ErrUnreachable}, false, api.LinkConnecting, 250 * time.Millisecond, 38 * time.Second},
		{"refused", &connectors.LinkError{Op: "sign in", Address: "127.0.0.1:1", Err: connectors.ErrLoginRefused}, false, api.LinkRefused, 13 * time.Second, 376 * time.Second},
		{"panics", errors.New("internal fault: oh no"), true, api.LinkConnecting, 250 * time.Millisecond, 38 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries []time.Time
				d := start(t, testConfig(t, t.TempDir(), "main"), map[string]*fakePBX{"main": {session: func(_ context.Context, session uint64, _ func(call.Event)) error {
					tries = append(tries, time.Now())
					if session != uint64(len(tries)) {
						t.Errorf("try %d has the session %d", len(tries), session)
					}
					if tt.panics {
						panic("oh no")
					}
					return tt.err
				}}}, nil)
				time.Sleep(time.Hour)
				st, err := d.Status(t.Context())
				if err != nil || st.Links[0].State != tt.state || st.Links[0].Error != tt.err.Error() || st.Links[0].NextTry == 0 || st.State != api.StateDegraded {
					t.Errorf("status: %+v, %v", st.Links[0], err)
				}
				d.end(t)
				if first := tries[1].Sub(tries[0]); first > tt.first {
					t.Errorf("the second try came after %v", first)
				}
				for i := range tries[1:] {
					wait := tries[i+1].Sub(tries[i])
					if settled := tries[i].Sub(tries[0]) > 30*time.Minute; wait > tt.most || settled && wait < tt.most/2 {
						t.Fatalf("wait %d is %v", i, wait)
					}
				}
				if last := tries[len(tries)-1]; time.Since(last) > 2*tt.most {
					t.Errorf("no try since %v", time.Since(last))
				}
				if _, gaps := latest(t, entriesOnDisk(t, d)); len(gaps) != 0 {
					t.Errorf("a link that never was up has no gap: %+v", gaps)
				}
			})
		})
	}
}

// entriesOnDisk opens the journal of a daemon that has ended.
func entriesOnDisk(t *testing.T, d *daemon) []storage.Entry {
	t.Helper()
	db, err := storage.Open(d.store.Stats().Path, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	page, err := db.Feed(0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return page.Entries
}

// A PBX that lets us in and drops us again and again is not hammered for ever.
func TestAgent_FlappingLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := 0
		d := start(t, testConfig(t, t.TempDir(), "main"), map[string]*fakePBX{"main": {session: func(_ context.Context, _ uint64, emit func(call.Event)) error {
			sessions++
			begin(emit)
			return &connectors.LinkError{Op: "read", Address: "x", Err: io.EOF}
		}}}, nil)
		time.Sleep(time.Hour)
		d.end(t)
		if sessions > 600 {
			t.Errorf("%d sessions in an hour", sessions)
		}
	})
}

// A cut of 0.6 s is healed in about a second, and is one gap.
func TestAgent_CutLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cutAt, healedAt time.Time
		pbx := &fakePBX{}
		pbx.session = func(ctx context.Context, session uint64, emit func(call.Event)) error {
			switch {
			case session == 1:
				begin(emit)
				pause(ctx, 10*time.Second)
				cutAt = time.Now()
				return &connectors.LinkError{Op: "read", Address: "x", Err: connectors.ErrLineDead}
			case time.Since(cutAt) < 600*time.Millisecond:
				return &connectors.LinkError{Op: "connect", Address: "x", Err: connectors.ErrUnreachable}
			}
			healedAt = time.Now()
			begin(emit)
			<-ctx.Done()
			return nil
		}
		d := start(t, testConfig(t, t.TempDir(), "main"), map[string]*fakePBX{"main": pbx}, nil)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if took := healedAt.Sub(cutAt); took > 1200*time.Millisecond {
			t.Errorf("healed after %v", took)
		}
		_, gaps := latest(t, d.feed(t))
		if len(gaps) != 1 || gaps[0].Reason != "line dead" {
			t.Errorf("gaps: %+v", gaps)
		}
		d.end(t)
	})
}

// Time that our clock has and the PBX's facts have not yet reached must not end
// anything.
func TestAgent_NoTickBeforeTheFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pbx := &fakePBX{session: speak(inbound(1)[:3])}
		d := start(t, testConfig(t, t.TempDir(), "main"), map[string]*fakePBX{"main": pbx}, nil)
		time.Sleep(2 * time.Second)
		pbx.queue.Store(1) // facts wait in the connector from now on
		time.Sleep(100 * time.Hour)
		if live, err := d.Live(t.Context()); err != nil || len(live) != 1 {
			t.Errorf("calls in progress: %d, %v", len(live), err)
		}
		d.end(t)
	})
}

func TestAgent_Reload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := testConfig(t, dir, "main")
		d := start(t, c, map[string]*fakePBX{"main": {session: speak(inbound(1))}}, nil)
		time.Sleep(time.Second)
		next := testConfig(t, dir, "main", "second")
		next.Employee[0].Name = "Maria"
		next.Log.Level = "debug"
		applied, restart := d.Reload(next)
		if !slices.Equal(applied, []string{"log.level", "[[employee]]"}) || !slices.Equal(restart, []string{"[[pbx]]"}) {
			t.Errorf("applied %q, restart %q", applied, restart)
		}
		if applied, _ := d.Reload(next); len(applied) != 0 {
			t.Errorf("the same again: applied %q", applied)
		}
		time.Sleep(15 * time.Second)
		calls, _ := latest(t, d.feed(t))
		for _, r := range calls {
			if l := r.Legs[len(r.Legs)-1]; l.Employee == nil || *l.Employee != "Maria" {
				t.Errorf("the phone's leg: %+v", l)
			}
		}
		d.end(t)
	})
}

// Status says how far behind whoever reads the feed is, in entries and in time.
func TestAgent_Consumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, testConfig(t, t.TempDir(), "main"), map[string]*fakePBX{"main": {session: speak(append(inbound(1), inbound(2)...))}}, nil)
		time.Sleep(time.Minute)
		head := d.store.Head()
		if head < 2 {
			t.Fatalf("%d entries", head)
		}
		for name, seq := range map[string]uint64{"abreast": head, "behind": head - 1, "new": 0} {
			if err := d.store.SetConsumer(storage.Consumer{Name: name, Journal: d.store.Journal(), Seq: seq}); err != nil {
				t.Fatal(err)
			}
		}
		newest := d.feed(t)[head-1].At
		st, err := d.Status(t.Context())
		if err != nil || len(st.Consumers) != 3 {
			t.Fatalf("%+v, %v", st.Consumers, err)
		}
		abreast, behind, fresh := st.Consumers[0], st.Consumers[1], st.Consumers[2]
		if abreast.Lag != 0 || abreast.LagMs != 0 || abreast.Seq != head {
			t.Errorf("%+v", abreast)
		}
		if want := st.At.Sub(newest).Milliseconds(); behind.Lag != 1 || behind.LagMs != want || want < 40_000 {
			t.Errorf("%+v, want a lag of %d ms", behind, want)
		}
		if fresh.Lag != head || fresh.LagMs < behind.LagMs {
			t.Errorf("%+v", fresh)
		}
		d.end(t)
	})
}

func TestAgent_SaysWhatIsNotBuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(t, t.TempDir(), "main")
		c.PBX[0].FaxDir = "/var/spool/fax"
		d := start(t, c, map[string]*fakePBX{"main": {session: speak(nil)}}, nil)
		time.Sleep(time.Second)
		st, err := d.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(st.Warnings, " "), "fax_dir") {
			t.Errorf("status: %s, %q, %q", st.State, st.Problems, st.Warnings)
		}
		d.end(t)
	})
}

// BenchmarkIngest is facts from the connector to the disk: the tracker, the
// groups, the commits.
func BenchmarkIngest(b *testing.B) {
	dir := b.TempDir()
	c, err := config.Parse(filepath.Join(dir, "c.toml"), []byte("[http]\nlisten = \"\"\n[[pbx]]\nname = \"main\"\nkind = \"asterisk\"\naddress = \"127.0.0.1:1\"\nusername = \"u\"\nsecret = \"s\"\n"), config.OSEnv())
	if err != nil {
		b.Fatal(err)
	}
	c.Agent.DataDir, c.Agent.Socket = filepath.Join(dir, "data"), ""
	done := make(chan struct{})
	pbx := &fakePBX{session: func(ctx context.Context, _ uint64, emit func(call.Event)) error {
		begin(emit)
		const open = 50 // calls in progress at a time
		var waiting []said
		start := call.MomentOf(time.Now())
		for n := range b.N {
			shift := time.Duration(n) * 100 * time.Millisecond
			for _, f := range inbound(n) {
				f.event.At = start.Add(shift + f.after)
				f.event.Seen = f.event.At
				waiting = append(waiting, f)
			}
			if len(waiting) > open*14 {
				slices.SortStableFunc(waiting, func(a, b said) int { return int(a.event.At - b.event.At) })
				for _, f := range waiting[:len(waiting)/2] {
					emit(f.event)
				}
				waiting = append(waiting[:0:0], waiting[len(waiting)/2:]...)
			}
		}
		for _, f := range waiting {
			emit(f.event)
		}
		close(done)
		<-ctx.Done()
		return nil
	}}
	var db *storage.DB
	a, err := agent.New(agent.Options{
		Config: c, Logger: slog.New(slog.DiscardHandler), Connect: func(config.PBX, *slog.Logger) (connectors.Connector, error) { return pbx, nil },
		Store: func(path string, o storage.Options) (agent.Store, error) {
			db, err = storage.Open(path, o)
			return db, err
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b.ResetTimer()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	<-done
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N*len(inbound(0)))/b.Elapsed().Seconds(), "facts/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
