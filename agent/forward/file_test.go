package forward

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func lineSink(t *testing.T, path string, rotate int64) *lines {
	t.Helper()
	sink, err := newLines(settings(func(s *Settings) { s.URL, s.RotateBytes = "file://"+filepath.ToSlash(path), rotate }), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	return sink.(*lines)
}

// contents are all lines of the file and of those set aside, oldest first.
func contents(t *testing.T, path string) string {
	t.Helper()
	aside, err := filepath.Glob(strings.TrimSuffix(path, ".ndjson") + "-*.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(aside)
	var all []byte
	for _, name := range append(aside, path) {
		b, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return string(all)
}

func linesOf(seqs ...uint64) string {
	var b bytes.Buffer
	for _, e := range entries(seqs...) {
		b.Write(e.JSON)
		b.WriteByte('\n')
	}
	return b.String()
}

func send(t *testing.T, s Sink, seqs ...uint64) {
	t.Helper()
	if err := s.Send(t.Context(), entries(seqs...)); err != nil {
		t.Fatal(err)
	}
}

// However the run before ended, each line is there once, and whole.
func TestFile_NoDoublesAfterACrash(t *testing.T) {
	whole := linesOf(1, 2, 3, 4)
	for cut := range len(whole) + 1 {
		if near := min(cut+2, len(whole)); cut%41 != 0 && !strings.Contains(whole[max(0, cut-2):near], "\n") {
			continue
		}
		path := filepath.Join(t.TempDir(), "calls.ndjson")
		if err := os.WriteFile(path, []byte(whole[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		// Noted was: up to 2. So 3 to 5 are the batch that is sent again.
		first := 3
		if n := strings.Count(whole[:cut], "\n"); n < 2 {
			first = n + 1
		}
		var again []uint64
		for seq := first; seq <= 5; seq++ {
			again = append(again, uint64(seq))
		}
		send(t, lineSink(t, path, 0), again...)
		if got := contents(t, path); got != linesOf(1, 2, 3, 4, 5) {
			t.Fatalf("cut at %d: %s", cut, got)
		}
	}
}

func TestFile_Rotates(t *testing.T) {
	moment := time.Now()
	t.Run("time goes on", func(t *testing.T) { rotates(t, time.Now) })
	t.Run("in a moment", func(t *testing.T) { rotates(t, func() time.Time { return moment }) })
}

func rotates(t *testing.T, now func() time.Time) {
	path := filepath.Join(t.TempDir(), "deeper", "calls.ndjson")
	s := lineSink(t, path, int64(len(linesOf(1, 2))))
	s.now = now
	for seq := range uint64(7) {
		send(t, s, seq+1)
	}
	if got := contents(t, path); got != linesOf(upTo(7)...) {
		t.Errorf("%s", got)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 4 {
		t.Errorf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if st, err := f.Info(); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), st.Mode(), err)
		}
	}
	// The end came right after the file was set aside, before that was noted.
	send(t, s, 8)
	_ = s.Close()
	send(t, lineSink(t, path, 1<<20), 8, 9)
	if got := contents(t, path); got != linesOf(upTo(9)...) {
		t.Errorf("%s", got)
	}
}

// logrotate may move the file away, and a person may empty it.
func TestFile_MovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.ndjson")
	s := lineSink(t, path, 0)
	send(t, s, 1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Skip("this system does not move open files:", err)
	}
	send(t, s, 2)
	if got := contents(t, path); got != linesOf(2) {
		t.Errorf("%s", got)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	send(t, s, 3)
	if got := contents(t, path); got != linesOf(3) {
		t.Errorf("%q", got)
	}
}

func TestFile_CannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	if err := lineSink(t, dir, 0).Send(t.Context(), entries(1)); err == nil {
		t.Error("a folder was written to")
	}
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lineSink(t, filepath.Join(blocked, "calls.ndjson"), 0).Send(t.Context(), entries(1)); err == nil {
		t.Error("a file in a file was written to")
	}
}
