package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"calljournal/connectors/asterisk"
	"calljournal/connectors/freeswitch"
	"calljournal/connectors/wire"
)

func amiMessage(n int) []byte {
	return fmt.Appendf(nil, "Event: Newchannel\r\nUniqueid: 1763861234.%d\r\n\r\n", n)
}

// written gives the files of a capture, oldest first.
func written(t rapid.TB, o Options, chunks ...wire.Chunk) (files [][]byte) {
	t.Helper()
	dir, err := os.MkdirTemp("", "capture")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	o.Path = filepath.Join(dir, "pbx.cap")
	w, err := Create(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		if err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		b, err := os.ReadFile(name(o.Path, i))
		if err != nil {
			return files
		}
		files = slices.Insert(files, 0, b)
	}
}

func readAll(t rapid.TB, file []byte) (chunks []wire.Chunk, d Damage) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			return chunks, r.Damage()
		}
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c)
	}
}

func TestWriter_CutsIntoMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		esl := rapid.Bool().Draw(t, "esl")
		kind, end := kindAsterisk, "Event: Hang"
		var stream []byte
		messages := rapid.IntRange(0, 5).Draw(t, "messages")
		for n := range messages {
			if esl {
				body := strings.Repeat("{\n\n}", n)
				stream = fmt.Appendf(stream, "Content-Length: %d\nContent-Type: text/event-json\n\n%s", len(body), body)
			} else {
				stream = append(stream, amiMessage(n)...)
			}
		}
		if esl {
			kind, end = kindFreeSWITCH, "Content-Length: 10\n\nabc"
		}
		torn := rapid.Bool().Draw(t, "torn")
		if torn {
			stream = append(stream, end...)
		}
		chunks := []wire.Chunk{{Kind: wire.Began, Seen: 1}}
		for rest := stream; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			chunks = append(chunks, wire.Chunk{Seen: int64(len(chunks) + 1), Data: rest[:n]})
			rest = rest[n:]
		}
		chunks = append(chunks, wire.Chunk{Kind: wire.Ended, Seen: 99, Data: []byte("over")})
		got, d := readAll(t, written(t, Options{Header: Header{Kind: kind}}, chunks...)[0])
		if d != (Damage{}) {
			t.Fatalf("damaged: %+v", d)
		}
		want := messages + 2
		if torn {
			want++
		}
		var joined []byte
		for _, c := range got {
			if c.Kind == wire.Heard {
				joined = append(joined, c.Data...)
			}
		}
		if len(got) != want || !bytes.Equal(joined, stream) {
			t.Fatalf("%d entries for %d messages; %q for %q", len(got)-2, messages, joined, stream)
		}
		if got[0].Kind != wire.Began || got[len(got)-1].Kind != wire.Ended || string(got[len(got)-1].Data) != "over" {
			t.Fatalf("from %+v to %+v", got[0], got[len(got)-1])
		}
	})
}

func TestWriter_Rotates(t *testing.T) {
	chunks := []wire.Chunk{{Kind: wire.Began, Seen: 1}}
	for n := range 100 {
		chunks = append(chunks, wire.Chunk{Seen: int64(n + 2), Data: amiMessage(n)})
	}
	files := written(t, Options{Header: Header{Kind: kindAsterisk}, MaxSize: 1500, Files: 3}, chunks...)
	if len(files) != 3 {
		t.Fatalf("%d files", len(files))
	}
	var last []byte
	for i, f := range files {
		if len(f) > 1600 {
			t.Errorf("file %d has %d bytes", i, len(f))
		}
		got, _ := readAll(t, f)
		if got[0].Kind != wire.Began || string(got[0].Data) != continued || got[1].Kind != wire.Heard {
			t.Errorf("file %d begins with %+v", i, got[0])
		}
		last = got[len(got)-1].Data
	}
	if !bytes.Equal(last, amiMessage(99)) {
		t.Errorf("the newest file ends with %q", last)
	}
	for _, limited := range []int{1, 2} {
		if files := written(t, Options{Header: Header{Kind: kindAsterisk}, MaxSize: 1500, Files: limited}, chunks...); len(files) != limited {
			t.Errorf("%d files kept, want %d", len(files), limited)
		}
	}
}

func TestCreate_TakesNoOthersPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pbx.cap")
	if err := os.WriteFile(path+".1", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(Options{Path: path, Files: 2}); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v", err)
	}
	w, err := Create(Options{Path: path, Files: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

func TestWriter_SaysWhatIsMissing(t *testing.T) {
	got, _ := readAll(t, written(t, Options{Header: Header{Kind: kindAsterisk}},
		wire.Chunk{Kind: wire.Began, Seen: 1}, wire.Chunk{Seen: 2, Data: amiMessage(1)[:20]}, wire.Chunk{Seen: 3, Data: amiMessage(2), Skipped: 500})[0])
	if len(got) != 3 || len(got[1].Data) != 20 || got[2].Skipped != 500 || !bytes.Equal(got[2].Data, amiMessage(2)) {
		t.Errorf("%+v", got)
	}
}

// Whatever happens to a file, what is whole in it comes out, in its order, and
// nothing else does.
func TestReader_Damage(t *testing.T) {
	chunks := []wire.Chunk{{Kind: wire.Began, Seen: 1}}
	var whole []string
	for n := range 20 {
		chunks = append(chunks, wire.Chunk{Seen: int64(n + 2), Data: amiMessage(n)})
		whole = append(whole, string(amiMessage(n)))
	}
	file := written(t, Options{Header: Header{Kind: kindAsterisk}}, chunks...)[0]
	first := bytes.IndexByte(file, '\n') + 1
	rapid.Check(t, func(t *rapid.T) {
		hurt := bytes.Clone(file)
		at := rapid.IntRange(first, len(file)-1).Draw(t, "at")
		what := rapid.SampledFrom([]string{"cut", "flip", "insert", "remove"}).Draw(t, "what")
		switch what {
		case "cut":
			hurt = hurt[:at]
		case "flip":
			hurt[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case "insert":
			hurt = slices.Insert(hurt, at, rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "bytes")...)
		case "remove":
			hurt = slices.Delete(hurt, at, min(len(hurt), at+rapid.IntRange(1, 100).Draw(t, "n")))
		}
		got, _ := readAll(t, hurt)
		next, missing := 0, 0
		for _, c := range got {
			if c.Kind != wire.Heard {
				continue
			}
			i := slices.Index(whole[next:], string(c.Data))
			if i < 0 {
				t.Fatalf("%q is no message, or out of order", c.Data)
			}
			missing += i
			next += i + 1
		}
		if most := 3; what != "cut" && missing+len(whole)-next > most {
			t.Fatalf("%d messages are gone", missing+len(whole)-next)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add(written(f, Options{Header: Header{Kind: kindAsterisk}}, wire.Chunk{Kind: wire.Began, Seen: 1}, wire.Chunk{Seen: 2, Data: amiMessage(1)})[0])
	f.Add([]byte("calljournal-capture/1 {}\nheard 1 99999999 00000000\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			if _, err := r.Next(); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				return
			}
			if n > len(file) {
				t.Fatal("no end")
			}
		}
	})
}

func newMask(t rapid.TB, h Header) *Mask {
	t.Helper()
	m, err := NewMask(h, []byte("a key for the test"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMask_Number(t *testing.T) {
	m := newMask(t, Header{Extensions: `^[1-4]\d\d$`})
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[0-9]{2,15}`)
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		x, y := m.Text(a), m.Text(b)
		if len(x) != len(a) || (x == y) != (a == b) || m.Text(a) != x {
			t.Fatalf("%s and %s became %s and %s", a, b, x, y)
		}
		if m.extension(a) != m.extension(x) {
			t.Fatalf("%s became %s: one of them is an extension", a, x)
		}
	})
	seen := map[string]bool{}
	for n := range 1000 {
		seen[m.Text(pad(uint64(n), 3))] = true
	}
	if len(seen) != 1000 {
		t.Errorf("a thousand numbers became %d", len(seen))
	}
	for _, n := range []string{"+74951234567", "84951234567", "4951234567", "1234567"} {
		if masked := m.Text(n); !strings.HasSuffix(masked, m.Text("1234567")) || !strings.HasPrefix(masked, n[:len(n)-7]) {
			t.Errorf("%s became %s: no form of the same number", n, masked)
		}
	}
}

func TestMask_Text(t *testing.T) {
	m := newMask(t, Header{Kind: kindAsterisk, Trunks: []string{"PJSIP/myprovider-*"}, Extensions: `^\d{2,5}$`})
	anna, n101 := m.Text("Anna"), m.Text("101")
	for in, want := range map[string]string{
		"":                                     "",
		"s":                                    "s",
		"<unknown>":                            "<unknown>",
		"PJSIP/101-0000001a":                   "PJSIP/" + n101 + "-0000001a",
		"PJSIP/myprovider-0000001a":            "PJSIP/myprovider-0000001a",
		"PJSIP/anna-0000001a":                  "PJSIP/" + strings.ToLower(anna) + "-0000001a",
		"ANNA":                                 strings.ToUpper(anna),
		`"Anna" <sip:101@default>`:             `"` + anna + `" <sip:` + n101 + `@default>`,
		"/var/spool/Anna-101.wav":              "/var/spool/" + anna + "-" + n101 + ".wav",
		"Anna%20101":                           anna + "%20" + n101,
		"%41nna":                               anna,
		`a\nAnna`:                              `a\n` + anna,
		"6c79ca84-ce06-4ad1-ad89-dab5d77bfbd8": "6c79ca84-ce06-4ad1-ad89-dab5d77bfbd8",
		"\xc0\xed\xed\xe0":                     "\uFFFD",
	} {
		if got := m.Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := m.Text("Анна Иванова"); regexp.MustCompile(`[а-яА-Я]`).MatchString(got) || !strings.Contains(got, " ") {
		t.Errorf("became %q", got)
	}
	if other, _ := NewMask(Header{}, nil); other.Text("Anna") == anna {
		t.Error("the key makes no difference")
	}
}

// Every header that a rule reads has been thought of.
func TestMask_KnowsEveryHeader(t *testing.T) {
	for event, need := range asterisk.Needed() {
		for _, h := range need.Headers {
			if amiTreatment(h) == leaveOut {
				t.Errorf("%s of %s would be left out", h, event)
			}
		}
	}
	for event, need := range freeswitch.Needed() {
		for _, h := range need.Headers {
			if eslTreatment(h) == leaveOut {
				t.Errorf("%s of %s would be left out", h, event)
			}
		}
	}
}
