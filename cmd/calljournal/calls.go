package main

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/storage"
)

type callsVerb struct {
	callFlags
	Sort   string `help:"started_at, ended_at, wait, talk, total, ring, from, to, cost or status; with a - in front the greatest first." default:"-started_at" placeholder:"COLUMN"`
	Limit  int    `help:"At most so many." default:"50" placeholder:"N"`
	Cursor string `help:"Go on where the page before ended." placeholder:"CURSOR"`
	JSON   bool   `name:"json" help:"As JSON: the same as GET /v1/calls." xor:"form"`
	CSV    bool   `name:"csv" help:"As CSV." xor:"form"`
}

// pageCalls is the most that the daemon gives at once.
const pageCalls = 1000

func (v callsVerb) Run(sh *shell) error {
	if v.Limit < 1 {
		return &exitError{exitUsage, "--limit: want a number from 1 on"}
	}
	if !slices.Contains(storage.Sorts(), strings.TrimPrefix(v.Sort, "-")) {
		return &exitError{exitUsage, "--sort: want one of " + strings.Join(storage.Sorts(), ", ") + ", with or without a - in front"}
	}
	filter, err := v.query(sh.zone())
	if err != nil {
		return err
	}
	filter.Set("sort", v.Sort)
	c, err := sh.client()
	if err != nil {
		return err
	}
	page := api.CallsPage{Calls: []*call.Record{}}
	for cursor := v.Cursor; ; cursor = *page.Cursor {
		filter.Set("limit", strconv.Itoa(min(v.Limit-len(page.Calls), pageCalls)))
		if cursor != "" {
			filter.Set("cursor", cursor)
		}
		next, err := c.Calls(sh.ctx, filter)
		if err != nil {
			return err
		}
		page.Calls, page.Cursor = append(page.Calls, next.Calls...), next.Cursor
		if page.Cursor == nil || len(page.Calls) >= v.Limit {
			break
		}
	}
	if v.JSON { // which has the cursor in it
		return sh.json(page)
	}
	show := sh.callsTable
	if v.CSV {
		show = sh.callsCSV
	}
	if err := show(page.Calls); err != nil {
		return err
	}
	if page.Cursor != nil {
		fmt.Fprintf(sh.errOut, "There are more: add --cursor %s\n", *page.Cursor)
	}
	return nil
}

func (sh *shell) callsTable(calls []*call.Record) error {
	if len(calls) == 0 {
		_, err := fmt.Fprintln(sh.errOut, "No calls.")
		return err
	}
	zone, rows := sh.zone(), make([][]string, 0, len(calls))
	for _, r := range calls {
		rows = append(rows, []string{timeIn(zone, r.StartedAt), r.Direction, party(r.From), party(r.To), r.Status, ms(r.WaitMs), ms(r.TalkMs),
			short(str(r.AnsweredBy), 16), quality(r), short(r.ID, 300)})
	}
	_, err := fmt.Fprintln(sh.screen(), tableText([]string{"STARTED", "DIRECTION", "FROM", "TO", "STATUS", "WAIT", "TALK", "BY", "QUALITY", "ID"}, rows))
	return err
}

// quality is empty for what needs no second look.
func quality(r *call.Record) string {
	if r.Quality == call.QualityComplete {
		return ""
	}
	return strings.TrimSpace(r.Quality + " " + strings.Join(r.Doubts, ","))
}

func (sh *shell) callsCSV(calls []*call.Record) error {
	w := csv.NewWriter(sh.out)
	_ = w.Write([]string{"id", "started_at", "direction", "from", "from_name", "to", "status", "missed", "answered_by", "wait_ms", "talk_ms", "total_ms", "quality"})
	for _, r := range calls {
		_ = w.Write([]string{cell(r.ID), r.StartedAt.Time().Format(time.RFC3339Nano), r.Direction, cell(csvText(r.From.Number)), cell(csvText(r.From.Name)),
			cell(csvText(r.To.Number)), r.Status, strconv.FormatBool(r.Missed), cell(csvText(r.AnsweredBy)), csvMs(r.WaitMs), csvMs(r.TalkMs), csvMs(r.TotalMs), r.Quality})
	}
	w.Flush()
	return w.Error()
}

func csvText(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func csvMs(p *int64) string {
	if p == nil {
		return ""
	}
	return strconv.FormatInt(*p, 10)
}

// cell keeps a spreadsheet from taking a name from outside for a formula
// (OWASP, CSV injection). A number in international form begins with + and gets
// the mark too: it is text.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}
