package access

import (
	"fmt"
	"slices"

	"calljournal/agent/call"
)

// Scopes: what a token or a user opens.
const (
	ScopeSync    = "sync"    // the feed, and its readers' notes
	ScopeJournal = "journal" // calls
	ScopeAdmin   = "admin"   // everything
)

// Role is what somebody may see: the same for a token and for a user. The limits
// go with the scope journal only.
type Role struct {
	Scope       string `json:"scope" enum:"sync,journal,admin"`
	Department  string `json:"department,omitempty" doc:"only calls in which this department has a part"`
	MaskNumbers bool   `json:"mask_numbers,omitempty" doc:"numbers are shown as +7495***0101"`
}

// Check says what is wrong with a role, nil if nothing is.
func (r Role) Check() error {
	switch {
	case !slices.Contains([]string{ScopeSync, ScopeJournal, ScopeAdmin}, r.Scope):
		return fmt.Errorf("scope %.40q: want %s, %s or %s", r.Scope, ScopeSync, ScopeJournal, ScopeAdmin)
	case r.Limited() && r.Scope != ScopeJournal:
		return fmt.Errorf("a department or masked numbers go with the scope %s only: %s shows everything", ScopeJournal, r.Scope)
	}
	return nil
}

// Opens says whether the role suffices where one of scopes is needed; none is
// needed where there are no scopes.
func (r Role) Opens(scopes []string) bool {
	return r.Scope == ScopeAdmin || len(scopes) == 0 || slices.Contains(scopes, r.Scope)
}

// Limited says that the role does not cover the whole journal.
func (r Role) Limited() bool { return r.Department != "" || r.MaskNumbers }

// Sees says whether the role covers a call: a department sees the calls in which
// one of its people called, was called, or whose phone rang.
func (r Role) Sees(rec *call.Record) bool {
	if r.Department == "" {
		return true
	}
	in := func(d *string) bool { return d != nil && *d == r.Department }
	return in(rec.From.Department) || in(rec.To.Department) ||
		slices.ContainsFunc(rec.Legs, func(l call.Leg) bool { return in(l.Department) })
}
