package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"calljournal/agent/api"
	"calljournal/agent/wholefile"
	"calljournal/storage"
)

type exportVerb struct {
	File string `arg:"" help:"Where to; - is standard output. A file of that name is replaced when the table is whole."`
	callFlags
	Sort   string `help:"As of calls." default:"-started_at" placeholder:"COLUMN"`
	Format string `help:"csv or xlsx; default: as the file's name ends, and csv on standard output." enum:"csv,xlsx," default:"" placeholder:"FORMAT"`
}

func (v exportVerb) Run(sh *shell) error {
	ctx, stop := signal.NotifyContext(sh.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if !slices.Contains(storage.Sorts(), strings.TrimPrefix(v.Sort, "-")) {
		return &exitError{exitUsage, "--sort: want one of " + strings.Join(storage.Sorts(), ", ") + ", with or without a - in front"}
	}
	filter, err := v.query(sh.zone())
	if err != nil {
		return err
	}
	format := v.Format
	if format == "" {
		format = strings.ToLower(strings.TrimPrefix(filepath.Ext(v.File), "."))
		switch {
		case format == api.FormatCSV || format == api.FormatXLSX:
		case v.File == "-":
			format = api.FormatCSV
		default: // a table under a name that says something else is opened by the wrong program
			return &exitError{exitUsage, fmt.Sprintf("export: %q ends neither in .csv nor in .xlsx: add --format csv or --format xlsx", v.File)}
		}
	}
	filter.Set("sort", v.Sort)
	filter.Set("format", format)
	c, err := sh.client()
	if err != nil {
		return err
	}
	if v.File == "-" {
		if format == api.FormatXLSX && terminal(sh.out) {
			return &exitError{exitUsage, "export: standard output is a terminal: give a file, or a pipe"}
		}
		if _, err := c.Export(ctx, filter, sh.out); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		return nil
	}
	var n int64
	err = wholefile.Write(v.File, func(f *os.File) (err error) {
		n, err = c.Export(ctx, filter, f)
		return err
	})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	_, err = fmt.Fprintf(sh.errOut, "%s: %s\n", v.File, size(n))
	return err
}
