package config

import (
	"encoding/hex"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Config is one calljournal.toml; CONTRACT.md section 2 has the meaning of the
// keys, packaging/calljournal.toml an example of each.
type Config struct {
	// Path is the file that this came from; "" if it came from none.
	Path string `toml:"-"`
	// Warnings are what works but should not stay as it is.
	Warnings []string `toml:"-"`

	Agent     Agent      `toml:"agent"`
	Log       Log        `toml:"log"`
	PBX       []PBX      `toml:"pbx"`
	HTTP      HTTP       `toml:"http"`
	Uplink    Uplink     `toml:"uplink"`
	Forward   []Forward  `toml:"forward"`
	Mail      Mail       `toml:"mail"`
	Report    []Report   `toml:"report"`
	Alert     []Alert    `toml:"alert"`
	Rules     Rules      `toml:"rules"`
	Retention Retention  `toml:"retention"`
	Employee  []Employee `toml:"employee"`
	Line      []Line     `toml:"line"`
	Tariff    []Tariff   `toml:"tariff"`
}

// Agent is [agent]: this daemon itself.
type Agent struct {
	Name     string `toml:"name"`
	DataDir  string `toml:"data_dir"`
	Socket   string `toml:"socket"`
	Timezone string `toml:"timezone"`

	location *time.Location
}

// Location is the time zone for days and hours.
func (a Agent) Location() *time.Location {
	if a.location == nil {
		return time.Local
	}
	return a.location
}

// Equal says that both are written alike; the zone is loaded anew with each file.
func (a Agent) Equal(o Agent) bool {
	a.location, o.location = nil, nil
	return a == o
}

// Log is [log].
type Log struct {
	Level string `toml:"level"`
}

// Kinds of PBX.
const (
	KindAsterisk   = "asterisk"
	KindFreeSWITCH = "freeswitch"
)

// PBX is one [[pbx]].
type PBX struct {
	Name       string   `toml:"name"`
	Kind       string   `toml:"kind"`
	Address    string   `toml:"address"`
	Username   string   `toml:"username"`
	Secret     Secret   `toml:"secret"`
	SecretFile string   `toml:"secret_file"`
	TLS        bool     `toml:"tls"`
	Trunks     []string `toml:"trunks"`
	Extensions string   `toml:"extensions"`

	CDRFile       string   `toml:"cdr_file"`
	CDRColumns    []string `toml:"cdr_columns"`
	RecordingsDir string   `toml:"recordings_dir"`
	VoicemailDir  string   `toml:"voicemail_dir"`
	FaxDir        string   `toml:"fax_dir"`

	extensions *regexp.Regexp
}

// ExtensionPattern is Extensions, compiled.
func (p PBX) ExtensionPattern() *regexp.Regexp { return p.extensions }

// HTTP is [http].
type HTTP struct {
	Listen   string `toml:"listen"`
	TLSCert  string `toml:"tls_cert"`
	TLSKey   string `toml:"tls_key"`
	ClientCA string `toml:"client_ca"`
	// TrustedProxies end TLS in front of us, and say who the client is.
	TrustedProxies []string `toml:"trusted_proxies"`
	Token          []Token  `toml:"token"`
}

// Scopes of a token.
const (
	ScopeSync    = "sync"
	ScopeJournal = "journal"
	ScopeAdmin   = "admin"
)

// Token is one [[http.token]]. Load puts what token_file holds into Token.
type Token struct {
	Name      string `toml:"name"`
	Scope     string `toml:"scope"`
	Token     Secret `toml:"token"`
	TokenFile string `toml:"token_file"`

	// Of a token with the scope journal: only the calls in which this department
	// has a part, and numbers shown as +7495***0101.
	Department  string `toml:"department"`
	MaskNumbers bool   `toml:"mask_numbers"`
	// TokenHash, "sha256:" and 64 digits, stands for a token that only the other
	// side knows.
	TokenHash string `toml:"token_hash"`
}

// HashedBytes is what TokenHash says; it was validated.
func (t Token) HashedBytes() (sum [32]byte, ok bool) { return readHash(t.TokenHash) }

func readHash(text string) (sum [32]byte, ok bool) {
	digits, found := strings.CutPrefix(text, hashPrefix)
	n, err := hex.Decode(sum[:], []byte(digits[:min(len(digits), 64)]))
	return sum, found && len(digits) == 64 && err == nil && n == len(sum)
}

const hashPrefix = "sha256:"

// Rules is [rules].
type Rules struct {
	Country         string   `toml:"country"`
	UniqueDepthDays int      `toml:"unique_depth_days"`
	TargetMinTalk   Duration `toml:"target_min_talk"`
	ShortAbandon    Duration `toml:"short_abandon"`
	LostWindow      Duration `toml:"lost_window"`
	SpamNumbersFile string   `toml:"spam_numbers_file"`
	SpamShortCalls  int      `toml:"spam_short_calls"`
	ServiceLevel    Duration `toml:"service_level"`
}

// Employee is one [[employee]].
type Employee struct {
	Extension  string `toml:"extension"`
	Name       string `toml:"name"`
	Department string `toml:"department"`
}

// Line is one [[line]]: a number of the company.
type Line struct {
	Number string `toml:"number"`
	Name   string `toml:"name"`
	Source string `toml:"source"`
}

// Tariff is one [[tariff]].
type Tariff struct {
	Prefix    string   `toml:"prefix"`
	PerMinute string   `toml:"per_minute"`
	Currency  string   `toml:"currency"`
	Step      Duration `toml:"step"`
	Free      Duration `toml:"free"`
}

// Duration is a length of time written as "30s" or "24h".
type Duration struct {
	time.Duration
	// bad is a text that is no duration. It is kept rather than refused at once
	// because only validate knows on which line it stands.
	bad string
}

// UnmarshalText implements encoding.TextUnmarshaler; it never fails.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		*d = Duration{bad: string(b)}
		return nil
	}
	*d = Duration{Duration: v}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Default values; packaging/calljournal.toml states the same, and a test
// compares the two.
const (
	DefaultExtensions = `^\d{2,5}$`
	defaultListen     = "127.0.0.1:8420"
)

// DefaultPath is where calljournal.toml lies unless --config says otherwise.
func DefaultPath(getenv func(string) string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(programData(getenv), "calljournal.toml")
	}
	return "/etc/calljournal/calljournal.toml"
}

func programData(getenv func(string) string) string {
	dir := getenv("ProgramData")
	if dir == "" {
		dir = `C:\ProgramData`
	}
	return filepath.Join(dir, "calljournal")
}

// defaults is what a file that says nothing means.
func defaults(env Env) Config {
	c := Config{
		Agent: Agent{
			DataDir: "/var/lib/calljournal",
			Socket:  "/run/calljournal/control.sock",
		},
		Log:  Log{Level: "info"},
		HTTP: HTTP{Listen: defaultListen},
		Rules: Rules{
			UniqueDepthDays: 30,
			TargetMinTalk:   Duration{Duration: 30 * time.Second},
			ShortAbandon:    Duration{Duration: 5 * time.Second},
			LostWindow:      Duration{Duration: 24 * time.Hour},
			ServiceLevel:    Duration{Duration: 20 * time.Second},
		},
		Retention: Retention{WaitForConsumersDays: 30},
	}
	if runtime.GOOS == "windows" {
		c.Agent.DataDir = programData(env.Getenv)
		c.Agent.Socket = filepath.Join(programData(env.Getenv), "control.sock")
	}
	return c
}

// Equal says that both describe the same link.
func (p PBX) Equal(o PBX) bool {
	p.extensions, o.extensions = nil, nil
	return reflect.DeepEqual(p, o)
}

// File is the path of a file that is named in c: relative to the folder of c
// itself.
func (c *Config) File(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(c.Path), name)
}

// SecretFiles are the files that secrets were read from, as paths.
func (c *Config) SecretFiles() (paths []string) {
	add := func(name string) {
		if name == "" {
			return
		}
		paths = append(paths, c.File(name))
	}
	for _, p := range c.PBX {
		add(p.SecretFile)
	}
	for _, t := range c.HTTP.Token {
		add(t.TokenFile)
	}
	add(c.Uplink.TokenFile)
	add(c.Mail.PasswordFile)
	for _, f := range c.Forward {
		add(f.SecretFile)
		add(f.Credentials)
	}
	return paths
}
