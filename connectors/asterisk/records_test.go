package asterisk

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
	"unicode/utf8"

	"calljournal/agent/call"
	"calljournal/connectors"
)

// master is a row as cdr_csv writes it.
func master(zone *time.Location, uniqueid string, start, answer, end time.Time, more ...string) string {
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return `"` + t.In(zone).Format(time.DateTime) + `"`
	}
	billed := time.Duration(0)
	if !answer.IsZero() {
		billed = end.Sub(answer)
	}
	columns := []string{`""`, `"79161234567"`, `"74951230101"`, `"from-trunk"`, `"""Anna"" <79161234567>"`, `"PJSIP/trunk-a-00000001"`, `"PJSIP/101-00000002"`, `"Dial"`, `"PJSIP/101,20,tT"`,
		stamp(start), stamp(answer), stamp(end), fmt.Sprint(int(end.Sub(start).Seconds())), fmt.Sprint(int(billed.Seconds())), `"ANSWERED"`, `"DOCUMENTATION"`}
	if uniqueid != "" {
		columns = append(columns, `"`+uniqueid+`"`)
	}
	return strings.Join(append(columns, more...), ",") + "\n"
}

func TestRecords_Orders(t *testing.T) {
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	id := fmt.Sprintf("%d.7", start.Unix())
	linked := fmt.Sprintf("%d.3", start.Unix()-1)
	csv := master(time.UTC, id, start, start.Add(3*time.Second), start.Add(10*time.Second), `""`)
	sample := `"""Anna"" <79161234567>","79161234567","74951230101","from-trunk","PJSIP/trunk-a-00000001","PJSIP/101-00000002","Dial","PJSIP/101,20,tT",` +
		`"2026-03-01 10:00:00","2026-03-01 10:00:03","2026-03-01 10:00:10","10","7","ANSWERED","DOCUMENTATION","","` + id + `","",5` + "\n"
	for _, c := range []struct {
		name    string
		columns []string
		lines   []string
		link    string
	}{
		{"cdr_csv", nil, []string{csv}, ""},
		{"cdr_csv with newcdrcolumns", nil, []string{master(time.UTC, id, start, start.Add(3*time.Second), start.Add(10*time.Second), `""`, `""`, `"`+linked+`"`, "5")}, linked},
		{"a system's name before the id", nil, []string{strings.ReplaceAll(csv, id, "pbx-1-"+id)}, ""},
		{"the sample of cdr_custom", nil, []string{sample}, ""},
		{"the sample of cdr_custom, and linkedid behind it", nil, []string{strings.TrimSuffix(sample, "\n") + `,"` + linked + `"` + "\n"}, linked},
		{"a heading", nil, []string{"uniqueid,linkedid,start,duration,billsec,answer,channel,dstchannel,src,dst,dcontext,clid,lastapp,lastdata,disposition,amaflags\n",
			id + "," + linked + `,2026-03-01 10:00:00,10,7,2026-03-01 10:00:03,PJSIP/trunk-a-00000001,PJSIP/101-00000002,79161234567,74951230101,from-trunk,"""Anna"" <7>",Dial,"PJSIP/101,20,tT",ANSWERED,DOCUMENTATION` + "\n"}, linked},
		{"columns named, moments since the epoch", []string{"channel", "dstchannel", "uniqueid", "start", "duration", "billsec", "answer", "end", "src", "dst", "dcontext", "clid", "lastapp", "lastdata", "disposition", "amaflags"},
			[]string{fmt.Sprintf(`"PJSIP/trunk-a-00000001","PJSIP/101-00000002","%s","%d.000000","10.000000","7.000000","x","","79161234567","74951230101","from-trunk","""Anna"" <7>","Dial","PJSIP/101,20,tT","ANSWERED",3`+"\n", id, start.Unix())}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewRecords(c.columns, time.UTC)
			var e call.Event
			for _, line := range c.lines {
				var err error
				if e, err = r.Read([]byte(line), 1); err != nil {
					t.Fatal(err)
				}
			}
			h := e.History
			if e.Kind != call.Reported || h == nil || h.Created.Time() != start || h.Answered.Sub(h.Created) != 3*time.Second || h.HungUp.Sub(h.Created) != 10*time.Second {
				t.Fatalf("%+v %+v", e, h)
			}
			if !strings.HasSuffix(string(e.Leg), id) || e.Link != c.link || e.Number != "79161234567" || e.CallerName != "Anna" || e.Endpoint != "trunk-a" ||
				e.PeerChannel != "PJSIP/101-00000002" || e.App != call.AppDial || e.Connected != "101" || e.DurationMs != 20000 || e.Result != "ANSWER" || e.Doubt != "" {
				t.Errorf("%+v", e)
			}
		})
	}
}

// The stamps are local ones of a clock that is put forward and back; the machine
// that reads them may be somewhere else.
func TestRecords_Zones(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	kolkata, err := time.LoadLocation("Asia/Kolkata")
	if err != nil {
		t.Fatal(err)
	}
	back := time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC)   // 3:00 becomes 2:00
	forward := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC) // 2:00 becomes 3:00
	for _, pbx := range []*time.Location{berlin, kolkata, time.UTC} {
		for _, machine := range []*time.Location{berlin, time.UTC} {
			for _, change := range []time.Time{back, forward} {
				t.Run(fmt.Sprintf("%v read in %v, %v", pbx, machine, change.Month()), func(t *testing.T) {
					r := NewRecords(nil, machine)
					for m := -180; m <= 180; m += 7 {
						start := change.Add(time.Duration(m) * time.Minute)
						id := fmt.Sprintf("%d.%d", start.Unix(), m+1000)
						// Two rows of a channel: the second begins long after it was made.
						first, err := r.Read([]byte(master(pbx, id, start, start.Add(4*time.Second), start.Add(40*time.Minute))), 1)
						if err != nil {
							t.Fatal(err)
						}
						h := first.History
						if h.Created.Time() != start || h.Answered.Time() != start.Add(4*time.Second) || h.HungUp.Time() != start.Add(40*time.Minute) {
							t.Fatalf("%v: from %v, answered %v, to %v", start, h.Created.Time(), h.Answered.Time(), h.HungUp.Time())
						}
						if start.Before(change) && start.Add(80*time.Minute).After(change) {
							continue // over the change nothing tells of which hour a later row is
						}
						later := start.Add(40*time.Minute + 11*time.Second)
						second, err := r.Read([]byte(master(pbx, id, later, later, later.Add(time.Minute))), 1)
						if err != nil {
							t.Fatal(err)
						}
						if got := second.History.Created.Time(); got != later {
							t.Fatalf("a later row of %v begins at %v, read as %v", start, later, got)
						}
					}
				})
			}
		}
	}
	// Nothing tells of the zone: that of the machine, and a doubt.
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	e, err := NewRecords(nil, berlin).Read([]byte(master(berlin, fmt.Sprintf("%d.1", start.Add(-433*time.Second).Unix()), start, start, start.Add(time.Second))), 1)
	if err != nil || e.History.Created.Time() != start || e.Doubt != call.DoubtZoneAssumed {
		t.Errorf("%v, %+v, doubt %q", err, e.History, e.Doubt)
	}
}

// Somebody sets the PBX's zone: one row could be a later one of its channel, two
// that say the same could not.
func TestRecords_ZoneSet(t *testing.T) {
	kolkata, err := time.LoadLocation("Asia/Kolkata")
	if err != nil {
		t.Fatal(err)
	}
	r := NewRecords(nil, time.UTC)
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	read := func(pbx *time.Location, born time.Time, after time.Duration) time.Time {
		t.Helper()
		at = at.Add(time.Hour)
		e, err := r.Read([]byte(master(pbx, fmt.Sprintf("%d.1", born.Unix()), born.Add(after), time.Time{}, born.Add(after+time.Second))), 1)
		if err != nil {
			t.Fatal(err)
		}
		return e.History.Created.Time()
	}
	for i, step := range []struct {
		pbx   *time.Location
		after time.Duration // the row begins so long after its channel
		wrong time.Duration // and is taken to begin so much too late
	}{
		{pbx: time.UTC},
		{pbx: time.UTC, after: 45 * time.Minute},
		{pbx: time.UTC}, // what the row before told of is forgotten
		{pbx: time.UTC, after: 45 * time.Minute},
		{pbx: time.UTC},
		{pbx: kolkata, wrong: 330 * time.Minute},
		{pbx: kolkata},
		{pbx: kolkata},
	} {
		born := at
		if got := read(step.pbx, born, step.after); got != born.Add(step.after+step.wrong) {
			t.Errorf("row %d of a channel of %v begins at %v", i, born, got)
		}
	}
}

func TestRecords_Unreadable(t *testing.T) {
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	good := master(time.UTC, fmt.Sprintf("%d.1", start.Unix()), start, start, start.Add(time.Second))
	for _, c := range []struct {
		line string
		want error
	}{
		{master(time.UTC, "", start, start, start.Add(time.Second)), connectors.ErrNoID},
		{strings.Replace(good, `"ANSWERED"`, `"ANSW`, 1)[:len(good)-30], connectors.ErrUnfinished},
		{"a,b,c\n", nil},
		{strings.Replace(good, "ANSWERED", "PERHAPS", 1), nil},
		{strings.Replace(good, "PJSIP/trunk-a-00000001", "", 1), nil},
		{strings.Replace(good, "2026-03-01 10:00:00", "0000-00-00 00:00:00", 1), nil},
		{strings.Repeat("x", 64<<10), nil},
	} {
		e, err := NewRecords(nil, time.UTC).Read([]byte(c.line), 1)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%.80q: %+v, %v", c.line, e, err)
		}
	}
}

func FuzzRecords(f *testing.F) {
	start := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	good := master(time.UTC, fmt.Sprintf("%d.1", start.Unix()), start, start.Add(time.Second), start.Add(5*time.Second))
	f.Add(good)
	f.Add(strings.ReplaceAll(good, "Anna", "<img src=x>\xff\"\""))
	f.Add(strings.ReplaceAll(good, "Anna", strings.Repeat("\x920", 300)))
	f.Add("uniqueid,channel,start,duration,disposition\n")
	f.Add(strings.Replace(good, "Dial", "Queue", 1))
	f.Add(strings.Replace(good, "Dial", "AppDial2", 1))
	f.Add(strings.Replace(good, "PJSIP/101,20,tT", "PJSIP/101&Local/2@x/n,1e99^,", 1))
	f.Add(strings.Replace(good, "2026-03-01 10:00:05", "2025-03-01 10:00:05", 1))
	f.Fuzz(func(t *testing.T, text string) {
		r := NewRecords(nil, time.UTC)
		for line := range strings.Lines(text) {
			e, err := r.Read([]byte(line), 1)
			if err != nil || e.Kind == 0 {
				continue
			}
			h := e.History
			if e.Leg == "" || h.Created <= 0 || h.HungUp < h.Created || h.Answered != 0 && (h.Answered < h.Created || h.Answered > h.HungUp) {
				t.Errorf("%q: %+v", line, h)
			}
			for _, s := range []string{e.Number, e.CallerName, e.Dialled, e.Channel, e.PeerChannel, e.Link, e.Data, e.Queue} {
				if !utf8.ValidString(s) || len(s) > connectors.LongestText {
					t.Errorf("%q: kept %.40q", line, s)
				}
			}
			// What such a row says must not upset the tracker.
			tracker := call.New(call.Options{PBX: "p", PBXKind: "asterisk"})
			tracker.Heal([]call.Event{e, e}, []call.Gap{{From: 1, To: 1 << 60}}, func([]string, call.Moment, call.Moment) []call.Closed { return nil })
		}
	})
}
