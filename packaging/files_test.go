package packaging_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"calljournal/agent/config"
	"calljournal/connectors/freeswitch"
	"calljournal/packaging"
)

// parse reads a text as calljournal.toml, with every secret file it names there.
func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse(filepath.Join(t.TempDir(), "calljournal.toml"), []byte(text), withSecrets(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// parseCollect does the same for collect.toml.
func parseCollect(t *testing.T, text string) *config.Collect {
	t.Helper()
	c, err := config.ParseCollect(filepath.Join(t.TempDir(), "collect.toml"), []byte(text), withSecrets(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// withSecrets is an environment in which every file of secrets that text names is.
func withSecrets(t *testing.T, text string) config.Env {
	t.Helper()
	credentials := t.TempDir()
	for i, m := range regexp.MustCompile(`(?m)^(?:\w+_file|credentials) = "(.+)"$`).FindAllStringSubmatch(text, -1) {
		if err := os.WriteFile(filepath.Join(credentials, filepath.Base(m[1])), fmt.Appendf(nil, "a secret of its own, number %d", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config.Env{Hostname: os.Hostname, Getenv: func(k string) string {
		if k == "CREDENTIALS_DIRECTORY" {
			return credentials
		}
		return ""
	}}
}

// commented matches the keys and tables that the example only shows.
var commented = regexp.MustCompile(`(?m)^# (\[\[?[a-z.]+\]\]?|[a-z_]+ = .*)$`)

func TestExample_Parses(t *testing.T) {
	parse(t, packaging.Example)
	all := parse(t, commented.ReplaceAllString(packaging.Example, "$1"))
	if len(all.Employee) != 1 || len(all.Line) != 1 || len(all.Tariff) != 1 || len(all.Forward) != 4 || len(all.Report) != 1 || len(all.Alert) != 1 || len(all.HTTP.Token) != 3 {
		t.Errorf("not every table is shown: %s", all.Redacted())
	}
}

// What is in effect in the example is what holds without it.
func TestExample_StatesTheDefaults(t *testing.T) {
	got := parse(t, packaging.Example)
	want := parse(t, `
[[pbx]]
name = "main"
kind = "asterisk"
address = "127.0.0.1:5038"
username = "calljournal"
secret_file = "/etc/calljournal/ami.secret"
`)
	if got.Redacted() != want.Redacted() {
		t.Errorf("example:\n%s\ndefaults:\n%s", got.Redacted(), want.Redacted())
	}
}

// Every key that the program knows is in the example.
func TestExample_HasEveryKey(t *testing.T) {
	known := parse(t, commented.ReplaceAllString(packaging.Example, "$1")).Redacted()
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+) = `).FindAllStringSubmatch(known, -1) {
		if !regexp.MustCompile(`(?m)\b` + m[1] + ` = `).MatchString(packaging.Example) {
			t.Errorf("%s is not in the example", m[1])
		}
	}
}

func TestCollectExample(t *testing.T) {
	all := commented.ReplaceAllString(packaging.CollectExample, "$1")
	c := parseCollect(t, all)
	if len(c.Agent) != 3 || len(c.Reader) != 1 {
		t.Errorf("not every table is shown: %s", c.Redacted())
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+) = `).FindAllStringSubmatch(c.Redacted(), -1) {
		if !regexp.MustCompile(`(?m)\b`+m[1]+` = `).MatchString(all) && m[1] != "token" && m[1] != "secret" {
			t.Errorf("%s is not in the example", m[1])
		}
	}
	// What is in effect in the example is what holds without it.
	some := "\n[[agent]]\nname = \"a\"\nurl = \"https://a.example\"\ntoken = \"0123456789abcdef\"\n"
	if got, want := parseCollect(t, packaging.CollectExample+some).Redacted(), parseCollect(t, some).Redacted(); got != want {
		t.Errorf("example:\n%s\ndefaults:\n%s", got, want)
	}
}

func TestUnit_NamesWhatInstallReplaces(t *testing.T) {
	for command, unit := range map[string]string{
		"run --config " + packaging.UnitConfig: packaging.Unit, "collect --config " + packaging.CollectConfig: packaging.CollectUnit,
	} {
		if !strings.Contains(unit, "\nExecStart="+packaging.UnitProgram+" "+command+"\n") {
			t.Errorf("ExecStart is not %s %s", packaging.UnitProgram, command)
		}
		if strings.Contains(unit, "{{") {
			t.Error("the installer would read {{ as a template")
		}
	}
}

// mostExposed is what systemd-analyze may say at most: 9.6 is a bare unit.
const mostExposed = 1.5

func TestUnit_IsHardened(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not on this machine: the unit's exposure was not measured")
	}
	for _, unit := range []string{"calljournal.service", "calljournal-collect.service"} {
		out, err := exec.Command(analyze, "security", "--offline=true", unit).CombinedOutput()
		m := regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d+)`).FindSubmatch(out)
		if m == nil {
			t.Skipf("systemd-analyze on this machine cannot judge a file: %v: %.300s", err, out)
		}
		t.Logf("%s: exposure %s", unit, m[1])
		if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > mostExposed {
			t.Errorf("%s: exposure %s, want at most %.1f:\n%s", unit, m[1], mostExposed, out)
		}
	}
}

// What the dashboard and the alert rules ask for is what the daemon tells.
func TestMonitoring_NamesMetricsThatAreThere(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "agent", "metrics.go"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, m := range regexp.MustCompile(`desc\("([a-z_]+)"|Name: "calljournal_([a-z_]+)"`).FindAllSubmatch(source, -1) {
		told[string(m[1])+string(m[2])] = true
	}
	for _, name := range []string{"grafana.json", "alerts.yaml"} {
		text, err := os.ReadFile(filepath.Join("monitoring", name))
		if err != nil {
			t.Fatal(err)
		}
		asked := regexp.MustCompile(`\bcalljournal_([a-z_]+)`).FindAllSubmatch(text, -1)
		if len(asked) < 9 {
			t.Errorf("%s asks for %d metrics", name, len(asked))
		}
		for _, m := range asked {
			if n := strings.TrimSuffix(string(m[1]), "_bucket"); !told[n] {
				t.Errorf("%s: there is no calljournal_%s", name, n)
			}
		}
	}
	var dashboard struct{ Panels []struct{ Title string } }
	text, err := os.ReadFile(filepath.Join("monitoring", "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &dashboard); err != nil || len(dashboard.Panels) == 0 {
		t.Errorf("grafana.json: %v, %d panels", err, len(dashboard.Panels))
	}
}

// The lines that let calljournal in are those of the manual, where their comments are
// in its language.
func TestUsers_AreThoseOfTheManual(t *testing.T) {
	comment := regexp.MustCompile(`(?m) *;.*$`)
	for _, l := range languages {
		page, err := os.ReadFile(filepath.Join("doc", l, "pbx.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{packaging.AsteriskUser, packaging.FreeSWITCHUser, packaging.FreeSWITCHSocket} {
			if !strings.Contains(comment.ReplaceAllString(string(page), ""), comment.ReplaceAllString(text, "")) {
				t.Errorf("doc/%s/pbx.md does not show:\n%s", l, text)
			}
		}
	}
	for _, text := range []string{packaging.AsteriskUser, packaging.FreeSWITCHUser} {
		if !strings.Contains(text, packaging.ExampleUser) || strings.Count(text, packaging.ExampleSecret) != 1 {
			t.Errorf("there is no place for user and secret:\n%s", text)
		}
	}
	if !strings.Contains(packaging.AsteriskUser, packaging.ExamplePermit) {
		t.Error("there is no place for the address")
	}
}

// The user of FreeSWITCH's directory may hear every event that a rule needs, and
// FreeSWITCH refuses a subscription as a whole if one is not allowed.
func TestFreeSWITCHUser_HearsWhatIsNeeded(t *testing.T) {
	m := regexp.MustCompile(`name="esl-allowed-events" value="([^"]*)"`).FindStringSubmatch(packaging.FreeSWITCHUser)
	if m == nil {
		t.Fatal("there is no esl-allowed-events")
	}
	words := strings.Fields(strings.ToLower(m[1]))
	for name := range freeswitch.Needed() {
		if !slices.Contains(words, name) {
			t.Errorf("%s is not among %v", name, words)
		}
	}
}
