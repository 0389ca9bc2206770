package api_test

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/transport"
	"calljournal/storage"
)

var strangers = flag.Duration("strangers", 0, "how long TestStrangers measures, each time; 0: hardly, and with fewer of them")

// 2,000 idle connections, clients that send their headers a byte at a time, pages
// that nobody reads, headers without end and wrong tokens, while a centre follows
// the feed. It tells the centre's p99 before and meanwhile; what is judged is that
// nobody got anything without a token, that the centre got all it asked for, and
// that memory stays bounded.
func TestStrangers(t *testing.T) {
	idlers, each, measure := 2000, 100, *strangers
	if measure == 0 {
		idlers, each, measure = 100, 10, 300*time.Millisecond
	}
	db, err := storage.Open(filepath.Join(t.TempDir(), "journal.db"), storage.Options{Agent: "office", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var b storage.Batch
	for n := range 5000 {
		b.Entries = append(b.Entries, storage.Entry{Op: storage.OpCall, Call: record(n)})
	}
	if err := db.Commit(&b); err != nil {
		t.Fatal(err)
	}
	s := api.New(api.Options{
		Agent: "office", Version: "test", Store: db, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Healthy: func() error { return nil }, Ready: func() error { return nil },
	})
	s.SetTokens([]api.Token{api.NewToken("central", api.ScopeSync, syncToken)})
	// As many as the daemon allows, for what comes to 2,000; what happens beyond
	// that is tested in transport.
	l, err := transport.Listen("127.0.0.1:0", transport.Files{}, 2*idlers, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := api.HTTPServer(s.Network(), slog.New(slog.DiscardHandler))
	server.ConnState = l.ConnState
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	defer s.End()
	address := l.Addr().String()

	p99 := func() time.Duration {
		var all []time.Duration
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for began := time.Now(); time.Since(began) < measure; {
			asked := time.Now()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/v1/sync?limit=100&after=%d", address, len(all)%4900), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+syncToken)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatalf("the centre: %v", err)
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), `"next":`) {
				t.Fatalf("the centre: %s, %v", resp.Status, err)
			}
			all = append(all, time.Since(asked))
		}
		slices.Sort(all)
		return all[len(all)*99/100]
	}
	before := p99()

	elsewhere := net.Dialer{}
	if runtime.GOOS == "linux" { // where all of 127.0.0.0/8 is there
		elsewhere.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	}
	var leaked atomic.Int64
	ending := make(chan struct{})
	var working sync.WaitGroup
	// stranger opens connections and does something with each, until the end.
	stranger := func(n int, do func(c net.Conn)) {
		for range n {
			working.Go(func() {
				for {
					select {
					case <-ending:
						return
					default:
					}
					c, err := elsewhere.Dial("tcp", address)
					if err != nil {
						return
					}
					stop := make(chan struct{})
					go func() {
						select {
						case <-ending:
							_ = c.SetDeadline(time.Now())
						case <-stop:
						}
					}()
					do(c)
					close(stop)
					c.Close()
				}
			})
		}
	}
	hear := func(c net.Conn) {
		text, _ := io.ReadAll(io.LimitReader(c, 1<<20))
		if strings.Contains(string(text), "entries") || strings.Contains(string(text), " 200 ") {
			leaked.Add(1)
		}
	}
	stranger(idlers, func(c net.Conn) { hear(c); pauseUntil(ending, 100*time.Millisecond) })
	stranger(each, func(c net.Conn) {
		for _, letter := range strings.Repeat("GET /v1/sync HTTP/1.1\r\nHost: x\r\nX: y", 100) {
			if _, err := fmt.Fprintf(c, "%c", letter); err != nil {
				return
			}
			pauseUntil(ending, 200*time.Millisecond)
		}
	})
	stranger(each/10, func(c net.Conn) {
		_, _ = io.WriteString(c, "GET /v1/sync HTTP/1.1\r\nHost: x\r\nX: ")
		for range 100 {
			if _, err := io.WriteString(c, strings.Repeat("x", 16<<10)); err != nil {
				break
			}
		}
		hear(c)
		pauseUntil(ending, 100*time.Millisecond)
	})
	stranger(each/10, func(c net.Conn) {
		_, _ = io.WriteString(c, "GET /v1/sync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guess\r\n\r\n")
		hear(c)
	})
	// With a token, but a page of 15 MB that is not read.
	stranger(each/2, func(c net.Conn) {
		_, _ = io.WriteString(c, "GET /v1/sync?limit=5000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+syncToken+"\r\n\r\n")
		<-ending
	})
	meanwhile := p99()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	close(ending)
	working.Wait()
	t.Logf("the feed's p99: %v alone, %v with %d strangers; heap %d MB", before, meanwhile, idlers+2*each, m.HeapInuse>>20)
	if n := leaked.Load(); n != 0 {
		t.Errorf("%d strangers were let in", n)
	}
	if most := uint64(200 << 20); m.HeapInuse > most {
		t.Errorf("the heap has %d MB", m.HeapInuse>>20)
	}
}

func pauseUntil(end <-chan struct{}, d time.Duration) {
	select {
	case <-end:
	case <-time.After(d):
	}
}
