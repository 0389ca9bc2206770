package forward

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"calljournal/agent/call"
	"calljournal/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ptr[T any](v T) *T { return &v }

// record is a call; n tells calls apart.
func record(n int) *call.Record {
	return &call.Record{
		ID: fmt.Sprintf("main:1700000000.%d", n), Rev: 1, Agent: "office", PBX: "main", PBXKind: "asterisk", PBXIDs: []string{"1"},
		Direction: call.Inbound, Origin: call.OriginDialled, Status: call.StatusAnswered,
		From: call.Party{Number: ptr(fmt.Sprintf("7916%07d", n)), E164: ptr(fmt.Sprintf("+7916%07d", n))}, To: call.Party{Number: ptr("74951230101")},
		StartedAt: 1700000000000000, AnsweredAt: 1700000005000000, EndedAt: 1700000065000000, TalkMs: ptr(int64(60000)), AnsweredBy: ptr("101"),
		Queues: []string{}, Legs: []call.Leg{}, Transfers: []call.Transfer{}, Timeline: []call.Span{}, Recordings: []call.Recording{},
		Types: []string{}, Tags: []string{}, Quality: call.QualityComplete, Doubts: []string{},
	}
}

func encode(e *storage.Entry) ([]byte, error) { return encoded(e), nil }

func encoded(e *storage.Entry) []byte {
	j, err := json.Marshal(struct {
		Seq  uint64
		Op   string
		Call *call.Record
		ID   string
	}{e.Seq, e.Op, e.Call, e.ID})
	if err != nil {
		panic(err)
	}
	return j
}

// rig is a journal and what follows it.
type rig struct {
	t    testing.TB
	db   *storage.DB
	path string
	log  bytes.Buffer
	mu   sync.Mutex
	f    *Forwarders
	sink *fakeSink
}

func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *rig) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

func newRig(t testing.TB, entries int) *rig {
	r := &rig{t: t, path: filepath.Join(t.TempDir(), "journal.db"), sink: &fakeSink{}}
	r.open()
	t.Cleanup(func() { _ = r.db.Close() })
	r.add(entries)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	db, err := storage.Open(r.path, storage.Options{Reserve: -1, NoSync: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.db = db
}

// add commits calls, numbered as their entries will be.
func (r *rig) add(n int) {
	r.t.Helper()
	for n > 0 {
		b := &storage.Batch{}
		for range min(n, 2000) {
			b.Entries = append(b.Entries, storage.Entry{Op: storage.OpCall, Call: record(int(r.db.Head()) + len(b.Entries) + 1)})
		}
		n -= len(b.Entries)
		r.commit(b)
	}
}

func (r *rig) commit(b *storage.Batch) {
	r.t.Helper()
	if err := r.db.Commit(b); err != nil {
		r.t.Fatal(err)
	}
}

func settings(change ...func(*Settings)) Settings {
	s := Settings{Name: "crm", Kind: KindWebhook, URL: "https://crm.example/hooks/secret-path", Batch: 10, Tries: 3, Timeout: 30 * time.Second}
	for _, c := range change {
		c(&s)
	}
	return s
}

// start runs forwarders on the journal; the sink is r.sink, unless open says
// otherwise.
func (r *rig) start(open func(Settings, *slog.Logger) (Sink, error), all ...Settings) {
	r.t.Helper()
	if open == nil {
		open = func(Settings, *slog.Logger) (Sink, error) { return r.sink, nil }
	}
	r.f = New(Options{
		Agent: "office", Journal: r.db, Encode: encode, Now: time.Now, Open: open,
		Logger: slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	r.f.Apply(all)
}

// end stops them; under synctest this takes as long as it takes them.
func (r *rig) end() {
	r.t.Helper()
	select {
	case <-r.f.End():
	case <-time.After(time.Minute):
		r.t.Fatal("the forwarders do not end")
	}
}

func (r *rig) status() Status {
	r.t.Helper()
	all := r.f.Status()
	if len(all) != 1 {
		r.t.Fatalf("%d forwarders", len(all))
	}
	return all[0]
}

// saved is what the journal knows of the forwarder.
func (r *rig) saved() storage.Forwarder {
	r.t.Helper()
	all, err := r.db.Forwarders()
	if err != nil {
		r.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(f storage.Forwarder) bool { return f.Name == "crm" })
	if i < 0 {
		return storage.Forwarder{}
	}
	return all[i]
}

// fakeSink answers as answer says and keeps what it has.
type fakeSink struct {
	mu       sync.Mutex
	answer   func(ctx context.Context, n int, batch []Entry) error // n: of the request, from 1
	requests [][]uint64
	at       []time.Time
	bodies   [][]byte
	has      []uint64 // taken, in the order of being taken
	live     []Event
	gate     chan struct{} // if set, live events pass only once it is closed
	closed   bool
}

var errDown = errors.New("connection refused")

func (f *fakeSink) Send(ctx context.Context, batch []Entry) error {
	var seqs []uint64
	var body []byte
	for _, e := range batch {
		seqs = append(seqs, e.Seq)
		body = append(body, e.JSON...)
	}
	f.mu.Lock()
	f.requests, f.at, f.bodies = append(f.requests, seqs), append(f.at, time.Now()), append(f.bodies, body)
	n, answer := len(f.requests), f.answer
	f.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(ctx, n, batch)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var partial Partial
	for i, seq := range seqs {
		if err == nil || errors.As(err, &partial) && partial[i] == nil {
			f.has = append(f.has, seq)
		}
	}
	return err
}

func (f *fakeSink) SendLive(ctx context.Context, e *Event) error {
	if f.gate != nil {
		select {
		case <-f.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = append(f.live, *e)
	return nil
}

func (f *fakeSink) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

func (f *fakeSink) taken() []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.has)
}

func (f *fakeSink) set(answer func(context.Context, int, []Entry) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// upTo is 1 to n, but for some.
func upTo(n int, but ...uint64) (all []uint64) {
	for seq := range uint64(n) {
		if !slices.Contains(but, seq+1) {
			all = append(all, seq+1)
		}
	}
	return all
}

func want(t testing.TB, got, want []uint64) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Errorf("%d entries, want %d; they differ at place %d: %v, want %v", len(got), len(want), i, got[i:min(len(got), i+20)], want[i:min(len(want), i+20)])
}

// fullJournal has no room for notes, while full.
type fullJournal struct {
	*storage.DB
	mu   sync.Mutex
	full bool
}

func (j *fullJournal) set(full bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.full = full
}

func (j *fullJournal) SetForwarder(f storage.Forwarder, dead ...storage.DeadLetter) error {
	j.mu.Lock()
	full := j.full
	j.mu.Unlock()
	if full {
		return storage.ErrFull
	}
	return j.DB.SetForwarder(f, dead...)
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// selfSigned is a certificate and its key.
func selfSigned(t testing.TB) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if cert, err = x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k); err != nil {
		t.Fatal(err)
	}
	if key, err = x509.MarshalECPrivateKey(k); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// pass lets time go by in a bubble, and everybody do what was due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
