package web_test

import (
	"encoding/json"
	"html"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
)

// someCompany is calls of the two weeks before now, with what the daemon knows and
// judges of calls.
func someCompany(n int) (calls []*call.Record) {
	company := journaltest.NewCompany()
	directory := journal.NewDirectory("RU", company.Employees, company.Lines)
	seen := map[string]bool{}
	start := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -13)
	for r := range journaltest.Generate(journaltest.Options{Seed: 3, Calls: n, Days: 14, Start: start}) {
		directory.Enrich(r)
		if number := r.From.Number; r.Direction == call.Inbound && number != nil {
			r.Types = append(r.Types, map[bool]string{false: "unique", true: "repeat"}[seen[*number]])
			seen[*number] = true
			if r.TalkMs != nil && *r.TalkMs >= journal.DefaultRules().TargetMinTalk.Milliseconds() {
				r.Types = append(r.Types, "target")
			}
		}
		if r.Missed {
			r.Types = append(r.Types, []string{"called_back", "came_back", "lost"}[len(calls)%3])
		}
		calls = append(calls, r)
	}
	return calls
}

var (
	figureLink = regexp.MustCompile(`<a href="([^"]*)" data-figure="([^"]*)">([^<]*)</a>`)
	unsaid     = regexp.MustCompile(`(stats|figure|formula|column|section|group)\.[a-z_]+<|%!`)
	cellLink   = regexp.MustCompile(`<td class="(?:h\d|all)"><a href="([^"]*)">([^<]*)</a>`)
)

// behind counts the calls that an address of the journal page shows, and gives the
// first of them.
func (p *person) behind(path string) (n int64, first *call.Record) {
	p.t.Helper()
	u, err := url.Parse(html.UnescapeString(path))
	if err != nil || u.Path != "/" {
		p.t.Fatalf("%q leads to no calls: %v", path, err)
	}
	q := u.Query()
	if q.Get("period") != "all" && (q.Get("from") == "" || q.Get("to") == "") {
		p.t.Fatalf("%q is of no period", path)
	}
	q.Del("period")
	if day, err := time.Parse(time.DateOnly, q.Get("to")); err == nil {
		q.Set("to", day.AddDate(0, 0, 1).Format(time.DateOnly)) // see period
	}
	q.Set("limit", "1000")
	for {
		status, _, text := p.get("/v1/calls?" + q.Encode())
		var page api.CallsPage
		if err := json.Unmarshal([]byte(text), &page); status != 200 || err != nil {
			p.t.Fatalf("%s: %d %s", path, status, text)
		}
		if n += int64(len(page.Calls)); first == nil && len(page.Calls) > 0 {
			first = page.Calls[0]
		}
		if page.Cursor == nil {
			return n, first
		}
		q.Set("cursor", *page.Cursor)
	}
}

// mostFollowed links of one figure are followed on a page: the first rows of each
// table, some hours of the week.
const mostFollowed = 8

// Behind every number of the page are as many calls as it says: at the top, under
// the charts, in the hours of the week, in the rows of each table, whatever the
// filter is and whoever looks.
func TestStats_EveryFigureLeadsToItsCalls(t *testing.T) {
	r := newRig(t, someCompany(150)...)
	people, now := map[string]*person{}, time.Now().UTC()
	day := func(ago int) string { return now.AddDate(0, 0, -ago).Format(time.DateOnly) }
	for _, c := range []struct {
		who, path string
		least     int // figures that have links, so that the test tests something
	}{
		{"manager", "/stats?period=all", 12},
		{"manager", "/stats?period=all&by=department", 12},
		{"manager", "/stats?period=all&by=queue", 12},
		{"manager", "/stats?period=all&by=line", 12},
		{"manager", "/stats?period=all&by=source", 12},
		{"manager", "/stats?period=all&by=trunk", 12},
		{"manager", "/stats?by=employee&from=" + day(9) + "&to=" + day(3), 12},
		{"manager", "/stats?from=" + day(4) + "&to=" + day(4), 12},
		{"manager", "/stats?by=line&direction=inbound&min_wait=5s&period=all", 12},
		{"manager", "/stats?by=department&type=unique&period=all", 8},
		{"manager", "/stats?by=employee&department=%D0%9F%D1%80%D0%BE%D0%B4%D0%B0%D0%B6%D0%B8&period=all", 12},
		{"manager", "/stats?by=department&employee=101&period=all", 8},
		{"manager", "/stats?by=queue&status=answered&status=abandoned&missed=true&period=all", 8},
		{"sales", "/stats?period=all", 12},
		{"masked", "/stats?by=line&period=all", 12},
	} {
		p := people[c.who]
		if p == nil {
			p = r.signedIn(c.who)
			people[c.who] = p
		}
		status, _, page := p.get(c.path)
		if status != 200 {
			t.Fatalf("%s: %d %s", c.path, status, page)
		}
		if word := unsaid.FindString(page); word != "" {
			t.Errorf("%s: no words for %s", c.path, word)
		}
		links, seen := map[string]int{}, map[string]int64{}
		for _, m := range slices.Concat(figureLink.FindAllStringSubmatch(page, -1), cells(page)) {
			path, name, text := m[1], m[2], m[3]
			n, err := strconv.ParseInt(strings.NewReplacer(",", "", "\u00a0", "").Replace(text), 10, 64)
			if strings.HasSuffix(name, "_ms") || err != nil { // of which calls a time is, is no number of calls
				continue
			}
			if links[name]++; links[name] > mostFollowed {
				continue
			}
			got, ok := seen[path]
			if !ok {
				got, _ = p.behind(path)
				seen[path] = got
			}
			if got != n {
				t.Errorf("%s as %s: %s is %d, and %s shows %d calls", c.path, c.who, name, n, html.UnescapeString(path), got)
			}
		}
		if len(links) < c.least {
			t.Errorf("%s as %s: links of %v are too few to tell", c.path, c.who, slices.Sorted(maps.Keys(links)))
		}
	}
}

// cells are the links of the hours of the week, as figureLink finds others.
func cells(page string) (links [][]string) {
	for _, m := range cellLink.FindAllStringSubmatch(page, -1) {
		links = append(links, []string{m[0], m[1], "hour of the week", m[2]})
	}
	return links
}

// A share leads to the calls that are its part, a time to those that it is of, the
// longest first.
func TestStats_SharesAndTimes(t *testing.T) {
	p := newRig(t, someCompany(400)...).signedIn("manager")
	_, _, text := p.get("/v1/stats")
	var st api.Statistics
	if err := json.Unmarshal([]byte(text), &st); err != nil {
		t.Fatal(err)
	}
	f := st.Rows[0].Figures
	_, _, page := p.get("/stats?period=all")
	links := map[string][]string{}
	for _, m := range figureLink.FindAllStringSubmatch(page, -1) {
		if _, seen := links[m[2]]; !seen {
			links[m[2]] = m
		}
	}
	for name, of := range map[string]int64{"service_level": f.Answered + f.Missed, "answer_rate": f.Inbound, "target_rate": f.Unique, "called_back_share": f.Missed} {
		m := links[name]
		if m == nil {
			t.Errorf("%s leads nowhere", name)
			continue
		}
		part, _ := p.behind(m[1])
		want := strconv.FormatFloat(float64(part)/float64(of)*100, 'f', 1, 64) + "\u00a0%"
		if m[3] != want {
			t.Errorf("%s is %s, and %d of %d calls are behind it", name, m[3], part, of)
		}
	}
	m := links["talk_longest_ms"]
	if m == nil {
		t.Fatal("the longest talk leads nowhere")
	}
	if _, first := p.behind(m[1]); first == nil || *first.TalkMs != *f.TalkLongest {
		t.Errorf("the longest talk is %d ms, and the first call behind it %v", *f.TalkLongest, first)
	}
	// Of the calls that a wait is of no filter says all and no others.
	for _, name := range []string{"wait_average_ms", "wait_p90_ms", "wait_longest_ms"} {
		if m := links[name]; m != nil {
			t.Errorf("%s leads to %s, where there are others too", name, m[1])
		}
		if !strings.Contains(page, `<span data-figure="`+name+`">`) {
			t.Errorf("%s is not shown", name)
		}
	}
}

// What only employees have is not known of the whole: a 0 below their numbers would
// be wrong.
func TestStats_TotalOfEmployees(t *testing.T) {
	_, _, page := newRig(t, someCompany(150)...).signedIn("manager").get("/stats?period=all&by=employee")
	_, table, _ := strings.Cut(page, `<table class="list groups">`)
	rows, sum, _ := strings.Cut(table, "<tfoot>")
	if !regexp.MustCompile(`data-figure="answered_elsewhere">[1-9]`).MatchString(rows) {
		t.Fatal("nobody has calls that another answered: this tests nothing")
	}
	if !strings.Contains(sum, `data-figure="answered_elsewhere">–<`) {
		t.Errorf("the total: %s", sum)
	}
}

// With the period before is compared only if the journal knows all of it.
func TestStats_Compared(t *testing.T) {
	at := func(id string, ago time.Duration) *call.Record {
		c := someCall(id)
		c.StartedAt = call.MomentOf(time.Now().Add(-ago))
		c.EndedAt = c.StartedAt.Add(time.Minute)
		return c
	}
	const day = 24 * time.Hour
	r := newRig(t, at("main:1", time.Minute), at("main:2", 9*day))
	p := r.signedIn("manager")
	compared := func() (bool, bool) {
		_, _, page := p.get("/stats?period=7d")
		return strings.Contains(page, "Compared with"), strings.Contains(page, "The journal begins on")
	}
	if is, tooNew := compared(); is || !tooNew {
		t.Errorf("half a period is compared with (%v), or nobody says why not (%v)", is, !tooNew)
	}
	r.add(at("main:3", 20*day))
	if is, tooNew := compared(); !is || tooNew {
		t.Errorf("compared: %v, too new: %v", is, tooNew)
	}
}

// Sorting, tabs and the period keep what else is asked for.
func TestStats_LinksKeepTheFilter(t *testing.T) {
	p := newRig(t, someCompany(200)...).signedIn("manager")
	_, _, page := p.get("/stats?period=all&direction=inbound&by=line&sort=-missed&employee=%3Cb%3E")
	if strings.Contains(page, "<b>") {
		t.Error("what is asked for is markup")
	}
	for _, m := range regexp.MustCompile(`href="(/stats\?[^"]*)"( id="filter-clear")?`).FindAllStringSubmatch(page, -1) {
		u, err := url.Parse(html.UnescapeString(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		kept := 0
		for name, value := range map[string]string{"period": "all", "direction": "inbound", "by": "line", "sort": "-missed", "employee": "<b>"} {
			if q.Get(name) == value {
				kept++
			}
		}
		if kept < 4 && m[2] == "" { // all but what the link is about
			t.Errorf("%s has lost something", u)
		}
	}
	_, _, page = p.get("/stats?period=all&by=line&sort=-missed")
	if !strings.Contains(page, `aria-sort="descending"><a href="/stats?by=line&amp;period=all&amp;sort=missed"`) {
		t.Error("the column by which the table is sorted does not say so")
	}
	for _, path := range []string{"/stats?period=never", "/stats?from=soon", "/stats?direction=up"} {
		if status, _, page := p.get(path); status != 422 || !strings.Contains(page, `role="alert"`) {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _, page := p.get("/stats?from=1999-01-01&to=1999-01-02&by=nothing&sort=colour"); status != 200 || !strings.Contains(page, "No calls in this period") {
		t.Errorf("a period without calls: %d", status)
	}
}

// Whatever names come from outside, they are text on the page, and the way to
// their calls is theirs.
func TestStats_HostileNames(t *testing.T) {
	for by, name := range map[string]func(*call.Record, string){
		"queue": func(r *call.Record, name string) { r.Queues = []string{name} },
		"trunk": func(r *call.Record, name string) { r.Trunk = &name },
		"line":  func(r *call.Record, name string) { r.Line = &call.Line{Number: name} },
		"source": func(r *call.Record, name string) {
			r.Line = &call.Line{Number: "74951230101", Source: &name}
		},
		"employee": func(r *call.Record, name string) {
			r.Legs = []call.Leg{{Extension: ptr("101"), Employee: &name, Role: call.RolePhone, Result: "answered", TalkMs: ptr(int64(65_000))}}
			r.AnsweredBy = ptr("101")
		},
		"department": func(r *call.Record, name string) {
			r.Legs = []call.Leg{{Extension: ptr("101"), Department: &name, Role: call.RolePhone, Result: "answered", TalkMs: ptr(int64(65_000))}}
			r.AnsweredBy = ptr("101")
		},
	} {
		var calls []*call.Record
		names := []string{hostile, `a&status=busy#?`, "\u202egnp.exe", "+7 (495) %41", "{target}"}
		for i, text := range names {
			r := someCall("main:" + strconv.Itoa(i))
			name(r, text)
			calls = append(calls, r)
		}
		p := newRig(t, calls...).signedIn("manager")
		_, _, page := p.get("/stats?period=all&by=" + by)
		if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img src=x") {
			t.Errorf("a %s's name is markup", by)
		}
		_, rows, _ := strings.Cut(page, `<table class="list groups">`)
		rows, sum, _ := strings.Cut(rows, "<tfoot>")
		links := figureLink.FindAllStringSubmatch(rows, -1)
		if len(links) < len(names) || sum == "" {
			t.Errorf("by %s: %d links", by, len(links))
		}
		for _, m := range links {
			if n, _ := p.behind(m[1]); n != 1 {
				t.Errorf("by %s: %s shows %d calls, not the one", by, html.UnescapeString(m[1]), n)
			}
		}
	}
}
