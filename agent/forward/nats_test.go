package forward

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"calljournal/agent/call"
	"calljournal/storage"
)

// broker is a real NATS server with JetStream.
type broker struct {
	t       *testing.T
	options server.Options
	s       *server.Server
}

func newBroker(t *testing.T, change ...func(*server.Options)) *broker {
	b := &broker{t: t, options: server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true}}
	for _, c := range change {
		c(&b.options)
	}
	b.start()
	b.options.Port = b.s.Addr().(*net.TCPAddr).Port // must be the same after a restart
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start() {
	b.t.Helper()
	options := b.options
	s, err := server.NewServer(&options)
	if err != nil {
		b.t.Fatal(err)
	}
	go s.Start()
	b.s = s
	if !s.ReadyForConnections(20 * time.Second) {
		b.t.Fatal("the NATS server does not start")
	}
}

func (b *broker) stop() {
	b.s.Shutdown()
	b.s.WaitForShutdown()
}

func (b *broker) url(scheme string) string {
	return scheme + "://127.0.0.1:" + strconv.Itoa(b.options.Port)
}

// stream makes a stream of all calls.
func (b *broker) stream(change ...func(*jetstream.StreamConfig)) jetstream.Stream {
	b.t.Helper()
	conn, err := nats.Connect(b.url("nats"), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		b.t.Fatal(err)
	}
	c := jetstream.StreamConfig{Name: "CALLS", Subjects: []string{"calls.>"}}
	for _, f := range change {
		f(&c)
	}
	stream, err := js.CreateStream(b.t.Context(), c)
	if err != nil {
		b.t.Fatal(err)
	}
	return stream
}

func (b *broker) sink(change ...func(*Settings)) Sink {
	b.t.Helper()
	s, err := newBus(settings(append([]func(*Settings){func(s *Settings) { s.Kind, s.URL, s.Timeout, s.Batch = KindNATS, b.url("nats"), 5*time.Second, 50 }}, change...)...), "office.1", "j1", slog.New(slog.DiscardHandler))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = s.Close() })
	return s
}

func stored(t *testing.T, stream jetstream.Stream) (msgs []*jetstream.RawStreamMsg) {
	t.Helper()
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := info.State.FirstSeq; seq > 0 && seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, m)
	}
	return msgs
}

func TestNATS_WhatIsPublished(t *testing.T) {
	b := newBroker(t)
	stream := b.stream()
	gap, gone := storage.Entry{Seq: 3, Op: storage.OpGap}, storage.Entry{Seq: 4, Op: storage.OpDelete, ID: "other pbx>:1.2"}
	gap.Gap = &call.Gap{PBX: "main", From: 1, To: 2}
	batch := append(entries(1, 2), Entry{gap, encoded(&gap)}, Entry{gone, encoded(&gone)})
	s := b.sink()
	for range 2 { // the second time nothing is new
		if err := s.Send(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	got := stored(t, stream)
	if len(got) != 4 {
		t.Fatalf("%d messages", len(got))
	}
	for i, subject := range []string{"calls.office_1.main", "calls.office_1.main", "calls.office_1.main", "calls.office_1.other_pbx_"} {
		m := got[i]
		if m.Subject != subject || string(m.Data) != string(batch[i].JSON) || m.Header.Get("Nats-Msg-Id") != "j1-"+strconv.Itoa(i+1) ||
			m.Header.Get(headerJournal) != "j1" || m.Header.Get(headerAgent) != "office.1" {
			t.Errorf("message %d: %s %v %s", i, m.Subject, m.Header, m.Data)
		}
	}
}

func TestNATS_Live(t *testing.T) {
	b := newBroker(t)
	b.stream()
	conn, err := nats.Connect(b.url("nats"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sub, err := conn.SubscribeSync("live.>")
	if err != nil || conn.Flush() != nil {
		t.Fatal(err)
	}
	s := b.sink().(LiveSink)
	event := &Event{Event: EventRinging, Extension: ptr("101"), Call: record(1)}
	if err := s.SendLive(t.Context(), event); err == nil {
		t.Error("told without a connection")
	}
	send(t, s, 1)
	if err := s.SendLive(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	m, err := sub.NextMsg(10 * time.Second)
	if err != nil || m.Subject != "live.office_1.main" || !strings.Contains(string(m.Data), `"event":"ringing"`) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestNATS_Faults(t *testing.T) {
	fault := func(s Sink, batch []Entry) error {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := s.Send(ctx, batch)
		var partial Partial
		if errors.As(err, &partial) {
			err = partial.first()
		}
		return err
	}
	var refused *Refused
	b := newBroker(t)
	s := b.sink()
	if err := fault(s, entries(1)); err == nil || errors.As(err, &refused) || !strings.Contains(err.Error(), "nats stream add") {
		t.Errorf("no stream: %v", err)
	}
	stream := b.stream(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 4096 })
	large := entries(1, 2, 3)
	large[1].JSON = []byte(`"` + strings.Repeat("x", 5000) + `"`)
	err := s.Send(t.Context(), large)
	var partial Partial
	if !errors.As(err, &partial) || partial[0] != nil || !errors.As(partial[1], &refused) || partial[2] != nil {
		t.Errorf("one too large: %v", err)
	}
	large[1].JSON = []byte(strings.Repeat("x", 2<<20))
	if err = s.Send(t.Context(), large); !errors.As(err, &partial) || !errors.As(partial[1], &refused) {
		t.Errorf("one far too large: %v", err)
	}
	if n := len(stored(t, stream)); n != 2 {
		t.Errorf("%d stored", n)
	}
	b.stop()
	if err := fault(s, entries(9)); err == nil || errors.As(err, &refused) {
		t.Errorf("the server is gone: %v", err)
	}
	if err := fault(b.sink(), entries(9)); err == nil || errors.As(err, &refused) {
		t.Errorf("nobody there: %v", err)
	}
	b.start()
}

// A server that takes the connection and says nothing holds nobody up.
func TestNATS_EndsWithItsContext(t *testing.T) {
	silent := rawServer(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	s, err := newBus(settings(func(s *Settings) { s.URL = "nats://" + silent }), "office", "j", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	begin := time.Now()
	if err := s.Send(ctx, entries(1)); err == nil || time.Since(begin) > connectTime/2 {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

func TestNATS_SignsIn(t *testing.T) {
	token := newBroker(t, func(o *server.Options) { o.Authorization = "tok-0123456789" })
	user := newBroker(t, func(o *server.Options) { o.Username, o.Password = "calls", "pass-0123456789" })
	for _, tt := range []struct {
		b      *broker
		secret string
		want   bool
	}{{token, "tok-0123456789", true}, {token, "tok-wrong", false}, {token, "", false}, {user, "calls:pass-0123456789", true}, {user, "calls:wrong-word", false}} {
		err := tt.b.sink(func(s *Settings) { s.Secret = NewSecret(tt.secret) }).Send(t.Context(), entries(1))
		in := err != nil && strings.Contains(err.Error(), "no stream")
		if in != tt.want || err == nil || tt.secret != "" && strings.Contains(err.Error(), tt.secret) {
			t.Errorf("%q: %v", tt.secret, err)
		}
	}
}

func TestNATS_TLS(t *testing.T) {
	cert, key := selfSigned(t)
	dir := t.TempDir()
	certPath, keyPath := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if os.WriteFile(certPath, pemOf("CERTIFICATE", cert), 0o600) != nil || os.WriteFile(keyPath, pemOf("EC PRIVATE KEY", key), 0o600) != nil {
		t.Fatal("certificates were not written")
	}
	secure, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: certPath, KeyFile: keyPath, CaFile: certPath, Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, func(o *server.Options) { o.TLSConfig, o.TLSTimeout, o.TLSVerify = secure, 5, true })
	with := func(ca, cert, key string) func(*Settings) {
		return func(s *Settings) { s.URL, s.TLSCA, s.TLSCert, s.TLSKey = b.url("tls"), ca, cert, key }
	}
	if err := b.sink(with(certPath, certPath, keyPath)).Send(t.Context(), entries(1)); err == nil || !strings.Contains(err.Error(), "no stream") {
		t.Errorf("with both certificates: %v", err)
	}
	if err := b.sink(with("", certPath, keyPath)).Send(t.Context(), entries(1)); err == nil || strings.Contains(err.Error(), "no stream") {
		t.Errorf("an unknown authority: %v", err)
	}
	if err := b.sink(with(certPath, "", "")).Send(t.Context(), entries(1)); err == nil || strings.Contains(err.Error(), "no stream") {
		t.Errorf("without a certificate: %v", err)
	}
}

// The real server goes away and comes back in the middle: each entry is there once.
func TestNATS_RestartInTheMiddle(t *testing.T) {
	b := newBroker(t)
	stream := b.stream()
	const n = 2000
	r := newRig(t, n)
	half := make(chan struct{})
	r.start(func(s Settings, _ *slog.Logger) (Sink, error) {
		sink, err := newBus(s, "office", r.db.Journal(), slog.New(slog.DiscardHandler))
		return &counting{Sink: sink, at: n / 2, half: half}, err
	}, settings(func(s *Settings) { s.Kind, s.URL, s.Timeout, s.Batch = KindNATS, b.url("nats"), 2*time.Second, 50 }))
	<-half
	b.stop()
	b.start()
	deadline := time.Now().Add(2 * time.Minute)
	for r.status().Lag > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%+v\n%s", r.status(), r.logged())
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.end()
	var got []uint64
	for _, m := range stored(t, stream) {
		_, seq, _ := strings.Cut(m.Header.Get("Nats-Msg-Id"), "-")
		number, err := strconv.ParseUint(seq, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, number)
	}
	slices.Sort(got)
	want(t, got, upTo(n))
}

// counting says when so many entries are through.
type counting struct {
	Sink
	sent, at int
	half     chan struct{}
}

func (c *counting) Send(ctx context.Context, batch []Entry) error {
	if err := c.Sink.Send(ctx, batch); err != nil {
		return err
	}
	before := c.sent
	if c.sent += len(batch); before < c.at && c.sent >= c.at {
		close(c.half)
	}
	return nil
}
