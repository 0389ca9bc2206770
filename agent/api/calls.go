package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

// CallsInput is what GET /v1/calls can be asked for.
type CallsInput struct {
	CallFilter
	Sort   string `query:"sort" default:"-started_at" doc:"started_at, ended_at, wait, talk, total, ring, from, to, cost or status; with a - in front the greatest first. What is unknown comes last, among equals the newer call first."`
	Limit  int    `query:"limit" default:"50" minimum:"1" doc:"more than 1000 is read as 1000"`
	Cursor string `query:"cursor" maxLength:"512" doc:"the cursor of the page before, for the same filter and sort"`
}

func (in *CallsInput) query(zone *time.Location, directory *journal.Directory) (storage.Query, error) {
	q, err := in.CallFilter.query(zone, directory)
	q.Sort, q.Limit, q.Cursor = in.Sort, min(in.Limit, 1000), in.Cursor
	return q, err
}

// CallsPage is one page of calls in the order that was asked for.
type CallsPage struct {
	Calls  []*call.Record `json:"calls"`
	Cursor *string        `json:"cursor" doc:"for the next page; null on the last"`
}

// Explained is a call and what the conclusions about it rest on.
type Explained struct {
	Call    *call.Record  `json:"call"`
	Reasons []call.Reason `json:"reasons"`
	Facts   []call.Event  `json:"facts"`
}

func (s *Server) callRoutes(api huma.API) {
	journal, viewed := []map[string][]string{{"token": {ScopeJournal}}}, map[string]any{throughView: true}
	huma.Register(api, huma.Operation{
		OperationID: "calls", Method: http.MethodGet, Path: "/v1/calls", Security: journal, Metadata: viewed,
		Summary: "Calls, newest first or in another order",
		Description: "The pages that follow each other by their cursors show the journal as it was at the first one: " +
			"no call is skipped or comes twice, whatever arrives or changes meanwhile. What is deleted meanwhile is left out.",
	}, s.calls)
	huma.Register(api, huma.Operation{
		OperationID: "call", Method: http.MethodGet, Path: "/v1/calls/{id}", Security: journal, Metadata: viewed,
		Summary: "One call, as its newest record says",
	}, s.call)
	huma.Register(api, huma.Operation{
		OperationID: "explain", Method: http.MethodGet, Path: "/v1/calls/{id}/why", Security: journal, Metadata: viewed,
		Summary:     "One call with the facts and rules behind it",
		Description: "Not for a reader who sees numbers masked: the facts name every number.",
	}, s.why)
}

func (s *Server) calls(ctx context.Context, in *CallsInput) (*struct{ Body CallsPage }, error) {
	q, err := in.query(s.o.Zone, s.known())
	if err != nil {
		return nil, err
	}
	recs, cursor, err := s.view(ctx).calls(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body CallsPage }{CallsPage{Calls: recs}}
	if recs == nil {
		out.Body.Calls = []*call.Record{}
	}
	if cursor != "" {
		out.Body.Cursor = &cursor
	}
	return out, nil
}

// some is a list of a text that may be missing.
func some(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// timeOf reads a time of a query, as CallFilter has it.
func (s *Server) timeOf(name, text string) (call.Moment, error) {
	if text == "" {
		return 0, nil
	}
	at, ok := ReadTime(text, s.o.Zone)
	if !ok {
		return 0, huma.Error422UnprocessableEntity(name + ": " + wantTime)
	}
	return call.MomentOf(at), nil
}

type idInput struct {
	ID string `path:"id" maxLength:"300"`
}

func (s *Server) call(ctx context.Context, in *idInput) (*struct{ Body *call.Record }, error) {
	r, err := s.view(ctx).call(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body *call.Record }{r}, nil
}

func (s *Server) why(ctx context.Context, in *idInput) (*struct{ Body Explained }, error) {
	out, err := s.view(ctx).why(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body Explained }{out}, nil
}

func typeFor[T any]() reflect.Type { return reflect.TypeFor[T]() }

// moments describes what is a number or a text in JSON, and more than that here.
func moments(r huma.Registry) {
	r.RegisterTypeAlias(typeFor[call.Moment](), typeFor[*time.Time]())
	r.RegisterTypeAlias(typeFor[journal.Ratio](), typeFor[*float64]()) // from 0 to 1
}
