package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"calljournal/agent"
	"calljournal/agent/config"
	"calljournal/agent/doctor"
)

type doctorVerb struct {
	JSON bool `name:"json" help:"As JSON."`
	All  bool `help:"Also what is well."`
}

func (v doctorVerb) Run(sh *shell) error {
	ctx, stop := signal.NotifyContext(sh.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var findings []doctor.Finding
	c, err := config.Load(sh.config, sh.env)
	var wrong *config.Error
	switch {
	case errors.As(err, &wrong):
		for _, p := range wrong.Problems {
			place := wrong.File
			if p.Line > 0 {
				place = fmt.Sprintf("%s:%d", place, p.Line)
			}
			findings = append(findings, doctor.Finding{Check: "configuration", Subject: place, Verdict: doctor.Fault,
				Found: strings.TrimPrefix(p.Key+": "+p.Text, ": "), Remedy: "mend it, then run doctor again for the rest"})
		}
	case err != nil:
		return err
	default:
		client, err := sh.client()
		if err != nil {
			return err
		}
		findings = doctor.Examine(ctx, doctor.Options{Config: c, Connect: agent.Connect, Status: client.Status, Root: "/", Now: time.Now})
	}
	if v.JSON {
		err = sh.json(map[string]any{"verdict": doctor.Worst(findings), "findings": findings})
	} else {
		err = v.print(sh.screen(), findings)
	}
	if err != nil {
		return err
	}
	switch doctor.Worst(findings) {
	case doctor.Fault:
		return &exitError{code: exitFailed}
	case doctor.Advice:
		return &exitError{code: exitDegraded}
	}
	return nil
}

// print shows the worst first, each with what to do.
func (v doctorVerb) print(w io.Writer, findings []doctor.Finding) error {
	count := map[doctor.Verdict]int{}
	for _, f := range findings {
		count[f.Verdict]++
	}
	_, err := fmt.Fprintf(w, "%sfaults %d, advice %d, not known %d, well %d\n", findingsText(findings, v.All),
		count[doctor.Fault], count[doctor.Advice], count[doctor.Unknown], count[doctor.Well])
	return err
}

// findingsText shows the worst first, and what is well only if all is asked for.
func findingsText(findings []doctor.Finding, all bool) string {
	var b strings.Builder
	for _, verdict := range []doctor.Verdict{doctor.Fault, doctor.Advice, doctor.Unknown, doctor.Well} {
		if verdict == doctor.Well && !all {
			continue
		}
		for _, f := range findings {
			if f.Verdict != verdict {
				continue
			}
			mark := styleDim
			switch verdict {
			case doctor.Fault:
				mark = styleBad
			case doctor.Well:
				mark = styleGood
			}
			fmt.Fprintf(&b, "%s  %s", mark.Render(fmt.Sprintf("%-7s", verdict)), plain(f.Check))
			if f.Subject != "" {
				fmt.Fprintf(&b, ", %s", plain(f.Subject))
			}
			fmt.Fprintf(&b, ": %s\n", plain(f.Found))
			if f.Remedy != "" {
				fmt.Fprintf(&b, "         %s %s\n", styleDim.Render("→"), plain(f.Remedy))
			}
		}
	}
	return b.String()
}
