package browsertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/web"
	"calljournal/connectors/replay"

	"github.com/chromedp/chromedp"
)

// examples are addresses of each page, the states in which it looks different.
// Words with a % are calls. One line has one address.
var examples = []struct{ pattern, address string }{
	{"/", "/nowhere"},
	{"GET /signin", "/signin"},
	{"GET /{$}", "/"},
	{"GET /{$}", "/?period=today&status=busy&status=answered&employee=101&min_talk=5s&q=%D0%B0&sort=-wait"},
	{"GET /{$}", "/?period=yesterday&type=lost&has=fax"},
	{"GET /{$}", "/?q=no+such+thing"},
	{"GET /calls/{id}", "/calls/%ID"},
	{"GET /calls/{id}", "/calls/%HOSTILE"},
	{"GET /calls/{id}", "/calls/%MISSED"},
	{"GET /calls/{id}", "/calls/%MESSAGE"},
	{"GET /calls/{id}", "/calls/%FAX"},
	{"GET /live", "/live"},
	{"GET /missed", "/missed"},
	{"GET /missed", "/missed?state=all"},
	{"GET /voicemail", "/voicemail"},
	{"GET /voicemail", "/voicemail?mailbox=101&period=today"},
	{"GET /faxes", "/faxes"},
	{"GET /faxes", "/faxes?direction=sent&period=all"},
	{"GET /stats", "/stats"},
	{"GET /stats", "/stats?period=today&by=queue"},
	{"GET /stats", "/stats?period=all&by=line&sort=name&direction=inbound"},
	{"GET /stats", "/stats?from=2001-01-01&to=2001-01-02"},
	{"GET /reports", "/reports"},
	{"GET /reports", "/reports?period=this-week&direction=inbound&direction=outbound"},
	{"GET /state", "/state"},
	{"GET /access", "/access"},
	{"GET /access", "/access?who=nobody&period=yesterday"},
}

// every page has an example here.
func TestPages_AllAreKnown(t *testing.T) {
	site := web.New(web.Options{Zone: time.UTC, Now: time.Now})
	defer site.End()
	looked := map[string]bool{}
	for _, e := range examples {
		looked[e.pattern] = true
	}
	known := map[string]bool{}
	for _, pattern := range site.Pages() {
		if method, _, ok := strings.Cut(pattern, " "); ok && method != http.MethodGet {
			continue // a form's answer, on one of the others
		}
		known[pattern] = true
		if !looked[pattern] {
			t.Errorf("page %q has no example in this test: a browser does not look at it", pattern)
		}
	}
	for pattern := range looked {
		if !known[pattern] {
			t.Errorf("there is an example of a page %q, but there is no such page", pattern)
		}
	}
}

// looks are how a page may be looked at. The first half has every pair of things,
// which is enough for what takes long; the last is a tablet.
var looks = []struct {
	language, scheme string
	width, height    int64
}{
	{"ru", "light", 1280, 900}, {"ru", "dark", 390, 844}, {"en", "dark", 1280, 900}, {"en", "light", 390, 844},
	{"ru", "dark", 1280, 900}, {"ru", "light", 390, 844}, {"en", "light", 1280, 900}, {"en", "dark", 390, 844},
	{"ru", "light", 820, 1180},
}

// exhibition is an office in which every page has something to show, and the
// addresses of examples there.
func exhibition(t *testing.T) (*office, *strings.Replacer) {
	t.Helper()
	full, missed := newCall(1, 3*time.Minute), unanswered(newCall(2, 5*time.Minute), "+79167654321", call.StatusAbandoned)
	message, fax := withMessage(newCall(3, 6*time.Minute)), withFax(newCall(4, 7*time.Minute))
	// Somebody calls himself by a script, and everything else too; and one of whom
	// only the name is so, so that he can be called back.
	bad, worse := everywhere(newCall(5, 4*time.Minute), hostile), unanswered(newCall(6, 8*time.Minute), "+79167654322", call.StatusNoAnswer)
	worse.From.Name, worse.Queues, worse.Line.Name = new(hostile), []string{hostile}, new(hostile)
	// On the board, calls that stay as they are: in a menu, in a queue, ringing, a
	// talk, on hold.
	board := []*replay.Recording{named(t, hostile, 1200*time.Millisecond)}
	for _, c := range []struct {
		name string
		at   time.Duration
	}{{"ivr_abandon_1", time.Second}, {"ivr_queue", 2500 * time.Millisecond}, {"in_noanswer_1", time.Second}, {"hold_1", 2 * time.Second}} {
		board = append(board, cut(recording(t, c.name), c.at))
	}
	f := newOffice(t, officeOptions{calls: 200, more: []*call.Record{full, missed, message, fax, bad, worse}, played: board, speed: 10})
	f.recorded(full, 20)
	f.leftMessage(message, 5)
	f.received(fax)
	f.play()
	return f, strings.NewReplacer("%ID", full.ID, "%HOSTILE", bad.ID, "%MISSED", missed.ID, "%MESSAGE", message.ID, "%FAX", fax.ID)
}

// Every page in each of its states, in each look: nothing to complain of, nothing
// cut off, and nothing that somebody could not read or reach.
func TestPages(t *testing.T) {
	f, names := exhibition(t)
	axe := axeSource(t)
	stranger, inside := newTab(t, f.base, "ru"), f.visit(t, "admin", "ru")
	inside.open("/live")
	inside.sees("#live-calls", "^5$")
	for i, look := range looks {
		t.Run(fmt.Sprint(look.language, " ", look.scheme, " ", look.width), func(t *testing.T) {
			for _, b := range []*tab{stranger, inside} {
				b.T = t
				b.speaks(look.language)
				b.scheme(look.scheme)
				b.screen(look.width, look.height)
			}
			for _, e := range examples {
				b := inside
				if e.pattern == "GET /signin" {
					b = stranger
				}
				address := names.Replace(e.address)
				b.visited(address, e.pattern == "/")
				if got := eval[string](b, "document.documentElement.lang"); got != look.language {
					t.Errorf("%s: in %q, want %q", address, got, look.language)
				}
				if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > look.width {
					t.Errorf("%s is %d pixels wide on a screen of %d: %s", address, wide, look.width, b.sticksOut(look.width))
				}
				if got := eval[any](b, "window.__pwned ?? null"); got != nil {
					t.Errorf("%s: a caller's name runs as a script: %v", address, got)
				}
				if i < len(looks)/2 {
					b.accessible(axe, address)
				}
				for _, c := range b.heard() {
					t.Errorf("%s: %s", address, c)
				}
				if *shots != "" {
					b.picture(address + " " + t.Name())
				}
			}
		})
	}
	stranger.T, inside.T = t, t
}

// No link of any page leads nowhere. Of those that differ only in what they ask for,
// one is followed.
func TestPages_LinksLead(t *testing.T) {
	f, names := exhibition(t)
	b := f.visit(t, "admin", "en")
	followed := map[string]bool{}
	for _, e := range examples {
		if e.pattern == "/" || e.pattern == "GET /signin" {
			continue
		}
		address := names.Replace(e.address)
		b.open(address)
		for _, link := range eval[[]string](b, `[...document.querySelectorAll("main a[href]")].filter(a => a.origin === location.origin).map(a => a.pathname + a.search)`) {
			u, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: a link to %q: %v", address, link, err)
				continue
			}
			kind := callInPath.ReplaceAllString(u.Path, "/calls/…") + "?" + strings.Join(slices.Sorted(maps.Keys(u.Query())), "&")
			if followed[kind] {
				continue
			}
			followed[kind] = true
			if got := eval[int](b, fmt.Sprintf(`fetch(%s).then(async r => (await r.arrayBuffer(), r.status))`, js(link))); got != http.StatusOK {
				t.Errorf("%s: a link to %s, which answers %d", address, link, got)
			}
		}
	}
	t.Logf("%d kinds of links followed", len(followed))
}

var callInPath = regexp.MustCompile(`/calls/main[^/]*`)

// visited opens a page that must be there, or must not.
func (b *tab) visited(address string, missing bool) {
	b.Helper()
	want := http.StatusOK
	if missing {
		want = http.StatusNotFound
		b.provokes("status of 404")
	}
	if got := b.open(address); got != want {
		b.Errorf("%s: status %d, want %d", address, got, want)
	}
	b.until("window.htmx && document.readyState === 'complete'")
}

// sticksOut names what is wider than the screen.
func (b *tab) sticksOut(width int64) string {
	return strings.Join(eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll("body *")].filter(e => {
		if (e.getBoundingClientRect().right <= %d) return false;
		for (let p = e.parentElement; p; p = p.parentElement) if (getComputedStyle(p).overflowX !== "visible") return false;
		return true;
	}).slice(0, 5).map(e => e.outerHTML.slice(0, 120))`, width)), "\n")
}

// axeSource is axe-core as AXE names it, "" if nobody does.
func axeSource(t *testing.T) (source string) {
	t.Run("axe-core", func(t *testing.T) {
		path := os.Getenv("AXE")
		if path == "" {
			t.Skip("AXE does not name an axe.min.js (npm pack axe-core): what it finds is not looked for")
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		source = string(b)
	})
	return source
}

// finding is what axe-core says of a page.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// accessible has axe-core look at the page.
func (b *tab) accessible(axe, address string) {
	b.Helper()
	if axe == "" {
		return
	}
	b.must(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](axe)))
	answer := eval[string](b, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"], resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations))`)
	var findings []finding
	if err := json.Unmarshal([]byte(answer), &findings); err != nil {
		b.Fatalf("axe-core said %.200q: %v", answer, err)
	}
	for _, f := range findings {
		say := b.Logf
		if f.Impact == "serious" || f.Impact == "critical" {
			say = b.Errorf
		}
		for i, n := range f.Nodes {
			if i == 3 {
				break
			}
			say("%s: %s, %s: %s\n%.300s\n%s", address, f.ID, f.Impact, f.Help, n.HTML, n.FailureSummary)
		}
	}
}
