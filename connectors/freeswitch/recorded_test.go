package freeswitch

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"calljournal/agent/call"
	"calljournal/connectors/replay"
	"calljournal/connectors/wire"
)

var update = flag.Bool("update", false, "write what the tests found as what they expect")

var archive = sync.OnceValues(func() ([]*replay.Recording, error) {
	return replay.OpenArchive("../replay/testdata/freeswitch.tar.zst")
})

// recordings are those of a real FreeSWITCH that the demo is made of.
func recordings(t testing.TB) []*replay.Recording {
	t.Helper()
	all, err := archive()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func recording(t testing.TB, name string) *replay.Recording {
	t.Helper()
	for _, r := range recordings(t) {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("no recording %s", name)
	return nil
}

// read gives the messages of a raw stream as they arrive behind the framer and
// go-eventsocket's parse.
func read(t testing.TB, stream []byte, needed wire.Needed) []Message {
	t.Helper()
	var out []Message
	f := wire.NewESL(needed, new(wire.Counters))
	f.Feed(stream, 1, func(frame []byte) { out = append(out, parse(t, frame)) })
	return out
}

// parse does to one frame what go-eventsocket does.
func parse(t testing.TB, frame []byte) Message {
	t.Helper()
	_, body, ok := bytes.Cut(frame, []byte("\n\n"))
	if !ok {
		t.Fatalf("a frame without a body: %q", frame)
	}
	raw := make(map[string]any)
	if err := json.Unmarshal(body, &raw); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	m := make(Message, len(raw))
	for k, v := range raw {
		m[recased(k)] = v
	}
	return m
}

// brief writes facts for people: legs as letters in the order in which they
// appear, times as milliseconds since the first fact.
type brief struct {
	letters map[call.LegID]string
	zero    call.Moment
}

func (b *brief) leg(id call.LegID) string {
	if id == "" {
		return "-"
	}
	if b.letters == nil {
		b.letters = make(map[call.LegID]string)
	}
	if b.letters[id] == "" {
		b.letters[id] = string(rune('A' + len(b.letters)))
	}
	return b.letters[id]
}

var kindNames = map[call.Kind]string{
	call.LegCreated: "LegCreated", call.LegNumbered: "LegNumbered", call.LegRinging: "LegRinging", call.LegProgress: "LegProgress",
	call.LegAnswered: "LegAnswered", call.LegGone: "LegGone", call.LegEnded: "LegEnded", call.LegAlias: "LegAlias", call.LegPaired: "LegPaired", call.Joined: "Joined",
	call.Parted: "Parted", call.Held: "Held", call.Resumed: "Resumed", call.Transferred: "Transferred", call.Parked: "Parked",
	call.Unparked: "Unparked", call.ParkEnded: "ParkEnded", call.Queued: "Queued", call.Unqueued: "Unqueued", call.QueueOffered: "QueueOffered",
	call.QueueMember: "QueueMember", call.Executed: "Executed", call.RecordBegun: "RecordBegun", call.RecordEnded: "RecordEnded",
	call.MailboxLeft: "MailboxLeft", call.FaxEnded: "FaxEnded",
}

func (b *brief) line(e call.Event) string {
	if b.zero == 0 {
		b.zero = e.At
	}
	w := new(strings.Builder)
	fmt.Fprintf(w, "%6d %s %s", e.At.Sub(b.zero).Milliseconds(), b.leg(e.Leg), kindNames[e.Kind])
	add := func(name string, v any) {
		if s := fmt.Sprint(v); s != "" && s != "0" && s != "false" && s != "-" {
			fmt.Fprintf(w, " %s=%s", name, strings.ReplaceAll(b.shorten(s), " ", "_"))
		}
	}
	add("peer", b.leg(e.Peer))
	add("channel", e.Channel)
	add("endpoint", e.Endpoint)
	add("local", e.Local)
	add("originated", e.Originated)
	add("number", e.Number)
	add("name", e.CallerName)
	add("dialled", e.Dialled)
	add("connected", e.Connected)
	add("context", e.Context)
	add("account", e.Account)
	add("bridge", e.Bridge)
	add("kind", e.BridgeKind)
	add("members", e.Members)
	add("queue", e.Queue)
	add("result", e.Result)
	add("by", e.By)
	add("app", e.App)
	add("data", e.Data)
	add("file", e.File)
	add("ms", e.DurationMs)
	if e.Cause != nil {
		add("cause", fmt.Sprint(e.Cause.Text, "/", e.Cause.Q850, "/", e.Cause.SIP))
	}
	if x := e.Transfer; x != nil {
		add("transfer", fmt.Sprintf("%s:%s:%s>%s@%s/%s", x.Type, b.leg(x.Transferer), b.leg(x.Second), b.leg(x.Transferee), b.leg(x.Target), x.To))
	}
	if h := e.History; h != nil {
		if h.HungUp != 0 {
			times := []string{}
			for _, m := range []call.Moment{h.Created, h.Progress, h.ProgressMedia, h.Answered, h.Bridged, h.HungUp} {
				if m == 0 {
					times = append(times, "-")
				} else {
					times = append(times, fmt.Sprint(m.Sub(b.zero).Milliseconds()))
				}
			}
			add("times", strings.Join(times, ","))
		}
		for _, n := range h.Transfers {
			add("note", n.Method+":"+n.Target)
		}
		for _, name := range kept {
			add(name, h.Vars[name])
		}
	}
	return w.String()
}

// shorten puts letters in the place of the legs' ids.
func (b *brief) shorten(s string) string {
	for id, letter := range b.letters {
		s = strings.ReplaceAll(s, string(id), letter)
	}
	return s
}

// TestNormalise_recorded holds what the events of real calls state, word by
// word. Run it with -update after a change and read the difference.
func TestNormalise_recorded(t *testing.T) {
	names := []string{"inbound_answered", "inbound_cancel", "outbound_answered", "outbound_busy", "callback_answered", "blind_transfer_answered",
		"uuid_transfer_api", "att_xfer_refer", "pickup_intercept", "valet_park", "queue_answered", "queue_timeout", "conference3", "forward_302",
		"loopback_followme", "voicemail_left", "recording", "hold_unhold", "after_hours", "unicode_name"}
	byName := make(map[string]*replay.Recording)
	for _, r := range recordings(t) {
		byName[r.Name] = r
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			r := byName[name]
			if r == nil {
				t.Fatal("no such recording")
			}
			var b brief
			got := new(strings.Builder)
			for _, m := range read(t, r.Stream, Needed()) {
				for _, e := range Normalise(m, 1) {
					fmt.Fprintln(got, b.line(e))
				}
			}
			file := filepath.Join("testdata", "facts", name+".txt")
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("the facts differ from %s:\n%s", file, got)
			}
		})
	}
}

// TestNeeded_losesNothing: what Normalise makes of the needed headers alone is
// what it makes of all of them.
func TestNeeded_losesNothing(t *testing.T) {
	for _, r := range recordings(t) {
		if r.Duration().Seconds() > 60 || len(r.Stream) > 5<<20 {
			continue // hundreds of calls of kinds that the others hold as well
		}
		t.Run(r.Name, func(t *testing.T) {
			facts := func(needed wire.Needed) (lines []string) {
				var b brief
				for _, m := range read(t, r.Stream, needed) {
					for _, e := range Normalise(m, 1) {
						lines = append(lines, b.line(e))
					}
				}
				return lines
			}
			thin, full := facts(Needed()), facts(nil)
			if len(thin) == 0 {
				t.Fatal("no facts at all")
			}
			if a, b := strings.Join(thin, "\n"), strings.Join(full, "\n"); a != b {
				t.Errorf("thinned:\n%s\nfull:\n%s", a, b)
			}
		})
	}
}
