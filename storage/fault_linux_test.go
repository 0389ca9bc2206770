package storage

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

var (
	faultStep = flag.Int("faultstep", 14, "inject a fault at every so many-th write or sync; 1: at each")
	kills     = flag.Int("kills", 5, "how often to kill the writer at random moments")
	powerCuts = flag.Int("powercuts", 3, "how many power cuts to make")
)

const (
	writerPath  = "CALLJOURNAL_TEST_WRITER" // the child writes this journal
	writerCalls = "CALLJOURNAL_TEST_CALLS"  // until it has so many calls
	writerLies  = "CALLJOURNAL_TEST_LIES"   // a broken build: "early" acknowledges before the commit, "nosync" never syncs
	perBatch    = 3
)

// TestWriter is no test but the child of those below: it commits the calls of an
// office in order, and says of each batch how far it is safe.
func TestWriter(t *testing.T) {
	path := os.Getenv(writerPath)
	if path == "" {
		return // not a child
	}
	total, err := strconv.Atoi(os.Getenv(writerCalls))
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // strace counts the calls of each thread
	lie := os.Getenv(writerLies)
	d, err := Open(path, Options{Reserve: -1, NoSync: lie == "nosync"})
	if err != nil {
		t.Fatal(err)
	}
	o := newOffice(1)
	for range d.Head() {
		o.call()
	}
	for head := int(d.Head()); head < total; head += perBatch {
		b := callBatch(o, min(perBatch, total-head))
		if lie == "early" {
			fmt.Printf("ack %d\n", head+len(b.Entries))
		}
		for try := 0; ; try++ {
			if err = d.Commit(b); err == nil {
				break
			}
			fmt.Println(err)
			if errors.Is(err, ErrDamaged) || try == 5 {
				t.Fatal(err)
			}
		}
		fmt.Printf("ack %d\n", b.Entries[len(b.Entries)-1].Seq)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// writerCommand makes the command that runs TestWriter, under others if given.
func writerCommand(t *testing.T, path string, calls int, lie string, under ...string) *exec.Cmd {
	args := append(under, os.Args[0], "-test.run=^TestWriter$")
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), writerPath+"="+path, writerCalls+"="+strconv.Itoa(calls), writerLies+"="+lie)
	return cmd
}

// acknowledged is the last number that the child called safe.
func acknowledged(out string) (acked int) {
	for line := range strings.Lines(out) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "ack "); ok {
			acked, _ = strconv.Atoi(n)
		}
	}
	return acked
}

// verify says what is wrong with a journal of which acked calls are promised and
// no more than total were ever made.
func verify(path string, acked, total int) error {
	d, err := Open(path, Options{Reserve: -1})
	if err != nil {
		return err
	}
	defer d.Close()
	if s := d.Stats().Salvaged; s != nil {
		return fmt.Errorf("taken for damaged: %s", s.Reason)
	}
	o := newOffice(1)
	n := 0
	for after := uint64(0); ; {
		p, err := d.Feed(after, 0)
		if err != nil {
			return err
		}
		for _, e := range p.Entries {
			if want, _ := o.call(); e.Call == nil || e.Call.ID != want.ID {
				return fmt.Errorf("entry %d is not call %d", e.Seq, n+1)
			}
			n++
		}
		if after = p.Next; len(p.Entries) == 0 {
			break
		}
	}
	if n < acked || n > total {
		return fmt.Errorf("%d calls, %d were acknowledged and %d made", n, acked, total)
	}
	if r, err := d.Check(); err != nil || r.Damaged > 0 {
		return fmt.Errorf("check: %w, %v", err, r.Damage)
	}
	return nil
}

func needStrace(t *testing.T) {
	t.Helper()
	if err := exec.Command("strace", "-qq", "-o", os.DevNull, "true").Run(); err != nil {
		t.Skipf("needs strace, and the right to use it: %v", err)
	}
}

// faults runs the writer with a fault at each faultStep-th of its first 200 calls
// of a kind, and gives how many there were.
func faults(t *testing.T, calls int, inject string, lie string, judge func(path, out string, err error), also ...string) (hits int) {
	t.Helper()
	step := *faultStep * childrenAreSlow
	for n := 1; n <= 200; n += step {
		dir := t.TempDir()
		path, trace := filepath.Join(dir, "journal.db"), filepath.Join(dir, "trace")
		cmd := writerCommand(t, path, calls, lie, append([]string{"strace", "-f", "-qq", "-o", trace,
			"-e", "trace=pwrite64,fdatasync,fsync,ftruncate", "-e", fmt.Sprintf("inject=%s:when=%d", inject, n)}, also...)...)
		out, err := cmd.Output()
		seen, terr := os.ReadFile(trace)
		if terr != nil {
			t.Fatal(terr)
		}
		if !strings.Contains(string(seen), "(INJECTED)") && !strings.Contains(string(seen), "killed by SIGKILL") {
			break // the writer was done before
		}
		hits++
		judge(path, string(out), err)
		if t.Failed() {
			break
		}
		if n == 1 && step > 2 {
			n = 3 - step // the third sync is the first of a meta page
		}
	}
	return hits
}

// Killed at any write or sync, the journal opens, has every acknowledged call
// once, and goes on.
func TestKilledAtAnyWriteOrSync(t *testing.T) {
	needStrace(t)
	const calls = 90
	judge := func(path, out string, _ error) {
		t.Helper()
		acked := acknowledged(out)
		if err := verify(path, acked, calls); err != nil {
			t.Error(err)
			return
		}
		if out, err := writerCommand(t, path, calls, "").CombinedOutput(); err != nil {
			t.Errorf("going on: %v\n%s", err, out)
		}
		if err := verify(path, calls, calls); err != nil {
			t.Error(err)
		}
	}
	for _, call := range []string{"pwrite64", "fdatasync", "fsync", "ftruncate"} {
		n := faults(t, calls, call+":signal=KILL", "", judge)
		if n == 0 {
			t.Errorf("%s was never called", call)
		}
		t.Logf("killed at %d times of %s", n, call)
	}
}

// The disk reports an error at any write or sync: the batch is committed again,
// and every call is there once, without a restart.
func TestDiskErrorAtAnyWriteOrSync(t *testing.T) {
	needStrace(t)
	const calls = 90
	for _, inject := range []string{"pwrite64:error=EIO", "pwrite64:error=ENOSPC", "fdatasync:error=EIO", "fsync:error=EIO", "ftruncate:error=EIO"} {
		n := faults(t, calls, inject, "", func(path, out string, err error) {
			t.Helper()
			if _, serr := os.Stat(path); serr == nil && strings.Contains(out, "open journal") {
				return // it hit the making of the file: nothing was promised yet
			}
			if err != nil {
				t.Errorf("%s: %v\n%s", inject, err, out)
				return
			}
			if err := verify(path, calls, calls); err != nil {
				t.Errorf("%s: %v\n%s", inject, err, out)
			}
		})
		if n == 0 {
			t.Errorf("%s never happened", inject)
		}
		t.Logf("%s: %d times", inject, n)
	}
}

// The disk does not confirm a commit, and not when it is asked again either: the
// batch is tried until it is known to be there, and is there once.
func TestUnconfirmedCommitIsNeverDoubled(t *testing.T) {
	needStrace(t)
	const calls = 90
	uncertain := 0
	faults(t, calls, "fdatasync:error=EIO", "", func(path, out string, err error) {
		t.Helper()
		if strings.Contains(out, "open journal") {
			return
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		} else if err := verify(path, calls, calls); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if strings.Contains(out, ErrUncertain.Error()) {
			uncertain++
		}
	}, "-e", "inject=fsync:error=EIO:when=2..4") // the first belongs to the making of the file
	if uncertain == 0 {
		t.Error("no commit was ever uncertain")
	}
	t.Logf("%d uncertain commits", uncertain)
}

// Killed at random moments, again and again, the same journal goes on each time.
func TestKilledAtRandomMoments(t *testing.T) {
	const calls = 1_000_000
	path := filepath.Join(t.TempDir(), "journal.db")
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range *kills {
		cmd := writerCommand(t, path, calls, "")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		acked := 0
		for range 1 + rnd.IntN(40) {
			lines.Scan()
			acked = max(acked, acknowledged(lines.Text()))
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it said before it died is promised too
			acked = max(acked, acknowledged(lines.Text()))
		}
		_ = cmd.Wait()
		if err := verify(path, acked, calls); err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
	}
	t.Logf("%d kills", *kills)
}

// These tests can fail: a writer that acknowledges before it commits is
// caught.
func TestKillingCatchesEarlyAcknowledgement(t *testing.T) {
	needStrace(t)
	const calls = 90
	caught := 0
	faults(t, calls, "pwrite64:signal=KILL", "early", func(path, out string, _ error) {
		if verify(path, acknowledged(out), calls) != nil {
			caught++
		}
	})
	if caught == 0 {
		t.Error("nothing was noticed")
	}
}

// cutDisk is an ext4 of its own that can lose its power.
type cutDisk struct{ image, dir string }

func newCutDisk(t *testing.T) *cutDisk {
	t.Helper()
	d := &cutDisk{image: filepath.Join(t.TempDir(), "disk.img"), dir: t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("needs mkfs.ext4: %v %s", err, out)
	}
	if out, err := d.mount(); err != nil {
		t.Skipf("needs to mount a disk of its own, which only root may: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", d.dir).Run() })
	return d
}

func (d *cutDisk) mount() ([]byte, error) {
	return exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput()
}

// cut loses everything that was not synced, and makes the disk fail from then on.
func (d *cutDisk) cut(t *testing.T) {
	t.Helper()
	f, err := os.Open(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const shutdown, noLogFlush = 0x8004587d, uint32(2) // FS_IOC_SHUTDOWN of linux/fs.h
	how := noLogFlush
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		t.Skipf("this kernel cannot cut the power of a disk: %v", errno)
	}
}

func (d *cutDisk) remount(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if out, err := d.mount(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
}

// powerCut runs the writer until it has said a few times that calls are safe,
// cuts the power, and says what is wrong afterwards.
func powerCut(t *testing.T, d *cutDisk, seed int, lie string) error {
	t.Helper()
	const calls = 100_000
	path := filepath.Join(d.dir, fmt.Sprintf("%d.db", seed))
	cmd := writerCommand(t, path, calls, lie)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	acked := 0
	for range 20 + rand.New(rand.NewPCG(uint64(seed), 3)).IntN(60) {
		if !lines.Scan() {
			break
		}
		acked = max(acked, acknowledged(lines.Text()))
	}
	d.cut(t)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// What it said after the cut is not promised: the disk was not there any more.
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	d.remount(t)
	if acked == 0 {
		return errors.New("the writer acknowledged nothing")
	}
	err = verify(path, acked, calls)
	for _, leftover := range []string{path, path + ".reserve"} {
		_ = os.Remove(leftover)
	}
	return err
}

func TestPowerCut(t *testing.T) {
	d := newCutDisk(t)
	for i := range *powerCuts {
		if err := powerCut(t, d, i, ""); err != nil {
			t.Errorf("cut %d: %v", i, err)
		}
	}
	t.Logf("%d cuts", *powerCuts)
}

// The test before can fail: without sync, a cut loses what was acknowledged.
func TestPowerCutCatchesMissingSync(t *testing.T) {
	d := newCutDisk(t)
	if err := powerCut(t, d, 1, "nosync"); err == nil {
		t.Error("nothing was noticed")
	}
}
