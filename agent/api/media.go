package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/media"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

func (s *Server) mediaRoutes(api huma.API) {
	journal, viewed := []map[string][]string{{"token": {ScopeJournal}}}, map[string]any{throughView: true}
	file := func(what string) map[string]*huma.Response {
		content := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
		return map[string]*huma.Response{
			"200": {Description: what + ", with the content type of its format", Content: content},
			"206": {Description: "The ranges that were asked for", Content: content},
			"404": {Description: "No such call, or the file is not there any more"},
		}
	}
	huma.Register(api, huma.Operation{
		OperationID: "recording", Method: http.MethodGet, Path: "/v1/calls/{id}/recordings/{n}", Security: journal, Metadata: viewed,
		Summary: "One recording of a call", Description: "n counts the recordings of the record, from 0. HTTP ranges are served.", Responses: file("The sound"),
	}, s.recording)
	huma.Register(api, huma.Operation{
		OperationID: "message", Method: http.MethodGet, Path: "/v1/calls/{id}/voicemail", Security: journal, Metadata: viewed,
		Summary: "The message that a call left in a mailbox", Description: "HTTP ranges are served.", Responses: file("The sound"),
	}, s.message)
	huma.Register(api, huma.Operation{
		OperationID: "fax", Method: http.MethodGet, Path: "/v1/calls/{id}/fax", Security: journal, Metadata: viewed,
		Summary: "The pages of a fax, as TIFF or PDF", Description: "Not for a reader who sees numbers masked: every page names the station.", Responses: file("The pages"),
	}, s.fax)
	huma.Register(api, huma.Operation{
		OperationID: "voicemail", Method: http.MethodGet, Path: "/v1/voicemail", Security: journal, Metadata: viewed,
		Summary: "Calls that got to a mailbox, with the message if one was left, newest first",
	}, s.voicemail)
	huma.Register(api, huma.Operation{
		OperationID: "faxes", Method: http.MethodGet, Path: "/v1/faxes", Security: journal, Metadata: viewed,
		Summary: "Faxes received and sent, newest first",
	}, s.faxes)
}

// ---- files

// FileInput is exported because huma looks only into such embedded structs.
type FileInput struct {
	ID       string `path:"id" maxLength:"300"`
	Download string `query:"download" maxLength:"8" doc:"there, with or without a value: to be saved rather than played"`
}

type recordingInput struct {
	FileInput
	N int `path:"n" minimum:"0"`
}

func (s *Server) recording(ctx context.Context, in *recordingInput) (*huma.StreamResponse, error) {
	return s.file(ctx, in.ID, fmt.Sprintf("recording-%d", in.N), func(r *call.Record) (*media.File, error) {
		return s.o.Media.Recording(ctx, r, in.N)
	})
}

func (s *Server) message(ctx context.Context, in *FileInput) (*huma.StreamResponse, error) {
	return s.file(ctx, in.ID, "voicemail", func(r *call.Record) (*media.File, error) { return s.o.Media.Voicemail(ctx, r) })
}

func (s *Server) fax(ctx context.Context, in *FileInput) (*huma.StreamResponse, error) {
	if s.view(ctx).role.MaskNumbers {
		return nil, huma.Error403Forbidden("the pages of a fax name its station: not for a reader who sees numbers masked")
	}
	return s.file(ctx, in.ID, "fax", func(r *call.Record) (*media.File, error) { return s.o.Media.Fax(ctx, r) })
}

// file answers with a file of a call that the reader may see.
func (s *Server) file(ctx context.Context, id, what string, open func(*call.Record) (*media.File, error)) (*huma.StreamResponse, error) {
	r, err := s.view(ctx).seen(id)
	if err != nil {
		return nil, err
	}
	f, err := open(r)
	switch {
	case errors.Is(err, media.ErrSlow):
		return nil, huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("the folder of the file does not answer"), http.Header{"Retry-After": {"10"}})
	case err != nil:
		return nil, huma.Error404NotFound("the " + what + " of call " + id + " is not there")
	}
	name := fileName(r, what) + f.Ending()
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer f.Close()
		req, w := humago.Unwrap(hc)
		head := w.Header()
		kind := "inline"
		if req.URL.Query().Has("download") || what == "fax" { // no browser shows a TIFF
			kind = "attachment"
		}
		head.Set("Content-Disposition", kind+`; filename="`+name+`"`)
		head.Set("Content-Type", f.ContentType())
		head.Set("ETag", fmt.Sprintf(`"%x-%x"`, f.Modified().UnixNano(), f.Size()))
		head.Set("No-Gzip-Compression", "1") // gzhttp takes it out again; sound is dense, and ranges are of the file
		http.ServeContent(paced{w, http.NewResponseController(w)}, req, "", f.Modified(), f)
	}}, nil
}

// fileName is a name for a file on the disk of whoever saves it: of our own making,
// so that nothing from outside is in it.
func fileName(r *call.Record, what string) string {
	id := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' {
			return c
		}
		return '_'
	}, r.ID)
	return r.StartedAt.Time().Format("20060102-150405") + "-" + id[:min(len(id), 80)] + "-" + what
}

// stall is how long a reader may leave a long answer waiting.
const stall = 30 * time.Second

// paced gives each piece of a long answer its own time, however long all takes.
type paced struct {
	http.ResponseWriter
	rc *http.ResponseController
}

func (p paced) Write(b []byte) (int, error) {
	if err := p.rc.SetWriteDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

// ---- lists

// ListInput is what both lists can be asked for.
type ListInput struct {
	From   string `query:"from" doc:"calls that began then or later: a time as of GET /v1/calls"`
	To     string `query:"to" doc:"calls that began before"`
	Number string `query:"number" maxLength:"64" doc:"part of any number of the call"`
	Limit  int    `query:"limit" default:"50" minimum:"1" doc:"more than 1000 is read as 1000"`
	Cursor string `query:"cursor" maxLength:"256" doc:"the cursor of the page before"`
}

func (s *Server) listQuery(in *ListInput) (q storage.Query, err error) {
	q = storage.Query{Number: some(in.Number), Limit: min(in.Limit, 1000), Cursor: in.Cursor}
	if q.From, err = s.timeOf("from", in.From); err != nil {
		return q, err
	}
	q.To, err = s.timeOf("to", in.To)
	return q, err
}

// Filed is the call that a message or a fax belongs to.
type Filed struct {
	CallID    string      `json:"call_id"`
	PBX       string      `json:"pbx"`
	Direction string      `json:"call_direction"`
	StartedAt call.Moment `json:"started_at"`
	From      call.Party  `json:"from"`
	To        call.Party  `json:"to"`
	Line      *call.Line  `json:"line"`
}

func filed(r *call.Record) Filed {
	return Filed{r.ID, r.PBX, r.Direction, r.StartedAt, r.From, r.To, r.Line}
}

// Message is a call that got to a mailbox; its file is there if the caller left a
// message and nobody deleted it: GET /v1/calls/CALL_ID/voicemail.
type Message struct {
	Filed
	call.VoicemailEntry
}

// MessagesPage is one page of messages, newest first.
type MessagesPage struct {
	Voicemail []Message `json:"voicemail"`
	Cursor    *string   `json:"cursor" doc:"for the next page; null on the last"`
}

// Fax is a call that was a fax: GET /v1/calls/CALL_ID/fax gives its pages.
type Fax struct {
	Filed
	call.FaxEntry
}

// FaxesPage is one page of faxes, newest first.
type FaxesPage struct {
	Faxes  []Fax   `json:"faxes"`
	Cursor *string `json:"cursor" doc:"for the next page; null on the last"`
}

func (s *Server) voicemail(ctx context.Context, in *struct {
	ListInput
	Mailbox string `query:"mailbox" maxLength:"128"`
}) (*struct{ Body MessagesPage }, error) {
	q, err := s.listQuery(&in.ListInput)
	if err != nil {
		return nil, err
	}
	q.Has = []string{"voicemail"}
	recs, cursor, err := s.view(ctx).callsThat(ctx, q, func(r *call.Record) bool {
		return r.Voicemail != nil && (in.Mailbox == "" || r.Voicemail.Mailbox == in.Mailbox)
	})
	if err != nil {
		return nil, err
	}
	out := MessagesPage{Voicemail: make([]Message, 0, len(recs)), Cursor: orNil(cursor)}
	for _, r := range recs {
		out.Voicemail = append(out.Voicemail, Message{filed(r), *r.Voicemail})
	}
	return &struct{ Body MessagesPage }{out}, nil
}

func (s *Server) faxes(ctx context.Context, in *struct {
	ListInput
	Direction []string `query:"direction" enum:"received,sent"`
}) (*struct{ Body FaxesPage }, error) {
	q, err := s.listQuery(&in.ListInput)
	if err != nil {
		return nil, err
	}
	q.Has = []string{"fax"}
	recs, cursor, err := s.view(ctx).callsThat(ctx, q, func(r *call.Record) bool {
		return r.Fax != nil && (len(in.Direction) == 0 || slices.Contains(in.Direction, r.Fax.Direction))
	})
	if err != nil {
		return nil, err
	}
	out := FaxesPage{Faxes: make([]Fax, 0, len(recs)), Cursor: orNil(cursor)}
	for _, r := range recs {
		out.Faxes = append(out.Faxes, Fax{filed(r), *r.Fax})
	}
	return &struct{ Body FaxesPage }{out}, nil
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
