package config

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Kinds of [[forward]].
const (
	ForwardWebhook  = "webhook"
	ForwardNATS     = "nats"
	ForwardFile     = "file"
	ForwardBitrix24 = "bitrix24"
	ForwardAmoCRM   = "amocrm"
)

// Where a new forwarder begins.
const (
	StartOldest = "oldest"
	StartNewest = "newest"
)

// Forward is one [[forward]].
type Forward struct {
	Name       string `toml:"name"`
	Kind       string `toml:"kind"`
	URL        string `toml:"url"`
	Secret     Secret `toml:"secret"`
	SecretFile string `toml:"secret_file"`

	Direction  []string `toml:"direction"`
	Status     []string `toml:"status"`
	Department []string `toml:"department"`
	Final      bool     `toml:"final"`
	Live       bool     `toml:"live"`
	Start      string   `toml:"start"`

	Batch   int      `toml:"batch"` // 0: what suits the kind
	Tries   int      `toml:"tries"`
	Timeout Duration `toml:"timeout"`

	Gzip        bool             `toml:"gzip"`
	Proxy       string           `toml:"proxy"`
	TLSCA       string           `toml:"tls_ca"`
	TLSCert     string           `toml:"tls_cert"`
	TLSKey      string           `toml:"tls_key"`
	Credentials string           `toml:"credentials"` // validate makes it the path that this process can read
	RotateMB    int              `toml:"rotate_mb"`
	Users       map[string]int64 `toml:"users"`
}

// UserDefault is the key among Users for calls of nobody who has one.
const UserDefault = "default"

// forwardKind is what goes with a kind of [[forward]].
type forwardKind struct {
	schemes     []string
	example     string
	batch, most int // entries in one request
	secret      bool
	keys        []string // beyond those that all kinds have
}

func forwardKinds() map[string]forwardKind {
	web, secure := []string{"https", "http"}, []string{"proxy", "tls_ca", "tls_cert", "tls_key"}
	return map[string]forwardKind{
		ForwardWebhook:  {web, "https://crm.example/hooks/calls", 100, 1000, false, append([]string{"live", "gzip"}, secure...)},
		ForwardNATS:     {[]string{"nats", "tls"}, "tls://bus.example:4222", 256, 1000, false, append([]string{"live", "credentials"}, secure[1:]...)},
		ForwardFile:     {[]string{"file"}, "file:///var/lib/calljournal/calls.ndjson", 500, 1000, false, []string{"rotate_mb"}},
		ForwardBitrix24: {web, "https://company.bitrix24.ru/rest/1", 1, 1, true, append([]string{"users"}, secure...)},
		ForwardAmoCRM:   {web, "https://company.amocrm.ru", 20, 50, true, append([]string{"users"}, secure...)},
	}
}

func (v *validator) forwards() {
	names := map[string]string{}
	kinds := forwardKinds()
	for i := range v.c.Forward {
		f, at := &v.c.Forward[i], fmt.Sprintf("forward[%d].", i)
		v.name(at+"name", f.Name)
		v.unique(names, at+"name", f.Name)
		if !v.oneOf(at+"kind", f.Kind, ForwardWebhook, ForwardNATS, ForwardFile, ForwardBitrix24, ForwardAmoCRM) {
			continue
		}
		kind := kinds[f.Kind]
		v.forwardURL(at, f, kind)
		v.secret(at+"secret", &f.Secret, f.SecretFile, kind.secret)
		v.forwardFilter(at, f)
		v.forwardPace(at, f, kind)
		v.forwardTLS(at, f)
		for _, key := range []string{"live", "gzip", "proxy", "tls_ca", "tls_cert", "tls_key", "credentials", "rotate_mb", "users"} {
			if _, written := v.places[at+key]; written && !slices.Contains(kind.keys, key) {
				v.wrong(at+key, "does not go with kind %q", f.Kind)
			}
		}
	}
}

func (v *validator) forwardURL(at string, f *Forward, kind forwardKind) {
	if f.URL == "" {
		v.wrong(at+"url", "is missing: want something as %s", kind.example)
		return
	}
	u, err := url.Parse(f.URL)
	switch {
	case err != nil || u.Scheme == "":
		v.wrong(at+"url", "is no address: want something as %s", kind.example)
	case u.User != nil:
		v.wrong(at+"url", "holds a user name: addresses are logged, so put it into secret_file")
	case !slices.Contains(kind.schemes, u.Scheme):
		v.wrong(at+"url", "%s:// does not go with kind %q: want %s://", u.Scheme, f.Kind, strings.Join(kind.schemes, ":// or "))
	case f.Kind == ForwardFile && (u.Host != "" || u.Path == "" || strings.HasSuffix(u.Path, "/")):
		v.wrong(at+"url", "is no file: want three slashes and a path from the root, as %s", kind.example)
	case f.Kind != ForwardFile && u.Host == "":
		v.wrong(at+"url", "names no host: want something as %s", kind.example)
	case (u.Scheme == "http" || u.Scheme == "nats") && !loopback(u.Hostname()):
		v.warn("forward %s sends calls, and its secret, unencrypted to %s: use %s", f.Name, u.Host, map[string]string{"http": "https", "nats": "tls"}[u.Scheme])
	}
}

func (v *validator) forwardFilter(at string, f *Forward) {
	for n, word := range f.Direction {
		v.oneOf(fmt.Sprintf("%sdirection[%d]", at, n), word, directions...)
	}
	for n, word := range f.Status {
		v.oneOf(fmt.Sprintf("%sstatus[%d]", at, n), word, statuses...)
	}
	v.departments("forward "+f.Name, f.Department)
	if f.Start == "" {
		f.Start = StartOldest
	}
	v.oneOf(at+"start", f.Start, StartOldest, StartNewest)
	for extension, id := range f.Users {
		if extension == "" || id <= 0 {
			v.wrong(at+"users", `%q = %d: want an extension and the number of its user, as { "101" = 7, %s = 1 }`, extension, id, UserDefault)
		}
	}
}

func (v *validator) forwardPace(at string, f *Forward, kind forwardKind) {
	_, batch := v.places[at+"batch"]
	_, tries := v.places[at+"tries"]
	_, timeout := v.places[at+"timeout"]
	_, rotate := v.places[at+"rotate_mb"]
	if !batch {
		f.Batch = kind.batch
	}
	if !tries {
		f.Tries = 5
	}
	if !timeout {
		f.Timeout.Duration = 30 * time.Second
	}
	if !rotate {
		f.RotateMB = 100
	}
	if f.Batch < 1 || f.Batch > kind.most {
		v.wrong(at+"batch", "%d: want entries in one request, from 1 to %d for kind %q", f.Batch, kind.most, f.Kind)
	}
	if f.Tries < 1 || f.Tries > 100 {
		v.wrong(at+"tries", "%d: want a number from 1 to 100", f.Tries)
	}
	if f.RotateMB < 1 || f.RotateMB > 100_000 {
		v.wrong(at+"rotate_mb", "%d: want MiB from 1 to 100000", f.RotateMB)
	}
	if d := f.Timeout.Duration; f.Timeout.bad == "" && d >= 0 && (d < time.Second || d > 10*time.Minute) {
		v.wrong(at+"timeout", `%s: want a length of time from "1s" to "10m"`, d)
	}
}

func (v *validator) forwardTLS(at string, f *Forward) {
	if f.Credentials != "" {
		f.Credentials = credential(v.env, v.dir, f.Credentials)
	}
	if (f.TLSCert == "") != (f.TLSKey == "") {
		v.wrong(at+"tls_cert", "tls_cert and tls_key belong together: set both or none")
	}
	for _, file := range []struct{ key, path string }{{"tls_ca", f.TLSCA}, {"tls_cert", f.TLSCert}, {"tls_key", f.TLSKey}, {"credentials", f.Credentials}} {
		if file.path == "" {
			continue
		}
		if _, err := os.Stat(file.path); err != nil {
			v.wrong(at+file.key, "%v", err)
		}
	}
	if f.Proxy == "" {
		return
	}
	u, err := url.Parse(f.Proxy)
	switch {
	case err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme):
		v.wrong(at+"proxy", "is no proxy: want something as http://proxy.example:3128")
	case u.User != nil:
		v.wrong(at+"proxy", "holds a user name: put the whole address into the environment instead, as HTTPS_PROXY")
	}
}

// address is the URL without what may be secret in it: a token in its path.
func (f *Forward) address() string {
	u, err := url.Parse(f.URL)
	if err != nil || f.Kind == ForwardFile {
		return f.URL
	}
	if u.Path == "" && u.RawQuery == "" {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + "://" + u.Host + "/" + hidden
}
