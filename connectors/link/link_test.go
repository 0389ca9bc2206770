package link

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors"
	"calljournal/connectors/wire"
)

func TestSession_NumbersWhatIsSent(t *testing.T) {
	l := New(Config{})
	var got []call.Event
	emit := func(e call.Event) { got = append(got, e) }
	for number := uint64(1); number <= 2; number++ {
		got = nil
		s := l.Session(number, nil, 1, emit)
		for _, leg := range []call.LegID{"a", "b", "c"} {
			s.Send(call.Event{Kind: call.LegCreated, Leg: leg, Session: 99, Seq: 99})
		}
		for i, e := range got {
			if e.Session != number || e.Seq != uint64(i+1) {
				t.Errorf("fact %d of session %d has the number %d.%d", i+1, number, e.Session, e.Seq)
			}
		}
		if sent := l.Stats().Events; sent != 3*number {
			t.Errorf("%d facts are counted after session %d", sent, number)
		}
	}
}

// TestSession_Compare: a leg that the PBX does not list twice in a row is lost,
// since the list that agreed.
func TestSession_Compare(t *testing.T) {
	s := New(Config{}).Session(1, nil, 1, func(call.Event) {})
	s.Send(call.Event{Kind: call.LegCreated, Leg: "a"})
	if _, lost := s.Compare([]call.LegID{"a"}, 10); lost {
		t.Error("lost, though list and facts agree")
	}
	if _, lost := s.Compare(nil, 20); lost {
		t.Error("lost the first time")
	}
	s.Seen = 31
	loss, lost := s.Compare(nil, 30)
	if !lost || loss.Kind != call.LinkGap || loss.From != 10 || loss.At != 30 || loss.Seen != 31 {
		t.Errorf("%v %+v", lost, loss)
	}
}

func TestSession_NextAudit(t *testing.T) {
	l := New(Config{})
	at := call.MomentOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	s := l.Session(1, nil, at, nil)
	for range 1000 {
		if d := s.NextAudit().Sub(at.Time()); d < connectors.AuditEvery*5/6 || d > connectors.AuditEvery*7/6 {
			t.Fatalf("the next audit of a recorded session is %v after its last message", d)
		}
	}
}

func TestLink_Warn(t *testing.T) {
	var log strings.Builder
	l := New(Config{Name: "main", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	l.Warn("b", "two")
	l.Warn("a", "one")
	l.Warn("a", "one")
	if got := l.Stats().Warnings; !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("warnings %q", got)
	}
	if said := strings.Count(log.String(), "advice=one"); said != 1 || !strings.Contains(log.String(), "source=main") {
		t.Errorf("said %d times:\n%s", said, log.String())
	}
	l.Warn("a", "")
	if got := l.Stats().Warnings; !slices.Equal(got, []string{"two"}) {
		t.Errorf("warnings %q after one was taken back", got)
	}
}

func TestLink_Lost(t *testing.T) {
	l := New(Config{Address: "pbx:5038"})
	for _, test := range []struct {
		err  error
		op   string
		dead bool
	}{
		{wire.ErrSilent, "read", true},
		{wire.ErrNotSent, "ask", true},
		{errors.New("reset"), "read", false},
	} {
		err := l.Lost(test.err)
		var e *connectors.LinkError
		if !errors.As(err, &e) || e.Op != test.op || e.Address != "pbx:5038" || !errors.Is(err, test.err) || errors.Is(err, connectors.ErrLineDead) != test.dead || (e.Hint != "") != test.dead {
			t.Errorf("%v: %v", test.err, err)
		}
	}
}

func TestLink_NotGreeted(t *testing.T) {
	l := New(Config{Address: "pbx:5038"})
	g := Greeting{Port: "is this the port?", Other: "a FreeSWITCH event socket", Kind: "freeswitch", Closed: "is it enabled?"}
	for _, test := range []struct {
		first string
		err   error
		is    error
		hint  string
	}{
		{"Content-Type: auth/request", nil, connectors.ErrNotAPBX, `this looks like a FreeSWITCH event socket: set kind = "freeswitch"`},
		{"\x15\x03\x01", nil, connectors.ErrNotAPBX, "this looks like a TLS port: set tls = true"},
		{"HTTP/1.1 400 Bad Request", nil, connectors.ErrNotAPBX, "this looks like a web server: is this the port?"},
		{"hello", nil, connectors.ErrNotAPBX, "is this the port?"},
		{"", os.ErrDeadlineExceeded, connectors.ErrNotAPBX, "a TLS port waits for the client to begin: if this is one, set tls = true"},
		{"", io.EOF, connectors.ErrUnreachable, "is it enabled?"},
		{"", errors.New("reset"), connectors.ErrUnreachable, ""},
	} {
		err := l.NotGreeted(g, []byte(test.first), test.err)
		var e *connectors.LinkError
		if !errors.As(err, &e) || !errors.Is(err, test.is) || e.Op != "greet" || e.Address != "pbx:5038" || e.Hint != test.hint {
			t.Errorf("%q, %v: %v", test.first, test.err, err)
		}
	}
}

// TestLink_CheckSecret: no part of the sign-in may begin a command of its own.
func TestLink_CheckSecret(t *testing.T) {
	for secret, ok := range map[string]bool{"s3cret: of \t the test": true, "a\r": false, "a\nb": false, "\x00": false} {
		for _, c := range []Config{{Secret: secret}, {Username: secret}} {
			if err := New(c).CheckSecret(); (err == nil) != ok || err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%q: %v", secret, err)
			}
		}
	}
}

// TestLink_Reread: which chunks of a recording are heeded, of which session they
// are, and how late it is.
func TestLink_Reread(t *testing.T) {
	middle := []byte("the session was under way")
	l := New(Config{})
	for i, step := range []struct {
		chunk wire.Chunk
		ok    bool
		want  Chunk // but for the chunk itself
	}{
		{wire.Chunk{Kind: wire.Heard, Seen: 1, Data: []byte("of no session")}, false, Chunk{}},
		{wire.Chunk{Kind: wire.Began, Seen: 2, Data: middle}, true, Chunk{Session: 1, First: true, Middle: true, At: 2}},
		{wire.Chunk{Kind: wire.Heard, Data: []byte("12345")}, true, Chunk{Session: 1, At: 2}},
		{wire.Chunk{Kind: wire.Began, Seen: 3, Data: middle}, false, Chunk{}}, // the next file
		{wire.Chunk{Kind: wire.Heard, Seen: 4, Data: []byte("678")}, true, Chunk{Session: 1, At: 4}},
		{wire.Chunk{Kind: wire.Ended, Seen: 5}, true, Chunk{Session: 1, At: 5}},
		{wire.Chunk{Kind: wire.Heard, Seen: 6, Data: []byte("of no session")}, false, Chunk{}},
		{wire.Chunk{Kind: wire.Began}, true, Chunk{Session: 2, First: true}},
		{wire.Chunk{Kind: wire.Began, Seen: 7}, true, Chunk{Session: 3, First: true, At: 7}}, // the one before has no end
	} {
		got, ok := l.Reread(step.chunk)
		got.Chunk = wire.Chunk{}
		if ok != step.ok || got.Session != step.want.Session || got.First != step.want.First || got.Middle != step.want.Middle || got.At != step.want.At {
			t.Errorf("step %d: %v %+v, want %v %+v", i, ok, got, step.ok, step.want)
		}
	}
	if s := l.Stats(); s.Bytes != 8 || s.LastByteAt != 4 {
		t.Errorf("%d bytes, the last at %d", s.Bytes, s.LastByteAt)
	}
}
