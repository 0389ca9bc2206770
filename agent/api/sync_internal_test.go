package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

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

// Who is sent an entry gets the very bytes that the feed has.
func TestEncodeEntry_AsTheFeed(t *testing.T) {
	db, err := storage.Open(filepath.Join(t.TempDir(), "journal.db"), storage.Options{Agent: "office", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	bare := &call.Record{ID: "main:1", Rev: 1, From: call.Party{Name: ptr("<b>&\u2028 \xff")}}
	if err := db.Commit(&storage.Batch{Entries: []storage.Entry{
		{Op: storage.OpCall, Call: usual()}, {Op: storage.OpCall, Call: bare},
		{Op: storage.OpGap, Gap: &call.Gap{PBX: "main", From: 1_780_000_000_000_000, To: 1_780_000_001_000_000, Reason: "line dead"}},
		{Op: storage.OpDelete, ID: "main:1", Into: "main:1780000000.421"},
	}}); err != nil {
		t.Fatal(err)
	}
	feed, page, err := db.FeedJSON(nil, 0, 10, 1<<20)
	if err != nil || page.Next != 4 {
		t.Fatal(page, err)
	}
	entries, err := db.Feed(0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var sent [][]byte
	for i := range entries.Entries {
		text, err := EncodeEntry(&entries.Entries[i])
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, text)
	}
	if got := bytes.Join(sent, []byte(",")); !bytes.Equal(got, feed) {
		t.Errorf("got\n%s\nwant\n%s", got, feed)
	}
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
