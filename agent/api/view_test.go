package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/storage"
)

const (
	salesToken  = "sales-0123456789abcdef"
	maskedToken = "masked-0123456789abcdef"
	strictToken = "strict-0123456789abcdef"
)

// The two calls of these tests: of Sales, and of Support. Everything in them that
// could give them away is a word or a number of its own.
const (
	ours, theirs             = "main:1780000001.1", "main:1780000002.2"
	ourNumber, theirNumber   = "79161234567", "79263334455"
	ourSecrets, theirSecrets = "7916123|161234|1234567|916\\) 123", "1780000002\\.2|79263334455|3334455|theirs"
)

// departments makes a journal of two calls and its readers.
func departments(t testing.TB) *rig {
	r := newRig(t)
	r.commit(t, storage.Entry{Op: storage.OpCall, Call: callOf(ours, ourNumber, "Sales", "ours")},
		storage.Entry{Op: storage.OpCall, Call: callOf(theirs, theirNumber, "Support", "theirs")})
	for _, id := range []string{ours, theirs} {
		b := &storage.Batch{Why: map[string]storage.Why{id: {Reasons: []call.Reason{}, Facts: []call.Event{{N: 1, Number: "79161234567 " + id}}}}}
		rec, err := r.db.Call(id)
		if err != nil {
			t.Fatal(err)
		}
		rec.Rev++
		b.Entries = []storage.Entry{{Op: storage.OpCall, Call: rec}}
		if err := r.db.Commit(b); err != nil {
			t.Fatal(err)
		}
	}
	for _, number := range []string{ourNumber, theirNumber} {
		for name, content := range map[string]string{"r/" + number + "-ours.wav": "sound of ours", "r/" + number + "-theirs.wav": "sound of theirs", "f/" + number + ".tif": "pages of " + number} {
			r.file(t, name, content)
		}
	}
	r.live = func() []call.Record {
		return []call.Record{*callOf(ours, ourNumber, "Sales", "ours"), *callOf(theirs, theirNumber, "Support", "theirs")}
	}
	r.server.SetTokens([]api.Token{
		api.NewToken("central", api.ScopeSync, syncToken), api.NewToken("eye", api.ScopeJournal, journalToken), api.NewToken("root", api.ScopeAdmin, adminToken),
		api.NewToken("sales", api.ScopeJournal, salesToken).Limit("Sales", false),
		api.NewToken("masked", api.ScopeJournal, maskedToken).Limit("", true),
		api.NewToken("strict", api.ScopeJournal, strictToken).Limit("Sales", true),
	})
	return r
}

func (r *rig) file(t testing.TB, name, content string) {
	t.Helper()
	path := filepath.Join(r.spool, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func callOf(id, number, department, word string) *call.Record {
	rec := record(int(id[len(id)-1] - '0'))
	rec.ID, rec.PBXIDs = id, []string{strings.TrimPrefix(id, "main:")}
	rec.From = call.Party{Number: ptr(number), E164: ptr("+" + number), Name: ptr(word + " 8 (916) 123-45-67")}
	rec.Trunk = ptr(word + "-" + number)
	rec.Line = &call.Line{Number: number}
	rec.Status, rec.Missed = call.StatusVoicemail, true
	rec.Queues = []string{word}
	rec.Legs = []call.Leg{{Channel: "Local/" + number + "@x;1", Number: ptr("101"), Extension: ptr("101"), Employee: ptr(word), Department: ptr(department), Role: call.RolePhone, Result: "no_answer"}}
	rec.Recordings = []call.Recording{{File: ptr("/r/" + number + "-" + word + ".wav"), StartedAt: rec.StartedAt}}
	rec.Voicemail = &call.VoicemailEntry{Mailbox: "101", File: ptr("/v/default/101/" + number)}
	rec.Fax = &call.FaxEntry{Direction: "received", Station: ptr("+" + number), File: ptr("/f/" + number + ".tif")}
	rec.Tags = []string{word + " " + number}
	return rec
}

// rawRoutes are not in the OpenAPI document: what they answer is no JSON.
var rawRoutes = []string{"GET /v1/live", "GET /v1/backup", "GET /v1/check", "GET /metrics", "GET /openapi.yaml"}

// Every route, those of a later day too: a limited reader gets nothing beyond his
// role from any of them, whichever call he asks for.
func TestView_NoRouteShowsMore(t *testing.T) {
	r := departments(t)
	r.server.End() // a live view ends with its first message
	document := r.get(t, "/openapi.yaml", adminToken).Body.String()
	routes := append([]string{}, rawRoutes...)
	path := ""
	for line := range strings.Lines(document) {
		if m := regexp.MustCompile(`^  (/v1/\S+|"/v1/\S+"):`).FindStringSubmatch(line); m != nil {
			path = strings.Trim(m[1], `"`)
		}
		if m := regexp.MustCompile(`^    (get|put|post|delete|patch):`).FindStringSubmatch(line); m != nil && path != "" {
			routes = append(routes, strings.ToUpper(m[1])+" "+path)
		}
	}
	if len(routes) < len(rawRoutes)+5 {
		t.Fatalf("the document was not understood: %v", routes)
	}
	for _, token := range []struct{ text, secret string }{
		{salesToken, theirSecrets}, {maskedToken, ourSecrets + "|79263334455|3334455"}, {strictToken, ourSecrets + "|" + theirSecrets},
	} {
		secret := regexp.MustCompile(token.secret)
		for _, route := range routes {
			for _, id := range []string{ours, theirs} {
				for _, query := range []string{"", "?number=3334455", "?by=employee", "?by=line", "?by=trunk", "?by=day", "?format=csv", "?number=161234"} {
					method, path, _ := strings.Cut(route, " ")
					path = strings.NewReplacer("{id}", url.PathEscape(id), "{n}", "0", "{name}", "x", "{number}", theirNumber).Replace(path)
					w := r.do(t, httptest.NewRequestWithContext(t.Context(), method, path+query, strings.NewReader("{}")), token.text)
					body := w.Body.String()
					if id == theirs { // the answer may say what was asked for
						body = strings.ReplaceAll(strings.ReplaceAll(body, theirs, ""), "1780000002.2", "")
					}
					if strings.HasPrefix(query, "?number=") && w.Code >= 400 {
						continue
					}
					if found := secret.FindString(body); found != "" {
						t.Errorf("%s %s%s with %s: %d shows %q: %.300s", method, path, query, token.text, w.Code, found, body)
					}
				}
			}
		}
	}
}

func TestView_Calls(t *testing.T) {
	r := departments(t)
	type calls struct {
		Calls  []call.Record `json:"calls"`
		Cursor *string       `json:"cursor"`
	}
	one := func(token string) call.Record {
		t.Helper()
		got := decode[calls](t, r.get(t, "/v1/calls?limit=1", token), 200)
		if len(got.Calls) != 1 || got.Cursor != nil {
			t.Fatalf("%s: %+v", token, got)
		}
		return got.Calls[0]
	}
	if rec := one(salesToken); rec.ID != ours || *rec.From.Number != ourNumber {
		t.Errorf("%+v", rec)
	}
	if rec := one(strictToken); rec.ID != ours || *rec.From.Number != "7916***4567" || *rec.From.E164 != "+7916***4567" {
		t.Errorf("%+v", rec)
	}
	if got := decode[calls](t, r.get(t, "/v1/calls", maskedToken), 200); len(got.Calls) != 2 {
		t.Errorf("%d calls", len(got.Calls))
	}
	at := func(id string) string { return "/v1/calls/" + url.PathEscape(id) }
	for _, tt := range []struct {
		path, token string
		want        int
	}{
		{at(ours), salesToken, 200},
		{at(theirs), salesToken, 404},
		{at(ours) + "/why", salesToken, 200},
		{at(theirs) + "/why", salesToken, 404},
		{at(ours) + "/why", maskedToken, 403},
		{at(theirs), maskedToken, 200},
		{"/v1/calls?number=161234", salesToken, 200},
		{"/v1/calls?number=161234", maskedToken, 403},
		{"/v1/sync", salesToken, 403},
		{"/v1/status", strictToken, 200},
		{"/metrics", strictToken, 404}, // the rig has none
		{"/v1/backup", strictToken, 403},
	} {
		if w := r.get(t, tt.path, tt.token); w.Code != tt.want {
			t.Errorf("%s with %s: %d, want %d: %s", tt.path, tt.token, w.Code, tt.want, w.Body)
		}
	}
	// A foreign call and one that is not there look alike.
	foreign, none := r.get(t, at(theirs), salesToken).Body.String(), r.get(t, at("main:nothing"), salesToken).Body.String()
	if strings.ReplaceAll(foreign, theirs, "X") != strings.ReplaceAll(none, "main:nothing", "X") {
		t.Errorf("%s\n%s", foreign, none)
	}
}

// A page is full as long as there are calls, however few of them the reader sees.
func TestView_PagesAreFull(t *testing.T) {
	r := departments(t)
	var entries []storage.Entry
	for n := range 300 {
		rec := record(n + 100)
		if n%7 == 0 {
			rec.From.Department = ptr("Sales")
		}
		entries = append(entries, storage.Entry{Op: storage.OpCall, Call: rec})
	}
	r.commit(t, entries...)
	seen, pages, cursor := map[string]bool{}, 0, ""
	for {
		w := r.get(t, "/v1/calls?limit=10&cursor="+cursor, salesToken)
		var page struct {
			Calls  []call.Record `json:"calls"`
			Cursor *string       `json:"cursor"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK {
			t.Fatal(w.Code, err)
		}
		pages++
		for _, c := range page.Calls {
			if seen[c.ID] {
				t.Errorf("%s twice", c.ID)
			}
			seen[c.ID] = true
		}
		if page.Cursor == nil {
			break
		}
		if len(page.Calls) != 10 {
			t.Errorf("page %d has %d calls", pages, len(page.Calls))
		}
		cursor = *page.Cursor
	}
	if len(seen) != 43+1 {
		t.Errorf("%d calls, want 44", len(seen))
	}
}
