package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/config"
)

func env(vars map[string]string) config.Env {
	return config.Env{
		Getenv:   func(k string) string { return vars[k] },
		Hostname: func() (string, error) { return "pbx-host", nil },
	}
}

func parse(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	return config.Parse(filepath.Join(t.TempDir(), "calljournal.toml"), []byte(text), env(nil))
}

const minimal = `
[[pbx]]
name = "main"
kind = "asterisk"
address = "127.0.0.1:5038"
username = "calljournal"
secret = "s3cret"
`

func TestParse_Defaults(t *testing.T) {
	c, err := parse(t, minimal)
	if err != nil {
		t.Fatal(err)
	}
	if c.Agent.Name != "pbx-host" || c.HTTP.Listen != "127.0.0.1:8420" || c.Log.Level != "info" {
		t.Errorf("defaults: name %q, listen %q, level %q", c.Agent.Name, c.HTTP.Listen, c.Log.Level)
	}
	if r := c.Rules; r.UniqueDepthDays != 30 || r.TargetMinTalk.Duration != 30*time.Second ||
		r.ShortAbandon.Duration != 5*time.Second || r.LostWindow.Duration != 24*time.Hour {
		t.Errorf("rules: %+v", r)
	}
	if !c.PBX[0].ExtensionPattern().MatchString("101") || c.PBX[0].ExtensionPattern().MatchString("74951230101") {
		t.Errorf("extensions: %v", c.PBX[0].ExtensionPattern())
	}
	if c.PBX[0].Secret.Reveal() != "s3cret" {
		t.Error("the secret did not arrive")
	}
}

func TestParse_EmptyListenIsOff(t *testing.T) {
	c, err := parse(t, minimal+"[http]\nlisten = \"\"\n[rules]\nunique_depth_days = 0\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP.Listen != "" || c.Rules.UniqueDepthDays != 0 {
		t.Errorf("listen %q, depth %d: what is written must win over the default", c.HTTP.Listen, c.Rules.UniqueDepthDays)
	}
}

// Every line of the contract's section 2, as it stands there.
const contract = `
[agent]
name     = "office-1"
data_dir = "/var/lib/calljournal"
socket   = "/run/calljournal/control.sock"
timezone = "Europe/Moscow"
[log]
level = "info"
[[pbx]]
name     = "main"
kind     = "asterisk"
address  = "127.0.0.1:5038"
username = "calljournal"
secret_file = "ami.secret"
tls      = false
trunks   = ["PJSIP/trunk-*", "sofia/external/*"]
extensions = '^\d{2,5}$'
cdr_file = "/var/log/asterisk/cdr-csv/Master.csv"
recordings_dir = "/var/spool/asterisk/monitor"
voicemail_dir  = "/var/spool/asterisk/voicemail"
fax_dir        = "/var/spool/asterisk/fax"
[http]
listen = "127.0.0.1:8420"
tls_cert = ""
tls_key  = ""
client_ca = ""
[[http.token]]
name  = "central"
scope = "sync"
token_file = "central.token"
[[forward]]
name = "crm"
kind = "webhook"
url  = "https://crm.example/hooks/calls"
secret_file = "crm.secret"
[rules]
country            = "RU"
unique_depth_days  = 30
target_min_talk    = "30s"
short_abandon      = "5s"
lost_window        = "24h"
spam_numbers_file  = ""
[[employee]]
extension  = "101"
name       = "Анна Петрова"
department = "Продажи"
[[line]]
number = "74951230101"
name   = "Сайт"
source = "yandex-direct"
[[tariff]]
prefix = "79"
per_minute = "1.80"
currency = "RUB"
step = "60s"
free = "3s"
`

func writeSecrets(t *testing.T, dir string, mode os.FileMode) {
	t.Helper()
	for _, name := range []string{"ami.secret", "central.token", "crm.secret"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("the "+name+" of this test\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoad_EveryKeyOfTheContract(t *testing.T) {
	dir := t.TempDir()
	writeSecrets(t, dir, 0o600)
	path := filepath.Join(dir, "calljournal.toml")
	if err := os.WriteFile(path, []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path, env(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %q", c.Warnings)
	}
	if got := c.PBX[0].Secret.Reveal(); got != "the ami.secret of this test" {
		t.Errorf("secret from file: %q", got)
	}
	if got := c.HTTP.Token[0].Token.Reveal(); got != "the central.token of this test" {
		t.Errorf("token from file: %q", got)
	}
	if c.Agent.Location().String() != "Europe/Moscow" {
		t.Errorf("time zone: %v", c.Agent.Location())
	}
	for _, shown := range []string{c.Redacted(), fmt.Sprintf("%+v %#v %s", c, c.PBX[0].Secret, c.PBX[0].Secret), logged(c)} {
		if strings.Contains(shown, "of this test") {
			t.Errorf("a secret shows in: %s", shown)
		}
	}
	if !strings.Contains(c.Redacted(), `secret = '(hidden)'`) {
		t.Errorf("redacted print: %s", c.Redacted())
	}
}

func logged(c *config.Config) string {
	var b strings.Builder
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "config", c, "secret", c.PBX[0].Secret, "token", c.HTTP.Token[0])
	return b.String()
}

func TestLoad_CredentialGoesFirst(t *testing.T) {
	dir, credentials := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "ami.secret"), []byte("from systemd"), 0o400); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(minimal, `secret = "s3cret"`, `secret_file = "/etc/calljournal/ami.secret"`, 1)
	c, err := config.Parse(filepath.Join(dir, "c.toml"), []byte(text), env(map[string]string{"CREDENTIALS_DIRECTORY": credentials}))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.PBX[0].Secret.Reveal(); got != "from systemd" {
		t.Errorf("secret: %q", got)
	}
}

func TestLoad_WarnsOfOpenSecrets(t *testing.T) {
	dir := t.TempDir()
	writeSecrets(t, dir, 0o644)
	c, err := config.Parse(filepath.Join(dir, "c.toml"), []byte(contract), env(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 3 || !strings.Contains(c.Warnings[0], "chmod") {
		t.Errorf("warnings: %q", c.Warnings)
	}
}

func TestParse_WarnsOfWhomNobodyIs(t *testing.T) {
	const mailed = "[mail]\nserver = \"127.0.0.1:25\"\ntls = \"none\"\nfrom = \"a@b.example\"\n"
	people := mailed + "[[employee]]\nextension = \"101\"\nname = \"A\"\ndepartment = \"Sales\"\n"
	for text, want := range map[string]string{
		"[[alert]]\nname = \"a\"\nto = [\"a@b.example\"]\ndepartment = [\"Sales\", \"Sails\"]\n":                                           `alert a asks for the department "Sails", in which`,
		"[[forward]]\nname = \"f\"\nkind = \"webhook\"\nurl = \"https://x/\"\ndepartment = [\"Sails\"]\n":                                  `forward f asks for the department "Sails"`,
		"[[report]]\nname = \"r\"\nperiod = \"7d\"\nat = \"daily 08:00\"\nto = [\"a@b.example\"]\nfilter = { department = [\"sales\"] }\n": `report r asks for the department "sales"`,
		"[[http.token]]\nname = \"a\"\nscope = \"journal\"\ntoken = \"0123456789abcdef\"\ndepartment = \"Sails\"\n":                        `http.token "a" is for the department "Sails"`,
		"[[employee]]\nextension = \"1\"\nname = \"B\"\n[[employee]]\nextension = \"79160000000\"\nname = \"C\"\n":                         `the extension 1, 79160000000: the pattern`,
		"[[alert]]\nname = \"a\"\nto = [\"a@b.example\"]\ndepartment = [\"Sales\"]\n[[employee]]\nextension = \"10001\"\nname = \"B\"\n":   "",
	} {
		c, err := parse(t, minimal+people+text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.Warnings, "\n"); len(c.Warnings) > 1 || want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%swarns: %q, want %q", text, c.Warnings, want)
		}
	}
}

// What is below zero is said once.
func TestParse_BelowZero(t *testing.T) {
	const mailed = "[mail]\nserver = \"127.0.0.1:25\"\ntls = \"none\"\nfrom = \"a@b.example\"\n"
	for _, text := range []string{
		mailed + "[[alert]]\nname = \"a\"\nto = [\"a@b.example\"]\nevery = \"-5m\"\n", mailed + "timeout = \"-5m\"\n",
		"[[forward]]\nname = \"f\"\nkind = \"webhook\"\nurl = \"https://x/\"\ntimeout = \"-5m\"\n",
	} {
		_, err := parse(t, minimal+text)
		var e *config.Error
		if !errors.As(err, &e) || len(e.Problems) != 1 || !strings.Contains(err.Error(), "below zero") {
			t.Errorf("%v", err)
		}
	}
}

func TestParse_Errors(t *testing.T) {
	pbx := func(lines string) string { return minimal + lines }
	tests := []struct {
		name, text string
		line       int
		want       string
	}{
		{"unknown key", pbx("adress = \"x\"\n"), 8, `pbx.adress: unknown key; did you mean "address"?`},
		{"unknown key at the top", "htp = 1\n" + minimal, 1, `htp: unknown key; did you mean "http"?`},
		{"swapped letters", pbx("[rules]\ncuontry = \"RU\"\n"), 9, `did you mean "country"?`},
		{"key of another table", pbx("listen = \":1\"\n"), 8, `did you mean "listen" in [http]?`},
		{"key of a list of tables", pbx("[rules]\nextension = \"1\"\n"), 9, `did you mean "extension" in [[employee]]?`},
		{"unknown table", pbx("[htttp]\nlisten = \"\"\n"), 8, `did you mean "http"?`},
		{"unknown list of tables", pbx("[[http.tokens]]\nname = \"x\"\n"), 8, `did you mean "token"?`},
		{"nothing like it", pbx("[log]\nxyzzyxyzzy = 1\n"), 9, `did you mean "level"?`},
		{"number for a text", pbx("trunks = [\"x\"]\ntls = \"yes\"\n"), 9, "want true or false, without quotes"},
		{"text for a number", pbx("[rules]\nunique_depth_days = \"30\"\n"), 9, "want a whole number"},
		{"table for a list of tables", "[pbx]\nname = \"x\"\n", 1, "[[pbx]]"},
		{"text for a list", pbx("trunks = \"PJSIP/x\"\n"), 8, `want a list of texts`},
		{"number for a secret", strings.Replace(minimal, `"s3cret"`, "12345", 1), 7, "want a text in quotes"},
		{"number for a duration", pbx("[rules]\nlost_window = 24\n"), 9, `as "30s", "5m" or "24h"`},
		{"no duration", pbx("[rules]\nlost_window = \"a day\"\n"), 9, `as "30s", "5m" or "24h"`},
		{"negative duration", pbx("[rules]\nlost_window = \"-1s\"\n"), 9, "below zero"},
		{"broken toml", pbx("[rules\n"), 8, ""},
		{"table twice", "[agent]\nname = \"a\"\n[agent]\n" + minimal, 3, "agent: table agent already exists"},
		{"key twice", pbx("name = \"again\"\n"), 8, "name"},
		{"no pbx", "[log]\nlevel = \"info\"\n", 0, "add [[pbx]]"},
		{"two of a name", minimal + minimal, 10, `"main" is there twice: line 3`},
		{"bad name", strings.Replace(minimal, `"main"`, `"a:b"`, 1), 3, "letters, digits"},
		{"bad kind", strings.Replace(minimal, `"asterisk"`, `"asterix"`, 1), 4, `did you mean "asterisk"?`},
		{"no port", strings.Replace(minimal, ":5038", "", 1), 5, "want host:port"},
		{"port too large", strings.Replace(minimal, ":5038", ":99999", 1), 5, "from 1 to 65535"},
		{"no user", strings.Replace(minimal, `"calljournal"`, `""`, 1), 6, "manager.conf"},
		{"line end in a user", strings.Replace(minimal, `"calljournal"`, `"a\r\nAction: Logoff"`, 1), 6, "control character"},
		{"no secret", strings.Replace(minimal, `secret = "s3cret"`, "", 1), 2, "secret_file"},
		{"empty secret", strings.Replace(minimal, `"s3cret"`, `""`, 1), 7, "is empty"},
		{"two secrets", pbx("secret_file = \"x\"\n"), 7, "keep one"},
		{"secret file gone", strings.Replace(minimal, `secret = "s3cret"`, `secret_file = "/nonexistent/s"`, 1), 7, "no such file"},
		{"line end in a secret", strings.Replace(minimal, `"s3cret"`, `"a\nb"`, 1), 7, "line end"},
		{"bad pattern", pbx("trunks = [\"[\"]\n"), 8, "no pattern"},
		{"bad expression", pbx("extensions = '('\n"), 8, "no regular expression"},
		{"relative folder", pbx("recordings_dir = \"monitor\"\n"), 8, "path from the root"},
		{"bad time zone", pbx("[agent]\ntimezone = \"Moscow\"\n"), 9, "no time zone"},
		{"relative data_dir", pbx("[agent]\ndata_dir = \"data\"\n"), 9, "path from the root"},
		{"bad level", pbx("[log]\nlevel = \"verbose\"\n"), 9, "debug, info, warn, error"},
		{"bad listen", pbx("[http]\nlisten = \"8420\"\n"), 9, "want host:port"},
		{"certificate without key", pbx("[http]\ntls_cert = \"/x\"\n"), 9, "belong together"},
		{"a proxy by name", pbx("[http]\ntrusted_proxies = [\"nginx\"]\n"), 9, "127.0.0.1 or 10.0.0.0/24"},
		{"a proxy with a zone", pbx("[http]\ntrusted_proxies = [\"fe80::1%eth0\"]\n"), 9, "is no address"},
		{"everybody a proxy", pbx("[http]\ntrusted_proxies = [\"127.0.0.1\", \"0.0.0.0/0\"]\n"), 9, "is everybody"},
		{"a proxy within a network", pbx("[http]\ntrusted_proxies = [\"10.0.0.7/24\"]\n"), 9, "want 10.0.0.7, or 10.0.0.0/24"},
		{"a proxy before nothing", pbx("[http]\nlisten = \"\"\ntrusted_proxies = [\"127.0.0.1\"]\n"), 10, "works only with listen"},
		{"bad scope", pbx("[[http.token]]\nname = \"a\"\nscope = \"all\"\ntoken = \"0123456789abcdef\"\n"), 10, "sync, journal, admin"},
		{"department of a sync token", pbx("[[http.token]]\nname = \"a\"\nscope = \"sync\"\ndepartment = \"Sales\"\ntoken = \"0123456789abcdef\"\n"), 11, "sync shows everything"},
		{"masked admin", pbx("[[http.token]]\nname = \"a\"\nscope = \"admin\"\nmask_numbers = true\ntoken = \"0123456789abcdef\"\n"), 11, "admin shows everything"},
		{"half a hash", pbx("[[http.token]]\nname = \"a\"\nscope = \"sync\"\ntoken_hash = \"sha256:abcd\"\n"), 11, "64 hexadecimal digits"},
		{"a hash and a token", pbx("[[http.token]]\nname = \"a\"\nscope = \"sync\"\ntoken = \"0123456789abcdef\"\ntoken_hash = \"sha256:" + strings.Repeat("ab", 32) + "\"\n"), 12, "keep one"},
		{"uplink without a token", pbx("[uplink]\nurl = \"https://centre.example:8430\"\n"), 8, "token_file"},
		{"uplink in the open", pbx("[uplink]\nurl = \"http://centre.example\"\ntoken = \"0123456789abcdef\"\n"), 9, "https://"},
		{"uplink with a password in it", pbx("[uplink]\nurl = \"https://u:p@centre.example\"\ntoken = \"0123456789abcdef\"\n"), 9, "user name"},
		{"uplink to nowhere", pbx("[uplink]\ntoken = \"0123456789abcdef\"\n"), 8, "https://centre.example"},
		{"half a client certificate", pbx("[uplink]\nurl = \"https://centre.example\"\ntoken = \"0123456789abcdef\"\nclient_cert = \"/none\"\n"), 11, "belong together"},
		{"the same token twice", pbx("[[http.token]]\nname = \"a\"\nscope = \"sync\"\ntoken = \"0123456789abcdef\"\n" +
			"[[http.token]]\nname = \"b\"\nscope = \"sync\"\ntoken = \"0123456789abcdef\"\n"), 15, `the same as that of "a"`},
		{"bad forward", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhok\"\nurl = \"https://x/\"\n"), 10, `did you mean "webhook"?`},
		{"user in an address", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://u:p@x/\"\n"), 11, "secret_file"},
		{"empty batch", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\nbatch = 0\n"), 12, `from 1 to 1000`},
		{"giant batch", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\nbatch = 1001\n"), 12, `from 1 to 1000`},
		{"no tries", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\ntries = 0\n"), 12, `from 1 to 100`},
		{"no time", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\ntimeout = \"1ms\"\n"), 12, `from "1s" to "10m"`},
		{"bad direction", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\ndirection = [\"in\"]\n"), 12, `inbound, outbound, internal`},
		{"bad status", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\nstatus = [\"answerd\"]\n"), 12, `did you mean "answered"?`},
		{"bad start", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\nstart = \"now\"\n"), 12, `oldest, newest`},
		{"key of another kind", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\nrotate_mb = 1\n"), 12, `does not go with kind "webhook"`},
		{"client certificate without key", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\ntls_cert = \"/x\"\n"), 12, `belong together`},
		{"user in a proxy", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\nproxy = \"http://u:p@proxy:1\"\n"), 12, `HTTPS_PROXY`},
		{"bad proxy", pbx("[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://x/\"\nproxy = \"proxy:3128\"\n"), 12, `is no proxy`},
		{"a portal without its code", pbx("[[forward]]\nname = \"p\"\nkind = \"bitrix24\"\nurl = \"https://x/rest/1\"\n"), 8, "secret_file"},
		{"user zero", pbx("[[forward]]\nname = \"p\"\nkind = \"bitrix24\"\nurl = \"https://x/rest/1\"\nsecret = \"c\"\nusers = { \"101\" = 0 }\n"), 13, "default = 1"},
		{"no file", pbx("[[forward]]\nname = \"f\"\nkind = \"file\"\nurl = \"file://var/calls\"\n"), 11, "three slashes"},
		{"no host", pbx("[[forward]]\nname = \"f\"\nkind = \"webhook\"\nurl = \"https:///hooks\"\n"), 11, "names no host"},
		{"scheme of another kind", pbx("[[forward]]\nname = \"crm\"\nkind = \"nats\"\nurl = \"https://x/\"\n"), 11, "nats://"},
		{"bad country", pbx("[rules]\ncountry = \"Russia\"\n"), 9, "two capital letters"},
		{"negative depth", pbx("[rules]\nunique_depth_days = -1\n"), 9, "36500"},
		{"negative age", pbx("[retention]\ncalls_days = -1\n"), 9, "0 for ever"},
		{"negative age of files", pbx("[retention]\nrecordings_days = -1\n"), 9, "0 for ever"},
		{"too old", pbx("[retention]\nwait_for_consumers_days = 99999\n"), 9, "36500"},
		{"age as a text", pbx("[retention]\ncalls_days = \"90d\"\n"), 9, "want a whole number"},
		{"size as a number", pbx("[retention]\nmax_size = 20\n"), 9, `as "500MB" or "20GB"`},
		{"no size that we know", pbx("[retention]\nmax_size = \"1KB\"\n"), 9, `"1KB" is no amount: want a number of MB, GB or TB`},
		{"no size", pbx("[retention]\nmax_size = \"20\"\n"), 9, `as "500MB" or "20GB"`},
		{"size too small", pbx("[retention]\nmax_size = \"1MB\"\n"), 9, `at least "100MB"`},
		{"employee twice", pbx("[[employee]]\nextension = \"1\"\nname = \"A\"\n[[employee]]\nextension = \"1\"\nname = \"B\"\n"), 12, "twice"},
		{"line without number", pbx("[[line]]\nname = \"x\"\n"), 8, "is missing"},
		{"price as a number", pbx("[[tariff]]\nprefix = \"79\"\nper_minute = 1.8\ncurrency = \"RUB\"\n"), 10, "want a text in quotes"},
		{"bad price", pbx("[[tariff]]\nprefix = \"79\"\nper_minute = \"1,8\"\ncurrency = \"RUB\"\n"), 10, `as "1.80"`},
		{"zero step", pbx("[[tariff]]\nprefix = \"79\"\nper_minute = \"1\"\ncurrency = \"RUB\"\nstep = \"0s\"\n"), 12, "zero"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.text)
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *config.Error", err)
			}
			if p := e.Problems[0]; p.Line != tt.line {
				t.Errorf("line %d, want %d: %v", p.Line, tt.line, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if tt.line > 0 && !regexp.MustCompile(fmt.Sprintf(`calljournal\.toml:%d:\d+: `, tt.line)).MatchString(err.Error()) {
				t.Errorf("no file:line:column in %v", err)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the secret is in the message: %v", err)
			}
		})
	}
}

func TestParse_Sizes(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "100MB": 100e6, "20GB": 20e9, "1.5 TB": 1.5e12} {
		c, err := parse(t, minimal+fmt.Sprintf("[retention]\nmax_size = %q\n", text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if c.Retention.MaxSize.Bytes != want || !strings.Contains(c.Redacted(), "max_size = '"+text+"'") {
			t.Errorf("%q: %d bytes, want %d; printed:\n%s", text, c.Retention.MaxSize.Bytes, want, c.Redacted())
		}
	}
}

func TestLoad_ManyProblemsAtOnce(t *testing.T) {
	_, err := parse(t, strings.Replace(minimal, ":5038", "", 1)+"[rules]\ncountry = \"XX\"\n")
	var e *config.Error
	if !errors.As(err, &e) || len(e.Problems) != 2 {
		t.Fatalf("got %v, want both problems", err)
	}
}

// A wrong type or an unknown key hides nothing else that is wrong, each is said once
// and where it stands in the file, and nothing that only follows from one is said.
func TestLoad_AllOfEveryKind(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"as somebody wrote it", minimal + "[rules]\ncountry=\"ru\"\nunique_depth_days=-1\nshort_abandon=5\nlost_window=\"999h\"\nspam_short_calls=\"3\"\n", []string{
			`9:1: rules.country: "ru" is no country`, `10:1: rules.unique_depth_days: -1: want days`, `11:15: rules.short_abandon: wrong type: want a length of time in quotes`,
			`12:1: rules.lost_window: 999h0m0s: want at most`, `13:18: rules.spam_short_calls: wrong type: want a whole number`,
		}},
		{"in the middle of a line", minimal + "[[report]]\nname = \"a\"\nfilter = { hour = \"9\", missed = 1, status = [\"busi\"] }\n", []string{
			"8:3: report[0].at: ", "8:3: report[0].period: ", "8:3: report[0].to: ", "10:19: report.filter.hour: wrong type: want a list of whole numbers",
			"10:33: report.filter.missed: wrong type: want true or false", "10:36: report[0].filter.status[0]: ", "mail.server: is missing",
		}},
		{"a misspelt key and what it stood for", strings.Replace(minimal, "address", "adress", 1) + "tls = 1\n[log]\nlevel = \"loud\"\n", []string{
			`5:1: pbx.adress: unknown key; did you mean "address"?`, "8:7: pbx.tls: wrong type", "10:1: log.level: ",
		}},
		{"a misspelt table", strings.Replace(minimal, "[[pbx]]", "[[pbxs]]", 1), []string{`unknown key; did you mean "pbx"?`}},
		{"what the other half goes with", minimal + "cdr_file = 5\ncdr_columns = [1]\nsecret_file = 1\n[http]\ntls_cert = \"/none\"\ntls_key = 5\n", []string{
			"pbx[0].secret: both this", "8:12: pbx.cdr_file: wrong type: want a text", "9:1: pbx.cdr_columns: wrong type: want a list of texts",
			"10:15: pbx.secret_file: wrong type", "12:1: http.tls_cert: stat", "13:11: http.tls_key: wrong type",
		}},
		{"users", minimal + "[[forward]]\nname = \"p\"\nkind = \"bitrix24\"\nurl = \"https://x/rest/1\"\nsecret = \"c\"\nusers = { \"101\" = \"7\" }\nbatch = 2\n", []string{
			"13:19: forward.users.101: wrong type: want a whole number", "14:1: forward[0].batch: ",
		}},
		{"a table for a value and a value for a table", minimal + "[log.level]\nx = 1\n[agent.name]\nx = 1\n[rules]\ncountry = 1979-05-27\n", []string{
			"8:2: log.level: wrong type: want a text", "10:2: agent.name: wrong type: want a text", "13:11: rules.country: wrong type",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.text)
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if len(e.Problems) != len(tt.want) {
				t.Errorf("%d problems, want %d", len(e.Problems), len(tt.want))
			}
			for i, line := range strings.Split(err.Error(), "\n") {
				if i < len(tt.want) && !strings.Contains(line, tt.want[i]) {
					t.Errorf("%s\nwant %s", line, tt.want[i])
				}
			}
			if t.Failed() {
				t.Log(err)
			}
		})
	}
}

// What editors do to a file: a mark before it, curly quotes, another encoding.
func TestParse_Editors(t *testing.T) {
	if _, err := parse(t, "\ufeff"+strings.ReplaceAll(minimal, "\n", "\r\n")); err != nil {
		t.Errorf("a byte order mark: %v", err)
	}
	for text, want := range map[string]string{
		"\ufefflevel = \n":         "calljournal.toml:1:",
		"[log]\nlevel = “info”\n":  `:2:9: unexpected character U+201C '“' at start of value: quotes are written "`,
		"[log]\nlevel = \"info”\n": `the line ends in U+201D '”', and quotes are written "`,
		"уровень = 1\n":            `:1:1: invalid character at start of key: U+0443 'у'`,
		"a\u00a0= 1\n":             `:1:2: `,
		"\xff\xfea\x00":            "is UTF-16: save it as UTF-8",
	} {
		if _, err := parse(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
}

func TestLoad_NoFile(t *testing.T) {
	_, err := config.Load("/nonexistent/calljournal.toml", env(nil))
	var e *config.Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "--config") {
		t.Fatalf("got %v", err)
	}
}

// The zone is loaded anew with each reading: what is compared is what the file says.
func TestAgent_Equal(t *testing.T) {
	read := func(zone string) config.Agent {
		c, err := parse(t, minimal+"[agent]\ntimezone = \""+zone+"\"\n")
		if err != nil {
			t.Fatal(err)
		}
		return c.Agent
	}
	if moscow := read("Europe/Moscow"); !moscow.Equal(read("Europe/Moscow")) || moscow.Equal(read("Europe/Samara")) {
		t.Error("the same zone is another one, or another one the same")
	}
}

func TestPlace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "calljournal.toml")
	if p, err := config.Place(path, false, env(nil)); err != nil || p.Socket != "/run/calljournal/control.sock" {
		t.Errorf("no file: %+v, %v", p, err)
	}
	if _, err := config.Place(path, true, env(nil)); err == nil {
		t.Error("a file that was asked for is not there, and nobody says so")
	}
	// Secrets that cannot be read, and keys that are wrong, are not its business.
	text := "\ufeff[agent]\nsocket = \"/x/c.sock\"\ntimezone = \"Asia/Tokyo\"\n[[pbx]]\nsecret_file = \"/nonexistent\"\nadress = 1\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := config.Place(path, true, env(nil)); err != nil || p.Socket != "/x/c.sock" || p.DataDir != "/var/lib/calljournal" || p.Location().String() != "Asia/Tokyo" {
		t.Errorf("%+v, %v", p, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(minimal)
	f.Add(contract)
	f.Add("[[pbx]]\ntls = 1\nx = 1\n[rules]\ncountry = 1979-05-27\n")
	f.Add("[[pbx]]\nname = {a = [1, {b = 2}]}\n[a.b.c]\nd.e = 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := config.Parse("calljournal.toml", []byte(text), env(nil))
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v, error %v", c, err)
		}
	})
}

// A token in the path of an address does not show, and what is not written is
// filled in.
func TestForward_DefaultsAndRedacted(t *testing.T) {
	c, err := parse(t, minimal+"[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"https://crm.example/hooks/path-token\"\n"+
		"[[forward]]\nname = \"p\"\nkind = \"bitrix24\"\nurl = \"https://x.example/rest/1\"\nsecret = \"the-code\"\nusers = { \"101\" = 7, default = 1 }\n")
	if err != nil {
		t.Fatal(err)
	}
	if shown := c.Redacted(); strings.Contains(shown, "path-token") || strings.Contains(shown, "the-code") || !strings.Contains(shown, "https://crm.example/(hidden)") {
		t.Errorf("%s", shown)
	}
	if f := c.Forward[0]; f.URL != "https://crm.example/hooks/path-token" || f.Batch != 100 || f.Tries != 5 || f.Timeout.Seconds() != 30 || f.Start != config.StartOldest {
		t.Errorf("%+v", f)
	}
	if f := c.Forward[1]; f.Batch != 1 || f.Users["101"] != 7 || f.Users[config.UserDefault] != 1 {
		t.Errorf("%+v", f)
	}
	c, err = parse(t, minimal+"[[forward]]\nname = \"crm\"\nkind = \"webhook\"\nurl = \"http://crm.example/\"\n")
	if err != nil || !strings.Contains(strings.Join(c.Warnings, " "), "unencrypted") {
		t.Errorf("%q, %v", c.Warnings, err)
	}
}

// Whatever key there will ever be: what a Secret holds, what is the hash of one, and
// what an address holds beside where it leads does not show in the redacted print.
func TestRedacted_NoSecretOfAnyKind(t *testing.T) {
	c := &config.Config{}
	filled := 0
	var fill func(v reflect.Value, key string)
	fill = func(v reflect.Value, key string) {
		secretive := strings.HasSuffix(key, "_hash") || slices.ContainsFunc([]string{"secret", "token", "password"}, func(word string) bool {
			return strings.Contains(key, word) && !strings.HasSuffix(key, "_file")
		})
		switch {
		case v.Type() == reflect.TypeFor[config.Secret]():
			v.Set(reflect.ValueOf(config.NewSecret("leak-" + key)))
			filled++
		case v.Kind() == reflect.String && (key == "url" || key == "proxy"):
			v.SetString("https://leak-user:leak-password@far.example/x?leak=1")
			filled++
		case v.Kind() == reflect.String && secretive:
			v.SetString("sha256:leak-" + key)
			filled++
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("toml") != "-" {
					fill(v.Field(i), f.Tag.Get("toml"))
				}
			}
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), key)
		}
	}
	fill(reflect.ValueOf(c).Elem(), "")
	shown := c.Redacted()
	if filled < 7 || !strings.Contains(shown, "far.example") {
		t.Fatalf("%d secrets in:\n%s", filled, shown)
	}
	for line := range strings.Lines(shown) {
		if strings.Contains(line, "leak") {
			t.Errorf("shown: %s", line)
		}
	}
}
