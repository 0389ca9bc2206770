package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// frame gives the messages of a stream that arrives in pieces of the sizes that
// cut gives, without their stamps.
func frame(f Framer, stream []byte, cut func() int) []string {
	var got []string
	for len(stream) > 0 {
		n := min(cut(), len(stream))
		piece := bytes.Clone(stream[:n]) // Feed must keep nothing of it
		f.Feed(piece, 7, func(msg []byte) { got = append(got, string(msg)) })
		for i := range piece {
			piece[i] = '!'
		}
		stream = stream[n:]
	}
	return got
}

func whole() int { return 1 << 30 }

var someNeeded = Needed{
	"hangup":   {Headers: []string{"Uniqueid", "Cause", "ChanVariable"}},
	"varset":   {Headers: []string{"Uniqueid", "Variable", "Value"}, Only: map[string][]string{"Variable": {"MIXMONITOR_FILENAME"}}},
	"newexten": {Headers: []string{"Uniqueid", "AppData"}, Only: map[string][]string{"Application": {"VoiceMail", "Fax"}}},
}

func TestAMI(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	tests := []struct {
		name, in string
		want     []string // header lines joined by |, without the stamp
		bad      map[string]uint64
		thinned  uint64
	}{
		{name: "kept headers in the table's spelling", in: "event: HANGUP\r\nCHANNEL: c\r\nUNIQUEID:   1.2 \r\nActionID: a\r\n\r\n", want: []string{"Event: HANGUP|Uniqueid: 1.2 |ActionID: a"}},
		{name: "ends of lines", in: "Event: Hangup\nUniqueid: 1\r\n\nEvent: Hangup\r\nUniqueid: 2\n\r\n", want: []string{"Event: Hangup|Uniqueid: 1", "Event: Hangup|Uniqueid: 2"}},
		{name: "empty lines between", in: "\r\n\n\r\nEvent: Hangup\r\nUniqueid: 1\r\n\r\n\n\n", want: []string{"Event: Hangup|Uniqueid: 1"}},
		{name: "not needed", in: "Event: RTCPSent\r\nUniqueid: 1\r\n\r\nEvent: Hangup\r\n\r\n", want: []string{"Event: Hangup"}, thinned: 1},
		{name: "condition", in: "Event: VarSet\nUniqueid: 1\nVariable: X\nValue: 1\n\nEvent: VarSet\nUniqueid: 1\nVariable: mixmonitor_filename\nValue: f\n\nEvent: VarSet\nValue: f\n\n",
			want: []string{"Event: VarSet|Uniqueid: 1|Variable: mixmonitor_filename|Value: f"}, thinned: 2},
		{name: "condition that is not passed on", in: "Event: Newexten\nApplication: Fax\nAppData: a\n\n", want: []string{"Event: Newexten|AppData: a"}},
		{name: "first of a condition counts", in: "Event: VarSet\nVariable: X\nVariable: MIXMONITOR_FILENAME\n\n", thinned: 1},
		{name: "repeated headers", in: "Event: Hangup\nChanVariable: a=1\nChanVariable: b=2\nchanvariable: c=3\n\n", want: []string{"Event: Hangup|ChanVariable: a=1|ChanVariable#2: b=2|ChanVariable#3: c=3"}},
		{name: "an answer keeps all", in: "Response: Success\nOutput: 1\noutput: 2\nOther: x\n\n", want: []string{"Response: Success|Output: 1|output#2: 2|Other: x"}},
		{name: "event not first", in: "Uniqueid: 4\nX: y\nEvent: Hangup\nCause: 16\n\n", want: []string{"Event: Hangup|Uniqueid: 4|Cause: 16"}},
		{name: "no colon", in: "Event: Hangup\nhello\n: x\nCause: 16\n\n", want: []string{"Event: Hangup|Cause: 16"}, bad: map[string]uint64{NoColon: 2}},
		{name: "headless", in: "Cause: 16\nUniqueid: 1\n\nhello\n\n", bad: map[string]uint64{Headless: 2, NoColon: 1}},
		{name: "only a CR is no end", in: "Event: Hangup\nCause: 1\rUniqueid: 2\n\n", want: []string{"Event: Hangup|Cause: 1\uFFFDUniqueid: 2"}, bad: map[string]uint64{ControlChar: 1}},
		{name: "bytes", in: "Event: Hangup\nCause: a\x00b\xffc\td\x7fe\u0085f\u2028\n\n", want: []string{"Event: Hangup|Cause: a\uFFFDb\uFFFDc d\uFFFDe\uFFFDf\u2028"}, bad: map[string]uint64{BadUTF8: 1}},
		{name: "our own names", in: "Event: CJ-End\n\nevent: cj-gap\n\nEvent: Hangup\nCJ-Seen: 1\ncj-x: 2\n\nResponse: Success\nCJ-Seen: 5\nA#2: x\n\n", want: []string{"Event: Hangup", "Response: Success"},
			bad: map[string]uint64{ReservedName: 6}, thinned: 2},
		{name: "longest line", in: "Event: Hangup\nCause: " + long[7:] + "\r\n\r\n", want: []string{"Event: Hangup|Cause: " + long[7:]}},
		{name: "line too long", in: "Event: Hangup\nCause: " + long[6:] + "\r\nUniqueid: 1\n\n", want: []string{"Event: Hangup|Cause: " + long[7:] + "|Uniqueid: 1"}, bad: map[string]uint64{LineTooLong: 1}},
		{name: "cut between runes", in: "Event: Hangup\nCause: " + strings.Repeat("ж", MaxLine) + "\n\n", want: []string{"Event: Hangup|Cause: " + strings.Repeat("ж", (MaxLine-7)/2)}, bad: map[string]uint64{LineTooLong: 1}},
		{name: "grows while it is made readable", in: "Event: Hangup\nCause: " + strings.Repeat("\xff", MaxLine-7) + "\n\n", want: []string{"Event: Hangup|Cause: " + strings.Repeat("\uFFFD", (MaxLine-7)/3)}, bad: map[string]uint64{LineTooLong: 1}},
		{name: "too many headers", in: "Event: Hangup\n" + strings.Repeat("X: y\n", MaxHeaders-1) + "Cause: 1\nX: y\n\nEvent: Hangup\nCause: 2\n\n", want: []string{"Event: Hangup", "Event: Hangup|Cause: 2"}, bad: map[string]uint64{TooManyHeaders: 1}},
		{name: "message too long", in: "Event: Hangup\n" + strings.Repeat("X: "+long[3:]+"\n", MaxMessage/(MaxLine+2)) + "Cause: 1\nX: y\n\nEvent: Hangup\nCause: 2\n\n", want: []string{"Event: Hangup", "Event: Hangup|Cause: 2"}, bad: map[string]uint64{MessageTooLong: 1}},
		{name: "unfinished", in: "Event: Hangup\nCause: 1\n", bad: map[string]uint64{Unfinished: 1}},
		{name: "unfinished line", in: "Event: Hangup\n\nEven", want: []string{"Event: Hangup"}, bad: map[string]uint64{Unfinished: 1}},
	}
	for _, test := range tests {
		for _, size := range []int{1 << 30, 1, 2, 3, 1000} {
			t.Run(fmt.Sprintf("%s by %d", test.name, size), func(t *testing.T) {
				var count Counters
				f := NewAMI(someNeeded, &count)
				var got []string
				for _, msg := range frame(f, []byte(test.in), func() int { return size }) {
					msg, ok := strings.CutSuffix(msg, "\r\nCJ-Seen: 7\r\n\r\n")
					if !ok {
						t.Errorf("no stamp: %q", msg)
					}
					got = append(got, strings.ReplaceAll(msg, "\r\n", "|"))
				}
				if end := string(f.End(nil)); end != "Event: CJ-End\r\n\r\n" {
					t.Errorf("the end is %q", end)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("messages (-want +got):\n%.2000s", diff)
				}
				if diff := cmp.Diff(test.bad, count.Malformed()); diff != "" {
					t.Errorf("malformed (-want +got):\n%s", diff)
				}
				if n := count.Thinned.Load(); n != test.thinned {
					t.Errorf("%d thinned, want %d", n, test.thinned)
				}
			})
		}
	}
}

// checkAMI feeds a stream in one piece and in many, and checks what amigo relies
// on.
func checkAMI(t interface {
	Errorf(string, ...any)
	Fatalf(string, ...any)
}, needed Needed, stream []byte, cut func() int) {
	var once, often Counters
	want := frame(NewAMI(needed, &once), stream, whole)
	f := NewAMI(needed, &often)
	got := frame(f, stream, cut)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("a split changes the messages (-whole +split):\n%s", diff)
	}
	if diff := cmp.Diff(once.Malformed(), often.Malformed()); diff != "" {
		t.Fatalf("a split changes what is malformed:\n%s", diff)
	}
	if a, b := once.Messages.Load(), often.Messages.Load(); a != b {
		t.Errorf("%d messages in one piece, %d in many", a, b)
	}
	if all, some := often.Messages.Load(), uint64(len(got))+often.Thinned.Load()+often.Malformed()[Headless]; all != some {
		t.Errorf("%d messages, but %d accounted for", all, some)
	}
	if cap(f.part) > 2*(MaxLine+1) {
		t.Errorf("%d bytes kept of a line", cap(f.part))
	}
	for _, msg := range got {
		lines := strings.Split(msg, "\r\n")
		n := len(lines)
		if n < 4 || lines[n-1] != "" || lines[n-2] != "" || lines[n-3] != "CJ-Seen: 7" || strings.Count(msg, "CJ-Seen: ") < 1 {
			t.Fatalf("not a whole message: %q", msg)
		}
		if !utf8.ValidString(msg) {
			t.Errorf("not UTF-8: %q", msg)
		}
		if n-2 > MaxHeaders+1 || len(msg) > MaxMessage+64 {
			t.Errorf("%d headers, %d bytes", n-2, len(msg))
		}
		names := make(map[string]bool)
		for i, line := range lines[:n-2] {
			name, _, ok := strings.Cut(line, ": ")
			if !ok || name == "" || len(line) > MaxLine || strings.ContainsFunc(line, func(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }) {
				t.Errorf("not a header that amigo can read: %q", line)
			}
			if names[strings.ToLower(name)] {
				t.Errorf("amigo would lose the first of two %q in %q", name, msg)
			}
			names[strings.ToLower(name)] = true
			if i == 0 && name != "Event" && name != "Response" {
				t.Errorf("begins with %q", line)
			}
			if i < n-3 && strings.HasPrefix(strings.ToLower(line), "cj-") || i == 0 && strings.HasPrefix(strings.ToLower(line), "event: cj-") {
				t.Errorf("says something in our name: %q", line)
			}
		}
	}
}

// streams draws streams made of what is in real ones and of what is not.
var streams = rapid.Custom(func(t *rapid.T) []byte {
	bit := rapid.SampledFrom([]string{
		"Event: Hangup", "event:VarSet", "Event: Newexten", "Event: RTCPSent", "Event: CJ-End", "Response: Success", "Response: Error", "Response: Follows",
		"Uniqueid: 1.2", "UNIQUEID: 3", "Variable: MIXMONITOR_FILENAME", "Variable: X", "Value: v", "Application: VoiceMail", "ChanVariable: a=b", "Cause: 16",
		"CJ-Seen: 5", "ActionID: 4", "Timestamp: 1.5", "ActionID#2: x", ":", "a", "x : y", ": ", "\x00", "\xff", "ж", "\t", "\r", "\n", "\n", "\r\n", "\r\n", "\r\n", "\r\n\r\n", "\n\n",
		strings.Repeat("y", 4095), strings.Repeat("z\r", 2000), strings.Repeat("\xe2\x82", 1500), strings.Repeat("N: v\n", 200),
	})
	return []byte(strings.Join(rapid.SliceOfN(bit, 0, 200).Draw(t, "bits"), ""))
})

func TestAMI_AnySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		needed := rapid.SampledFrom([]Needed{nil, someNeeded}).Draw(t, "needed")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 300), 1, 20).Draw(t, "sizes")
		i := 0
		checkAMI(t, needed, streams.Draw(t, "stream"), func() int {
			i++
			return sizes[i%len(sizes)]
		})
	})
}

func FuzzAMIFramer(f *testing.F) {
	f.Add([]byte("Asterisk Call Manager/11.0.0\r\nResponse: Success\r\n\r\nEvent: Hangup\r\nUniqueid: 1\r\nCause: 16\r\n\r\n"), uint64(1), true)
	f.Add([]byte("Event: VarSet\r\nVariable: X\r\nVariable: MIXMONITOR_FILENAME\r\n\r\n"), uint64(2), true)
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, thin bool) {
		var needed Needed
		if thin {
			needed = someNeeded
		}
		r := rand.New(rand.NewPCG(seed, 0))
		checkAMI(t, needed, stream, func() int { return 1 + r.IntN(1+r.IntN(50)) })
	})
}

// A line that never ends, and a message that never ends, take no more memory
// than their limits; nor does what is skipped.
func TestAMI_MemoryIsBounded(t *testing.T) {
	for name, endless := range map[string]string{
		"line":         strings.Repeat("x", 10_000),
		"message":      strings.Repeat("Cause: "+strings.Repeat("c", 993)+"\n", 10),
		"unknown":      strings.Repeat("Foo: "+strings.Repeat("c", 995)+"\n", 10),
		"short lines":  strings.Repeat("a:\n", 3000),
		"answer lines": strings.Repeat("Response: "+strings.Repeat("r", 990)+"\n", 10),
	} {
		var count Counters
		f := NewAMI(someNeeded, &count)
		begin := "Event: Hangup\n"
		if name == "unknown" || name == "short lines" {
			begin = ""
		}
		if name == "answer lines" {
			begin = "Response: Success\n"
		}
		f.Feed([]byte(begin), 1, func([]byte) {})
		for range 2000 {
			f.Feed([]byte(endless), 1, func(msg []byte) { t.Errorf("%s: %d bytes", name, len(msg)) })
		}
		if kept := cap(f.part) + cap(f.out) + cap(f.head); kept > 4*MaxMessage {
			t.Errorf("%s: %d bytes kept", name, kept)
		}
	}
}

func TestAMI_Allocates(t *testing.T) {
	var count Counters
	f := NewAMI(someNeeded, &count)
	stream := []byte("Event: VarSet\r\nUniqueid: 1\r\nVariable: X\r\nValue: y\r\n\r\nEvent: Hangup\r\nChannel: c\r\nUniqueid: 1.2\r\nCause: 16\r\n\r\nEvent: RTCPSent\r\nA: b\r\n\r\n")
	out := func([]byte) {}
	if n := testing.AllocsPerRun(100, func() { f.Feed(stream, 1, out) }); n > 0 {
		t.Errorf("%v allocations for three events", n)
	}
}

func BenchmarkAMIFramer(b *testing.B) {
	one := "Event: VarSet\r\nPrivilege: dialplan,all\r\nTimestamp: 1795376013.281426\r\nChannel: PJSIP/trunk-a-00000002\r\nChannelState: 4\r\nChannelStateDesc: Ring\r\nCallerIDNum: 79160000001\r\nCallerIDName: <unknown>\r\nConnectedLineNum: <unknown>\r\nConnectedLineName: <unknown>\r\nLanguage: en\r\nAccountCode: \r\nContext: from-trunk\r\nExten: 74951230101\r\nPriority: 1\r\nUniqueid: 1795376013.4\r\nLinkedid: 1795376013.4\r\nVariable: SIPDOMAIN\r\nValue: 127.0.0.1\r\n\r\n"
	for name, event := range map[string]string{"condition": "VarSet", "kept": "Hangup", "dropped": "RTCPSent"} {
		b.Run(name, func(b *testing.B) {
			var count Counters
			f := NewAMI(someNeeded, &count)
			stream := []byte(strings.Repeat(strings.Replace(one, "VarSet", event, 1), 100))
			out := func([]byte) {}
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				f.Feed(stream, 1, out)
			}
			b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "events/s")
		})
	}
}
