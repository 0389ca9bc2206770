package api_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
	"calljournal/storage"
)

// company fills a rig with the calls of a made-up company, of which one in ten has
// a hostile name or number.
func company(t testing.TB, r *rig, calls int) []*call.Record {
	var all []*call.Record
	b := &storage.Batch{}
	for c := range journaltest.Generate(journaltest.Options{Seed: 3, Calls: calls, Days: 40, Hostile: 10}) {
		if c.Rev == 0 {
			c.Rev = 1
		}
		all = append(all, c)
		b.Entries = append(b.Entries, storage.Entry{Op: storage.OpCall, Call: c})
	}
	if err := r.db.Commit(b); err != nil {
		t.Fatal(err)
	}
	return all
}

// asJSON is what somebody outside knows of calls.
type asJSON = map[string]any

func outside(t testing.TB, calls []*call.Record) []asJSON {
	text, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	var out []asJSON
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func words(v any) (list []string) {
	switch v := v.(type) {
	case string:
		list = append(list, v)
	case []any:
		for _, x := range v {
			list = append(list, words(x)...)
		}
	}
	return list
}

func at(v any, path ...string) any {
	for _, name := range path {
		m, ok := v.(asJSON)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// wanted is the filter of GET /v1/calls, said with the fields of the contract.
func wanted(c asJSON, q url.Values) bool {
	all := func(field string) (list []string) {
		list = append(words(at(c, "from", field)), words(at(c, "to", field))...)
		for _, l := range c["legs"].([]any) {
			list = append(list, words(at(l, field))...)
		}
		return list
	}
	has := map[string][]string{
		"direction": words(c["direction"]), "status": words(c["status"]), "queue": words(c["queues"]), "trunk": words(c["trunk"]),
		"employee": append(all("employee"), all("extension")...), "department": all("department"),
		"line": append(words(at(c, "line", "number")), words(at(c, "line", "name"))...), "source": words(at(c, "line", "source")),
	}
	for name, given := range has {
		if len(q[name]) > 0 && !slices.ContainsFunc(q[name], func(w string) bool { return slices.Contains(given, w) }) {
			return false
		}
	}
	numbers := slices.Concat(all("number"), all("e164"), all("extension"), words(at(c, "line", "number")))
	if part := q.Get("number"); part != "" && !slices.ContainsFunc(numbers, func(n string) bool { return strings.Contains(n, part) }) {
		return false
	}
	if missed := q.Get("missed"); missed != "" && strconv.FormatBool(c["missed"] == true) != missed {
		return false
	}
	talk, known := c["talk_ms"].(float64)
	if least := q.Get("min_talk"); least != "" {
		if s, _ := strconv.Atoi(least); !known || talk < float64(s*1000) {
			return false
		}
	}
	began := c["started_at"].(string)
	return (q.Get("from") == "" || began >= q.Get("from")) && (q.Get("to") == "" || began < q.Get("to"))
}

// What comes over HTTP is what a look at every record would have found, hostile
// names and numbers among it, in the order that was asked for.
func TestCalls_FiltersAndSorts(t *testing.T) {
	r := newRig(t)
	calls := outside(t, company(t, r, 1500))
	rapid.Check(t, func(t *rapid.T) {
		pick := func() asJSON { return calls[rapid.IntRange(0, len(calls)-1).Draw(t, "call")] }
		q := url.Values{}
		maybe := func(name string, word func(asJSON) any) {
			for rapid.IntRange(0, 4).Draw(t, name) == 0 {
				if w := words(word(pick())); len(w) > 0 && w[0] != "" && len(w[0]) < 300 {
					q.Add(name, w[0])
				}
			}
		}
		leg := func(field string) func(asJSON) any {
			return func(c asJSON) any {
				legs := c["legs"].([]any)
				if len(legs) == 0 {
					return nil
				}
				return at(legs[len(legs)-1], field)
			}
		}
		maybe("direction", func(c asJSON) any { return c["direction"] })
		maybe("status", func(c asJSON) any { return c["status"] })
		maybe("employee", leg("employee"))
		maybe("department", leg("department"))
		maybe("queue", func(c asJSON) any { return c["queues"] })
		maybe("trunk", func(c asJSON) any { return c["trunk"] })
		maybe("line", func(c asJSON) any { return at(c, "line", "number") })
		if rapid.IntRange(0, 4).Draw(t, "from") == 0 {
			q.Set("from", pick()["started_at"].(string))
		}
		if rapid.Bool().Draw(t, "number") {
			n := words(at(pick(), "from", "number"))
			// Bytes that are no text are shown as U+FFFD, and not found by it.
			if len(n) > 0 && n[0] != "" && len(n[0]) < 300 && !strings.ContainsAny(n[0], " ().-/\uFFFD") {
				q.Set("number", n[0][rapid.IntRange(0, len(n[0])-1).Draw(t, "first"):])
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "missed") == 0 {
			q.Set("missed", "true")
		}
		if rapid.IntRange(0, 3).Draw(t, "talk") == 0 {
			q.Set("min_talk", strconv.Itoa(rapid.IntRange(0, 300).Draw(t, "seconds")))
		}
		name := rapid.SampledFrom([]string{"started_at", "talk", "wait", "total", "ring"}).Draw(t, "sort")
		field := map[string]string{"talk": "talk_ms", "wait": "wait_ms", "total": "total_ms", "ring": "ring_ms", "started_at": "started_at"}[name]
		var want []asJSON
		for _, c := range calls {
			if wanted(c, q) {
				want = append(want, c)
			}
		}
		slices.SortStableFunc(want, func(a, b asJSON) int {
			x, y := a[field], b[field]
			order := 0
			switch {
			case x == nil || y == nil:
				order = cmp.Compare(fmt.Sprint(y == nil), fmt.Sprint(x == nil)) * -1
			case field == "started_at":
				order = -strings.Compare(x.(string), y.(string))
			default:
				order = -cmp.Compare(x.(float64), y.(float64))
			}
			return cmp.Or(order, -strings.Compare(a["started_at"].(string), b["started_at"].(string)))
		})
		q.Set("sort", "-"+name)
		q.Set("limit", strconv.Itoa(rapid.IntRange(20, 1000).Draw(t, "limit")))
		var got []asJSON
		for {
			w := r.get(t, "/v1/calls?"+q.Encode(), journalToken)
			var p struct {
				Calls  []asJSON `json:"calls"`
				Cursor *string  `json:"cursor"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
				t.Fatalf("%s: %d %s %v", q.Encode(), w.Code, w.Body, err)
			}
			if got = append(got, p.Calls...); p.Cursor == nil {
				break
			}
			q.Set("cursor", *p.Cursor)
		}
		if len(got) != len(want) {
			t.Fatalf("%s: %d calls, want %d", q.Encode(), len(got), len(want))
		}
		for i := range got {
			if got[i]["id"] != want[i]["id"] && (got[i][field] != want[i][field] || got[i]["started_at"] != want[i]["started_at"]) {
				t.Fatalf("%s: call %d is %v, want %v", q.Encode(), i, got[i]["id"], want[i]["id"])
			}
		}
	})
}

func TestCalls_HostileInput(t *testing.T) {
	r := newRig(t)
	company(t, r, 50)
	for query, names := range map[string]string{
		"colour=red":                           "colour",
		"direction=sideways":                   "direction",
		"status=busy,bussy":                    "bussy",
		"type=%3Cscript%3E":                    "type",
		"missed=maybe":                         "missed",
		"has=everything":                       "has",
		"min_talk=long":                        "min_talk",
		"max_talk=-3s":                         "max_talk",
		"min_wait=99999999999999999999":        "min_wait",
		"max_wait=soon":                        "max_wait",
		"weekday=someday":                      "someday",
		"hour=24":                              "24",
		"hour=09":                              "09",
		"from=yesterday":                       "from",
		"to=2026-13-01T00:00:00Z":              "to",
		"sort=colour":                          "colour",
		"sort=--talk":                          "-talk",
		"limit=0":                              "limit",
		"limit=many":                           "limit",
		"cursor=!":                             "cursor",
		"cursor=AAAA":                          "cursor",
		"cursor=" + strings.Repeat("A", 400):   "cursor",
		"cursor=" + strings.Repeat("A", 4000):  "cursor",
		"q=" + strings.Repeat("a+", 100):       "words",
		"q=" + strings.Repeat("a", 400):        "q",
		"employee=" + strings.Repeat("a", 400): "employee",
		"part=counted":                         "give an employee",
		"part=some&employee=101":               "counted",
		"number=1" + strings.Repeat("&number=1", 200):      "number",
		"employee=%00%ff%fe&queue=%27%3B+DROP+TABLE&q=%25": "",
		"number=%28%29": "",
	} {
		w := r.get(t, "/v1/calls?"+query, journalToken)
		if names == "" {
			if w.Code != 200 {
				t.Errorf("%s: %d %s", query, w.Code, w.Body)
			}
			continue
		}
		if w.Code != 422 || w.Header().Get("Content-Type") != "application/problem+json" || !bytes.Contains(w.Body.Bytes(), []byte(names)) {
			t.Errorf("%.60s: %d %s %s", query, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
}

// A cursor of one filter is none of another, however it is pieced together.
func TestCalls_CursorOfAnotherFilter(t *testing.T) {
	r := newRig(t)
	company(t, r, 50)
	p := decode[api.CallsPage](t, r.get(t, "/v1/calls?limit=3&sort=-talk", journalToken), 200)
	if p.Cursor == nil {
		t.Fatal("no second page")
	}
	for query, want := range map[string]int{"limit=9&sort=-talk": 200, "limit=3": 422, "limit=3&sort=-talk&missed=false": 422} {
		if w := r.get(t, "/v1/calls?"+query+"&cursor="+*p.Cursor, journalToken); w.Code != want {
			t.Errorf("%s: %d, want %d: %s", query, w.Code, want, w.Body)
		}
	}
}

// A number is found as people write it, whichever way a record has it.
func TestCalls_NumberAsPeopleWriteIt(t *testing.T) {
	r := newRig(t)
	r.directory = journal.NewDirectory("RU", nil, nil)
	for n, from := range []call.Party{
		{Number: ptr("79164042070"), E164: ptr("+79164042070")},
		{Number: ptr("89164042070"), E164: ptr("+79164042070")},
		{Number: ptr("9164042070"), E164: ptr("+79164042070")},
		{Number: ptr("89164042070")}, // kept before there was a country
		{Number: ptr("79164042071"), E164: ptr("+79164042071")},
		{Number: ptr("84951230101"), E164: ptr("+74951230101")},
	} {
		rec := record(n)
		rec.From = from
		r.commit(t, storage.Entry{Op: storage.OpCall, Call: rec})
	}
	for text, want := range map[string]int{
		"89164042070": 4, "8 916 404 20 70": 4, "+79164042070": 4, " 79164042070": 4, "8 (916) 404-20-70": 4, "9164042070": 4,
		"+7 916": 4, "8916": 2, "404207": 5, "8 (495) 123-01-01": 6, "89164042079": 0,
	} {
		for _, name := range []string{"number", "q"} {
			if name == "q" && strings.HasPrefix(text, "+7 916") {
				continue // two words, and no whole number
			}
			q := url.Values{name: {text}}.Encode()
			if got := len(decode[api.CallsPage](t, r.get(t, "/v1/calls?"+q, journalToken), 200).Calls); got != want {
				t.Errorf("%s %q: %d calls, want %d", name, text, got, want)
			}
		}
	}
	// A number of which the country's part is written otherwise at home is still a part of what has it.
	r.directory = journal.NewDirectory("AR", nil, nil)
	rec := record(9)
	rec.From = call.Party{Number: ptr("01115 2345-6789"), E164: r.directory.E164("011 15-2345-6789")}
	r.commit(t, storage.Entry{Op: storage.OpCall, Call: rec})
	for _, text := range []string{"011 15-2345-6789", "91123456789", "+54 9 11 2345 6789"} {
		if got := len(decode[api.CallsPage](t, r.get(t, "/v1/calls?"+url.Values{"number": {text}}.Encode(), journalToken), 200).Calls); got != 1 {
			t.Errorf("%q: %d calls, want 1 (%v)", text, got, rec.From.E164)
		}
	}
}
