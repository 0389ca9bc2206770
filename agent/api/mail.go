package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Outgoing is the mail that the configuration asks for.
type Outgoing interface {
	// SendReport mails a [[report]] now to everybody who gets it; ErrNotFound.
	SendReport(ctx context.Context, name string) ([]MailSent, error)
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
		switch {
		case errors.Is(err, ErrNotFound):
			return nil, huma.Error404NotFound("there is no such report")
		case err != nil && ctx.Err() != nil:
			return nil, huma.Error503ServiceUnavailable("the report was not made in time: ask again later")
		case err != nil:
			return nil, s.fault("mail a report", err)
		}
		return &struct{ Body ReportSent }{ReportSent{sent}}, nil
	})
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
