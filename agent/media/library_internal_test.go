package media

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"calljournal/agent/call"
)

// Who leaves before it is his turn leaves nothing behind (TestMain looks for
// goroutines).
func TestOpen_LeftBeforeItsTurn(t *testing.T) {
	l := New(Options{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	for range looksAtATime {
		l.looking <- struct{}{} // folders that hang
	}
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if _, err := l.Recording(ctx, &call.Record{}, 0); !errors.Is(err, ErrSlow) {
		t.Errorf("%v, want %v", err, ErrSlow)
	}
}

// A file that is found when nobody waits for it any more is closed.
func TestOpen_FoundTooLate(t *testing.T) {
	l := New(Options{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	path := filepath.Join(t.TempDir(), "x.wav")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	_, err = l.open(ctx, func(*look) (*File, error) {
		leave()
		<-left
		return &File{File: f}, nil
	})
	close(left)
	if !errors.Is(err, ErrSlow) {
		t.Fatalf("%v, want %v", err, ErrSlow)
	}
	for range looksAtATime { // until the last look is over
		l.looking <- struct{}{}
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the file was left open: %v", err)
	}
}
