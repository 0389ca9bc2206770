package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Why a Line ended, for errors.Is. Everything else is the socket's own error.
var (
	// ErrSilent: nothing came for longer than a living line allows.
	ErrSilent = errors.New("the line is silent")
	// ErrNotSent: the PBX does not take what we send it.
	ErrNotSent = errors.New("the PBX takes nothing that is sent to it")
)

// Options is what a Line must know. Zero fields get the defaults given behind.
type Options struct {
	Counters   *Counters     // of the link; required
	QueueBytes int           // DefaultQueueBytes
	IdleAfter  time.Duration // 5 s without a byte: Ping is sent
	DeadAfter  time.Duration // 14 s without a byte: the line is dead, and known to be before 15 s are over
	Ping       []byte        // whatever makes this PBX answer
	SignIn     time.Duration // 10 s from NewLine to Start
	Recorder   Recorder      // sees the stream from Start on; may be nil
}

// Recorder is given what a link hears, chunk by chunk as it came off the socket,
// on the goroutine that reads, and by the connector what the stream alone does
// not say: it must not wait, and takes no hold of p. Tap is one.
type Recorder interface {
	Record(k ChunkKind, p []byte, seen int64)
}

// Line is one connection to a PBX, from signing in to its end. Its life:
//
//	NewLine ── ReadLine, Send: the sign-in ── Start ── Pump … ── Close
//
// From Start on one goroutine reads and waits for nothing but the socket: what
// the framer lets through goes into memory of a fixed size, and from there,
// by Pump, to the package.
type Line struct {
	conn   net.Conn
	o      Options
	ahead  []byte // read in the sign-in, not used yet
	q      *queue
	outbox chan []byte
	quit   chan struct{} // closed by Close
	once   sync.Once
	tasks  sync.WaitGroup
	detach func() bool
	begun  int64

	mu  sync.Mutex
	err error // why it ended: the first reason
}

// NewLine takes over conn. The line ends when ctx does; Close must be called in
// any case.
func NewLine(ctx context.Context, conn net.Conn, o Options) *Line {
	if o.IdleAfter == 0 {
		o.IdleAfter = 5 * time.Second
	}
	if o.DeadAfter == 0 {
		o.DeadAfter = 14 * time.Second
	}
	if o.SignIn == 0 {
		o.SignIn = 10 * time.Second
	}
	l := &Line{conn: conn, o: o, outbox: make(chan []byte, 64), quit: make(chan struct{})}
	conn.SetReadDeadline(time.Now().Add(o.SignIn))
	l.detach = context.AfterFunc(ctx, func() { l.fail(context.Cause(ctx)) })
	l.tasks.Go(l.write)
	return l
}

// ReadLine gives the next line of the sign-in without its end. With an error it
// gives what came of the line so far. Not to be called after Start.
func (l *Line) ReadLine() (string, error) {
	for from := 0; ; {
		if i := bytes.IndexByte(l.ahead[from:], '\n'); i >= 0 {
			line := l.ahead[:from+i]
			l.ahead = l.ahead[from+i+1:]
			return string(bytes.TrimSuffix(line, []byte("\r"))), nil
		}
		if from = len(l.ahead); from > MaxLine {
			return string(l.ahead[:64]), fmt.Errorf("a line of more than %d bytes", MaxLine)
		}
		buf := make([]byte, 4<<10)
		n, err := l.conn.Read(buf)
		l.ahead = append(l.ahead, buf[:n]...)
		if n > 0 {
			l.arrived(n, time.Now())
			continue
		}
		if err != nil {
			return string(l.ahead), l.reason(err)
		}
	}
}

// ReadFull fills p with what follows the last line read. Not to be called after
// Start.
func (l *Line) ReadFull(p []byte) error {
	n := copy(p, l.ahead)
	l.ahead = l.ahead[n:]
	if n == len(p) {
		return nil
	}
	m, err := io.ReadFull(l.conn, p[n:])
	l.arrived(m, time.Now())
	if err != nil {
		return l.reason(err)
	}
	return nil
}

// Send hands text to the goroutine that writes. It never waits: a PBX that has
// not taken the 64 texts before this one is as good as gone.
func (l *Line) Send(text []byte) error {
	select {
	case l.outbox <- text:
		return nil
	default:
		l.fail(ErrNotSent)
		return ErrNotSent
	}
}

func (l *Line) write() {
	for {
		select {
		case <-l.quit:
			return
		case text := <-l.outbox:
			l.conn.SetWriteDeadline(time.Now().Add(l.o.DeadAfter))
			if _, err := l.conn.Write(text); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					err = ErrNotSent
				}
				l.fail(err)
				return
			}
		}
	}
}

// Start ends the sign-in and begins to read. The bytes that the PBX sent in the
// same segment as its last answer are the first that f gets.
func (l *Line) Start(f Framer) {
	l.q = newQueue(l.o.QueueBytes, f.Gap, l.o.Counters)
	l.begun = time.Now().UnixMicro()
	l.record(Began, nil, l.begun)
	l.tasks.Go(func() {
		l.fail(l.read(f))
		l.record(Ended, []byte(l.Err().Error()), time.Now().UnixMicro())
		l.q.end(f.End(nil))
	})
}

func (l *Line) read(f Framer) error {
	take := func(p []byte, seen int64) {
		if l.o.Recorder != nil {
			l.o.Recorder.Record(Heard, p, seen)
		}
		f.Feed(p, seen, func(msg []byte) { l.q.push(msg, seen) })
		l.q.flush()
	}
	last := time.Now()
	if len(l.ahead) > 0 {
		take(l.ahead, last.UnixMicro())
		l.ahead = nil
	}
	buf := make([]byte, 64<<10)
	for pings := 0; ; {
		l.conn.SetReadDeadline(last.Add(min(time.Duration(pings+1)*l.o.IdleAfter, l.o.DeadAfter)))
		n, err := l.conn.Read(buf)
		if n > 0 {
			last, pings = time.Now(), 0
			l.arrived(n, last)
			take(buf[:n], last.UnixMicro())
		}
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case time.Since(last) >= l.o.DeadAfter:
			return fmt.Errorf("%w: nothing came for %v, not even an answer to a Ping", ErrSilent, l.o.DeadAfter)
		default:
			pings++
			if err := l.Send(l.o.Ping); err != nil {
				return err
			}
		}
	}
}

// Begun is when Start was called, in microseconds of the Unix epoch.
func (l *Line) Begun() int64 { return l.begun }

func (l *Line) record(k ChunkKind, p []byte, seen int64) {
	if l.o.Recorder != nil {
		l.o.Recorder.Record(k, p, seen)
	}
}

func (l *Line) arrived(n int, at time.Time) {
	l.o.Counters.Bytes.Add(uint64(n))
	l.o.Counters.LastByte.Store(at.UnixMicro())
}

// Pump writes what the framer let through to w, in order, and returns nil when
// the line has ended and all of it is written, the framer's End last. Else it
// returns w's error; the line then goes on reading, into the queue only.
func (l *Line) Pump(w io.Writer) error {
	var chunk []byte
	for {
		if chunk = l.q.pull(chunk); chunk == nil {
			return nil
		}
		if _, err := w.Write(chunk); err != nil {
			return err
		}
	}
}

// fail ends the line for a reason; only the first one counts.
func (l *Line) fail(err error) {
	l.mu.Lock()
	first := l.err == nil
	if first {
		l.err = err
	}
	l.mu.Unlock()
	if first {
		l.conn.Close()
	}
}

// reason is why the line ended, or err if that is the first that is known.
func (l *Line) reason(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	return err
}

// Err says why the line ended: the cause of its context, ErrSilent, or an error
// of the socket, io.EOF if the PBX closed it. Nil while it lives.
func (l *Line) Err() error { return l.reason(nil) }

// End ends the line as its context would. What was read stays for Pump.
func (l *Line) End(err error) { l.fail(err) }

// Close ends the line and returns when its goroutines have. Pump is not waited
// for: it has its caller.
func (l *Line) Close() {
	l.once.Do(func() {
		l.detach()
		l.fail(net.ErrClosed)
		close(l.quit)
	})
	l.tasks.Wait()
}
