package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"calljournal/agent/access"
	"calljournal/agent/api"
)

// Whatever is read of calls is in the access log, with who asked and for what, and
// nothing that could be a secret.
func TestAccess_IsNoted(t *testing.T) {
	r := departments(t)
	at := "/v1/calls/" + url.PathEscape(ours)
	for _, ask := range []struct{ path, token string }{
		{"/v1/calls?number=161234&limit=5", journalToken},
		{"/v1/calls?token=a-secret-of-someone&number=1", journalToken},
		{at, salesToken},
		{at + "/recordings/0?download", salesToken},
		{at + "/why", maskedToken},
		{"/v1/backup", journalToken},
		{"/v1/sync", syncToken}, {"/v1/sync", syncToken}, {"/v1/sync?after=1", syncToken},
		{"/v1/status", journalToken},
		{"/v1/calls", "wrong-token-0123456789"},
	} {
		r.get(t, ask.path, ask.token)
	}
	got := decode[api.AccessPage](t, r.get(t, "/v1/access?limit=50", adminToken), 200)
	var text []string
	for _, e := range got.Access {
		line := e.Who + " " + e.What + " " + e.Call + " " + e.Filter
		if e.Refused {
			line += " refused"
		}
		if e.At == 0 || e.Address == "" {
			t.Errorf("%+v", e)
		}
		text = append(text, line)
	}
	want := []string{
		"token root access  limit=50",
		"token central sync  ",
		"token eye backup   refused",
		"token masked explain " + ours + " ",
		"token sales recording " + ours + " download=",
		"token sales call " + ours + " ",
		"token eye calls  number=1",
		"token eye calls  limit=5&number=161234",
	}
	if strings.Join(text, "\n") != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(text, "\n"), strings.Join(want, "\n"))
	}
	if got := decode[api.AccessPage](t, r.get(t, "/v1/access?who=sales&call="+url.QueryEscape(ours), adminToken), 200); len(got.Access) != 2 {
		t.Errorf("%+v", got)
	}
	for _, token := range []string{journalToken, syncToken, salesToken} {
		if w := r.get(t, "/v1/access", token); w.Code != 403 {
			t.Errorf("%s: %d", token, w.Code)
		}
	}
}

func TestUsers(t *testing.T) {
	r := newRig(t)
	ask := func(method, path, token, body string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		return r.do(t, req, token)
	}
	const anna = "/v1/users/%D0%B0%D0%BD%D0%BD%D0%B0"
	for _, tt := range []struct {
		method, path, token, body string
		want                      int
	}{
		{"PUT", anna, journalToken, `{"scope":"admin","password":"correct horse"}`, 403},
		{"PUT", anna, adminToken, `{"scope":"journal","department":"Sales","mask_numbers":true,"password":"correct horse"}`, 201},
		{"PUT", anna, adminToken, `{"scope":"admin","password":"correct horse"}`, 409},
		{"PUT", "/v1/users/boris", adminToken, `{"scope":"journal","password":"short"}`, 422},
		{"PUT", "/v1/users/boris", adminToken, `{"scope":"everything","password":"correct horse"}`, 422},
		{"PUT", "/v1/users/boris", adminToken, `{"scope":"journal"}`, 422},
		{"PUT", anna + "/password", adminToken, `{"password":"another horse"}`, 204},
		{"PUT", "/v1/users/boris/password", adminToken, `{"password":"another horse"}`, 404},
		{"DELETE", "/v1/users/boris", adminToken, "", 404},
		{"DELETE", anna, salesToken, "", 401},
	} {
		w := ask(tt.method, tt.path, tt.token, tt.body)
		if w.Code != tt.want {
			t.Errorf("%s %s: %d, want %d: %s", tt.method, tt.path, w.Code, tt.want, w.Body)
		}
		if strings.Contains(w.Body.String(), " horse") {
			t.Errorf("the answer has the password: %s", w.Body)
		}
	}
	if u, err := r.users.Verify(t.Context(), "анна", "another horse"); err != nil || u.Role != (access.Role{Scope: "journal", Department: "Sales", MaskNumbers: true}) {
		t.Errorf("%+v, %v", u, err)
	}
	list := r.get(t, "/v1/users", adminToken)
	if got := decode[api.UsersPage](t, list, 200); len(got.Users) != 1 || got.Users[0].Name != "анна" {
		t.Errorf("%+v", got)
	}
	if strings.Contains(list.Body.String(), "argon2") {
		t.Error("the hash is shown")
	}
	if w := ask("DELETE", anna, adminToken, ""); w.Code != 204 || len(r.users.List()) != 0 {
		t.Errorf("%d", w.Code)
	}
	entries, err := r.access.Read(access.Wanted{Limit: 100})
	if b, _ := json.Marshal(entries); err != nil || strings.Contains(string(b), "horse") || !strings.Contains(string(b), `"what":"add-user"`) {
		t.Errorf("%v: %s", err, b)
	}
	if w := ask(http.MethodGet, "/v1/users", journalToken, ""); w.Code != 403 {
		t.Errorf("%d", w.Code)
	}
}
