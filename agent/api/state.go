package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"calljournal/agent/call"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) stateRoutes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/v1/status",
		Summary:  "What the daemon says of itself",
		Security: []map[string][]string{{"token": {ScopeSync, ScopeJournal}}}, Metadata: map[string]any{throughView: true},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body Status }, error) {
		st, err := s.o.Status(ctx)
		if err != nil {
			return nil, s.fault("status", err)
		}
		if tokenOf(ctx).Limited() {
			st.LastCall = nil // perhaps not one of his
		}
		return &struct{ Body Status }{st}, nil
	})
}

// Reloaded is what a reading of the configuration has changed.
type Reloaded struct {
	Applied []string `json:"applied" doc:"Keys and tables that are in force now."`
	Restart []string `json:"restart" doc:"Those that changed and need a restart."`
}

func (s *Server) reloadRoute(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "reload", Method: http.MethodPost, Path: "/v1/reload",
		Summary: "Read the configuration again", Description: "As SIGHUP does. 422 with what is wrong if the file cannot be taken over: then nothing changes.",
		Security: []map[string][]string{{"token": {ScopeAdmin}}},
	}, func(context.Context, *struct{}) (*struct{ Body Reloaded }, error) {
		if s.o.Reload == nil {
			return nil, huma.Error501NotImplemented("this daemon was given no file to read again")
		}
		applied, restart, err := s.o.Reload()
		if err != nil {
			return nil, huma.Error422UnprocessableEntity(err.Error())
		}
		none := []string{}
		return &struct{ Body Reloaded }{Reloaded{append(none, applied...), append(none, restart...)}}, nil
	})
}

// openAPI is the description of everything that huma serves.
func openAPI(api huma.API) []byte {
	b, err := api.OpenAPI().YAML()
	if err != nil {
		panic("openapi: " + err.Error()) // made of our own types, at start
	}
	return b
}

const liveEvery = time.Second

// live sends the calls in progress whenever they change, as server-sent events,
// and a comment when nothing changes for long, so that proxies keep the line.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	if !s.takePoll() {
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "too many requests wait already")
		return
	}
	defer s.givePoll()
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{}) // it takes as long as its reader stays
	ticker := time.NewTicker(liveEvery)
	defer ticker.Stop()
	var last []byte
	for quiet := 0; ; quiet++ {
		calls, err := s.view(r.Context()).live(r.Context())
		if err != nil {
			return
		}
		if calls == nil {
			calls = []call.Record{}
		}
		now, err := json.Marshal(calls)
		if err != nil {
			return
		}
		switch {
		case !bytes.Equal(now, last):
			last, quiet = now, 0
			_, err = fmt.Fprintf(w, "event: calls\ndata: %s\n\n", now)
		case quiet >= 15:
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
