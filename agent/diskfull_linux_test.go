package agent_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"calljournal/agent"
	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/connectors"
	"calljournal/connectors/asterisk"
	"calljournal/connectors/replay"
	"calljournal/storage"
)

// A disk that is full for longer than memory lasts, with a real disk, the real
// protocol and little memory: what is dropped is counted and stands in the feed as
// a gap, and afterwards the daemon goes on by itself with no call left open.
func TestAgent_DiskFullLongerThanMemoryLasts(t *testing.T) {
	if testing.Short() {
		t.Skip("plays for a while")
	}
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24M", "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("needs to mount a disk of its own, which only root may: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", disk).Run() })
	all, err := replay.Demo(replay.Asterisk)
	if err != nil {
		t.Fatal(err)
	}
	loop, err := replay.Loop(all, 200*time.Millisecond, 1)
	if err != nil {
		t.Fatal(err)
	}
	enough := make(chan struct{})
	programme := func() (replay.Track, bool) {
		select {
		case <-enough:
			return replay.Track{}, false
		default:
			return loop()
		}
	}
	pbx, err := replay.Listen(replay.Asterisk, programme, replay.Options{User: "u", Secret: "s", Speed: 50, Lead: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	c := testConfig(t, disk, "main")
	var db *storage.DB
	a, err := agent.New(agent.Options{
		Config: c, Logger: slog.New(slog.DiscardHandler), Version: "test",
		GroupMost: 512, // memory that this PBX fills soon, on a machine that has other work too
		Connect: func(p config.PBX, log *slog.Logger) (connectors.Connector, error) {
			return asterisk.New(asterisk.Config{Name: p.Name, Address: pbx.Addr(), Username: "u", Secret: "s", Logger: log, QueueBytes: 128 << 10}), nil
		},
		Store: func(path string, o storage.Options) (agent.Store, error) {
			db, err = storage.Open(path, o)
			return db, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- a.Run(ctx) }()
	go func() { ended <- pbx.Run(ctx) }()
	defer func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()
	await := func(what string, as func(api.Status) bool) (took time.Duration) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			st, err := a.Status(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if took = time.Since(began); as(st) {
				return took
			}
			if took > 5*time.Minute { // only so that a fault shows as what was waited for
				t.Fatalf("it does not come about that %s: %+v", what, st)
			}
		}
	}
	await("calls are recorded", func(st api.Status) bool { return st.Journal.Calls > 20 })
	ballast := filepath.Join(disk, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 24<<20), 0o600) // as much as there is room
	await("nothing can be written", func(st api.Status) bool { return st.Journal.Stuck != nil && st.State == api.StateDegraded })
	before, err := db.Feed(0, 5000)
	if err != nil {
		t.Fatal(err)
	}
	var dropped uint64
	await("memory is full", func(st api.Status) bool { dropped = st.Links[0].Dropped; return dropped > 100 })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	took := await("the journal can be written", func(st api.Status) bool { return st.Journal.Stuck == nil })
	if took > 10*time.Second {
		t.Errorf("written again after %v", took)
	}
	close(enough)
	<-pbx.Done()
	await("no call is open, and the loss is in the feed", func(st api.Status) bool {
		return st.OpenCalls == 0 && st.Links[0].QueueBytes == 0 && len(st.Gaps) > 0
	})

	page, err := db.Feed(0, 5000)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range before.Entries {
		if got := page.Entries[i]; got.Seq != e.Seq || got.Op != e.Op || got.Call != nil && got.Call.ID != e.Call.ID {
			t.Fatalf("entry %d is not what it was", e.Seq)
		}
	}
	calls, gaps := latest(t, page.Entries)
	partial := 0
	for _, r := range calls {
		if r.Quality == call.QualityPartial {
			partial++
		}
	}
	full := false
	for _, g := range gaps {
		full = full || strings.Contains(g.Reason, "queue full")
	}
	if !full || partial == 0 {
		t.Errorf("%d messages were dropped: gaps %+v, %d calls of %d partial", dropped, gaps, partial, len(calls))
	}
	t.Logf("%d messages dropped, %d gaps, written again after %v; %d calls, %d partial", dropped, len(gaps), took, len(calls), partial)
}
