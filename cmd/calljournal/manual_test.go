package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every verb, and every verb of a verb, says what it does when asked, without a
// configuration and without a daemon.
func TestEveryVerbHelps(t *testing.T) {
	var v verbs
	parser, err := kong.New(&v, kong.Name("calljournal"), kong.Vars{"config": "c.toml", "extensions": ""})
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := places(parser.Model)
	if len(all) < 40 {
		t.Errorf("only %d places", len(all))
	}
	for _, p := range all {
		c := exec.Command("calljournal", append(strings.Fields(p.path), "--help")...)
		c.Path, c.Err = program, nil // testscript's Main goes by the name
		c.Dir = t.TempDir()
		out, err := c.CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "Usage: calljournal"+p.path) {
			t.Errorf("calljournal%s --help: %v\n%.300s", p.path, err, out)
		}
		if node := nodeAt(parser.Model, p.path); p.path != "" && (node.Help == "" || !strings.Contains(string(out), strings.Fields(node.Help)[0])) {
			t.Errorf("calljournal%s --help does not say what it does", p.path)
		}
		for _, f := range p.flags {
			if !strings.Contains(strings.ReplaceAll(string(out), "--[no-]", "--"), "--"+f.Name) {
				t.Errorf("calljournal%s --help does not show --%s", p.path, f.Name)
			}
		}
	}
}
