package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"calljournal/agent/call"
	"calljournal/storage"
)

func ptr[T any](v T) *T { return &v }

// usual is a call with three legs, as most are.
func usual() *call.Record {
	at := call.Moment(1_780_000_000_123_000)
	leg := func(role, ext, result string) call.Leg {
		return call.Leg{Channel: "PJSIP/" + ext + "-0000009b", Number: ptr(ext), Extension: ptr(ext), Employee: ptr("Анна Петрова"), Department: ptr("Продажи"), Role: role,
			StartedAt: at, RingingAt: at.Add(1e8), AnsweredAt: at.Add(3e9), EndedAt: at.Add(9e9), RingMs: ptr(int64(2900)), TalkMs: ptr(int64(6000)), Result: result,
			Cause: &call.Cause{Q850: 16, Text: "Normal Clearing"}}
	}
	return &call.Record{
		ID: "main:1780000000.421", Rev: 1, Agent: "office-1", PBX: "main", PBXKind: "asterisk", PBXIDs: []string{"1780000000.421", "1780000000.422"},
		Direction: call.Inbound, Origin: call.OriginDialled, Status: call.StatusAnswered,
		From: call.Party{Number: ptr("79161052001"), E164: ptr("+79161052001"), Name: ptr("Иван <x>")}, To: call.Party{Number: ptr("74951230101"), E164: ptr("+74951230101")},
		Line: &call.Line{Number: "74951230101", Name: ptr("Сайт"), Source: ptr("yandex-direct")}, Trunk: ptr("trunk-provider"), EndedBy: ptr("caller"),
		Cause: &call.Cause{Q850: 16, Text: "Normal Clearing"}, StartedAt: at, RingingAt: at.Add(1e8), AnsweredAt: at.Add(3e9), EndedAt: at.Add(9e9),
		WaitMs: ptr(int64(3000)), TotalWaitMs: ptr(int64(3000)), IVRMs: ptr(int64(0)), QueueMs: ptr(int64(0)), RingMs: ptr(int64(2900)), TalkMs: ptr(int64(6000)),
		HoldMs: ptr(int64(0)), TotalMs: ptr(int64(9000)), AnsweredBy: ptr("101"), LastTalkedBy: ptr("101"), Queues: []string{"sales"},
		Legs:      []call.Leg{leg("caller", "79161052001", "answered"), leg("phone", "101", "answered"), leg("phone", "102", "answered_elsewhere")},
		Transfers: []call.Transfer{}, Timeline: []call.Span{{Kind: "ring", From: at, To: at.Add(3e9)}, {Kind: "talk", From: at.Add(3e9), To: at.Add(9e9), Party: ptr("101")}},
		Recordings: []call.Recording{}, Types: []string{"unique", "target"}, Tags: []string{}, Quality: call.QualityComplete, Doubts: []string{},
	}
}

// fill gives a value of any type of the record made-up contents: every field of
// it, also those that are added later.
func fill(t *rapid.T, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 0 && rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), depth-1)
		}
	case reflect.Slice:
		if n := rapid.IntRange(-1, 2).Draw(t, "length"); n >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i), depth-1)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), depth)
		}
	case reflect.String:
		v.SetString(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "101", "Анна", "<b>&\u2028", "\"\\", "\xff\x00", "\ufffd", "日本 €"})).Draw(t, "text"))
	case reflect.Int64, reflect.Int:
		// Moments are within the years that a time in JSON can have.
		v.SetInt(rapid.Int64Range(-60_000_000_000_000_000, 250_000_000_000_000_000).Draw(t, "number"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "number"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "truth"))
	default:
		t.Fatalf("a %v in a record is new: fill and appendRecord must know it", v.Type())
	}
}

func TestAppendEntry_SameAsEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e storage.Entry
		fill(t, reflect.ValueOf(&e).Elem(), 6)
		want, err := json.Marshal(feedEntry(e))
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendEntry(nil, &e); string(got) != string(want) {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestAppendEntry_Usual(t *testing.T) {
	want, err := json.Marshal(usual())
	if err != nil {
		t.Fatal(err)
	}
	if got := appendRecord(nil, usual()); string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func BenchmarkAppendEntry(b *testing.B) {
	e := storage.Entry{Seq: 1, At: 1_780_000_000_000_000, Op: storage.OpCall, Call: usual()}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEntry(buf[:0], &e)
	}
	b.SetBytes(int64(len(buf)))
}

// BenchmarkSync is what a central server waits for after a long absence: the
// journal read, decoded and written as JSON.
func BenchmarkSync(b *testing.B) {
	const calls = 20_000
	db, err := storage.Open(filepath.Join(b.TempDir(), "journal.db"), storage.Options{Agent: "office", NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for n := 0; n < calls; n += 500 {
		batch := &storage.Batch{}
		for i := range 500 {
			r := usual()
			r.ID = fmt.Sprintf("main:%d", n+i)
			batch.Entries = append(batch.Entries, storage.Entry{Op: storage.OpCall, Call: r})
		}
		if err := db.Commit(batch); err != nil {
			b.Fatal(err)
		}
	}
	s := New(Options{Agent: "office", Store: db, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	h := s.Local()
	for b.Loop() {
		for after := 0; after < calls; after += maxPage {
			req := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/v1/sync?after=%d&limit=%d", after, maxPage), nil)
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, req); w.Code != http.StatusOK {
				b.Fatal(w.Code)
			}
		}
	}
	b.ReportMetric(float64(calls)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
