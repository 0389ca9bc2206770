package api

import (
	"context"
	"net/http"
	"slices"

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
			st = withoutCalls(st)
		}
		return &struct{ Body Status }{st}, nil
	})
}

// withoutCalls is the status for a reader who may not see all calls: without what
// names one, or an address, or quotes what a far side said when it refused a call.
func withoutCalls(st Status) Status {
	st.LastCall = nil
	st.Mailings = []Mailing{}
	st.Forwarders = slices.Clone(st.Forwarders)
	for i := range st.Forwarders {
		st.Forwarders[i].Error = ""
	}
	if len(st.Problems) > 0 { // they say these errors again
		st.Problems = []string{"what is wrong is told to who sees the whole journal: ask whoever looks after this daemon"}
	}
	st.Findings = []Finding{}
	return st
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

// Configuration is what the daemon runs by.
type Configuration struct {
	Path string `json:"path" doc:"the file that it came from; empty if it came from none"`
	TOML string `json:"toml" doc:"what is in force, defaults too, with every secret hidden"`
}

// LogEntry is a warning or an error of the log. Equal ones are one entry.
type LogEntry struct {
	At    call.Moment `json:"at" doc:"when it was said last"`
	Since call.Moment `json:"since" doc:"when it was said first"`
	Times uint64      `json:"times"`
	Level string      `json:"level" enum:"warning,error"`
	Text  string      `json:"text"`
	About []string    `json:"about" doc:"name=value, as the log has it; numbers masked"`
}

// LogPage is the newest of the log.
type LogPage struct {
	Entries []LogEntry `json:"entries" doc:"the newest first"`
}

// technicianRoutes are for whoever looks after the daemon.
func (s *Server) technicianRoutes(api huma.API) {
	admin := []map[string][]string{{"token": {ScopeAdmin}}}
	huma.Register(api, huma.Operation{
		OperationID: "config", Method: http.MethodGet, Path: "/v1/config", Security: admin,
		Summary: "The configuration in force", Description: "Secrets, tokens, passwords and what may be secret in an address are hidden.",
	}, func(context.Context, *struct{}) (*struct{ Body Configuration }, error) {
		out := &struct{ Body Configuration }{}
		if s.o.Config != nil {
			out.Body = s.o.Config()
		}
		return out, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "log", Method: http.MethodGet, Path: "/v1/log", Security: admin,
		Summary: "The newest warnings and errors of the log", Description: "Of this run, and no more than a hundred: the whole log is where the system keeps it.",
	}, func(context.Context, *struct{}) (*struct{ Body LogPage }, error) {
		out := &struct{ Body LogPage }{LogPage{Entries: []LogEntry{}}}
		if s.o.Log != nil {
			out.Body.Entries = append(out.Body.Entries, s.o.Log()...)
		}
		return out, nil
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
