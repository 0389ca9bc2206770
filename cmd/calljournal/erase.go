package main

import (
	"bufio"
	"fmt"
	"strings"
)

// eraseVerb removes a person's calls for good.
type eraseVerb struct {
	Number string `help:"The person's number, as people write it." required:"" placeholder:"NUMBER"`
	Yes    bool   `help:"Do not ask."`
	JSON   bool   `name:"json" help:"As JSON; goes with --yes."`
}

func (v eraseVerb) Run(sh *shell) error {
	if v.JSON && !v.Yes {
		return &exitError{exitUsage, "--json does not ask: add --yes"}
	}
	c, err := sh.client()
	if err != nil {
		return err
	}
	if !v.Yes {
		found, err := c.Erase(sh.ctx, v.Number, true)
		if err != nil {
			return err
		}
		if found.Calls == 0 && !found.Marked && found.Held > 0 {
			return &exitError{exitFailed, fmt.Sprintf("nothing was erased: %d calls of %s are in progress or ended a moment ago\nTry: the same again in a minute", found.Held, plain(found.Number))}
		}
		if found.Calls == 0 && !found.Marked {
			_, err := fmt.Fprintf(sh.out, "The journal has no calls of %s.\n", plain(found.Number))
			return err
		}
		fmt.Fprintf(sh.errOut, "%d calls of %s will be erased for good. Type yes to go on: ", found.Calls, plain(found.Number))
		answer, _ := bufio.NewReader(sh.in).ReadString('\n')
		if strings.TrimSpace(answer) != "yes" {
			return &exitError{exitFailed, "nothing was erased"}
		}
	}
	done, err := c.Erase(sh.ctx, v.Number, false)
	if err != nil {
		return err
	}
	if v.JSON {
		return sh.json(done)
	}
	fmt.Fprintf(sh.out, "Erased: %d calls of %s. Followers of the feed are told to delete them.\n", done.Calls, plain(done.Number))
	if done.Marked {
		fmt.Fprintln(sh.out, "The number was on the list of spammers, and is no more.")
	}
	if done.Held > 0 {
		fmt.Fprintf(sh.out, "Not erased: %d calls that are in progress or ended a moment ago. Ask again in a minute.\n", done.Held)
	}
	_, err = fmt.Fprintln(sh.out, "The journal's file may still hold traces in free space until that is used again: calljournal compact leaves none.\n"+
		"Backups, files of the PBX (recordings, messages, its own call records) what others have fetched, and\nsearches for the number in access.log are not touched.")
	return err
}
