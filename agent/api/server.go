package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/media"
	"calljournal/agent/transport"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Store is the journal as it is read from here; *storage.DB is one.
type Store interface {
	Journal() string
	FeedJSON(b []byte, after uint64, limit, size int) ([]byte, storage.Page, error)
	Head() uint64
	Oldest() uint64
	Changed() <-chan struct{}
	SetConsumer(storage.Consumer) error
	DropConsumer(name string) error
	Calls(storage.Query) (recs []*call.Record, cursor string, err error)
	Call(id string) (*call.Record, error)
	Revisions(id string) ([]storage.Entry, error)
	Why(id string) (*storage.Why, error)
	Touch(id string) (history string, t journal.Touch, err error)
	Past(func(journal.Past) error) error
	MissedBefore(p storage.Position, from call.Moment, wanted func(journal.Types) bool, limit int) ([]*call.Record, []storage.Position, error)
	Cells(by journal.By, from, to journal.Day, give func(journal.Key, *journal.Cell) error) (how storage.Counting, ok bool, err error)
	Backup(w io.Writer) (int64, error)
	Check() (storage.Report, error)
}

// Options of New. All but Media, Access, Users, Metrics, Zone, Rules, Directory,
// Config and Log must be set.
type Options struct {
	Agent, Version string
	Store          Store
	Status         func(context.Context) (Status, error)
	Live           func(context.Context) ([]call.Record, error)
	Blind          func() []string // PBXs to which there is no link; from memory
	Media          *media.Library  // nil: no folders of sound and faxes
	Access         *access.Log     // nil: nobody notes who reads
	Users          *access.Users   // nil: there are none, and none can be made
	// Healthy says why the daemon should be started again, Ready why it cannot
	// serve just now; nil is well.
	Healthy, Ready func() error
	// Reload reads the configuration again; nil: there is no file.
	Reload      func() (applied, restart []string, err error)
	DeadLetters DeadLetters
	Outgoing    Outgoing // nil: no mail
	Books       Books
	Rules       func() journal.Rules      // those in force; nil is the default ones
	Config      func() Configuration      // in force, redacted
	Log         func() []LogEntry         // the newest first
	Directory   func() *journal.Directory // the one in force; nil: nobody is known by name
	Metrics     prometheus.Gatherer
	Zone        *time.Location // of tables and statistics; nil is UTC
	Logger      *slog.Logger
	Now         func() time.Time
}

// Limits of a request. The long poll is the only one that may take long.
const (
	maxBody    = 64 << 10
	maxHeader  = 16 << 10
	maxPolls   = 512 // long polls at a time
	maxLive    = 512 // live views at a time
	maxLiveOf  = 128 // and of one reader
	answerTime = 60 * time.Second
)

// Server answers requests. It owns no listener: Network and Local are handlers.
type Server struct {
	o       Options
	mux     *http.ServeMux
	tokens  atomic.Pointer[[]Token]
	guesses *transport.Guesses
	polls   chan struct{} // one slot for each request that waits
	lives   *access.Places
	exports *access.Places
	long    *access.Places // for reading many calls
	noted   noted
	ending  context.Context
	end     context.CancelFunc
	site    Site // nil: there are no pages
}

// New makes a Server that lets nobody in: SetTokens must follow.
func New(o Options) *Server {
	if o.Media == nil {
		o.Media = media.New(media.Options{Logger: o.Logger, Now: o.Now})
	}
	s := &Server{
		o: o, mux: http.NewServeMux(), guesses: transport.NewGuesses(o.Now), polls: make(chan struct{}, maxPolls),
		lives: access.NewPlaces(maxLive, maxLiveOf), exports: access.NewPlaces(maxExports, maxExportsOf), long: access.NewPlaces(maxLong, maxLongOf),
	}
	if s.o.Zone == nil {
		s.o.Zone = time.UTC
	}
	s.ending, s.end = context.WithCancel(context.Background())
	s.SetTokens(nil)
	s.routes()
	return s
}

// SetTokens replaces all tokens; it may be called at any time.
func (s *Server) SetTokens(tokens []Token) { s.tokens.Store(&tokens) }

// End makes every request that waits answer now, so that a shutdown need not
// wait for them.
func (s *Server) End() { s.end() }

// SetSite adds the pages; it must come before the first request.
func (s *Server) SetSite(site Site) { s.site = site }

func (s *Server) routes() {
	config := huma.DefaultConfig("calljournal", s.o.Version)
	config.CreateHooks = nil // no $schema field in every answer
	config.DocsPath, config.OpenAPIPath, config.SchemasPath = "", "", ""
	config.RejectUnknownQueryParameters = true // a filter with a typing error must not select everything
	config.Info.Description = "The call journal of " + s.o.Agent + ". Times are RFC 3339 in UTC with milliseconds, or null; durations are milliseconds."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	api := humago.New(s.mux, config)
	moments(api.OpenAPI().Components.Schemas)
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		var scopes []string
		for _, requirement := range ctx.Operation().Security {
			scopes = append(scopes, requirement["token"]...)
		}
		why := refused(tokenOf(ctx.Context()), scopes, ctx.Operation().Metadata[throughView] != nil)
		s.noteOperation(ctx, scopes, why != "")
		if why != "" {
			_ = huma.WriteErr(api, ctx, http.StatusForbidden, why)
			return
		}
		next(ctx)
	})

	s.feedRoutes(api)
	s.callRoutes(api)
	s.revisionsRoute(api)
	s.statsRoutes(api)
	s.booksRoutes(api)
	s.exportRoutes(api)
	s.reportRoutes(api)
	s.mediaRoutes(api)
	s.stateRoutes(api)
	s.reloadRoute(api)
	s.technicianRoutes(api)
	s.liveRoutes(api)
	s.forwardRoutes(api)
	s.mailRoutes(api)
	s.accessRoutes(api)
	s.directoryRoute(api)
	s.journalRoutes()

	yaml := openAPI(api)
	s.rawViewed("GET /openapi.yaml", nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(yaml)
	})
	if s.o.Metrics != nil {
		s.raw("GET /metrics", nil, promhttp.HandlerFor(s.o.Metrics, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP)
	}
	s.mux.HandleFunc("/", s.nothing)
}

// nothing answers where no route matches: another method may have one.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		problem(w, http.StatusNotFound, "there is nothing at this address; /openapi.yaml lists what there is")
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	problem(w, http.StatusMethodNotAllowed, r.Method+" is not for this address; "+strings.Join(allowed, ", ")+" is")
}

// raw is a route outside huma: what it answers is no JSON document.
func (s *Server) raw(pattern string, scopes []string, h http.HandlerFunc) {
	s.mux.HandleFunc(pattern, s.guarded(pattern, scopes, false, h))
}

// rawViewed is raw for what reads calls through a view, or no calls at all.
func (s *Server) rawViewed(pattern string, scopes []string, h http.HandlerFunc) {
	s.mux.HandleFunc(pattern, s.guarded(pattern, scopes, true, h))
}

func (s *Server) guarded(pattern string, scopes []string, viewed bool, h http.HandlerFunc) http.HandlerFunc {
	what := path.Base(pattern)
	return func(w http.ResponseWriter, r *http.Request) {
		why := refused(tokenOf(r.Context()), scopes, viewed)
		s.note(r.Context(), scopes, access.Entry{Address: r.RemoteAddr, What: what, Refused: why != ""})
		if why != "" {
			problem(w, http.StatusForbidden, why)
			return
		}
		h(w, r)
	}
}

// throughView marks an operation, in its Metadata, that reads calls through a
// view, or no calls at all. A limited reader is refused everywhere else, so that
// a new operation shows him nothing before somebody has thought of him.
const throughView = "through a view"

// refused says why a reader may not ask for something, or "".
func refused(t Token, scopes []string, viewed bool) string {
	switch {
	case !t.Opens(scopes):
		needed := slices.Clone(scopes)
		if !slices.Contains(needed, ScopeAdmin) {
			needed = append(needed, ScopeAdmin)
		}
		return fmt.Sprintf("%s has the scope %s; this needs %s", t, t.Scope, strings.Join(needed, " or "))
	case t.Limited() && !viewed:
		return fmt.Sprintf("%s sees a part of the journal, or numbers masked; this shows all of it", t)
	}
	return ""
}

// Network is the handler for listeners that everybody can reach.
func (s *Server) Network() http.Handler {
	return s.outer(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
			probe(w, s.o.Healthy)
			return
		case "/readyz":
			probe(w, s.o.Ready)
			return
		}
		text, ok := bearer(r)
		if !ok && s.site != nil && s.serveSite(w, r) {
			return
		}
		token, known := find(*s.tokens.Load(), text)
		if ok && known {
			s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="calljournal"`)
		if !ok {
			problem(w, http.StatusUnauthorized, "this needs the header Authorization: Bearer TOKEN")
			return
		}
		if !s.guesses.Wrong(w, r) {
			w.Header().Set("Retry-After", "5")
			problem(w, http.StatusTooManyRequests, "too many wrong tokens")
			return
		}
		s.o.Logger.Warn("wrong token", "remote", r.RemoteAddr)
		problem(w, http.StatusUnauthorized, "this token is not known here")
	})
}

// Local is the handler for the control socket: whoever may open the file may
// ask for everything.
func (s *Server) Local() http.Handler {
	return s.outer(func(w http.ResponseWriter, r *http.Request) {
		local := Token{Name: "control socket", Role: access.Role{Scope: ScopeAdmin}, who: "control socket"}
		if peer, ok := r.Context().Value(peerKey{}).(string); ok {
			local.who += ": " + peer
		}
		s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, local)))
	})
}

// Uplink is the handler for the connection that this daemon opened to a centre:
// whom we dialled may follow the feed, and nothing else.
func (s *Server) Uplink() http.Handler {
	centre := Token{Name: "uplink", Role: access.Role{Scope: ScopeSync}, who: "uplink"}
	return s.outer(func(w http.ResponseWriter, r *http.Request) {
		s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, centre)))
	})
}

// outer is what holds for every request: limits, compression, and that a fault
// of one request stays its own.
func (s *Server) outer(h http.HandlerFunc) http.Handler {
	compress, err := gzhttp.NewWrapper(gzhttp.EnableZstd(true), gzhttp.MinSize(1024), gzhttp.ExceptContentTypes([]string{"text/event-stream", "application/octet-stream"}))
	if err != nil {
		panic("compression options: " + err.Error()) // they are constants
	}
	return compress(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler {
				panic(p) // meant: net/http cuts the connection
			}
			if p != nil {
				s.o.Logger.Error("request failed", "path", r.URL.Path, "err", p, "stack", string(debug.Stack()))
				problem(w, http.StatusInternalServerError, "the request failed; the log has the reason")
			}
		}()
		r.Body = http.MaxBytesReader(w, r.Body, 2*maxBody) // where an operation has no limit of its own
		rc := http.NewResponseController(w)
		if r.Method == http.MethodGet {
			// A read deadline that passes while an answer waits would end the wait.
			_ = rc.SetReadDeadline(time.Time{})
		}
		_ = rc.SetWriteDeadline(time.Now().Add(maxWait*time.Second + answerTime))
		head := w.Header()
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		head.Set("Cache-Control", "no-store")
		h(w, r)
	}))
}

// fault hides from outside what only the log should tell.
func (s *Server) fault(attempted string, err error) error {
	s.o.Logger.Error("request failed", "attempted", attempted, "err", err)
	return huma.Error500InternalServerError("the request failed; the log has the reason")
}

// HTTPServer is an http.Server with the limits that go with the handlers.
func HTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if u, ok := c.(*net.UnixConn); ok {
				if peer := peerOf(u); peer != "" {
					return context.WithValue(ctx, peerKey{}, peer)
				}
			}
			return ctx
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func probe(w http.ResponseWriter, well func() error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := well(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, err.Error()+"\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// problem answers as RFC 9457 wants it.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(&huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail})
}
