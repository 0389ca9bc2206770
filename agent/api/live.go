package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"calljournal/agent/call"

	"github.com/danielgtaylor/huma/v2"
)

// LiveCalls are the calls in progress at one moment. A call's ended_at, and the end
// of the last span of its timeline, is that moment by the clock of its PBX.
type LiveCalls struct {
	At             call.Moment   `json:"at"`
	ServiceLevelMs int64         `json:"service_level_ms" doc:"who is answered within it was answered in time: service_level of [rules]"`
	Calls          []call.Record `json:"calls" doc:"the oldest first"`
	Blind          []string      `json:"blind" doc:"PBXs to which there is no link now: what goes on there is not seen"`
}

func (s *Server) liveRoutes(api huma.API) {
	s.rawViewed("GET /v1/live", []string{ScopeJournal}, s.live)
	huma.Register(api, huma.Operation{
		OperationID: "live-calls", Method: http.MethodGet, Path: "/v1/live/calls",
		Security: []map[string][]string{{"token": {ScopeJournal}}}, Metadata: map[string]any{throughView: true},
		Summary: "The calls in progress, once", Description: "At /v1/live they are followed.",
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body LiveCalls }, error) {
		calls, err := s.view(ctx).live(ctx)
		if err != nil {
			return nil, s.fault("calls in progress", err)
		}
		now := LiveCalls{At: call.MomentOf(s.o.Now()), ServiceLevelMs: s.counting().rules.ServiceLevel.Milliseconds(), Calls: calls, Blind: []string{}}
		if s.o.Blind != nil {
			now.Blind = append(now.Blind, s.o.Blind()...)
		}
		return &struct{ Body LiveCalls }{now}, nil
	})
}

const (
	liveEvery = time.Second
	liveQuiet = 15 // times liveEvery
)

// live sends the calls in progress whenever something happens in them, as
// server-sent events. When nothing does for long, it sends them with their times as
// they are by then, or a comment if there are none, so that proxies keep the line.
// Who has signed out, was removed or has lost the token meanwhile sees no more.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	leave, ok := s.lives.Take(tokenOf(r.Context()).String())
	if !ok {
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "too many live views are open already")
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{}) // it takes as long as its reader stays
	ticker := time.NewTicker(liveEvery)
	defer ticker.Stop()
	var last []byte
	for quiet := 0; ; quiet++ {
		t, ok := s.still(r)
		if !ok || refused(t, []string{ScopeJournal}, true) != "" {
			return
		}
		calls, err := view{s, t.Role}.live(r.Context())
		if err != nil {
			return
		}
		now, err := json.Marshal(lasting(calls))
		if err != nil {
			return
		}
		switch {
		case !bytes.Equal(now, last), quiet >= liveQuiet && len(calls) > 0:
			last, quiet = now, 0
			if now, err = json.Marshal(calls); err == nil {
				_, err = fmt.Fprintf(w, "event: calls\ndata: %s\n\n", now)
			}
		case quiet >= liveQuiet:
			quiet = 0
			_, err = fmt.Fprint(w, ": still here\n\n")
		}
		if err != nil || rc.Flush() != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		case <-s.ending.Done():
			return
		}
	}
}

// lasting is what of calls in progress does not change by time going on.
func lasting(calls []call.Record) []call.Record {
	out := slices.Clone(calls)
	for i := range out {
		r := &out[i]
		r.EndedAt, r.WaitMs, r.TotalWaitMs, r.IVRMs, r.QueueMs, r.RingMs, r.TalkMs, r.HoldMs, r.TotalMs = 0, nil, nil, nil, nil, nil, nil, nil, nil
		if n := len(r.Timeline); n > 0 {
			r.Timeline = slices.Clone(r.Timeline)
			r.Timeline[n-1].To = 0
		}
		r.Legs = slices.Clone(r.Legs)
		for j := range r.Legs {
			r.Legs[j].RingMs, r.Legs[j].TalkMs = nil, nil
		}
		r.Recordings = slices.Clone(r.Recordings)
		for j := range r.Recordings {
			r.Recordings[j].DurationMs = nil
		}
		r.Cost = nil
	}
	return out
}
