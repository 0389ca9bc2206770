package api_test

import (
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/api"
)

// A live view lasts for days: it ends with the token, and shows no more than the
// token does by then.
func TestLive_EndsWithItsToken(t *testing.T) {
	for name, tt := range map[string]struct {
		later []api.Token
		ends  bool
	}{
		"kept":         {[]api.Token{api.NewToken("eye", api.ScopeJournal, journalToken)}, false},
		"removed":      {nil, true},
		"replaced":     {[]api.Token{api.NewToken("eye", api.ScopeJournal, "another-0123456789")}, true},
		"for the feed": {[]api.Token{api.NewToken("eye", api.ScopeSync, journalToken)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan struct{})
				go func() {
					r.get(t, "/v1/live", journalToken)
					close(ended)
				}()
				time.Sleep(3 * time.Second)
				r.server.SetTokens(tt.later)
				time.Sleep(3 * time.Second)
				select {
				case <-ended:
					if !tt.ends {
						t.Error("it ended")
					}
				default:
					if tt.ends {
						t.Error("it goes on")
					}
				}
				r.server.End()
				<-ended
			})
		})
	}
}
