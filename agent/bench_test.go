//go:build unix

package agent_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ivahaev/amigo"

	"calljournal/agent"
	"calljournal/agent/config"
	"calljournal/connectors/replay"
	"calljournal/storage"
)

// BenchmarkSocketToCommit sends one recorded stream, as fast as it is taken, in
// turn to a bare amigo that only counts its events and to a whole daemon: link,
// tracker and a journal that syncs every commit. The daemon's time ends when the
// record of the last call in the stream is on disk.
func BenchmarkSocketToCommit(b *testing.B) {
	s := recordedAMI(b)
	var bare, ours usage
	var calls, commits int
	for b.Loop() {
		bare.add(throughAmigo(b, s))
		u, w := throughDaemon(b, s)
		ours.add(u)
		calls, commits = calls+w.calls, commits+w.commits
	}
	n := float64(s.events) * float64(b.N)
	b.ReportMetric(n/bare.wall.Seconds(), "amigo-events/s")
	b.ReportMetric(n/ours.wall.Seconds(), "events/s")
	b.ReportMetric(bare.wall.Seconds()/ours.wall.Seconds(), "times-amigo")
	b.ReportMetric(float64(bare.cpu)/float64(ours.cpu), "times-amigo-by-cpu")
	b.ReportMetric(float64(bare.cpu.Nanoseconds())/n, "amigo-cpu-ns/event")
	b.ReportMetric(float64(ours.cpu.Nanoseconds())/n, "cpu-ns/event")
	b.ReportMetric(float64(calls)/float64(b.N), "calls")
	b.ReportMetric(float64(commits)/float64(b.N), "commits")
}

// loadStream is what an all-classes user got from a real PBX at 30 calls a
// second. It is too long to live in the project; without it the recordings that
// do are taken, one after the other.
const loadStream = "../../shared/pbx/scenarios/asterisk/load_30cps/stream.ami.gz"

// lastCall is the leg, and so the call, whose record tells that all is committed.
const lastCall = "1999999999.1"

// amiStream is everything that a PBX says after its greeting.
type amiStream struct {
	bytes       []byte
	events      int
	first, last string // stamps
}

func recordedAMI(b *testing.B) amiStream {
	b.Helper()
	var s amiStream
	if packed, err := os.Open(loadStream); err == nil {
		defer packed.Close()
		r, err := gzip.NewReader(packed)
		if err != nil {
			b.Fatal(err)
		}
		if s.bytes, err = io.ReadAll(r); err != nil {
			b.Fatal(err)
		}
		_, s.bytes, _ = bytes.Cut(s.bytes, []byte("\r\n"))
	} else {
		for _, r := range recordings(b, replay.Asterisk) {
			for _, m := range r.Messages() {
				s.bytes = append(s.bytes, m.Raw...)
			}
		}
	}
	stamp := []byte("\r\nTimestamp: ")
	for _, at := range []struct {
		where int
		to    *string
	}{{bytes.Index(s.bytes, stamp), &s.first}, {bytes.LastIndex(s.bytes, stamp), &s.last}} {
		if at.where < 0 {
			b.Fatal("the stream has no stamps")
		}
		text, _, _ := bytes.Cut(s.bytes[at.where+len(stamp):], []byte("\r\n"))
		*at.to = string(text)
	}
	s.bytes = append(s.bytes, lines(`Event: Newchannel
Privilege: call,all
Timestamp: %[1]s
Channel: PJSIP/101-7fffffff
ChannelState: 4
ChannelStateDesc: Ring
CallerIDNum: 101
Context: internal
Exten: 102
Priority: 1
Uniqueid: %[2]s
Linkedid: %[2]s

Event: Hangup
Privilege: call,all
Timestamp: %[1]s
Channel: PJSIP/101-7fffffff
Uniqueid: %[2]s
Linkedid: %[2]s
Cause: 16
Cause-txt: Normal Clearing

`, s.last, lastCall)...)
	s.events = bytes.Count(s.bytes, []byte("\nEvent: "))
	return s
}

// lines is text as a PBX writes it.
func lines(format string, args ...any) string {
	return strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n")
}

// usage is what some work took.
type usage struct{ wall, cpu time.Duration }

func (u *usage) add(v usage) { u.wall += v.wall; u.cpu += v.cpu }

// measure gives what has been used since it was called.
func measure() func() usage {
	runtime.GC()
	cpu, began := cpuTime(), time.Now()
	return func() usage { return usage{time.Since(began), cpuTime() - cpu} }
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// within bounds one run, which takes about a second.
const within = time.Minute

func throughAmigo(b *testing.B, s amiStream) usage {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	host, port, _ := strings.Cut(listener.Addr().String(), ":")
	a := amigo.New(&amigo.Settings{Host: host, Port: port, Username: "u", Password: "s", ReconnectInterval: time.Millisecond})
	connected, counted, running := make(chan struct{}), make(chan struct{}), make(chan struct{})
	count := 0
	a.RegisterDefaultHandler(func(map[string]string) {
		if count++; count == s.events {
			close(counted)
		}
	})
	var once sync.Once
	a.On("connect", func(string) { once.Do(func() { close(connected) }) })
	a.On("error", func(what string) {
		if what == "AMI Reconnect failed" {
			<-running
			a.Close()
		}
	})
	a.Connect()
	close(running)
	conn, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	listener.Close()
	defer conn.Close()
	_, _ = io.WriteString(conn, "Asterisk Call Manager/11.0.0\r\n")
	_, _ = conn.Read(make([]byte, 1000))
	_, _ = io.WriteString(conn, "Response: Success\r\nMessage: Authentication accepted\r\n\r\n")
	<-connected
	used := measure()
	if _, err := conn.Write(s.bytes); err != nil {
		b.Fatal(err)
	}
	select {
	case <-counted:
	case <-time.After(within):
		b.Fatalf("amigo gave fewer than %d events", s.events)
	}
	return used()
}

// awaited is a journal that tells when the last call is on disk.
type awaited struct {
	*storage.DB
	calls, commits int // the committing goroutine's until done is closed
	done           chan struct{}
}

func (w *awaited) Commit(batch *storage.Batch) error {
	if err := w.DB.Commit(batch); err != nil {
		return err
	}
	select {
	case <-w.done:
		return nil
	default:
	}
	w.commits++
	for _, e := range batch.Entries {
		if e.Op != storage.OpCall {
			continue
		}
		w.calls++
		if strings.HasSuffix(e.Call.ID, lastCall) {
			close(w.done)
			return nil
		}
	}
	return nil
}

func throughDaemon(b *testing.B, s amiStream) (usage, *awaited) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	c, err := config.Parse("bench.toml", fmt.Appendf(nil, "[http]\nlisten = \"\"\n[[pbx]]\nname = \"main\"\nkind = \"asterisk\"\naddress = %q\nusername = \"u\"\nsecret = \"s\"\n",
		listener.Addr()), config.OSEnv())
	if err != nil {
		b.Fatal(err)
	}
	c.Agent.DataDir, c.Agent.Socket = filepath.Join(b.TempDir(), "data"), ""
	w := &awaited{done: make(chan struct{})}
	a, err := agent.New(agent.Options{
		Config: c, Logger: slog.New(slog.DiscardHandler),
		Store: func(path string, o storage.Options) (agent.Store, error) {
			w.DB, err = storage.Open(path, o)
			return w, err
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	conn, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	pbx := bufio.NewScanner(conn)
	_, _ = io.WriteString(conn, "Asterisk Call Manager/11.0.0\r\n")
	answer(conn, pbx, s, "CoreShowChannels")
	used := measure()
	if _, err := conn.Write(s.bytes); err != nil {
		b.Fatal(err)
	}
	go answer(conn, pbx, s, "")
	select {
	case <-w.done:
	case err := <-ended:
		b.Fatalf("the daemon ended: %v", err)
	case <-time.After(within):
		b.Fatal("the last call is not recorded")
	}
	u := used()
	st, err := a.Status(ctx)
	if err != nil {
		b.Fatal(err)
	}
	if l := st.Links[0]; l.Dropped > 0 || l.Session != 1 {
		b.Fatalf("not the whole stream was taken in: %+v", l)
	}
	stop()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	return u, w
}

// answer lets the daemon in and answers that nothing is going on, up to the
// action last, or until it has gone.
func answer(conn net.Conn, pbx *bufio.Scanner, s amiStream, last string) {
	action, id := "", ""
	for pbx.Scan() {
		if text := pbx.Text(); text != "" {
			switch name, value, _ := strings.Cut(text, ": "); name {
			case "Action":
				action = value
			case "ActionID":
				id = value
			}
			continue
		}
		more := ""
		switch action {
		case "Challenge":
			more = "Challenge: 840415273\n"
		case "Ping":
			more = "Ping: Pong\nTimestamp: " + s.first + "\n"
		case "QueueStatus", "ParkedCalls", "BridgeList", "Status", "CoreShowChannels":
			more = "EventList: start\n\nEvent: " + action + "Complete\nActionID: " + id + "\nEventList: Complete\nListItems: 0\n"
		}
		if _, err := io.WriteString(conn, lines("Response: Success\nActionID: %s\n%s\n", id, more)); err != nil || action == last {
			return
		}
	}
}
