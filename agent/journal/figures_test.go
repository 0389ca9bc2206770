package journal_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"

	"github.com/google/go-cmp/cmp"
)

// groupCall is an inbound call that rang at three phones and was answered at the
// second, who sent it on to a fourth.
func groupCall() *call.Record {
	r := talked("a", call.Inbound, 0).record()
	leg := func(ext, role, result string, ring, talk int64) call.Leg {
		l := call.Leg{Role: role, Result: result, RingMs: &ring, TalkMs: &talk}
		if ext != "" {
			l.Extension, l.Number = &ext, &ext
		}
		return l
	}
	r.Legs = []call.Leg{
		leg("", call.RoleCaller, "answered", 0, 50_000),
		leg("101", call.RolePhone, "answered_elsewhere", 4000, 0),
		leg("102", call.RolePhone, "answered", 4000, 30_000),
		leg("103", call.RolePhone, "answered_elsewhere", 4000, 0),
		leg("104", call.RolePhone, "answered", 2000, 20_000),
		leg("105", call.RoleConsultation, "answered", 3000, 0),
	}
	r.AnsweredBy, r.LastTalkedBy = ptr("102"), ptr("104")
	r.Queues = []string{"sales", "support", "sales"}
	talk := int64(50_000)
	r.TalkMs = &talk
	r.Types = []string{"unique", "target"}
	return r
}

func rowsBy(by journal.By, calls ...*call.Record) map[string]journal.Row {
	s := journal.NewSheet(journal.NewCalendar(zone), journal.DefaultRules(), by, journal.Whole)
	for _, r := range calls {
		s.AddCall(r)
	}
	out := map[string]journal.Row{}
	for _, row := range s.Rows() {
		out[row.Group] = row
	}
	return out
}

// One call of a group is one call in the total, and is missed by nobody if one of
// the group took it.
func TestFigures_OneCallOfAGroup(t *testing.T) {
	r := groupCall()
	if got := rowsBy(journal.ByNothing, r)[""]; got.Calls != 1 || got.Answered != 1 || got.TalkTotal != 50_000 || got.Unique != 1 {
		t.Errorf("total: %+v", got)
	}
	for _, q := range []string{"sales", "support"} {
		if got := rowsBy(journal.ByQueue, r)[q]; got.Calls != 1 {
			t.Errorf("queue %s: %d calls", q, got.Calls)
		}
	}
	by := rowsBy(journal.ByEmployee, r)
	for _, x := range []string{"101", "103"} {
		if got := by[x]; got.Calls != 0 || got.Missed != 0 || got.Elsewhere != 1 || got.RingAverage != nil {
			t.Errorf("%s, whose phone rang while another answered: %+v", x, got)
		}
	}
	for x, talk := range map[string]int64{"102": 30_000, "104": 20_000} {
		if got := by[x]; got.Calls != 1 || got.Answered != 1 || got.TalkTotal != talk || got.Elsewhere != 0 {
			t.Errorf("%s: %+v", x, got)
		}
	}
	if got, ok := by["105"]; ok {
		t.Errorf("105 was asked, and spoke with no caller: %+v", got)
	}

	r.Status, r.AnsweredAt, r.AnsweredBy, r.LastTalkedBy, r.Missed = call.StatusNoAnswer, 0, nil, nil, true
	for i := range r.Legs {
		r.Legs[i].Result = "no_answer"
	}
	if got := rowsBy(journal.ByNothing, r)[""]; got.Missed != 1 {
		t.Errorf("total: %d missed, want 1", got.Missed)
	}
	for _, x := range []string{"101", "102", "103", "104"} {
		if got := rowsBy(journal.ByEmployee, r)[x]; got.Missed != 1 || got.Calls != 1 {
			t.Errorf("%s should have answered: %+v", x, got)
		}
	}
}

// An employee with two phones has one call.
func TestFigures_TwoPhonesOfOne(t *testing.T) {
	r := groupCall()
	for i := range r.Legs {
		if r.Legs[i].Extension != nil {
			r.Legs[i].Employee, r.Legs[i].Department = ptr("Анна"), ptr("Продажи")
		}
	}
	for _, by := range []journal.By{journal.ByEmployee, journal.ByDepartment} {
		rows := rowsBy(by, r)
		if len(rows) != 1 {
			t.Fatalf("by %d: %d rows", by, len(rows))
		}
		for _, got := range rows {
			if got.Calls != 1 || got.Elsewhere != 0 || got.TalkTotal != 50_000 || *got.RingLongest != 4000 {
				t.Errorf("by %d: %+v", by, got)
			}
		}
	}
}

func TestRatio(t *testing.T) {
	for _, tt := range []struct {
		r             journal.Ratio
		json, percent string
	}{
		{journal.Ratio{Part: 1, Of: 3}, "0.333333", "33.3"},
		{journal.Ratio{Part: 2, Of: 3}, "0.666667", "66.7"},
		{journal.Ratio{Part: 1, Of: 8}, "0.125000", "12.5"},
		{journal.Ratio{Part: 1768, Of: 2583}, "0.684475", "68.4"},
		{journal.Ratio{Part: 5, Of: 5}, "1.000000", "100.0"},
		{journal.Ratio{Part: 0, Of: 5}, "0.000000", "0.0"},
		{journal.Ratio{Part: 0, Of: 0}, "null", ""},
	} {
		b, err := json.Marshal(tt.r)
		if err != nil || string(b) != tt.json || tt.r.Percent() != tt.percent {
			t.Errorf("%+v: %s and %q, %v", tt.r, b, tt.r.Percent(), err)
		}
	}
}

// Every figure says how it is made, and with which settings.
func TestFormulas(t *testing.T) {
	rules := journal.DefaultRules()
	all := journal.Formulas(rules)
	b, err := json.Marshal(journal.Figures{})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, f := range all {
		if _, ok := fields[f.Figure]; !ok {
			t.Errorf("a formula for %q, which is no figure", f.Figure)
		}
		delete(fields, f.Figure)
		if f.Formula == "" {
			t.Errorf("%s: no formula", f.Figure)
		}
		text += f.Formula + "\n"
	}
	if len(fields) > 0 {
		t.Errorf("no formula for %v", fields)
	}
	for _, want := range []string{"(30 days)", "(30s)", "(5s)", "(24h0m0s)", "within 20s"} {
		if !strings.Contains(text, want) {
			t.Errorf("no formula names %s", want)
		}
	}
}

// A cell comes back from the store as it went in.
func TestCell_AppendParse(t *testing.T) {
	deltas := journal.NewDeltas(journal.NewCalendar(zone), journal.DefaultRules())
	for r := range journaltest.Generate(journaltest.Options{Seed: 3, Calls: 2000, Days: 3}) {
		deltas.Change(nil, r)
	}
	for k, d := range deltas.Cells {
		b := d.Added.Append(nil)
		var got journal.Cell
		if err := got.Parse(b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Figures(), d.Added.Figures()) || !bytes.Equal(got.Append(nil), b) {
			t.Fatalf("%+v: %s", k, cmp.Diff(d.Added.Figures(), got.Figures()))
		}
		for cut := range len(b) {
			_ = new(journal.Cell).Parse(b[:cut]) // must not panic
		}
	}
}

// Taking out what was put in leaves nothing.
func TestDeltas_CancelOut(t *testing.T) {
	calendar := journal.NewCalendar(zone)
	cells := map[journal.Key]*journal.Cell{}
	change := func(was, now *call.Record) {
		d := journal.NewDeltas(calendar, journal.DefaultRules())
		d.Change(was, now)
		for k, x := range d.Cells {
			if cells[k] == nil {
				cells[k] = &journal.Cell{}
			}
			cells[k].Replace(x)
		}
	}
	var all []*call.Record
	for r := range journaltest.Generate(journaltest.Options{Seed: 4, Calls: 500, Days: 3}) {
		all = append(all, r)
		change(nil, r)
	}
	// The same again changes nothing, not even what is known of a longest.
	d := journal.NewDeltas(calendar, journal.DefaultRules())
	d.Change(all[0], clone(all[0]))
	if len(d.Cells) > 0 {
		t.Errorf("the same call changes %d cells", len(d.Cells))
	}
	for _, r := range all {
		change(r, nil)
	}
	for k, c := range cells {
		if !reflect.DeepEqual(c.Figures(), (&journal.Cell{}).Figures()) || !c.Empty() {
			t.Errorf("%+v: %+v is left", k, c.Figures())
		}
	}
}

func FuzzCell_Parse(f *testing.F) {
	d := journal.NewDeltas(journal.NewCalendar(time.UTC), journal.DefaultRules())
	d.Change(nil, groupCall())
	for _, x := range d.Cells {
		f.Add(x.Added.Append(nil))
	}
	f.Add([]byte{25, 1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c journal.Cell
		if c.Parse(b) != nil {
			return
		}
		var again journal.Cell
		if err := again.Parse(c.Append(nil)); err != nil || !reflect.DeepEqual(c.Figures(), again.Figures()) {
			t.Fatalf("%v: %+v became %+v", err, c.Figures(), again.Figures())
		}
	})
}

// What a call counts in a row, and which calls are behind that row, is one thing:
// for employees by name and by extension, and for departments.
func TestHadPart_IsWhatIsCounted(t *testing.T) {
	company := journaltest.NewCompany()
	directory := journal.NewDirectory("RU", company.Employees, company.Lines)
	extensions := map[string]string{}
	for _, e := range company.Employees {
		extensions[e.Name] = e.Extension
	}
	counted, elsewhere := 0, 0
	for r := range journaltest.Generate(journaltest.Options{Seed: 8, Calls: 3000}) {
		directory.Enrich(r)
		for _, by := range []journal.By{journal.ByEmployee, journal.ByDepartment} {
			for name, row := range rowsBy(by, r) {
				who := []string{"nobody", name}
				if x := extensions[name]; x != "" && row.Calls > 0 && by == journal.ByEmployee {
					who[1] = x
				}
				if got := journal.HadPart(r, journal.PartCounted, by, who); got != (row.Calls == 1) {
					t.Fatalf("%s: counted for %s: %t, in the row: %d", r.ID, name, got, row.Calls)
				}
				if got := journal.HadPart(r, journal.PartElsewhere, by, who); got != (row.Elsewhere == 1) {
					t.Fatalf("%s: answered elsewhere for %s: %t, in the row: %d", r.ID, name, got, row.Elsewhere)
				}
				counted, elsewhere = counted+int(row.Calls), elsewhere+int(row.Elsewhere)
			}
			if journal.HadPart(r, journal.PartCounted, by, []string{"nobody"}) {
				t.Fatalf("%s: counted for nobody", r.ID)
			}
		}
	}
	if counted < 1000 || elsewhere < 100 {
		t.Errorf("%d calls counted, %d answered elsewhere: too few to tell", counted, elsewhere)
	}
}
