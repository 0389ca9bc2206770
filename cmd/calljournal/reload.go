package main

import (
	"fmt"
	"strings"
)

type reloadVerb struct{}

func (reloadVerb) Run(sh *shell) error { return reload(sh) }

func reload(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	r, err := c.Reload(sh.ctx)
	if err != nil {
		return err
	}
	if len(r.Applied) == 0 && len(r.Restart) == 0 {
		fmt.Fprintln(sh.out, "Nothing has changed.")
	}
	if len(r.Applied) > 0 {
		fmt.Fprintln(sh.out, "In force now: "+strings.Join(r.Applied, ", "))
	}
	if len(r.Restart) > 0 {
		fmt.Fprintln(sh.out, "Changed, but needs calljournal service restart: "+strings.Join(r.Restart, ", "))
	}
	return nil
}
