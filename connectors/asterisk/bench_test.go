//go:build unix

package asterisk

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ivahaev/amigo"

	"calljournal/agent/call"
)

// BenchmarkAgainstAmigo sends the same recorded stream through a bare amigo that
// only counts, and through the connector: from the socket to the facts.
func BenchmarkAgainstAmigo(b *testing.B) {
	stream := recordedStream(b)
	events := bytes.Count(append([]byte("\n"), stream...), []byte("\nEvent: "))
	var bare, ours usage
	for b.Loop() {
		bare.add(bareAmigo(b, stream, events))
		ours.add(throughConnector(b, stream))
	}
	n := float64(events) * float64(b.N)
	b.ReportMetric(n/bare.wall.Seconds(), "amigo-events/s")
	b.ReportMetric(n/ours.wall.Seconds(), "events/s")
	b.ReportMetric(bare.wall.Seconds()/ours.wall.Seconds(), "times-amigo")
	b.ReportMetric(float64(bare.cpu)/float64(ours.cpu), "times-amigo-by-cpu")
	b.ReportMetric(float64(bare.cpu.Nanoseconds())/n, "amigo-cpu-ns/event")
	b.ReportMetric(float64(ours.cpu.Nanoseconds())/n, "cpu-ns/event")
}

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
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func bareAmigo(b *testing.B, stream []byte, events int) usage {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	host, port, _ := strings.Cut(listener.Addr().String(), ":")
	a := amigo.New(&amigo.Settings{Host: host, Port: port, Username: testUser, Password: testSecret, ReconnectInterval: time.Millisecond})
	connected, counted, running := make(chan struct{}), make(chan struct{}), make(chan struct{})
	count := 0
	a.RegisterDefaultHandler(func(map[string]string) {
		if count++; count == events {
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
	p := &peer{conn: conn}
	p.say("Asterisk Call Manager/11.0.0\n")
	conn.Read(make([]byte, 1000))
	p.say("Response: Success\nMessage: Authentication accepted\n\n")
	<-connected
	used := measure()
	if _, err := conn.Write(stream); err != nil {
		b.Fatal(err)
	}
	select {
	case <-counted:
	case <-time.After(time.Minute):
		b.Fatalf("amigo gave %d of %d events", count, events)
	}
	u := used()
	conn.Close()
	return u
}

func throughConnector(b *testing.B, stream []byte) usage {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	var used func() usage
	done := make(chan struct{})
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		p := newPeer(conn)
		if !p.login("") || !p.survey() {
			return
		}
		used = measure()
		conn.Write(stream)
		p.say("%s", hangup(999_999))
		p.stay()
	}()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	c := New(Config{Address: listener.Addr().String(), Username: testUser, Secret: testSecret})
	ended := make(chan error, 1)
	go func() {
		ended <- c.Run(ctx, 1, func(e call.Event) {
			if e.Leg == "1795376013.999999" {
				close(done)
			}
		})
	}()
	select {
	case <-done:
	case err := <-ended:
		b.Fatal(err)
	}
	u := used()
	stop()
	<-ended
	if s := c.Stats(); s.DroppedByQueue > 0 {
		b.Fatalf("%d messages lost", s.DroppedByQueue)
	}
	return u
}
