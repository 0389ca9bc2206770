package main

import (
	"errors"
	"fmt"

	"calljournal/agent/api"
)

// spamVerb is the list of spammers' numbers that people keep, beside the file.
type spamVerb struct {
	Add    spamAddVerb    `cmd:"" help:"Name a number as a spammer's. Its earlier calls change too."`
	Remove spamRemoveVerb `cmd:"" help:"Take a number off the list."`
	List   spamListVerb   `cmd:"" help:"The numbers that people named. Those of spam_numbers_file stand in that file."`
}

type spamAddVerb struct {
	Number string `arg:"" help:"As people write it."`
	JSON   bool   `name:"json" help:"As JSON."`
}

func (v spamAddVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	n, err := c.MarkSpam(sh.ctx, v.Number)
	if err != nil {
		return err
	}
	if v.JSON {
		return sh.json(n)
	}
	_, err = fmt.Fprintf(sh.out, "%s is on the list.\n", plain(n.Number))
	return err
}

type spamRemoveVerb struct {
	Number string `arg:"" help:"As people write it."`
	JSON   bool   `name:"json" help:"As JSON: the list without it."`
}

func (v spamRemoveVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	if err = c.UnmarkSpam(sh.ctx, v.Number); errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("%w\nTry: calljournal spam list", err)
	}
	if err != nil {
		return err
	}
	if v.JSON {
		list, err := c.Spam(sh.ctx)
		if err != nil {
			return err
		}
		return sh.json(list)
	}
	_, err = fmt.Fprintf(sh.out, "%s is off the list.\n", plain(v.Number))
	return err
}

type spamListVerb struct {
	JSON bool `name:"json" help:"As JSON: the same as GET /v1/spam."`
}

func (v spamListVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	list, err := c.Spam(sh.ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		return sh.json(list)
	}
	if len(list.Numbers) == 0 {
		_, err := fmt.Fprintln(sh.errOut, "No numbers.")
		return err
	}
	zone, rows := sh.zone(), make([][]string, 0, len(list.Numbers))
	for _, n := range list.Numbers {
		rows = append(rows, []string{short(n.Number, 24), timeIn(zone, n.At), short(n.By, 24)})
	}
	_, err = fmt.Fprintln(sh.screen(), tableText([]string{"NUMBER", "SINCE", "BY"}, rows))
	return err
}
