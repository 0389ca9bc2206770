package transport

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

const (
	guessDelay   = 100 * time.Millisecond // for each wrong token of late
	guessLongest = 2 * time.Second
	guessForget  = time.Minute
	guessers     = 1024 // addresses remembered; a token is long enough without this
	guessWaiting = 1024 // answers held back at a time, in all
	guessEach    = 256  // and of one address
)

// Guesses slows down whoever tries tokens: the answer to a wrong one comes the
// later the more of them came from that address, and those that come faster than
// they are answered lose their connection. Right ones are never delayed: many
// may share the address of one who guesses.
type Guesses struct {
	now   func() time.Time
	sleep func(context.Context, time.Duration)

	mu      sync.Mutex
	waiting int
	from    map[string]*guesser
}

// guesser is an address that wrong tokens came from.
type guesser struct {
	wrong, waiting int
	last           time.Time
}

// NewGuesses makes a table that remembers nobody.
func NewGuesses(now func() time.Time) *Guesses {
	return &Guesses{now: now, from: map[string]*guesser{}, sleep: func(ctx context.Context, d time.Duration) {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}}
}

// Wrong notes a wrong token and waits. It gives false when too many wait
// already: the caller is then to be told to come back later. Either way the next
// guess needs a connection of its own.
func (g *Guesses) Wrong(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Connection", "close")
	delay, done, ok := g.note(origin(r.RemoteAddr))
	if !ok {
		return false
	}
	defer done()
	if delay > 0 {
		g.sleep(r.Context(), delay)
	}
	return true
}

func (g *Guesses) note(from string) (delay time.Duration, done func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	it := g.from[from]
	if it == nil {
		if len(g.from) >= guessers {
			g.forgetOne(now)
		}
		it = &guesser{}
		g.from[from] = it
	}
	if now.Sub(it.last) > guessForget {
		it.wrong = 0
	}
	delay = min(time.Duration(it.wrong)*guessDelay, guessLongest)
	it.wrong, it.last = it.wrong+1, now
	if g.waiting >= guessWaiting || it.waiting >= guessEach {
		return 0, nil, false
	}
	g.waiting++
	it.waiting++
	return delay, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.waiting--
		it.waiting--
	}, true
}

// forgetOne makes room: for the address that was quiet for the longest time.
func (g *Guesses) forgetOne(now time.Time) {
	oldest, quiet := "", time.Duration(-1)
	for from, it := range g.from {
		if d := now.Sub(it.last); d > quiet {
			oldest, quiet = from, d
		}
	}
	delete(g.from, oldest)
}

// origin is whom an address belongs to: of IPv6 the network, for everybody has
// as many addresses as he likes there.
func origin(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
