package collect_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"calljournal/agent"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/connectors"
	"calljournal/storage"
)

// officePBX has had a morning of calls. Every outside number calls twice: first
// nobody answers, then somebody does, which changes what is known of the first.
type officePBX struct {
	opened  call.Moment
	callers int
}

func (p officePBX) Run(ctx context.Context, session uint64, emit func(call.Event)) error {
	now, seq := p.opened, uint64(0)
	say := func(e call.Event) {
		seq++
		now = now.Add(3 * time.Second)
		e.Session, e.Seq, e.At, e.Seen = session, seq, now, now
		emit(e)
	}
	say(call.Event{Kind: call.LinkUp})
	say(call.Event{Kind: call.Snapshot})
	for n := range 2 * p.callers {
		caller, phone := call.LegID(fmt.Sprintf("1700000000.%d", 2*n)), call.LegID(fmt.Sprintf("1700000000.%d", 2*n+1))
		bridge, cause := fmt.Sprintf("bridge-%d", n), &call.Cause{Q850: 16, Text: "Normal Clearing"}
		say(call.Event{Kind: call.LegCreated, Leg: caller, Link: string(caller), Channel: fmt.Sprintf("PJSIP/trunk-a-%08x", 2*n), Endpoint: "trunk-a",
			State: call.StateCalling, Number: fmt.Sprintf("7916%07d", n%p.callers), Dialled: "74951230101", Context: "from-outside"})
		say(call.Event{Kind: call.LegCreated, Leg: phone, Link: string(caller), Channel: fmt.Sprintf("PJSIP/101-%08x", 2*n+1), Endpoint: "101", State: call.StateDown, Number: "101"})
		say(call.Event{Kind: call.Dialled, Leg: caller, Peer: phone, Number: "101"})
		say(call.Event{Kind: call.LegRinging, Leg: phone})
		if n >= p.callers {
			say(call.Event{Kind: call.LegAnswered, Leg: phone})
			say(call.Event{Kind: call.DialEnded, Leg: caller, Peer: phone, Result: "ANSWER"})
			say(call.Event{Kind: call.LegAnswered, Leg: caller})
			say(call.Event{Kind: call.Joined, Leg: phone, Bridge: bridge})
			say(call.Event{Kind: call.Joined, Leg: caller, Bridge: bridge})
		}
		say(call.Event{Kind: call.LegHungUp, Leg: caller, Cause: cause})
		say(call.Event{Kind: call.LegEnded, Leg: phone, Cause: cause})
		say(call.Event{Kind: call.LegEnded, Leg: caller, Cause: cause})
	}
	<-ctx.Done()
	return nil
}

func (officePBX) Stats() connectors.Stats { return connectors.Stats{} }

// daemon runs a whole agent at a PBX with more configuration, and gives its journal.
func daemon(t *testing.T, pbx connectors.Connector, name, toml string) *storage.DB {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("[agent]\nname = %q\ndata_dir = %q\nsocket = %q\n[http]\nlisten = \"\"\n[[pbx]]\nname = \"main\"\nkind = \"asterisk\"\naddress = \"127.0.0.1:1\"\nusername = \"u\"\nsecret = \"s\"\n%s",
		name, filepath.Join(dir, "data"), filepath.Join(dir, "s"), toml)
	c, err := config.Parse(filepath.Join(dir, "calljournal.toml"), []byte(text), config.OSEnv())
	if err != nil {
		t.Fatal(err)
	}
	c.Agent.Socket = ""
	var db *storage.DB
	a, err := agent.New(agent.Options{
		Config: c, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)), Version: "test",
		Connect: func(config.PBX, *slog.Logger) (connectors.Connector, error) { return pbx, nil },
		Store: func(path string, o storage.Options) (agent.Store, error) {
			db, err = storage.Open(path, o)
			return db, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the daemon: %v", err)
		}
	})
	return db
}

// Whole daemons at the same PBX: one that sends with [[forward]], one that dials
// with [uplink]. The centre has the same calls of both, though each numbers their
// revisions by what it came to know at once.
func TestCollect_WholeDaemons(t *testing.T) {
	const secret = "whsec_c2VjcmV0IG9mIGEgd2ViaG9vaywgMzIgYnl0ZXM="
	dsn, _ := database(t)
	c := startCentre(t, dsn, fmt.Sprintf("[[agent]]\nname = \"sends\"\nvia = \"push\"\nsecret = %q\n[[agent]]\nname = \"dials\"\nvia = \"uplink\"\ntoken = %q\n", secret, agentToken))
	base := "http://" + c.Addr().String()
	pbx := officePBX{opened: call.MomentOf(time.Now().Add(-6 * time.Hour)), callers: 150}
	journals := map[string]*storage.DB{
		"sends": daemon(t, pbx, "sends", fmt.Sprintf("[[forward]]\nname = \"centre\"\nkind = \"webhook\"\nurl = %q\nsecret = %q\n", base+"/v1/push/sends", secret)),
		"dials": daemon(t, pbx, "dials", fmt.Sprintf("[uplink]\nurl = %q\ntoken = %q\n", base, agentToken)),
	}
	// Abreast is not enough: a daemon learns of the next calls, and its head moves on.
	until(t, "the centre has the same calls of both", func() bool {
		same := one[int](t, c, "SELECT count(*) FROM calls a JOIN calls b USING (id) WHERE a.agent = 'sends' AND b.agent = 'dials' "+
			"AND a.raw - 'rev' - 'agent' = b.raw - 'rev' - 'agent'")
		for name, db := range journals {
			if c.look(t, name).Cursor != int64(db.Head()) {
				return false
			}
		}
		return same == 2*pbx.callers
	})
	if n := one[int](t, c, "SELECT count(*) FROM calls WHERE agent = 'sends' AND raw->'types' ? 'came_back'"); n != pbx.callers {
		t.Errorf("%d calls came back, want %d", n, pbx.callers)
	}
}
