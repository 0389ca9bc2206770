package collect_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/storage"
)

var feed = flag.Int("feed", 2000, "how many entries TestFeed_Speed pulls")

// The feed, pulled page by page, beside psql COPY of the same calls and beside the
// same bytes as a plain file over HTTP, all in one run. It tells the figures; that
// the feed is whole is what is judged.
func TestFeed_Speed(t *testing.T) {
	dsn, _ := database(t)
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("there is no psql on this machine (package postgresql-client)")
	}
	dir := t.TempDir()
	db, err := storage.Open(filepath.Join(dir, "journal.db"), storage.Options{Agent: "office", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for n := 0; n < *feed; {
		var b storage.Batch
		for ; n < *feed && len(b.Entries) < 2000; n++ {
			b.Entries = append(b.Entries, storage.Entry{Op: storage.OpCall, Call: longRecord(n)})
		}
		if err := db.Commit(&b); err != nil {
			t.Fatal(err)
		}
	}
	agent := api.New(api.Options{Agent: "office", Version: "test", Store: db, Logger: quiet(), Now: time.Now})
	agent.SetTokens([]api.Token{api.NewToken("centre", api.ScopeSync, agentToken)})
	base := serve(t, api.HTTPServer(agent.Network(), quiet()))
	defer agent.End()
	c := startCentre(t, dsn, fmt.Sprintf("page = 5000\n[[agent]]\nname = \"office\"\nurl = %q\ntoken = %q\n", base, agentToken))
	began := time.Now()
	for c.look(t, "office").Cursor < int64(*feed) { // as long as the test may take
		time.Sleep(20 * time.Millisecond)
	}
	stored := time.Since(began)
	c.end()

	// COPY the records alone, which is less than the table, and the whole table.
	copied := func(what string) time.Duration {
		cmd := exec.Command(psql, "-X", "-q", dsn, "-c", "COPY "+what+" TO STDOUT")
		cmd.Stdout, cmd.Stderr = nil, os.Stderr // nil is the null device
		began := time.Now()
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	ask := func(to string, w io.Writer) int64 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+agentToken)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n, err := io.CopyBuffer(w, struct{ io.Reader }{resp.Body}, make([]byte, 256<<10))
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status, err)
		}
		return n
	}
	pull := func(w io.Writer) (size int64) {
		for after := 0; after < *feed; after += 5000 {
			size += ask(fmt.Sprintf("%s/v1/sync?limit=5000&after=%d", base, after), w)
		}
		return size
	}
	file, err := os.Create(filepath.Join(dir, "feed.json"))
	if err != nil {
		t.Fatal(err)
	}
	var whole counter
	size := pull(io.MultiWriter(file, &whole))
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if whole.entries != *feed {
		t.Errorf("the feed has %d entries of %d", whole.entries, *feed)
	}
	plain := serve(t, &http.Server{Handler: http.FileServer(http.Dir(dir))})

	// Each three times, in turn, the best of each: others may be using this machine.
	var pulled, served, records, table best
	for range 3 {
		pulled.of(func() { pull(io.Discard) })
		served.of(func() { ask(plain+"/feed.json", io.Discard) })
		records.took(copied("(SELECT raw FROM calls)"))
		table.took(copied("calls"))
	}
	rate := func(d best) string {
		return fmt.Sprintf("%8v  %9.0f entries/s  %6.0f MB/s", time.Duration(d).Round(time.Millisecond), float64(*feed)/time.Duration(d).Seconds(), float64(size)/1e6/time.Duration(d).Seconds())
	}
	t.Logf("%d entries, %.0f MB as JSON; collect stored them in %v\nfeed pulled       %s\nplain file        %s\nCOPY raw          %s\nCOPY calls        %s\nthe feed is at %.2f of COPY raw's time, %.2f of COPY calls', and has %.2f of the file's speed",
		*feed, float64(size)/1e6, stored.Round(time.Millisecond), rate(pulled), rate(served), rate(records), rate(table),
		float64(pulled)/float64(records), float64(pulled)/float64(table), float64(served)/float64(pulled))
}

// best keeps the shortest of several times.
type best time.Duration

func (b *best) took(d time.Duration) {
	if *b == 0 || best(d) < *b {
		*b = best(d)
	}
}

func (b *best) of(work func()) {
	began := time.Now()
	work()
	b.took(time.Since(began))
}

// counter counts entries in what is written to it.
type counter struct {
	entries int
	tail    []byte
}

func (c *counter) Write(p []byte) (int, error) {
	mark := []byte(`{"seq":`)
	all := append(c.tail, p...)
	c.entries += bytes.Count(all, mark)
	c.tail = bytes.Clone(all[max(0, len(all)-len(mark)+1):])
	return len(p), nil
}

func serve(t *testing.T, s *http.Server) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}

// longRecord is a call with three legs, as most are.
func longRecord(n int) *call.Record {
	r := testRecord(n, 1, call.StatusAnswered)
	leg := r.Legs[0]
	text, ms := "101", int64(2900)
	leg.Number, leg.Extension, leg.Employee, leg.Department = &text, &text, r.From.Name, r.From.Name
	leg.RingMs, leg.TalkMs, leg.Cause, leg.EndedAt = &ms, &ms, r.Cause, r.EndedAt
	r.Legs = []call.Leg{leg, leg, leg}
	r.Timeline = []call.Span{{Kind: "ring", From: r.StartedAt, To: r.EndedAt}, {Kind: "talk", From: r.StartedAt, To: r.EndedAt, Party: &text}}
	return r
}
