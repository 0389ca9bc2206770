package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
)

// links are where the elements with an href lead, as a browser reads them.
func links(text string) (to []string) {
	for _, m := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		to = append(to, unescape(m[1]))
	}
	return to
}

func unescape(s string) string {
	return strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">").Replace(s)
}

// element is the start tag with an id, and the text until the next tag.
func element(t *testing.T, page, id string) string {
	t.Helper()
	m := regexp.MustCompile(`<[^>]*\bid="` + regexp.QuoteMeta(id) + `"[^>]*>[^<]*`).FindString(page)
	if m == "" {
		t.Fatalf("there is no element %q in %s", id, page)
	}
	return m
}

func href(t *testing.T, page, id string) *url.URL {
	t.Helper()
	to := links(element(t, page, id))
	if len(to) != 1 {
		t.Fatalf("%q is no link", id)
	}
	u, err := url.Parse(to[0])
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// rows are the ids of the calls in the table, in its order.
func rows(page string) (ids []string) {
	for _, m := range regexp.MustCompile(`<tr id="call-([^"]*)"`).FindAllStringSubmatch(page, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// many are calls a minute apart, the newest of which has just ended.
func many(n int) (calls []*call.Record) {
	for i := range n {
		c := someCall(fmt.Sprintf("main:%d", i))
		c.StartedAt = call.MomentOf(time.Now().Add(-time.Duration(i+1) * time.Minute))
		c.EndedAt = c.StartedAt.Add(time.Duration(30+i) * time.Second)
		c.WaitMs, c.TalkMs = ptr(int64(i*1000)), ptr(int64((n-i)*1000))
		calls = append(calls, c)
	}
	return calls
}

func TestJournal_Filter(t *testing.T) {
	busy := someCall("main:1")
	busy.Status, busy.Missed, busy.Cause = call.StatusBusy, true, &call.Cause{Q850: 17}
	busy.Line = &call.Line{Number: "74951230101", Name: ptr("Сайт"), Source: ptr("radio & co")}
	busy.Tags = []string{"<b>vip</b>"}
	busy.Types = []string{"repeat", "lost"}
	out := someCall("main:2")
	out.Direction, out.Cost = call.Outbound, &call.Cost{Amount: "12.60", Currency: "RUB"}
	out.From = call.Party{Number: ptr("101"), Extension: ptr("101"), Employee: ptr("Анна"), Department: ptr("Продажи")}
	left := someCall("main:3")
	left.Status, left.Missed, left.AbandonedIn, left.Queues = call.StatusAbandoned, true, ptr("queue"), []string{"sales"}
	left.Recordings = []call.Recording{{}}
	p := newRig(t, busy, out, left).signedIn("manager")
	for address, want := range map[string][]string{
		"/":                                     {"main_1", "main_2", "main_3"},
		"/?missed=true":                         {"main_1", "main_3"},
		"/?missed=false":                        {"main_2"},
		"/?status=busy&status=abandoned":        {"main_1", "main_3"},
		"/?status=busy,abandoned":               {"main_1", "main_3"},
		"/?direction=outbound":                  {"main_2"},
		"/?type=lost":                           {"main_1"},
		"/?employee=101":                        {"main_2"},
		"/?department=%D0%9F%D1%80%D0%BE%D0%B4": nil,
		"/?queue=sales":                         {"main_3"},
		"/?line=%D0%A1%D0%B0%D0%B9%D1%82":       {"main_1"},
		"/?source=radio+%26+co":                 {"main_1"},
		"/?number=916-123":                      {"main_1", "main_3"},
		"/?min_talk=2m":                         nil,
		"/?max_talk=2m&min_wait=1s":             {"main_1", "main_2", "main_3"},
		"/?max_talk=2:00&min_wait=0:04":         {"main_1", "main_2", "main_3"},
		"/?min_talk=1:06":                       nil,
		"/?has=recording":                       {"main_3"},
		"/?q=vip":                               {"main_1"},
		"/?period=yesterday":                    nil,
		"/?period=30d&missed=true":              {"main_1", "main_3"},
		"/?from=2026-01-01&to=2026-01-02":       nil,
	} {
		status, _, text := p.get(address)
		got := rows(text)
		if slices.Sort(got); status != http.StatusOK || !slices.Equal(got, want) {
			t.Errorf("%s: %d %q, want %q", address, status, got, want)
		}
		// Each link of the page keeps what was asked for, but the chips and what leads
		// elsewhere.
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if sort := href(t, text, "sort-wait").Query(); sort.Get("sort") != "-wait" {
			t.Errorf("%s: sorted by wait at %v", address, sort)
		} else if sort.Del("sort"); sort.Encode() != u.Query().Encode() {
			t.Errorf("%s: the heading asks for %v", address, sort)
		}
		for _, format := range []string{"csv", "xlsx"} {
			export := href(t, text, format)
			asked := export.Query()
			if export.Path != "/v1/calls/export" || asked.Get("format") != format || asked.Has("period") {
				t.Errorf("%s: %s at %s", address, format, export)
			}
			if status, _, _ := p.get(export.String()); status != http.StatusOK {
				t.Errorf("%s: %s is answered with %d", address, format, status)
			}
		}
	}
	_, _, text := p.get("/")
	for _, want := range []string{"busy", "in the queue sales", "radio &amp; co", "&lt;b&gt;vip&lt;/b&gt;", "12.60\u00a0₽", "repeat", "Анна"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not say %q", want)
		}
	}
	if strings.Contains(text, "<b>vip") {
		t.Error("a tag is markup")
	}
	for address, want := range map[string]int{
		"/?status=gone": 422, "/?min_talk=long": 422, "/?period=tomorrow": 422, "/?sort=colour": 422, "/?missed=perhaps": 422,
	} {
		if status, _, text := p.get(address); status != want || !strings.Contains(text, `role="alert"`) {
			t.Errorf("%s: %d", address, status)
		}
	}
}

// What cannot be understood is refused on every page that has a filter, in the
// reader's language.
func TestFilter_Refused(t *testing.T) {
	p := newRig(t, someCall("main:1")).signedIn("manager")
	p.head.Set("Accept-Language", "ru")
	for _, page := range []string{"/", "/stats", "/reports"} {
		for query, want := range map[string]string{
			"min_talk=abc":                          "длительность пишется 0:30, 90s или числом секунд (Разговор не меньше: abc)",
			"max_wait=2+%D0%BC%D0%B8%D0%BD":         "длительность пишется 0:30, 90s или числом секунд (Ожидание не больше: 2 мин)",
			"status=answered,gone":                  "такого значения нет (Итог: gone)",
			"hour=24":                               "такого значения нет (Час: 24)",
			"missed=perhaps":                        "такого значения нет (Пропущенные: perhaps)",
			"part=whole&employee=101":               "такого значения нет (Участие: whole)",
			"period=tomorrow":                       "такого периода нет",
			"from=soon":                             "дата пишется 2026-01-31",
			"from=2026-02-02&to=2026-02-01":         "конец периода раньше начала",
			"type=" + strings.Repeat("%D1%8F", 500): "(Признак: " + strings.Repeat("я", 40) + ")",
		} {
			status, _, text := p.get(page + "?" + query)
			if status != http.StatusUnprocessableEntity || !strings.Contains(text, want) {
				t.Errorf("%s?%.60s: %d, and does not say %q", page, query, status, want)
			}
		}
	}
}

// A chip for each thing that is asked for, whose link leaves out just that.
func TestJournal_Chips(t *testing.T) {
	p := newRig(t, someCall("main:1")).signedIn("manager")
	_, _, text := p.get("/?status=busy&status=answered&employee=101&part=counted&period=today&sort=-wait")
	chips := text[strings.Index(text, `id="chips"`):]
	chips = chips[:strings.Index(chips, "</ul>")]
	want := []string{
		"/?employee=101&part=counted&period=today&sort=-wait&status=answered",
		"/?employee=101&part=counted&period=today&sort=-wait&status=busy",
		"/?period=today&sort=-wait&status=busy&status=answered", // a part of nobody's is no question
		"/?employee=101&period=today&sort=-wait&status=busy&status=answered",
		"/?period=today&sort=-wait",
	}
	if got := links(chips); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if !strings.Contains(chips, "counted in statistics") {
		t.Errorf("%s", chips)
	}
	if _, _, text := p.get("/?missed=true&min_talk=90s"); strings.Count(text, "<bdi>only missed</bdi>") != 1 || !strings.Contains(text, "<bdi>1:30</bdi>") {
		t.Error("a chip says what the address says, not what people do")
	}
}

// What a form sends that nobody filled in is led to the address that says it
// shortly; a word for a period stays a word.
func TestJournal_Address(t *testing.T) {
	p := newRig(t).signedIn("manager")
	for given, want := range map[string]string{
		"/?q=&status=&missed=&from=&to=&period=today": "/?period=today",
		"/?period=today&from=2026-01-01&to=":          "/?from=2026-01-01",
		"/?status=busy&status=busy&status=":           "/?status=busy",
		"/?q=+anna+":                                  "/?q=anna",
		"/?q=":                                        "/",
		"/?part=counted&status=busy":                  "/?status=busy",
		"/?utm_source=mail&status=busy&by=line":       "/?status=busy",
		"/stats?utm_source=mail&table=total&limit=5":  "/stats",
		"/reports?utm_source=mail&format=csv":         "/reports",
	} {
		if status, head, _ := p.get(given); status != http.StatusSeeOther || head.Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", given, status, head.Get("Location"), want)
		}
	}
	for _, page := range []string{"/voicemail", "/faxes", "/live"} {
		if status, _, _ := p.get(page + "?utm_source=mail"); status != http.StatusOK {
			t.Errorf("%s with what is none of ours: %d", page, status)
		}
	}
	if status, _, _ := p.get("/v1/calls?utm_source=mail"); status != http.StatusUnprocessableEntity {
		t.Errorf("the interface does not refuse what it does not know: %d", status)
	}
	_, _, text := p.get("/?period=today")
	if !strings.Contains(text, `<input type="hidden" name="period" value="today">`) {
		t.Error("the form forgets the period")
	}
}

func TestJournal_Pages(t *testing.T) {
	r := newRig(t, many(120)...)
	p := r.signedIn("manager")
	_, _, first := p.get("/?sort=-wait")
	if got := rows(first); len(got) != 50 || got[0] != "main_119" {
		t.Fatalf("%d calls: %q", len(got), got)
	}
	if !strings.Contains(element(t, first, "rows"), `data-follow="/changes"`) {
		t.Error("the first page does not follow")
	}
	if !regexp.MustCompile(`aria-sort="descending"><a[^>]* id="sort-wait"`).MatchString(first) {
		t.Error("no heading says how they are sorted")
	}
	if to := href(t, first, "sort-wait").Query().Get("sort"); to != "wait" {
		t.Errorf("once more by wait: %q", to)
	}
	r.add(someCall("main:new")) // between the pages
	var ids []string
	text := first
	for page := 0; ; page++ {
		ids = append(ids, rows(text)...)
		if !strings.Contains(text, `id="next"`) {
			break
		}
		if page > 0 && strings.Contains(element(t, text, "rows"), "data-follow") {
			t.Error("a later page follows")
		}
		_, _, text = p.get(href(t, text, "next").String())
	}
	if seen := slices.Compact(slices.Sorted(slices.Values(ids))); len(ids) != 120 || len(seen) != 120 {
		t.Errorf("%d calls on all pages, %d different ones", len(ids), len(seen))
	}
	if to := href(t, text, "first").String(); to != "/?sort=-wait" {
		t.Errorf("the first page is at %s", to)
	}
	if _, _, all := p.get("/?limit=100"); len(rows(all)) != 100 {
		t.Errorf("%d on a page of 100", len(rows(all)))
	}
	// A cursor of other pages is no dead end.
	if status, head, _ := p.get("/?cursor=nonsense&sort=wait"); status != http.StatusSeeOther || head.Get("Location") != "/?sort=wait" {
		t.Errorf("a strange cursor: %d to %q", status, head.Get("Location"))
	}
}

func TestJournal_Sum(t *testing.T) {
	calls := many(3)
	calls[0].Status, calls[0].Missed = call.StatusNoAnswer, true
	r := newRig(t, calls...)
	for address, asked := range map[string]bool{"/": false, "/?period=30d": true} {
		if _, _, text := r.signedIn("sales").get(address); strings.Contains(element(t, text, "count"), "hx-get") != asked {
			t.Errorf("a department's %s is counted unasked: %v", address, !asked)
		}
	}
	p := r.signedIn("manager")
	for address, want := range map[string]bool{
		"/": true, "/?period=30d": true, "/?status=answered": false, "/?status=answered&sum=1": true, "/?period=30d&status=answered": false,
	} {
		_, _, text := p.get(address)
		sum := text[strings.Index(text, `id="sum"`):]
		sum = sum[:strings.Index(sum, "</p>")]
		if got := strings.Contains(sum, "calls</strong>"); got != want {
			t.Errorf("%s: %s", address, sum)
		}
		// What is not counted at once is asked for when the page is there.
		if got := strings.Contains(sum, "hx-get"); got == want {
			t.Errorf("%s: %s", address, sum)
		}
		if want && strings.Contains(address, "status") && !strings.Contains(sum, "2 calls") {
			t.Errorf("%s: %s", address, sum)
		}
	}
}

func TestJournal_Masked(t *testing.T) {
	r := newRig(t, many(60)...)
	_, _, text := r.signedIn("masked").get("/")
	for _, absent := range []string{`name="q"`, `name="number"`, `id="sort-from"`, `id="sort-to"`, "9161234567", `value="from"`} {
		if strings.Contains(text, absent) {
			t.Errorf("a reader of masked numbers is offered %s", absent)
		}
	}
	if !strings.Contains(text, "7916***4567") || !strings.Contains(text, `id="sort-wait"`) {
		t.Error("he sees no calls")
	}
	for _, address := range []string{"/?q=4567", "/?number=4567", "/?sort=from"} {
		if status, _, text := r.signedIn("masked").get(address); status != http.StatusForbidden || len(rows(text)) > 0 {
			t.Errorf("%s: %d", address, status)
		}
	}
}

// The table says why a call has its status, and nothing that the status says.
func TestJournal_Reason(t *testing.T) {
	wants := map[string]*call.Record{
		"":                         {Status: call.StatusBusy, Cause: &call.Cause{Q850: 17}},
		"no such number (SIP 404)": {Status: call.StatusFailed, Cause: &call.Cause{Q850: 1, SIP: 404}},
		"SIP 603":                  {Status: call.StatusNoAnswer, Cause: &call.Cause{SIP: 603}},
		"SIP 486":                  {Status: call.StatusBusy, Cause: &call.Cause{Q850: 17, SIP: 486}},
		"no such number":           {Status: call.StatusFailed, Cause: &call.Cause{Q850: 1}},
		"strange &lt;":             {Status: call.StatusFailed, Cause: &call.Cause{Q850: 1000, Text: "strange <"}},
		"in the queue vip":         {Status: call.StatusAbandoned, AbandonedIn: ptr("queue"), Queues: []string{"sales", "vip"}},
		"in the menu":              {Status: call.StatusAbandoned, AbandonedIn: ptr("ivr")},
		"mailbox 101":              {Status: call.StatusVoicemail, Voicemail: &call.VoicemailEntry{Mailbox: "mailbox 101"}},
	}
	var calls []*call.Record
	want := map[string]string{}
	for text, rec := range wants {
		c := someCall(fmt.Sprint("main:", len(calls)))
		c.Status, c.Cause, c.AbandonedIn, c.Queues, c.Voicemail = rec.Status, rec.Cause, rec.AbandonedIn, rec.Queues, rec.Voicemail
		want[fmt.Sprint("call-main_", len(calls))] = text
		calls = append(calls, c)
	}
	_, _, page := newRig(t, calls...).signedIn("manager").get("/")
	for id, text := range want {
		row := page[strings.Index(page, `id="`+id+`"`):]
		cell := regexp.MustCompile(`(?s)<td class="c-status">.*?</td>`).FindString(row)
		got := ""
		if m := regexp.MustCompile(`under"><bdi>([^<]*)`).FindStringSubmatch(cell); m != nil {
			got = m[1]
		}
		if got != text {
			t.Errorf("got %q, want %q: %s", got, text, cell)
		}
	}
}
