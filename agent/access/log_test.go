package access_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"calljournal/agent/access"
	"calljournal/agent/call"
)

func openLog(t *testing.T, path string) *access.Log {
	t.Helper()
	l := access.NewLog(path)
	t.Cleanup(func() { l.Close() })
	return l
}

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l := openLog(t, path)
	for n := range 10 {
		l.Add(access.Entry{At: call.Moment(1000 * (n + 1)), Who: fmt.Sprintf("token t%d", n%2), What: "call", Call: fmt.Sprintf("main:%d", n%3)})
	}
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	l.Close()
	// a crash in the middle of a line
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	fmt.Fprint(f, `{"at":"2026-0`)
	f.Close()
	l = openLog(t, path)
	l.Add(access.Entry{At: 99_000_000, Who: "user anna", What: "calls", Filter: "number=\"\n" + strings.Repeat("я", 70_000)})
	for _, tt := range []struct {
		w    access.Wanted
		want int
	}{
		{access.Wanted{Limit: 100}, 11}, {access.Wanted{Limit: 3}, 3}, {access.Wanted{Limit: 100, Who: "t1"}, 5}, {access.Wanted{Limit: 100, Call: "main:0"}, 4},
		{access.Wanted{Limit: 100, From: 9_000, To: 11_000}, 0}, {access.Wanted{Limit: 100, From: 1_000_000}, 1},
	} {
		got, err := l.Read(tt.w)
		if err != nil || tt.want != 0 && len(got) != tt.want {
			t.Errorf("%+v: %d entries, %v", tt.w, len(got), err)
		}
		for i := 1; i < len(got); i++ {
			if got[i].At > got[i-1].At {
				t.Errorf("%+v: not the newest first", tt.w)
			}
		}
	}
	if got, _ := l.Read(access.Wanted{Limit: 1}); got[0].Who != "user anna" || !strings.HasPrefix(got[0].Filter, "number=\"\nя") || len(got[0].Filter) > 2<<10 {
		t.Errorf("%+v", got)
	}
}

// However much is read, the log takes no more than two files.
func TestLog_Bounded(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, filepath.Join(dir, "access.log"))
	filter := strings.Repeat("x", 2<<10)
	const n = 12_000
	for i := range n {
		l.Add(access.Entry{At: call.Moment(i+1) * 1000, Who: "token eye", What: "calls", Filter: filter})
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 || l.Lost() != 0 {
		t.Fatalf("%v, %v, %d lost", files, err, l.Lost())
	}
	for _, f := range files {
		if st, err := f.Info(); err != nil || st.Size() > 8<<20 {
			t.Errorf("%s: %d bytes, %v", f.Name(), st.Size(), err)
		}
	}
	got, err := l.Read(access.Wanted{Limit: 3000})
	if err != nil || len(got) != 3000 || got[0].At != n*1000 || got[2999].At != (n-2999)*1000 {
		t.Errorf("%d entries from %d to %d, %v", len(got), got[0].At, got[len(got)-1].At, err)
	}
}

// What cannot be written is counted, and writing goes on as soon as it can.
func TestLog_Lost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, filepath.Join(dir, "access.log"))
	l.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l.Add(access.Entry{At: 1000, Who: "a"})
	if l.Lost() != 1 || !l.Failing() {
		t.Errorf("%d lost, failing %v", l.Lost(), l.Failing())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Add(access.Entry{At: 2000, Who: "b"})
	if got, err := l.Read(access.Wanted{Limit: 9}); err != nil || len(got) != 1 || l.Lost() != 1 || l.Failing() {
		t.Errorf("%v, %v, %d lost, failing %v", got, err, l.Lost(), l.Failing())
	}
}
