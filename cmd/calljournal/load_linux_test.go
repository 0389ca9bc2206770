package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var loadCalls = flag.Int("load", 1000, "how many recordings to play; one has a call or two")

// An office with 100,000 calls in eight hours, eighty times faster than life: two
// PBXs play over their real protocols to the real program. No call is lost, none is there twice,
// and memory and descriptors are at the end what they were early on. The long
// form:
//
//	go test ./cmd/calljournal -run TestLoad -load 100000 -v -timeout 30m
func TestLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("plays for a while")
	}
	const every = 8 * time.Hour / 100_000
	s := newSite(t, t.TempDir(), load{kinds: bothKinds, every: every, speed: 80, tracks: *loadCalls})
	s.start()
	s.following()
	ctx, stop := context.WithCancel(t.Context())
	samples := make(chan []usage, 1)
	go func() { samples <- s.watch(ctx) }()
	began := time.Now()
	played := s.playOut()
	took := time.Since(began)
	stop()
	used := <-samples
	c := s.judge()
	if c.calls != played || c.partial > 0 || c.gaps > 0 {
		t.Errorf("%d calls were played: %+v", played, c)
	}
	early, late, most := used[len(used)/4], used[len(used)-1], usage{}
	for _, u := range used {
		most.memory, most.files = max(most.memory, u.memory), max(most.files, u.files)
	}
	t.Logf("%v of the PBXs' time in %v: %d calls played, %d recorded; memory %d MiB after a quarter, %d at the end, %d at most; descriptors %d, %d, %d",
		time.Duration(*loadCalls)*every, took.Round(time.Second), played, c.calls, early.memory>>20, late.memory>>20, most.memory>>20, early.files, late.files, most.files)
	if late.memory > early.memory*3/2+16<<20 {
		t.Errorf("memory grows: %d MiB after a quarter, %d at the end", early.memory>>20, late.memory>>20)
	}
	if late.files > early.files+5 {
		t.Errorf("descriptors grow: %d after a quarter, %d at the end", early.files, late.files)
	}
	s.end()
}

// usage is what the daemon has taken of the system: memory of its own, without
// the journal that is mapped, and open files.
type usage struct {
	memory int64
	files  int
}

// watch looks at the daemon until ctx ends.
func (s *site) watch(ctx context.Context) (samples []usage) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		u, err := usageOf(s.daemon.Process.Pid)
		if err != nil {
			s.t.Error(err)
			return append(samples, u)
		}
		samples = append(samples, u)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return samples
		}
	}
}

func usageOf(pid int) (u usage, err error) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			if _, err := fmt.Sscan(rest, &u.memory); err != nil {
				return u, err
			}
			u.memory <<= 10
		}
	}
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	u.files = len(files)
	return u, err
}
