package config_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"calljournal/agent/config"
)

const branch = "[[agent]]\nname = \"office-1\"\nurl = \"https://office-1.example:8420\"\ntoken = \"0123456789abcdef\"\n"

func TestParseCollect_Wrong(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		line       int
		want       string
	}{
		{"unknown key", "[collect]\nlisen = \"\"\n" + branch, 2, `did you mean "listen"`},
		{"no agents", "[collect]\nname = \"x\"\n", 0, "[[agent]]"},
		{"one bracket", strings.Replace(branch, "[[agent]]", "[agent]", 1), 1, "[[agent]]"},
		{"a way that is none", branch + "via = \"post\"\n", 5, "did you mean"},
		{"pull without url", "[[agent]]\nname = \"a\"\ntoken = \"0123456789abcdef\"\n", 1, "https://office-1.example"},
		{"in the open", strings.Replace(branch, "https://", "http://", 1), 3, "https://"},
		{"uplink with url", branch + "via = \"uplink\"\n", 3, "does not go with"},
		{"uplink without listen", "[collect]\nlisten = \"\"\n[[agent]]\nname = \"a\"\nvia = \"uplink\"\ntoken = \"0123456789abcdef\"\n", 5, "listen"},
		{"push without a secret", "[[agent]]\nname = \"a\"\nvia = \"push\"\n", 1, "secret_file"},
		{"push with a token", "[[agent]]\nname = \"a\"\nvia = \"push\"\nsecret = \"s\"\ntoken_hash = \"sha256:" + strings.Repeat("ab", 32) + "\"\n", 1, "does not go with"},
		{"pull with a hash", "[[agent]]\nname = \"a\"\nurl = \"https://a.example\"\ntoken_hash = \"sha256:" + strings.Repeat("ab", 32) + "\"\n", 4, "does not go with"},
		{"the same name twice", branch + branch, 6, "office-1"},
		{"too large a page", "[collect]\npage = 6000\n" + branch, 2, "5000"},
		{"no connections", "[database]\nconnections = 0\n" + branch, 2, "from 1 to"},
		{"the password in the file", "[database]\ndsn = \"postgres://\"\n" + branch, 2, "dsn_file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.ParseCollect(filepath.Join(t.TempDir(), "collect.toml"), []byte(tt.text), env(nil))
			var wrong *config.Error
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tt.want) || wrong.Problems[0].Line != tt.line {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestParseCollect_AllAtOnce(t *testing.T) {
	_, err := config.ParseCollect("collect.toml", []byte("[collect]\npage = \"500\"\nlisen = \"\"\n[database]\nconnections = 0\n"+branch), env(nil))
	want := "collect.toml:2:8: collect.page: wrong type: want a whole number, without quotes\n" +
		"collect.toml:3:1: collect.lisen: unknown key; did you mean \"listen\"?\n" +
		"collect.toml:5:1: database.connections: 0: want a number from 1 to 64"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// The password of the database comes from a file or the environment, and is shown
// nowhere.
func TestParseCollect_DSN(t *testing.T) {
	c, err := config.ParseCollect("collect.toml", []byte(branch), env(map[string]string{config.DSNVariable: "postgres://u:hush@db/calls"}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Database.DSN.Reveal() != "postgres://u:hush@db/calls" || strings.Contains(c.Redacted(), "hush") {
		t.Errorf("%s", c.Redacted())
	}
}
