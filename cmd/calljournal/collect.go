package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"calljournal/agent"
	"calljournal/agent/collect"
	"calljournal/agent/config"

	"github.com/coreos/go-systemd/v22/daemon"
)

type collectVerb struct{}

// Run is the centre, in the foreground, until a signal ends it.
func (collectVerb) Run(sh *shell) error {
	path := collectConfig(sh)
	c, err := config.LoadCollect(path, sh.env)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(agent.Level(c.Log.Level))
	log := slog.New(logHandler(sh.errOut, level, sh.env))
	ctx, stop := endBySignal(sh.ctx, log)
	defer stop()

	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	_, started := systemdNotify(log)
	centre, err := collect.New(collect.Options{Config: c, Logger: log, Version: version, Now: time.Now, Started: started})
	if err != nil {
		return err
	}
	log.Debug("configuration in effect", "toml", c.Redacted())
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-reload:
				next, err := config.LoadCollect(path, sh.env)
				if err != nil {
					log.Error("configuration not taken over", "err", err)
					continue
				}
				level.Set(agent.Level(next.Log.Level))
				centre.Reload(ctx, next)
			}
		}
	}()
	err = centre.Run(ctx)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	return err
}
