package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"calljournal/agent/api"
	"calljournal/agent/journal"
	"calljournal/storage"
)

type wholeBooks struct{ books }

func (wholeBooks) Rules() journal.Rules { return journal.DefaultRules() }

// Whatever an address says, the answer is a page that says what is wrong, or the
// page of what of it can be understood.
func TestBrokenAddresses(t *testing.T) {
	b := &wholeBooks{}
	r := newRigWith(t, func(o *api.Options) { o.Books = b }, someCall("main:1"))
	b.db = func() *storage.DB { return r.db }
	broken := []string{
		"\x00", "\xff\xfe", hostile, "-1", "99999999999999999999", "../..", "0001-01-01", "9999-12-31T23:59:59Z", "292277026597-01-01", ",,,",
		strings.Repeat("я", 500), "\r\nSet-Cookie: x=y", "{{.}}",
	}
	names := []string{
		"from", "to", "period", "sort", "limit", "cursor", "sum", "sent", "direction", "status", "missed", "type", "employee", "department", "part",
		"queue", "line", "source", "trunk", "number", "min_talk", "max_wait", "weekday", "hour", "has", "q", "by", "step", "state", "marked", "mailbox",
		"who", "call", "back", "group", "nonsense",
	}
	pages := []string{"/", "/live", "/missed", "/voicemail", "/faxes", "/state", "/access", "/stats", "/reports", "/signin", "/calls/main:1", "/nowhere"}
	for _, user := range []string{"admin", "masked"} {
		p := r.signedIn(user)
		for _, page := range pages {
			for _, name := range names {
				for _, text := range broken {
					path := page + "?" + url.Values{name: {text}}.Encode()
					for range 3 {
						status, head, body := p.get(path)
						if status >= http.StatusInternalServerError || strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
							t.Errorf("%s: %s: %d", user, path, status)
						}
						if status != http.StatusSeeOther {
							break
						}
						path = head.Get("Location")
						if strings.HasPrefix(path, "//") || !strings.HasPrefix(path, "/") {
							t.Errorf("%s: led to %s", user, path)
							break
						}
					}
				}
			}
		}
		for _, path := range []string{
			"/calls/%2e%2e", "/calls/%2e", "/calls/..%2f..%2fusers", "/calls/%00", "/calls/%ff", "/calls/" + url.PathEscape(hostile), "/calls/" + strings.Repeat("x", 4000),
			"/calls/%3Fa=b", "/calls/main:1%2Fwhy", "/?%zz=1", "/?a;b=c", "/stats?%", "//evil.example/", "/assets/x/..%2f..%2fsite.go", "/assets/x/%00",
		} {
			if status, _, _ := p.get(path); status >= http.StatusInternalServerError || status == http.StatusOK && strings.HasPrefix(path, "/calls") {
				t.Errorf("%s: %s: %d", user, path, status)
			}
		}
	}
}
