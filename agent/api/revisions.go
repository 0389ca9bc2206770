package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"calljournal/agent/call"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

// Revision is one state of a call's record: when the journal took it in, and which
// fields it changed.
type Revision struct {
	Rev     uint64      `json:"rev"`
	Seq     uint64      `json:"seq" doc:"its entry in the feed"`
	At      call.Moment `json:"at"`
	Changed []string    `json:"changed" doc:"fields that are not as in the revision before; of the oldest that is kept: none"`
}

// RevisionsList is the revisions of a call that are kept, the newest last.
type RevisionsList struct {
	Revisions []Revision `json:"revisions"`
}

func (s *Server) revisionsRoute(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "revisions", Method: http.MethodGet, Path: "/v1/calls/{id}/revisions", Security: []map[string][]string{{"token": {ScopeJournal}}},
		Metadata: map[string]any{throughView: true},
		Summary:  "When the record of a call changed, and what of it", Description: "Older revisions are dropped as retention says.",
	}, func(ctx context.Context, in *idInput) (*struct{ Body RevisionsList }, error) {
		revs, err := s.view(ctx).revisions(in.ID)
		return &struct{ Body RevisionsList }{RevisionsList{revs}}, err
	})
}

// revisions tells of those of a call that the reader may see.
func (v view) revisions(id string) ([]Revision, error) {
	if _, err := v.seen(id); err != nil {
		return nil, err
	}
	entries, err := v.s.o.Store.Revisions(id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, v.s.fault("read a call", err)
	}
	revs := make([]Revision, len(entries))
	for i, e := range entries {
		revs[i] = Revision{Rev: e.Call.Rev, Seq: e.Seq, At: e.At, Changed: []string{}}
		if i == 0 {
			continue
		}
		if revs[i].Changed, err = changed(entries[i-1].Call, e.Call); err != nil {
			return nil, v.s.fault("compare revisions", err)
		}
	}
	return revs, nil
}

// changed names the fields that differ, but for rev, in their order.
func changed(before, after *call.Record) ([]string, error) {
	names := []string{}
	a, b := reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		if name == "rev" {
			continue
		}
		x, err := json.Marshal(a.Field(i).Interface())
		if err != nil {
			return nil, err
		}
		y, err := json.Marshal(b.Field(i).Interface())
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(x, y) {
			names = append(names, name)
		}
	}
	return names, nil
}

// Revisions asks when the record of a call changed.
func (c *Client) Revisions(ctx context.Context, id string) (list RevisionsList, err error) {
	return list, c.get(ctx, "/v1/calls/"+url.PathEscape(id)+"/revisions", nil, &list)
}
