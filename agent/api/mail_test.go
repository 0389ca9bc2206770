package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"calljournal/agent/api"
)

// outgoing mails to two addresses, of which one takes nothing.
type outgoing struct{}

func (outgoing) SendReport(ctx context.Context, name string) ([]api.MailSent, error) {
	switch name {
	case "daily":
		return []api.MailSent{{To: "a@b.example"}, {To: "c@d.example", Error: "550 no such user"}}, ctx.Err()
	case "broken":
		return nil, errors.New("the disk is on fire")
	}
	return nil, fmt.Errorf("%w: no such report", api.ErrNotFound)
}

func (outgoing) MailReport(_ context.Context, r api.MailedReport) (sent []api.MailSent, err error) {
	for _, to := range r.To {
		if to == "nowhere@company.example" {
			return nil, api.ErrNoMail
		}
		sent = append(sent, api.MailSent{To: to + " " + r.Document.Name + " " + r.Language + " " + r.Period.From.Format(time.DateOnly)})
	}
	return sent, nil
}

func TestMailReport(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		query, body, token string
		code               int
		want               string
	}{
		{"?from=2026-01-01&to=2026-02-01&format=csv&lang=ru", `{"to":["a@b.example","c@d.example"]}`, adminToken, 200, `{"to":"c@d.example report-2026-01-01-to-2026-01-31.csv ru 2026-01-01"`},
		{"", `{"to":["nowhere@company.example"]}`, adminToken, 422, "there is no [mail]"},
		{"", `{"to":[]}`, adminToken, 422, "to"},
		{"?nosuch=1", `{"to":["a@b.example"]}`, adminToken, 422, "nosuch"},
		{"?period=today&from=2026-01-01", `{"to":["a@b.example"]}`, adminToken, 422, "not both"},
		{"", `{"to":["a@b.example"]}`, journalToken, 403, "admin"},
	} {
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/report/mail"+tt.query, strings.NewReader(tt.body))
		req.Header.Set("Content-Type", "application/json")
		w := r.do(t, req, tt.token)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s: %d, want %d: %s", tt.query, tt.body, w.Code, tt.code, w.Body)
		}
	}
}

func TestSendReport(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		name, token string
		code        int
		want        string
	}{
		{"daily", adminToken, 200, `{"mails":[{"to":"a@b.example","error":""},{"to":"c@d.example","error":"550 no such user"}]}`},
		{"weekly", adminToken, 404, "no such report"},
		{"broken", adminToken, 500, "the log has the reason"},
		{"daily", journalToken, 403, "admin"},
		{"daily", syncToken, 403, "admin"},
	} {
		w := r.do(t, httptest.NewRequestWithContext(t.Context(), "POST", "/v1/reports/"+tt.name+"/send", nil), tt.token)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: %d, want %d: %s", tt.name, w.Code, tt.code, w.Body)
		}
	}
}
