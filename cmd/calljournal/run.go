package main

import (
	"context"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"calljournal/agent"
	"calljournal/agent/config"
	"calljournal/connectors/wire"

	"github.com/coreos/go-systemd/v22/daemon"
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
	level := new(slog.LevelVar)
	level.Set(agent.Level(c.Log.Level))
	log := slog.New(logHandler(sh.errOut, level, sh.env))
	// The libraries' own words, such as net/http's about what a far side said.
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(log.Handler(), slog.LevelDebug).Writer())
	ctx, stop := endBySignal(sh.ctx, log)
	defer stop()

	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	alive, started := systemdNotify(log)
	reread := func() (*config.Config, error) { return config.Load(sh.config, sh.env) }
	a, err := agent.New(agent.Options{Config: c, Reread: reread, Logger: log, Level: level, Version: version, Alive: alive, Started: started})
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
				_, _, _ = a.Reread() // it has said what is wrong
			}
		}
	}()
	err = a.Run(ctx)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	return err
}

// memoryLimit is from where on the garbage of a large question is collected at
// once instead of when the heap has doubled: enough for the columns of 1.5 million
// calls, and for the queue of each link when the disk does not answer. It is no
// bound; what is needed is had.
func memoryLimit(links int) int64 {
	const journal = 192 << 20
	return journal + int64(links)*wire.DefaultQueueBytes
}

// endBySignal gives a context that the first SIGTERM or SIGINT ends. The second
// one leaves at once, with 1: whoever sends it has waited long enough.
func endBySignal(parent context.Context, log *slog.Logger) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	go func() {
		s, ok := <-signals
		if !ok {
			return
		}
		log.Info("signal: the end begins", "signal", s.String())
		cancel()
		if _, ok := <-signals; ok {
			log.Error("second signal: leaving at once")
			os.Exit(exitFailed)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

// systemdNotify tells systemd that the daemon is ready and, if it wants to know,
// that facts are still being taken in. Elsewhere both do nothing.
func systemdNotify(log *slog.Logger) (alive, started func()) {
	started = func() {
		if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
			log.Warn("systemd was not told that the daemon is ready", "err", err)
		}
	}
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return nil, started
	}
	var last time.Time
	return func() {
		if now := time.Now(); now.Sub(last) >= every/4 {
			last = now
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
	}, started
}

// logHandler writes text to a terminal and to the journal of systemd, which has
// its own clock, and JSON everywhere else.
func logHandler(w io.Writer, level slog.Leveler, env config.Env) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	switch {
	case env.Getenv("JOURNAL_STREAM") != "":
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		return slog.NewTextHandler(w, o)
	case terminal(w):
		return slog.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, o)
}
