package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/sheet"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Formats of an export.
const (
	FormatCSV  = "csv"
	FormatXLSX = "xlsx"
)

const (
	maxExports   = 3   // at a time, reports too
	maxExportsOf = 2   // of one reader
	exportPage   = 500 // calls read at once: what an export holds in memory
)

type exportInput struct {
	CallFilter
	Sort   string `query:"sort" default:"-started_at" doc:"as of GET /v1/calls"`
	Format string `query:"format" enum:"csv,xlsx" default:"csv"`
}

func (s *Server) exportRoutes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "export", Method: http.MethodGet, Path: "/v1/calls/export",
		Security: []map[string][]string{{"token": {ScopeJournal}}}, Metadata: map[string]any{throughView: true},
		Summary: "All calls that a filter selects, as a table",
		Description: "CSV is UTF-8 with a byte order mark, times are RFC 3339 in the agent's zone, durations milliseconds. A text that a spreadsheet could take for a formula, " +
			"a number that begins with + too, has a ' in front. XLSX has typed cells; a sheet holds 1,048,575 calls.",
		Responses: map[string]*huma.Response{"200": {Description: "The table", Content: map[string]*huma.MediaType{
			"text/csv": {Schema: &huma.Schema{Type: "string"}},
			"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {Schema: &huma.Schema{Type: "string", Format: "binary"}},
		}}},
	}, s.export)
}

func (s *Server) export(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
	q, err := in.query(s.o.Zone, s.known())
	if err != nil {
		return nil, err
	}
	q.Sort, q.Limit = in.Sort, exportPage
	leave, ok := s.exports.Take(tokenOf(ctx).String())
	if !ok {
		return nil, huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("other exports are being made"), http.Header{"Retry-After": {"10"}})
	}
	// The first page is read before the answer begins, so that a wrong question
	// gets an answer of its own.
	v := s.view(ctx)
	first, cursor, err := v.pick(ctx, q, anyCall)
	if err != nil {
		leave()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer leave()
		_, w := humago.Unwrap(hc)
		out := &begun{w: paced{w, http.NewResponseController(w)}}
		head := w.Header()
		head.Set("Content-Disposition", `attachment; filename="calls-`+s.o.Now().In(s.o.Zone).Format("20060102-150405")+`.`+in.Format+`"`)
		head.Set("Content-Type", "text/csv; charset=utf-8")
		if in.Format == FormatXLSX {
			head.Set("Content-Type", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
			head.Set("No-Gzip-Compression", "1") // gzhttp takes it out again; a workbook is compressed
		}
		if err := s.writeTable(ctx, out, in.Format, v, q, first, cursor); err != nil {
			s.exportFailed(ctx, w, out.any, err)
		}
	}}, nil
}

func anyCall(*call.Record) bool { return true }

// exportFailed answers with what went wrong or, if the answer has begun, cuts the
// connection: the reader must not take half a table for a whole one.
func (s *Server) exportFailed(ctx context.Context, w http.ResponseWriter, begun bool, err error) {
	if ctx.Err() == nil && !errors.Is(err, sheet.ErrTooLong) && !errors.Is(err, errEnding) {
		s.o.Logger.Error("export failed", "err", err)
	}
	if begun {
		panic(http.ErrAbortHandler)
	}
	w.Header().Del("Content-Disposition")
	w.Header().Del("No-Gzip-Compression")
	switch {
	case errors.Is(err, sheet.ErrTooLong):
		problem(w, http.StatusUnprocessableEntity, "these are more calls than a sheet holds: take format=csv, or a shorter period")
	case errors.Is(err, errEnding):
		problem(w, http.StatusServiceUnavailable, errEnding.Error())
	default:
		problem(w, http.StatusInternalServerError, "the export failed; the log has the reason")
	}
}

// begun notes that something was written.
type begun struct {
	w   io.Writer
	any bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.any = true
	return b.w.Write(p)
}

var errEnding = errors.New("the daemon ends")

func (s *Server) writeTable(ctx context.Context, out io.Writer, format string, v view, q storage.Query, recs []*call.Record, cursor string) (err error) {
	columns := exportColumns()
	head := make([]sheet.Column, len(columns))
	for i, c := range columns {
		head[i] = c.Column
		switch {
		case c.Kind == sheet.Duration && format == FormatCSV:
			head[i].Name += "_ms"
		case c.Kind == sheet.Time && format == FormatXLSX:
			head[i].Name += " (" + strings.Replace(s.o.Zone.String(), "Local", "local time", 1) + ")"
		}
	}
	var table sheet.Writer
	if format == FormatXLSX {
		table, err = sheet.NewXLSX(out, "Calls", s.o.Zone, head)
	} else {
		table, err = sheet.NewCSV(out, s.o.Zone, head)
	}
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			_ = table.Close() // for its temporary file; it went wrong before
		}
	}()
	row := make([]any, len(columns))
	for {
		for _, r := range v.masked(recs) {
			for i, c := range columns {
				row[i] = c.of(r)
			}
			if err := table.Row(row); err != nil {
				return err
			}
		}
		if cursor == "" {
			closed = true
			return table.Close()
		}
		select {
		case <-s.ending.Done():
			return errEnding
		default:
		}
		q.Cursor = cursor
		if recs, cursor, err = v.pick(ctx, q, anyCall); err != nil {
			return err
		}
	}
}

// exportColumn is one column of the table of calls.
type exportColumn struct {
	sheet.Column
	of func(*call.Record) any // nil where it is unknown
}

// exportColumns are the columns in their order. Programs know them by name: only
// add, and at the end.
func exportColumns() []exportColumn {
	text := func(name string, of func(*call.Record) *string) exportColumn {
		return exportColumn{sheet.Column{Name: name, Kind: sheet.Text}, func(r *call.Record) any {
			if s := of(r); s != nil {
				return *s
			}
			return nil
		}}
	}
	word := func(name string, of func(*call.Record) string) exportColumn {
		return text(name, func(r *call.Record) *string { s := of(r); return &s })
	}
	list := func(name string, of func(*call.Record) []string) exportColumn {
		return word(name, func(r *call.Record) string { return strings.Join(of(r), ", ") })
	}
	moment := func(name string, of func(*call.Record) call.Moment) exportColumn {
		return exportColumn{sheet.Column{Name: name, Kind: sheet.Time}, func(r *call.Record) any {
			if m := of(r); m != 0 {
				return m.Ms().Time()
			}
			return nil
		}}
	}
	long := func(name string, of func(*call.Record) *int64) exportColumn {
		return exportColumn{sheet.Column{Name: name, Kind: sheet.Duration}, func(r *call.Record) any {
			if ms := of(r); ms != nil {
				return time.Duration(*ms) * time.Millisecond
			}
			return nil
		}}
	}
	flag := func(name string, of func(*call.Record) bool) exportColumn {
		return exportColumn{sheet.Column{Name: name, Kind: sheet.Flag}, func(r *call.Record) any { return of(r) }}
	}
	party := func(name string, of func(*call.Record) *call.Party) []exportColumn {
		return []exportColumn{
			text(name+"_number", func(r *call.Record) *string {
				if p := of(r); p.E164 != nil {
					return p.E164
				}
				return of(r).Number
			}),
			text(name+"_name", func(r *call.Record) *string { return of(r).Name }),
			text(name+"_employee", func(r *call.Record) *string { return of(r).Employee }),
			text(name+"_department", func(r *call.Record) *string { return of(r).Department }),
		}
	}
	line := func(r *call.Record) call.Line {
		if r.Line == nil {
			return call.Line{}
		}
		return *r.Line
	}
	columns := []exportColumn{
		word("id", func(r *call.Record) string { return r.ID }),
		moment("started_at", func(r *call.Record) call.Moment { return r.StartedAt }),
		moment("answered_at", func(r *call.Record) call.Moment { return r.AnsweredAt }),
		moment("ended_at", func(r *call.Record) call.Moment { return r.EndedAt }),
		word("direction", func(r *call.Record) string { return r.Direction }),
		word("status", func(r *call.Record) string { return r.Status }),
		flag("missed", func(r *call.Record) bool { return r.Missed }),
	}
	columns = append(columns, party("from", func(r *call.Record) *call.Party { return &r.From })...)
	columns = append(columns, party("to", func(r *call.Record) *call.Party { return &r.To })...)
	return append(columns,
		word("line_number", func(r *call.Record) string { return line(r).Number }),
		text("line_name", func(r *call.Record) *string { return line(r).Name }),
		text("source", func(r *call.Record) *string { return line(r).Source }),
		text("trunk", func(r *call.Record) *string { return r.Trunk }),
		list("queues", func(r *call.Record) []string { return r.Queues }),
		text("answered_by", func(r *call.Record) *string { return r.AnsweredBy }),
		text("last_talked_by", func(r *call.Record) *string { return r.LastTalkedBy }),
		long("wait", func(r *call.Record) *int64 { return r.WaitMs }),
		long("total_wait", func(r *call.Record) *int64 { return r.TotalWaitMs }),
		long("ivr", func(r *call.Record) *int64 { return r.IVRMs }),
		long("queue", func(r *call.Record) *int64 { return r.QueueMs }),
		long("ring", func(r *call.Record) *int64 { return r.RingMs }),
		long("talk", func(r *call.Record) *int64 { return r.TalkMs }),
		long("hold", func(r *call.Record) *int64 { return r.HoldMs }),
		long("total", func(r *call.Record) *int64 { return r.TotalMs }),
		text("ended_by", func(r *call.Record) *string { return r.EndedBy }),
		text("abandoned_in", func(r *call.Record) *string { return r.AbandonedIn }),
		list("types", func(r *call.Record) []string { return r.Types }),
		text("healed_by", func(r *call.Record) *string { return r.HealedBy }),
		text("account", func(r *call.Record) *string { return r.Account }),
		exportColumn{sheet.Column{Name: "cost", Kind: sheet.Decimal}, func(r *call.Record) any {
			if r.Cost == nil || r.Cost.Amount == "" {
				return nil
			}
			return r.Cost.Amount
		}},
		text("currency", func(r *call.Record) *string {
			if r.Cost == nil {
				return nil
			}
			return &r.Cost.Currency
		}),
		list("tags", func(r *call.Record) []string { return r.Tags }),
		exportColumn{sheet.Column{Name: "recordings", Kind: sheet.Number}, func(r *call.Record) any { return int64(len(r.Recordings)) }},
		flag("voicemail", func(r *call.Record) bool { return r.Voicemail != nil }),
		flag("fax", func(r *call.Record) bool { return r.Fax != nil }),
		word("pbx", func(r *call.Record) string { return r.PBX }),
		word("quality", func(r *call.Record) string { return r.Quality }),
		list("doubts", func(r *call.Record) []string { return r.Doubts }),
	)
}

// Export writes the table of all calls that filter selects to w; filter is the
// query of GET /v1/calls/export. An error means that what w got is no table.
func (c *Client) Export(ctx context.Context, filter url.Values, w io.Writer) (int64, error) {
	answer, err := c.open(ctx, http.MethodGet, "/v1/calls/export", filter)
	if err != nil {
		return 0, err
	}
	defer answer.Close()
	return io.Copy(w, answer)
}
