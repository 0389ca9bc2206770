package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fiorix/go-eventsocket/eventsocket"
	"pgregory.net/rapid"
)

// eslNeeded is a small table of needs for the tests.
var eslNeeded = Needed{
	"channel_create":   {Headers: []string{"Unique-ID", "Caller-Caller-ID-Name", "variable_transfer_history", "variable_accountcode"}},
	"callcenter::info": {Headers: []string{"CC-Queue"}, Only: map[string][]string{"CC-Action": {"member-queue-start"}}},
}

func eslJSON(body string) string {
	return fmt.Sprintf("Content-Length: %d\nContent-Type: text/event-json\n\n%s", len(body), body)
}

func eslPlain(body string) string {
	return fmt.Sprintf("Content-Length: %d\nContent-Type: text/event-plain\n\n%s", len(body), body)
}

// eslRead feeds a stream in pieces of at most n bytes, all at once for 0, and
// gives the bodies that go on.
func eslRead(needed Needed, stream string, n int) ([]string, *Counters) {
	count := new(Counters)
	f := NewESL(needed, count)
	var out []string
	take := func(msg []byte) {
		_, body, _ := bytes.Cut(msg, []byte("\n\n"))
		out = append(out, string(body))
	}
	for p := []byte(stream); len(p) > 0; {
		k := len(p)
		if n > 0 {
			k = min(n, k)
		}
		f.Feed(p[:k], 7, take)
		p = p[k:]
	}
	return out, count
}

func TestESL_thins(t *testing.T) {
	for _, test := range []struct {
		name, stream string
		want         []string
		thinned      uint64
		malformed    map[string]uint64
	}{
		{"needed headers go on in our spelling", eslJSON(`{"Event-Name":"CHANNEL_CREATE","Core-UUID":"c","Unique-ID":"u","variable_AccountCode":"7"}`),
			[]string{`{"Event-Name":"CHANNEL_CREATE","Unique-ID":"u","variable_accountcode":"7","CJ-Seen":"7"}`}, 0, nil},
		{"the first of a name counts", eslJSON(`{"Event-Name":"CHANNEL_CREATE","Unique-ID":"u","Unique-ID":"v"}`),
			[]string{`{"Event-Name":"CHANNEL_CREATE","Unique-ID":"u","CJ-Seen":"7"}`}, 0, nil},
		{"what is not needed is dropped by its name alone", eslJSON(`{"Event-Name":"CHANNEL_STATE","Unique-ID":`), nil, 1, nil},
		{"a list stays a list", eslJSON(`{"Event-Name":"CHANNEL_CREATE","variable_transfer_history":["a:b", "c\"d" ]}`),
			[]string{`{"Event-Name":"CHANNEL_CREATE","variable_transfer_history":["a:b","c\"d"],"CJ-Seen":"7"}`}, 0, nil},
		{"a subclass before the name", eslJSON(`{"Event-Subclass":"callcenter::info","Event-Name":"CUSTOM","CC-Queue":"q","CC-Action":"member-queue-start"}`),
			[]string{`{"Event-Subclass":"callcenter::info","Event-Name":"CUSTOM","CC-Queue":"q","CJ-Seen":"7"}`}, 0, nil},
		{"a condition that is not met", eslJSON(`{"Event-Subclass":"callcenter::info","Event-Name":"CUSTOM","CC-Queue":"q","CC-Action":"members-count"}`), nil, 1, nil},
		{"a condition whose header is missing", eslJSON(`{"Event-Name":"CUSTOM","Event-Subclass":"callcenter::info","CC-Queue":"q"}`), nil, 1, nil},
		{"a CUSTOM event of no kind", eslJSON(`{"Event-Name":"CUSTOM","CC-Queue":"q"}`), nil, 1, nil},
		{"nested things are passed over", eslJSON(`{"x":{"y":["]}",{"z":1}]},"Event-Name":"CHANNEL_CREATE","n":null,"Unique-ID":"u"}`),
			[]string{`{"Event-Name":"CHANNEL_CREATE","Unique-ID":"u","CJ-Seen":"7"}`}, 0, nil},
		{"escapes", eslJSON(`{"Event-Name":"CHANNEL_CREATE","Caller-Caller-ID-Name":"O\"B \\ \u0416\ud83d\ude00 \/"}`),
			[]string{`{"Event-Name":"CHANNEL_CREATE","Caller-Caller-ID-Name":"O\"B \\ Ж😀 /","CJ-Seen":"7"}`}, 0, nil},
		{"control characters and broken UTF-8 become U+FFFD", eslJSON("{\"Event-Name\":\"CHANNEL_CREATE\",\"Caller-Caller-ID-Name\":\"a\\nb\xffc\\u0000\"}"),
			[]string{"{\"Event-Name\":\"CHANNEL_CREATE\",\"Caller-Caller-ID-Name\":\"a\uFFFDb\uFFFDc\uFFFD\",\"CJ-Seen\":\"7\"}"}, 0, map[string]uint64{BadUTF8: 1}},
		{"an escape of nothing stays as it is", eslJSON(`{"Event-Name":"CHANNEL_CREATE","Caller-Caller-ID-Name":"\x41\u00"}`),
			[]string{`{"Event-Name":"CHANNEL_CREATE","Caller-Caller-ID-Name":"\\x41\\u00","CJ-Seen":"7"}`}, 0, map[string]uint64{BadEscape: 2}},
		{"a needed header that is no text", eslJSON(`{"Event-Name":"CHANNEL_CREATE","Unique-ID":12,"Caller-Caller-ID-Name":["a",3]}`),
			[]string{`{"Event-Name":"CHANNEL_CREATE","CJ-Seen":"7"}`}, 0, map[string]uint64{NotText: 2}},
		{"names of our own are not taken", eslJSON(`{"Event-Name":"CJ-End"}`) + eslJSON(`{"Event-Name":"CUSTOM","Event-Subclass":"CJ-Gap"}`), nil, 0, map[string]uint64{ReservedName: 2}},
		{"JSON that breaks off", eslJSON(`{"Event-Name":"CHANNEL_CREATE","Unique-ID":"u`), nil, 0, map[string]uint64{BadJSON: 1}},
		{"no object at all", eslJSON(`["Event-Name"]`), nil, 0, map[string]uint64{BadJSON: 1}},
		{"an event without a name", eslJSON(`{"Unique-ID":"u"}`), nil, 0, map[string]uint64{Headless: 1}},
		{"a plain event, as recordings have it", eslPlain("Event-Name: CHANNEL_CREATE\nUnique-ID: u\nCaller-Caller-ID-Name: %D0%96%20%22x%22%2B\nvariable_a[1]: b\nvariable_transfer_history: ARRAY::a|:b\n\nbody"),
			[]string{`{"Event-Name":"CHANNEL_CREATE","Unique-ID":"u","Caller-Caller-ID-Name":"Ж \"x\"+","variable_transfer_history":"ARRAY::a|:b","CJ-Seen":"7"}`}, 0, nil},
		{"a plain CUSTOM event", eslPlain("Event-Subclass: callcenter%3A%3Ainfo\nEvent-Name: CUSTOM\nCC-Queue: q%40d\nCC-Action: member-queue-start\n\n"),
			[]string{`{"Event-Subclass":"callcenter::info","Event-Name":"CUSTOM","CC-Queue":"q@d","CJ-Seen":"7"}`}, 0, nil},
		{"answers do not go on", "Content-Type: command/reply\nReply-Text: -ERR x\n\nContent-Type: api/response\nContent-Length: 2\n\nUP", nil, 2, nil},
		{"a goodbye does", "Content-Type: text/disconnect-notice\nContent-Length: 4\n\nBye\n", []string{`{"Event-Name":"CJ-Goodbye"}`}, 0, nil},
		{"CR LF ends lines as well", strings.Replace(eslJSON(`{"Event-Name":"CHANNEL_CREATE","Unique-ID":"u"}`), "\n", "\r\n", 3),
			[]string{`{"Event-Name":"CHANNEL_CREATE","Unique-ID":"u","CJ-Seen":"7"}`}, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, count := eslRead(eslNeeded, test.stream, 0)
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if n := count.Thinned.Load(); n != test.thinned {
				t.Errorf("%d thinned, want %d", n, test.thinned)
			}
			if m := count.Malformed(); !maps.Equal(m, test.malformed) {
				t.Errorf("malformed %v, want %v", m, test.malformed)
			}
		})
	}
}

// eslGood is what must still come through behind whatever came before.
var (
	eslGood     = eslJSON(`{"Event-Name":"CHANNEL_CREATE","Unique-ID":"good"}`)
	eslGoodBody = `{"Event-Name":"CHANNEL_CREATE","Unique-ID":"good","CJ-Seen":"7"}`
)

// hostile are the payloads over which go-eventsocket ends the process, its
// session, or loses its way (PRESCRIBED.md, section 2), and what else the socket
// of a PBX, or of something that is none, may say.
var hostile = map[string]string{
	"E1 log/data":                      "Content-Type: log/data\nContent-Length: 3\nLog-Level: 7\n\nabc",
	"E1 rude rejection":                "Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n",
	"E1 event-xml":                     "Content-Type: text/event-xml\nContent-Length: 4\n\n<e/>",
	"E1 stray empty lines":             "\n\n\n",
	"E1 no type":                       "Content-Disposition: linger\n\n",
	"E2 api/response of no byte":       "Content-Type: api/response\nContent-Length: 0\n\n",
	"E2 api/response of one byte":      "Content-Type: api/response\nContent-Length: 1\n\nx",
	"E2 api/response without length":   "Content-Type: api/response\n\n",
	"E2 a short -ERR":                  "Content-Type: api/response\nContent-Length: 4\n\n-ERR",
	"E2 a short reply":                 "Content-Type: command/reply\nReply-Text: -E\n\n",
	"E2 an empty reply":                "Content-Type: command/reply\nReply-Text: \n\n",
	"E2 no reply at all":               "Content-Type: command/reply\n\n",
	"E2 negative length":               "Content-Length: -5\nContent-Type: text/event-json\n\n",
	"E2 empty key":                     eslJSON(`{"":"x","Event-Name":"CHANNEL_CREATE"}`),
	"E2 _body that is no text":         eslJSON(`{"Event-Name":"CHANNEL_CREATE","_body":{"a":1}}`),
	"E2 _body that is a number":        eslJSON(`{"_body":7,"Event-Name":"CHANNEL_CREATE"}`),
	"E3 a list":                        eslJSON(`{"Event-Name":"CHANNEL_CREATE","variable_transfer_history":["a","b"]}`),
	"E4 an odd name, plain":            eslPlain("Event-Name: CHANNEL_CREATE\nvariable_a[1]: x\nvariable_иии: y\n\n"),
	"E5 -ERR for an answer":            "Content-Type: command/reply\nReply-Text: -ERR command not found\n\n",
	"E10 a length that is a lie":       "Content-Length: 99999999999999999999\nContent-Type: text/event-json\n\n",
	"E11 two spellings of a name":      eslJSON(`{"Event-Name":"CHANNEL_CREATE","variable_Foo":"a","variable_foo":"b","UNIQUE-ID":"c","unique-id":"d"}`),
	"E12 a plain event without an end": eslPlain("Event-Name: CHANNEL_CREATE"),
	"E12 an empty plain event":         eslPlain("\n"),
	"E12 nothing of a plain event":     "Content-Length: 0\nContent-Type: text/event-plain\n\n",
	"E13 a plus sign":                  eslPlain("Event-Name: CHANNEL_CREATE\nUnique-ID: a+b%\n\n"),
	"E14 disconnect notice":            "Content-Type: text/disconnect-notice\nContent-Length: 3\n\nBye",
	"JSON of depth":                    eslJSON(`{"Event-Name":"CHANNEL_CREATE","x":` + strings.Repeat("[", 20000) + `}`),
	"JSON that is binary":              eslJSON("\x00\xff\xfe{"),
	"a frame without a body's type":    "Content-Length: 3\n\nabc",
	"an endless header line":           strings.Repeat("x", 3*MaxLine) + "\n\n",
	"a thousand headers":               strings.Repeat("a: b\n", 1000) + "\n",
	"a huge value":                     eslJSON(`{"Event-Name":"CHANNEL_CREATE","Caller-Caller-ID-Name":"` + strings.Repeat(`\"`, 3*MaxLine) + `"}`),
	"a body beyond the limit":          eslJSON(`{"Event-Name":"CHANNEL_CREATE","x":"` + strings.Repeat("y", MaxBody) + `"}`),
	"the rest of a torn frame":         `riable_x":"y","Event-Name":"CHANNEL_CREATE"}`,
}

// TestESL_hostile: none of it hurts, and what follows is read.
func TestESL_hostile(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(hostile)) {
		t.Run(name, func(t *testing.T) {
			got, _ := eslRead(eslNeeded, hostile[name]+eslGood, 0)
			if len(got) == 0 || got[len(got)-1] != eslGoodBody {
				t.Errorf("the good event did not come through: %q", got)
			}
			for _, body := range got {
				checkESL(t, body)
			}
		})
	}
}

// checkESL holds what go-eventsocket needs of a body: it parses, no key is
// empty, no _body, and values are texts or lists of texts.
func checkESL(t interface{ Fatalf(string, ...any) }, body string) {
	m := make(map[string]any)
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	for k, v := range m {
		if k == "" || k == "_body" {
			t.Fatalf("key %q in %q", k, body)
		}
		switch v := v.(type) {
		case string:
		case []any:
			for _, x := range v {
				if _, ok := x.(string); !ok {
					t.Fatalf("a list with %T in %q", x, body)
				}
			}
		default:
			t.Fatalf("%T in %q", v, body)
		}
	}
	if len(body) > 2*MaxMessage {
		t.Fatalf("%d bytes of a body", len(body))
	}
}

// TestESL_package plays all that is hostile to the real go-eventsocket, framed:
// it must live, and give every good event in order.
func TestESL_package(t *testing.T) {
	door, err := OpenDoor()
	if err != nil {
		t.Fatal(err)
	}
	type dialled struct {
		c   *eventsocket.Connection
		err error
	}
	inside := make(chan dialled, 1)
	go func() {
		c, err := eventsocket.Dial(door.Host+":"+door.Port, door.Secret)
		inside <- dialled{c, err}
	}()
	conn, err := door.Admit(t.Context(), AskESL)
	if err != nil {
		t.Fatal(err)
	}
	d := <-inside
	if d.err != nil {
		t.Fatal(d.err)
	}
	written := make(chan error, 1)
	go func() {
		f := NewESL(eslNeeded, new(Counters))
		var out []byte
		for i, name := range slices.Sorted(maps.Keys(hostile)) {
			stream := hostile[name] + strings.Replace(eslGood, "good", fmt.Sprintf("g%03d", i), 1)
			f.Feed([]byte(stream), 7, func(msg []byte) { out = append(out, msg...) })
		}
		_, err := conn.Write(f.End(out))
		written <- err
	}()
	next := 0
	for {
		e, err := d.c.ReadEvent()
		if err != nil {
			t.Fatalf("go-eventsocket gave up: %v", err)
		}
		if e.Header["Event-Name"] == ESLEnd {
			break
		}
		if id, _ := e.Header["Unique-Id"].(string); strings.HasPrefix(id, "g") {
			if id != fmt.Sprintf("g%03d", next) {
				t.Fatalf("event %s in the place of g%03d", id, next)
			}
			next++
		}
	}
	if next != len(hostile) {
		t.Errorf("%d good events of %d", next, len(hostile))
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	conn.Close()
	for err = nil; err == nil; {
		_, err = d.c.ReadEvent()
	}
}

// TestESL_split: the same stream gives the same messages and the same counts
// however the network cuts it.
func TestESL_split(t *testing.T) {
	names := slices.Sorted(maps.Keys(hostile))
	names = slices.DeleteFunc(names, func(n string) bool { return len(hostile[n]) > 100_000 })
	rapid.Check(t, func(t *rapid.T) {
		var stream strings.Builder
		for range rapid.IntRange(1, 5).Draw(t, "frames") {
			if rapid.Bool().Draw(t, "good") {
				stream.WriteString(eslGood)
			} else {
				stream.WriteString(hostile[rapid.SampledFrom(names).Draw(t, "payload")])
			}
		}
		whole, wantCount := eslRead(eslNeeded, stream.String(), 0)
		parts, gotCount := eslRead(eslNeeded, stream.String(), rapid.IntRange(1, 300).Draw(t, "piece"))
		if !slices.Equal(whole, parts) {
			t.Fatalf("whole %q\nparts %q", whole, parts)
		}
		if !maps.Equal(wantCount.Malformed(), gotCount.Malformed()) {
			t.Fatalf("whole %v, parts %v", wantCount.Malformed(), gotCount.Malformed())
		}
	})
}

// FuzzESL: whatever comes, what goes on can be read, in whatever pieces it came.
func FuzzESL(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(hostile)) {
		if len(hostile[name]) < 10_000 {
			f.Add(hostile[name]+eslGood, 3)
		}
	}
	f.Fuzz(func(t *testing.T, stream string, piece int) {
		whole, _ := eslRead(eslNeeded, stream, 0)
		parts, _ := eslRead(eslNeeded, stream, max(1, piece%64))
		if !slices.Equal(whole, parts) {
			t.Fatalf("whole %q\nparts %q", whole, parts)
		}
		full, _ := eslRead(nil, stream, 0)
		for _, body := range append(whole, full...) {
			checkESL(t, body)
		}
	})
}

func TestESL_gapAndEnd(t *testing.T) {
	f := NewESL(eslNeeded, new(Counters))
	gap := string(f.Gap([]byte("x"), Gap{From: 1, To: 2, Count: 3, Reason: "queue full"}))
	want := "x" + eslJSON(`{"Event-Name":"CJ-Gap","CJ-From":"1","CJ-To":"2","CJ-Count":"3","CJ-Reason":"queue full","CJ-Seen":"2"}`)
	if gap != want {
		t.Errorf("got  %q\nwant %q", gap, want)
	}
	f.Feed([]byte("Content-Length: 10\n"), 1, func([]byte) {})
	if end := string(f.End(nil)); end != eslJSON(`{"Event-Name":"CJ-End"}`) {
		t.Errorf("end %q", end)
	}
	if n := f.count.Malformed()[Unfinished]; n != 1 {
		t.Errorf("%d unfinished messages counted, want 1", n)
	}
}
