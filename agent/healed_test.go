package agent_test

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"calljournal/agent/call"
	"calljournal/connectors"
	"calljournal/connectors/asterisk"
	"calljournal/connectors/freeswitch"
	"calljournal/connectors/replay"
	"calljournal/connectors/replay/judge"
)

// What the PBX's own records make of calls that were not seen, or half: judged
// by what the SIP wire said. A record file tells less than the events, so a
// field may be unknown; what it does say must be right, to the second.

// misled are the recordings of which the PBX's own record says something wrong,
// with the fields: what no reader of it can know better.
var misled = map[string]string{
	"cb_client_busy":     "status: in whole seconds the row of the other half seems the first",
	"cb_client_noanswer": "status: the same",
	"conference3":        "status, talk_ms, wait_ms: who else was in a room is not written",
	"forward_302":        "answered_by, last_talked_by: the leg keeps the first phone's name",
	"valet_park":         "talk_ms, transfers: parking is not written of",
	"fax_in":             "status, fax: the application ran in the middle, the row names the last",
	"in_reject_603":      "status: DIALSTATUS of a refusal is NOANSWER",
	"out_603":            "status: the same",
	"out_404":            "status: the same of a number that does not exist",
	"conf_3":             "total_ms, status, talk_ms, answered_by: of two in a room one has the row",
	"park_wrong_slot":    "status: ParkedCall ran and ended",
}

// unsaid are the fields that a record file cannot tell of: it may give null, an
// empty list or nothing.
func (f *feed) judgeHealed(t *testing.T, e *judge.Expect, name string, wrongFields string) {
	t.Helper()
	records, err := judge.Records(f.current())
	if err != nil {
		t.Fatal(err)
	}
	v := judge.Judge(e, records, judge.Slack(1100*time.Millisecond))
	for _, n := range f.notes {
		t.Error(n)
	}
	half := map[string]bool{}
	for _, r := range f.current() {
		half[r.ID] = r.Quality == call.QualityPartial
	}
	for _, c := range v.Calls {
		if c.Missing || c.Spurious {
			t.Errorf("%s: missing %v, spurious %v: %s", name, c.Missing, c.Spurious, c.Call)
		}
		for _, m := range c.Wrong {
			if unknown := m.Got == "null" || m.Got == "[]" || m.Want == "sound" && m.Field == "timeline"; unknown && m.Field != "status" && m.Field != "direction" {
				continue
			}
			if m.Field == "recordings" || half[c.ID] && slices.Contains([]string{"hold_ms", "ring_ms", "ivr_ms", "queue_ms", "transfers"}, m.Field) {
				continue // nothing is written of these, and of the events only a part was seen
			}
			if !strings.Contains(wrongFields, m.Field) {
				t.Errorf("%s: [%s] %s: expected %s, got %s", name, c.Call, m.Field, m.Want, m.Got)
			}
		}
	}
}

// closedOf finds calls as the journal would.
func (f *feed) closedOf(ids []string, _, _ call.Moment) (out []call.Closed) {
	for _, r := range f.current() {
		if slices.ContainsFunc(r.PBXIDs, func(id string) bool { return slices.Contains(ids, id) }) || slices.Contains(ids, strings.TrimPrefix(r.ID, "main:")) {
			out = append(out, call.Closed{Record: &r, Facts: slices.Clone(f.evidence[r.ID])})
		}
	}
	return out
}

func (f *feed) heal(rows []call.Event, gaps ...call.Gap) {
	for _, c := range f.tracker.Heal(rows, gaps, f.closedOf) {
		f.take(c)
	}
}

// jsonOf makes of each leg's last event the file that mod_json_cdr writes of it
// (switch_ivr.c: switch_ivr_generate_json_cdr): the same variables, encoded, and
// the caller's profiles.
func jsonOf(t *testing.T, r *replay.Recording) (files [][]byte) {
	t.Helper()
	for _, m := range r.Messages() {
		if !bytes.HasPrefix(m.Body, []byte("Event-Name: CHANNEL_HANGUP_COMPLETE\n")) {
			continue
		}
		h := map[string]string{}
		vars := map[string]string{}
		for line := range strings.SplitSeq(string(m.Body), "\n") {
			name, value, ok := strings.Cut(line, ": ")
			if !ok {
				continue
			}
			if v, ok := strings.CutPrefix(name, "variable_"); ok {
				vars[v] = value
			} else if plain, err := url.PathUnescape(value); err == nil {
				h[name] = plain
			}
		}
		profile := map[string]any{"ani": h["Caller-ANI"], "caller_id_name": h["Caller-Caller-ID-Name"], "caller_id_number": h["Caller-Caller-ID-Number"],
			"destination_number": h["Caller-Destination-Number"], "context": h["Caller-Context"]}
		if h["Other-Type"] == "originator" {
			profile["originator"] = map[string]any{"originator_caller_profiles": []any{map[string]any{"uuid": h["Other-Leg-Unique-ID"]}}}
		}
		flow := []any{map[string]any{"caller_profile": profile}}
		if h["Caller-RDNIS"] != "" {
			flow = append(flow, map[string]any{"caller_profile": map[string]any{"caller_id_name": h["Caller-Caller-ID-Name"],
				"caller_id_number": cmp.Or(h["Caller-Orig-Caller-ID-Number"], h["Caller-Caller-ID-Number"]), "destination_number": h["Caller-RDNIS"], "context": h["Caller-Context"]}})
		}
		file, err := json.Marshal(map[string]any{"core-uuid": h["Core-UUID"], "variables": vars, "callflow": flow})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// reportedOf is everything that the PBX of a recording wrote of its calls, by the
// kind of file.
func reportedOf(t *testing.T, r *replay.Recording, form string) (rows []call.Event) {
	t.Helper()
	records, lines := writtenBy(t, r, form)
	for _, line := range lines {
		e, err := records.Read(line, call.MomentOf(r.T0.Add(time.Hour)))
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if e.Kind != 0 {
			rows = append(rows, e)
		}
	}
	return rows
}

// writtenBy is the text of reportedOf and who reads it.
func writtenBy(t *testing.T, r *replay.Recording, form string) (records connectors.Records, lines [][]byte) {
	t.Helper()
	switch form {
	case "cdr_custom": // with a heading and fractions of seconds
		heading := strings.NewReplacer("duration_f", "duration", "billsec_f", "billsec")
		return asterisk.NewRecords(nil, time.UTC), slices.Collect(bytes.Lines([]byte(heading.Replace(string(r.CDR)))))
	case "cdr_csv":
		return asterisk.NewRecords(nil, time.UTC), masterOf(t, r, time.FixedZone("", 3*3600))
	case "json":
		return freeswitch.NewRecords(nil, time.UTC), jsonOf(t, r)
	case "template":
		return freeswitch.NewRecords([]string{"direction", "caller_id_name", "caller_id_number", "destination_number", "context", "start_uepoch", "progress_uepoch",
			"progress_media_uepoch", "answer_uepoch", "bridge_uepoch", "end_uepoch", "mduration", "billmsec", "hangup_cause", "uuid", "bleg_uuid", "call_uuid",
			"channel_name", "last_app", "last_arg", "user", "sip_hangup_disposition", "originate_disposition", "last_bridge_hangup_cause"}, time.UTC), slices.Collect(bytes.Lines(r.CDR))
	}
	t.Fatalf("no PBX writes %q", form)
	return nil, nil
}

// masterOf rewrites the rows as cdr_csv writes them by itself: its columns, whole
// seconds, no linked id, and the local time of the PBX.
func masterOf(t *testing.T, r *replay.Recording, zone *time.Location) (lines [][]byte) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(r.CDR)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		f := map[string]string{}
		for i, name := range rows[0] {
			f[name] = row[i]
		}
		for _, name := range []string{"start", "answer", "end"} {
			if at, err := time.Parse(time.DateTime, f[name]); err == nil {
				f[name] = at.In(zone).Format(time.DateTime)
			}
		}
		var b strings.Builder
		for i, name := range []string{"accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer", "end",
			"duration", "billsec", "disposition", "amaflags", "uniqueid", "userfield"} {
			if i > 0 {
				b.WriteString(",")
			}
			if name == "duration" || name == "billsec" || name == "answer" && f[name] == "" {
				b.WriteString(f[name])
			} else {
				b.WriteString(`"` + strings.ReplaceAll(f[name], `"`, `""`) + `"`)
			}
		}
		lines = append(lines, []byte(b.String()+"\n"))
	}
	return lines
}

// beyondTemplates are the recordings of calls with more than one talk: a line of
// mod_cdr_csv has the last only, and not for whom a leg was called at first.
var beyondTemplates = regexp.MustCompile(`xfer|transfer|loopback|valet|pickup|voicemail|queue|callback`)

// forms are the kinds of files that each PBX can write.
var forms = []struct{ form, kind string }{
	{"cdr_custom", replay.Asterisk}, {"cdr_csv", replay.Asterisk}, {"json", replay.FreeSWITCH}, {"template", replay.FreeSWITCH},
}

// TestHealed_Unseen: nothing at all was seen of the calls.
func TestHealed_Unseen(t *testing.T) {
	for _, v := range forms {
		for _, r := range recordings(t, v.kind) {
			if r.CDR == nil || v.kind == replay.FreeSWITCH && len(r.Cuts) > 0 || v.form == "template" && beyondTemplates.MatchString(r.Name) {
				continue // rows went unrecorded, or do not say enough
			}
			t.Run(v.form+"/"+r.Name, func(t *testing.T) {
				expect, err := judge.Read(r.Expect)
				if err != nil {
					t.Fatal(err)
				}
				rows := reportedOf(t, r, v.form)
				f := newFeed(trackerOptions(r.Kind, usual))
				gap := call.Gap{PBX: "main", From: call.MomentOf(r.T0.Add(-time.Hour)), To: call.MomentOf(r.T0.Add(time.Hour))}
				f.heal(rows, gap)
				if *showFacts {
					f.print(t)
				}
				f.judgeHealed(t, expect, r.Name, misled[r.Name])
				for _, c := range f.current() {
					if c.Quality != call.QualityBackfilled {
						t.Errorf("%s has quality %s", c.ID, c.Quality)
					}
				}
				before := len(f.order)
				texts := f.texts()
				f.heal(rows, gap)
				if after := f.texts(); len(f.order) != before || fmt.Sprint(after) != fmt.Sprint(texts) {
					t.Error("reading the rows twice made something new")
				}
			})
		}
	}
}

// TestHealed_Cut: the link broke for a second in the middle of the calls, at
// several moments of each recording.
func TestHealed_Cut(t *testing.T) {
	for _, r := range recordings(t, replay.Asterisk) {
		if r.CDR == nil || len(r.Cuts) > 0 || r.Name == "late_connect" {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			expect, err := judge.Read(r.Expect)
			if err != nil {
				t.Fatal(err)
			}
			facts := factsOf(t, r, usual)
			whole := rebuilt(r.Kind, facts)
			rows := reportedOf(t, r, "cdr_custom")
			h := fnv.New32a()
			h.Write([]byte(r.Name))
			phase := time.Duration(h.Sum32() % 500)
			for n := range 8 {
				from := call.MomentOf(r.T0.Add(r.Duration()*time.Duration(n)/8 + phase*time.Millisecond))
				to := from.Add(time.Duration(300+700*(n%3)) * time.Millisecond)
				f := newFeed(trackerOptions(r.Kind, usual))
				for _, e := range withEnd(cutOut(facts, from, to)) {
					f.apply(e)
				}
				before := map[string]call.Record{}
				for _, c := range f.current() {
					before[c.ID] = c
				}
				f.heal(rows, call.Gap{PBX: "main", From: from, To: to})
				if *showFacts {
					fmt.Printf("cut %d from %v to %v\n", n, from.Time(), to.Time())
					f.print(t)
				}
				f.judgeHealed(t, expect, fmt.Sprintf("%s cut %d at %v", r.Name, n, from.Time().Sub(r.T0)), misled[r.Name])
				for _, c := range f.current() {
					if b, ok := before[c.ID]; ok && b.Quality == call.QualityComplete && c.Rev != b.Rev {
						t.Errorf("cut %d: %s was seen whole, and its rows changed it", n, c.ID)
					}
					if _, known := whole[c.ID]; !known {
						t.Errorf("cut %d: no such id is given to the call seen whole: %s", n, c.ID)
					}
				}
			}
		})
	}
}

// TestHealed_AtOnce: rows are read as soon as they are written, while the Tracker
// still holds the calls, and the daemon may be started anew behind them. That makes
// as many calls as rows that are read when all is over, and a restart none.
func TestHealed_AtOnce(t *testing.T) {
	cuts := 12
	if testing.Short() {
		cuts = 3
	}
	const written = 1100 * time.Millisecond // behind the end in a row, whose seconds are whole ones
	for _, v := range forms {
		for _, r := range recordings(t, v.kind) {
			rows, facts := reportedOf(t, r, v.form), factsOf(t, r, usual)
			if len(rows) == 0 || len(r.Cuts) > 0 || len(facts) > 800 {
				continue
			}
			t.Run(v.form+"/"+r.Name, func(t *testing.T) {
				t.Parallel()
				for n := range cuts {
					part := r.Duration() / 8
					from, to := call.MomentOf(r.T0.Add(part*time.Duration(n%6))), call.MomentOf(r.T0.Add(part*time.Duration(n%6+1+n/2)))
					gap := call.Gap{PBX: "main", From: from, To: to}
					seen := withEnd(cutOut(facts, from, to))
					run := func(atOnce bool, restart int) map[string]string {
						f := newFeed(trackerOptions(v.kind, usual))
						back, given := -1, 0
						for i, e := range seen {
							f.apply(e)
							if e.Kind == call.Snapshot && e.Session == 2 {
								back = i
							}
							if back < 0 {
								continue
							}
							there := slices.DeleteFunc(slices.Clone(rows), func(row call.Event) bool { return row.History.HungUp.Add(written) > e.Seen })
							if atOnce && len(there) > given {
								given = len(there)
								f.heal(there, gap)
							}
							if restart > 0 && i == back+restart {
								f.restart()
							}
						}
						f.heal(rows, gap)
						texts := f.texts()
						for id, text := range texts {
							texts[id] = idAndRev.ReplaceAllString(text, "")
						}
						return texts
					}
					atOnce := run(true, 0)
					if later := run(false, 0); len(later) != len(atOnce) {
						t.Errorf("cut %d: %d calls from rows read at once, %d later", n, len(atOnce), len(later))
					}
					for _, restart := range []int{1, 3, 7} {
						if diff := gocmp.Diff(atOnce, run(true, restart)); diff != "" {
							t.Errorf("cut %d: a restart %d facts later changes\n%.2000s", n, restart, diff)
						}
					}
				}
			})
		}
	}
}

// cutOut leaves out what is stated between two moments and puts in what a link
// says that breaks then: down, up, and a list of what is up.
func cutOut(facts []call.Event, from, to call.Moment) (out []call.Event) {
	live := map[call.LegID]*call.LiveLeg{}
	var order []call.LegID
	cut := false
	facts = append(slices.Clone(facts), call.Event{Kind: call.Ticked, At: to, Seen: to})
	for _, e := range facts {
		if e.Seen >= to && !cut {
			cut = true
			snapshot := call.Event{Kind: call.Snapshot, At: to, Seen: to, Session: 2}
			for _, id := range order {
				if l := live[id]; l != nil {
					snapshot.Live = append(snapshot.Live, *l)
				}
			}
			out = append(out, call.Event{Kind: call.LinkDown, At: from, Seen: from, Data: "cut"}, call.Event{Kind: call.LinkUp, At: to, Seen: to, Session: 2}, snapshot)
		}
		if e.Seen < from || e.Seen >= to || e.Kind == call.LinkUp || e.Kind == call.Snapshot {
			out = append(out, e)
		}
		l := live[e.Leg]
		switch {
		case e.Kind == call.LegCreated:
			born := call.Moment(0)
			if s, _, ok := strings.Cut(string(e.Leg), "."); ok {
				fmt.Sscan(s, &born)
			}
			live[e.Leg] = &call.LiveLeg{Leg: e.Leg, Link: e.Link, Channel: e.Channel, Endpoint: e.Endpoint, Local: e.Local, State: e.State, Number: e.Number,
				CallerName: e.CallerName, Dialled: e.Dialled, Context: e.Context, Account: e.Account, Created: cmp.Or(born*1e6, e.At), Originated: e.Originated}
			order = append(order, e.Leg)
		case l == nil:
		case e.Kind == call.LegAnswered:
			l.State = call.StateUp
		case e.Kind == call.LegRinging:
			l.State = call.StateRinging
		case e.Kind == call.Joined:
			l.Bridge, l.BridgeKind = e.Bridge, e.BridgeKind
		case e.Kind == call.Parted && l.Bridge == e.Bridge:
			l.Bridge = ""
		case e.Kind == call.LegEnded:
			delete(live, e.Leg)
		}
	}
	return out
}
