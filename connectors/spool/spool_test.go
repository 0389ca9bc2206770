package spool_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"calljournal/connectors/spool"
)

// reader is whoever reads records and remembers how far.
type reader struct {
	t    rapid.TB
	s    *spool.Source
	pos  spool.Position
	seen []string
	lost bool
}

func (r *reader) read() {
	r.t.Helper()
	for {
		got, err := r.s.Read(r.pos)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, l := range got.Lines {
			r.seen = append(r.seen, strings.TrimRight(string(l), "\n"))
		}
		r.lost = r.lost || got.Lost
		r.pos = got.Next
		if !got.More {
			return
		}
	}
}

func do(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func appendTo(t rapid.TB, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	do(t, err)
	_, err = f.WriteString(text)
	do(t, err)
	do(t, f.Close())
}

func pack(t rapid.TB, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	do(t, err)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err = z.Write(text)
	do(t, err)
	do(t, z.Close())
	do(t, os.WriteFile(file+".gz", b.Bytes(), 0o600))
	do(t, os.Remove(file))
}

// rotations are the ways in which a file goes out of use.
var rotations = map[string]func(t rapid.TB, file string, n int){
	"rename": func(t rapid.TB, file string, n int) { do(t, os.Rename(file, fmt.Sprintf("%s.%d", file, n))) },
	"rename and pack": func(t rapid.TB, file string, n int) {
		old := fmt.Sprintf("%s.%d", file, n)
		do(t, os.Rename(file, old))
		pack(t, old)
	},
	"copytruncate": func(t rapid.TB, file string, n int) {
		text, err := os.ReadFile(file)
		do(t, err)
		do(t, os.WriteFile(fmt.Sprintf("%s.%d", file, n), text, 0o600))
		do(t, os.Truncate(file, 0))
	},
	"dated": func(t rapid.TB, file string, n int) {
		do(t, os.Rename(file, fmt.Sprintf("%s-2026%03d", file, n)))
	},
}

// TestSource_Rotation: whatever happens between two readings, each line is read,
// in order, and none twice.
func TestSource_Rotation(t *testing.T) {
	for name, rotate := range rotations {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				dir, err := os.MkdirTemp("", "spool")
				do(t, err)
				defer os.RemoveAll(dir)
				file := filepath.Join(dir, "Master.csv")
				old := fmt.Sprintf("a line from before, %d", rapid.IntRange(0, 1000).Draw(t, "old"))
				appendTo(t, file, old+"\n")
				r := &reader{t: t, s: spool.New(file, time.Now)}
				r.pos, err = r.s.End()
				do(t, err)
				var want []string
				half := false
				for n := range rapid.IntRange(1, 15).Draw(t, "steps") {
					switch step := rapid.SampledFrom([]string{"write", "write", "half", "rotate", "read", "restart"}).Draw(t, "step"); {
					case step == "write", step == "half" && half:
						line := fmt.Sprintf("line %d", n)
						if half {
							line, half = "-other half", false
							want[len(want)-1] += line
						} else {
							want = append(want, line)
						}
						appendTo(t, file, line+"\n")
					case step == "half":
						half = true
						want = append(want, fmt.Sprintf("half %d", n))
						appendTo(t, file, want[len(want)-1])
					case step == "rotate" && !half: // a PBX writes a line at once
						if _, err := os.Stat(file); err == nil {
							rotate(t, file, 100-n)
						}
					case step == "read":
						r.read()
					case step == "restart":
						r.s = spool.New(file, time.Now)
					}
				}
				if half {
					appendTo(t, file, "\n")
				}
				r.read()
				if !slices.Equal(r.seen, want) {
					t.Fatalf("read\n%q\nwritten\n%q", r.seen, want)
				}
				if r.lost {
					t.Fatal("says that something is lost")
				}
			})
		})
	}
}

func TestSource_FileIsGone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Master.csv")
	s := spool.New(file, time.Now)
	if _, err := s.End(); err != nil {
		t.Errorf("a PBX writes the file with its first call, and that is an error: %v", err)
	}
	if _, err := spool.New(filepath.Join(file, "no", "Master.csv"), time.Now).End(); err == nil {
		t.Error("not even the folder is there, and that is no error")
	}
	appendTo(t, file, "one\ntwo\n")
	pos, err := s.End()
	do(t, err)
	do(t, os.Remove(file))
	appendTo(t, file, "three\n")
	got, err := s.Read(pos)
	do(t, err)
	if !got.Lost || len(got.Lines) != 1 || string(got.Lines[0]) != "three\n" {
		t.Errorf("%v, %q", got.Lost, got.Lines)
	}
}

// A line without end is no record; what follows it is.
func TestSource_LongLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Master.csv")
	appendTo(t, file, "before\n"+strings.Repeat("x", 3<<20)+"\nafter\n")
	r := &reader{t: t, s: spool.New(file, time.Now)}
	r.read()
	if r.seen[0] != "before" || r.seen[len(r.seen)-1] != "after" || len(r.seen) > 8 {
		t.Errorf("%d records, the first %.20q, the last %.20q", len(r.seen), r.seen[0], r.seen[len(r.seen)-1])
	}
	for _, l := range r.seen {
		if len(l) > 64<<10 {
			t.Errorf("a record of %d bytes", len(l))
		}
	}
}

func TestSource_Folder(t *testing.T) {
	dir := t.TempDir()
	s := spool.New(dir, time.Now)
	write := func(name, text string, age time.Duration) {
		path := filepath.Join(dir, name)
		do(t, os.MkdirAll(filepath.Dir(path), 0o700))
		do(t, os.WriteFile(path, []byte(text), 0o600))
		do(t, os.Chtimes(path, time.Time{}, time.Now().Add(-age)))
	}
	write("old.cdr.json", `{"old":1}`, time.Hour)
	pos, err := s.End()
	do(t, err)
	r := &reader{t: t, s: s, pos: pos}
	write("a.cdr.json", `{"a":1}`+"\n", 0)
	write("2026-01-01-00-00-00/b.cdr.json", `{"b":1}`+"\n", 0) // mod_json_cdr with rotate
	write("half.cdr.json", `{"half":`, 0)
	write("c.txt", "no record", 0)
	r.read()
	r.read()
	slices.Sort(r.seen)
	if want := []string{`{"a":1}`, `{"b":1}`}; !slices.Equal(r.seen, want) {
		t.Fatalf("%q, want %q", r.seen, want)
	}
	write("half.cdr.json", `{"half":1}`, 0)
	r.seen = nil
	r.read()
	if want := []string{`{"half":1}`}; !slices.Equal(r.seen, want) {
		t.Fatalf("%q, want %q", r.seen, want)
	}
	// A new run reads the last seconds again rather than too little.
	again := &reader{t: t, s: spool.New(dir, time.Now), pos: pos}
	again.read()
	if len(again.seen) != 3 {
		t.Errorf("from the first position again: %q", again.seen)
	}
}

func TestFields(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
		open bool
	}{
		{`a,b,,c`, []string{"a", "b", "", "c"}, false},
		{`"a","b,c","",d` + "\r\n", []string{"a", "b,c", "", "d"}, false},
		{`"""Anna"" <101>","x"`, []string{`"Anna" <101>`, "x"}, false},
		{`"a "quoted" name","b"`, []string{`a "quoted" name`, "b"}, false}, // FreeSWITCH does not double them
		{`"a","two`, []string{"a", "two"}, true},
		{"\"a\",\"two\nlines\"", []string{"a", "two\nlines"}, false},
		{`"a",`, []string{"a", ""}, false},
		{``, []string{""}, false},
		{`"`, []string{""}, true},
		{`""""`, []string{`"`}, false},
	} {
		got, open := spool.Fields(c.line)
		if !slices.Equal(got, c.want) || open != c.open {
			t.Errorf("%q: %q %v, want %q %v", c.line, got, open, c.want, c.open)
		}
	}
}

// FuzzFields: what was written with doubled quotes is read as it was.
func FuzzFields(f *testing.F) {
	f.Add("a", `b"c`, "d,e\nf")
	f.Add("", `"`, "\"\"")
	f.Add("\xff", ",", "\r")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		want := []string{a, b, c}
		var quoted []string
		for _, v := range want {
			quoted = append(quoted, `"`+strings.ReplaceAll(v, `"`, `""`)+`"`)
		}
		got, open := spool.Fields(strings.Join(quoted, ","))
		if open || !slices.Equal(got, want) {
			t.Errorf("%q was read as %q, %v", want, got, open)
		}
		spool.Fields(a + b + c)
	})
}

// Every file begins with the same heading, and at first there was nothing else.
func TestSource_RotationBehindAHeading(t *testing.T) {
	const heading = "clid,src,dst,channel,start,uniqueid\n"
	file := filepath.Join(t.TempDir(), "Master.csv")
	appendTo(t, file, heading)
	r := &reader{t: t, s: spool.New(file, time.Now)}
	var err error
	r.pos, err = r.s.End()
	do(t, err)
	appendTo(t, file, "a\nb\n")
	do(t, os.Rename(file, file+".1"))
	appendTo(t, file, heading+"c\n")
	r.read()
	if want := []string{"a", "b", strings.TrimSpace(heading), "c"}; !slices.Equal(r.seen, want) || r.lost {
		t.Errorf("read %q (lost: %v), want %q", r.seen, r.lost, want)
	}
}
