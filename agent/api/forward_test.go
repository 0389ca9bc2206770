package api_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"calljournal/agent/api"
	"calljournal/storage"
)

// deadLetters is one forwarder's, as the daemon would have them.
type deadLetters struct{ did []string }

func (d *deadLetters) known(name string) error {
	if name != "crm" {
		return fmt.Errorf("%w: %s", api.ErrNotFound, name)
	}
	return nil
}

func (d *deadLetters) Dead(name string) ([]storage.DeadLetter, error) {
	return []storage.DeadLetter{{Seq: 7, Call: "main:1.1", At: 1700000000000000, Tries: 5, Error: "answered 422"}}, d.known(name)
}

func (d *deadLetters) Resend(name string, seqs []uint64) (int, error) {
	d.did = append(d.did, fmt.Sprint("resend ", seqs))
	return 1, d.known(name)
}

func (d *deadLetters) Drop(name string, seqs []uint64) (int, error) {
	d.did = append(d.did, fmt.Sprint("drop ", seqs))
	return 1, d.known(name)
}

func TestDeadLetters(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		method, path, body, token string
		code                      int
		want                      string
	}{
		{"GET", "/v1/forwarders/crm/dead", "", adminToken, 200, `{"dead":[{"seq":7,"call":"main:1.1","at":"2023-11-14T22:13:20.000Z","tries":5,"error":"answered 422","again":false}]}`},
		{"GET", "/v1/forwarders/nobody/dead", "", adminToken, 404, "no such forwarder"},
		{"GET", "/v1/forwarders/crm/dead", "", journalToken, 403, ""},
		{"POST", "/v1/forwarders/crm/resend", `{"seqs":[7,8]}`, adminToken, 200, `{"count":1}`},
		{"POST", "/v1/forwarders/crm/drop", `{}`, adminToken, 200, `{"count":1}`},
		{"POST", "/v1/forwarders/crm/drop", `{"seqs":"all"}`, adminToken, 422, ""},
		{"POST", "/v1/forwarders/nobody/drop", `{}`, adminToken, 404, ""},
		{"POST", "/v1/forwarders/crm/resend", `{}`, syncToken, 403, ""},
	} {
		req := httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, strings.NewReader(tt.body))
		if tt.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		w := r.do(t, req, tt.token)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s %s: %d, want %d: %s", tt.method, tt.path, tt.body, w.Code, tt.code, w.Body)
		}
	}
	if want := []string{"resend [7 8]", "drop []", "drop []"}; !slices.Equal(r.dead.did, want) {
		t.Errorf("done: %q, want %q", r.dead.did, want)
	}
}
