package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"calljournal/agent/config"
	"calljournal/connectors/replay"
	"calljournal/connectors/wire"
	"calljournal/packaging"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"calljournal": main})
}

// The scripts in testdata/script run the real program. Besides testscript's own
// commands they have:
//
//	exits N PROGRAM ARGS...   runs it; the exit code must be N
//	expand FILE               puts environment variables into a file
//	recording NAME FILE       writes the stream of a recording
//	pbx NAME                  starts an Asterisk that plays a recording, at $PBX
//	fetch TOKEN RANGE URL     asks over HTTP for a range of bytes and prints them;
//	                          fails unless the answer is a part
//	await N REGEXP PROGRAM ARGS...
//	                          runs it until it exits with N and prints REGEXP
//	send TERM|HUP             to what runs in the background
//	damage FILE end|middle    takes the last bytes away, or makes one a hash
//	remember NAME REGEXP      makes a variable of what the first group matches in
//	                          the last output
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("PORT", strconv.Itoa(freePort()))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "expand": expand, "recording": recording, "pbx": startPBX, "await": await, "remember": remember, "send": send, "damage": damage, "fetch": fetch,
		},
	})
}

func damage(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: damage FILE end|middle")
	}
	b := []byte(ts.ReadFile(args[0]))
	if args[1] == "end" {
		b = b[:len(b)-10]
	} else {
		b[len(b)/2] = '#'
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// freePort is one that stays free until the daemon is there: the ports that
// systems give out by themselves, to whatever runs beside this test, are others.
func freePort() int {
	const first, ports = 20_000, 12_000
	for range ports {
		port := first + (os.Getpid()*100+int(triedPorts.Add(1)))%ports
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			l.Close()
			return port
		}
	}
	return 0
}

var triedPorts atomic.Int64

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N PROGRAM ARGS...")
	}
	if code := exitCode(ts, args[1:]); strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func exitCode(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

func find(ts *testscript.TestScript, name string) *replay.Recording {
	all, err := replay.OpenArchive(filepath.Join("..", "..", "connectors", "replay", "testdata", "asterisk.tar.zst"))
	ts.Check(err)
	for _, r := range all {
		if r.Name == name {
			return r
		}
	}
	ts.Fatalf("there is no recording %s", name)
	return nil
}

func recording(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: recording NAME FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), find(ts, args[0]).Stream, 0o600))
}

func startPBX(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: pbx NAME")
	}
	s, err := replay.Listen(replay.Asterisk, replay.Once(find(ts, args[0])), replay.Options{User: "calljournal", Secret: "of-the-pbx", Unpaced: true})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ts.Defer(func() {
		cancel()
		<-done
	})
	ts.Setenv("PBX", s.Addr())
}

// awaitWithin is for a machine that is busy with other tests.
const awaitWithin = 30 * time.Second

func await(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: await N REGEXP PROGRAM ARGS...")
	}
	want := regexp.MustCompile(args[1])
	for deadline := time.Now().Add(awaitWithin); ; time.Sleep(50 * time.Millisecond) {
		code := exitCode(ts, args[2:])
		if strconv.Itoa(code) == args[0] && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: exit code %d", strings.Join(args, " "), code)
		}
	}
}

func send(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}
	if len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: send TERM|HUP")
	}
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(signals[args[0]]))
	}
}

func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: fetch TOKEN RANGE URL")
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, args[2], nil)
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+args[0])
	req.Header.Set("Range", "bytes="+args[1])
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	ts.Check(err)
	if (resp.StatusCode == http.StatusPartialContent) == neg {
		ts.Fatalf("%s: %s: %s", args[2], resp.Status, body)
	}
	fmt.Fprintf(ts.Stdout(), "%s\n", body)
}

func remember(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: remember NAME REGEXP")
	}
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("no match for %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

func TestUnitText(t *testing.T) {
	same, err := unitText(packaging.Unit, "run", packaging.UnitConfig, packaging.UnitProgram, packaging.UnitConfig)
	if err != nil || same != packaging.Unit {
		t.Errorf("the packaged paths change the unit: %v", err)
	}
	other, err := unitText(packaging.Unit, "run", packaging.UnitConfig, "/opt/cj/calljournal", "/opt/cj/c.toml")
	if err != nil || !strings.Contains(other, "\nExecStart=/opt/cj/calljournal run --config /opt/cj/c.toml\n") {
		t.Errorf("%v:\n%s", err, other)
	}
	centre, err := unitText(packaging.CollectUnit, "collect", packaging.CollectConfig, "/opt/cj/calljournal", "/opt/cj/c.toml")
	if err != nil || !strings.Contains(centre, "\nExecStart=/opt/cj/calljournal collect --config /opt/cj/c.toml\n") {
		t.Errorf("%v:\n%s", err, centre)
	}
	for _, bad := range []string{"/opt/a b", "/opt/a\nExecStart=/bin/sh", "/opt/%h", "/opt/{{.Path}}", `/opt/"x"`} {
		if text, err := unitText(packaging.Unit, "run", packaging.UnitConfig, bad, "/etc/c.toml"); err == nil {
			t.Errorf("%q is in the unit:\n%s", bad, text)
		}
	}
}

func TestCredentialsText(t *testing.T) {
	c := &config.Config{Path: "/etc/calljournal/calljournal.toml"}
	if text, err := credentialsText(c.SecretFiles()); err != nil || text != "" {
		t.Errorf("no secrets: %q, %v", text, err)
	}
	c.PBX = []config.PBX{{SecretFile: "/etc/calljournal/ami.secret"}, {SecretFile: "/etc/calljournal/ami.secret"}}
	c.HTTP.Token = []config.Token{{TokenFile: "central.token"}}
	text, err := credentialsText(c.SecretFiles())
	want := "[Service]\nLoadCredential=ami.secret:/etc/calljournal/ami.secret\nLoadCredential=central.token:/etc/calljournal/central.token\n"
	if err != nil || !strings.HasSuffix(text, want) {
		t.Errorf("%q, %v", text, err)
	}
	c.HTTP.Token[0].TokenFile = "/etc/other/ami.secret"
	if text, err := credentialsText(c.SecretFiles()); err == nil {
		t.Errorf("two files of one name: %q", text)
	}
	c.HTTP.Token[0].TokenFile = "/etc/other/x\nExecStart=/bin/sh"
	if text, err := credentialsText(c.SecretFiles()); err == nil {
		t.Errorf("a line end in a path: %q", text)
	}
}

// What comes from outside must not reach a terminal as anything but text.
func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"Анна":                    "Анна",
		"\x1b]0;owned\a":          "·]0;owned·",
		"a\r\nb":                  "a··b",
		"\u202eevil":              "·evil",
		"zero\u200bwidth":         "zero·width",
		"bad \xff byte":           "bad · byte",
		"<script>":                "<script>",
		"tab\tand \u0085 newline": "tab·and · newline",
	} {
		if got := plain(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := short(strings.Repeat("я", 100), 10); got != strings.Repeat("я", 9)+"…" {
		t.Errorf("short: %q", got)
	}
}

// Formulas from outside are disarmed, numbers in international form too.
func TestCell(t *testing.T) {
	for in, want := range map[string]string{
		"Anna": "Anna", "": "", "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0", "+79161234567": "'+79161234567", "-1": "'-1", "@x": "'@x", "\tx": "'\tx",
	} {
		if got := cell(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestTable_WideAndCombining(t *testing.T) {
	text := tableText([]string{"NAME", "N"}, [][]string{{"Анна", "1"}, {"日本", "2"}, {"e\u0301", "3"}, {"x", "4"}})
	lines := strings.Split(text, "\n")
	if len(lines) != 5 {
		t.Fatalf("%q", text)
	}
	for i, want := range []string{"NAME  N", "Анна  1", "日本  2", "e\u0301     3", "x     4"} {
		if got := strings.TrimSpace(stripEscapes(lines[i])); got != want {
			t.Errorf("line %d: %q, want %q", i, got, want)
		}
	}
}

func stripEscapes(s string) string {
	for {
		a := strings.Index(s, "\x1b[")
		if a < 0 {
			return s
		}
		b := strings.IndexByte(s[a:], 'm')
		if b < 0 {
			return s
		}
		s = s[:a] + s[a+b+1:]
	}
}

// What the daemon is told is what was written, so that the hours are its own.
func TestReadTime(t *testing.T) {
	zone := time.FixedZone("east", 3*60*60)
	for text, want := range map[string]string{
		"2026-01-31": "2026-01-31T00:00:00+03:00", "2026-01-31T09:00": "2026-01-31T09:00:00+03:00", "2026-01-31T09:00:00Z": "2026-01-31T09:00:00Z",
		"2026-01-31T09:00:00.5+03:00": "2026-01-31T09:00:00.5+03:00", "2026-01-31T09:00:30": "2026-01-31T09:00:30+03:00",
		"2026-10-25T08:00+01:00": "2026-10-25T08:00:00+01:00", "2026-11-23T19:00Z": "2026-11-23T19:00:00Z", "2026-11": "2026-11-01T00:00:00+03:00",
	} {
		told, at, err := readTime(text, zone)
		if err != nil || told != text || at.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %v, told as %q, %v; want %s", text, at, told, err, want)
		}
	}
	if told, _, err := readTime("2026-01-31 09:00:30", zone); err != nil || told != "2026-01-31T09:00:30" {
		t.Errorf("as a table prints it: %q, %v", told, err)
	}
	today, midnight, err := readTime("today", zone)
	if err != nil || today != midnight.Format(time.DateOnly) || time.Since(midnight) > 25*time.Hour {
		t.Errorf("today is %q, %v, %v", today, midnight, err)
	}
	yesterday, before, err := readTime("yesterday", zone)
	if err != nil || yesterday != before.Format(time.DateOnly) || before.After(midnight) {
		t.Errorf("yesterday is %q, %v, %v", yesterday, before, err)
	}
	for _, bad := range []string{"", "soon", "31.01.2026", "2026-02-30"} {
		if told, _, err := readTime(bad, zone); err == nil {
			t.Errorf("%q is %s", bad, told)
		}
	}
}

// With one link the limit is what the daemon is meant to take for a million calls.
func TestMemoryLimit(t *testing.T) {
	if one, two := memoryLimit(1), memoryLimit(2); one != 256<<20 || two-one != wire.DefaultQueueBytes {
		t.Errorf("%d for one link, %d for two", one, two)
	}
}
