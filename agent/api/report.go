package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/report"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

// ReportInput is what GET /v1/report can be asked for.
type ReportInput struct {
	CallFilter
	Period   string `query:"period" enum:"today,yesterday,this-week,last-week,this-month,last-month,7d,30d,all" doc:"in the time zone of the configuration, instead of from and to; without any of them last-month"`
	Format   string `query:"format" enum:"pdf,csv,xlsx" default:"pdf"`
	Language string `query:"lang" enum:"ru,en" default:"en" doc:"of pdf and xlsx; csv is for programs"`
}

type reportOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Compressed  string `header:"No-Gzip-Compression"` // gzhttp takes it out again
	Body        []byte
}

func (s *Server) reportRoutes(api huma.API) {
	binary := &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
	huma.Register(api, huma.Operation{
		OperationID: "report", Method: http.MethodGet, Path: "/v1/report",
		Security: []map[string][]string{{"token": {ScopeJournal}}}, Metadata: map[string]any{throughView: true},
		Summary: "The report of a period as a document",
		Description: "Figures with those of the period before, charts, tables by employee, department, queue, line and source, the callers who wait, and the formulas. " +
			"It names the entry of the feed at which it was counted. A limited reader gets a report of what he may see.",
		Responses: map[string]*huma.Response{"200": {Description: "The report", Content: map[string]*huma.MediaType{
			"application/pdf": binary, "text/csv": {Schema: &huma.Schema{Type: "string"}},
			"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": binary,
		}}},
	}, func(ctx context.Context, in *ReportInput) (*reportOutput, error) {
		leave, ok := s.exports.Take(tokenOf(ctx).String())
		if !ok {
			return nil, huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("other exports are being made"), http.Header{"Retry-After": {"10"}})
		}
		defer leave()
		doc, err := s.Report(ctx, tokenOf(ctx).Role, in, s.o.Now())
		if err != nil {
			return nil, err
		}
		return &reportOutput{doc.ContentType, mime.FormatMediaType("attachment", map[string]string{"filename": doc.Name}), "1", doc.Bytes}, nil
	})
}

// ReportInputOf reads the query of GET /v1/report, for who has no request.
func ReportInputOf(query url.Values) (*ReportInput, error) {
	in := &ReportInput{}
	fields := map[string]reflect.Value{}
	var find func(v reflect.Value)
	find = func(v reflect.Value) {
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("query"), ",")
			if fields[name] = v.Field(i); name == "" {
				find(v.Field(i))
			}
		}
	}
	find(reflect.ValueOf(in).Elem())
	for name, given := range query {
		switch field := fields[name]; {
		case name == "" || !field.IsValid():
			return nil, fmt.Errorf("%.40q is no parameter of a report", name)
		case field.Kind() == reflect.Slice:
			field.Set(reflect.ValueOf(given))
		case len(given) > 1:
			return nil, fmt.Errorf("%s: more than one value", name)
		case len(given) == 1:
			field.SetString(given[0])
		}
	}
	return in, nil
}

// Report makes a report for a reader with a role. Empty fields of in have their
// defaults; a period with a name is the one that it was at a moment, which may be
// when the report was due.
func (s *Server) Report(ctx context.Context, role access.Role, in *ReportInput, at time.Time) (report.Document, error) {
	q, err := in.query(s.o.Zone, s.known())
	if err != nil {
		return report.Document{}, err
	}
	v := view{s, role}
	if err := v.mayAsk(q); err != nil {
		return report.Document{}, err
	}
	p, err := in.period(q, at.In(s.o.Zone))
	if err != nil {
		return report.Document{}, huma.Error422UnprocessableEntity(err.Error())
	}
	req := report.Request{
		Format: in.Format, Language: in.Language, Agent: s.o.Agent, Period: p, Now: s.o.Now().In(s.o.Zone),
		Filter: in.conditions(), Department: role.Department, Masked: role.MaskNumbers,
	}
	oldest, err := s.oldest()
	if err != nil {
		return report.Document{}, err
	}
	if oldest != 0 {
		req.Oldest = oldest.Time().In(s.o.Zone)
	}
	if req.Format == "" {
		req.Format = report.PDF
	}
	if req.Language == "" {
		req.Language = report.English
	}
	doc, err := report.Make(ctx, req, reportSource{v, q})
	if errors.Is(err, report.ErrPeriod) {
		err = huma.Error422UnprocessableEntity(err.Error())
	}
	return doc, err
}

// period is what the name says, or from and to; q has these as moments.
func (in *ReportInput) period(q storage.Query, at time.Time) (p report.Period, err error) {
	given := in.From != "" || in.To != ""
	switch {
	case given && in.Period != "":
		return p, fmt.Errorf("period: %s, or from and to, not both", in.Period)
	case given:
		if q.From != 0 {
			p.From = q.From.Time().In(at.Location())
		}
		if q.To != 0 {
			p.To = q.To.Time().In(at.Location())
		}
		return p, nil
	case in.Period == "":
		return report.PeriodOf(report.LastMonth, at)
	}
	return report.PeriodOf(in.Period, at)
}

// conditions are the parameters of the filter but the period, in their order.
func (f *CallFilter) conditions() (list []report.Condition) {
	v := reflect.ValueOf(f).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("query"), ",")
		if name == "from" || name == "to" {
			continue
		}
		var words []string
		switch given := v.Field(i).Interface().(type) {
		case string:
			words = some(given)
		case []string:
			for _, text := range given {
				if filterWords[name] != nil {
					words = append(words, strings.Split(text, ",")...)
				} else {
					words = append(words, text)
				}
			}
		}
		if words = slices.DeleteFunc(words, func(w string) bool { return w == "" }); len(words) > 0 {
			list = append(list, report.Condition{Name: name, Words: words})
		}
	}
	return list
}

// reportSource is the journal as a reader sees it, for one filter.
type reportSource struct {
	view view
	q    storage.Query
}

func (r reportSource) Rules() journal.Rules { return r.view.s.counting().rules }

func (r reportSource) Position() (id string, seq uint64) {
	return r.view.s.o.Store.Journal(), r.view.s.o.Store.Head()
}

func (r reportSource) period(p report.Period) storage.Query {
	q := r.q
	q.From, q.To = 0, 0
	if !p.From.IsZero() {
		q.From = call.MomentOf(p.From)
	}
	if !p.To.IsZero() {
		q.To = call.MomentOf(p.To)
	}
	return q
}

func (r reportSource) Rows(ctx context.Context, p report.Period, tables []report.Table) ([][]journal.Row, error) {
	asked := make([]table, len(tables))
	for i, t := range tables {
		asked[i] = table{by: t.By, step: t.Step}
	}
	c, err := r.view.count(ctx, r.period(p), asked)
	if err != nil {
		return nil, err
	}
	out := make([][]journal.Row, len(tables))
	for i, sheet := range c.out {
		out[i] = sheet.Rows()
		for k := range out[i] {
			row := &out[i][k]
			if tables[i].By == journal.ByLine {
				row.Group = r.view.named(row.Group)
			}
			if r.view.role.MaskNumbers {
				row.Group = access.Mask(row.Group)
			}
		}
	}
	return out, nil
}

// named is a number of the company with the name that it has there.
func (v view) named(line string) string {
	if d := v.s.known(); d != nil && d.LineName(line) != "" {
		return d.LineName(line) + " · " + line
	}
	return line
}

func (r reportSource) Missed(ctx context.Context, p report.Period, n int) ([]*journal.MissedCaller, bool, error) {
	q := r.period(p)
	until, err := r.view.s.missedUntil()
	if err != nil {
		return nil, false, err
	}
	at := missedCursor{Until: min(q.To, until)}
	at.Below.Started = at.Until
	page, next, err := r.view.missed(ctx, []string{journal.StateOpen, journal.StateAttempted}, q.From, at, n, q.Matches)
	return page, next != nil, err
}

// Report asks for a report; what is the query of GET /v1/report. It may take as
// long as the calls are many.
func (c *Client) Report(ctx context.Context, what url.Values) (doc report.Document, err error) {
	resp, err := c.ask(ctx, http.MethodGet, "/v1/report", what, nil)
	if err != nil {
		return doc, err
	}
	defer resp.Body.Close()
	doc.ContentType = resp.Header.Get("Content-Type")
	if _, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil {
		doc.Name = params["filename"]
	}
	if strings.ContainsAny(doc.Name, `/\`) || strings.HasPrefix(doc.Name, ".") {
		return doc, fmt.Errorf("read the daemon's answer: %q is no name of a file", doc.Name)
	}
	if doc.Bytes, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return doc, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return doc, nil
}
