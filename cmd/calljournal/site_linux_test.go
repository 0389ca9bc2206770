package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/connectors/replay"
	"calljournal/connectors/replay/judge"
)

// site is the program as an administrator has it: the real binary with a
// configuration and a folder for its journal, PBXs of both kinds beside it, and a
// central server that follows the feed over HTTP.
type site struct {
	t      *testing.T
	data   string // folder of the journal
	config string
	url    string
	client *api.Client
	pbxs   []*sitePBX
	daemon *exec.Cmd
	exited chan error
	stderr string // file, of all its runs
	follow *follower
}

// sitePBX plays recorded calls until it is told that it is enough.
type sitePBX struct {
	*replay.Server
	enough atomic.Bool
	tracks atomic.Int64 // recordings begun
	calls  atomic.Int64 // in them
}

// load is how much the PBXs of a site have to do.
type load struct {
	kinds  []string
	every  time.Duration // a recording begins, in the PBX's time
	speed  float64
	tracks int // recordings in all; 0: until told
}

const (
	siteToken  = "a token for this test"
	siteSecret = "of-the-pbx"
)

// newSite makes a site whose journal lies in the folder data, and starts its
// PBXs; they begin to play when the daemon has connected.
func newSite(t *testing.T, data string, l load) *site {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(shortFolder(t), "c.sock")
	address := fmt.Sprintf("127.0.0.1:%d", freePort())
	s := &site{t: t, data: data, config: filepath.Join(dir, "c.toml"), url: "http://" + address, client: api.NewClient(socket), stderr: filepath.Join(dir, "log")}
	text := fmt.Sprintf("[agent]\nname = \"office\"\ndata_dir = %q\nsocket = %q\n[http]\nlisten = %q\n[[http.token]]\nname = \"central\"\nscope = \"admin\"\ntoken = %q\n",
		data, socket, address, siteToken)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		s.client.Close()
	})
	for i, kind := range l.kinds {
		p, err := newSitePBX(kind, l, uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		s.pbxs = append(s.pbxs, p)
		running.Go(func() {
			if err := p.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		text += fmt.Sprintf("[[pbx]]\nname = %q\nkind = %q\naddress = %q\nusername = \"calljournal\"\nsecret = %q\n", kind, kind, p.Addr(), siteSecret)
	}
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.follow = newFollower(s.url)
	return s
}

func shortFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "s") // a socket's path may have a hundred bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func newSitePBX(kind string, l load, seed uint64) (*sitePBX, error) {
	recordings, err := replay.Demo(kind)
	if err != nil {
		return nil, err
	}
	calls := map[*replay.Recording]int64{}
	for _, r := range recordings {
		e, err := judge.Read(r.Expect)
		if err != nil {
			return nil, err
		}
		calls[r] = int64(len(e.Calls))
	}
	loop, err := replay.Loop(recordings, l.every*time.Duration(len(l.kinds)), seed)
	if err != nil {
		return nil, err
	}
	p := &sitePBX{}
	p.Server, err = replay.Listen(kind, func() (replay.Track, bool) {
		if n := p.tracks.Load(); p.enough.Load() || l.tracks > 0 && n >= int64(l.tracks/len(l.kinds)) {
			return replay.Track{}, false
		}
		t, ok := loop()
		p.tracks.Add(1)
		p.calls.Add(calls[t.Recording])
		return t, ok
	}, replay.Options{User: "calljournal", Secret: siteSecret, Speed: l.speed, Lead: 250 * time.Millisecond})
	return p, err
}

// start runs the program, under others if given, and waits until it answers.
func (s *site) start(under ...string) {
	s.t.Helper()
	args := append(under, "calljournal", "run", "--config", s.config)
	s.daemon = exec.Command(args[0], args[1:]...)
	log, err := os.OpenFile(s.stderr, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.daemon.Stderr = log
	s.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.daemon.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan error, 1)
	s.exited = exited
	go func(d *exec.Cmd) { exited <- d.Wait() }(s.daemon)
	s.t.Cleanup(func() { _ = s.daemon.Process.Kill() })
	s.await("the daemon answers", func(st api.Status, err error) bool { return err == nil })
}

// end asks the program to end, and waits for it.
func (s *site) end() {
	s.t.Helper()
	if err := s.daemon.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := <-s.exited; err != nil {
		s.t.Errorf("the end: %v\n%s", err, s.log())
	}
}

// kill is kill -9.
func (s *site) kill() {
	s.t.Helper()
	if err := s.daemon.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.exited
}

// log is the end of what the program has said.
func (s *site) log() string {
	b, err := os.ReadFile(s.stderr)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(b), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// await asks for the status until it is as wanted, and says how long that took.
func (s *site) await(what string, as func(api.Status, error) bool) time.Duration {
	s.t.Helper()
	const patience = 60 * time.Second
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		st, err := s.client.Status(context.Background())
		if as(st, err) {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			s.t.Fatalf("not within %v: %s; status: %+v, %v\n%s", patience, what, st, err, s.log())
		}
	}
}

// run is a verb of the program; it gives the exit code and what it said.
func (s *site) run(args ...string) (code int, said string) {
	s.t.Helper()
	out, err := exec.Command("calljournal", append(args, "--config", s.config)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return code, string(out)
}

// enough lets the PBXs come to their end.
func (s *site) enough() {
	for _, p := range s.pbxs {
		p.enough.Store(true)
	}
}

// playOut waits until the PBXs have come to their end, no call is open and the
// follower has all of the feed. It gives how many calls they had in all.
func (s *site) playOut() (calls int) {
	s.t.Helper()
	for _, p := range s.pbxs {
		select {
		case <-p.Done():
		case <-time.After(20 * time.Minute):
			s.t.Fatal("a PBX did not come to its end")
		}
		calls += int(p.calls.Load())
	}
	quiet, head := 0, uint64(0)
	s.await("no call is open", func(st api.Status, err error) bool {
		if err != nil || st.OpenCalls > 0 || st.Journal.Head != head {
			quiet, head = 0, st.Journal.Head
			return false
		}
		quiet++
		return quiet > 50 && s.follow.has() == head
	})
	return calls
}

// follower is a central server: it reads the feed whenever it can, and keeps all
// that it was shown.
type follower struct {
	url string

	mu      sync.Mutex
	journal string
	entries []string // as they came; the first has the number 1
	wrong   error    // the first thing that may not happen
}

func newFollower(url string) *follower { return &follower{url: url} }

func (f *follower) has() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return uint64(len(f.entries))
}

// run follows until ctx ends. That nobody answers is no fault.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		page, err := readFeed(ctx, f.url, f.has(), 1)
		if err != nil {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		f.take(page)
	}
}

func (f *follower) take(page feedPage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.journal == "" {
		f.journal = page.Journal
	}
	if f.wrong == nil && f.journal != page.Journal {
		f.wrong = fmt.Errorf("the journal was %s and is now %s", f.journal, page.Journal)
	}
	for _, e := range page.Entries {
		f.entries = append(f.entries, string(e))
	}
	if f.wrong == nil && uint64(len(f.entries)) != page.Next {
		f.wrong = fmt.Errorf("%d entries up to number %d", len(f.entries), page.Next)
	}
}

type feedPage struct {
	Journal string            `json:"journal"`
	Next    uint64            `json:"next"`
	Entries []json.RawMessage `json:"entries"` // as they came
}

func readFeed(ctx context.Context, url string, after uint64, wait int) (page feedPage, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/v1/sync?after=%d&limit=2000&wait=%d", url, after, wait), nil)
	if err != nil {
		return page, err
	}
	req.Header.Set("Authorization", "Bearer "+siteToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return page, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return page, fmt.Errorf("GET /v1/sync: %s", resp.Status)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return page, err
	}
	return page, json.Unmarshal(b, &page)
}

// counted is what a feed amounts to.
type counted struct {
	calls, partial, gaps int
}

// judge reads the feed once more from its beginning: it must hold, number by
// number, what the follower was shown; each call of the PBX must be in one record
// only.
func (s *site) judge() (c counted) {
	s.t.Helper()
	if s.follow.wrong != nil {
		s.t.Error(s.follow.wrong)
	}
	again := newFollower(s.url)
	for {
		page, err := readFeed(context.Background(), s.url, again.has(), 0)
		if err != nil {
			s.t.Fatal(err)
		}
		again.take(page)
		if len(page.Entries) == 0 {
			break
		}
	}
	if again.wrong != nil {
		s.t.Error(again.wrong)
	}
	for i, e := range s.follow.entries {
		if i >= len(again.entries) || again.entries[i] != e {
			s.t.Errorf("entry %d was shown and is not there any more as it was", i+1)
			break
		}
	}
	type entry struct {
		Seq  uint64
		Op   string
		ID   string
		Call *call.Record
	}
	calls, of := map[string]*call.Record{}, map[string]string{}
	for i, text := range again.entries {
		var e entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			s.t.Fatal(err)
		}
		if e.Seq != uint64(i+1) {
			s.t.Fatalf("entry %d has the number %d", i+1, e.Seq)
		}
		switch e.Op {
		case "call":
			if old := calls[e.Call.ID]; old != nil && old.Rev >= e.Call.Rev {
				s.t.Errorf("%s: rev %d after rev %d", e.Call.ID, e.Call.Rev, old.Rev)
			}
			calls[e.Call.ID] = e.Call
		case "delete":
			delete(calls, e.ID)
		case "gap":
			c.gaps++
		}
	}
	for id, r := range calls {
		c.calls++
		// The PBXs' clock runs faster than ours here: a call in which nothing was
		// said for a while rightly takes that for a clock that was set.
		if slices.ContainsFunc(r.Doubts, func(doubt string) bool { return doubt != call.DoubtClockStepped }) {
			c.partial++
		}
		for _, pbxID := range r.PBXIDs {
			key := r.PBX + " " + pbxID
			if other, taken := of[key]; taken {
				s.t.Errorf("%s is in two records: %s and %s", key, other, id)
			}
			of[key] = id
		}
	}
	return c
}
