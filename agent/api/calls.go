package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"calljournal/agent/call"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

type callsInput struct {
	From      string   `query:"from" doc:"calls that began then or later: RFC 3339"`
	To        string   `query:"to" doc:"calls that began before: RFC 3339"`
	Direction []string `query:"direction" enum:"inbound,outbound,internal"`
	Status    []string `query:"status" enum:"answered,abandoned,no_answer,busy,rejected,failed,voicemail,fax,self_service"`
	Number    string   `query:"number" maxLength:"64" doc:"part of any number of the call"`
	Limit     int      `query:"limit" default:"50" minimum:"1" doc:"more than 1000 is read as 1000"`
	Cursor    string   `query:"cursor" maxLength:"256" doc:"the cursor of the page before"`
}

// CallsPage is one page of calls, newest first.
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
		Summary: "Calls, newest first",
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

func (s *Server) calls(ctx context.Context, in *callsInput) (*struct{ Body CallsPage }, error) {
	from, err := timeOf("from", in.From)
	if err != nil {
		return nil, err
	}
	to, err := timeOf("to", in.To)
	if err != nil {
		return nil, err
	}
	recs, cursor, err := s.view(ctx).calls(ctx, storage.Query{
		From: from, To: to, Direction: in.Direction, Status: in.Status, Number: some(in.Number), Limit: min(in.Limit, 1000), Cursor: in.Cursor,
	})
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

func timeOf(name, text string) (call.Moment, error) {
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, huma.Error422UnprocessableEntity(name + ": want a time as 2026-01-31T09:00:00Z (a + must be written %2B in an address)")
	}
	return call.MomentOf(t), nil
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

// moments describes a call.Moment as what it is in JSON.
func moments(r huma.Registry) {
	r.RegisterTypeAlias(typeFor[call.Moment](), typeFor[*time.Time]())
}
