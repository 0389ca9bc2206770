package config

import (
	"net/url"
	"os"
	"strings"
)

// Uplink is [uplink]: the connection to a centre that cannot reach this machine.
type Uplink struct {
	URL        string `toml:"url"`
	Token      Secret `toml:"token"`
	TokenFile  string `toml:"token_file"`
	CA         string `toml:"ca"`
	ClientCert string `toml:"client_cert"`
	ClientKey  string `toml:"client_key"`
}

// uplinkPath is where a calljournal collect takes uplinks.
const uplinkPath = "/v1/uplink"

func (v *validator) uplink() {
	u := &v.c.Uplink
	if u.URL == "" {
		if *u != (Uplink{}) {
			v.wrong("uplink.url", "is missing: want the address of the centre, as https://centre.example:8430")
		}
		return
	}
	to := v.remote("uplink.url", u.URL)
	if to != nil && strings.Trim(to.Path, "/") == "" {
		to.Path = uplinkPath
		u.URL = to.String()
	}
	v.secret("uplink.token", &u.Token, u.TokenFile, true)
	v.clientFiles("uplink.", u.CA, u.ClientCert, u.ClientKey)
}

// remote checks the URL of another machine that gets a token of ours: it must
// be encrypted, but on this machine.
func (v *checker) remote(key, text string) *url.URL {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		v.wrong(key, "%q is no address: want something as https://centre.example:8430", text)
	case u.User != nil:
		v.wrong(key, "holds a user name: addresses are logged, so use token_file")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		v.wrong(key, "want https://: the token and the calls would go unencrypted")
	case u.RawQuery != "" || u.Fragment != "":
		v.wrong(key, "want an address without ? and #")
	default:
		return u
	}
	return nil
}

// clientFiles checks what a connection to another machine may be opened with.
func (v *checker) clientFiles(at, ca, cert, key string) {
	if (cert == "") != (key == "") {
		v.wrong(at+"client_cert", "client_cert and client_key belong together: set both or none")
	}
	for _, f := range []struct{ key, path string }{{"ca", ca}, {"client_cert", cert}, {"client_key", key}} {
		if f.path == "" {
			continue
		}
		if _, err := os.Stat(f.path); err != nil {
			v.wrong(at+f.key, "%v", err)
		}
	}
}
