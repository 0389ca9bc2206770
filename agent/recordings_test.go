package agent_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"calljournal/agent/call"
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
		{name: "freeswitch", kind: replay.FreeSWITCH, variant: variant{trunks: true, stamps: true}},
		{name: "auto_freeswitch", kind: replay.FreeSWITCH, variant: variant{stamps: true}},
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

func recordings(t rapid.TB, kind string) []*replay.Recording {
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
	tracker  *call.Tracker
	records  map[string]call.Record
	order    []string
	fresh    []string // recorded since somebody looked, see possible
	gaps     int
	notes    []string
	lines    []string
	reasons  map[string][]call.Reason
	evidence map[string][]call.Event
	kept     map[uint64]call.Event // what the store holds of open calls
	options  call.Options
}

func newFeed(o call.Options) *feed {
	return &feed{tracker: call.New(o), options: o, records: map[string]call.Record{}, reasons: map[string][]call.Reason{}, evidence: map[string][]call.Event{}, kept: map[uint64]call.Event{}}
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
	case call.FactKept:
		f.kept[c.Event.N] = *c.Event
	case call.FactsDropped:
		for _, n := range c.Facts {
			delete(f.kept, n)
		}
	case call.CallRecorded:
		old, known := f.records[c.Record.ID]
		if known && c.Record.Rev <= old.Rev {
			f.notes = append(f.notes, fmt.Sprintf("rev %d of %s came after rev %d", c.Record.Rev, c.Record.ID, old.Rev))
		}
		if !slices.Contains(f.order, c.Record.ID) {
			f.order = append(f.order, c.Record.ID)
		}
		f.records[c.Record.ID] = *c.Record
		f.fresh = append(f.fresh, c.Record.ID)
		f.reasons[c.Record.ID] = c.Reasons
		f.evidence[c.Record.ID] = slices.Clone(c.Evidence)
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
	return fmt.Sprintf("%s %-12v %s", e.At.Time().Format("05.000000"), e.Kind, b)
}
