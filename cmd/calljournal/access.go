package main

import (
	"fmt"
	"net/url"
	"strconv"
)

type accessVerb struct {
	From  string `help:"Then or later: a time as of calls." placeholder:"TIME"`
	To    string `help:"Before." placeholder:"TIME"`
	Who   string `help:"Part of the name." placeholder:"NAME"`
	Call  string `help:"Who read this call." placeholder:"ID"`
	Limit int    `help:"At most so many." default:"100" placeholder:"N"`
	JSON  bool   `name:"json" help:"As JSON: the same as GET /v1/access."`
}

func (v accessVerb) Run(sh *shell) error {
	if v.Limit < 1 {
		return &exitError{exitUsage, "--limit: want a number from 1 on"}
	}
	wanted := url.Values{"limit": {strconv.Itoa(v.Limit)}}
	zone := sh.zone()
	if err := setTimes(wanted, v.From, v.To, zone); err != nil {
		return err
	}
	for name, text := range map[string]string{"who": v.Who, "call": v.Call} {
		if text != "" {
			wanted.Set(name, text)
		}
	}
	c, err := sh.client()
	if err != nil {
		return err
	}
	page, err := c.Access(sh.ctx, wanted)
	if err != nil {
		return err
	}
	if v.JSON {
		return sh.json(page)
	}
	if page.Lost > 0 {
		fmt.Fprintf(sh.errOut, "%d entries could not be written since the daemon started.\n", page.Lost)
	}
	if len(page.Access) == 0 {
		_, err := fmt.Fprintln(sh.errOut, "Nobody read anything.")
		return err
	}
	var rows [][]string
	for _, e := range page.Access {
		what := e.What
		if e.Refused {
			what += " (refused)"
		}
		rows = append(rows, []string{timeIn(zone, e.At), short(e.Who, 40), short(e.Address, 40), plain(what), plain(e.Call), short(e.Filter, 80)})
	}
	_, err = fmt.Fprintln(sh.screen(), tableText([]string{"AT", "WHO", "FROM", "WHAT", "CALL", "FILTER"}, rows))
	return err
}
