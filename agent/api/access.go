package api

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/call"

	"github.com/danielgtaylor/huma/v2"
)

// ---- who read what

type peerKey struct{}

// tellsOfNoCall marks an operation, in its Metadata, that is for readers of the
// journal and shows none of it: it is not noted.
const tellsOfNoCall = "tells of no call"

// noteOperation writes into the access log that somebody asked for an operation.
// Only what the operation declares is written of the query.
func (s *Server) noteOperation(ctx huma.Context, scopes []string, refused bool) {
	op := ctx.Operation()
	if op.Metadata[tellsOfNoCall] != nil && !refused {
		return
	}
	e := access.Entry{Address: ctx.RemoteAddr(), What: op.OperationID, Refused: refused}
	if strings.HasPrefix(op.Path, "/v1/calls/{id}") {
		e.Call = ctx.Param("id")
	}
	u := ctx.URL()
	asked, filter := u.Query(), url.Values{}
	for _, p := range op.Parameters {
		if p.In == "query" && p.Name != "cursor" && asked.Has(p.Name) {
			filter[p.Name] = asked[p.Name]
		}
	}
	e.Filter = filter.Encode()
	s.note(ctx.Context(), scopes, e)
}

// note completes an entry and writes it. What tells nothing of calls is not
// noted, and of a reader of the feed, who asks all day, only that he does; of a
// page that is left open as well.
func (s *Server) note(ctx context.Context, scopes []string, e access.Entry) {
	if s.o.Access == nil || len(scopes) == 0 {
		return
	}
	t := tokenOf(ctx)
	e.At, e.Who = call.MomentOf(s.o.Now()), cmp.Or(t.who, "token "+t.Name)
	if slices.Contains(scopes, ScopeSync) && !e.Refused && (e.What != "sync" || !s.noted.due(e.Who, s.o.Now(), time.Hour)) {
		return
	}
	if e.Address == "@" || e.Address == "" { // the control socket has none
		e.Address = ""
	}
	// A page that follows the journal asks for its lists again with each new call.
	if t.user && !e.Refused && e.Call == "" {
		host, _, _ := net.SplitHostPort(e.Address)
		if !s.noted.due(strings.Join([]string{e.Who, host, e.What, e.Filter}, "\n"), s.o.Now(), 10*time.Minute) {
			return
		}
	}
	s.o.Access.Add(e)
}

// noted remembers what was noted of readers who ask the same again and again.
type noted struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const mostNoted = 1024

// due says whether to note something that is to be noted once in a while.
func (n *noted) due(what string, now time.Time, every time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if last, ok := n.last[what]; ok && now.Sub(last).Abs() < every {
		return false
	}
	if n.last == nil || len(n.last) >= mostNoted {
		n.last = map[string]time.Time{}
	}
	n.last[what] = now
	return true
}

// AccessPage is the newest of the access log.
type AccessPage struct {
	Access []access.Entry `json:"access" doc:"the newest first"`
	Lost   uint64         `json:"lost" doc:"entries of this run that could not be written"`
}

type accessInput struct {
	From  string `query:"from" doc:"then or later: a time as of GET /v1/calls"`
	To    string `query:"to" doc:"before"`
	Who   string `query:"who" maxLength:"200" doc:"a part of the name"`
	Call  string `query:"call" maxLength:"300" doc:"id of a call"`
	Limit int    `query:"limit" default:"100" minimum:"1" doc:"more than 10000 is read as 10000"`
}

// ---- users

// UsersPage is everybody who may sign in.
type UsersPage struct {
	Users []access.User `json:"users"`
}

type newUser struct {
	Name string `path:"name" maxLength:"200"`
	Body struct {
		access.Role
		Password string `json:"password" maxLength:"2000" writeOnly:"true"`
	}
}

type newPassword struct {
	Name string `path:"name" maxLength:"200"`
	Body struct {
		Password string `json:"password" maxLength:"2000" writeOnly:"true"`
	}
}

type userInput struct {
	Name string `path:"name" maxLength:"200"`
}

func (s *Server) accessRoutes(api huma.API) {
	admin := []map[string][]string{{"token": {ScopeAdmin}}}
	huma.Register(api, huma.Operation{
		OperationID: "access", Method: http.MethodGet, Path: "/v1/access", Security: admin,
		Summary: "Who read what, the newest first", Description: "The log is kept in two files of 8 MiB; what is older is gone.",
	}, s.access)
	huma.Register(api, huma.Operation{
		OperationID: "users", Method: http.MethodGet, Path: "/v1/users", Security: admin, Summary: "Who may sign in",
	}, func(context.Context, *struct{}) (*struct{ Body UsersPage }, error) {
		if s.o.Users == nil {
			return &struct{ Body UsersPage }{UsersPage{[]access.User{}}}, nil
		}
		return &struct{ Body UsersPage }{UsersPage{s.o.Users.List()}}, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "add-user", Method: http.MethodPut, Path: "/v1/users/{name}", Security: admin, MaxBodyBytes: maxBody,
		DefaultStatus: http.StatusCreated, Summary: "Make a user", Description: "409 if there is one of that name.",
	}, func(_ context.Context, in *newUser) (*struct{}, error) {
		return nil, s.userChange(func(u *access.Users) error { return u.Add(in.Name, in.Body.Role, in.Body.Password) })
	})
	huma.Register(api, huma.Operation{
		OperationID: "set-password", Method: http.MethodPut, Path: "/v1/users/{name}/password", Security: admin, MaxBodyBytes: maxBody,
		DefaultStatus: http.StatusNoContent, Summary: "Change a user's password",
	}, func(_ context.Context, in *newPassword) (*struct{}, error) {
		return nil, s.userChange(func(u *access.Users) error { return u.SetPassword(in.Name, in.Body.Password) })
	})
	huma.Register(api, huma.Operation{
		OperationID: "remove-user", Method: http.MethodDelete, Path: "/v1/users/{name}", Security: admin,
		DefaultStatus: http.StatusNoContent, Summary: "Take a user away",
	}, func(_ context.Context, in *userInput) (*struct{}, error) {
		return nil, s.userChange(func(u *access.Users) error { return u.Remove(in.Name) })
	})
}

// userChange makes answers of the errors of Users.
func (s *Server) userChange(change func(*access.Users) error) error {
	if s.o.Users == nil {
		return huma.Error503ServiceUnavailable("there is no place for users here")
	}
	err := change(s.o.Users)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, access.ErrNoUser):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, access.ErrUserThere):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, access.ErrNotWritten):
		return s.fault("change the users", err)
	}
	return huma.Error422UnprocessableEntity(err.Error())
}

func (s *Server) access(_ context.Context, in *accessInput) (*struct{ Body AccessPage }, error) {
	w := access.Wanted{Who: in.Who, Call: in.Call, Limit: min(in.Limit, 10_000)}
	var err error
	if w.From, err = s.timeOf("from", in.From); err != nil {
		return nil, err
	}
	if w.To, err = s.timeOf("to", in.To); err != nil {
		return nil, err
	}
	out := &struct{ Body AccessPage }{AccessPage{Access: []access.Entry{}}}
	if s.o.Access == nil {
		return out, nil
	}
	entries, err := s.o.Access.Read(w)
	if err != nil {
		return nil, s.fault("read the access log", err)
	}
	out.Body.Access, out.Body.Lost = append(out.Body.Access, entries...), s.o.Access.Lost()
	return out, nil
}

// ---- the client's side

// Access asks who read what; wanted is the query of GET /v1/access.
func (c *Client) Access(ctx context.Context, wanted url.Values) (page AccessPage, err error) {
	return page, c.get(ctx, "/v1/access", wanted, &page)
}

// Users asks who may sign in.
func (c *Client) Users(ctx context.Context) (page UsersPage, err error) {
	return page, c.get(ctx, "/v1/users", nil, &page)
}

// AddUser makes a user.
func (c *Client) AddUser(ctx context.Context, name string, role access.Role, password string) error {
	return c.tell(ctx, http.MethodPut, "/v1/users/"+url.PathEscape(name), struct {
		access.Role
		Password string `json:"password"`
	}{role, password})
}

// SetPassword changes a user's password.
func (c *Client) SetPassword(ctx context.Context, name, password string) error {
	return c.tell(ctx, http.MethodPut, "/v1/users/"+url.PathEscape(name)+"/password", map[string]string{"password": password})
}

// RemoveUser takes a user away.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	return c.tell(ctx, http.MethodDelete, "/v1/users/"+url.PathEscape(name), nil)
}

// tell sends what has no answer.
func (c *Client) tell(ctx context.Context, method, path string, document any) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := c.send(ctx, method, path, nil, document)
	if err != nil {
		return err
	}
	return answer.Close()
}
