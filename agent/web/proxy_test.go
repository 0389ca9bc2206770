package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"calljournal/agent/transport"
)

// Behind a proxy of ours that ends TLS the cookies are those of https; whoever only
// says that he is one gets those of a connection that everybody can read.
func TestSignIn_BehindAProxy(t *testing.T) {
	r := newRig(t)
	journal := func(proxy string) *httptest.Server {
		s := httptest.NewServer(transport.Behind([]netip.Prefix{netip.MustParsePrefix(proxy)}, r.http.Config.Handler))
		t.Cleanup(s.Close)
		return s
	}
	believed, other := journal("127.0.0.0/8"), journal("192.0.2.0/24")
	for _, tt := range []struct {
		name, to, cookie string
		secure           bool
	}{
		{"a proxy of ours", believed.URL, "__Host-calljournal", true},
		{"somebody else's", other.URL, "calljournal", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to, err := url.Parse(tt.to)
			if err != nil {
				t.Fatal(err)
			}
			front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(to)
				p.Out.Host = p.In.Host
				p.SetXForwarded()
			}})
			defer front.Close()
			p := r.stranger()
			p.client.Transport = front.Client().Transport
			send := func(method, path string, form url.Values) *http.Response {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), method, front.URL+path, strings.NewReader(form.Encode()))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.Header.Set("Origin", front.URL)
				answer, err := p.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				return answer
			}
			in := send(http.MethodPost, "/signin", url.Values{"name": {"manager"}, "password": {password}})
			cookies := in.Cookies()
			if in.StatusCode != http.StatusSeeOther || len(cookies) != 1 || cookies[0].Name != tt.cookie || cookies[0].Secure != tt.secure {
				t.Fatalf("%s: %v", in.Status, cookies)
			}
			if page := send(http.MethodGet, "/", nil); page.StatusCode != http.StatusOK {
				t.Errorf("signed in: %s", page.Status)
			}
			if c := send(http.MethodPost, "/language", url.Values{"to": {"ru"}}).Cookies(); len(c) != 1 || c[0].Secure != tt.secure {
				t.Errorf("the language: %v", c)
			}
			if out := send(http.MethodPost, "/signout", nil); out.StatusCode != http.StatusSeeOther {
				t.Errorf("signed out: %s", out.Status)
			}
			if page := send(http.MethodGet, "/", nil); page.StatusCode != http.StatusSeeOther {
				t.Errorf("signed out, it still shows: %s", page.Status)
			}
		})
	}
}
