package web

import (
	"errors"
	"net/http"

	"calljournal/agent/access"
	"calljournal/agent/transport"
)

// The cookie of a session. With TLS its name binds it to this host (RFC 6265bis,
// __Host-).
const (
	plainCookie  = "calljournal"
	secureCookie = "__Host-calljournal"
)

func cookieName(r *http.Request) string {
	if transport.Encrypted(r) {
		return secureCookie
	}
	return plainCookie
}

// Signed says who has signed in.
func (s *Site) Signed(r *http.Request) (access.User, bool) {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return access.User{}, false
	}
	return s.sessions.User(c.Value)
}

// signInForm is the form as it is shown again after a mistake.
type signInForm struct {
	Name, Back string
	Wrong      string // key of what was wrong
	Nobody     bool   // there are no users yet
}

func (s *Site) signInPage(w http.ResponseWriter, r *http.Request) (any, error) {
	back := local(r.URL.Query().Get("back"))
	if _, ok := s.Signed(r); ok {
		http.Redirect(w, r, back, http.StatusSeeOther)
		return nil, errGone
	}
	return signInForm{Back: back, Nobody: len(s.o.Users.List()) == 0}, nil
}

const maxForm = 8 << 10

func (s *Site) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	form := signInForm{Name: r.PostFormValue("name"), Back: local(r.PostFormValue("back"))}
	u, err := s.o.Users.Verify(r.Context(), form.Name, r.PostFormValue("password"))
	switch {
	case err == nil:
		s.forget(r) // whoever it was that was signed in here
		s.o.Logger.Info("signed in", "user", u.Name, "remote", r.RemoteAddr)
		s.setCookie(w, r, s.sessions.Begin(u), int(access.SessionLongest.Seconds()))
		s.o.Opened()
		http.Redirect(w, r, form.Back, http.StatusSeeOther)
		return
	case errors.Is(err, access.ErrTooOften):
		form.Wrong = "signin.toooften"
	case errors.Is(err, access.ErrPassword):
		s.o.Logger.Warn("wrong password", "remote", r.RemoteAddr)
		form.Wrong = "signin.wrong"
	default:
		form.Wrong = "error.page"
	}
	s.show(w, r, nil, "signin", 0, form, nil)
}

func (s *Site) setCookie(w http.ResponseWriter, r *http.Request, key string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r), Value: key, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: transport.Encrypted(r), SameSite: http.SameSiteLaxMode,
	})
}

func (s *Site) signOut(w http.ResponseWriter, r *http.Request) {
	s.forget(r)
	s.setCookie(w, r, "", -1)
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
}

// forget ends the session of a browser.
func (s *Site) forget(r *http.Request) {
	if c, err := r.Cookie(cookieName(r)); err == nil {
		s.sessions.End(c.Value)
	}
}
