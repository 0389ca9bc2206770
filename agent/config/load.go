package config

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Env is what a configuration takes from its surroundings.
type Env struct {
	Getenv   func(string) string
	Hostname func() (string, error)
}

// OSEnv is the environment of this process.
func OSEnv() Env { return Env{Getenv: os.Getenv, Hostname: os.Hostname} }

// Problem is one thing wrong with a configuration. Line is 0 where nothing in
// the file can be pointed at: something is missing.
type Problem struct {
	Line, Column int
	Key          string
	Text         string
}

// Error is everything that is wrong with one file.
type Error struct {
	File     string
	Problems []Problem
}

// maxShown keeps a file of quite another kind from scrolling the reason away.
const maxShown = 12

func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i == maxShown {
			fmt.Fprintf(&b, "\n%s: and %d more", e.File, len(e.Problems)-maxShown)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
		if p.Key != "" {
			b.WriteString(p.Key + ": ")
		}
		b.WriteString(p.Text)
	}
	return b.String()
}

// maxFile is far above any configuration: ten thousand employees are 1 MB.
const maxFile = 16 << 20

// Load reads the file at path. What is wrong with its contents is an *Error.
func Load(path string, env Env) (*Config, error) {
	b, err := read(path, "calljournal setup writes it")
	if err != nil {
		return nil, err
	}
	return Parse(path, b, env)
}

func read(path, remedy string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &Error{path, []Problem{{Text: "there is no such file: " + remedy + "; --config names another one"}}}
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(b) > maxFile {
		return nil, &Error{path, []Problem{{Text: "is larger than 16 MiB: that is no configuration"}}}
	}
	return b, nil
}

// Parse is Load of a file already read; path is for messages and for finding
// secret files that are named relative to it.
func Parse(path string, data []byte, env Env) (*Config, error) {
	c, found := readTOML(data, defaults(env))
	if found.places == nil {
		return nil, &Error{path, found.problems}
	}
	c.Path = path
	v := validator{checker{env: env, dir: filepath.Dir(path), findings: found}, &c}
	v.all()
	c.Warnings = v.warnings
	if len(v.problems) > 0 {
		slices.SortStableFunc(v.problems, byPlace)
		return nil, &Error{path, v.problems}
	}
	return &c, nil
}

// decodeProblems turns what go-toml says of data into what an administrator can use.
func (l layout) decodeProblems(err error, data []byte) []Problem {
	var e *toml.DecodeError
	if !errors.As(err, &e) {
		return []Problem{{Text: err.Error()}}
	}
	if len(e.Key()) == 0 { // it is no TOML, in which nothing has a place
		line, column := e.Position()
		return []Problem{{Line: line, Column: column, Text: syntaxText(strings.TrimPrefix(e.Error(), "toml: "), data, line, column)}}
	}
	key, line, column := keyOf(e, index(data))
	text := strings.TrimPrefix(e.Error(), "toml: ")
	var anything map[string]any
	if want := l.wanted(key); want != "" && toml.Unmarshal(data, &anything) == nil { // else it has a key or a table twice
		text = "wrong type: want " + want + " (" + text + ")"
	}
	return []Problem{{line, column, strings.Join(key, "."), text}}
}

// keyOf is what an error is about, and where that stands. go-toml leaves out of a
// key what is above it in an inline table.
func keyOf(e *toml.DecodeError, places map[string]place) (key []string, line, column int) {
	line, column = e.Position()
	best, at := "", 0
	for path, p := range places {
		if p.line == line && p.column <= column && (p.column > at || p.column == at && len(path) < len(best)) {
			best, at = path, p.column
		}
	}
	if best == "" {
		return e.Key(), line, column
	}
	return strings.Split(itemNumber.ReplaceAllString(best, ""), "."), line, column
}

var itemNumber = regexp.MustCompile(`\[\d+\]`)

// Redacted is the configuration in effect, as TOML, with every secret hidden: what
// is a Secret, the hashes of tokens, and what may be secret in an address.
func (c *Config) Redacted() string {
	shown := *c
	shown.HTTP.Token = slices.Clone(c.HTTP.Token)
	for i := range shown.HTTP.Token {
		if t := &shown.HTTP.Token[i]; t.TokenHash != "" {
			t.TokenHash = hashPrefix + hidden
		}
	}
	shown.Forward = slices.Clone(c.Forward)
	for i := range shown.Forward {
		shown.Forward[i].URL = shown.Forward[i].address()
		shown.Forward[i].Proxy = withoutUser(shown.Forward[i].Proxy)
	}
	shown.Uplink.URL = withoutUser(c.Uplink.URL)
	b, err := toml.Marshal(shown)
	if err != nil {
		return "configuration cannot be shown: " + err.Error()
	}
	return string(b)
}

// withoutUser is an address without the name and the password that validate
// refuses in it, and without its query.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return hidden
	}
	if u.User != nil {
		u.User = url.User(hidden)
	}
	if u.RawQuery != "" {
		u.RawQuery = hidden
	}
	return u.String()
}

// Place is where the daemon that the file at path is for keeps its socket and its
// journal, and in which time zone it counts. It asks for nothing else of the file,
// so that whoever may use the socket need not be able to read secrets. A file that is
// not there, or may not be read, means the defaults, unless it was asked for by name.
func Place(path string, named bool, env Env) (Agent, error) {
	c := defaults(env)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrPermission), errors.Is(err, os.ErrNotExist) && !named:
		return c.Agent, nil
	case errors.Is(err, os.ErrNotExist):
		return c.Agent, &Error{path, []Problem{{Text: "there is no such file"}}}
	case err != nil:
		return c.Agent, fmt.Errorf("read configuration: %w", err)
	}
	b, wrong := plainText(b)
	if wrong != nil {
		return c.Agent, &Error{path, []Problem{*wrong}}
	}
	only := struct {
		Agent *Agent `toml:"agent"`
	}{&c.Agent}
	if err := toml.Unmarshal(b, &only); err != nil {
		return c.Agent, &Error{path, layoutOf[Config]().decodeProblems(err, b)}
	}
	if loc, err := time.LoadLocation(c.Agent.Timezone); err == nil && c.Agent.Timezone != "" {
		c.Agent.location = loc
	}
	return c.Agent, nil
}
