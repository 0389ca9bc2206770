package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"calljournal/agent/api"
	"calljournal/agent/config"
	"calljournal/agent/wholefile"
	"calljournal/storage"
)

// backupVerb, checkVerb and compactVerb are about the journal's file. While the
// daemon runs it has the file to itself, so they ask it; else they open it.
type (
	backupVerb struct {
		File string `arg:"" help:"Where to; - is standard output. An older backup of that name is replaced when the new one is whole."`
	}
	checkVerb struct {
		File string `arg:"" optional:"" help:"A journal, as a backup; default: the daemon's own."`
		JSON bool   `name:"json" help:"As JSON."`
	}
	compactVerb struct{}
)

// place is the daemon's journal and the client that asks for it.
func (sh *shell) place() (journal string, c *api.Client, err error) {
	p, err := config.Place(sh.config, sh.given, sh.env)
	return filepath.Join(p.DataDir, "journal.db"), api.NewClient(p.Socket), err
}

func (v backupVerb) Run(sh *shell) error {
	ctx, stop := signal.NotifyContext(sh.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if v.File == "-" {
		if terminal(sh.out) {
			return &exitError{exitUsage, "backup: standard output is a terminal: give a file, or a pipe"}
		}
		_, err := sh.backup(ctx, sh.out)
		return err
	}
	if err := v.sensible(sh); err != nil {
		return err
	}
	var n int64
	err := wholefile.Write(v.File, func(f *os.File) (err error) {
		n, err = sh.backup(ctx, f)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(sh.errOut, "%s: %s\n", v.File, size(n))
	return nil
}

// sensible refuses a target that a backup would do harm to: the new file takes
// the place of the old one, whatever that is.
func (v backupVerb) sensible(sh *shell) error {
	wrong := func(format string, args ...any) error {
		return &exitError{exitUsage, fmt.Sprintf("backup: %s: "+format, append([]any{v.File}, args...)...)}
	}
	if st, err := os.Stat(filepath.Dir(v.File)); err != nil {
		return wrong("its folder is not there: %v", err)
	} else if !st.IsDir() {
		return wrong("%s is no folder", filepath.Dir(v.File))
	}
	there, err := os.Stat(v.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case there.IsDir():
		return wrong("is a folder: give the name of a file in it")
	case !there.Mode().IsRegular():
		return wrong("is no ordinary file: for a pipe or a device write - and redirect")
	}
	journal, _, err := sh.place()
	if err != nil {
		return err
	}
	if own, err := os.Stat(journal); err == nil && os.SameFile(own, there) {
		return wrong("is the journal itself")
	}
	return nil
}

func (sh *shell) backup(ctx context.Context, w io.Writer) (int64, error) {
	journal, c, err := sh.place()
	if err != nil {
		return 0, err
	}
	n, err := c.Backup(ctx, w)
	if !errors.Is(err, api.ErrNoDaemon) {
		return n, err
	}
	if _, err := os.Stat(journal); err != nil {
		return 0, fmt.Errorf("no daemon runs, and there is no journal: %w", err)
	}
	db, err := storage.Open(journal, storage.Options{})
	if err != nil {
		return 0, err
	}
	n, err = db.Backup(w)
	return n, errors.Join(err, db.Close())
}

func (v checkVerb) Run(sh *shell) error {
	ctx, stop := signal.NotifyContext(sh.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := v.check(ctx, sh)
	if err != nil {
		return err
	}
	if v.JSON {
		if err := sh.json(report); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(sh.out, "%s: %d calls, %d entries of the feed read\n", report.Path, report.Calls, report.Entries)
		for _, d := range report.Damage {
			fmt.Fprintf(sh.out, "damaged: %s: %s\n", d.Where, d.What)
		}
	}
	if report.Damaged > 0 {
		try := "calljournal service restart: the daemon saves what can be read into a new journal"
		if v.File != "" {
			try = "another backup; started with this one as its journal.db, the daemon saves what can be read"
		}
		return &exitError{exitFailed, fmt.Sprintf("damage found: %d\nTry: %s", report.Damaged, try)}
	}
	return nil
}

func (v checkVerb) check(ctx context.Context, sh *shell) (storage.Report, error) {
	if v.File != "" {
		return storage.Check(v.File)
	}
	journal, c, err := sh.place()
	if err != nil {
		return storage.Report{}, err
	}
	report, err := c.Check(ctx)
	if errors.Is(err, api.ErrNoDaemon) {
		return storage.Check(journal)
	}
	return report, err
}

func (compactVerb) Run(sh *shell) error {
	journal, _, err := sh.place()
	if err != nil {
		return err
	}
	before, after, err := storage.Compact(journal)
	if errors.Is(err, storage.ErrLocked) {
		return fmt.Errorf("%w\nTry: calljournal service stop, then compact, then calljournal service start", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(sh.out, "%s: %s before, %s now\n", journal, size(before), size(after))
	return nil
}
