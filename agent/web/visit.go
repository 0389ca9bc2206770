package web

import (
	"bytes"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"calljournal/agent/access"
	"calljournal/agent/api"
)

// visit is one request for a page by somebody who has signed in.
type visit struct {
	*http.Request
	Answer http.ResponseWriter
	User   access.User
	Client *api.Client // asks as the user
	Lang   *language
	site   *Site
}

// page is a template in each language.
type page struct {
	name string
	in   map[string]*template.Template
}

// shown is what the layout and a page's template are given.
type shown struct {
	Page    string
	Agent   string
	Version string
	Path    string // of this page, with its query
	User    *access.User
	Menu    []menuEntry
	Lang    *language
	Langs   []*language
	Data    any
	Head    uint64 // of the journal, before Data was read
	Problem string // instead of Data: what the interface said against it
	Anew    string // with a Problem: where the same page is without what was asked for, "" if that is nowhere
	Status  int
}

// errGone ends a visit whose func has answered by itself.
var errGone = errors.New("answered")

// page makes a page of a func that gives the data of its template. Whoever has not
// signed in is asked to.
func (s *Site) page(pattern, name string, data func(*visit) (any, error)) {
	s.ready(pattern, name)
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		u, ok := s.Signed(r)
		if !ok {
			s.askToSignIn(w, r)
			return
		}
		head := s.o.Head()
		v := &visit{Request: r, Answer: w, User: u, Client: s.o.API.ClientOf(u, r.RemoteAddr), Lang: s.words.of(r), site: s}
		got, err := data(v)
		if errors.Is(err, errGone) {
			return
		}
		s.show(w, r, &u, name, head, got, err)
	})
}

// open makes a page that everybody may see.
func (s *Site) open(pattern, name string, data func(http.ResponseWriter, *http.Request) (any, error)) {
	s.ready(pattern, name)
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		got, err := data(w, r)
		if errors.Is(err, errGone) {
			return
		}
		s.show(w, r, nil, name, 0, got, err)
	})
}

// askToSignIn sends a browser to the sign-in page, which leads back.
func (s *Site) askToSignIn(w http.ResponseWriter, r *http.Request) {
	to := "/signin"
	if back := r.URL.RequestURI(); r.Method == http.MethodGet && back != "/" {
		to += "?" + url.Values{"back": {back}}.Encode()
	}
	if r.Header.Get("HX-Request") != "" { // a part of a page: the whole page must change
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// readForm reads a form whole, or refuses it: half of one would change what nobody
// asked to change.
func (v *visit) readForm(most int64) error {
	v.Body = http.MaxBytesReader(v.Answer, v.Body, most)
	if err := v.ParseForm(); err != nil {
		return v.badForm()
	}
	return nil
}

func (v *visit) badForm() error { return v.refuse("error.form") }

// refuse says what of a request cannot be understood, in the reader's language.
func (v *visit) refuse(key string, args ...any) error {
	return &api.Refusal{Status: http.StatusUnprocessableEntity, Text: v.Lang.Text(key, args...)}
}

// redirect answers with another page.
func (v *visit) redirect(to string) error {
	http.Redirect(v.Answer, v.Request, to, http.StatusSeeOther)
	return errGone
}

// show answers with a page, or with what went wrong on it.
func (s *Site) show(w http.ResponseWriter, r *http.Request, u *access.User, name string, head uint64, data any, err error) {
	lang := s.words.of(r)
	out := shown{
		Page: name, Agent: s.o.Agent, Version: s.o.Version, Path: r.URL.RequestURI(), User: u,
		Lang: lang, Langs: s.words.all, Data: data, Head: head, Status: http.StatusOK,
	}
	if u != nil {
		for _, m := range menu {
			if !m.admin || u.Scope == access.ScopeAdmin {
				out.Menu = append(out.Menu, m)
			}
		}
	}
	if err != nil {
		out.Status, out.Problem = s.problem(r, lang, err)
		if r.Method == http.MethodGet && r.URL.RawQuery != "" && out.Status == http.StatusUnprocessableEntity {
			out.Anew = r.URL.Path
		}
		if w.Header().Get("Retry-After") == "" && out.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
		}
	}
	if name == "missing" {
		out.Status = http.StatusNotFound
	}
	var b bytes.Buffer // a template that fails half-way must not be half a page
	if err := s.pages[name].in[lang.Code].ExecuteTemplate(&b, "layout.html", out); err != nil {
		s.o.Logger.Error("a page could not be made", "page", name, "err", err)
		http.Error(w, lang.Text("error.page"), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Vary", "Accept-Language, Cookie")
	w.WriteHeader(out.Status)
	_, _ = w.Write(b.Bytes())
}

// problem is what a person is told of an error.
func (s *Site) problem(r *http.Request, lang *language, err error) (status int, text string) {
	refused := (*api.Refusal)(nil)
	if !errors.As(err, &refused) {
		if errors.Is(err, api.ErrNumber) {
			return http.StatusUnprocessableEntity, lang.Text("error.refused") + ": " + err.Error()
		}
		if r.Context().Err() == nil {
			s.o.Logger.Error("a page could not be answered", "path", r.URL.Path, "err", err)
		}
		return http.StatusInternalServerError, lang.Text("error.page")
	}
	switch refused.Status {
	case http.StatusForbidden:
		return refused.Status, lang.Text("error.forbidden")
	case http.StatusNotFound:
		return refused.Status, lang.Text("error.missing")
	}
	return refused.Status, lang.Text("error.refused") + ": " + refused.Text
}

func (s *Site) missing(*visit) (any, error) { return nil, nil }

// ready notes that there is a page and parses its templates.
func (s *Site) ready(pattern, name string) {
	if !strings.HasPrefix(pattern, http.MethodPost) { // that takes a form, and leads back to a page
		s.patterns = append(s.patterns, pattern)
	}
	if s.pages[name] != nil {
		return
	}
	p := &page{name: name, in: map[string]*template.Template{}}
	for _, lang := range s.words.all {
		p.in[lang.Code] = template.Must(template.New("layout.html").Funcs(lang.funcs(s.o.Zone, s.o.Now)).
			ParseFS(files, "templates/layout.html", "templates/parts.html", "templates/selection.html", "templates/"+name+".html"))
	}
	s.pages[name] = p
}

// local is an address on this site that a request named, or the first page: not
// one that leads elsewhere.
func local(back string) string {
	u, err := url.Parse(back)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n\t") {
		return "/"
	}
	return back
}
