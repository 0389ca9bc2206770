package asterisk

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"calljournal/agent/call"
)

const (
	testUser   = "calljournal"
	testSecret = "s3cret-of-the-pbx"
)

// serve runs an Asterisk that behaves as the script says, one connection after
// the other, until the test ends. It gives its address.
func serve(t *testing.T, script func(p *peer)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, script)
	return l.Addr().String()
}

func serveOn(t *testing.T, l net.Listener, script func(p *peer)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	wg.Go(func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			wg.Go(func() {
				p := newPeer(conn)
				p.n = n
				script(p)
				conn.Close()
				mu.Lock()
				delete(open, conn)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// peer is the PBX's end of one connection.
type peer struct {
	conn net.Conn
	in   *bufio.Scanner
	n    int // how many connections there were, with this one
	chop int // write in pieces of so many bytes

	denied   []string          // actions
	started  string            // CoreStartupDate and -Time
	channels []string          // CoreShowChannel items without Event and ActionID
	statuses []string          // the same of Status
	extra    map[string]string // whole answers by action, in the place of the usual ones

	asked   []map[string]string
	written int // bytes
}

func newPeer(conn net.Conn) *peer { return &peer{conn: conn, in: bufio.NewScanner(conn)} }

// say writes lines; LF becomes CR LF.
func (p *peer) say(format string, args ...any) {
	p.raw([]byte(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n")))
}

func (p *peer) raw(b []byte) {
	p.written += len(b)
	if p.chop == 0 {
		p.conn.Write(b)
		return
	}
	for piece := range slices.Chunk(b, p.chop) {
		p.conn.Write(piece)
	}
}

// action reads the client's next action; nil when it has gone.
func (p *peer) action() map[string]string {
	a := make(map[string]string)
	for p.in.Scan() {
		if p.in.Text() == "" {
			p.asked = append(p.asked, a)
			return a
		}
		name, value, _ := strings.Cut(p.in.Text(), ": ")
		a[name] = value
	}
	return nil
}

// login lets the client in and says more in one segment with the answer.
func (p *peer) login(more string) bool {
	p.say("Asterisk Call Manager/11.0.0\n")
	for a := p.action(); a != nil; a = p.action() {
		switch {
		case a["Action"] == "Challenge" && !slices.Contains(p.denied, "Challenge"):
			p.say("Response: Success\nActionID: %s\nChallenge: 840415273\n\n", a["ActionID"])
		case a["Action"] == "Login" && p.admits(a):
			p.say("Response: Success\nActionID: %s\nMessage: Authentication accepted\n\n%s", a["ActionID"], more)
			return true
		case a["Action"] == "Login":
			p.say("Response: Error\nActionID: %s\nMessage: Authentication failed\n\n", a["ActionID"])
			return false
		default:
			p.say("Response: Error\nActionID: %s\nMessage: Permission denied\n\n", a["ActionID"])
		}
	}
	return false
}

func (p *peer) admits(a map[string]string) bool {
	key := md5.Sum([]byte("840415273" + testSecret))
	return a["Username"] == testUser && (a["Secret"] == testSecret || a["Key"] == hex.EncodeToString(key[:]))
}

// survey answers the client's questions up to the last one.
func (p *peer) survey() bool {
	for a := p.action(); a != nil; a = p.action() {
		p.answer(a)
		if a["Action"] == "CoreShowChannels" {
			return true
		}
	}
	return false
}

// stay answers everything until the client has gone.
func (p *peer) stay() {
	for a := p.action(); a != nil; a = p.action() {
		p.answer(a)
	}
}

func (p *peer) answer(a map[string]string) {
	id := a["ActionID"]
	list := func(event string, items []string) {
		p.say("Response: Success\nActionID: %s\nEventList: start\nMessage: will follow\n\n", id)
		for _, item := range items {
			p.say("Event: %s\nActionID: %s\n%s\n\n", event, id, item)
		}
		p.say("Event: %sComplete\nActionID: %s\nEventList: Complete\nListItems: %d\n\n", a["Action"], id, len(items))
	}
	if slices.Contains(p.denied, a["Action"]) {
		p.say("Response: Error\nActionID: %s\nMessage: Permission denied\n\n", id)
		return
	}
	if text, ok := p.extra[a["Action"]]; ok {
		p.say("%s", strings.ReplaceAll(text, "$ID", id))
		return
	}
	switch a["Action"] {
	case "CoreSettings":
		p.say("Response: Success\nActionID: %s\nAMIversion: 11.0.0\nAsteriskVersion: 22.10.1\n\n", id)
	case "CoreStatus":
		day, clock, _ := strings.Cut(p.started, " ")
		p.say("Response: Success\nActionID: %s\nCoreStartupDate: %s\nCoreStartupTime: %s\n\n", id, day, clock)
	case "ListCommands":
		p.say("Response: Success\nActionID: %s\nPing: Keepalive command.  (Priv: <none>)\n\n", id)
	case "Ping":
		p.say("Response: Success\nActionID: %s\nPing: Pong\nTimestamp: %.6f\n\n", id, float64(time.Now().UnixMicro())/1e6)
	case "CoreShowChannels":
		list("CoreShowChannel", p.channels)
	case "Status":
		list("Status", p.statuses)
	case "BridgeList", "QueueStatus", "ParkedCalls":
		list(a["Action"]+"Item", nil)
	default:
		p.say("Response: Error\nActionID: %s\nMessage: Invalid/unknown command\n\n", id)
	}
}

// hangup is an event that states one fact, told apart by n.
func hangup(n int) string {
	return fmt.Sprintf("Event: Hangup\nPrivilege: call,all\nTimestamp: 1795376013.%06d\nChannel: PJSIP/101-%08x\nUniqueid: 1795376013.%d\nLinkedid: 1795376013.%d\nCause: 16\nCause-txt: Normal Clearing\n\n", n%1_000_000, n, n, n)
}

// watched runs a Connector in the background and collects what it emits.
type watched struct {
	*Connector
	stop   context.CancelFunc
	facts  chan call.Event
	ended  chan struct{}
	err    error
	number uint64
}

func connect(t *testing.T, cfg Config) *watched {
	t.Helper()
	l := newLink(t, cfg)
	l.run(t, func(e call.Event) { l.facts <- e })
	return l
}

func newLink(t *testing.T, cfg Config) *watched {
	cfg.Name = "main"
	if cfg.Username == "" {
		cfg.Username = testUser
	}
	if cfg.Secret == "" {
		cfg.Secret = testSecret
	}
	return &watched{Connector: New(cfg), facts: make(chan call.Event, 1<<16)}
}

// run begins the next session.
func (l *watched) run(t *testing.T, emit func(call.Event)) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.ended, l.err = stop, make(chan struct{}), nil
	l.number++
	go func() {
		defer close(l.ended)
		l.err = l.Run(ctx, l.number, emit)
	}()
	ended := l.ended
	t.Cleanup(func() { stop(); <-ended })
}

// wait gives the session's error when it has ended.
func (l *watched) wait(t *testing.T) error {
	t.Helper()
	select {
	case <-l.ended:
		return l.err
	case <-time.After(30 * time.Second):
		t.Fatal("the session does not end")
		return nil
	}
}

// next gives the next fact.
func (l *watched) next(t *testing.T) call.Event {
	t.Helper()
	select {
	case e := <-l.facts:
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no fact comes")
	case <-l.ended:
		select {
		case e := <-l.facts:
			return e
		default:
		}
		t.Fatalf("the session has ended: %v", l.err)
	}
	return call.Event{}
}

// until gives the facts up to the first of a kind.
func (l *watched) until(t *testing.T, kind call.Kind) []call.Event {
	t.Helper()
	var all []call.Event
	for {
		e := l.next(t)
		all = append(all, e)
		if e.Kind == kind {
			return all
		}
	}
}

// eventually waits for something that another goroutine brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never came: " + what)
		}
	}
}

func kinds(facts []call.Event) []call.Kind {
	var all []call.Kind
	for _, e := range facts {
		all = append(all, e.Kind)
	}
	return all
}
