package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"calljournal/agent/call"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

const (
	defaultPage = 500
	maxPage     = 5000 // entries; 3 KB each
	maxWait     = 60   // seconds
)

type feedInput struct {
	After   uint64 `query:"after" doc:"the next of the page before; 0 starts at the oldest"`
	Journal string `query:"journal" maxLength:"100" doc:"the journal of the page before: an answer of 410 says that it is another one now"`
	Limit   int    `query:"limit" default:"500" minimum:"1" doc:"entries at most; more than 5000 is read as 5000"`
	Wait    int    `query:"wait" minimum:"0" doc:"seconds to wait for something new; more than 60 is read as 60"`
}

// feedPage is what feedInput is answered with, for the description only: the
// body is written by writePage.
type feedPage struct {
	Journal string      `json:"journal"`
	Agent   string      `json:"agent"`
	Entries []feedEntry `json:"entries"`
	Next    uint64      `json:"next" doc:"the after of the next page"`
	Head    uint64      `json:"head" doc:"number of the newest entry"`
	Oldest  uint64      `json:"oldest" doc:"smallest number that is kept"`
}

type feedEntry struct {
	Seq  uint64       `json:"seq"`
	At   call.Moment  `json:"at"`
	Op   string       `json:"op" enum:"call,gap,delete"`
	Call *call.Record `json:"call,omitempty"`
	Gap  *call.Gap    `json:"gap,omitempty"`
	ID   string       `json:"id,omitempty"`
	Into string       `json:"into,omitempty"`
}

// EncodeEntry writes an entry as GET /v1/sync has it, for those who send the feed
// on. (The feed itself is written straight from the file: storage.DB.FeedJSON.)
func EncodeEntry(e *storage.Entry) ([]byte, error) { return json.Marshal((*feedEntry)(e)) }

// goneError tells a reader of the feed that it must start anew, and where.
type goneError struct {
	huma.ErrorModel
	Journal string `json:"journal"`
	Oldest  uint64 `json:"oldest"`
	Head    uint64 `json:"head"`
}

func (s *Server) gone(why string) error {
	return &goneError{huma.ErrorModel{Status: http.StatusGone, Title: http.StatusText(http.StatusGone), Detail: why},
		s.o.Store.Journal(), s.o.Store.Oldest(), s.o.Store.Head()}
}

func (s *Server) feedRoutes(api huma.API) {
	registry := api.OpenAPI().Components.Schemas
	huma.Register(api, huma.Operation{
		OperationID: "sync", Method: http.MethodGet, Path: "/v1/sync",
		Summary:     "The feed",
		Description: "Entries in commit order, numbered without a hole from 1. An entry is here only once it is safely on disk.",
		Security:    []map[string][]string{{"token": {ScopeSync}}},
		Responses: map[string]*huma.Response{
			"200": {Description: "A page, possibly empty", Content: map[string]*huma.MediaType{
				"application/json": {Schema: huma.SchemaFromType(registry, typeFor[feedPage]())}}},
			"410": {Description: "Older than what is kept, or another journal", Content: map[string]*huma.MediaType{
				"application/problem+json": {Schema: huma.SchemaFromType(registry, typeFor[goneError]())}}},
		},
	}, s.sync)
	huma.Register(api, huma.Operation{
		OperationID: "set-consumer", Method: http.MethodPut, Path: "/v1/consumers/{name}",
		Summary:       "What a consumer has safely stored",
		Description:   "Retention keeps what a consumer has not.",
		Security:      []map[string][]string{{"token": {ScopeSync}}},
		DefaultStatus: http.StatusNoContent,
		MaxBodyBytes:  maxBody,
	}, s.setConsumer)
	huma.Register(api, huma.Operation{
		OperationID: "forget-consumer", Method: http.MethodDelete, Path: "/v1/consumers/{name}",
		Summary:       "Forget a consumer",
		Description:   "Nothing is kept for it any more.",
		Security:      []map[string][]string{{"token": {ScopeAdmin}}},
		DefaultStatus: http.StatusNoContent,
	}, s.forgetConsumer)
}

func (s *Server) sync(ctx context.Context, in *feedInput) (*huma.StreamResponse, error) {
	if in.Journal != "" && in.Journal != s.o.Store.Journal() {
		return nil, s.gone("this is another journal now: begin at after=0")
	}
	after := in.After
	if after == 0 {
		after = s.o.Store.Oldest() - 1
	}
	limit := min(in.Limit, maxPage)
	first, err := s.stretch(stretchBuffer(), after, limit)
	if err == nil && first.empty() && in.Wait > 0 {
		first, err = s.waitForStretch(ctx, first.text, after, limit, time.Duration(min(in.Wait, maxWait))*time.Second)
	}
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		s.writePage(ctx.BodyWriter(), first, limit)
	}}, nil
}

// stretch is a part of a page, as JSON: what is in memory of it at a time.
type stretch struct {
	text []byte
	from uint64 // the number before its first entry
	page storage.Page
}

func (t *stretch) empty() bool  { return t.page.Next == t.from }
func (t *stretch) entries() int { return int(t.page.Next - t.from) }

const (
	stretchBytes = 64 << 10
	maxPageBytes = 64 << 20 // an entry may be as large
)

// stretchBuffer has room for an entry beyond stretchBytes: the last one that
// still begins within it.
func stretchBuffer() []byte { return make([]byte, 0, stretchBytes+stretchBytes/4) }

func (s *Server) stretch(b []byte, after uint64, limit int) (stretch, error) {
	text, page, err := s.o.Store.FeedJSON(b[:0], after, limit, stretchBytes)
	switch {
	case errors.Is(err, storage.ErrExpired):
		err = s.gone(fmt.Sprintf("entries after %d are no longer kept: begin at after=0", after))
	case errors.Is(err, storage.ErrAhead):
		err = s.gone(fmt.Sprintf("this journal never had an entry %d: begin at after=0", after))
	case err != nil:
		err = s.fault("read the feed", err)
	}
	return stretch{text, after, page}, err
}

// writePage writes a feedPage, one stretch after the other, so that a page takes
// no more memory than a stretch, however slowly it is read. What comes later can
// only make it shorter: next says where to go on, and the next request says why.
func (s *Server) writePage(w io.Writer, t stretch, limit int) {
	head := call.AppendText([]byte(`{"journal":`), s.o.Store.Journal())
	head = call.AppendText(append(head, `,"agent":`...), s.o.Agent)
	if _, err := w.Write(append(head, `,"entries":[`...)); err != nil {
		return
	}
	for size := 0; ; {
		if _, err := w.Write(t.text); err != nil {
			return
		}
		size += len(t.text)
		limit -= t.entries()
		if limit <= 0 || size > maxPageBytes || t.page.Next == t.page.Head {
			break
		}
		next, err := s.stretch(t.text, t.page.Next, limit)
		if err != nil || next.empty() {
			break
		}
		if _, err := w.Write([]byte{','}); err != nil {
			return
		}
		t = next
	}
	tail := strconv.AppendUint([]byte(`],"next":`), t.page.Next, 10)
	tail = strconv.AppendUint(append(tail, `,"head":`...), t.page.Head, 10)
	tail = strconv.AppendUint(append(tail, `,"oldest":`...), t.page.Oldest, 10)
	_, _ = w.Write(append(tail, "}\n"...))
}

// waitForStretch holds the request until there is something new. The channel is
// taken before the feed is read, so that no commit falls between the two.
func (s *Server) waitForStretch(ctx context.Context, b []byte, after uint64, limit int, wait time.Duration) (stretch, error) {
	if !s.takePoll() {
		return stretch{}, huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("too many requests wait already"), http.Header{"Retry-After": {"5"}})
	}
	defer s.givePoll()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		changed := s.o.Store.Changed()
		t, err := s.stretch(b, after, limit)
		if err != nil || !t.empty() {
			return t, err
		}
		select {
		case <-changed:
		case <-timer.C:
			return t, nil
		case <-ctx.Done():
			return t, ctx.Err()
		case <-s.ending.Done():
			return t, nil
		}
	}
}

func (s *Server) takePoll() bool {
	select {
	case s.polls <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s *Server) givePoll() { <-s.polls }

type consumerInput struct {
	Name string `path:"name" maxLength:"64" pattern:"^[\\p{L}\\p{N}][\\p{L}\\p{N}._-]*$"`
	Body struct {
		Journal string `json:"journal" maxLength:"100"`
		Seq     uint64 `json:"seq"`
	}
}

func (s *Server) setConsumer(_ context.Context, in *consumerInput) (*struct{}, error) {
	err := s.o.Store.SetConsumer(storage.Consumer{Name: in.Name, Journal: in.Body.Journal, Seq: in.Body.Seq})
	switch {
	case errors.Is(err, storage.ErrExpired):
		return nil, s.gone("this is another journal now: begin at after=0")
	case errors.Is(err, storage.ErrAhead):
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("this journal never had an entry %d", in.Body.Seq))
	case errors.Is(err, storage.ErrConsumer):
		return nil, huma.Error422UnprocessableEntity(err.Error())
	case errors.Is(err, storage.ErrFull):
		return nil, huma.Error503ServiceUnavailable("the disk has no room")
	case err != nil:
		return nil, s.fault("note a consumer", err)
	}
	return nil, nil
}

func (s *Server) forgetConsumer(_ context.Context, in *struct {
	Name string `path:"name" maxLength:"200"`
}) (*struct{}, error) {
	switch err := s.o.Store.DropConsumer(in.Name); {
	case errors.Is(err, storage.ErrNotFound):
		return nil, huma.Error404NotFound(fmt.Sprintf("there is no consumer %s", in.Name))
	case errors.Is(err, storage.ErrFull):
		return nil, huma.Error503ServiceUnavailable("the disk has no room")
	case err != nil:
		return nil, s.fault("forget a consumer", err)
	}
	return nil, nil
}
