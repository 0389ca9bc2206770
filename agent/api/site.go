package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"

	"calljournal/agent/access"
)

// Site is the journal for people: it answers at every address that is not the
// interface's own, and knows who has signed in there.
type Site interface {
	http.Handler
	Signed(*http.Request) (access.User, bool)
}

// asUser is a user as the interface knows readers.
func asUser(u access.User) Token {
	return Token{Name: u.Name, Role: u.Role, who: "user " + u.Name, user: true}
}

// ours says whether the address is one of the interface, not of the pages.
func ours(path string) bool {
	return strings.HasPrefix(path, "/v1/") || path == "/metrics" || path == "/openapi.yaml"
}

// serveSite answers a request without a token: a page, or for somebody who has
// signed in, what his role opens of the interface. A browser sends its cookies
// with requests that another site's page makes it send: those may change nothing.
func (s *Server) serveSite(w http.ResponseWriter, r *http.Request) bool {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		problem(w, http.StatusForbidden, "another site's page asked for this: "+err.Error())
		return true
	}
	if !ours(r.URL.Path) {
		s.site.ServeHTTP(w, r)
		return true
	}
	u, ok := s.site.Signed(r)
	if ok {
		s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, asUser(u))))
	}
	return ok
}

// ClientOf asks this server as a user does, without a connection: what the pages
// show is what the interface gives to who looks at them, and it is noted that he
// asked. address is where he is.
func (s *Server) ClientOf(u access.User, address string) *Client {
	return &Client{socket: "this daemon", http: &http.Client{Transport: inside{s, asUser(u), address}}}
}

// inside carries a request to the server's own handlers.
type inside struct {
	s       *Server
	token   Token
	address string
}

// RoundTrip answers when the handler has ended: this is for answers that fit
// into memory.
func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	asked := r.WithContext(context.WithValue(r.Context(), tokenKey{}, i.token))
	asked.RemoteAddr = i.address
	a := &answer{head: http.Header{}, status: http.StatusOK}
	i.s.mux.ServeHTTP(a, asked)
	_ = r.Body.Close()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.head, Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Request: r,
	}, nil
}

// answer keeps what a handler writes.
type answer struct {
	head   http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.head }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
