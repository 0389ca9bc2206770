package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"calljournal/agent/api"
	"calljournal/storage"
)

// forwardVerb is about those who are sent the feed.
type forwardVerb struct {
	List   forwardListVerb   `cmd:"" help:"List the forwarders: how far each has come, and why one is stuck."`
	Dead   forwardDeadVerb   `cmd:"" help:"List the entries that the far side refused and that were set aside."`
	Resend forwardResendVerb `cmd:"" help:"Send what was set aside again. What the far side takes leaves the list."`
	Drop   forwardDropVerb   `cmd:"" help:"Give up what was set aside: it is never sent. The journal keeps the calls."`
}

type forwardListVerb struct {
	JSON bool `name:"json" help:"As JSON: forwarders of GET /v1/status."`
}

func (v forwardListVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	st, err := c.Status(sh.ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		return sh.json(st.Forwarders)
	}
	if len(st.Forwarders) == 0 {
		fmt.Fprintln(sh.errOut, "There is no forwarder: a [[forward]] in the configuration makes one.")
		return nil
	}
	var rows [][]string
	for _, f := range st.Forwarders {
		rows = append(rows, forwardRow(st, f))
	}
	_, err = fmt.Fprintln(sh.screen(), tableText([]string{"FORWARD", "KIND", "TO", "STATE", "SENT UP TO", "WAITING", "FOR", "DEAD", "ERROR"}, rows))
	return err
}

func forwardRow(st api.Status, f api.Forwarder) []string {
	return []string{plain(f.Name), f.Kind, plain(f.Address), f.State, strconv.FormatUint(f.Seq, 10), strconv.FormatUint(f.Lag, 10),
		waiting(st, f), strconv.Itoa(f.Dead), short(f.Error, 60)}
}

// waiting is how old the oldest entry is that was not sent yet.
func waiting(st api.Status, f api.Forwarder) string {
	if f.WaitingSince == 0 {
		return "-"
	}
	return st.At.Sub(f.WaitingSince).Round(time.Second).String()
}

type forwardDeadVerb struct {
	Name string `arg:"" help:"Name of the [[forward]]."`
	JSON bool   `name:"json" help:"As JSON."`
}

func (v forwardDeadVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	page, err := c.DeadLetters(sh.ctx, v.Name)
	if err != nil {
		return noForwarder(err, v.Name)
	}
	if v.JSON {
		return sh.json(page.Dead)
	}
	if len(page.Dead) == 0 {
		fmt.Fprintln(sh.errOut, "Nothing was set aside.")
		return nil
	}
	zone, rows := sh.zone(), [][]string{}
	for _, l := range page.Dead {
		rows = append(rows, deadRow(zone, l))
	}
	_, err = fmt.Fprintln(sh.screen(), tableText([]string{"ENTRY", "CALL", "SINCE", "TRIES", "ERROR"}, rows))
	return err
}

func deadRow(zone *time.Location, l storage.DeadLetter) []string {
	reason := l.Error
	if l.Again {
		reason = "being sent again"
	}
	return []string{strconv.FormatUint(l.Seq, 10), plain(l.Call), timeIn(zone, l.At), strconv.Itoa(l.Tries), short(reason, 100)}
}

// deadChoice is which dead letters a verb is about. All must be said: it is too
// much to do by leaving something out.
type deadChoice struct {
	Name    string   `arg:"" help:"Name of the [[forward]]."`
	Entries []uint64 `arg:"" optional:"" help:"Numbers of entries, as calljournal forward dead shows them."`
	All     bool     `help:"All of them."`
	JSON    bool     `name:"json" help:"As JSON."`
}

func (v deadChoice) check(verb string) error {
	if (len(v.Entries) == 0) != v.All {
		return &exitError{exitUsage, fmt.Sprintf("want numbers of entries, or --all\nTry: calljournal forward %s %s --all", verb, v.Name)}
	}
	return nil
}

type forwardResendVerb struct {
	deadChoice `embed:""`
}

func (v forwardResendVerb) Run(sh *shell) error { return v.change(sh, "resend", "to be sent again") }

type forwardDropVerb struct {
	deadChoice `embed:""`
}

func (v forwardDropVerb) Run(sh *shell) error { return v.change(sh, "drop", "given up") }

func (v deadChoice) change(sh *shell, verb, done string) error {
	if err := v.check(verb); err != nil {
		return err
	}
	c, err := sh.client()
	if err != nil {
		return err
	}
	changed, err := c.ChangeDeadLetters(sh.ctx, v.Name, verb, v.Entries)
	if err != nil {
		return noForwarder(err, v.Name)
	}
	if v.JSON {
		return sh.json(changed)
	}
	_, err = fmt.Fprintf(sh.out, "%d %s\n", changed.Count, done)
	return err
}

func noForwarder(err error, name string) error {
	if errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("there is no forwarder %s\nTry: calljournal forward list", name)
	}
	return err
}
