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
			return &exitError{exitFailed, fmt.Sprintf("nothing was erased: %s of %s in progress, or ended a moment ago\nTry: the same again in a minute", callCount(found.Held), plain(found.Number))}
		}
		if found.Calls == 0 && !found.Marked {
			_, err := fmt.Fprintf(sh.out, "The journal has no calls of %s.\n", plain(found.Number))
			return err
		}
		fmt.Fprintf(sh.errOut, "%s of %s will be erased for good. Type yes to go on: ", callCount(found.Calls), plain(found.Number))
		answer, err := bufio.NewReader(sh.in).ReadString('\n')
		if err != nil { // the end of input leaves the cursor behind the question
			fmt.Fprintln(sh.errOut)
		}
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
	fmt.Fprintf(sh.out, "Erased: %s of %s. Followers of the feed are told to delete what they have of it.\n", callCount(done.Calls), plain(done.Number))
	if done.Marked {
		fmt.Fprintln(sh.out, "The number was on the list of spammers, and is no more.")
	}
	if done.Held > 0 {
		fmt.Fprintf(sh.out, "Not erased: %s in progress, or ended a moment ago. Ask again in a minute.\n", callCount(done.Held))
	}
	_, err = fmt.Fprintln(sh.out, "The journal's file may still hold traces in free space until that is used again: calljournal compact leaves none.\n"+
		"Backups, files of the PBX (recordings, messages, its own call records), what others have fetched, and\nsearches for the number in access.log are not touched.")
	return err
}

func callCount(n int) string {
	if n == 1 {
		return "1 call"
	}
	return fmt.Sprintf("%d calls", n)
}
