package config

import (
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"github.com/pelletier/go-toml/v2/unstable"
)

// checker gathers what is wrong with one decoded file.
type checker struct {
	env      Env
	dir      string // of the file
	warnings []string
	findings
}

// validator walks a decoded Config once, completes it and gathers what is wrong.
type validator struct {
	checker
	c *Config
}

func (v *validator) all() {
	v.texts(reflect.ValueOf(v.c).Elem(), "")
	v.agent()
	v.pbxs()
	v.http()
	v.uplink()
	v.forwards()
	v.mail()
	v.rules()
	v.retention()
	v.people()
	v.tariffs()
	v.own(v.c.Path)
}

// wrong notes a problem at key, or at the nearest table above that is written.
func (v *checker) wrong(key, format string, args ...any) {
	if v.consequence(key) {
		return
	}
	p := Problem{Key: key, Text: fmt.Sprintf(format, args...)}
	for at := key; at != ""; {
		if pl, ok := v.places[at]; ok {
			p.Line, p.Column = pl.line, pl.column
			break
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			break
		}
		at = at[:cut]
	}
	v.problems = append(v.problems, p)
}

func (v *checker) warn(format string, args ...any) {
	v.warnings = append(v.warnings, fmt.Sprintf(format, args...))
}

// texts sees to what holds for every value: no control characters in texts (a
// line end in a username would be a header of its own on the wire), no absurd
// lengths, and quotes around secrets and durations.
func (v *checker) texts(t reflect.Value, at string) {
	for i := range t.NumField() {
		f := t.Type().Field(i)
		key := f.Tag.Get("toml")
		if !f.IsExported() || key == "-" {
			continue
		}
		here := join(at, key)
		switch val := t.Field(i); x := val.Interface().(type) {
		case string:
			v.text(here, x)
		case []string:
			for n, s := range x {
				v.text(fmt.Sprintf("%s[%d]", here, n), s)
			}
		case []int:
		case Secret:
			if k, ok := v.places[here]; ok && k.kind != unstable.String {
				v.wrong(here, `wrong type: want a text in quotes: %s = "..."`, key)
			}
		case Duration:
			v.duration(here, x)
		case Size:
			v.size(here, x)
		default:
			switch val.Kind() {
			case reflect.Struct:
				v.texts(val, here)
			case reflect.Map:
				for _, k := range val.MapKeys() {
					v.text(here, k.String())
				}
			case reflect.Slice:
				// go-toml takes [pbx] for the only element of a list.
				if v.places[here].kind == unstable.Table {
					v.wrong(here, "write [[%s]], with two brackets: there can be several", here)
				}
				for n := range val.Len() {
					v.texts(val.Index(n), fmt.Sprintf("%s[%d]", here, n))
				}
			}
		}
	}
}

func (v *checker) text(key, s string) {
	switch {
	case len(s) > 4096:
		v.wrong(key, "is longer than 4096 bytes")
	case strings.ContainsFunc(s, unicode.IsControl):
		v.wrong(key, "holds a control character (a line end, a tab, a zero byte)")
	}
}

func (v *checker) duration(key string, d Duration) {
	switch {
	case d.bad != "" || v.places[key].kind != unstable.Invalid && v.places[key].kind != unstable.String:
		v.wrong(key, `want a length of time in quotes, as "30s", "5m" or "24h"`)
	case d.Duration < 0:
		v.wrong(key, "a length of time cannot be below zero")
	}
}

var (
	goodName  = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$`)
	decimal   = regexp.MustCompile(`^\d{1,9}(\.\d{1,6})?$`)
	currency  = regexp.MustCompile(`^[A-Z]{3}$`)
	digits    = regexp.MustCompile(`^\d{1,15}$`)
	logLevels = []string{"debug", "info", "warn", "error"}
)

// GoodName says whether a text can be the name of a PBX, a token, a forwarder.
func GoodName(name string) bool { return goodName.MatchString(name) }

// name checks what ends up in ids, addresses and metrics.
func (v *checker) name(key, name string) {
	switch {
	case name == "":
		v.wrong(key, "is missing")
	case !goodName.MatchString(name):
		v.wrong(key, "%q: want up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit", name)
	}
}

// oneOf checks a word against the few that are known.
func (v *checker) oneOf(key, word string, known ...string) bool {
	if slices.Contains(known, word) {
		return true
	}
	if word == "" {
		v.wrong(key, "is missing: want %s", strings.Join(known, ", "))
		return false
	}
	near, _ := nearest(word, known)
	v.wrong(key, "%q is not known: want %s; did you mean %q?", word, strings.Join(known, ", "), near)
	return false
}

// unique refuses the second of two; it tells where the first one stands.
func (v *checker) unique(seen map[string]string, key, name string) {
	if name == "" {
		return
	}
	if first, ok := seen[name]; ok {
		v.wrong(key, "%q is there twice: line %d has it too", name, v.places[first].line)
		return
	}
	seen[name] = key
}

func (v *validator) agent() {
	a := &v.c.Agent
	if a.Name == "" {
		host, err := v.env.Hostname()
		if err != nil || host == "" {
			host = "calljournal"
		}
		a.Name = host
	}
	v.name("agent.name", a.Name)
	for _, f := range []struct{ key, path string }{{"agent.data_dir", a.DataDir}, {"agent.socket", a.Socket}} {
		if !filepath.IsAbs(f.path) {
			v.wrong(f.key, "%q: want a path from the root, because a service has no folder of its own", f.path)
		}
	}
	if len(a.Socket) > 100 {
		v.wrong("agent.socket", "is longer than 100 bytes, which is what systems allow for a socket")
	}
	if a.Timezone != "" {
		loc, err := time.LoadLocation(a.Timezone)
		if err != nil {
			v.wrong("agent.timezone", "%q is no time zone: want a name as Europe/Moscow", a.Timezone)
		}
		a.location = loc
	}
	v.oneOf("log.level", v.c.Log.Level, logLevels...)
}

func (v *validator) pbxs() {
	if len(v.c.PBX) == 0 {
		v.wrong("pbx", "there is none: add [[pbx]] with name, kind, address, username and secret_file")
	}
	names := map[string]string{}
	for i := range v.c.PBX {
		p, at := &v.c.PBX[i], fmt.Sprintf("pbx[%d].", i)
		v.name(at+"name", p.Name)
		v.unique(names, at+"name", p.Name)
		v.oneOf(at+"kind", p.Kind, KindAsterisk, KindFreeSWITCH)
		port := "5038"
		if p.Kind == KindFreeSWITCH {
			port = "8021"
		}
		v.address(at+"address", p.Address, port)
		if p.Kind == KindAsterisk && p.Username == "" {
			v.wrong(at+"username", "is missing: the name in [brackets] in the PBX's manager.conf")
		}
		v.secret(at+"secret", &p.Secret, p.SecretFile, true)
		for n, pattern := range p.Trunks {
			if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
				v.wrong(fmt.Sprintf("%strunks[%d]", at, n), "%q is no pattern: want something as PJSIP/trunk-*", pattern)
			}
		}
		if p.Extensions == "" {
			p.Extensions = DefaultExtensions
		}
		re, err := regexp.Compile(p.Extensions)
		if err != nil {
			v.wrong(at+"extensions", "%q is no regular expression: %v", p.Extensions, err)
		}
		p.extensions = re
		v.cdrColumns(at, p)
		for _, f := range []struct{ key, path string }{
			{"cdr_file", p.CDRFile}, {"recordings_dir", p.RecordingsDir}, {"voicemail_dir", p.VoicemailDir}, {"fax_dir", p.FaxDir},
		} {
			if f.path != "" && !filepath.IsAbs(f.path) {
				v.wrong(at+f.key, "%q: want a path from the root", f.path)
			}
		}
	}
}

// cdrColumns: without the channel's id a row cannot be brought to its call, and
// without the start it has no place in time.
func (v *validator) cdrColumns(at string, p *PBX) {
	if len(p.CDRColumns) == 0 {
		return
	}
	if p.CDRFile == "" {
		v.wrong(at+"cdr_columns", "is of no use without cdr_file")
	}
	needs := [][]string{{"uniqueid"}, {"channel"}, {"start"}, {"end", "duration"}, {"disposition"}}
	if p.Kind == KindFreeSWITCH {
		needs = [][]string{{"uuid"}, {"start_stamp", "start_epoch", "start_uepoch"}, {"end_stamp", "end_epoch", "end_uepoch"}}
	}
	for _, any := range needs {
		if !slices.ContainsFunc(any, func(name string) bool { return slices.Contains(p.CDRColumns, name) }) {
			v.wrong(at+"cdr_columns", "names no %s: a row cannot be used without it", strings.Join(any, " or "))
		}
	}
}

// address checks host:port; a PBX on this machine has a host too.
func (v *checker) address(key, address, port string) {
	if address == "" {
		v.wrong(key, "is missing: want host:port, as 127.0.0.1:%s", port)
		return
	}
	host, p, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		v.wrong(key, "%q: want host:port, as 127.0.0.1:%s", address, port)
		return
	}
	v.port(key, address, p, 1)
}

func (v *checker) port(key, address, port string, least int) {
	if n, err := strconv.Atoi(port); err != nil || n < least || n > 65535 {
		v.wrong(key, "%q: the port must be a number from %d to 65535", address, least)
	}
}

// secret completes s from its file. Exactly one of the two may be given.
func (v *checker) secret(key string, s *Secret, file string, required bool) {
	_, inline := v.places[key]
	switch {
	case inline && file != "":
		v.wrong(key, "both this and %s_file are there: keep one", key[strings.LastIndex(key, ".")+1:])
		return
	case !inline && file == "":
		if required {
			v.wrong(key, "is missing: want %s_file = \"...\", or %[1]s = \"...\"", key[strings.LastIndex(key, ".")+1:])
		}
		return
	case file != "":
		got, path, warning, err := readSecret(v.env, v.dir, file)
		if err != nil {
			v.wrong(key+"_file", "%v", err)
			return
		}
		if warning != "" {
			v.warn("%s", warning)
		}
		*s = got
		if text := checkSecret(got); text != "" {
			v.wrong(key+"_file", "%s %s", path, text)
		}
		return
	}
	if text := checkSecret(*s); text != "" {
		v.wrong(key, "%s", text)
	}
}

func (v *validator) http() {
	h := &v.c.HTTP
	v.listener("http", h.Listen, h.TLSCert, h.TLSKey, h.ClientCA)
	v.proxies("http", h.Listen, h.TrustedProxies)
	names, tokens := map[string]string{}, map[string]string{}
	for i := range h.Token {
		t, at := &h.Token[i], fmt.Sprintf("http.token[%d].", i)
		v.name(at+"name", t.Name)
		v.unique(names, at+"name", t.Name)
		v.oneOf(at+"scope", t.Scope, ScopeSync, ScopeJournal, ScopeAdmin)
		v.limits(at, t)
		v.token(at, &t.Token, t.TokenFile, t.TokenHash)
		if t.Token.IsZero() {
			continue
		}
		if first, ok := tokens[t.Token.Reveal()]; ok {
			v.wrong(at+"token", "is the same as that of %q: every token must be its own", first)
		}
		tokens[t.Token.Reveal()] = t.Name
		if len(t.Token.Reveal()) < 16 {
			v.warn("http.token %q is shorter than 16 characters: it can be guessed; `calljournal token` makes a good one", t.Name)
		}
	}
}

// limits checks what a token sees less than its scope opens.
func (v *validator) limits(at string, t *Token) {
	switch {
	case t.Scope != ScopeJournal && t.Department != "":
		v.wrong(at+"department", "goes with scope %q only: %s shows everything", ScopeJournal, t.Scope)
	case t.Scope != ScopeJournal && t.MaskNumbers:
		v.wrong(at+"mask_numbers", "goes with scope %q only: %s shows everything", ScopeJournal, t.Scope)
	case t.Department != "" && !v.peopled(t.Department):
		v.warn("http.token %q is for the department %q, in which there is no [[employee]]: it sees no call", t.Name, t.Department)
	}
}

// peopled says whether anybody is in a department.
func (v *validator) peopled(department string) bool {
	return slices.ContainsFunc(v.c.Employee, func(e Employee) bool { return e.Department == department })
}

// departments warns of those that no call can have.
func (v *validator) departments(what string, names []string) {
	for _, name := range names {
		if !v.peopled(name) {
			v.warn("%s asks for the department %q, in which there is no [[employee]]: no call is of it", what, name)
		}
	}
}

// listener checks where a table says that others can reach us.
func (v *checker) listener(table, listen, cert, key, ca string) {
	if listen != "" {
		host, port, err := net.SplitHostPort(listen)
		if err != nil {
			v.wrong(table+".listen", "%q: want host:port, as 127.0.0.1:8420, or \"\" for none", listen)
		} else {
			v.port(table+".listen", listen, port, 0)
			if cert == "" && !loopback(host) {
				v.warn("%s.listen %s can be reached from outside and is not encrypted: set tls_cert and tls_key, or listen on 127.0.0.1", table, listen)
			}
		}
	}
	if (cert == "") != (key == "") {
		v.wrong(table+".tls_cert", "tls_cert and tls_key belong together: set both or none")
	}
	if ca != "" && cert == "" {
		v.wrong(table+".client_ca", "works only with tls_cert and tls_key")
	}
	for _, f := range []struct{ key, path string }{{"tls_cert", cert}, {"tls_key", key}, {"client_ca", ca}} {
		if f.path == "" {
			continue
		}
		if _, err := os.Stat(f.path); err != nil {
			v.wrong(table+"."+f.key, "%v", err)
		}
	}
}

// token checks a token that others show us: it may be there as itself, in a file,
// or as its hash.
func (v *checker) token(at string, t *Secret, file, hash string) {
	if hash == "" {
		v.secret(at+"token", t, file, true)
		return
	}
	if _, inline := v.places[at+"token"]; inline || file != "" {
		v.wrong(at+"token_hash", "stands in place of token and token_file: keep one")
	}
	if _, ok := readHash(hash); !ok {
		v.wrong(at+"token_hash", `%q: want "sha256:" and 64 hexadecimal digits, as calljournal token prints it`, hash)
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// maxLostWindow bounds how much of a number's history one call can change.
const maxLostWindow = 31 * 24 * time.Hour

func (v *validator) rules() {
	r := v.c.Rules
	if r.Country != "" && !phonenumbers.GetSupportedRegions()[r.Country] {
		v.wrong("rules.country", "%q is no country: want two capital letters, as RU", r.Country)
	}
	if r.UniqueDepthDays < 0 || r.UniqueDepthDays > 36500 {
		v.wrong("rules.unique_depth_days", "%d: want days from 1 to 36500, or 0 for the whole journal", r.UniqueDepthDays)
	}
	if r.SpamShortCalls < 0 || r.SpamShortCalls == 1 || r.SpamShortCalls > 1000 {
		v.wrong("rules.spam_short_calls", "%d: want calls in an hour from 2 to 1000, or 0 for never", r.SpamShortCalls)
	}
	if r.ServiceLevel.Duration == 0 && r.ServiceLevel.bad == "" {
		v.wrong("rules.service_level", "cannot be zero")
	}
	if r.LostWindow.Duration > maxLostWindow {
		v.wrong("rules.lost_window", "%s: want at most %s", r.LostWindow, maxLostWindow)
	}
}

func (v *validator) people() {
	extensions := map[string]string{}
	for i, e := range v.c.Employee {
		at := fmt.Sprintf("employee[%d].", i)
		if e.Extension == "" {
			v.wrong(at+"extension", "is missing")
		}
		if e.Name == "" {
			v.wrong(at+"name", "is missing")
		}
		v.unique(extensions, at+"extension", e.Extension)
	}
	v.strangers()
	numbers := map[string]string{}
	for i, l := range v.c.Line {
		at := fmt.Sprintf("line[%d].", i)
		if l.Number == "" {
			v.wrong(at+"number", "is missing")
		}
		v.unique(numbers, at+"number", l.Number)
	}
}

// strangers warns of employees whose extension no PBX takes for one.
func (v *validator) strangers() {
	var names []string
	for _, e := range v.c.Employee {
		if e.Extension != "" && !slices.ContainsFunc(v.c.PBX, func(p PBX) bool { return p.extensions == nil || p.extensions.MatchString(e.Extension) }) {
			names = append(names, e.Extension)
		}
	}
	if n := len(names); n > 0 && len(v.c.PBX) > 0 {
		more := ""
		if n > 3 {
			more = fmt.Sprintf(" and %d more", n-3)
		}
		v.warn("[[employee]] with the extension %s%s: the pattern extensions of no [[pbx]] matches it, so that no call is seen as theirs", strings.Join(names[:min(n, 3)], ", "), more)
	}
}

func (v *validator) tariffs() {
	prefixes := map[string]string{}
	for i := range v.c.Tariff {
		t, at := &v.c.Tariff[i], fmt.Sprintf("tariff[%d].", i)
		if !digits.MatchString(t.Prefix) {
			v.wrong(at+"prefix", "%q: want the first digits of a number with its country code, as 79", t.Prefix)
		}
		v.unique(prefixes, at+"prefix", t.Prefix)
		if !decimal.MatchString(t.PerMinute) {
			v.wrong(at+"per_minute", `%q: want a price in quotes, as "1.80"`, t.PerMinute)
		}
		if !currency.MatchString(t.Currency) {
			v.wrong(at+"currency", "%q: want three capital letters, as RUB", t.Currency)
		}
		if _, ok := v.places[at+"step"]; !ok {
			t.Step.Duration = time.Minute
		} else if t.Step.Duration == 0 && t.Step.bad == "" {
			v.wrong(at+"step", "cannot be zero")
		}
	}
}

// own warns of a configuration that holds secrets and that everybody can read.
func (v *checker) own(path string) {
	inline := false
	for key, p := range v.places {
		last := key[strings.LastIndex(key, ".")+1:]
		inline = inline || (last == "secret" || last == "token" || last == "password") && p.kind == unstable.String
	}
	if st, err := os.Stat(path); inline && err == nil && os.PathSeparator == '/' && st.Mode().Perm()&0o007 != 0 {
		v.warn("%s holds secrets and can be read by everybody: chmod o-rwx it, or use secret_file", path)
	}
}
