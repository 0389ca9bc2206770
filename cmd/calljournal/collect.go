package main

import (
	"context"
	"time"

	"calljournal/agent"
	"calljournal/agent/collect"
	"calljournal/agent/config"
)

type collectVerb struct{}

// Run is the centre, in the foreground, until a signal ends it.
func (collectVerb) Run(sh *shell) error {
	path := collectConfig(sh)
	c, err := config.LoadCollect(path, sh.env)
	if err != nil {
		return err
	}
	f := newForeground(sh, c.Log.Level)
	defer f.end()
	centre, err := collect.New(collect.Options{Config: c, Logger: f.log, Version: version, Now: time.Now, Started: f.started})
	if err != nil {
		return err
	}
	f.log.Debug("configuration in effect", "toml", c.Redacted())
	return f.run(centre.Run, func(ctx context.Context) {
		next, err := config.LoadCollect(path, sh.env)
		if err != nil {
			f.log.Error("configuration not taken over", "err", err)
			return
		}
		f.level.Set(agent.Level(next.Log.Level))
		centre.Reload(ctx, next)
	})
}
