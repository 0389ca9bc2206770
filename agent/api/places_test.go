package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/storage"
)

// slowStore is a journal of which each further read of many calls waits.
type slowStore struct {
	*storage.DB
	began chan struct{}
	goOn  chan struct{}
}

func (s *slowStore) Calls(q storage.Query) ([]*call.Record, string, error) {
	if q.Cursor != "" {
		s.began <- struct{}{}
		<-s.goOn
	}
	return s.DB.Calls(q)
}

// One reader who counts the whole journal again and again keeps neither others from
// counting nor himself from what is read at once; and who leaves waits for nothing.
func TestPlaces_LongReads(t *testing.T) {
	db, err := storage.Open(filepath.Join(t.TempDir(), "journal.db"), storage.Options{Agent: "office", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b storage.Batch
	for n := range 1500 {
		b.Entries = append(b.Entries, storage.Entry{Op: storage.OpCall, Call: record(n)})
	}
	if err := db.Commit(&b); err != nil {
		t.Fatal(err)
	}
	store := &slowStore{db, make(chan struct{}, 100), make(chan struct{})}
	s := api.New(api.Options{Agent: "office", Version: "test", Store: store, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	s.SetTokens([]api.Token{api.NewToken("eye", api.ScopeJournal, journalToken), api.NewToken("root", api.ScopeAdmin, adminToken)})
	ask := func(ctx context.Context, path, token string) int {
		req := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.Network().ServeHTTP(w, req)
		return w.Code
	}
	const all = "/v1/stats?direction=inbound"
	var asked sync.WaitGroup
	for range 2 {
		asked.Go(func() {
			if code := ask(t.Context(), all, journalToken); code != http.StatusOK {
				t.Errorf("a count of all: %d", code)
			}
		})
		<-store.began
	}
	left, leave := context.WithCancel(t.Context())
	third := make(chan struct{})
	go func() {
		defer close(third)
		if code := ask(left, all, journalToken); code == http.StatusOK {
			t.Error("a third count at the same time")
		}
	}()
	if code := ask(t.Context(), fmt.Sprintf("%s&from=%s", all, record(1400).StartedAt.Time().UTC().Format(time.RFC3339)), journalToken); code != http.StatusOK {
		t.Errorf("a small count meanwhile: %d", code)
	}
	asked.Go(func() {
		if code := ask(t.Context(), all, adminToken); code != http.StatusOK {
			t.Errorf("another reader's count: %d", code)
		}
	})
	<-store.began // that of the other reader
	leave()
	<-third
	select {
	case <-store.began:
		t.Error("the third count read on")
	default:
	}
	close(store.goOn)
	asked.Wait()
}
