package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines begins a Line whose PBX is the other end of a pipe.
func lines(ctx context.Context, o Options) (*Line, net.Conn) {
	ours, pbx := net.Pipe()
	if o.Counters == nil {
		o.Counters = new(Counters)
	}
	o.Ping = []byte("Action: Ping\r\n\r\n")
	return NewLine(ctx, ours, o), pbx
}

func TestLine_PingsThenGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, pbx := lines(t.Context(), Options{})
		defer pbx.Close()
		defer l.Close()
		var count Counters
		l.Start(NewAMI(nil, &count))
		began := time.Now()
		var at []time.Duration
		buf := make([]byte, 100)
		for {
			n, err := pbx.Read(buf)
			if err != nil {
				break
			}
			at = append(at, time.Since(began))
			if string(buf[:n]) != "Action: Ping\r\n\r\n" {
				t.Errorf("sent %q", buf[:n])
			}
			if len(at) == 2 {
				pbx.Write([]byte("Response: Success\r\n\r\n"))
			}
		}
		// An answer at 10 s, and nothing from then on.
		want := []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second}
		if len(at) != len(want) {
			t.Fatalf("Pings at %v, want %v", at, want)
		}
		for i := range at {
			if at[i] != want[i] {
				t.Errorf("Ping %d at %v, want %v", i, at[i], want[i])
			}
		}
		if err := l.Pump(io.Discard); err != nil || !errors.Is(l.Err(), ErrSilent) {
			t.Errorf("ended by %v, %v", err, l.Err())
		}
		if dead := time.Since(began) - 10*time.Second; dead > 15*time.Second {
			t.Errorf("noticed after %v", dead)
		}
	})
}

func TestLine_SignInHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, pbx := lines(t.Context(), Options{})
		defer pbx.Close()
		defer l.Close()
		go pbx.Write([]byte("Asterisk Call Man"))
		began := time.Now()
		got, err := l.ReadLine()
		if got != "Asterisk Call Man" || err == nil || time.Since(began) != 10*time.Second {
			t.Errorf("got %q, %v after %v", got, err, time.Since(began))
		}
	})
}

func TestLine_SignInThenStream(t *testing.T) {
	l, pbx := lines(t.Context(), Options{})
	defer pbx.Close()
	defer l.Close()
	go func() {
		pbx.Write([]byte("Asterisk\r\nHello\nabcEvent: Hangup\r\nCau"))
		pbx.Write([]byte("se: 1\r\n\r\n"))
		pbx.Close()
	}()
	for _, want := range []string{"Asterisk", "Hello"} {
		if got, err := l.ReadLine(); got != want || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	body := make([]byte, 3)
	if err := l.ReadFull(body); err != nil || string(body) != "abc" {
		t.Errorf("got %q, %v", body, err)
	}
	var count Counters
	l.Start(NewAMI(nil, &count))
	var got bytes.Buffer
	if err := l.Pump(&got); err != nil {
		t.Error(err)
	}
	text := got.String()
	if !strings.HasPrefix(text, "Event: Hangup\r\nCause: 1\r\nCJ-Seen: ") || !strings.HasSuffix(text, "\r\n\r\nEvent: CJ-End\r\n\r\n") {
		t.Errorf("pumped %q", text)
	}
	if !errors.Is(l.Err(), io.EOF) {
		t.Errorf("ended by %v", l.Err())
	}
}

// The PBX is never made to wait, however long the package takes nothing.
func TestLine_ReadsWhileNobodyTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := new(Counters)
		l, pbx := lines(t.Context(), Options{Counters: count, QueueBytes: 10_000})
		defer l.Close()
		l.Start(NewAMI(nil, count))
		door, stuck := net.Pipe() // nobody reads stuck
		var wg sync.WaitGroup
		wg.Go(func() { l.Pump(door) })
		event := []byte("Event: Hangup\r\nCause: " + strings.Repeat("x", 900) + "\r\n\r\n")
		for i := range 10_000 {
			if _, err := pbx.Write(event); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				synctest.Wait() // the pump has it in hand, and takes no more
			}
		}
		synctest.Wait()
		if time.Since(time.UnixMicro(count.LastByte.Load())) != 0 {
			t.Error("the PBX had to wait")
		}
		if lost := count.Lost.Load(); lost < 9_900 {
			t.Errorf("%d lost", lost)
		}
		if n := count.QueueBytes.Load(); n > 10_000 {
			t.Errorf("%d bytes in a queue of 10,000", n)
		}
		// Now somebody does: first what was kept, then the loss, then the end.
		pbx.Close()
		var text []byte
		for buf := make([]byte, 64<<10); !bytes.HasSuffix(text, []byte("Event: CJ-End\r\n\r\n")); {
			n, err := stuck.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, buf[:n]...)
		}
		wg.Wait()
		kept := strings.Count(string(text), "Event: Hangup")
		_, gap, ok := strings.Cut(string(text), "Event: CJ-Gap\r\n")
		if !ok || strings.Contains(gap, "Event: Hangup") || !strings.HasSuffix(gap, "Event: CJ-End\r\n\r\n") || kept == 0 {
			t.Errorf("%d kept, then %.300q", kept, gap)
		}
		if kept+int(count.Lost.Load()) != 10_000 {
			t.Errorf("%d kept and %d lost of 10,000", kept, count.Lost.Load())
		}
	})
}

func TestLine_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	l, pbx := lines(ctx, Options{})
	defer pbx.Close()
	defer l.Close()
	var count Counters
	l.Start(NewAMI(nil, &count))
	pbx.Write([]byte("Event: Hangup\r\n\r\n"))
	for count.Messages.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	why := errors.New("enough")
	cancel(why)
	var got bytes.Buffer
	if err := l.Pump(&got); err != nil || !strings.Contains(got.String(), "Hangup") || !strings.HasSuffix(got.String(), "CJ-End\r\n\r\n") {
		t.Errorf("pumped %q, %v", got.String(), err)
	}
	if l.Err() != why {
		t.Errorf("ended by %v", l.Err())
	}
}

func TestLine_PBXThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, pbx := lines(t.Context(), Options{})
		defer pbx.Close()
		defer l.Close()
		var count Counters
		l.Start(NewAMI(nil, &count))
		began := time.Now()
		l.Send([]byte("x"))
		var talking sync.WaitGroup
		talking.Go(func() {
			for {
				if _, err := pbx.Write([]byte("Event: Hangup\r\n\r\n")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		l.Pump(io.Discard)
		defer talking.Wait()
		if !errors.Is(l.Err(), ErrNotSent) || time.Since(began) > 15*time.Second {
			t.Errorf("ended by %v after %v", l.Err(), time.Since(began))
		}
	})
	l, pbx := lines(t.Context(), Options{})
	defer pbx.Close()
	defer l.Close()
	var err error
	for range 100 {
		if err = l.Send([]byte("x")); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrNotSent) {
		t.Errorf("a hundred texts wait: %v", err)
	}
}

func TestLine_Recorder(t *testing.T) {
	tap := NewTap(20)
	l, pbx := lines(t.Context(), Options{Recorder: tap})
	defer l.Close()
	go func() {
		for _, s := range []string{"login\nahead ", "0123456789", "skipped", "!"} {
			pbx.Write([]byte(s))
		}
		pbx.Close()
	}()
	if _, err := l.ReadLine(); err != nil {
		t.Fatal(err)
	}
	var count Counters
	l.Start(NewAMI(nil, &count))
	l.Pump(io.Discard)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var got strings.Builder
	var marks []ChunkKind
	for {
		c, err := tap.Next(ctx)
		if err != nil {
			break
		}
		if c.Seen == 0 {
			t.Error("no time")
		}
		if c.Kind != Heard {
			marks = append(marks, c.Kind)
			continue
		}
		got.WriteString(strings.Repeat("-", int(c.Skipped)))
		got.Write(c.Data)
	}
	if want := "ahead 0123456789" + strings.Repeat("-", len("skipped")) + "!"; got.String() != want {
		t.Errorf("recorded %q, want %q", got.String(), want)
	}
	if !slices.Equal(marks, []ChunkKind{Began, Ended}) {
		t.Errorf("marks %v, want the beginning and the end", marks)
	}
}

func TestTap_NeverWaits(t *testing.T) {
	tap := NewTap(10)
	for _, s := range []string{"12345", "67890", "lost", "x"} {
		tap.Record(Heard, []byte(s), 1)
	}
	if tap.Skipped() != 5 {
		t.Errorf("%d skipped", tap.Skipped())
	}
	for range 2 {
		tap.Next(t.Context())
	}
	tap.Record(Heard, []byte("y"), 2)
	if c, err := tap.Next(t.Context()); err != nil || c.Skipped != 5 || string(c.Data) != "y" || c.Seen != 2 {
		t.Errorf("got %+v, %v", c, err)
	}
}
