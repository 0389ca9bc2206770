package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/journal"
)

// missedVerb is the worklist: who called, was not spoken with, and what became
// of him.
type missedVerb struct {
	State  []string `help:"open, attempted, called_back, came_back, lost; several with commas. Default: open,attempted." enum:"open,attempted,called_back,came_back,lost" placeholder:"WORD"`
	All    bool     `help:"In every state."`
	From   string   `help:"Callers whose last missed call began then or later: a time as of calls." placeholder:"TIME"`
	To     string   `help:"Only calls that began before." placeholder:"TIME"`
	Limit  int      `help:"At most so many." default:"50" placeholder:"N"`
	Cursor string   `help:"Go on where the page before ended." placeholder:"CURSOR"`
	JSON   bool     `name:"json" help:"As JSON: the same as GET /v1/missed."`
}

func (v missedVerb) Run(sh *shell) error {
	if v.Limit < 1 {
		return &exitError{exitUsage, "--limit: want a number from 1 on"}
	}
	filter := url.Values{"limit": {strconv.Itoa(v.Limit)}}
	switch {
	case len(v.State) > 0:
		filter.Set("state", strings.Join(v.State, ","))
	case !v.All:
		filter.Set("state", journal.StateOpen+","+journal.StateAttempted)
	}
	zone := sh.zone()
	if err := setTimes(filter, v.From, v.To, zone); err != nil {
		return err
	}
	if v.Cursor != "" {
		filter.Set("cursor", v.Cursor)
	}
	c, err := sh.client()
	if err != nil {
		return err
	}
	page, err := c.Missed(sh.ctx, filter)
	if err != nil {
		return err
	}
	if v.JSON {
		return sh.json(page)
	}
	if len(page.Callers) == 0 {
		_, err := fmt.Fprintln(sh.errOut, "Nobody.")
		return err
	}
	rows := make([][]string, 0, len(page.Callers))
	for _, m := range page.Callers {
		rows = append(rows, missedRow(zone, m))
	}
	if _, err := fmt.Fprintln(sh.screen(), tableText([]string{"LAST", "NUMBER", "NAME", "TIMES", "LINE", "ASKED", "STATE", "TRIED", "AFTER", "WITH", "ID"}, rows)); err != nil {
		return err
	}
	if page.Cursor != nil {
		fmt.Fprintf(sh.errOut, "There are more: add --cursor %s\n", *page.Cursor)
	}
	return nil
}

func missedRow(zone *time.Location, m *journal.MissedCaller) []string {
	number, line, asked, id := m.Number, "-", "-", "-"
	if m.E164 != nil {
		number = m.E164
	}
	if n := len(m.Calls); n > 0 {
		c := &m.Calls[n-1]
		id = plain(c.ID)
		if c.Line != nil {
			if line = c.Line.Number; c.Line.Name != nil {
				line = *c.Line.Name
			}
		}
		var who []string
		for _, a := range c.Asked {
			who = append(who, a.Extension)
		}
		if who = append(who, c.Queues...); len(who) > 0 {
			asked = strings.Join(who, ",")
		}
	}
	after, with := "-", "-"
	if m.HealedInMs != nil {
		after = (time.Duration(*m.HealedInMs) * time.Millisecond).Round(time.Second).String()
	}
	if h := m.HealedWith; h != nil {
		if with = h.Extension; h.Employee != nil {
			with = *h.Employee
		}
	}
	return []string{timeIn(zone, m.LastAt), short(str(number), 20), short(str(m.Name), 20), strconv.Itoa(m.Times), short(line, 20), short(asked, 24),
		m.State, strconv.Itoa(m.Attempts), after, short(with, 20), id}
}
