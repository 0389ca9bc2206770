package main

import (
	"errors"
	"fmt"
	"strings"

	"calljournal/agent/api"
)

// How a check of Nagios, Icinga and their kin ends
// (Monitoring Plugins Development Guidelines, 2.3).
const (
	nagiosOK       = 0
	nagiosWarning  = 1
	nagiosCritical = 2
	nagiosUnknown  = 3
)

// nagios makes one line of the status: the verdict, why, and the figures. No
// daemon is critical: that is what the check is for.
func nagios(st api.Status, err error) (line string, code int) {
	switch {
	case errors.Is(err, api.ErrNoDaemon):
		return "CALLJOURNAL CRITICAL - " + oneLine(err.Error()), nagiosCritical
	case err != nil:
		return "CALLJOURNAL UNKNOWN - " + oneLine(err.Error()), nagiosUnknown
	}
	verdict, code, why := "OK", nagiosOK, []string{fmt.Sprintf("%d links up, %d open calls", linksUp(st), st.OpenCalls)}
	switch {
	case st.State != api.StateWell:
		verdict, code, why = "CRITICAL", nagiosCritical, st.Problems
	case len(st.Warnings) > 0:
		verdict, code, why = "WARNING", nagiosWarning, st.Warnings
	}
	figures := []string{
		fmt.Sprintf("links_up=%d;;%d:;0;%d", linksUp(st), len(st.Links), len(st.Links)),
		fmt.Sprintf("open_calls=%d;;;0", st.OpenCalls),
		fmt.Sprintf("calls=%dc;;;0", st.Journal.Calls),
		fmt.Sprintf("journal=%dB;;;0", st.Journal.FileBytes),
		fmt.Sprintf("disk_free=%dB;;;0", st.Journal.DiskFree),
	}
	for _, c := range st.Consumers {
		figures = append(figures, fmt.Sprintf("'consumer_%s'=%d;;;0", label(c.Name), c.Lag))
	}
	for _, f := range st.Forwarders {
		figures = append(figures, fmt.Sprintf("'forward_%s'=%d;;;0", label(f.Name), f.Lag))
	}
	return fmt.Sprintf("CALLJOURNAL %s - %s | %s", verdict, oneLine(strings.Join(why, "; ")), strings.Join(figures, " ")), code
}

func linksUp(st api.Status) (n int) {
	for _, l := range st.Links {
		if l.State == api.LinkUp {
			n++
		}
	}
	return n
}

// oneLine keeps what is said from being read as figures or as another line.
func oneLine(s string) string { return plain(strings.NewReplacer("|", "/", "\n", " ").Replace(s)) }

// label is safe between the quotes of a figure's name.
func label(s string) string { return plain(strings.NewReplacer("'", "_", "=", "_").Replace(s)) }
