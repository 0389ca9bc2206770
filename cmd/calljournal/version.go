package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Both are set by packaging/build.sh (-ldflags "-X main.version=1.2.3"), whose
// builds know nothing of the checkout that they are made in.
var (
	version = "dev"
	commit  string
)

type versionVerb struct {
	JSON bool `name:"json" help:"As JSON."`
}

func (v versionVerb) Run(sh *shell) error {
	commit, dirty := commit, false
	if commit == "" {
		commit = "unknown"
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				commit = s.Value
			case "vcs.modified":
				dirty = s.Value == "true"
			}
		}
	}
	if v.JSON {
		return sh.json(map[string]any{"version": version, "commit": commit, "modified": dirty, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	if dirty {
		commit += " (modified)"
	}
	_, err := fmt.Fprintf(sh.out, "calljournal %s\ncommit %s\n%s %s/%s\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
