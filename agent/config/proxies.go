package config

import (
	"fmt"
	"net/netip"
)

// Proxies are the machines whose word counts about who a client is and whether his
// connection is encrypted: trusted_proxies, checked.
func (h HTTP) Proxies() []netip.Prefix { return networks(h.TrustedProxies) }

// Proxies are the same at the centre.
func (s CollectSelf) Proxies() []netip.Prefix { return networks(s.TrustedProxies) }

func networks(texts []string) (out []netip.Prefix) {
	for _, text := range texts {
		if p, problem := network(text); problem == "" {
			out = append(out, p)
		}
	}
	return out
}

// network reads an address or a network, and says what is wrong with it, or "".
func network(text string) (p netip.Prefix, problem string) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" && !a.Is4In6() {
		p = netip.PrefixFrom(a, a.BitLen())
	} else if p, err = netip.ParsePrefix(text); err != nil || p.Addr().Is4In6() {
		return p, fmt.Sprintf("%q is no address: want something as 127.0.0.1 or 10.0.0.0/24", text)
	}
	switch {
	case p.Bits() == 0:
		return p, fmt.Sprintf("%q is everybody: whoever connects could say where he comes from", text)
	case p != p.Masked():
		return p, fmt.Sprintf("%q is neither an address nor a network: want %s, or %s", text, p.Addr(), p.Masked())
	}
	return p, ""
}

func (v *checker) proxies(table, listen string, texts []string) {
	key := table + ".trusted_proxies"
	if len(texts) > 0 && listen == "" {
		v.wrong(key, "works only with listen")
	}
	for i, text := range texts {
		if _, problem := network(text); problem != "" {
			v.wrong(fmt.Sprintf("%s[%d]", key, i), "%s", problem)
		}
	}
}
