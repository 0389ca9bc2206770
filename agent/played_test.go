package agent_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/connectors/replay"
	"calljournal/connectors/replay/judge"
)

// The recordings once more, and now with everything between the PBX's socket
// and the feed's: each is played by a PBX of its own, one daemon is connected
// to all of them, and its feed is judged.

// atOnce is how many PBXs one daemon has here.
const atOnce = 30

func TestPlayed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts daemons")
	}
	for _, kind := range bothKinds {
		all := slices.DeleteFunc(recordings(t, kind), func(r *replay.Recording) bool { return len(r.Stream) > 2_000_000 })
		for _, v := range []struct {
			name    string
			trunks  bool
			options func(*replay.Recording) (o replay.Options, blind []judge.Blind, play bool)
		}{
			{"plain", true, func(*replay.Recording) (o replay.Options, blind []judge.Blind, play bool) { return o, nil, true }},
			{"coalesced", false, func(r *replay.Recording) (o replay.Options, blind []judge.Blind, play bool) {
				o.CoalesceLogin = true
				return o, nil, len(r.Cuts) == 0 && r.Name != "late_connect" && r.Name != "esl_connect_midcall"
			}},
			{"cut", true, cutInTheLongestCall},
		} {
			t.Run(kind+"/"+v.name, func(t *testing.T) {
				var chosen []played
				for _, r := range all {
					if o, blind, play := v.options(r); play {
						chosen = append(chosen, played{Recording: r, options: o, blind: blind})
					}
				}
				for batch := range slices.Chunk(chosen, atOnce) {
					playTogether(t, kind, batch, v.trunks)
				}
			})
		}
	}
}

var linkCuts = flag.Int("linkcuts", 40, "at how many offsets of the recordings to cut the link")

// The link cut anywhere, and healed: each call once, exact where it can be, else
// marked, and none open for ever. The long form:
//
//	go test ./agent -run TestPlayed_CutAnywhere -linkcuts 500
func TestPlayed_CutAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts daemons")
	}
	for _, kind := range bothKinds {
		t.Run(kind, func(t *testing.T) {
			all := slices.DeleteFunc(recordings(t, kind), func(r *replay.Recording) bool { return len(r.Cuts) > 0 || len(r.Stream) > 600_000 })
			var chosen []played
			for n := range *linkCuts / 2 {
				chosen = append(chosen, cutAt(t, all[n%len(all)], n, math.Mod(float64(n/len(all))*0.618+float64(n%len(all))*0.382, 1)))
			}
			for batch := range slices.Chunk(chosen, atOnce) {
				playTogether(t, kind, batch, true)
			}
			t.Logf("%d cuts in %d recordings", len(chosen), len(all))
		})
	}
}

// cutAt breaks the line for 0.6 s at a share of the time from the first call on.
func cutAt(t *testing.T, r *replay.Recording, n int, share float64) played {
	t.Helper()
	e, err := judge.Read(r.Expect)
	if err != nil {
		t.Fatal(err)
	}
	at := e.ZeroMs + share*(float64(r.Duration())/1e6-e.ZeroMs)
	const down = 600
	return played{Recording: r, pbx: fmt.Sprintf("cut-%d", n), unseenStart: true, blind: []judge.Blind{{FromMs: at, ToMs: at + down}},
		options: replay.Options{Cuts: []replay.Cut{{At: time.Duration(at * 1e6), Down: down * time.Millisecond}}}}
}

// cutInTheLongestCall breaks the line once, for 0.6 s of the recording's time.
func cutInTheLongestCall(r *replay.Recording) (o replay.Options, blind []judge.Blind, play bool) {
	expect, err := judge.Read(r.Expect)
	if err != nil || len(r.Cuts) > 0 || r.Duration() < 3*time.Second {
		return o, nil, false
	}
	h := fnv.New32a()
	h.Write([]byte(r.Name))
	share := 0.3 + 0.4*float64(h.Sum32())/(1<<32)
	var at, longest float64
	for _, c := range expect.Calls {
		total, _ := c["total_ms"].(float64)
		if start, _ := c["start_ms"].(float64); total > longest {
			at, longest = expect.ZeroMs+start+total*share, total
		}
	}
	if longest == 0 {
		return o, nil, false
	}
	const down = 600
	o.Cuts = []replay.Cut{{At: time.Duration(at * 1e6), Down: down * time.Millisecond}}
	return o, []judge.Blind{{FromMs: at, ToMs: at + down}}, true
}

type played struct {
	*replay.Recording
	options replay.Options
	blind   []judge.Blind
	pbx     string // its name in the configuration
	// unseenStart: of a call that began while nobody could see it the direction
	// and the parties may be wrong, if the record says that its start was unseen.
	unseenStart bool
}

var notPlain = regexp.MustCompile(`[^a-z0-9-]+`)

// playTogether plays recordings to one daemon and judges its feed.
func playTogether(t *testing.T, kind string, batch []played, trunks bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, len(batch)+1)
	running := 0
	run := func(f func(context.Context) error) {
		running++
		go func() { ended <- f(ctx) }()
	}
	defer func() {
		cancel()
		for range running {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()

	dir := t.TempDir()
	text := fmt.Sprintf("[agent]\nname = \"test\"\ndata_dir = %q\nsocket = %q\n[http]\nlisten = \"127.0.0.1:0\"\n"+
		"[[http.token]]\nname = \"central\"\nscope = \"sync\"\ntoken = \"a token for the test\"\n", filepath.Join(dir, "data"), filepath.Join(shortFolder(t), "c.sock"))
	var programmes []*replay.Server
	for i := range batch {
		p := &batch[i]
		if p.pbx == "" {
			p.pbx = strings.Trim(notPlain.ReplaceAllString(strings.ToLower(p.Name), "-"), "-")
		}
		o := p.options
		o.User, o.Secret, o.Unpaced, o.Lead = "calljournal", "s3cret of the test", true, 50*time.Millisecond
		s, err := replay.Listen(kind, replay.Once(p.Recording), o)
		if err != nil {
			t.Fatal(err)
		}
		programmes = append(programmes, s)
		run(s.Run)
		text += fmt.Sprintf("[[pbx]]\nname = %q\nkind = %q\naddress = %q\nsecret = \"s3cret of the test\"\n", p.pbx, kind, s.Addr())
		if kind == replay.Asterisk {
			text += "username = \"calljournal\"\n"
		}
		if trunks {
			text += fmt.Sprintf("trunks = [%q]\n", trackerOptions(kind, usual).Trunks[0])
		}
	}
	c, err := config.Parse("", []byte(text), config.OSEnv())
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	run(a.Run)
	patience, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	for i, s := range programmes {
		select {
		case <-s.Done():
		case <-patience.Done():
			t.Fatalf("%s was not played to its end", batch[i].Name)
		}
	}

	// Everything has been said; the feed gets right by itself, or never.
	reader := feedReader{url: "http://" + a.Addr().String() + "/v1/sync", calls: map[string]judge.Record{}, gaps: map[string]int{}}
	for {
		if err := reader.read(patience); err != nil {
			t.Fatal(err)
		}
		wrong := reader.wrong(t, batch)
		if live, err := a.Live(ctx); err != nil || len(live) > 0 {
			wrong = append(wrong, fmt.Sprintf("%d calls are still open, %v", len(live), err))
		}
		if len(wrong) == 0 {
			return
		}
		if patience.Err() != nil || reader.quiet > 5 {
			t.Error(strings.Join(wrong, "\n"))
			return
		}
	}
}

// feedReader follows the sync feed.
type feedReader struct {
	url   string
	next  uint64
	calls map[string]judge.Record
	gaps  map[string]int
	quiet int // reads in a row that brought nothing
}

// read takes in the next page; it waits a second for one.
func (f *feedReader) read(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s?after=%d&wait=1", f.url, f.next), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer a token for the test")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var page struct {
		Next    uint64
		Entries []struct {
			Seq  uint64
			Op   string
			ID   string
			Call judge.Record
			Gap  *call.Gap
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("read the feed: %s, %w", resp.Status, err)
	}
	f.quiet++
	for _, e := range page.Entries {
		f.quiet = 0
		if f.next++; e.Seq != f.next {
			return fmt.Errorf("entry %d where %d was due", e.Seq, f.next)
		}
		switch e.Op {
		case "call":
			f.calls[fmt.Sprint(e.Call["id"])] = e.Call
		case "delete":
			delete(f.calls, e.ID)
		case "gap":
			f.gaps[e.Gap.PBX]++
		}
	}
	return nil
}

// wrong gives the verdicts that are not exact.
func (f *feedReader) wrong(t *testing.T, batch []played) (out []string) {
	t.Helper()
	records := map[string][]judge.Record{}
	for _, c := range f.calls {
		pbx := fmt.Sprint(c["pbx"])
		records[pbx] = append(records[pbx], c)
	}
	for _, p := range batch {
		expect, err := judge.Read(p.Expect)
		if err != nil {
			t.Fatal(err)
		}
		v := judge.Judge(expect, records[p.pbx], judge.WithBlind(p.blind...), judge.WithGaps(f.gaps[p.pbx]))
		if p.unseenStart {
			v.Calls = slices.DeleteFunc(v.Calls, func(c judge.CallVerdict) bool {
				doubts, _ := f.calls[c.ID]["doubts"].([]any)
				return slices.Contains(doubts, any(call.DoubtStartUnseen)) && !c.Spurious && !slices.ContainsFunc(c.Wrong, func(m judge.Mismatch) bool {
					return m.Field != "direction" && m.Field != "from" && m.Field != "to"
				})
			})
		}
		if !v.Exact() {
			out = append(out, fmt.Sprintf("%v, blind %v", v, p.blind))
		}
	}
	return out
}

// shortFolder is for a socket: its path may have a hundred bytes.
func shortFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}
