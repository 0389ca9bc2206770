package config_test

import (
	"strings"
	"testing"

	"calljournal/agent/config"
)

func TestWithoutToken(t *testing.T) {
	const before = `# the head
[http]
listen = "127.0.0.1:8420"

# for the centre
[[http.token]]
name = "central"
scope = "sync"
token = "aaaaaaaaaaaaaaaaaaaa"

# for the wall
# in the hall
[[http.token]]
name = "wall"
scope = "journal"
token = "bbbbbbbbbbbbbbbbbbbb"
mask_numbers = true

# what follows
[rules]
country = "RU"
`
	for name, want := range map[string]string{
		"central": strings.Replace(before, before[strings.Index(before, "# for the centre"):strings.Index(before, "# for the wall")], "", 1),
		"wall":    strings.Replace(before, before[strings.Index(before, "# for the wall"):strings.Index(before, "# what follows")], "", 1),
	} {
		if got, err := config.WithoutToken([]byte(before), name); err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
	if _, err := config.WithoutToken([]byte(before), "none"); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("%v", err)
	}
	last := "[[http.token]]\nname = \"only\"\nscope = \"sync\"\ntoken = \"aaaaaaaaaaaaaaaaaaaa\""
	if got, err := config.WithoutToken([]byte(last), "only"); err != nil || len(got) != 0 {
		t.Errorf("%v %q", err, got)
	}
	if got, err := config.WithoutToken([]byte("\ufeff"+last), "only"); err != nil || len(got) != 0 {
		t.Errorf("after a byte order mark: %v %q", err, got)
	}
	inline := "[http]\ntoken = [{name = \"x\", scope = \"sync\", token = \"aaaaaaaaaaaaaaaaaaaa\"}]\n"
	if got, err := config.WithoutToken([]byte(inline), "x"); err == nil {
		t.Errorf("an inline table: %q", got)
	}
}
