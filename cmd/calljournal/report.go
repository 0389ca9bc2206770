package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"calljournal/agent/report"
	"calljournal/agent/wholefile"
)

type reportVerb struct {
	callFlags
	Period string   `help:"today, yesterday, this-week, last-week, this-month, last-month, 7d, 30d or all, instead of --from and --to. Default: last-month." default:"" enum:",today,yesterday,this-week,last-week,this-month,last-month,7d,30d,all" placeholder:"WORD"`
	Output string   `short:"o" help:"Where to; - is standard output. A file of that name is replaced when the report is whole. Default: report-DATES in this folder." placeholder:"FILE"`
	Format string   `help:"pdf, csv or xlsx; default: as the name of --output ends, else pdf." default:"" enum:",pdf,csv,xlsx" placeholder:"FORMAT"`
	PDF    bool     `name:"pdf" help:"The same as --format pdf." xor:"form"`
	CSV    bool     `name:"csv" help:"The same as --format csv." xor:"form"`
	XLSX   bool     `name:"xlsx" help:"The same as --format xlsx." xor:"form"`
	Mail   []string `help:"Mail it to that address, by the [mail] of the configuration, and write no file; may be given several times." placeholder:"ADDRESS" sep:"none"`
	Lang   string   `help:"ru or en; default: the language of this session, or en." default:"" enum:",ru,en" placeholder:"LANGUAGE"`
}

func (v reportVerb) Run(sh *shell) error {
	ctx, stop := signal.NotifyContext(sh.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	what, err := v.query(sh.zone())
	if err != nil {
		return err
	}
	if v.Period != "" {
		if v.From+v.To != "" {
			return &exitError{exitUsage, "report: --period, or --from and --to, not both"}
		}
		what.Set("period", v.Period)
	}
	format, err := v.format()
	if err != nil {
		return err
	}
	if v.Output == "-" && format != report.CSV && terminal(sh.out) {
		return &exitError{exitUsage, "report: standard output is a terminal: give a file, or a pipe"}
	}
	what.Set("format", format)
	what.Set("lang", v.language(sh.env.Getenv))
	c, err := sh.client()
	if err != nil {
		return err
	}
	if len(v.Mail) > 0 {
		if v.Output != "" {
			return &exitError{exitUsage, "report: --mail, or --output, not both"}
		}
		sent, err := c.MailReport(ctx, what, v.Mail)
		if err != nil {
			return fmt.Errorf("report: %w", err)
		}
		return sh.mailed(sent, false)
	}
	doc, err := c.Report(ctx, what)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if v.Output == "-" {
		_, err := sh.out.Write(doc.Bytes)
		return err
	}
	path := v.Output
	if path == "" {
		path = doc.Name
	}
	if err := wholefile.Replace(path, doc.Bytes); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = fmt.Fprintf(sh.errOut, "%s: %s\n", path, size(int64(len(doc.Bytes))))
	return err
}

// format is what the flags say, else the name of the file.
func (v reportVerb) format() (string, error) {
	said := v.Format
	for format, on := range map[string]bool{report.PDF: v.PDF, report.CSV: v.CSV, report.XLSX: v.XLSX} {
		switch {
		case on && said != "" && said != format:
			return "", &exitError{exitUsage, fmt.Sprintf("report: --%s and --format %s: which?", format, said)}
		case on:
			said = format
		}
	}
	if said != "" {
		return said, nil
	}
	ending := strings.ToLower(strings.TrimPrefix(filepath.Ext(v.Output), "."))
	switch {
	case v.Output == "" || v.Output == "-":
		return report.PDF, nil
	case slices.Contains(report.Formats(), ending):
		return ending, nil
	} // a report under a name that says something else is opened by the wrong program
	return "", &exitError{exitUsage, fmt.Sprintf("report: %q ends neither in .pdf nor in .csv or .xlsx: add --format", v.Output)}
}

// language is that of the flag, else of the session.
func (v reportVerb) language(getenv func(string) string) string {
	if v.Lang != "" {
		return v.Lang
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := getenv(name); locale != "" {
			if strings.HasPrefix(locale, "ru") {
				return report.Russian
			}
			break
		}
	}
	return report.English
}
