package web

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/api"
)

// Options of New. All must be set.
type Options struct {
	Agent   string // the name of this journal
	Version string
	API     interface {
		ClientOf(u access.User, address string) *api.Client
	}
	Users   *access.Users
	Changed func() <-chan struct{} // closed when there is something new in the journal
	Head    func() uint64          // the number of the newest entry
	Opened  func()                 // somebody has signed in, and will look around; must not wait
	Zone    *time.Location
	Logger  *slog.Logger
	Now     func() time.Time
}

// Site serves the pages. It is an api.Site.
type Site struct {
	o        Options
	mux      *http.ServeMux
	sessions *access.Sessions
	words    *languages
	pages    map[string]*page
	patterns []string       // of the addresses of the pages
	watchers *access.Places // browsers that follow changes
	ending   context.Context
	end      context.CancelFunc
}

// New makes the pages. It panics if a template or a catalogue is wrong: they are
// part of the program.
func New(o Options) *Site {
	s := &Site{
		o: o, mux: http.NewServeMux(), sessions: access.NewSessions(o.Users, o.Now), words: readLanguages(),
		pages: map[string]*page{}, watchers: access.NewPlaces(mostWatchers, watchersOf),
	}
	s.ending, s.end = context.WithCancel(context.Background())
	s.routes()
	return s
}

// Pages gives the patterns of all addresses at which there is a page, as
// http.ServeMux reads them: for tests that none is left out.
func (s *Site) Pages() []string { return slices.Clone(s.patterns) }

// End makes the browsers that follow changes let go.
func (s *Site) End() { s.end() }

func (s *Site) routes() {
	s.mux.HandleFunc("GET /assets/{version}/{name}", serveAsset)
	s.mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, assetPath("icon.svg"), http.StatusFound)
	})
	s.open("GET /signin", "signin", s.signInPage)
	s.mux.HandleFunc("POST /signin", s.signIn)
	s.mux.HandleFunc("POST /signout", s.signOut)
	s.mux.HandleFunc("POST /language", s.chooseLanguage)
	s.mux.HandleFunc("GET /changes", s.changes)

	s.page("GET /{$}", "journal", s.journal)
	s.page("GET /live", "live", s.live)
	s.page("GET /missed", "missed", s.missed)
	s.page("POST /missed/spam", "missed", s.markSpam)
	s.page("GET /voicemail", "voicemail", s.voicemail)
	s.page("GET /faxes", "faxes", s.faxes)
	s.page("GET /state", "state", s.state)
	s.page("GET /access", "access", s.accessLog)
	s.page("GET /stats", "stats", s.stats)
	s.page("GET /calls/{id}", "call", s.call)
	s.page("POST /calls/{id}/tags", "call", s.tagCall)
	s.page("POST /calls/{id}/spam", "call", s.markCall)
	s.page("GET /reports", "reports", s.reports)
	s.page("POST /reports/{name}/send", "reports", s.sendReport)
	s.page("/", "missing", s.missing)
}

// The policy of every page: only what is embedded here is loaded or run.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; " +
	"connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers with a page.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("Referrer-Policy", "same-origin")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	s.mux.ServeHTTP(w, r)
}

// menu is the pages in the order of the bar above them.
var menu = []menuEntry{
	{"journal", "/", false},
	{"live", "/live", false},
	{"missed", "/missed", false},
	{"voicemail", "/voicemail", false},
	{"faxes", "/faxes", false},
	{"stats", "/stats", false},
	{"reports", "/reports", false},
	{"state", "/state", true},
}

type menuEntry struct {
	Page, Path string
	admin      bool // only for who may see everything
}
