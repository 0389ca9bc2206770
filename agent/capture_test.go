package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"calljournal/agent"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/connectors"
	"calljournal/connectors/asterisk"
	"calljournal/connectors/capture"
	"calljournal/connectors/freeswitch"
	"calljournal/connectors/replay"
	"calljournal/connectors/replay/judge"
	"calljournal/connectors/wire"
)

// Every recording is played over a socket to a connector; its facts become
// records as they do in the daemon, and what it hears is captured: plainly, in
// many small files, and masked. Each of these must give the same records again.
func TestCapture_ReplayGivesTheSameRecords(t *testing.T) {
	if testing.Short() {
		t.Skip("plays all recordings over sockets")
	}
	for _, kind := range bothKinds {
		all := slices.DeleteFunc(recordings(t, kind), func(r *replay.Recording) bool { return len(r.Stream) > 2_000_000 })
		secret := secretsOf(t, kind, all)
		for _, r := range all {
			t.Run(kind+"/"+r.Name, func(t *testing.T) {
				t.Parallel()
				o := trackerOptions(kind, usual)
				header := capture.Header{Kind: kind, PBX: o.PBX, Trunks: o.Trunks, Extensions: `^\d{2,5}$`}
				heard, want := listen(t, r, o)

				plain := write(t, capture.Options{Header: header}, heard)
				same(t, "plain", want, replayed(t, o, plain))

				small := write(t, capture.Options{Header: header, MaxSize: 30_000, Files: 1000}, heard)
				same(t, "in small files", want, replayed(t, o, small))

				mask := secret.mask(t, header)
				masked := write(t, capture.Options{Header: header, Mask: mask}, heard)
				for i := range want {
					want[i] = maskRecord(t, mask, want[i])
				}
				same(t, "masked", want, replayed(t, o, masked))
				secret.mustNotBeIn(t, masked)
			})
		}
	}
}

// listen plays a recording to a connector, judges what came of it, and gives what it heard and the
// records that its facts came to.
func listen(t *testing.T, r *replay.Recording, o call.Options) (heard []wire.Chunk, records []call.Record) {
	t.Helper()
	s, err := replay.Listen(r.Kind, replay.Once(r), replay.Options{User: "calljournal", Secret: "s3cret of the test", Unpaced: true, Lead: 30 * time.Millisecond,
		// A break at the end, for everything that was said before one arrives.
		Cuts: []replay.Cut{{At: r.Duration() + time.Second, Down: time.Millisecond}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(serving) }()

	tap := wire.NewTap(1 << 30)
	// It is audited all the time. Asterisk's lists come between its events, so
	// that two of them at once say as much as two that are far apart.
	var conn connectors.Connector
	if r.Kind == replay.Asterisk {
		conn = asterisk.New(asterisk.Config{Name: "main", Address: s.Addr(), Username: "calljournal", Secret: "s3cret of the test", Recorder: tap,
			AuditEvery: 3 * time.Millisecond, AuditConfirm: time.Nanosecond})
	} else {
		conn = freeswitch.New(freeswitch.Config{Name: "main", Address: s.Addr(), Secret: "s3cret of the test", Recorder: tap,
			AuditEvery: 3 * time.Millisecond})
	}
	f := newFeed(o)
	breaks := 0
	for session := uint64(1); breaks <= len(r.Cuts); session++ {
		_ = conn.Run(ctx, session, func(e call.Event) {
			if e.Kind == call.LinkDown {
				breaks++
			}
			f.apply(e)
		})
		if ctx.Err() != nil {
			t.Fatal("it was not played to its end in time")
		}
	}
	stop()
	if f.gaps != len(r.Cuts) {
		t.Errorf("%d gaps, and the line was cut %d times", f.gaps, len(r.Cuts))
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	over, finish := context.WithCancel(ctx)
	finish()
	for {
		c, err := tap.Next(over)
		if err != nil {
			break
		}
		heard = append(heard, c)
	}
	expect, err := judge.Read(r.Expect)
	if err != nil {
		t.Fatal(err)
	}
	f.judge(t, expect)
	records = f.current()
	for i := range records {
		journal.NewDirectory("", nil, nil).Enrich(&records[i])
	}
	return heard, records
}

// write writes a capture and gives its files, newest first.
func write(t *testing.T, o capture.Options, heard []wire.Chunk) (files [][]byte) {
	t.Helper()
	o.Path = filepath.Join(t.TempDir(), "pbx.cap")
	w, err := capture.Create(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range heard {
		if err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name := o.Path; ; name = fmt.Sprintf("%s.%d", o.Path, len(files)) {
		b, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
	}
}

func replayed(t *testing.T, o call.Options, files [][]byte) []call.Record {
	t.Helper()
	var readers []*capture.Reader
	for _, f := range files {
		r, err := capture.NewReader(bytes.NewReader(f))
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, r)
	}
	next, err := capture.Join(readers...)
	if err != nil {
		t.Fatal(err)
	}
	o.Trunks = readers[0].Header().Trunks
	out, err := agent.Replay(next, o, journal.NewDirectory("", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	return out.Records
}

// same compares records but for their revisions: how often a call was told of
// on the way depends on when the PBX was asked.
func same(t *testing.T, what string, want, got []call.Record) {
	t.Helper()
	text := func(records []call.Record) []string {
		var out []string
		for _, r := range records {
			r.Rev = 0
			b, err := json.MarshalIndent(r, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(b))
		}
		slices.Sort(out)
		return out
	}
	if d := cmp.Diff(text(want), text(got)); d != "" {
		t.Errorf("%s: the replay gives other records (- daemon, + replay):\n%s", what, d)
	}
}

// maskRecord is what a record must look like that was made of masked messages:
// the mask over every text in it that comes from outside.
func maskRecord(t *testing.T, m *capture.Mask, r call.Record) (masked call.Record) {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	outside := map[string]bool{"number": true, "e164": true, "name": true, "trunk": true, "text": r.PBXKind == replay.Asterisk, "channel": true, "extension": true, "answered_by": true,
		"last_talked_by": true, "queues": true, "queue": true, "by": true, "to": true, "party": true, "file": true, "mailbox": true, "station": true,
		"account": true}
	var walk func(name string, v any) any
	walk = func(name string, v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				v[k] = walk(k, x)
			}
		case []any:
			for i, x := range v {
				v[i] = walk(name, x)
			}
		case string:
			if _, isTime := time.Parse(time.RFC3339, v); outside[name] && isTime != nil {
				return m.Text(v)
			}
		}
		return v
	}
	b, err = json.Marshal(walk("", fields))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &masked); err != nil {
		t.Fatal(err)
	}
	return masked
}

// secrets are the numbers and names in the recordings of a kind.
type secrets struct {
	long  []string        // numbers of seven digits and more
	short map[string]bool // extensions and the like
	names []string        // words of names
}

var (
	numberHeaders = regexp.MustCompile(`(?m)^(?:\w*(?:CallerIDNum|ConnectedLineNum|Exten)|DNID|Caller-(?:Orig-)?Caller-ID-Number|Caller-Destination-Number|variable_dialed_user): (\S+)\r?$`)
	nameHeaders   = regexp.MustCompile(`(?m)^(?:\w*(?:CallerIDName|ConnectedLineName|MemberName)|Caller-(?:Orig-)?Caller-ID-Name): (.+?)\r?$`)
	allDigits     = regexp.MustCompile(`^\+?(\d{2,})$`)
	oneWord       = regexp.MustCompile(`\p{L}{3,}`)
)

func secretsOf(t *testing.T, kind string, all []*replay.Recording) secrets {
	t.Helper()
	s := secrets{short: map[string]bool{}}
	numbers, words := map[string]bool{}, map[string]bool{}
	for _, r := range all {
		for _, m := range numberHeaders.FindAllSubmatch(r.Stream, -1) {
			if n := allDigits.FindStringSubmatch(string(m[1])); n != nil {
				numbers[n[1]] = true
			}
		}
		for _, m := range nameHeaders.FindAllSubmatch(r.Stream, -1) {
			name := strings.ReplaceAll(string(m[1]), "%20", " ")
			for _, w := range oneWord.FindAllString(name, -1) {
				words[strings.ToLower(w)] = true
			}
		}
	}
	for n := range numbers {
		if len(n) >= 7 {
			s.long = append(s.long, n[len(n)-7:])
		} else if len(n) < 6 {
			s.short[n] = true
		}
	}
	plain, err := capture.NewMask(capture.Header{Kind: kind}, []byte("any"))
	if err != nil {
		t.Fatal(err)
	}
	for w := range words {
		// A word of the PBX's own says nothing, and some names pose as a header.
		if plain.Text(w) != w && !slices.Contains([]string{"event", "uniqueid", "extension"}, w) {
			s.names = append(s.names, w)
		}
	}
	if len(s.long) < 2 || len(s.short) < 5 || len(s.names) < 3 {
		t.Fatalf("these recordings of %s hardly have anything to hide: %+v", kind, s)
	}
	return s
}

// mask makes one under which no extension gets the number of another: else a
// number in a masked file would prove nothing.
func (s secrets) mask(t *testing.T, h capture.Header) *capture.Mask {
	t.Helper()
	for key := byte(0); ; key++ {
		m, err := capture.NewMask(h, []byte{key})
		if err != nil {
			t.Fatal(err)
		}
		clash := false
		for n := range s.short {
			clash = clash || s.short[m.Text(n)]
		}
		if !clash {
			return m
		}
		if key == 255 {
			t.Fatal("there is no such mask")
		}
	}
}

// states are the headers in which a number is no telephone number.
var states = regexp.MustCompile(`(?m)^(?:\w*(?:Uniqueid|Linkedid)|Bridge\w+|Timestamp|ActionID|ListItems|\w*ChannelState|Cause|Uptime|LastReload|Duration|Seconds|CoreStartup\w+|AsteriskVersion|PagesTransferred|Content-Length): .*$|` +
	`"(?:[A-Za-z-]*(?:Time|Timestamp|UUID|ID)|created_epoch|variable_(?:session_id|\w*cause\w*|\w*uuid|\w*status|hold_events)|Session-\w+|Uptime-msec|FreeSWITCH-Version|VM-Message-Len|uuid|call_uuid)":"[^"]*"|` +
	`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|"variable_transfer_history":"[0-9]+|(?m)^\w+ \d+ \d+ [0-9a-f]{8}$`)

func (s secrets) mustNotBeIn(t *testing.T, files [][]byte) {
	t.Helper()
	digits := regexp.MustCompile(`\d+`)
	for _, f := range files {
		_, body, _ := bytes.Cut(f, []byte("\n")) // the first line is the configuration's
		rest := states.ReplaceAll(body, nil)
		text := strings.ToLower(string(rest))
		for _, n := range s.long {
			if strings.Contains(text, n) {
				t.Errorf("a number that ends in %s is in the masked file", n)
			}
		}
		for _, w := range s.names {
			if i := strings.Index(text, w); i >= 0 {
				t.Errorf("%q is in the masked file: %q", w, text[max(0, i-60):min(len(text), i+60)])
			}
		}
		for _, at := range digits.FindAllIndex(rest, -1) {
			if n := string(rest[at[0]:at[1]]); s.short[n] && !inWord(rest, at[0], at[1]) {
				t.Errorf("the number %s is in the masked file: %q", n, rest[max(0, at[0]-60):min(len(rest), at[1]+60)])
				break
			}
		}
	}
}

// inWord: digits in the middle of a word, as of a SIP call's id, are no number.
func inWord(b []byte, from, to int) bool {
	letter := func(i int) bool { return i >= 0 && i < len(b) && (b[i]|0x20 >= 'a' && b[i]|0x20 <= 'z') }
	return letter(from-1) || letter(to)
}
