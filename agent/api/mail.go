package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"calljournal/agent/report"

	"github.com/danielgtaylor/huma/v2"
)

// Outgoing is the mail that the configuration asks for.
type Outgoing interface {
	// SendReport mails a [[report]] now to everybody who gets it; ErrNotFound.
	SendReport(ctx context.Context, name string) ([]MailSent, error)
	// MailReport mails a report that no [[report]] is about; ErrNoMail.
	MailReport(ctx context.Context, r MailedReport) ([]MailSent, error)
}

// ErrNoMail: the configuration names no mail server.
var ErrNoMail = errors.New("there is no [mail] in the configuration")

// MailedReport is a report and who is to get it.
type MailedReport struct {
	To       []string
	Language string
	Period   report.Period
	At       time.Time
	Document report.Document
}

type mailReportInput struct {
	ReportInput
	Body struct {
		To []string `json:"to" minItems:"1" maxItems:"20" doc:"addresses: name@company.example, or A Name <name@company.example>"`
	}
}

// MailSent is what became of one mail.
type MailSent struct {
	To    string `json:"to"`
	Error string `json:"error" doc:"why the mail server does not have it; empty if it has"`
}

// ReportSent is what became of a report that somebody asked for.
type ReportSent struct {
	Mails []MailSent `json:"mails"`
}

// mailTime is how long mailing a report may take while somebody waits for it. What
// is not mailed by then is not mailed.
const mailTime = 75 * time.Second

func (s *Server) mailRoutes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "send-report", Method: http.MethodPost, Path: "/v1/reports/{name}/send", Security: []map[string][]string{{"token": {ScopeAdmin}}}, MaxBodyBytes: maxBody,
		Summary:     "Mail a report of the configuration now",
		Description: "To everybody who gets it, about its period as it is now. Its schedule stays as it is. What fails is not tried again.",
	}, func(ctx context.Context, in *struct {
		Name string `path:"name" maxLength:"200"`
	}) (*struct{ Body ReportSent }, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, mailTime, errors.New("there was no time left for it"))
		defer cancel()
		if s.o.Outgoing == nil {
			return nil, huma.Error404NotFound("there is no such report")
		}
		sent, err := s.o.Outgoing.SendReport(ctx, in.Name)
		return s.mailed(ctx, sent, err)
	})
	huma.Register(api, huma.Operation{
		OperationID: "mail-report", Method: http.MethodPost, Path: "/v1/report/mail", Security: []map[string][]string{{"token": {ScopeAdmin}}}, MaxBodyBytes: maxBody,
		Summary:     "Mail the report of a period",
		Description: "The parameters are those of GET /v1/report. What fails is not tried again.",
	}, s.mailReport)
}

// mailed answers with what became of mails.
func (s *Server) mailed(ctx context.Context, sent []MailSent, err error) (*struct{ Body ReportSent }, error) {
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, huma.Error404NotFound("there is no such report")
	case errors.Is(err, ErrNoMail):
		return nil, huma.Error422UnprocessableEntity(err.Error() + ": it says which server takes the mail")
	case err != nil && ctx.Err() != nil:
		return nil, huma.Error503ServiceUnavailable("the report was not made in time: ask again later")
	case err != nil:
		return nil, s.fault("mail a report", err)
	}
	return &struct{ Body ReportSent }{ReportSent{sent}}, nil
}

func (s *Server) mailReport(ctx context.Context, in *mailReportInput) (*struct{ Body ReportSent }, error) {
	if s.o.Outgoing == nil {
		return s.mailed(ctx, nil, ErrNoMail)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, mailTime, errors.New("there was no time left for it"))
	defer cancel()
	now := s.o.Now().In(s.o.Zone)
	doc, err := s.Report(ctx, tokenOf(ctx).Role, &in.ReportInput, now)
	if err != nil {
		return nil, err
	}
	q, err := in.query(s.o.Zone, s.known())
	if err != nil {
		return nil, err
	}
	p, err := in.period(q, now)
	if err != nil {
		return nil, err
	}
	sent, err := s.o.Outgoing.MailReport(ctx, MailedReport{in.Body.To, in.Language, p, now, doc})
	return s.mailed(ctx, sent, err)
}

// MailReport has a report mailed; what is the query of GET /v1/report.
func (c *Client) MailReport(ctx context.Context, what url.Values, to []string) (sent ReportSent, err error) {
	ctx, cancel := context.WithTimeout(ctx, mailTime+askTime)
	defer cancel()
	answer, err := c.send(ctx, http.MethodPost, "/v1/report/mail", what, map[string]any{"to": to})
	if err != nil {
		return sent, err
	}
	defer answer.Close()
	return sent, decodeAnswer(answer, &sent)
}

// SendReport has a [[report]] mailed now.
func (c *Client) SendReport(ctx context.Context, name string) (sent ReportSent, err error) {
	ctx, cancel := context.WithTimeout(ctx, mailTime+askTime)
	defer cancel()
	answer, err := c.send(ctx, http.MethodPost, "/v1/reports/"+url.PathEscape(name)+"/send", nil, nil)
	if err != nil {
		return sent, err
	}
	defer answer.Close()
	return sent, decodeAnswer(answer, &sent)
}
