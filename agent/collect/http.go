package collect

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"calljournal/agent/config"
	"calljournal/agent/uplink"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// routes are what the centre answers. Nothing but /healthz is answered without a
// token or a signature.
func (c *Collector) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("POST /v1/uplink", c.uplink)
	mux.HandleFunc("POST /v1/push/{name}", c.push)
	mux.HandleFunc("GET /{$}", c.reader(c.page))
	mux.Handle("GET /metrics", c.reader(promhttp.HandlerFor(c.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP))
	mux.HandleFunc("/", c.reader(func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusNotFound, "there is nothing at this address")
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		mux.ServeHTTP(w, r)
	})
}

// problem answers as RFC 9457 wants it.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Status int    `json:"status"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}{status, http.StatusText(status), detail})
}

// stranger answers whoever showed the wrong token, or none.
func (c *Collector) stranger(w http.ResponseWriter, r *http.Request, shown bool, detail string) {
	if shown && !c.guesses.Wrong(w, r) {
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusTooManyRequests, "too many wrong tokens")
		return
	}
	if shown {
		c.log.Warn("wrong token", "remote", r.RemoteAddr, "path", r.URL.Path)
	}
	problem(w, http.StatusUnauthorized, detail)
}

// shown is the token of a request: as Bearer, or as the password of any user, for
// browsers.
func shown(r *http.Request) (text string, ok bool) {
	if _, password, basic := r.BasicAuth(); basic {
		return password, true
	}
	kind, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(text), ok && strings.EqualFold(kind, "Bearer")
}

// same compares in a time that tells nothing.
func same(text string, hash [sha256.Size]byte) bool {
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], hash[:]) == 1
}

// reader lets in whom [[reader]] names.
func (c *Collector) reader(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, ok := shown(r)
		c.mu.Lock()
		readers := c.config.Reader
		c.mu.Unlock()
		known := false
		for _, reader := range readers {
			known = same(text, reader.Hash()) || known
		}
		if ok && known {
			h(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="calljournal collect", charset="UTF-8"`)
		c.stranger(w, r, ok, "this needs the token of a [[reader]], as Authorization: Bearer TOKEN or as the password")
	}
}

// uplink takes the connection of a branch that dials us.
func (c *Collector) uplink(w http.ResponseWriter, r *http.Request) {
	text, ok := shown(r)
	b := c.branch(r.Header.Get(uplink.AgentHeader))
	if !ok || b == nil || b.c.Via != config.ViaUplink || !same(text, b.c.Hash()) {
		c.stranger(w, r, ok, "this needs the name and the token of an [[agent]] with via = \"uplink\"")
		return
	}
	l, err := uplink.Accept(w, r, 0)
	switch {
	case errors.Is(err, uplink.ErrNoUpgrade):
		problem(w, http.StatusBadRequest, err.Error())
	case err != nil:
		c.log.Warn("uplink failed", "agent", b.c.Name, "err", err)
	default:
		c.log.Info("uplink", "agent", b.c.Name, "remote", r.RemoteAddr)
		b.line(l)
		if b.over() {
			l.Close() // the agent is configured no more, or in another way
		}
	}
}

// push takes what an agent's [[forward]] of the kind webhook sends. The signature
// stands for a token. An answer of 2xx means that everything in it is stored.
func (c *Collector) push(w http.ResponseWriter, r *http.Request) {
	b := c.branch(r.PathValue("name"))
	if b == nil || b.c.Via != config.ViaPush {
		c.stranger(w, r, true, "there is no [[agent]] of that name with via = \"push\"")
		return
	}
	select {
	case c.pushing <- struct{}{}:
		defer func() { <-c.pushing }()
	default:
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, "too many agents push just now")
		return
	}
	held := share{room: c.room}
	defer held.free()
	body := io.Reader(http.MaxBytesReader(w, r.Body, maxPageBytes))
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			problem(w, http.StatusBadRequest, "the body is not gzip")
			return
		}
		body = z
	}
	text, err := readAll(body, &held)
	switch {
	case errors.Is(err, errNoRoom):
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	case err != nil:
		problem(w, http.StatusBadRequest, "the body could not be read: "+err.Error())
		return
	}
	sign, err := standardwebhooks.NewWebhookRaw(webhookKey(b.c.Secret.Reveal()))
	if err == nil {
		err = sign.Verify(text, r.Header)
	}
	if err != nil {
		c.stranger(w, r, true, "the signature is not that of this agent, or the clocks differ by more than five minutes")
		return
	}
	c.pushed(w, r, b, text)
}

// pushed stores what a signed push holds.
func (c *Collector) pushed(w http.ResponseWriter, r *http.Request, b *running, text []byte) {
	var p page
	if err := json.Unmarshal(text, &p); err != nil || p.Journal == "" {
		problem(w, http.StatusBadRequest, "the body is no page of a feed: {journal, agent, entries}")
		return
	}
	if p.Agent != b.c.Name {
		problem(w, http.StatusConflict, "these entries are of another agent: give [[agent]] its name")
		return
	}
	entries, err := readEntries(p.Entries)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if len(entries) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	b.pushes.Lock()
	defer b.pushes.Unlock()
	if _, err := c.store.position(r.Context(), b.c.Name); err != nil {
		c.unstored(w, b, err)
		return
	}
	all := batch{agent: b.c.Name, journal: p.Journal, from: -1, entries: entries}
	refused, err := c.store.put(r.Context(), all)
	if err != nil {
		c.unstored(w, b, err)
		return
	}
	b.stored(&all, refused)
	b.state(Up, "", 0)
	w.WriteHeader(http.StatusNoContent)
}

func (c *Collector) unstored(w http.ResponseWriter, b *running, err error) {
	b.state(Stalled, err.Error(), 0)
	w.Header().Set("Retry-After", "5")
	problem(w, http.StatusServiceUnavailable, "the database does not take it just now")
}

// webhookKey reads a secret as the libraries of Standard Webhooks do, base64 with
// or without the prefix; a text that is not base64 is taken as it is.
func webhookKey(secret string) []byte {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return []byte(secret)
	}
	return key
}
