package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the packages: -ldflags "-X main.version=1.2.3".
var version = "dev"

type versionVerb struct {
	JSON bool `name:"json" help:"As JSON."`
}

func (v versionVerb) Run(sh *shell) error {
	commit, dirty := "unknown", false
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
