package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

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
