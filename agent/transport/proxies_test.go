package transport_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"calljournal/agent/transport"
)

func TestBehind(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}
	type seen struct {
		from      string
		encrypted bool
	}
	for name, tt := range map[string]struct {
		peer       string
		for_, with []string // X-Forwarded-For, X-Forwarded-Proto
		tls        bool
		want       seen
	}{
		"no proxy":                        {"192.0.2.1:4711", nil, nil, false, seen{"192.0.2.1:4711", false}},
		"TLS of our own":                  {"192.0.2.1:4711", nil, nil, true, seen{"192.0.2.1:4711", true}},
		"a stranger who claims":           {"192.0.2.1:4711", []string{"127.0.0.1"}, []string{"https"}, false, seen{"192.0.2.1:4711", false}},
		"a stranger beside a network":     {"10.2.0.1:4711", []string{"203.0.113.9"}, []string{"https"}, false, seen{"10.2.0.1:4711", false}},
		"a proxy":                         {"127.0.0.1:4711", []string{"203.0.113.9"}, []string{"https"}, false, seen{"203.0.113.9", true}},
		"a proxy without TLS":             {"127.0.0.1:4711", []string{"203.0.113.9"}, []string{"http"}, false, seen{"203.0.113.9", false}},
		"a proxy that says nothing":       {"127.0.0.1:4711", nil, nil, false, seen{"127.0.0.1", false}},
		"what the client wrote":           {"127.0.0.1:4711", []string{"198.51.100.1, 203.0.113.9"}, nil, false, seen{"203.0.113.9", false}},
		"what the client wrote, two":      {"127.0.0.1:4711", []string{"198.51.100.1", "203.0.113.9"}, []string{"https", "http"}, false, seen{"203.0.113.9", false}},
		"a proxy behind a proxy":          {"127.0.0.1:4711", []string{"203.0.113.9, 10.1.2.3"}, []string{"https"}, false, seen{"203.0.113.9", true}},
		"a client that says it is ours":   {"127.0.0.1:4711", []string{"10.1.2.3, 203.0.113.9"}, nil, false, seen{"203.0.113.9", false}},
		"all of them ours":                {"127.0.0.1:4711", []string{"10.1.2.3, 10.1.2.4"}, nil, false, seen{"10.1.2.3", false}},
		"no address":                      {"127.0.0.1:4711", []string{"203.0.113.9, unknown"}, nil, false, seen{"127.0.0.1", false}},
		"no address, further away":        {"127.0.0.1:4711", []string{"'; DROP, 10.1.2.3"}, nil, false, seen{"10.1.2.3", false}},
		"IPv6, with a port":               {"[fd00::1]:4711", []string{"[2001:db8::7]:99"}, []string{"HTTPS"}, false, seen{"2001:db8::7", true}},
		"IPv4 in IPv6":                    {"[::ffff:127.0.0.1]:4711", []string{"::ffff:203.0.113.9"}, nil, false, seen{"203.0.113.9", false}},
		"words about https are not https": {"127.0.0.1:4711", nil, []string{"https://"}, false, seen{"127.0.0.1", false}},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"] = tt.for_, tt.with
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			var got seen
			transport.Behind(proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got = seen{r.RemoteAddr, transport.Encrypted(r)}
			})).ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want {
				t.Errorf("seen %+v, want %+v", got, tt.want)
			}
			if r.RemoteAddr != tt.peer {
				t.Errorf("the server's own request was changed: %s", r.RemoteAddr)
			}
		})
	}
}
