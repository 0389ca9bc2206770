package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
)

// What a far side answered, to whom mail goes, and which call was last is not for who
// sees a part of the journal; that something is wrong he is told.
func TestStatus_OfALimitedReader(t *testing.T) {
	const secret = "+79263334455"
	s := api.New(api.Options{
		Agent: "office", Version: "test", Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Status: func(context.Context) (api.Status, error) {
			return api.Status{
				Agent: "office", State: api.StateDegraded, LastCall: &api.LastCall{ID: "main:" + secret, At: call.MomentOf(time.Now())},
				Problems:   []string{"forward crm: stuck: answered 400: no such phone " + secret},
				Forwarders: []api.Forwarder{{Name: "crm", State: api.ForwarderStuck, Error: "answered 400: no such phone " + secret}},
				Mailings:   []api.Mailing{{Name: "morning", To: "boss" + secret + "@company.example"}},
			}, nil
		},
	})
	s.SetTokens([]api.Token{
		api.NewToken("eye", api.ScopeJournal, journalToken),
		api.NewToken("sales", api.ScopeJournal, salesToken).Limit("Sales", false),
		api.NewToken("masked", api.ScopeJournal, maskedToken).Limit("", true),
	})
	for token, whole := range map[string]bool{journalToken: true, salesToken: false, maskedToken: false} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/status", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.Network().ServeHTTP(w, req)
		var st api.Status
		if err := json.Unmarshal(w.Body.Bytes(), &st); err != nil || st.State != api.StateDegraded || len(st.Problems) != 1 || len(st.Forwarders) != 1 {
			t.Errorf("%s: %v %s", token, err, w.Body)
		}
		if got := strings.Contains(w.Body.String(), "3334455"); got != whole {
			t.Errorf("%s is told of the call: %v: %s", token, got, w.Body)
		}
	}
}
