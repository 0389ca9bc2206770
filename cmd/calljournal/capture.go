package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"calljournal/agent"
	"calljournal/agent/config"
	"calljournal/connectors/capture"
)

type captureVerb struct {
	PBX     string         `name:"pbx" help:"Name of the [[pbx]]; not needed if there is only one." placeholder:"NAME"`
	Out     string         `required:"" help:"The file; it must not be there yet. It is for its owner's eyes only." placeholder:"FILE"`
	MaxSize byteSize       `help:"Size at which a file is renamed to FILE.1, FILE.1 to FILE.2, and so on." default:"100MB" placeholder:"SIZE"`
	Files   int            `help:"How many files to keep." default:"5" placeholder:"N"`
	Mask    bool           `help:"Replace numbers and names, each always by the same, and leave out what no rule reads."`
	For     *time.Duration `help:"End after so long, as 10m; default: on Ctrl-C." placeholder:"TIME"`
}

func (v captureVerb) Run(sh *shell) error {
	if v.Files < 1 || v.Files > 1000 || v.MaxSize < 1<<10 {
		return &exitError{exitUsage, "capture: want --files from 1 to 1000 and --max-size of at least 1KB"}
	}
	if v.For != nil && *v.For <= 0 {
		return &exitError{exitUsage, fmt.Sprintf("capture: --for %s: want a length of time, as 10m; without --for it goes on until Ctrl-C", v.For)}
	}
	c, err := config.Load(sh.config, sh.env)
	if err != nil {
		return err
	}
	p, err := v.choose(c.PBX)
	if err != nil {
		return err
	}
	o := capture.Options{Path: v.Out, Header: agent.CaptureHeader(p, version), MaxSize: int64(v.MaxSize), Files: v.Files}
	how := "as it comes, with numbers and names"
	if v.Mask {
		if o.Mask, err = capture.NewMask(o.Header, nil); err != nil {
			return err
		}
		how = "masked"
	}
	w, err := capture.Create(o)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(sh.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if v.For != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *v.For)
		defer cancel()
	}
	fmt.Fprintf(sh.errOut, "Recording what pbx %s (%s at %s) says to a second connection of ours, %s, to %s; at most %d files of %s. Ctrl-C ends it.\n",
		p.Name, p.Kind, p.Address, how, v.Out, v.Files, size(int64(v.MaxSize)))
	begin := time.Now()
	log := slog.New(logHandler(sh.errOut, slog.LevelWarn, sh.env))
	failed := agent.Capture(ctx, p, w, log,
		func(version string) { fmt.Fprintf(sh.errOut, "Connected: %s.\n", version) },
		func(err error, wait time.Duration) {
			fmt.Fprintf(sh.errOut, "Lost the connection: %v. Trying again in %s.\n", err, wait.Round(time.Second))
		})
	if err := w.Close(); failed == nil {
		failed = err
	}
	n := w.Count()
	lost := "nothing was lost"
	if n.Lost > 0 {
		lost = size(int64(n.Lost)) + " came and are not in it"
	}
	fmt.Fprintf(sh.errOut, "%d messages in %s, %s in %d files; %s.\n", n.Messages, time.Since(begin).Round(time.Second), size(n.Bytes), n.Files, lost)
	if failed == nil {
		fmt.Fprintf(sh.errOut, "Try: calljournal replay %s\n", v.Out)
	}
	return failed
}

// choose finds the [[pbx]] that is meant.
func (v captureVerb) choose(all []config.PBX) (config.PBX, error) {
	names := make([]string, 0, len(all))
	for _, p := range all {
		if p.Name == v.PBX || v.PBX == "" && len(all) == 1 {
			return p, nil
		}
		names = append(names, p.Name)
	}
	if v.PBX == "" {
		return config.PBX{}, &exitError{exitUsage, "capture: which [[pbx]]? Try: --pbx " + strings.Join(names, ", or --pbx ")}
	}
	return config.PBX{}, &exitError{exitUsage, fmt.Sprintf("capture: there is no [[pbx]] %q; there is %s", v.PBX, strings.Join(names, ", "))}
}

// byteSize is a number of bytes as people write it: 100MB, 1GB, 512K.
type byteSize int64

// UnmarshalText reads one.
func (b *byteSize) UnmarshalText(text []byte) error {
	s := strings.ToUpper(strings.TrimSpace(string(text)))
	digits := strings.TrimRight(s, "KMGIB ")
	n, err := strconv.ParseInt(digits, 10, 32)
	shift, known := map[string]int{"": 0, "K": 10, "M": 20, "G": 30}[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(s[len(digits):]), "B"), "I")]
	if err != nil || n < 0 || !known {
		return fmt.Errorf("%q is no size: want a number with KB, MB or GB", text)
	}
	*b = byteSize(n << shift)
	return nil
}
