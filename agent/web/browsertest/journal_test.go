package browsertest

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/replay"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/xuri/excelize/v2"
)

// rows of the journal, and what is in a column of them.
const rows = "#rows > tr[id^=call-]"

func (b *tab) column(class string) []string {
	b.Helper()
	return eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll(%s)].map(e => e.textContent.trim())`, js(rows+" > td."+class)))
}

// ids of the calls on the page, in order.
func (b *tab) ids() []string {
	b.Helper()
	return eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll(%s)].map(e => e.id)`, js(rows)))
}

func TestJournal_FilterSortPage(t *testing.T) {
	f := newOffice(t, officeOptions{calls: 400})
	b := f.visit(t, "manager", "en")
	b.open("/")
	b.until(fmt.Sprintf(`document.querySelectorAll(%s).length === 50`, js(rows)))
	all := b.ids()
	eval[any](b, `window.same = true`)

	// A filter: the address says it, the page is not loaded anew, and every row is
	// what was asked for.
	b.click("#pick-direction summary")
	b.click("#pick-direction input[value=outbound]")
	b.click("#pick-direction button")
	b.until(`new URLSearchParams(location.search).get("direction") === "outbound"`)
	b.until(fmt.Sprintf(`[...document.querySelectorAll(%s)].every(r => r.querySelector(".d-outbound"))`, js(rows)))
	if !eval[bool](b, `window.same === true`) {
		t.Error("a filter loads the whole page again")
	}
	if got := b.text("#chips"); !strings.Contains(got, "outbound") {
		t.Errorf("what is asked for is not said: %q", got)
	}

	// Sorted by a heading, and the other way.
	b.click("#sort-talk")
	b.until(`document.querySelector("#sort-talk").closest("th").getAttribute("aria-sort") === "descending"`)
	talks := b.column("c-talk")
	if !slices.IsSortedFunc(talks, func(a, b string) int { return seconds(b) - seconds(a) }) {
		t.Errorf("not the longest first: %v", talks)
	}
	b.click("#sort-talk")
	b.until(`document.querySelector("#sort-talk").closest("th").getAttribute("aria-sort") === "ascending"`)

	// What comes later, the sum for one, does not move the page away from who has
	// scrolled down meanwhile.
	b.until(`(window.scrollTo(0, 600), window.scrollY > 300)`)
	eval[any](b, `window.was = scrollY, document.body.dispatchEvent(new Event("htmx:afterSettle", {bubbles: true})), null`)
	b.until(`new Promise(requestAnimationFrame) && scrollY === was`)

	// Pages: the next one has other calls, the first is where one began.
	first := b.ids()
	b.click("#next")
	b.until(fmt.Sprintf(`document.querySelector(%s).id !== %s`, js(rows), js(first[0])))
	for _, id := range b.ids() {
		if slices.Contains(first, id) {
			t.Errorf("%s is on two pages", id)
		}
	}
	address := eval[string](b, `location.pathname + location.search`)
	second := b.ids()

	// The address is all that a colleague needs.
	colleague := f.visit(t, "admin", "ru")
	colleague.open(address)
	if got := colleague.ids(); !slices.Equal(got, second) {
		t.Errorf("a colleague sees %v at %s, not %v", got, address, second)
	}

	b.click("#first")
	b.until(fmt.Sprintf(`document.querySelector(%s).id === %s`, js(rows), js(first[0])))

	// Back is back, step by step.
	eval[any](b, `history.back() ?? null`)
	b.until(fmt.Sprintf(`document.querySelector(%s)?.id === %s`, js(rows), js(second[0])))
	b.click("#filter-clear")
	b.until(`!new URLSearchParams(location.search).has("direction")`)
	b.open("/")
	if got := b.ids(); !slices.Equal(got, all) {
		t.Errorf("without a filter: %v, not %v", got, all)
	}

	// A search by typing and Enter.
	b.fill("#filter-q", "74951230102")
	b.press("\r")
	b.until(`new URLSearchParams(location.search).get("q") === "74951230102"`)
	b.until(fmt.Sprintf(`document.querySelectorAll(%s).length > 0`, js(rows)))
	b.fill("#filter-q", "no such thing at all")
	b.press("\r")
	b.until(`document.querySelector("#none")`)
}

// seconds reads 1:02:03; -1: it is not that.
func seconds(length string) (s int) {
	for part := range strings.SplitSeq(length, ":") {
		n, err := strconv.Atoi(part) // Sscan would take 08 for octal
		if err != nil {
			return -1
		}
		s = s*60 + n
	}
	return s
}

// A filter that is refused says why, in place of the calls; and one goes back to
// them as they were.
func TestFilter_Refused(t *testing.T) {
	f := newOffice(t, officeOptions{calls: 60})
	b := f.visit(t, "manager", "en")
	b.provokes("status of 422")
	b.provokes("htmx:responseError") // htmx logs it
	const refused = "main .problem:not(#away)"
	for _, c := range []struct{ page, field, value, part string }{
		{"/", "#filter-min_talk", "2 мин", rows},
		{"/stats", "#filter-max_wait", "soon", "#stats"},
	} {
		b.open(c.page)
		b.until("window.htmx && document.readyState === 'complete'")
		eval[any](b, `window.same = true`)
		b.click("#filter-more summary")
		b.fill(c.field, c.value)
		b.press("\r")
		b.sees(refused, ".")
		b.until(`location.search !== ""`)
		if !eval[bool](b, `window.same === true && document.querySelectorAll("#main").length === 1`) {
			t.Errorf("%s: not shown in place of the main part", c.page)
		}
		if b.count(c.part) > 0 {
			t.Errorf("%s: what was there before is still there", c.page)
		}
		eval[any](b, `history.back() ?? null`)
		b.until(fmt.Sprintf(`location.search === "" && document.querySelector(%s) && !document.querySelector(%s)`, js(c.part), js(refused)))
	}
	b.open("/missed?state=all")
	b.until("window.htmx && document.readyState === 'complete'")
	b.until(`(() => { const [from, to] = ["from", "to"].map(n => document.querySelector("[name=" + n + "]")); from.value = "2026-02-02"; to.value = "2026-02-01"; return true; })()`)
	b.click(".selects .row > button")
	b.sees(refused, ".")
	b.click(refused + " + p a")
	b.sees("#worklist h1", ".")
}

func TestJournal_Keyboard(t *testing.T) {
	f := newOffice(t, officeOptions{calls: 120})
	b := f.visit(t, "manager", "en")
	b.open("/")

	// The first stop leads past the menu.
	b.press("\t")
	if got := b.focus(); got != "To the content" {
		t.Errorf("the first stop is %q", got)
	}
	b.press("\r")
	b.until(`document.activeElement?.id === "main"`)

	// Through the filters to the table in the order in which they are read.
	stops := []string{}
	for len(stops) < 200 {
		b.press("\t")
		stops = append(stops, eval[string](b, `(() => { const e = document.activeElement; return e.id || e.closest("[id]")?.id || e.tagName; })()`))
		if strings.HasPrefix(stops[len(stops)-1], "call-") {
			break
		}
	}
	at := -1
	for _, want := range []string{"filter-q", "pick-direction", "pick-status", "filter-missed", "filter-apply", "filter-more", "csv", "sort-began", "sort-talk", "call-"} {
		i := slices.IndexFunc(stops, func(s string) bool { return strings.HasPrefix(s, want) })
		if i <= at {
			t.Errorf("%s is no stop after the one before: %v", want, stops)
		}
		at = max(at, i)
	}
	// What has the focus can be seen.
	if got := eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`); got == "none" {
		t.Error("a row's link does not show that it has the focus")
	}
	link := eval[string](b, `document.activeElement.getAttribute("href")`)
	b.press("\r")
	b.until(`location.pathname === ` + js(link))
	eval[any](b, `history.back() ?? null`)
	b.until(`location.pathname === "/" && document.querySelector("#rows")`)

	// A heading that was pressed keeps the focus, so that Enter turns the order.
	b.until(`(document.querySelector("#sort-talk").focus(), document.activeElement.id === "sort-talk")`)
	b.press("\r")
	b.until(`document.querySelector("#sort-talk").closest("th").getAttribute("aria-sort") === "descending"`)
	b.until(`document.activeElement?.id === "sort-talk"`)
	b.press("\r")
	b.until(`document.querySelector("#sort-talk").closest("th").getAttribute("aria-sort") === "ascending"`)
	b.until(`document.activeElement?.id === "sort-talk"`)

	// A list of a filter opens, is chosen from and applied, without a mouse.
	b.until(`(document.querySelector("#pick-direction summary").focus(), document.activeElement.closest("#pick-direction"))`)
	b.press("\r")
	b.until(`document.querySelector("#pick-direction").open`)
	b.press("\t")
	b.press(" ")
	b.press("\r")
	b.until(`new URLSearchParams(location.search).has("direction")`)
	b.until(`document.activeElement?.closest("#pick-direction")`) // and one goes on from there
}

func TestJournal_Downloads(t *testing.T) {
	f := newOffice(t, officeOptions{calls: 200})
	b := f.visit(t, "manager", "ru")
	b.open("/?direction=inbound")
	b.until(fmt.Sprintf(`document.querySelectorAll(%s).length > 0`, js(rows)))
	name, content := b.downloaded(func() { b.click("#csv") })
	if !strings.HasSuffix(name, ".csv") {
		t.Errorf("the table is saved as %q", name)
	}
	table, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(content, []byte("\ufeff")))).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%.300s", err, content)
	}
	calls := len(table) - 1
	if calls < b.count(rows) {
		t.Errorf("%d calls in the table, %d on the page", calls, b.count(rows))
	}
	name, content = b.downloaded(func() { b.click("#xlsx") })
	if !strings.HasSuffix(name, ".xlsx") {
		t.Errorf("the table is saved as %q", name)
	}
	book, err := excelize.OpenReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	sheet, err := book.GetRows(book.GetSheetName(0))
	if err != nil || len(sheet)-1 != calls {
		t.Errorf("%d calls in the workbook, %d in the other, %v", len(sheet)-1, calls, err)
	}
}

// A call that the PBX speaks of appears by itself, and takes nothing away from who
// is at work there. Its caller calls himself by a script.
func TestJournal_CallArrives(t *testing.T) {
	f := newOffice(t, officeOptions{calls: 100, played: []*replay.Recording{named(t, hostile, time.Hour)}})
	b := f.visit(t, "manager", "en")
	b.open("/")
	before := b.ids()
	eval[any](b, `window.same = true`)
	kept := "#" + before[3] + " .c-began a"
	b.until(fmt.Sprintf(`(document.querySelector(%s).focus(), document.activeElement === document.querySelector(%[1]s))`, js(kept)))
	f.play()
	b.sees(rows+" .c-from", `79161061001`)
	arrived := b.ids()
	if i := slices.Index(arrived, before[0]); i != 1 {
		t.Errorf("the newest call of before is now number %d: %v", i, arrived[:3])
	}
	if !eval[bool](b, `window.same === true`) {
		t.Error("the page was loaded again")
	}
	if !eval[bool](b, fmt.Sprintf(`document.activeElement === document.querySelector(%s)`, js(kept))) {
		t.Errorf("the focus went to %q", b.focus())
	}
	if got := b.column("c-from")[0]; !strings.Contains(got, "<script>window.__pwned=1") {
		t.Errorf("the name is shown as %q", got)
	}
	b.click("#" + arrived[0] + " .c-began a")
	b.until(`location.pathname.startsWith("/calls/")`)
	b.sees("main", `<img src=x onerror=`)
	if got := eval[any](b, "window.__pwned ?? null"); got != nil {
		t.Errorf("a caller's name runs as a script: %v", got)
	}
}

// On a telephone a call is a card, in which nothing lies over something else.
func TestJournal_Telephone(t *testing.T) {
	c := newCall(1, 3*time.Minute)
	c.Direction, c.Line, c.TalkMs = call.Outbound, nil, new(int64(5_000)) // too short to be of a type
	tagged := newCall(3, 4*time.Minute)
	tagged.Direction, tagged.Line, tagged.Tags = call.Outbound, nil, []string{"vip", "to be called again in the evening"}
	f := newOffice(t, officeOptions{
		more:   []*call.Record{c, tagged, newCall(2, 5*time.Minute)},
		config: "[[tariff]]\nprefix = \"7495\"\nper_minute = \"12.60\"\ncurrency = \"RUB\"\nstep = \"60s\"\n",
	})
	f.recorded(c, 20)
	b := f.visit(t, "manager", "ru")
	b.screen(390, 844)
	b.open("/")
	b.sees(rows+" .c-cost", "12,60")
	if *shots != "" {
		b.picture(t.Name())
	}
	over := eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll(%s)].flatMap(row => {
		const cells = [...row.cells].filter(c => c.checkVisibility() && c.textContent.trim()).map(c => {
			const what = new Range(); // it may be wider than its cell
			what.selectNodeContents(c);
			return {name: c.className, at: what.getBoundingClientRect()};
		});
		return cells.flatMap((a, i) => cells.slice(i + 1)
			.filter(b => a.at.left < b.at.right && b.at.left < a.at.right && a.at.top + 1 < b.at.bottom && b.at.top + 1 < a.at.bottom)
			.map(b => a.name + " and " + b.name));
	})`, js(rows)))
	if len(over) > 0 {
		t.Errorf("lie over one another: %q", over)
	}
}

// A recording is played under the table: it goes on, and one can seek in it.
func TestJournal_Sound(t *testing.T) {
	c := newCall(1, 3*time.Minute)
	f := newOffice(t, officeOptions{more: []*call.Record{c}})
	f.recorded(c, 20)
	b := f.visit(t, "manager", "en")
	b.open("/")
	b.click(rows + " a.play")
	b.plays("#player audio", 20)
	b.click("#player .close")
	b.until(`document.querySelector("#player").hidden && document.querySelector("#player audio").paused`)
}

// plays waits until a player goes on, and seeks in it.
func (b *tab) plays(selector string, length float64) {
	b.Helper()
	player := fmt.Sprintf(`document.querySelector(%s)`, js(selector))
	b.until(player + `.readyState >= 1`)
	if got := eval[float64](b, player+`.duration`); got < length-0.2 || got > length+0.2 {
		b.Errorf("the player says %.2f seconds, want %.0f", got, length)
	}
	b.until(`!` + player + `.paused && ` + player + `.currentTime > 0.2`)
	eval[any](b, player+`.currentTime = 12`)
	b.until(`!` + player + `.seeking && ` + player + `.currentTime > 12.2`)
	eval[any](b, player+`.currentTime = 3`)
	b.until(`!` + player + `.seeking && ` + player + `.currentTime > 3.1 && ` + player + `.currentTime < 11`)
	if got := eval[any](b, player+`.error?.message ?? null`); got != nil {
		b.Errorf("the player says %v", got)
	}
}

// A role sees its own calls, and whole numbers or not, in the rows as in what is
// asked for behind them.
func TestJournal_Roles(t *testing.T) {
	f := newOffice(t, officeOptions{calls: 200})
	counts := map[string]int{}
	for who, numbers := range map[string]bool{"manager": true, "sales": true, "masked": false} {
		b := f.visit(t, who, "en")
		b.open("/?limit=100")
		b.until(fmt.Sprintf(`document.querySelectorAll(%s).length > 0`, js(rows)))
		counts[who] = b.count(rows)
		whole := `/(\+7|\b8|\b7)9\d{9}\b/`
		if got := eval[bool](b, whole+`.test(document.querySelector("#rows").outerHTML)`); got != numbers {
			t.Errorf("%s sees whole numbers: %v", who, got)
		}
		if got := eval[bool](b, `fetch("/v1/calls?limit=100").then(r => r.text()).then(s => `+whole+`.test(s))`); got != numbers {
			t.Errorf("%s is told whole numbers: %v", who, got)
		}
	}
	if counts["sales"] >= counts["manager"] || counts["masked"] != counts["manager"] {
		t.Errorf("calls on a page: %v", counts)
	}
}

// While the daemon is away, as it is restarted, a click says so; and the next one
// that is answered takes it back.
func TestJournal_NobodyAnswers(t *testing.T) {
	f := newOffice(t, officeOptions{calls: 100})
	b := f.visit(t, "manager", "en")
	b.open("/")
	block := func(patterns ...*network.BlockPattern) {
		b.call("block addresses", func() error {
			_, err := chromedp.Call(b.ctx, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: patterns})
			return err
		})
	}
	b.provokes("ERR_BLOCKED_BY_CLIENT")
	b.provokes("htmx:sendError")
	b.provokes("htmx:afterRequest") // htmx logs both
	block(&network.BlockPattern{URLPattern: "*://*:*/*", Block: true})
	b.click("#sort-talk")
	b.until(`document.getElementById("away").checkVisibility()`)
	block()
	b.click("#sort-talk")
	b.until(`document.querySelector("#sort-talk").closest("th").getAttribute("aria-sort") === "descending"`)
	b.until(`!document.getElementById("away").checkVisibility()`)
}
