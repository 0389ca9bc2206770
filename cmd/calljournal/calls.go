package main

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
)

type callsVerb struct {
	From      string   `help:"Calls that began then or later: 2026-01-31, 2026-01-31T09:00 or RFC 3339." placeholder:"TIME"`
	To        string   `help:"Calls that began before." placeholder:"TIME"`
	Direction []string `help:"inbound, outbound or internal; several with commas." enum:"inbound,outbound,internal" placeholder:"WORD"`
	Status    []string `help:"answered, abandoned, no_answer, busy, rejected, failed, voicemail, fax, self_service; several with commas." enum:"answered,abandoned,no_answer,busy,rejected,failed,voicemail,fax,self_service" placeholder:"WORD"`
	Number    string   `help:"Part of any number of the call." placeholder:"DIGITS"`
	Limit     int      `help:"At most so many." default:"50" placeholder:"N"`
	Cursor    string   `help:"Go on where the page before ended." placeholder:"CURSOR"`
	JSON      bool     `name:"json" help:"As JSON: the same as GET /v1/calls." xor:"form"`
	CSV       bool     `name:"csv" help:"As CSV." xor:"form"`
}

func (v callsVerb) Run(sh *shell) error {
	filter := url.Values{"limit": {strconv.Itoa(v.Limit)}}
	if v.Limit < 1 {
		return &exitError{exitUsage, "--limit: want a number from 1 on"}
	}
	for _, f := range []struct{ name, text string }{{"from", v.From}, {"to", v.To}} {
		if f.text == "" {
			continue
		}
		t, err := timeFlag(f.text)
		if err != nil {
			return &exitError{exitUsage, "--" + f.name + ": " + err.Error()}
		}
		filter.Set(f.name, t.UTC().Format(time.RFC3339Nano))
	}
	for name, text := range map[string]string{"direction": strings.Join(v.Direction, ","), "status": strings.Join(v.Status, ","), "number": v.Number, "cursor": v.Cursor} {
		if text != "" {
			filter.Set(name, text)
		}
	}
	c, err := sh.client()
	if err != nil {
		return err
	}
	page, err := c.Calls(sh.ctx, filter)
	if err != nil {
		return err
	}
	switch {
	case v.JSON:
		return sh.json(page)
	case v.CSV:
		return sh.callsCSV(page.Calls)
	}
	if err := sh.callsTable(page.Calls); err != nil {
		return err
	}
	if page.Cursor != nil {
		fmt.Fprintf(sh.errOut, "There are more: add --cursor %s\n", *page.Cursor)
	}
	return nil
}

// timeFlag reads a time as people write it, in this machine's zone.
func timeFlag(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: want 2026-01-31, 2026-01-31T09:00 or RFC 3339", s)
}

func (sh *shell) callsTable(calls []*call.Record) error {
	if len(calls) == 0 {
		_, err := fmt.Fprintln(sh.errOut, "No calls.")
		return err
	}
	rows := make([][]string, 0, len(calls))
	for _, r := range calls {
		rows = append(rows, []string{localTime(r.StartedAt), r.Direction, party(r.From), party(r.To), r.Status, ms(r.WaitMs), ms(r.TalkMs),
			short(str(r.AnsweredBy), 16), quality(r), plain(r.ID)})
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
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
