package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"calljournal/agent/api"
)

// mailVerb is about reports and alerts that are mailed.
type mailVerb struct {
	List mailListVerb `cmd:"" help:"List the reports and alerts: what was mailed, what comes next, and why one is not mailed."`
	Send mailSendVerb `cmd:"" help:"Mail a report now to everybody who gets it. Its schedule stays as it is."`
}

type mailListVerb struct {
	JSON bool `name:"json" help:"As JSON: mailings of GET /v1/status."`
}

func (v mailListVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	st, err := c.Status(sh.ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		return sh.json(st.Mailings)
	}
	if len(st.Mailings) == 0 {
		fmt.Fprintln(sh.errOut, "Nothing is mailed: [mail] with a [[report]] or an [[alert]] in the configuration does it.")
		return nil
	}
	zone := sh.zone()
	var rows, aside [][]string
	for _, m := range st.Mailings {
		rows = append(rows, []string{m.Kind, plain(m.Name), plain(m.To), m.State, timeIn(zone, m.NextAt), strconv.Itoa(m.Waiting), timeIn(zone, m.SentAt),
			strconv.Itoa(m.Tries), strconv.Itoa(len(m.Aside)), short(m.Error, 60)})
		for _, a := range m.Aside {
			aside = append(aside, []string{plain(a.What), plain(m.To), timeIn(zone, a.At), strconv.Itoa(a.Tries), short(a.Error, 100)})
		}
	}
	text := tableText([]string{"KIND", "NAME", "TO", "STATE", "NEXT", "CALLS", "LAST", "TRIES", "ASIDE", "ERROR"}, rows)
	if len(aside) > 0 {
		text += "\n\n" + tableText([]string{"SET ASIDE", "TO", "AT", "TRIES", "ERROR"}, aside)
	}
	_, err = fmt.Fprintln(sh.screen(), text)
	return err
}

type mailSendVerb struct {
	Name string `arg:"" help:"Name of the [[report]]."`
	JSON bool   `name:"json" help:"As JSON."`
}

func (v mailSendVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	sent, err := c.SendReport(sh.ctx, v.Name)
	if errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("there is no report %s\nTry: calljournal mail list", v.Name)
	}
	if err != nil {
		return err
	}
	return sh.mailed(sent, v.JSON)
}

// mailed tells what became of mails; one that did not go is a failure.
func (sh *shell) mailed(sent api.ReportSent, asJSON bool) (err error) {
	failed := 0
	var b strings.Builder
	for _, m := range sent.Mails {
		said := "mailed"
		if m.Error != "" {
			said = "not mailed: " + m.Error
			failed++
		}
		fmt.Fprintf(&b, "%s: %s\n", plain(m.To), plain(said))
	}
	if asJSON {
		err = sh.json(sent)
	} else {
		_, err = fmt.Fprint(sh.out, b.String())
	}
	if err == nil && failed > 0 {
		return &exitError{code: exitFailed}
	}
	return err
}
