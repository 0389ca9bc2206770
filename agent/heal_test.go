package agent_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/storage"
)

// These tests are the whole daemon with a PBX that goes away and comes back, and
// its Master.csv, which grows, is rotated, and is read in the end.

// A call of these tests: client n calls, 101 answers after 2 s, and they talk.
type talk struct {
	n           int
	start       time.Time
	talkSeconds int
}

func (c talk) id() string    { return fmt.Sprintf("%d.%d", c.start.Unix(), 2*c.n) }
func (c talk) phone() string { return fmt.Sprintf("%d.%d", c.start.Unix(), 2*c.n+1) }
func (c talk) end() time.Time {
	return c.start.Add(time.Duration(2+c.talkSeconds) * time.Second)
}

func (c talk) facts() []call.Event {
	caller, phone, bridge := call.LegID(c.id()), call.LegID(c.phone()), "b"+c.id()
	at := func(d time.Duration) call.Moment { return call.MomentOf(c.start.Add(d)) }
	end := call.MomentOf(c.end())
	cause := &call.Cause{Q850: 16}
	return []call.Event{
		{Kind: call.LegCreated, At: at(0), Leg: caller, Link: c.id(), Channel: c.channel(), Endpoint: "trunk-a", State: call.StateCalling,
			Number: fmt.Sprintf("7916%07d", c.n), Dialled: "74951230101"},
		{Kind: call.LegCreated, At: at(10 * time.Millisecond), Leg: phone, Link: c.id(), Channel: c.phoneChannel(), Endpoint: "101", State: call.StateDown, Number: "101"},
		{Kind: call.Dialled, At: at(20 * time.Millisecond), Leg: caller, Peer: phone, Number: "101", PeerChannel: c.phoneChannel()},
		{Kind: call.LegRinging, At: at(100 * time.Millisecond), Leg: phone},
		{Kind: call.LegAnswered, At: at(2 * time.Second), Leg: phone},
		{Kind: call.LegAnswered, At: at(2 * time.Second), Leg: caller},
		{Kind: call.Joined, At: at(2 * time.Second), Leg: phone, Bridge: bridge, State: call.StateUp},
		{Kind: call.Joined, At: at(2 * time.Second), Leg: caller, Bridge: bridge, State: call.StateUp},
		{Kind: call.LegHungUp, At: end, Leg: caller, Cause: cause},
		{Kind: call.LegEnded, At: end, Leg: phone, Cause: cause},
		{Kind: call.LegEnded, At: end, Leg: caller, Cause: cause},
	}
}

func (c talk) channel() string      { return fmt.Sprintf("PJSIP/trunk-a-%08x", 2*c.n) }
func (c talk) phoneChannel() string { return fmt.Sprintf("PJSIP/101-%08x", 2*c.n+1) }

// live is how a list shows the call at a moment.
func (c talk) live(at time.Time) (legs []call.LiveLeg) {
	if at.Before(c.start) || !at.Before(c.end()) {
		return nil
	}
	legs = []call.LiveLeg{
		{Leg: call.LegID(c.id()), Link: c.id(), Channel: c.channel(), Endpoint: "trunk-a", State: call.StateUp, Number: fmt.Sprintf("7916%07d", c.n),
			Dialled: "74951230101", Created: call.MomentOf(c.start), Bridge: "b" + c.id()},
		{Leg: call.LegID(c.phone()), Link: c.id(), Channel: c.phoneChannel(), Endpoint: "101", State: call.StateUp, Number: "101",
			Created: call.MomentOf(c.start), Bridge: "b" + c.id()},
	}
	return legs
}

// row is the call in Master.csv, as cdr_csv writes it in the time zone of the PBX.
func (c talk) row(zone *time.Location) string {
	stamp := func(t time.Time) string { return t.In(zone).Format("2006-01-02 15:04:05") }
	return fmt.Sprintf(`"","7916%07d","74951230101","from-trunk","""Client"" <7916%07d>","%s","%s","Dial","PJSIP/101,20,tT","%s","%s","%s",%d,%d,"ANSWERED","DOCUMENTATION","%s",""`+"\n",
		c.n, c.n, c.channel(), c.phoneChannel(), stamp(c.start), stamp(c.start.Add(2*time.Second)), stamp(c.end()), 2+c.talkSeconds, c.talkSeconds, c.id())
}

// watchedPBX says the calls at their times, but not between the outages, and
// writes its rows when they are over.
type watchedPBX struct {
	t     *testing.T
	calls []talk
	down  [][2]time.Time
	file  string
	zone  *time.Location
}

func (p *watchedPBX) run(ctx context.Context, _ uint64, emit func(call.Event)) error {
	now := time.Now()
	for _, d := range p.down {
		if !now.Before(d[0]) && now.Before(d[1]) {
			return fmt.Errorf("the PBX does not answer")
		}
	}
	emit(call.Event{Kind: call.LinkUp})
	var live []call.LiveLeg
	var facts []call.Event
	for _, c := range p.calls {
		live = append(live, c.live(now)...)
		facts = append(facts, c.facts()...)
	}
	emit(call.Event{Kind: call.Snapshot, Live: live})
	slices.SortStableFunc(facts, func(a, b call.Event) int { return int(a.At - b.At) })
	until := now.Add(1000 * time.Hour)
	for _, d := range p.down {
		if d[0].After(now) && d[0].Before(until) {
			until = d[0]
		}
	}
	for _, e := range facts {
		at := e.At.Time()
		if at.Before(now) {
			continue
		}
		if at.After(until) {
			break
		}
		if !pause(ctx, time.Until(at)) {
			return nil
		}
		emit(e)
	}
	if !pause(ctx, time.Until(until)) {
		return nil
	}
	return fmt.Errorf("the line is cut")
}

// write writes the rows as the calls end, a second later.
func (p *watchedPBX) write(ctx context.Context) {
	calls := slices.SortedFunc(slices.Values(p.calls), func(a, b talk) int { return a.end().Compare(b.end()) })
	for _, c := range calls {
		if !pause(ctx, time.Until(c.end().Add(time.Second))) {
			return
		}
		p.add(c.row(p.zone))
	}
}

func (p *watchedPBX) add(text string) {
	f, err := os.OpenFile(p.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		p.t.Error(err)
	}
}

func healConfig(t *testing.T, dir, file string) *config.Config {
	c := testConfig(t, dir, "main")
	c.PBX[0].CDRFile = file
	return c
}

// TestHeal: two calls before, one over the beginning of an outage, one over its
// end, two inside, one after; and the file is rotated in the middle of it.
func TestHeal(t *testing.T) {
	rename := func(t *testing.T, file string) {
		if err := os.Rename(file, file+".1"); err != nil {
			t.Error(err)
		}
	}
	copyTruncate := func(t *testing.T, file string) {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file+".1", text, 0o600)
		}
		if err == nil {
			err = os.Truncate(file, 0)
		}
		if err != nil {
			t.Error(err)
		}
	}
	moscow := time.FixedZone("", 3*3600)
	for _, v := range []struct {
		name    string
		zone    *time.Location
		rotate  func(*testing.T, string)
		restart bool
	}{
		{"plain", time.UTC, nil, false},
		{"zone", moscow, nil, false},
		{"renamed", moscow, rename, false},
		{"copied", time.UTC, copyTruncate, false},
		{"restart", moscow, nil, true},
		{"restart and renamed", time.UTC, rename, true},
	} {
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				t0 := time.Now()
				at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
				pbx := &watchedPBX{t: t, file: filepath.Join(dir, "Master.csv"), zone: v.zone, down: [][2]time.Time{{at(60), at(120)}}, calls: []talk{
					{1, at(10), 5}, {2, at(20), 10}, // seen whole
					{3, at(50), 20},                 // its end was not seen
					{4, at(110), 60},                // its start was not seen
					{5, at(70), 15}, {6, at(90), 8}, // nothing was seen of these
					{7, at(200), 9}, // seen whole: tried again every half minute, the link is up by then
				}}
				pbx.add("\"old\",\"rows\"\n")
				ctx, stop := context.WithCancel(t.Context())
				written := make(chan struct{})
				go func() { defer close(written); pbx.write(ctx) }()
				conf := func() *config.Config { return healConfig(t, dir, pbx.file) }
				d := start(t, conf(), map[string]*fakePBX{"main": {session: pbx.run}}, nil)
				time.Sleep(time.Until(at(100)))
				if v.rotate != nil {
					v.rotate(t, pbx.file)
				}
				if v.restart {
					d.end(t)
					time.Sleep(time.Until(at(115)))
					d = start(t, conf(), map[string]*fakePBX{"main": {session: pbx.run}}, nil)
					time.Sleep(time.Until(at(126))) // and once more before anything is settled
					d.end(t)
					d = start(t, conf(), map[string]*fakePBX{"main": {session: pbx.run}}, nil)
				}
				time.Sleep(time.Until(at(400)))
				entries := d.feed(t)
				checkHealed(t, entries, pbx.calls, v.restart)
				if t.Failed() {
					for _, c := range pbx.calls {
						if w, err := d.store.Why("main:" + c.id()); err == nil {
							for _, e := range w.Facts {
								t.Log(c.n, factLine(e))
							}
						}
					}
				}
				time.Sleep(time.Until(at(4000)))
				if more := d.feed(t); len(more) != len(entries) {
					t.Errorf("time alone made %d new entries: %+v", len(more)-len(entries), more[len(entries):])
				}
				st, err := d.Status(t.Context())
				if err != nil || st.Links[0].Healing == nil || st.Links[0].Healing.Waiting != 0 || st.Links[0].Healing.Error != "" {
					t.Errorf("status: %+v, %v", st.Links[0].Healing, err)
				}
				d.end(t)
				stop()
				<-written
			})
		})
	}
}

// TestHeal_Long: the outage was so long that its rows are read in several goes.
// Those of one call show only together that they are of one.
func TestHeal_Long(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 4900
		dir := t.TempDir()
		t0 := time.Now()
		at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
		pbx := &watchedPBX{t: t, file: filepath.Join(dir, "Master.csv"), zone: time.UTC, down: [][2]time.Time{{at(60), at(60 + most)}}}
		d := start(t, healConfig(t, dir, pbx.file), map[string]*fakePBX{"main": {session: pbx.run}}, nil)
		time.Sleep(time.Until(at(100)))
		var text strings.Builder
		var second []string
		for n := range most - 100 {
			c := talk{n, at(70 + n), 5}
			// Of a phone called through a Local channel there are two rows, the second a
			// few calls later.
			half := fmt.Sprintf("Local/101@ringgrp-%08x", n)
			text.WriteString(strings.NewReplacer(c.phoneChannel(), half+";1").Replace(c.row(time.UTC)))
			second = append(second, strings.NewReplacer(c.channel(), half+";2", c.id(), fmt.Sprintf("%d.%d", c.start.Unix(), 1e6+n)).Replace(c.row(time.UTC)))
			if len(second) > 3 {
				text.WriteString(second[0])
				second = second[1:]
			}
		}
		text.WriteString(strings.Join(second, ""))
		if text.Len() < 2<<20 {
			t.Fatalf("the rows are %d bytes: that may be one reading", text.Len())
		}
		pbx.add(text.String())
		time.Sleep(time.Until(at(2 * most)))
		calls, gaps := latest(t, d.feed(t))
		if len(calls) != most-100 {
			t.Errorf("%d calls, want %d", len(calls), most-100)
		}
		for _, r := range calls {
			if len(r.PBXIDs) != 2 || r.AnsweredBy == nil || *r.AnsweredBy != "101" || r.Direction != call.Inbound || *r.TalkMs != 5000 {
				t.Errorf("%s of the channels %v: %s, answered by %v", r.ID, r.PBXIDs, r.Direction, r.AnsweredBy)
			}
		}
		if len(gaps) != 2 || !gaps[1].Healed {
			t.Errorf("gaps: %+v", gaps)
		}
		d.end(t)
	})
}

// TestHeal_Unreadable: what is wrong with the file is in status, in words that
// help, and what can be read of it is.
func TestHeal_Unreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		t0 := time.Now()
		at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
		file := filepath.Join(dir, "not yet", "Master.csv")
		pbx := &watchedPBX{t: t, file: file, zone: time.UTC, down: [][2]time.Time{{at(60), at(75)}}, calls: []talk{{1, at(20), 60}, {2, at(62), 4}}}
		d := start(t, healConfig(t, dir, file), map[string]*fakePBX{"main": {session: pbx.run}}, nil)
		warned := func(word string) bool {
			st, err := d.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(strings.Join(st.Warnings, "\n"), word)
		}
		time.Sleep(10 * time.Second)
		if !warned("is cdr_file right") {
			t.Error("the folder of cdr_file is not there, and status does not say so")
		}
		time.Sleep(time.Until(at(120)))
		if _, gaps := latest(t, d.feed(t)); len(gaps) != 1 || gaps[0].Healed {
			t.Errorf("without a file no gap is healed: %+v", gaps)
		}
		if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		// Hostile rows and half ones between the good; a name over two lines.
		noID := strings.Replace(pbx.calls[0].row(time.UTC), pbx.calls[0].id(), "", 1)
		twoLines := strings.Replace(pbx.calls[0].row(time.UTC), `""Client""`, "\"\"Cli\nent\"\"", 1)
		pbx.add("\xff\xfe,,\"\n" + noID + strings.Repeat("y", 70<<10) + "\n" + twoLines + strings.TrimSuffix(pbx.calls[1].row(time.UTC), "\",\"\"\n"))
		time.Sleep(20 * time.Second)
		calls, _ := latest(t, d.feed(t))
		if len(calls) != 1 {
			t.Errorf("half a row was taken for a whole one: %d calls", len(calls))
		}
		pbx.add("\",\"\"\n")
		time.Sleep(20 * time.Second)
		calls, gaps := latest(t, d.feed(t))
		if r := calls["main:"+pbx.calls[1].id()]; len(calls) != 2 || r == nil || r.Quality != call.QualityBackfilled {
			t.Errorf("%d calls, the one in the gap: %+v", len(calls), r)
		}
		if len(gaps) != 2 || !gaps[1].Healed || gaps[1].From != gaps[0].From {
			t.Errorf("gaps: %+v", gaps)
		}
		if !warned("loguniqueid") {
			t.Error("a row has no unique id, and status does not say what to do")
		}
		if warned("is cdr_file right") {
			t.Error("status still says that the file cannot be read")
		}
		d.end(t)
	})
}

// TestHeal_Folder: a FreeSWITCH with mod_json_cdr's folder.
func TestHeal_Folder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		folder := filepath.Join(dir, "json_cdr")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		t0 := time.Now()
		at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
		pbx := &watchedPBX{t: t, down: [][2]time.Time{{at(60), at(70)}}}
		c := healConfig(t, dir, folder)
		c.PBX[0].Kind, c.PBX[0].Trunks = config.KindFreeSWITCH, []string{"sofia/external/*"}
		d := start(t, c, map[string]*fakePBX{"main": {session: pbx.run}}, nil)
		us := func(t time.Time) string { return fmt.Sprint(t.UnixMicro()) }
		a, b := "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
		leg := func(uuid, direction, channel, number, other, by string) string {
			return fmt.Sprintf(`{"variables":{"uuid":%q,"call_uuid":%q,"direction":%q,"channel_name":%q,"start_uepoch":%q,"progress_uepoch":%q,"answer_uepoch":%q,"bridge_uepoch":%q,"end_uepoch":%q,
				"hangup_cause":"NORMAL_CLEARING","hangup_cause_q850":"16","sip_hangup_disposition":%q,"last_bridge_to":%q%s},"callflow":[{"caller_profile":{"caller_id_number":"79161234567","destination_number":%q,"context":"public"}}]}`,
				uuid, a, direction, channel, us(at(61)), us(at(62)), us(at(63)), us(at(63)), us(at(67)), by, other, map[bool]string{true: `,"originator":"` + a + `","dialed_user":"1001"`}[uuid == b], number)
		}
		time.Sleep(time.Until(at(68)))
		for name, text := range map[string]string{a: leg(a, "inbound", "sofia/external/79161234567@192.0.2.1", "74951230101", b, "recv_bye"),
			b: leg(b, "outbound", "sofia/internal/1001@192.0.2.2", "1001", a, "send_bye")} {
			if err := os.WriteFile(filepath.Join(folder, name+".cdr.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Until(at(200)))
		calls, gaps := latest(t, d.feed(t))
		r := calls["main:"+a]
		if len(calls) != 1 || r == nil {
			t.Fatalf("%d calls: %v", len(calls), slices.Collect(maps.Keys(calls)))
		}
		if r.Quality != call.QualityBackfilled || r.Status != call.StatusAnswered || *r.AnsweredBy != "1001" || *r.TalkMs != 4000 || *r.WaitMs != 2000 || *r.EndedBy != "caller" || r.Direction != call.Inbound {
			t.Errorf("%+v", r)
		}
		if len(gaps) != 2 || !gaps[1].Healed {
			t.Errorf("gaps: %+v", gaps)
		}
		d.end(t)
	})
}

func checkHealed(t *testing.T, entries []storage.Entry, talks []talk, restarted bool) {
	t.Helper()
	calls, gaps := latest(t, entries)
	if len(calls) != len(talks) {
		t.Errorf("%d calls were recorded, there were %d", len(calls), len(talks))
	}
	healed := map[call.Moment]bool{}
	for _, g := range gaps {
		healed[g.From] = healed[g.From] || g.Healed
	}
	for from, ok := range healed {
		if !ok {
			t.Errorf("the gap from %v is not healed", from.Time())
		}
	}
	for _, c := range talks {
		r := calls["main:"+c.id()]
		if r == nil {
			t.Errorf("call %d has no record", c.n)
			continue
		}
		off := func(got call.Moment, want time.Time) bool {
			d := got.Time().Sub(want)
			return d < -time.Second || d > time.Second
		}
		if r.Status != call.StatusAnswered || r.AnsweredBy == nil || *r.AnsweredBy != "101" || r.Direction != call.Inbound {
			t.Errorf("call %d: %s %s", c.n, r.Direction, r.Status)
		}
		if off(r.StartedAt, c.start) || off(r.EndedAt, c.end()) || off(r.AnsweredAt, c.start.Add(2*time.Second)) {
			t.Errorf("call %d, %s: from %v, answered %v, to %v", c.n, r.Quality, r.StartedAt.Time(), r.AnsweredAt.Time(), r.EndedAt.Time())
		}
		if r.TalkMs == nil || *r.TalkMs < int64(c.talkSeconds-1)*1000 || *r.TalkMs > int64(c.talkSeconds+1)*1000 {
			t.Errorf("call %d: talk %v of %d s", c.n, r.TalkMs, c.talkSeconds)
		}
		want := map[int]string{1: "complete", 2: "complete", 7: "complete", 3: "partial", 4: "partial", 5: "backfilled", 6: "backfilled"}[c.n]
		if r.Quality != want {
			t.Errorf("call %d is %s, want %s: %v", c.n, r.Quality, want, r.Doubts)
		}
		if slices.Contains(r.Doubts, call.DoubtClockStepped) {
			t.Errorf("call %d: no clock was set: %v", c.n, r.Doubts)
		}
		if want == "complete" && r.Rev != 1 {
			t.Errorf("call %d was seen whole and has revision %d", c.n, r.Rev)
		}
	}
	if r := calls["main:"+talks[2].id()]; r != nil && !strings.Contains(strings.Join(r.Doubts, " "), call.DoubtEndReported) {
		t.Errorf("the end of call 3 is reported: %v", r.Doubts)
	}
}

// The file that was rotated away ends in a row that is not whole (an unbalanced quote), and of
// the new file there is only half a line when it is read.
func TestHeal_BrokenLastRowOfARotatedFile(t *testing.T) {
	for name, broken := range map[string]string{"whole rows only": "", "a broken row": "\"\",\"79160000009\",\"74951230101\",\"from-trunk\",\"\"\"Cli\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				t0 := time.Now()
				at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
				pbx := &watchedPBX{t: t, file: filepath.Join(dir, "Master.csv"), zone: time.UTC, down: [][2]time.Time{{at(60), at(120)}}, calls: []talk{{5, at(70), 15}, {6, at(90), 8}}}
				pbx.add("\"old\",\"rows\"\n")
				d := start(t, healConfig(t, dir, pbx.file), map[string]*fakePBX{"main": {session: pbx.run}}, nil)
				time.Sleep(time.Until(at(100)))
				pbx.add(broken)
				if err := os.Rename(pbx.file, pbx.file+".1"); err != nil {
					t.Error(err)
				}
				row := pbx.calls[0].row(time.UTC)
				pbx.add(row[:40]) // the PBX's buffer, or a copy under way
				time.Sleep(time.Until(at(200)))
				pbx.add(row[40:])
				pbx.add(pbx.calls[1].row(time.UTC))
				time.Sleep(time.Until(at(400)))
				calls, _ := latest(t, d.feed(t))
				st, err := d.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(calls) != 2 || st.Links[0].Healing.Error != "" {
					t.Errorf("%d calls, %s", len(calls), st.Links[0].Healing.Error)
				}
				d.end(t)
			})
		})
	}
}
