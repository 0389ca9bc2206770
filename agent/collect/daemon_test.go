package collect_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"calljournal/agent"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/connectors"
	"calljournal/storage"
)

// quietPBX has no calls.
type quietPBX struct{}

func (quietPBX) Run(ctx context.Context, _ uint64, emit func(call.Event)) error {
	emit(call.Event{Kind: call.LinkUp})
	emit(call.Event{Kind: call.Snapshot})
	<-ctx.Done()
	return nil
}

func (quietPBX) Stats() connectors.Stats { return connectors.Stats{} }

// daemon runs a whole agent with more configuration, and gives its journal.
func daemon(t *testing.T, name, toml string) *storage.DB {
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
		Connect: func(config.PBX, *slog.Logger) (connectors.Connector, error) { return quietPBX{}, nil },
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
	// What these tests commit comes past the daemon's books: had they not ended
	// their first look at the journal, they would settle some of it.
	until(t, name+" has looked at its journal", func() bool {
		st, err := a.Status(ctx)
		return err == nil && st.Review.EndedAt != 0
	})
	return db
}

// Whole daemons: one that sends with [[forward]], one that dials with [uplink].
// The centre has the same calls of both.
func TestCollect_WholeDaemons(t *testing.T) {
	const secret = "whsec_c2VjcmV0IG9mIGEgd2ViaG9vaywgMzIgYnl0ZXM="
	dsn, _ := database(t)
	c := startCentre(t, dsn, fmt.Sprintf("[[agent]]\nname = \"sends\"\nvia = \"push\"\nsecret = %q\n[[agent]]\nname = \"dials\"\nvia = \"uplink\"\ntoken = %q\n", secret, agentToken))
	base := "http://" + c.Addr().String()
	sends := daemon(t, "sends", fmt.Sprintf("[[forward]]\nname = \"centre\"\nkind = \"webhook\"\nurl = %q\nsecret = %q\n", base+"/v1/push/sends", secret))
	dials := daemon(t, "dials", fmt.Sprintf("[uplink]\nurl = %q\ntoken = %q\n", base, agentToken))
	for _, db := range []*storage.DB{sends, dials} {
		commit(t, db, 0, 300)
	}
	for name, db := range map[string]*storage.DB{"sends": sends, "dials": dials} {
		until(t, name+" is abreast", func() bool { return c.look(t, name).Cursor == int64(db.Head()) })
	}
	if n := one[int](t, c, "SELECT count(*) FROM calls a JOIN calls b USING (id) WHERE a.agent = 'sends' AND b.agent = 'dials' AND a.raw - 'rev' = b.raw - 'rev'"); n != 300 {
		t.Errorf("%d calls are the same", n)
	}
}
