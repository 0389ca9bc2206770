package api

import (
	"context"
	"errors"
	"net/http"

	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

// DeadLetters is what forwarders set aside. An unknown forwarder is an
// ErrNotFound; no numbers mean all.
type DeadLetters interface {
	Dead(forwarder string) ([]storage.DeadLetter, error)
	Resend(forwarder string, seqs []uint64) (int, error)
	Drop(forwarder string, seqs []uint64) (int, error)
}

// DeadPage is what a forwarder set aside.
type DeadPage struct {
	Dead []storage.DeadLetter `json:"dead" doc:"by their numbers"`
}

// DeadChanged says of how many dead letters something was done.
type DeadChanged struct {
	Count int `json:"count"`
}

type deadInput struct {
	Name string `path:"name" maxLength:"200"`
}

type deadChange struct {
	Name string `path:"name" maxLength:"200"`
	Body struct {
		Seqs []uint64 `json:"seqs,omitempty" maxItems:"1000" doc:"numbers of entries; none: all that are set aside"`
	}
}

func (s *Server) forwardRoutes(api huma.API) {
	admin := []map[string][]string{{"token": {ScopeAdmin}}}
	huma.Register(api, huma.Operation{
		OperationID: "dead-letters", Method: http.MethodGet, Path: "/v1/forwarders/{name}/dead", Security: admin,
		Summary: "Entries that the far side of a forwarder refused",
	}, func(_ context.Context, in *deadInput) (*struct{ Body DeadPage }, error) {
		dead, err := s.o.DeadLetters.Dead(in.Name)
		if err != nil {
			return nil, s.forwardError(err)
		}
		if dead == nil {
			dead = []storage.DeadLetter{}
		}
		return &struct{ Body DeadPage }{DeadPage{dead}}, nil
	})
	change := func(do func(string, []uint64) (int, error)) func(context.Context, *deadChange) (*struct{ Body DeadChanged }, error) {
		return func(_ context.Context, in *deadChange) (*struct{ Body DeadChanged }, error) {
			n, err := do(in.Name, in.Body.Seqs)
			if err != nil {
				return nil, s.forwardError(err)
			}
			return &struct{ Body DeadChanged }{DeadChanged{n}}, nil
		}
	}
	huma.Register(api, huma.Operation{
		OperationID: "resend-dead-letters", Method: http.MethodPost, Path: "/v1/forwarders/{name}/resend", Security: admin, MaxBodyBytes: maxBody,
		Summary: "Send dead letters again, each once; one that is taken leaves the list",
	}, change(func(name string, seqs []uint64) (int, error) { return s.o.DeadLetters.Resend(name, seqs) }))
	huma.Register(api, huma.Operation{
		OperationID: "drop-dead-letters", Method: http.MethodPost, Path: "/v1/forwarders/{name}/drop", Security: admin, MaxBodyBytes: maxBody,
		Summary: "Give dead letters up: they are never sent. The journal keeps the calls",
	}, change(func(name string, seqs []uint64) (int, error) { return s.o.DeadLetters.Drop(name, seqs) }))
}

func (s *Server) forwardError(err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return huma.Error404NotFound("there is no such forwarder")
	case errors.Is(err, storage.ErrFull):
		return huma.Error503ServiceUnavailable("the disk has no room")
	}
	return s.fault("dead letters", err)
}
