package main

import (
	"context"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"calljournal/agent"
	"calljournal/agent/config"

	"github.com/coreos/go-systemd/v22/daemon"
)

// foreground is a process whose work is a daemon, the agent or the centre: it has
// a log, a signal ends it, SIGHUP has the configuration read again, and systemd is
// told how it goes.
type foreground struct {
	log            *slog.Logger
	level          *slog.LevelVar
	alive, started func() // for the daemon to call; alive is nil where nobody wants to know

	ctx    context.Context
	end    func() // must be called
	reload chan os.Signal
}

// newForeground heeds signals from now on: none is to end the process while the
// daemon is being made.
func newForeground(sh *shell, level string) *foreground {
	f := &foreground{level: new(slog.LevelVar), reload: make(chan os.Signal, 1)}
	f.level.Set(agent.Level(level))
	f.log = slog.New(logHandler(sh.errOut, f.level, sh.env))
	// The libraries' own words, such as net/http's about what a far side said.
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(f.log.Handler(), slog.LevelDebug).Writer())
	ctx, stop := endBySignal(sh.ctx, f.log)
	signal.Notify(f.reload, syscall.SIGHUP)
	f.ctx, f.end = ctx, func() {
		signal.Stop(f.reload)
		stop()
	}
	f.alive, f.started = systemdNotify(f.log)
	return f
}

// run works until a signal ends it. reload is called for each SIGHUP, one at a time.
func (f *foreground) run(work func(context.Context) error, reload func(context.Context)) error {
	go func() {
		for {
			select {
			case <-f.ctx.Done():
				return
			case <-f.reload:
				reload(f.ctx)
			}
		}
	}()
	err := work(f.ctx)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	return err
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
