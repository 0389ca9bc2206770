package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"

	"calljournal/agent/access"
)

// Scopes: what a token opens.
const (
	ScopeSync    = access.ScopeSync
	ScopeJournal = access.ScopeJournal
	ScopeAdmin   = access.ScopeAdmin
)

// Token is one key to the interface. Only the hash of its text is kept.
type Token struct {
	Name string
	access.Role
	hash [sha256.Size]byte
	who  string // in the access log; "": by the name
	user bool   // no token, but somebody who has signed in
}

// NewToken makes a Token of its text that is not limited beyond its scope.
func NewToken(name, scope, text string) Token {
	return HashedToken(name, scope, sha256.Sum256([]byte(text)))
}

// Limit is t for the calls of one department, unless that is "", and with
// numbers masked. It goes with ScopeJournal only.
func (t Token) Limit(department string, maskNumbers bool) Token {
	t.Department, t.MaskNumbers = department, maskNumbers
	return t
}

// HashedToken makes a Token of the SHA-256 of its text.
func HashedToken(name, scope string, hash [sha256.Size]byte) Token {
	return Token{Name: name, Role: access.Role{Scope: scope}, hash: hash}
}

// String is how a refusal speaks of t.
func (t Token) String() string {
	if t.user {
		return t.who
	}
	return fmt.Sprintf("token %q", t.Name)
}

type tokenKey struct{}

// tokenOf is who asks; the control socket asks as admin.
func tokenOf(ctx context.Context) Token {
	t, _ := ctx.Value(tokenKey{}).(Token)
	return t
}

// find compares with every token, and all of each, so that the time it takes
// tells nothing.
func find(tokens []Token, text string) (found Token, ok bool) {
	hash := sha256.Sum256([]byte(text))
	for _, t := range tokens {
		if subtle.ConstantTimeCompare(t.hash[:], hash[:]) == 1 {
			found, ok = t, true
		}
	}
	return found, ok
}

// still is who asks as he is by now, in an answer that lasts: nobody once his session
// has ended or his token is in force no more.
func (s *Server) still(r *http.Request) (Token, bool) {
	t := tokenOf(r.Context())
	switch {
	case t.user:
		u, ok := s.site.Signed(r)
		return asUser(u), ok
	case t.hash != [sha256.Size]byte{}: // the control socket and a centre have no token
		for _, now := range *s.tokens.Load() {
			if now.hash == t.hash {
				return now, true
			}
		}
		return Token{}, false
	}
	return t, true
}

// bearer is the token that a request shows. Only the header counts: an address
// ends up in logs.
func bearer(r *http.Request) (string, bool) {
	kind, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(text), ok && strings.EqualFold(kind, "Bearer")
}
