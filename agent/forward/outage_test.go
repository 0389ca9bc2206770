package forward

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"calljournal/storage"
)

var outageEntries = flag.Int("outage", 20_000, "entries that wait while the far side is down; 1,000,000 for the long form")

// pipes is a network inside a bubble: time passes while a connection waits.
type pipes struct {
	conns chan net.Conn
	end   chan struct{}
}

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.end:
		return nil, errDown
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.end:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p pipes) Close() error { return nil }

// Addr implements net.Listener.
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// badSide is a web hook that does everything a far side should not.
type badSide struct {
	t       *testing.T
	verify  *standardwebhooks.Webhook
	poison  []uint64
	mu      sync.Mutex
	luck    *rand.Rand
	down    bool
	taken   map[uint64]int      // how often
	lost    map[uint64]int      // of these, how often the answer was lost
	ids     map[uint64][]string // of the messages that had it
	kinds   map[string]int      // what was done, and how often
	quietly bool                // from now on it behaves
}

func (b *badSide) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	luck, quietly := b.luck.IntN(100), b.quietly
	b.mu.Unlock()
	if !quietly && luck < 50 {
		b.count("500")
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if !quietly && luck < 55 {
		b.count("a byte a second")
		for {
			if _, err := r.Body.Read(make([]byte, 1)); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
	if !quietly && luck < 60 {
		b.count("429")
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if err := b.verify.VerifyIgnoringTimestamp(body, r.Header); err != nil {
		b.t.Error(err)
	}
	var page struct{ Entries []struct{ Seq uint64 } }
	if err := json.Unmarshal(body, &page); err != nil {
		b.t.Error(err)
	}
	for _, e := range page.Entries {
		if slices.Contains(b.poison, e.Seq) {
			b.count("422")
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
	}
	lost := !quietly && luck < 75
	b.mu.Lock()
	for _, e := range page.Entries {
		b.taken[e.Seq]++
		b.ids[e.Seq] = append(b.ids[e.Seq], r.Header.Get("webhook-id"))
		if lost {
			b.lost[e.Seq]++
		}
	}
	b.mu.Unlock()
	switch {
	case lost && luck < 68:
		b.count("took it and never answered")
		<-r.Context().Done()
	case lost:
		b.count("took it and hung up")
		panic(http.ErrAbortHandler)
	case !quietly && luck < 85:
		b.count("acknowledged twice")
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			b.t.Error(err)
			return
		}
		const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
		_, _ = io.WriteString(conn, ok)
		go func() { // the client may not read the second any more
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			_, _ = io.WriteString(conn, ok)
			conn.Close()
		}()
	default:
		b.count("200")
	}
}

func (b *badSide) count(kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kinds[kind]++
}

// Three days without a far side, and then one that does everything wrong: nothing
// is lost, what comes twice is what was not answered for, poison is set aside, and
// the journal goes on all the time.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entries, batch := *outageEntries, 100
		switch {
		case testing.Short():
			entries = min(entries, 3000)
		case entries > 100_000:
			batch = 1000
		}
		r := newRig(t, entries)
		verify, err := standardwebhooks.NewWebhook(hookSecret)
		if err != nil {
			t.Fatal(err)
		}
		far := &badSide{t: t, verify: verify, poison: []uint64{1, 777, 778, uint64(entries)}, luck: rand.New(rand.NewPCG(1, 2)), down: true,
			taken: map[uint64]int{}, lost: map[uint64]int{}, ids: map[uint64][]string{}, kinds: map[string]int{}}
		network := pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: far, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = server.Serve(network)
		}()
		open := func(s Settings, _ *slog.Logger) (Sink, error) {
			sink, err := newWebhook(s, "office", r.db.Journal(), time.Now)
			if err != nil {
				return nil, err
			}
			sink.(*webhook).far.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, n, a string) (net.Conn, error) {
				far.mu.Lock()
				down := far.down
				far.mu.Unlock()
				if down {
					return nil, errDown
				}
				return network.dial(ctx, n, a)
			}
			return sink, nil
		}
		hook := settings(func(s *Settings) {
			s.URL, s.Secret, s.Batch = "http://crm.example/hooks/secret-path", NewSecret(hookSecret), batch
		})
		r.start(open, hook)
		for range 3 * 24 {
			pass(time.Hour)
			r.add(1) // the journal goes on
		}
		if s := r.status(); s.State != StateStuck || s.Lag != uint64(entries+72) {
			t.Fatalf("after three days: %+v", s)
		}
		far.mu.Lock()
		far.down = false
		far.mu.Unlock()
		total := entries + 72
		for hours := 0; r.status().Lag > 0; hours++ {
			pass(time.Hour)
			if hours == 24*365 {
				t.Fatalf("not done after a year: %+v", r.status())
			}
			if hours < 100 {
				r.add(1)
				total++
			}
			if hours%50 == 49 { // and the daemon is started anew now and then
				r.end()
				r.start(open, hook)
			}
		}
		pass(time.Hour)
		dead, err := r.f.Dead("crm")
		if err != nil {
			t.Fatal(err)
		}
		var aside []uint64
		for _, l := range dead {
			aside = append(aside, l.Seq)
		}
		slices.Sort(aside)
		want(t, aside, far.poison)
		doubles := 0
		for seq := uint64(1); seq <= uint64(total); seq++ {
			n := far.taken[seq]
			switch {
			case slices.Contains(far.poison, seq):
				if n != 0 {
					t.Errorf("entry %d is poison and was taken", seq)
				}
			case n == 0:
				t.Fatalf("entry %d is lost", seq)
			case n > 1+far.lost[seq]:
				t.Errorf("entry %d was taken %d times, and only %d answers were lost", seq, n, far.lost[seq])
			case n > 1:
				doubles++
			}
		}
		t.Logf("%d entries, %d of them twice or more, the far side: %v", total, doubles, far.kinds)
		kinds := []string{"200", "500", "429", "422", "a byte a second", "took it and never answered", "took it and hung up", "acknowledged twice"}
		for _, kind := range kinds {
			if far.kinds[kind] == 0 {
				t.Errorf("the far side never did this: %s", kind)
			}
		}
		// A message that was sent again has the id that it had.
		ids := map[string]bool{}
		for _, list := range far.ids {
			if len(slices.Compact(slices.Sorted(slices.Values(list)))) > 1 {
				ids[fmt.Sprint(list)] = true
			}
		}
		if len(ids) > 2*len(far.poison) { // but for the halves of a batch that had poison in it
			t.Errorf("%d messages came again under another id", len(ids))
		}
		r.end()
		close(network.end)
		_ = server.Close()
		<-served
	})
}

// The daemon is killed after the far side has an entry and before that is noted:
// the next run sends the same message, and the far side knows it by its id.
func TestKilledBeforeTheNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 25)
		full := &fullJournal{DB: r.db}
		r.f = New(Options{Agent: "office", Journal: full, Encode: encode, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			Open: func(Settings, *slog.Logger) (Sink, error) { return r.sink, nil }})
		r.sink.set(func(_ context.Context, n int, _ []Entry) error {
			full.set(n == 2) // nothing is noted any more, as after a kill
			return nil
		})
		r.f.Apply([]Settings{settings()})
		synctest.Wait()
		r.end()
		if f := r.saved(); f.Seq != 10 || f.Until != 20 {
			t.Fatalf("%+v", f)
		}
		r.add(30)
		r.sink.set(nil)
		r.start(nil, settings())
		synctest.Wait()
		got := r.sink.taken()
		want(t, got[:30], append(upTo(20), upTo(20)[10:]...))
		want(t, got[30:], upTo(55)[20:])
		if string(r.sink.bodies[1]) != string(r.sink.bodies[2]) {
			t.Error("the second time it is another message")
		}
		r.end()
	})
}

// BenchmarkCommit is the journal's own speed beside forwarders of several kinds:
// the figure that must not change is commits/s.
func BenchmarkCommit(b *testing.B) {
	for _, with := range []string{"alone", "one that hangs", "one that is down", "one at full speed"} {
		b.Run(with, func(b *testing.B) {
			r := newRig(b, 1000)
			sink := &fakeSink{}
			if with == "one that hangs" {
				sink.set(func(ctx context.Context, _ int, _ []Entry) error { <-ctx.Done(); return ctx.Err() })
			}
			if with == "one that is down" {
				sink.set(func(context.Context, int, []Entry) error { return errDown })
			}
			var all []Settings
			if with != "alone" {
				all = append(all, settings(func(s *Settings) { s.Batch = 100 }))
			}
			_ = r.db.Close()
			db, err := storage.Open(r.path, storage.Options{Reserve: -1}) // synced, as in the daemon
			if err != nil {
				b.Fatal(err)
			}
			r.db = db
			r.start(func(Settings, *slog.Logger) (Sink, error) { return sink, nil }, all...)
			b.ResetTimer()
			for i := range b.N {
				batch := &storage.Batch{}
				for range 20 {
					batch.Entries = append(batch.Entries, storage.Entry{Op: storage.OpCall, Call: record(i)})
				}
				if err := r.db.Commit(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.StopTimer()
			<-r.f.End()
		})
	}
}
