package main

import (
	"context"
	"runtime/debug"

	"calljournal/agent"
	"calljournal/agent/config"
	"calljournal/connectors/wire"
)

type runVerb struct{}

func (runVerb) Run(sh *shell) error {
	if underServiceControl() {
		return runAsService(sh)
	}
	return runDaemon(sh)
}

// runDaemon runs until a signal ends it, or until sh.ctx does.
func runDaemon(sh *shell) error {
	c, err := config.Load(sh.config, sh.env)
	if err != nil {
		return err
	}
	if sh.env.Getenv("GOMEMLIMIT") == "" { // else the runtime has read it
		debug.SetMemoryLimit(memoryLimit(len(c.PBX)))
	}
	f := newForeground(sh, c.Log.Level)
	defer f.end()
	reread := func() (*config.Config, error) { return config.Load(sh.config, sh.env) }
	a, err := agent.New(agent.Options{Config: c, Reread: reread, Logger: f.log, Level: f.level, Version: version, Alive: f.alive, Started: f.started})
	if err != nil {
		return err
	}
	f.log.Debug("configuration in effect", "toml", c.Redacted())
	return f.run(a.Run, func(context.Context) { _, _, _ = a.Reread() }) // it says what is wrong
}

// memoryLimit is from where on the garbage of a large question is collected at
// once instead of when the heap has doubled: enough for the columns of 1.5 million
// calls, and for the queue of each link when the disk does not answer. It is no
// bound; what is needed is had.
func memoryLimit(links int) int64 {
	const journal = 192 << 20
	return journal + int64(links)*wire.DefaultQueueBytes
}
