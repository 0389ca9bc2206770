package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/connectors/replay"
)

var kills = flag.Int("kills", 4, "how often to kill the daemon")

var bothKinds = []string{replay.Asterisk, replay.FreeSWITCH}

// following runs the follower of a site until the test ends.
func (s *site) following() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.follow.run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// The control of those below: without a fault every call is recorded, once, and
// whole.
func TestNoFault(t *testing.T) {
	if testing.Short() {
		t.Skip("plays for a while")
	}
	s := newSite(t, t.TempDir(), load{kinds: bothKinds, every: 200 * time.Millisecond, speed: 20, tracks: 200})
	s.start()
	s.following()
	played := s.playOut()
	c := s.judge()
	t.Logf("%d calls played: %+v", played, c)
	if c.calls != played || c.partial > 0 || c.gaps > 0 {
		t.Errorf("%d calls were played: %+v", played, c)
	}
	s.end()
}

// Killed at random moments while calls come in, the daemon goes on each time:
// what the feed has shown is there, once, and no call is in two records.
func TestKilledWhileCallsComeIn(t *testing.T) {
	if testing.Short() {
		t.Skip("plays for a while")
	}
	s := newSite(t, t.TempDir(), load{kinds: bothKinds, every: 200 * time.Millisecond, speed: 20})
	s.following()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range *kills {
		s.start()
		time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
		s.kill()
	}
	s.start()
	s.await("both links are up", func(st api.Status, err error) bool {
		return err == nil && st.Links[0].State == api.LinkUp && st.Links[1].State == api.LinkUp
	})
	s.enough()
	played := s.playOut()
	st, err := s.client.Status(t.Context())
	if err != nil || st.Journal.Salvaged != "" {
		t.Errorf("the journal was taken for damaged: %q, %v", st.Journal.Salvaged, err)
	}
	c := s.judge()
	if c.gaps == 0 || c.calls == 0 || c.calls > played {
		t.Errorf("%d calls were played: %+v", played, c)
	}
	t.Logf("%d kills, %d calls played: %d recorded, %d of them partial, %d gaps", *kills, played, c.calls, c.partial, c.gaps)
	s.end()
}

// The disk is full while calls come in: what is in the journal can be read,
// status is red and says how much room there is, the events wait in memory, and
// when there is room again the daemon goes on by itself, without a loss. What
// happens when memory does not last is in package agent.
func TestDiskFullWhileCallsComeIn(t *testing.T) {
	if testing.Short() {
		t.Skip("plays for a while")
	}
	disk := smallDisk(t, 24<<20)
	s := newSite(t, filepath.Join(disk, "data"), load{kinds: bothKinds, every: 250 * time.Millisecond, speed: 50})
	s.following()
	s.start()
	s.await("calls are recorded", func(st api.Status, err error) bool { return err == nil && st.Journal.Calls > 20 })
	ballast(t, disk)
	stuck := s.await("nothing can be written", func(st api.Status, err error) bool { return err == nil && st.Journal.Stuck != nil })
	had := s.follow.has()
	code, said := s.run("status")
	if code != exitDegraded || !strings.Contains(said, "no room left") || !freeOnDisk.MatchString(said) {
		t.Errorf("status: exit code %d\n%s", code, said)
	}
	s.readable(had)
	waited := uint64(0)
	s.await("events wait in memory", func(st api.Status, err error) bool {
		for _, l := range st.Links {
			waited = max(waited, l.QueueBytes)
		}
		return err == nil && waited > 64<<10
	})
	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	again := s.writtenAgain()
	s.enough()
	played := s.playOut()
	c := s.judge()
	t.Logf("stuck %v after the disk was full, %d KiB of a link waited in memory, written again after %v; %d calls played: %+v", stuck, waited>>10, again, played, c)
	if c.calls != played || c.partial > 0 || c.gaps > 0 {
		t.Errorf("%d calls were played: %+v", played, c)
	}
	s.end()
}

var freeOnDisk = regexp.MustCompile(`\d+(\.\d [MG]iB| bytes) are free on the disk`)

// readable reads the feed from its beginning, which must have at least what was
// shown before.
func (s *site) readable(had uint64) {
	s.t.Helper()
	page, err := readFeed(context.Background(), s.url, 0, 0)
	if err != nil || uint64(len(page.Entries)) < min(had, 2000) {
		s.t.Errorf("the feed from its beginning: %d entries of %d, %v", len(page.Entries), had, err)
	}
}

// writtenAgain waits until the daemon has found out by itself that it can write.
func (s *site) writtenAgain() time.Duration {
	s.t.Helper()
	took := s.await("the journal can be written", func(st api.Status, err error) bool { return err == nil && st.Journal.Stuck == nil })
	if took > 10*time.Second {
		s.t.Errorf("written again after %v", took)
	}
	return took
}

// smallDisk is a file system of its own.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("needs to mount a disk of its own, which only root may: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	return dir
}

// ballast takes all that is free on a disk.
func ballast(t *testing.T, disk string) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// The disk reports an error at every sync for a while: nothing is acknowledged
// that it did not confirm, and when it works again the daemon goes on by itself,
// without a loss.
func TestDiskErrorsWhileCallsComeIn(t *testing.T) {
	if testing.Short() {
		t.Skip("plays for a while")
	}
	if err := exec.Command("strace", "-qq", "-o", os.DevNull, "true").Run(); err != nil {
		t.Skipf("needs strace, and the right to use it: %v", err)
	}
	s := newSite(t, t.TempDir(), load{kinds: bothKinds, every: 500 * time.Millisecond, speed: 50})
	s.following()
	s.start()
	s.await("calls are recorded", func(st api.Status, err error) bool { return err == nil && st.Journal.Calls > 20 })
	fault := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO", "-p", strconv.Itoa(s.daemon.Process.Pid))
	if err := fault.Start(); err != nil {
		t.Fatal(err)
	}
	defer fault.Process.Kill()
	s.await("nothing can be written", func(st api.Status, err error) bool { return err == nil && st.Journal.Stuck != nil })
	code, said := s.run("status")
	// Which of the two it says depends on the sync that was hit: of a commit, or of the file that grows.
	if code != exitDegraded || !strings.Contains(said, "the disk did not confirm the write") && !strings.Contains(said, "input/output error") {
		t.Errorf("status: exit code %d\n%s", code, said)
	}
	had := s.follow.has()
	time.Sleep(2 * time.Second)
	s.readable(had)
	if err := fault.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = fault.Wait()
	again := s.writtenAgain()
	s.enough()
	played := s.playOut()
	c := s.judge()
	t.Logf("written again after %v; %d calls played: %+v", again, played, c)
	if c.calls != played || c.partial > 0 || c.gaps > 0 {
		t.Errorf("%d calls were played: %+v", played, c)
	}
	s.end()
}

// The journal is damaged while the daemon runs: whoever comes upon it is told,
// status is red and says that a restart helps, and it does: the file is set aside
// and what can be read is in a new journal.
func TestDamagedWhileItRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("plays for a while")
	}
	s := newSite(t, t.TempDir(), load{kinds: []string{replay.Asterisk}, every: 200 * time.Millisecond, speed: 50, tracks: 100})
	s.following()
	s.start()
	s.playOut()
	path := filepath.Join(s.data, "journal.db")
	old, head := s.follow.journal, s.follow.has()
	if n := damageFeed(t, path, head); n == 0 {
		t.Fatal("no page of the feed was found")
	}
	if _, err := readFeed(t.Context(), s.url, 0, 0); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("the damaged feed: %v", err)
	}
	code, said := s.run("status")
	if code != exitDegraded || !strings.Contains(said, "journal: damaged") || !strings.Contains(said, "calljournal service restart") {
		t.Errorf("status: exit code %d\n%s", code, said)
	}
	if code, said := s.run("check"); code != exitFailed || !strings.Contains(said, "damaged: feed") || !strings.Contains(said, "Try: calljournal service restart") {
		t.Errorf("check: exit code %d\n%s", code, said)
	}
	s.end()
	s.startsAnew(path, old)
	s.end()
}

// damageFeed spoils the first value of each page of the feed, and gives how many
// pages that were. It knows a page of bbolt by its header and its first key.
func damageFeed(t *testing.T, path string, head uint64) (n int) {
	t.Helper()
	const page, leaf = 4096, 2
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, page)
	for at := int64(2 * page); ; at += page {
		if _, err := f.ReadAt(b, at); err != nil {
			return n
		}
		// id 8, flags 2, count 2, overflow 4; then flags, position, key size, value size
		first := b[16:]
		pos, key, value := binary.NativeEndian.Uint32(first[4:]), binary.NativeEndian.Uint32(first[8:]), binary.NativeEndian.Uint32(first[12:])
		from := uint64(16) + uint64(pos)
		if binary.NativeEndian.Uint16(b[8:]) != leaf || key != 8 || from+8+4 > page || value < 200 {
			continue
		}
		if seq := binary.BigEndian.Uint64(b[from:]); seq == 0 || seq > head {
			continue
		}
		b[from+8+3] ^= 0x40
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
		n++
	}
}

// startsAnew starts the daemon on a damaged journal: it must run, under a new id,
// with the old file beside it, and the next start must find nothing amiss.
func (s *site) startsAnew(path, old string) {
	s.t.Helper()
	s.start()
	st, err := s.client.Status(context.Background())
	if err != nil || st.Journal.ID == old || st.Journal.Salvaged == "" {
		s.t.Errorf("after a new start: journal %s after %s, %q, %v", st.Journal.ID, old, st.Journal.Salvaged, err)
	}
	if aside, err := filepath.Glob(path + ".damaged-*"); err != nil || len(aside) != 1 {
		s.t.Errorf("set aside: %q, %v", aside, err)
	}
	req, err := http.NewRequest(http.MethodGet, s.url+"/v1/sync?after=1&journal="+old, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+siteToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusGone {
		s.t.Errorf("a reader of the old journal: %s", resp.Status)
	}
	s.kill()
	s.start()
	again, err := s.client.Status(context.Background())
	if err != nil || again.Journal.ID != st.Journal.ID {
		s.t.Errorf("the next start: journal %s after %s, %v", again.Journal.ID, st.Journal.ID, err)
	}
	if code, said := s.run("check"); code != exitWell {
		s.t.Errorf("check after all: exit code %d\n%s", code, said)
	}
}

// A journal that is damaged when the daemon starts does not keep it from running,
// whatever became of the file.
func TestDamagedAtTheStart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts daemons")
	}
	for name, hurt := range map[string]func([]byte) []byte{
		"noise": func(b []byte) []byte {
			rnd := rand.New(rand.NewPCG(3, 4))
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			return b
		},
		"cut off":    func(b []byte) []byte { return b[:40<<10] },
		"zeros":      func(b []byte) []byte { clear(b[:40<<10]); return b },
		"other file": func([]byte) []byte { return []byte("this is no journal\n") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, t.TempDir(), load{kinds: []string{replay.Asterisk}, every: time.Second, speed: 50, tracks: 3})
			s.following()
			s.start()
			s.playOut()
			s.end()
			path := filepath.Join(s.data, "journal.db")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, hurt(b), 0o600); err != nil {
				t.Fatal(err)
			}
			s.startsAnew(path, s.follow.journal)
			s.end()
		})
	}
}
