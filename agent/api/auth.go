package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

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
}

// NewToken makes a Token of its text that is not limited beyond its scope.
func NewToken(name, scope, text string) Token {
	return Token{name, access.Role{Scope: scope}, sha256.Sum256([]byte(text))}
}

// Limit is t for the calls of one department, unless that is "", and with
// numbers masked. It goes with ScopeJournal only.
func (t Token) Limit(department string, maskNumbers bool) Token {
	t.Department, t.MaskNumbers = department, maskNumbers
	return t
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

// bearer is the token that a request shows. Only the header counts: an address
// ends up in logs.
func bearer(r *http.Request) (string, bool) {
	kind, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(text), ok && strings.EqualFold(kind, "Bearer")
}

const (
	guessDelay   = 100 * time.Millisecond // for each wrong token of late
	guessLongest = 2 * time.Second
	guessForget  = time.Minute
	guessers     = 1024 // addresses remembered; a token is long enough without this
	guessWaiting = 64   // answers held back at a time
)

// guesses slows down whoever tries tokens: the answer to a wrong one comes the
// later the more of them came from that address. Right ones are never delayed.
type guesses struct {
	now   func() time.Time
	sleep func(context.Context, time.Duration)

	mu      sync.Mutex
	waiting int
	from    map[string]guess
}

type guess struct {
	wrong int
	last  time.Time
}

func newGuesses(now func() time.Time) *guesses {
	return &guesses{now: now, from: map[string]guess{}, sleep: func(ctx context.Context, d time.Duration) {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}}
}

// wrong notes a wrong token and waits. It gives false when too many wait
// already: the caller is then told to come back later.
func (g *guesses) wrong(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	g.mu.Lock()
	now := g.now()
	it := g.from[host]
	if now.Sub(it.last) > guessForget {
		it.wrong = 0
	}
	if len(g.from) >= guessers {
		clear(g.from)
	}
	delay := min(time.Duration(it.wrong)*guessDelay, guessLongest)
	it.wrong, it.last = it.wrong+1, now
	g.from[host] = it
	if g.waiting >= guessWaiting {
		g.mu.Unlock()
		return false
	}
	g.waiting++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.waiting--
		g.mu.Unlock()
	}()
	if delay > 0 {
		g.sleep(r.Context(), delay)
	}
	return true
}
