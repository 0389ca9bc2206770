package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
	"calljournal/storage"
)

// statsRig is a journal that counts the days of Berlin, over the nights of March
// and October in which its clocks are set.
func statsRig(t testing.TB, calls int) (*rig, []*call.Record, *time.Location) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	db, err := storage.Open(filepath.Join(t.TempDir(), "journal.db"), storage.Options{Counting: storage.Counting{Zone: zone}, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := &rig{db: db}
	r.server = api.New(api.Options{
		Agent: "office", Version: "test", Store: db, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Zone: zone, Books: &books{store: db},
	})
	r.server.SetTokens([]api.Token{api.NewToken("reader", api.ScopeJournal, journalToken)})
	r.h = r.server.Network()
	var all []*call.Record
	for _, start := range []time.Time{time.Date(2026, 3, 20, 0, 0, 0, 0, zone), time.Date(2026, 10, 18, 0, 0, 0, 0, zone)} {
		b := &storage.Batch{}
		for c := range journaltest.Generate(journaltest.Options{Seed: 5, Calls: calls / 2, Start: start, Days: 14, Zone: zone}) {
			c.ID, c.Rev = fmt.Sprint(c.ID, "/", start.Month()), 1
			b.Entries = append(b.Entries, storage.Entry{Op: storage.OpCall, Call: c})
			all = append(all, c)
		}
		if err := db.Commit(b); err != nil {
			t.Fatal(err)
		}
	}
	return r, all, zone
}

// counted is what the calls of a period add up to, one by one.
func counted(calls []*call.Record, zone *time.Location, by journal.By, step journal.Step, from, to time.Time, keep func(*call.Record) bool) []journal.Row {
	sheet := journal.NewSheet(journal.NewCalendar(zone), journal.DefaultRules(), by, step)
	for _, c := range calls {
		at := c.StartedAt.Time()
		if (from.IsZero() || !at.Before(from)) && (to.IsZero() || at.Before(to)) && (keep == nil || keep(c)) {
			sheet.AddCall(c)
		}
	}
	return sheet.Rows()
}

// The figures are those of the calls one by one, whatever part of them comes from
// totals: in every grouping and step, on days of 23 and 25 hours, for periods that
// cut days, with filters, and after the longest calls were corrected.
func TestStats_AreTheCallsCounted(t *testing.T) {
	r, calls, zone := statsRig(t, 2000)
	steps := map[string]journal.Step{"": journal.Whole, "hour": journal.Hourly, "day": journal.Daily, "week": journal.Weekly, "month": journal.Monthly}
	periods := [][2]time.Time{
		{},
		{time.Date(2026, 3, 29, 0, 0, 0, 0, zone), time.Date(2026, 3, 30, 0, 0, 0, 0, zone)},   // 23 hours
		{time.Date(2026, 10, 25, 0, 0, 0, 0, zone), time.Date(2026, 10, 26, 0, 0, 0, 0, zone)}, // 25 hours
		{time.Date(2026, 3, 28, 13, 30, 0, 0, zone), time.Date(2026, 10, 25, 2, 30, 0, 0, zone)},
		{time.Date(2026, 3, 29, 9, 0, 0, 0, zone), time.Date(2026, 3, 29, 11, 0, 0, 0, zone)},
		{{}, time.Date(2026, 3, 31, 1, 0, 0, 0, zone)},
		{time.Date(2026, 10, 28, 15, 0, 0, 0, zone), {}},
		{time.Date(2026, 5, 1, 0, 0, 0, 0, zone), time.Date(2026, 4, 1, 0, 0, 0, 0, zone)}, // backwards
	}
	compare := func(q url.Values, want []journal.Row) {
		t.Helper()
		q.Set("load", "true")
		got := decode[api.Statistics](t, r.get(t, "/v1/stats?"+q.Encode(), journalToken), 200)
		var rows []api.StatisticsRow
		for _, w := range want {
			rows = append(rows, api.StatisticsRow{At: w.At, Group: w.Group, Figures: w.Figures, Load: &w.Load})
		}
		text, err := json.Marshal(append([]api.StatisticsRow{}, rows...))
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(got.Rows)
		if err != nil || !bytes.Equal(text, again) {
			t.Errorf("%s: %v\n%s", q.Encode(), err, cmp.Diff(string(text), string(again)))
		}
	}
	check := func(bys ...string) {
		t.Helper()
		for _, by := range bys {
			group, ok := journal.ByOf(by)
			if !ok {
				t.Fatal(by)
			}
			for name, step := range steps {
				for _, p := range periods {
					if name == "hour" && p[1].Sub(p[0]) > 26*time.Hour {
						continue
					}
					q := url.Values{"by": {by}, "step": {name}}
					for i, name := range []string{"from", "to"} {
						if !p[i].IsZero() {
							q.Set(name, p[i].Format(time.RFC3339))
						}
					}
					compare(q, counted(calls, zone, group, step, p[0], p[1], nil))
				}
			}
		}
	}
	check("total", "direction", "line", "source", "trunk", "queue", "employee", "department")

	long := func(c *call.Record) bool { return c.TalkMs != nil && *c.TalkMs >= 60_000 }
	compare(url.Values{"by": {"employee"}, "min_talk": {"1m"}}, counted(calls, zone, journal.ByEmployee, journal.Whole, time.Time{}, time.Time{}, long))
	compare(url.Values{"by": {"day"}, "direction": {"inbound"}}, counted(calls, zone, journal.ByNothing, journal.Daily, time.Time{}, time.Time{},
		func(c *call.Record) bool { return c.Direction == call.Inbound }))
	// A day without a time is the company's.
	compare(url.Values{"by": {"hour"}, "from": {"2026-10-25"}, "to": {"2026-10-26"}}, counted(calls, zone, journal.ByNothing, journal.Hourly, periods[2][0], periods[2][1], nil))

	// The longest talks were not as long as it seemed.
	slices.SortFunc(calls, func(a, b *call.Record) int { return int(ms(b) - ms(a)) })
	b := &storage.Batch{}
	for i, c := range calls[:40] {
		corrected := *c
		corrected.Rev, corrected.TalkMs = 2, ptr(int64(1000))
		corrected.Legs = slices.Clone(c.Legs)
		for k := range corrected.Legs {
			if corrected.Legs[k].TalkMs != nil {
				corrected.Legs[k].TalkMs = ptr(int64(1000))
			}
		}
		calls[i] = &corrected
		b.Entries = append(b.Entries, storage.Entry{Op: storage.OpCall, Call: &corrected})
	}
	if err := r.db.Commit(b); err != nil {
		t.Fatal(err)
	}
	check("total", "employee")
}

func ms(c *call.Record) int64 {
	if c.TalkMs == nil {
		return -1
	}
	return *c.TalkMs
}

// Behind a figure of an employee are exactly the calls that the filter gives for
// his part.
func TestStats_CallsBehindAFigure(t *testing.T) {
	r, _, _ := statsRig(t, 1200)
	number := func(what url.Values) (n int64) {
		what.Set("limit", "1000")
		page := decode[api.CallsPage](t, r.get(t, "/v1/calls?"+what.Encode(), journalToken), 200)
		if page.Cursor != nil {
			t.Fatalf("%v: more than one page", what)
		}
		return int64(len(page.Calls))
	}
	rows := decode[api.Statistics](t, r.get(t, "/v1/stats?by=employee", journalToken), 200).Rows
	elsewhere := int64(0)
	for _, row := range rows {
		elsewhere += row.Elsewhere
		for _, tt := range []struct {
			figure string
			want   int64
			filter url.Values
		}{
			{"calls", row.Calls, url.Values{"part": {"counted"}}},
			{"answered", row.Answered, url.Values{"part": {"counted"}, "direction": {"inbound"}, "status": {"answered"}}},
			{"missed", row.Missed, url.Values{"part": {"counted"}, "missed": {"true"}}},
			{"outbound", row.Outbound, url.Values{"part": {"counted"}, "direction": {"outbound"}}},
			{"answered_elsewhere", row.Elsewhere, url.Values{"part": {"answered_elsewhere"}}},
		} {
			tt.filter.Set("employee", row.Group)
			if got := number(tt.filter); got != tt.want {
				t.Errorf("%s of %s: %d calls, the figure is %d", tt.figure, row.Group, got, tt.want)
			}
		}
	}
	total := decode[api.Statistics](t, r.get(t, "/v1/stats?load=true", journalToken), 200).Rows[0]
	days := []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	for d, day := range days {
		for h, want := range total.Load[d] {
			if got := number(url.Values{"direction": {"inbound"}, "weekday": {day}, "hour": {strconv.Itoa(h)}}); got != want {
				t.Errorf("%s, %d o'clock: %d calls, the load is %d", day, h, got, want)
			}
		}
	}
	intime := number(url.Values{"direction": {"inbound"}, "status": {"answered"}, "max_wait": {"20s"}})
	if got := (journal.Ratio{Part: intime, Of: total.Answered + total.Missed}); intime == total.Answered || got.Percent() != total.ServiceLevel.Percent() {
		t.Errorf("%d calls answered in time, the service level is %s", intime, total.ServiceLevel.Percent())
	}
	if len(rows) < 10 || elsewhere == 0 {
		t.Errorf("%d employees, %d calls answered elsewhere: too few to tell", len(rows), elsewhere)
	}
}

func TestStats_HostileInput(t *testing.T) {
	r, _, _ := statsRig(t, 100)
	for query, want := range map[string]string{
		"by=colour":                       "by",
		"step=year":                       "step",
		"by=hour&step=day":                "leave step out",
		"by=employee&step=%3Cscript%3E":   "step",
		"by=" + strings.Repeat("a", 4000): "by",
		"load=perhaps":                    "load",
		"number=1&colour=red":             "colour",
		"from=0000":                       "from",
		"status=bussy":                    "bussy",
		"from=2026-03-01&to=2026-02-30":   "to",
		"q=" + strings.Repeat("a", 400):   "q",
	} {
		w := r.get(t, "/v1/stats?"+query, journalToken)
		if w.Code != 422 || w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.60s: %d %s", query, w.Code, w.Body)
		}
	}
	st := decode[api.Statistics](t, r.get(t, "/v1/stats?employee=nobody", journalToken), 200)
	if st.Rows == nil || len(st.Rows) != 0 || len(st.Formulas) == 0 {
		t.Errorf("%+v", st)
	}
}

// A reader of one department gets the figures of exactly the calls that he sees,
// whatever else he asks for.
func TestStats_OfADepartment(t *testing.T) {
	r, calls, zone := statsRig(t, 1200)
	names := []string{"Sales", "Support"}
	company := map[string]journal.Employee{}
	for _, c := range calls {
		for _, l := range c.Legs {
			if l.Extension == nil {
				continue
			}
			if _, ok := company[*l.Extension]; !ok {
				company[*l.Extension] = journal.Employee{Extension: *l.Extension, Name: "Agent " + *l.Extension, Department: names[len(company)%len(names)]}
			}
		}
	}
	directory := journal.NewDirectory("", slices.Collect(maps.Values(company)), nil)
	known := &storage.Batch{}
	for _, c := range calls {
		c.Rev++
		directory.Enrich(c)
		known.Entries = append(known.Entries, storage.Entry{Op: storage.OpCall, Call: c})
	}
	if err := r.db.Commit(known); err != nil {
		t.Fatal(err)
	}
	filters := map[string]func(*call.Record) bool{
		"":                   func(*call.Record) bool { return true },
		"direction=inbound":  func(c *call.Record) bool { return c.Direction == call.Inbound },
		"from=2026-10-20":    func(c *call.Record) bool { return c.StartedAt.Time().After(time.Date(2026, 10, 20, 0, 0, 0, 0, zone)) },
		"department=nowhere": func(*call.Record) bool { return false },
	}
	for _, name := range names {
		role := access.Role{Scope: access.ScopeJournal, Department: name}
		filters["department="+url.QueryEscape(name)] = access.Role{Department: name}.Sees
		filters["part=counted&department="+url.QueryEscape(name)] = func(c *call.Record) bool {
			return journal.HadPart(c, journal.PartCounted, journal.ByDepartment, []string{name})
		}
		r.server.SetTokens([]api.Token{api.NewToken("reader", api.ScopeJournal, journalToken), api.NewToken("limited", role.Scope, salesToken).Limit(name, false)})
		for _, by := range []string{"total", "employee", "department", "queue"} {
			group, _ := journal.ByOf(by)
			for filter, has := range filters {
				want := []api.StatisticsRow{}
				for _, row := range counted(calls, zone, group, journal.Whole, time.Time{}, time.Time{}, func(c *call.Record) bool { return role.Sees(c) && has(c) }) {
					want = append(want, api.StatisticsRow{Group: row.Group, Figures: row.Figures})
				}
				text, err := json.Marshal(want)
				if err != nil {
					t.Fatal(err)
				}
				got := decode[struct{ Rows json.RawMessage }](t, r.get(t, "/v1/stats?by="+by+"&"+filter, salesToken), 200)
				if !bytes.Equal(text, got.Rows) {
					t.Errorf("%s by %s with %q: %s", name, by, filter, cmp.Diff(string(text), string(got.Rows)))
				}
			}
		}
	}
}

// Tables that are asked for together are those that are asked for one by one.
func TestStatsTables(t *testing.T) {
	r, _, _ := statsRig(t, 800)
	for _, filter := range []string{"", "from=2026-03-21T10:00&to=2026-10-25T02:30", "direction=inbound", "employee=101&part=counted", "from=2026-03-29&to=2026-03-30&min_wait=5s"} {
		tables := []string{"total", "total.day", "employee", "department.month", "week", "line.load", "total.month.load"}
		if strings.HasPrefix(filter, "from=2026-03-29") {
			tables = append(tables, "queue.hour", "hour.load")
		}
		got := decode[api.StatisticsTables](t, r.get(t, "/v1/stats/tables?"+filter+"&table="+strings.Join(tables, "&table="), journalToken), 200)
		if len(got.Tables) != len(tables) || got.Settings.LostWindowMs != (24*time.Hour).Milliseconds() || len(got.Formulas) == 0 {
			t.Fatalf("%s: %+v", filter, got)
		}
		for i, name := range tables {
			plain, load := strings.CutSuffix(name, ".load")
			by, step, _ := strings.Cut(plain, ".")
			want := decode[api.Statistics](t, r.get(t, fmt.Sprint("/v1/stats?", filter, "&by=", by, "&step=", step, "&load=", load), journalToken), 200)
			one := got.Tables[i]
			if diff := cmp.Diff(want, api.Statistics{By: one.By, Step: one.Step, Zone: got.Zone, Rows: one.Rows, Formulas: got.Formulas}); diff != "" {
				t.Errorf("%s of %q: %s", name, filter, diff)
			}
		}
	}
	for query, want := range map[string]string{
		"": "table", "table=": "table", "table=colour": "colour", "table=employee.year": "year", "table=total.day.hour": "day.hour", "table=load": "load", "table=hour.day": "leave step out",
		strings.Repeat("table=total&", 17): "table",
	} {
		if w := r.get(t, "/v1/stats/tables?"+query, journalToken); w.Code != 422 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.60s: %d %s", query, w.Code, w.Body)
		}
	}
}

// The name of a row is a time by which its calls are asked for.
func TestStats_RowsCanBeAskedFor(t *testing.T) {
	r, _, _ := statsRig(t, 300)
	for _, step := range []string{"hour", "day", "week", "month"} {
		rows := decode[api.Statistics](t, r.get(t, "/v1/stats?by="+step, journalToken), 200).Rows
		if len(rows) < 2 {
			t.Fatalf("%s: %d rows", step, len(rows))
		}
		for i, row := range rows {
			q := url.Values{"from": {row.At}}
			if i+1 < len(rows) {
				q.Set("to", rows[i+1].At)
			}
			got := decode[api.Statistics](t, r.get(t, "/v1/stats?"+q.Encode(), journalToken), 200)
			if len(got.Rows) != 1 || got.Rows[0].Calls != row.Calls {
				t.Fatalf("%s %s: want one row with %d calls, got %+v", step, row.At, row.Calls, got.Rows)
			}
		}
	}
}
