package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var shots = flag.String("shots", "", "a folder that gets a picture of every page that is looked at, and of each failure")

// shared is the one browser of all tests.
var shared chromium

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "the browser leaves something behind:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// chromium is a browser that starts when it is first needed.
type chromium struct {
	once  sync.Once
	dir   string // all that it writes, its temporary files too
	ctx   context.Context
	end   context.CancelFunc
	lacks string // why there is none
	err   error
}

// flags of the browser beside those that chromedp sets. It has a new and empty
// profile and talks with us over a pipe: it ends when the pipe does, also if the
// tests are killed.
var flags = map[string]any{
	"no-sandbox": true, "disable-gpu": true, "disable-quic": true, "disable-component-update": true,
	"mute-audio": true, "autoplay-policy": "no-user-gesture-required",
}

func (c *chromium) start() {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		c.lacks = "there is no Chromium on this machine (Debian: apt-get install chromium)"
		return
	}
	if c.dir, c.err = os.MkdirTemp("", "browsertest-"); c.err != nil {
		return
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.UserDataDir(filepath.Join(c.dir, "profile")), chromedp.Env("TMPDIR="+c.dir))
	for name, value := range flags {
		options = append(options, chromedp.Flag(name, value))
	}
	var allocator context.Context
	allocator, c.end = chromedp.NewExecAllocator(context.Background(), options...)
	c.ctx, _ = chromedp.NewContext(allocator) // ended by close
	c.err = chromedp.Do(c.ctx)
}

// close ends the browser as its own menu does, so that it tidies up, and removes
// what it wrote.
func (c *chromium) close() error {
	if c.dir == "" {
		return nil
	}
	if c.end != nil {
		ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
		_ = chromedp.Cancel(ctx) // one that never began, or does not answer, is killed
		cancel()
		c.end()
	}
	// The last of its processes may write a moment longer.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(lookEvery) {
		if err := os.RemoveAll(c.dir); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// tab is the browser of one person, with cookies of its own.
type tab struct {
	*testing.T // the one that is about to use it
	ctx        context.Context
	base       string // http://host:port

	mu         sync.Mutex
	complaints []string
	expected   []string
}

// newTab opens a browser window at the pages of base, in a language.
func newTab(t *testing.T, base, language string) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	shared.once.Do(shared.start)
	if shared.lacks != "" {
		t.Skip(shared.lacks)
	}
	if shared.err != nil {
		t.Fatal("start the browser: ", shared.err)
	}
	b := &tab{T: t, base: base}
	var end context.CancelFunc
	b.ctx, end = chromedp.NewContext(shared.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.hear))
	t.Cleanup(func() {
		if t.Failed() && *shots != "" {
			b.picture("failed-" + t.Name())
		}
		end()
		for _, c := range b.heard() {
			t.Error(c)
		}
	})
	b.must(chromedp.Do(b.ctx))
	b.call("follow what the browser objects to", func() error {
		_, err := chromedp.Call(b.ctx, audits.Enable, struct{}{})
		return err
	})
	b.speaks(language)
	b.screen(1280, 900)
	return b
}

// hear gets everything that the browser tells of the tab, and keeps complaints.
func (b *tab) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			args, _ := json.Marshal(e.Args)
			b.complain("console: %s", args)
		}
	case *runtime.EventExceptionThrown:
		what, _ := json.Marshal(e.ExceptionDetails)
		b.complain("exception: %s", what)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.complain("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		if e.Issue.Code == audits.InspectorIssueCodeContentSecurityPolicyIssue {
			what, _ := json.Marshal(e.Issue.Details)
			b.complain("policy violated: %s", what)
		}
	case *page.EventJavascriptDialogOpening:
		b.complain("dialog: %s", e.Message)
		go func() { // a tab with a dialog does nothing else
			_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}()
	}
}

func (b *tab) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	what := fmt.Sprintf(format, args...)
	for _, e := range b.expected {
		if strings.Contains(what, e) {
			return
		}
	}
	b.complaints = append(b.complaints, what)
}

// heard gives the complaints up to now, once.
func (b *tab) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.complaints = nil }()
	return b.complaints
}

// provokes names a part of a complaint that the test means to cause.
func (b *tab) provokes(complaint string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, complaint)
}

func (b *tab) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *tab) call(what string, do func() error) {
	b.Helper()
	if err := do(); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

// speaks sets the language that the browser asks for.
func (b *tab) speaks(language string) {
	b.Helper()
	b.call("set the language", func() error {
		headers := network.Headers{"Accept-Language": language}
		_, err := chromedp.Call(b.ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: headers})
		return err
	})
}

// screen sets how large the window is: a width below 500 is a telephone.
func (b *tab) screen(width, height int64) {
	b.Helper()
	b.call("set the size of the screen", func() error {
		_, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500,
		})
		return err
	})
}

// scheme sets what the person prefers: light or dark.
func (b *tab) scheme(name string) {
	b.Helper()
	b.call("set the colours", func() error {
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	})
}

// open goes to an address of the site and waits until it has loaded. It returns
// the answer's status.
func (b *tab) open(path string) int {
	b.Helper()
	r, err := chromedp.Run(b.ctx, chromedp.NavigateResponse(b.base+path))
	if err != nil {
		b.Fatalf("open %s: %v", path, err)
	}
	return int(r.Status)
}

// eval gives what an expression is in the page.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

const (
	patience  = time.Minute
	lookEvery = 20 * time.Millisecond
)

// until looks at the page again and again until the expression is true there.
func (b *tab) until(expression string) {
	b.Helper()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		// Between two pages there is none in which to look.
		got, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && got {
			return
		}
		select {
		case <-ticker.C:
		case <-end.C:
			b.Fatalf("not within %v: %s (%v)\non %s\n%s", patience, expression, err, eval[string](b, "location.href"), b.text("body"))
		case <-b.ctx.Done():
			b.Fatal(b.ctx.Err())
		}
	}
}

// js quotes a string for a script.
func js(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(q)
}

// has is an expression: there is such an element, and its text matches.
func has(selector, pattern string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%s)].some(e => new RegExp(%s, "su").test(e.textContent))`, js(selector), js(pattern))
}

// sees waits until an element's text matches.
func (b *tab) sees(selector, pattern string) {
	b.Helper()
	b.until(has(selector, pattern))
}

// text is what can be read in the first such element.
func (b *tab) text(selector string) string {
	b.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%s)?.innerText ?? ""`, js(selector)))
}

// count is how many such elements there are.
func (b *tab) count(selector string) int {
	b.Helper()
	return eval[int](b, fmt.Sprintf(`document.querySelectorAll(%s).length`, js(selector)))
}

// click moves the mouse to the first such element that is seen and presses it. If
// the page moves meanwhile and something else is hit, it tries again, as a person
// would.
func (b *tab) click(selector string) {
	b.Helper()
	for range 10 {
		// An element that something else covers is not there yet.
		at := fmt.Sprintf(`(() => {
			for (const e of document.querySelectorAll(%s)) {
				e.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
				const r = e.getClientRects()[0];
				if (!r || !r.width || !r.height) continue;
				const x = r.left + r.width / 2, y = r.top + r.height / 2, hit = document.elementFromPoint(x, y);
				if (hit && (e === hit || e.contains(hit) || hit.control === e)) return [x, y];
			}
			return null;
		})()`, js(selector))
		b.until(at)
		xy := eval[[]float64](b, at)
		if len(xy) != 2 {
			continue
		}
		eval[any](b, fmt.Sprintf(`(() => {
			window.hit = "nothing";
			document.addEventListener("click", e => {
				const t = e.target, wanted = [...document.querySelectorAll(%s)];
				window.hit = wanted.some(w => w === t || w.contains(t) || t.control === w) ? "it" : t.outerHTML.slice(0, 100);
			}, {capture: true, once: true});
			return null;
		})()`, js(selector)))
		b.must(chromedp.Do(b.ctx, chromedp.MouseClickXY(xy[0], xy[1])))
		// Where there is no more to be known, the click has led to another page.
		hit, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`window.hit ?? "it"`))
		if err != nil || hit == "it" {
			return
		}
		b.Logf("a click on %s hit %s", selector, hit)
	}
	b.Fatalf("%s cannot be clicked on", selector)
}

// fill replaces what stands in a field, as typing does.
func (b *tab) fill(selector, text string) {
	b.Helper()
	b.until(fmt.Sprintf(`(() => { const e = document.querySelector(%s); if (!e) return false; e.focus(); e.select?.(); return document.activeElement === e; })()`, js(selector)))
	b.call("type", func() error {
		_, err := chromedp.Call(b.ctx, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

// choose picks an option of a select element.
func (b *tab) choose(selector, value string) {
	b.Helper()
	b.until(fmt.Sprintf(`(() => {
		const e = document.querySelector(%s);
		if (!e || ![...e.options].some(o => o.value === %s)) return false;
		e.focus(); e.value = %[2]s;
		e.dispatchEvent(new Event("input", {bubbles: true})); e.dispatchEvent(new Event("change", {bubbles: true}));
		return true;
	})()`, js(selector), js(value)))
}

// press presses keys one after the other; kb has the names of those that have no
// letter.
func (b *tab) press(keys string, options ...chromedp.KeyOption) {
	b.Helper()
	b.must(chromedp.Do(b.ctx, chromedp.KeyEvent(keys, options...)))
}

// signIn goes through the sign-in page.
func (b *tab) signIn(name string) {
	b.Helper()
	b.open("/signin")
	b.fill(`input[name=name]`, name)
	b.fill(`input[name=password]`, password)
	b.click(`main button.primary`)
	b.sees(".who .name", "^"+regexp.QuoteMeta(name)+"$")
}

// downloaded gives the file that the browser saves after do.
func (b *tab) downloaded(do func()) (name string, content []byte) {
	b.Helper()
	dir := b.TempDir()
	b.call("set where files are saved", func() error {
		_, err := chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior: browser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID, DownloadPath: dir,
		})
		return err
	})
	do()
	eventually(b.T, "a file is saved", func() bool {
		files, err := os.ReadDir(dir)
		b.must(err)
		for _, f := range files { // it has another name while it comes
			if !strings.HasSuffix(f.Name(), ".crdownload") && !strings.HasPrefix(f.Name(), ".") {
				name = f.Name()
				return len(files) == 1
			}
		}
		return false
	})
	content, err := os.ReadFile(filepath.Join(dir, name))
	b.must(err)
	return name, content
}

// focus says what has the focus, as a person would name it.
func (b *tab) focus() string {
	b.Helper()
	return eval[string](b, `(() => { const e = document.activeElement; return e === document.body || !e ? "" : e.id ? "#" + e.id : (e.getAttribute("aria-label") || e.innerText || e.name || e.tagName).trim(); })()`)
}

var notOfName = regexp.MustCompile(`[^a-z0-9]+`)

// picture saves what is seen.
func (b *tab) picture(name string) {
	shot, err := chromedp.Call(b.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: new(true)})
	if err == nil {
		err = errors.Join(os.MkdirAll(*shots, 0o700), os.WriteFile(filepath.Join(*shots, notOfName.ReplaceAllString(strings.ToLower(name), "-")+".png"), shot.Data, 0o600))
	}
	if err != nil {
		b.Logf("picture of %s: %v", name, err)
	}
}

// A rig that hears nothing would find every page in order.
func TestTab_HearsComplaints(t *testing.T) {
	f := newOffice(t, officeOptions{})
	b := newTab(t, f.base, "en")
	for name, c := range map[string]struct{ script, want string }{
		"a console error":         {`console.error("of mine")`, "of mine"},
		"an exception":            {`setTimeout(() => { throw new Error("of mine") })`, "of mine"},
		"a script in markup":      {`document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='1'>")`, "policy violated"},
		"a style in markup":       {`document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>")`, "policy violated"},
		"something from afar":     {`document.body.appendChild(document.createElement("img")).src = "http://afar.example/"`, "policy violated"},
		"something not there":     {`fetch("/assets/0/nothing")`, "status of 404"},
		"a dialog":                {`setTimeout(() => alert("of mine"))`, "dialog: of mine"},
		"a rejected promise":      {`Promise.reject(new Error("of mine"))`, "of mine"},
		"a button by javascript:": {`Object.assign(document.body.appendChild(document.createElement("a")), {href: "javascript:1"}).click()`, "policy violated"},
	} {
		b.open("/signin")
		b.heard()
		b.must(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](c.script)))
		eventually(t, "a complaint of "+name, func() bool { return strings.Contains(strings.Join(b.heard(), "\n"), c.want) })
	}
	b.open("/signin")
	b.heard()
}
