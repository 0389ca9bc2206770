package agent_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var mutants = flag.Bool("mutants", false, "build deliberately broken programs; the tests must notice each")

// mutant is a program with one promise broken, and the test that must fail for
// it. It is made of the real source by replacing one text, so that it follows the
// code; a text that is not there any more is an error.
type mutant struct {
	breaks    string
	file      string
	pkg, test string // what must fail
	flags     []string
	old, new  string
}

// quietRapid: what a broken program gets wrong is not worth keeping.
var quietRapid = []string{"-rapid.nofailfile", "-rapid.shrinktime", "1s"}

var allMutants = []mutant{
	{
		breaks: "acknowledged before it is committed", file: "agent/commit.go", pkg: "./agent", test: "TestAgent_DiskFullAndBack",
		old: "		err := a.books.put(g.batch)\n		if err == nil {\n",
		new: "		err := a.books.put(g.batch)\n		if err == nil || !hopeless(err) {\n",
	},
	{
		breaks: "the feed shows what the disk has not confirmed", file: "storage/feed.go", pkg: "./storage", test: "TestFeedShowsOnlyWhatTheDiskConfirmed",
		old: "			if seq > t.Head {\n				break // not confirmed by the disk yet\n			}\n", new: "",
	},
	{
		breaks: "a forwarder's cursor moves before it has sent", file: "agent/forward/runner.go", pkg: "./agent/forward", test: "TestRunner_ResendsTheSameBytes",
		old: "		err := r.send(abort, pending[:n])\n", new: "		r.advance(nil)\n		err := r.send(abort, pending[:n])\n",
	},
	{
		breaks: "a gap of the link is not told", file: "agent/ingest.go", pkg: "./agent", test: "TestAgent_CutLink",
		old: "		b.Entries = append(b.Entries, storage.Entry{Op: storage.OpGap, Gap: c.Gap})\n", new: "",
	},
	{
		breaks: "what memory could not hold is not told", file: "connectors/wire/queue.go", pkg: "./connectors/wire", test: "TestQueue", flags: quietRapid,
		old: "		q.add(q.state(nil, g))\n", new: "		_ = g\n",
	},
	{
		breaks: "checksums are not looked at", file: "storage/codec.go", pkg: "./storage", test: "TestChecksumFindsEveryChangedByte",
		old: "	if sum(key, body) != binary.LittleEndian.Uint32(value[len(body):]) {\n", new: "	if _ = body; false {\n",
	},
	{
		breaks: "a value that is gone is not missed", file: "storage/tail.go", pkg: "./storage", test: "TestDamagedFilesAreFoundOrHarmless", flags: []string{"-damaged", "400"},
		old: "func (e *extent) add(value []byte)    { e.Count++; e.Sum += checksumOf(value) }\nfunc (e *extent) remove(value []byte) { e.Count--; e.Sum -= checksumOf(value) }\n",
		new: "func (e *extent) add(value []byte)    {}\nfunc (e *extent) remove(value []byte) {}\n",
	},
	{
		breaks: "nothing is synced", file: "storage/db.go", pkg: "./storage", test: "TestPowerCut",
		old: "		NoSync:  o.NoSync,\n", new: "		NoSync:  true,\n",
	},
	{
		breaks: "an entry of the feed is written outside its transaction", file: "storage/batch.go", pkg: "./storage", test: "TestDiskErrorAtAnyWriteOrSync", flags: []string{"-faultstep", "25"},
		old: "	if err == nil {\n		t, err = d.updateWithReserve(w.apply, b.Urgent)\n",
		new: "	if err == nil {\n		_ = d.change(func(tx *bolt.Tx) error {\n			for _, p := range w.puts {\n				if p.in == inFeed {\n					if err := inFeed.of(tx).Put(p.key, p.value); err != nil {\n						return err\n					}\n				}\n			}\n			return nil\n		})\n		t, err = d.updateWithReserve(w.apply, b.Urgent)\n",
	},
	{
		breaks: "a group of unknown outcome is stored twice", file: "storage/batch.go", pkg: "./storage", test: "TestUnconfirmedCommitIsNeverDoubled",
		old: "	if late != 0 && b.attempt == late {\n", new: "	if _ = late; false {\n",
	},
	{
		breaks: "the reserve is not given up for what must be saved", file: "storage/batch.go", pkg: "./storage", test: "TestReserveIsForWhatMustBeSaved",
		old: "	d.reserve.release()\n	return d.update(fn)\n", new: "	return d.update(fn)\n",
	},
	{
		breaks: "a salvaged journal keeps the old id", file: "storage/db.go", pkg: "./storage", test: "TestBackupWhileCallsArrive",
		old: "		meta.Put(keyJournal, seal(kindJournal, keyJournal, []byte(newJournalID()))),\n		meta.Put(keyOrigin, originHere),\n	)\n",
		new: "		meta.Put(keyOrigin, originHere),\n	)\n",
	},
	{
		breaks: "retention does not wait for consumers", file: "storage/retain.go", pkg: "./storage", test: "TestJournalAgreesWithModel", flags: quietRapid,
		old: "		if t.Oldest > stored && (", new: "		if false && (",
	},
	{
		breaks: "open calls are not taken up after a restart", file: "agent/link.go", pkg: "./agent", test: "TestAgent_EndsInTheMiddleOfACall",
		old: "	l.tracker.Restore(facts, l.now.Ahead.Sub(0))\n", new: "",
	},
	{
		breaks: "a group of facts alone is not stored", file: "agent/books.go", pkg: "./agent", test: "TestBooks_StoreWhateverAGroupHolds",
		old: "	if err := b.store.Commit(batch); err != nil {\n", new: "	if len(batch.Entries)+len(batch.Moves)+len(batch.State) == 0 {\n		return nil\n	}\n	if err := b.store.Commit(batch); err != nil {\n",
	},
	{
		breaks: "a call that vanished while nobody could see it stays open", file: "agent/call/link.go", pkg: "./agent", test: "TestMangled", flags: quietRapid,
		old: "	t.vanish(e, DoubtEndUnseen, func(l LegID) bool { return !live[l] })\n", new: "",
	},
}

// TestMutants shows that the tests above can fail: each broken program is noticed
// by the test that is about what it breaks.
func TestMutants(t *testing.T) {
	if !*mutants {
		t.Skip("builds many programs: run with -mutants")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	// Without a fault the same tests pass.
	runs := map[string][]string{}
	for _, m := range allMutants {
		runs[m.pkg] = append(runs[m.pkg], m.test)
	}
	for pkg, tests := range runs {
		if out, failed, err := runTest(t, root, "", pkg, strings.Join(slices.Compact(slices.Sorted(slices.Values(tests))), "|"), nil); err != nil || failed {
			t.Fatalf("without a fault: %s: %v\n%s", pkg, err, out)
		}
	}
	var killed, able atomic.Int64
	t.Run("broken", func(t *testing.T) {
		slots := make(chan struct{}, max(1, runtime.NumCPU()))
		for _, m := range allMutants {
			t.Run(strings.ReplaceAll(m.breaks, " ", "_"), func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				began := time.Now()
				out, failed, err := runTest(t, root, m.overlay(t, root), m.pkg, m.test, m.flags)
				if errors.Is(err, errSkipped) {
					t.Skipf("%v\n%s", err, out)
				}
				able.Add(1)
				switch {
				case err != nil:
					t.Errorf("it could not be tried: %v\n%s", err, out)
				case !failed:
					t.Errorf("%s does not notice that %s", m.test, m.breaks)
				default:
					killed.Add(1)
					t.Logf("%s noticed it in %v", m.test, time.Since(began).Round(100*time.Millisecond))
				}
			})
		}
	})
	t.Logf("mutants killed %d/%d", killed.Load(), able.Load())
}

// overlay writes the broken file, and the description by which the go command
// takes it for the real one.
func (m mutant) overlay(t *testing.T, root string) string {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(m.file))
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		t.Fatalf("%s has the text to replace %d times: the mutant must follow the code:\n%s", m.file, n, m.old)
	}
	dir := t.TempDir()
	broken, description := filepath.Join(dir, "broken.go"), filepath.Join(dir, "overlay.json")
	b, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{broken: []byte(strings.Replace(string(source), m.old, m.new, 1)), description: b} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return description
}

var errSkipped = errors.New("was skipped")

// runTest says whether a test failed; one that was not built or not run is an
// error.
func runTest(t *testing.T, root, overlay, pkg, test string, flags []string) (out string, failed bool, err error) {
	t.Helper()
	args := []string{"test", "-count=1", "-vet=off", "-v", "-timeout=5m", "-run=^(" + test + ")$"}
	if overlay != "" {
		args = append(args, "-overlay="+overlay)
	}
	cmd := exec.CommandContext(t.Context(), "go", append(append(args, pkg), flags...)...)
	cmd.Dir = root
	b, err := cmd.CombinedOutput()
	out = string(b)
	if len(out) > 4000 {
		out = out[:2000] + "\n...\n" + out[len(out)-2000:]
	}
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		return out, false, err
	case !strings.Contains(string(b), "=== RUN "):
		return out, false, fmt.Errorf("%s was not run", test)
	case strings.Contains(string(b), "--- SKIP: "+test):
		return out, false, fmt.Errorf("%s %w", test, errSkipped)
	}
	return out, exit != nil, nil
}
