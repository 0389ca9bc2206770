package browsertest

import (
	"context"
	"flag"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal/journaltest"
	"calljournal/agent/web"
	"calljournal/storage"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

var million = flag.Bool("million", false, "TestMillion on a million calls of a year, not 20,000")

// archive is the pages on a large journal, without the rest of a daemon: that
// would settle every call anew first.
func archive(t *testing.T, calls int) (base string) {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	began := time.Now()
	db, err := storage.Open(filepath.Join(dir, "journal.db"), storage.Options{Agent: "office-1", NoSync: true, Reserve: -1, Logger: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := fill(db, journaltest.Options{Seed: 11, Calls: calls, Days: 365}); err != nil {
		t.Fatal(err)
	}
	st := db.Stats()
	t.Logf("%d calls, %d MB, made in %v", st.Calls, st.FileBytes>>20, time.Since(began).Round(time.Second))
	file, err := people()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "users.json"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	users, err := access.OpenUsers(filepath.Join(dir, "users.json"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	server := api.New(api.Options{
		Agent: "office-1", Version: "0.0.0-test", Store: db, Users: users, Access: access.NewLog(filepath.Join(dir, "access.log")), Logger: log, Zone: time.UTC, Now: time.Now,
		Status: func(context.Context) (api.Status, error) { return api.Status{}, nil },
		Live:   func(context.Context) ([]call.Record, error) { return nil, nil },
	})
	warm := func() { go func() { _ = db.Warm(t.Context()) }() }
	site := web.New(web.Options{Agent: "office-1", Version: "0.0.0-test", API: server, Users: users, Changed: db.Changed, Head: db.Head, Opened: warm, Zone: time.UTC, Logger: log, Now: time.Now})
	server.SetSite(site)
	h := httptest.NewServer(server.Network())
	t.Cleanup(func() {
		site.End()
		server.End()
		h.Close()
	})
	return h.URL
}

// painted notes in each page when its first rows were on the screen, in
// milliseconds since the navigation began.
const painted = `(() => {
	const look = () => {
		if (!document.querySelector("main table tbody tr")) return;
		watch.disconnect();
		requestAnimationFrame(() => { const c = new MessageChannel(); c.port1.onmessage = () => { window.painted = performance.now(); }; c.port2.postMessage(0); });
	};
	const watch = new MutationObserver(look);
	watch.observe(document, {childList: true, subtree: true});
})()`

// How fast pages of a large journal are at the browser. What is measured is said,
// not judged: the machine may have other things to do.
func TestMillion(t *testing.T) {
	calls, times := 20_000, 3
	if *million {
		calls, times = 1_000_000, 9
	}
	b := newTab(t, archive(t, calls), "ru")
	b.signIn("manager")
	if _, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: painted}); err != nil {
		t.Fatal(err)
	}
	measure := func(what string, once func() float64) {
		t.Helper()
		took := make([]float64, times)
		for i := range took {
			took[i] = once()
		}
		first := took[0]
		slices.Sort(took)
		t.Logf("%-32s median %4.0f ms, %4.0f to %4.0f, the first %4.0f", what, took[times/2], took[0], took[times-1], first)
	}
	for _, p := range []struct{ name, path string }{
		{"the journal", "/"},
		{"this month", "/?period=this-month"},
		{"inbound", "/?direction=inbound"},
		{"missed", "/?missed=true"},
		{"an employee's", "/?employee=105"},
		{"longest talks first", "/?sort=-talk"},
		{"part of a number", "/?number=12345"},
		{"statistics of a year", "/stats?period=all"},
	} {
		var servers []float64
		measure("open "+p.name, func() float64 {
			b.open(p.path)
			b.until("window.painted")
			servers = append(servers, eval[float64](b, `(n => n.responseEnd - n.requestStart)(performance.getEntriesByType("navigation")[0])`))
			return eval[float64](b, "window.painted")
		})
		slices.Sort(servers)
		t.Logf("%-32s  server %4.0f ms", "", servers[len(servers)/2])
	}
	for _, c := range []struct {
		name   string
		before func()
		change func()
	}{
		{"inbound", func() { b.click("#pick-direction summary"); b.click("#pick-direction input[value=inbound]") }, func() { b.click("#pick-direction button") }},
		{"only missed", func() {}, func() { b.choose("#filter-missed", "true") }},
		{"yesterday", func() {}, func() { b.click("[data-period=yesterday]") }},
		{"a search", func() { b.fill("#filter-q", "79161234") }, func() { b.press("\r") }},
		{"longest talks first", func() {}, func() { b.click("#sort-talk") }},
		{"the next page", func() {}, func() { b.click("#next") }},
	} {
		measure("change to "+c.name, func() float64 {
			b.open("/")
			c.before()
			eval[any](b, changed)
			c.change()
			b.until("window.changed")
			return eval[float64](b, "window.changed")
		})
	}
}

// changed notes how long it took from what a person did to the other rows on the
// screen.
const changed = `(() => {
	let began;
	const begin = () => { began ??= performance.now(); };
	for (const what of ["click", "change", "submit"]) document.addEventListener(what, begin, {capture: true});
	document.addEventListener("htmx:afterSettle", e => {
		if (e.target.id !== "journal") return;
		requestAnimationFrame(() => { const c = new MessageChannel(); c.port1.onmessage = () => { window.changed ??= performance.now() - began; }; c.port2.postMessage(0); });
	});
	return null;
})()`
