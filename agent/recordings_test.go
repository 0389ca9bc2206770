package agent_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/asterisk"
	"calljournal/connectors/replay"
	"calljournal/connectors/replay/judge"
)

// Every recording of the project is rebuilt here by Normalise and the Tracker
// alone, without a socket and without a clock, and judged by what the SIP wire
// said meanwhile. One recording:
//
//	go test ./agent -run 'TestRecordings/asterisk/xfer_blind_1$' -v -facts
//
// prints each fact and the records that came of them.

var showFacts = flag.Bool("facts", false, "print every fact and record of the recordings that run")

func TestRecordings(t *testing.T) {
	for _, v := range []struct {
		name string
		kind string
		variant
	}{
		{name: "asterisk", kind: replay.Asterisk, variant: variant{trunks: true, stamps: true}},
		{name: "nostamp", kind: replay.Asterisk, variant: variant{trunks: true}},
		{name: "auto", kind: replay.Asterisk, variant: variant{stamps: true}},
	} {
		t.Run(v.name, func(t *testing.T) {
			for _, r := range recordings(t, v.kind) {
				t.Run(r.Name, func(t *testing.T) {
					t.Parallel()
					judgeRecording(t, r, v.variant)
				})
			}
		})
	}
}

// variant is how the PBX and the configuration differ from the usual.
type variant struct {
	trunks bool // the configuration names the trunks
	stamps bool // the PBX sends stamps
}

func recordings(t testing.TB, kind string) []*replay.Recording {
	t.Helper()
	all, err := replay.OpenArchive(filepath.Join("..", "connectors", "replay", "testdata", kind+".tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// reaction is the time within which everything of a call must be in the feed
// after its last message: whoever asks later finds it complete.
const reaction = 2500 * time.Millisecond

func judgeRecording(t *testing.T, r *replay.Recording, v variant) {
	expect, err := judge.Read(r.Expect)
	if err != nil {
		t.Fatal(err)
	}
	var options []judge.Option
	if !v.stamps {
		options = append(options, judge.Slack(100*time.Millisecond))
	}
	facts := factsOf(t, r, v)
	f := newFeed(trackerOptions(r.Kind, v))
	for _, e := range facts {
		f.apply(e)
	}
	last := facts[len(facts)-1].Seen
	for at := last; at < last.Add(reaction); at = at.Add(250 * time.Millisecond) {
		f.apply(call.Event{Kind: call.Ticked, At: at, Seen: at})
	}
	if *showFacts {
		f.print(t)
	}
	f.judge(t, expect, options...)
	if t.Failed() {
		return
	}
	for _, d := range []time.Duration{time.Minute, time.Hour, 48 * time.Hour} {
		f.apply(call.Event{Kind: call.Ticked, At: last.Add(d), Seen: last.Add(d)})
	}
	f.judge(t, expect, options...)
	if t.Failed() {
		t.Log("these faults came with time alone, after everything was exact")
	}
}

func trackerOptions(kind string, v variant) call.Options {
	o := call.Options{Agent: "test", PBX: "main", PBXKind: kind}
	if v.trunks && kind == replay.Asterisk {
		o.Trunks = []string{"PJSIP/trunk-*"}
	} else if v.trunks {
		o.Trunks = []string{"sofia/external/*"}
	}
	return o
}

// feed is what a reader of the sync feed would know.
type feed struct {
	tracker *call.Tracker
	records map[string]call.Record
	order   []string
	gaps    int
	notes   []string
	lines   []string
	reasons map[string][]call.Reason
}

func newFeed(o call.Options) *feed {
	return &feed{tracker: call.New(o), records: map[string]call.Record{}, reasons: map[string][]call.Reason{}}
}

func (f *feed) apply(e call.Event) {
	if *showFacts && e.Kind != call.Ticked {
		f.lines = append(f.lines, factLine(e))
	}
	for _, c := range f.tracker.Apply(e) {
		f.take(c)
	}
}

func (f *feed) take(c call.Change) {
	switch c.Op {
	case call.CallRecorded:
		old, known := f.records[c.Record.ID]
		if known && c.Record.Rev <= old.Rev {
			f.notes = append(f.notes, fmt.Sprintf("rev %d of %s came after rev %d", c.Record.Rev, c.Record.ID, old.Rev))
		}
		if !slices.Contains(f.order, c.Record.ID) {
			f.order = append(f.order, c.Record.ID)
		}
		f.records[c.Record.ID] = *c.Record
		f.reasons[c.Record.ID] = c.Reasons
	case call.CallDeleted:
		delete(f.records, c.ID)
	case call.GapFound:
		f.gaps++
	case call.Anomaly:
		if *showFacts {
			f.lines = append(f.lines, "    anomaly: "+c.Why)
		}
	}
}

// current gives the records that stand, in the order in which they came.
func (f *feed) current() []call.Record {
	var out []call.Record
	for _, id := range f.order {
		if r, ok := f.records[id]; ok {
			out = append(out, r)
		}
	}
	return out
}

func (f *feed) judge(t *testing.T, e *judge.Expect, options ...judge.Option) {
	t.Helper()
	records, err := judge.Records(f.current())
	if err != nil {
		t.Fatal(err)
	}
	v := judge.Judge(e, records, append(options, judge.WithGaps(f.gaps))...)
	v.Notes = append(v.Notes, f.notes...)
	if !v.Exact() {
		t.Error(v)
	}
}

func (f *feed) print(t *testing.T) {
	for _, l := range f.lines {
		fmt.Fprintln(os.Stdout, l)
	}
	for _, r := range f.current() {
		b, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(os.Stdout, "%s\n", b)
		for _, w := range f.reasons[r.ID] {
			fmt.Fprintf(os.Stdout, "  %s: %s %v\n", w.Field, w.Rule, w.Facts)
		}
	}
}

// factLine is a fact on one line: what is unknown in it is left out.
func factLine(e call.Event) string {
	b, err := json.Marshal(e)
	if err != nil {
		return err.Error()
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return err.Error()
	}
	for k, v := range m {
		if v == nil || v == "" || v == 0.0 || v == false || k == "Kind" || k == "At" || k == "Seen" || k == "Session" {
			delete(m, k)
		}
	}
	b, err = json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %-12s %s", e.At.Time().Format("05.000000"), kindName(e.Kind), b)
}

func kindName(k call.Kind) string {
	names := []string{"", "LegCreated", "LegNamed", "LegNumbered", "LegConnected", "LegAccount", "LegRinging", "LegProgress", "LegAnswered",
		"LegHungUp", "LegEnded", "LegLink", "LegAlias", "LegPaired", "Dialled", "DialEnded", "Joined", "Parted", "BridgeMerged", "Held", "Resumed",
		"Transferred", "PickedUp", "Parked", "Unparked", "ParkEnded", "Queued", "Unqueued", "QueueOffered", "QueueMember", "Executed",
		"RecordBegun", "RecordEnded", "MailboxLeft", "FaxEnded", "Originated", "LinkUp", "LinkDown", "LinkGap", "PBXStarted", "Snapshot",
		"Ticked", "Unexplained"}
	if int(k) < len(names) {
		return names[k]
	}
	return strconv.Itoa(int(k))
}

// session numbers the facts of one link.
type session struct {
	id, seq uint64
	facts   []call.Event
}

func (s *session) state(seen call.Moment, facts ...call.Event) {
	for _, e := range facts {
		s.seq++
		e.Session, e.Seq = s.id, s.seq
		if e.Seen == 0 {
			e.At, e.Seen = seen, seen
		}
		s.facts = append(s.facts, e)
	}
}

func (s *session) up(seen call.Moment) {
	s.id++
	s.seq = 0
	s.state(seen, call.Event{Kind: call.LinkUp})
}

// factsOf gives what a connector would state of a recording, with the time
// passing in between.
func factsOf(t *testing.T, r *replay.Recording, v variant) []call.Event {
	t.Helper()
	lists := map[int][]map[string]string{} // what the recorder was answered, by part
	var said []replay.Message
	var heads []map[string]string
	for _, m := range r.Messages() {
		h := headersAMI(m.Raw)
		if ownAMI(h) {
			lists[m.Part] = append(lists[m.Part], h)
			continue
		}
		if !v.stamps {
			delete(h, "Timestamp")
		}
		said, heads = append(said, m), append(heads, h)
	}
	s := session{}
	part := -1
	tick := call.MomentOf(r.T0)
	for i, m := range said {
		seen := call.MomentOf(r.T0.Add(m.At))
		for ; tick < seen; tick = tick.Add(time.Second) {
			s.facts = append(s.facts, call.Event{Kind: call.Ticked, At: tick, Seen: tick})
		}
		for ; part < m.Part; part++ {
			begin := call.MomentOf(r.T0)
			if part >= 0 {
				// The break belongs before the part that it is followed by.
				s.state(call.MomentOf(r.T0.Add(r.Cuts[part].At)), call.Event{Kind: call.LinkDown, Data: "cut"})
				begin = call.MomentOf(r.T0.Add(r.Parts[part+1].Start))
			}
			s.up(begin)
			if part >= 0 && startedAnew(lists[part+1], begin, r.T0.Add(r.Cuts[part].At)) {
				s.state(begin, call.Event{Kind: call.PBXStarted})
			}
			s.state(begin, snapshotAMI(lists[part+1], begin))
		}
		if e := heads[i]["Event"]; e != "Cdr" && e != "CEL" {
			s.state(seen, asterisk.Normalise(heads[i], seen)...)
		}
	}
	return s.facts
}

// headersAMI splits one message; of repeated headers the first keeps the name,
// as behind wire.
func headersAMI(raw []byte) map[string]string {
	out := map[string]string{}
	for line := range strings.SplitSeq(strings.ToValidUTF8(string(raw), "\uFFFD"), "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		key := name
		for n := 2; ; n++ {
			if _, taken := out[key]; !taken {
				break
			}
			key = fmt.Sprintf("%s#%d", name, n)
		}
		out[key] = strings.TrimPrefix(value, " ")
	}
	return out
}

// ownAMI says that a message answered the recorder's own requests.
func ownAMI(h map[string]string) bool {
	if h["Response"] != "" && h["Event"] == "" || strings.HasPrefix(h["ActionID"], "rec-") {
		return true
	}
	switch h["Event"] {
	case "CoreShowChannel", "CoreShowChannelsComplete", "Status", "StatusComplete", "QueueParams", "QueueMember", "QueueEntry",
		"QueueStatusComplete", "BridgeListItem", "BridgeListComplete", "ParkedCallsComplete", "FullyBooted":
		return true
	}
	return false
}

// startedAnew says by FullyBooted's Uptime that the PBX began after cut.
func startedAnew(list []map[string]string, now call.Moment, cut time.Time) bool {
	for _, h := range list {
		if h["Event"] != "FullyBooted" {
			continue
		}
		if up, err := strconv.Atoi(h["Uptime"]); err == nil {
			return now.Add(-time.Duration(up) * time.Second).Time().After(cut.Add(-time.Second))
		}
	}
	return false
}

// snapshotAMI makes of the lists that a session begins with what the connector
// makes of them.
func snapshotAMI(list []map[string]string, now call.Moment) call.Event {
	snap := call.Event{Kind: call.Snapshot}
	dnid := map[string]string{}
	for _, h := range list {
		if h["Event"] == "Status" {
			dnid[h["Uniqueid"]] = h["DNID"]
		}
	}
	for _, h := range list {
		if h["Event"] != "CoreShowChannel" {
			continue
		}
		as := func(event string) call.Event {
			m := map[string]string{"Event": event, "AppData": h["ApplicationData"]}
			for k, v := range h {
				if k != "Event" {
					m[k] = v
				}
			}
			for _, e := range asterisk.Normalise(m, now) {
				return e
			}
			return call.Event{}
		}
		leg, app := as("Newchannel"), as("Newexten")
		l := call.LiveLeg{Leg: leg.Leg, Link: leg.Link, Channel: leg.Channel, Endpoint: leg.Endpoint, Local: leg.Local, State: leg.State,
			Number: leg.Number, CallerName: leg.CallerName, Connected: h["ConnectedLineNum"], Dialled: leg.Dialled, Context: leg.Context,
			Account: leg.Account, Bridge: h["BridgeId"], App: app.App, Data: app.Data}
		if l.Connected == "<unknown>" {
			l.Connected = ""
		}
		if d := dnid[h["Uniqueid"]]; d != "" {
			l.Dialled = d
		}
		if l.App == call.AppQueue {
			l.Queue = l.Data
		}
		var hh, mm, ss int
		if _, err := fmt.Sscanf(h["Duration"], "%d:%d:%d", &hh, &mm, &ss); err == nil {
			l.Created = now.Add(-time.Duration(hh*3600+mm*60+ss) * time.Second)
		}
		snap.Live = append(snap.Live, l)
	}
	return snap
}
