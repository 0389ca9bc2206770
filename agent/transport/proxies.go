package transport

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Behind gives h each request as its client made it, where proxies of ours stand in
// front: RemoteAddr is then the client's address, without a port, and Encrypted says
// whether the client's connection is. Only what comes from one of proxies is believed,
// of X-Forwarded-For only what proxies have added: an address further to the left is
// what somebody outside wrote there. From anybody else both headers mean nothing.
func Behind(proxies []netip.Prefix, h http.Handler) http.Handler {
	if len(proxies) == 0 {
		return h
	}
	ours := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, ok := address(r.RemoteAddr)
		if !ok || !ours(peer) {
			h.ServeHTTP(w, r)
			return
		}
		if strings.EqualFold(lastOf(r.Header.Values("X-Forwarded-Proto")), "https") {
			r = r.WithContext(context.WithValue(r.Context(), encryptedKey{}, true))
		} else {
			r = r.WithContext(r.Context()) // a copy: the server keeps its own
		}
		client := peer
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, hop := range slices.Backward(hops) {
			a, ok := address(strings.TrimSpace(hop))
			if !ok {
				break
			}
			if client = a; !ours(a) {
				break
			}
		}
		r.RemoteAddr = client.String()
		h.ServeHTTP(w, r)
	})
}

type encryptedKey struct{}

// Encrypted says whether nobody between the client and us, or a proxy of ours that
// Behind believes, can read the connection.
func Encrypted(r *http.Request) bool {
	behind, _ := r.Context().Value(encryptedKey{}).(bool)
	return r.TLS != nil || behind
}

// lastOf is the last of a header's words: the one that the nearest proxy wrote.
func lastOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	text := values[len(values)-1]
	return strings.TrimSpace(text[strings.LastIndexByte(text, ',')+1:])
}

// address reads an address with or without a port.
func address(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		a = with.Addr()
	}
	return a.Unmap().WithZone(""), true
}
