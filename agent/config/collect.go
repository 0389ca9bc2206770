package config

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Collect is one collect.toml: what `calljournal collect`, the centre, gathers
// and where it puts it. packaging/collect.toml has an example of each key.
type Collect struct {
	// Path is the file that this came from.
	Path string `toml:"-"`
	// Warnings are what works but should not stay as it is.
	Warnings []string `toml:"-"`

	Collect  CollectSelf `toml:"collect"`
	Log      Log         `toml:"log"`
	Database Database    `toml:"database"`
	Agent    []Branch    `toml:"agent"`
	Reader   []Reader    `toml:"reader"`
}

// CollectSelf is [collect]: the centre itself.
type CollectSelf struct {
	Name           string   `toml:"name"`
	Listen         string   `toml:"listen"`
	TLSCert        string   `toml:"tls_cert"`
	TLSKey         string   `toml:"tls_key"`
	ClientCA       string   `toml:"client_ca"`
	TrustedProxies []string `toml:"trusted_proxies"`
	Pause          Duration `toml:"pause"`
	Page           int      `toml:"page"`
}

// Database is [database]. DSN is what dsn_file holds, or else what the
// environment says; it holds a password.
type Database struct {
	DSN         Secret `toml:"-"`
	DSNFile     string `toml:"dsn_file"`
	Connections int    `toml:"connections"`
}

// DSNVariable is where the DSN comes from without a dsn_file. If that is empty
// too, the variables of libpq (PGHOST, PGDATABASE, ...) hold.
const DSNVariable = "CALLJOURNAL_DATABASE"

// How calls come from an agent.
const (
	ViaPull   = "pull"   // we ask at its url
	ViaUplink = "uplink" // it dials us, we ask over that
	ViaPush   = "push"   // its [[forward]] of the kind webhook sends
)

// Branch is one [[agent]]. Token is what we show it (pull) or it shows us
// (uplink), Secret what it signs with (push).
type Branch struct {
	Name       string `toml:"name"`
	Via        string `toml:"via"`
	URL        string `toml:"url"`
	Token      Secret `toml:"token"`
	TokenFile  string `toml:"token_file"`
	TokenHash  string `toml:"token_hash"`
	Secret     Secret `toml:"secret"`
	SecretFile string `toml:"secret_file"`
	CA         string `toml:"ca"`
	ClientCert string `toml:"client_cert"`
	ClientKey  string `toml:"client_key"`
}

// Hash is the SHA-256 of the token that the agent shows.
func (b Branch) Hash() [sha256.Size]byte { return hashOf(b.Token, b.TokenHash) }

// Reader is one [[reader]]: who may see the page and the metrics.
type Reader struct {
	Name      string `toml:"name"`
	Token     Secret `toml:"token"`
	TokenFile string `toml:"token_file"`
	TokenHash string `toml:"token_hash"`
}

// Hash is the SHA-256 of the token that the reader shows.
func (r Reader) Hash() [sha256.Size]byte { return hashOf(r.Token, r.TokenHash) }

func hashOf(token Secret, hash string) [sha256.Size]byte {
	if sum, ok := readHash(hash); ok {
		return sum
	}
	return sha256.Sum256([]byte(token.Reveal()))
}

// SecretFiles are the files that secrets were read from, as paths.
func (c *Collect) SecretFiles() (paths []string) {
	names := []string{c.Database.DSNFile}
	for _, b := range c.Agent {
		names = append(names, b.TokenFile, b.SecretFile)
	}
	for _, r := range c.Reader {
		names = append(names, r.TokenFile)
	}
	for _, name := range names {
		if name != "" {
			paths = append(paths, beside(filepath.Dir(c.Path), name))
		}
	}
	return paths
}

// DefaultCollectPath is where collect.toml lies unless --config says otherwise.
func DefaultCollectPath(getenv func(string) string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(programData(getenv), "collect.toml")
	}
	return "/etc/calljournal/collect.toml"
}

// LoadCollect reads the file at path. What is wrong with its contents is an *Error.
func LoadCollect(path string, env Env) (*Collect, error) {
	b, err := read(path, "the package brings it, the source has it as packaging/collect.toml")
	if err != nil {
		return nil, err
	}
	return ParseCollect(path, b, env)
}

// ParseCollect is LoadCollect of a file already read.
func ParseCollect(path string, data []byte, env Env) (*Collect, error) {
	c, found := readTOML(data, Collect{
		Path:     path,
		Collect:  CollectSelf{Name: "centre", Listen: "127.0.0.1:8430", Pause: Duration{Duration: time.Second}, Page: 500},
		Log:      Log{Level: "info"},
		Database: Database{Connections: 4},
	})
	if found.places == nil {
		return nil, &Error{path, found.problems}
	}
	v := checker{env: env, dir: filepath.Dir(path), findings: found}
	v.texts(reflect.ValueOf(&c).Elem(), "")
	v.collect(&c)
	v.own(path)
	c.Warnings = v.warnings
	if len(v.problems) > 0 {
		slices.SortStableFunc(v.problems, byPlace)
		return nil, &Error{path, v.problems}
	}
	return &c, nil
}

// Redacted is the configuration in effect, as TOML, with every secret hidden.
func (c *Collect) Redacted() string {
	b, err := toml.Marshal(c)
	if err != nil {
		return "configuration cannot be shown: " + err.Error()
	}
	return string(b)
}

const (
	maxCollectPage = 5000
	maxConnections = 64
)

func (v *checker) collect(c *Collect) {
	s := &c.Collect
	v.name("collect.name", s.Name)
	v.listener("collect", s.Listen, s.TLSCert, s.TLSKey, s.ClientCA)
	v.proxies("collect", s.Listen, s.TrustedProxies)
	if s.Page < 1 || s.Page > maxCollectPage {
		v.wrong("collect.page", "%d: want entries from 1 to %d", s.Page, maxCollectPage)
	}
	if s.Pause.Duration > time.Hour {
		v.wrong("collect.pause", "is longer than an hour")
	}
	v.oneOf("log.level", c.Log.Level, logLevels...)
	if n := c.Database.Connections; n < 1 || n > maxConnections {
		v.wrong("database.connections", "%d: want a number from 1 to %d", n, maxConnections)
	}
	if file := c.Database.DSNFile; file != "" {
		dsn, _, warning, err := readSecret(v.env, v.dir, file)
		if err != nil {
			v.wrong("database.dsn_file", "%v", err)
		}
		if warning != "" {
			v.warn("%s", warning)
		}
		c.Database.DSN = dsn
	} else {
		c.Database.DSN = NewSecret(v.env.Getenv(DSNVariable))
	}
	if len(c.Agent) == 0 {
		v.wrong("agent", "there is none: add [[agent]] with name, url and token_file")
	}
	names := map[string]string{}
	for i := range c.Agent {
		v.branch(fmt.Sprintf("agent[%d].", i), &c.Agent[i], names, s.Listen)
	}
	names = map[string]string{}
	for i := range c.Reader {
		r, at := &c.Reader[i], fmt.Sprintf("reader[%d].", i)
		v.name(at+"name", r.Name)
		v.unique(names, at+"name", r.Name)
		v.token(at, &r.Token, r.TokenFile, r.TokenHash)
	}
	if s.Listen != "" && len(c.Reader) == 0 {
		v.warn("there is no [[reader]]: nobody can see the page and the metrics at %s", s.Listen)
	}
}

func (v *checker) branch(at string, b *Branch, names map[string]string, listen string) {
	v.name(at+"name", b.Name)
	v.unique(names, at+"name", b.Name)
	if b.Via == "" {
		b.Via = ViaPull
	}
	if !v.oneOf(at+"via", b.Via, ViaPull, ViaUplink, ViaPush) {
		return
	}
	only := func(key string, set bool, via ...string) {
		if set {
			v.wrong(at+key, "does not go with via = %q, but with %q", b.Via, via)
		}
	}
	if b.Via != ViaPull {
		only("url", b.URL != "", ViaPull)
		only("ca", b.CA != "", ViaPull)
		only("client_cert", b.ClientCert != "", ViaPull)
		if listen == "" {
			v.wrong(at+"via", "%q needs [collect] listen", b.Via)
		}
	}
	switch b.Via {
	case ViaPull:
		if b.URL == "" {
			v.wrong(at+"url", `is missing: want the address of its HTTP interface, as https://office-1.example:8420; or via = "uplink" or "push"`)
		} else {
			v.remote(at+"url", b.URL)
		}
		only("token_hash", b.TokenHash != "", ViaUplink)
		v.secret(at+"token", &b.Token, b.TokenFile, b.TokenHash == "")
		v.clientFiles(at, b.CA, b.ClientCert, b.ClientKey)
	case ViaUplink:
		v.token(at, &b.Token, b.TokenFile, b.TokenHash)
	case ViaPush:
		only("token_file", b.TokenFile != "" || b.TokenHash != "" || !b.Token.IsZero(), ViaPull, ViaUplink)
		v.secret(at+"secret", &b.Secret, b.SecretFile, true)
	}
	if b.Via != ViaPush {
		only("secret_file", b.SecretFile != "" || !b.Secret.IsZero(), ViaPush)
	}
}
