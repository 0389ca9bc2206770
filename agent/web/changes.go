package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	mostWatchers = 512
	watchersOf   = 128 // one user
	changesEvery = time.Second
	stillHere    = 15 * time.Second
)

// changes tells a browser that there is something new, as server-sent events
// without a word of what: "journal" after a commit, at most once a second. The page
// asks for itself again. after is the head of the journal that the page was made
// of: what came before the browser asked here is not missed. (Calls in progress are followed at /v1/live.)
func (s *Site) changes(w http.ResponseWriter, r *http.Request) {
	u, ok := s.Signed(r)
	if !ok {
		http.Error(w, "", http.StatusUnauthorized)
		return
	}
	leave, ok := s.watchers.Take(u.Name)
	if !ok {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{}) // it takes as long as its reader stays
	say := func(text string) bool {
		_, err := fmt.Fprint(w, text)
		return err == nil && rc.Flush() == nil
	}
	if !say("retry: 3000\n\n") {
		return
	}
	ticker := time.NewTicker(changesEvery)
	defer ticker.Stop()
	changed := s.o.Changed()
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	isNew := err == nil && s.o.Head() > after
	for quiet := time.Duration(0); ; quiet += changesEvery {
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		case <-s.ending.Done():
			return
		}
		select {
		case <-changed:
			changed, isNew = s.o.Changed(), true
		default:
		}
		switch {
		case isNew:
			// A session that has ended sees no more.
			if _, ok := s.Signed(r); !ok || !say("event: journal\ndata:\n\n") {
				return
			}
			isNew, quiet = false, 0
		case quiet >= stillHere:
			if quiet = 0; !say(": still here\n\n") {
				return
			}
		}
	}
}
