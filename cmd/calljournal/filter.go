package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/report"
)

// callFlags say which calls are meant: the filters of GET /v1/calls. A flag that
// may be given several times means any of what it says.
type callFlags struct {
	From       string         `help:"Calls that began then or later: 2026-01-31, 2026-01-31T09:00, 2026-01, today or yesterday (in the time zone of the configuration), or RFC 3339." placeholder:"TIME"`
	To         string         `help:"Calls that began before." placeholder:"TIME"`
	Direction  []string       `help:"inbound, outbound or internal; several with commas." enum:"inbound,outbound,internal" placeholder:"WORD"`
	Status     []string       `help:"answered, abandoned, no_answer, busy, rejected, failed, voicemail, fax, self_service; several with commas." enum:"answered,abandoned,no_answer,busy,rejected,failed,voicemail,fax,self_service" placeholder:"WORD"`
	Missed     *bool          `help:"Only missed calls; --no-missed: only others." negatable:""`
	Type       []string       `help:"unique, repeat, target, callback, called_back, came_back, lost, short, spam; several with commas." enum:"unique,repeat,target,callback,called_back,came_back,lost,short,spam" placeholder:"WORD"`
	Employee   []string       `help:"Name or extension of somebody who took part. For several give it several times: a comma may be part of a name, here and in the next ones." sep:"none" placeholder:"NAME"`
	Department []string       `help:"Of such an employee; may be repeated." sep:"none" placeholder:"NAME"`
	Part       string         `help:"Of the employees that are asked for, or without any of the departments: counted (the calls that stats counts in their row) or answered_elsewhere (rang there, and another took them)." enum:",counted,answered_elsewhere" default:"" placeholder:"WORD"`
	Queue      []string       `help:"A queue that the call waited in; may be repeated." sep:"none" placeholder:"NAME"`
	Line       []string       `help:"The company's number, or its name; may be repeated." sep:"none" placeholder:"NUMBER"`
	Source     []string       `help:"Where the line's callers come from; may be repeated." sep:"none" placeholder:"NAME"`
	Trunk      []string       `help:"The endpoint that led outside; may be repeated." sep:"none" placeholder:"NAME"`
	Number     []string       `help:"Part of any number of the call; may be repeated." sep:"none" placeholder:"DIGITS"`
	MinTalk    *time.Duration `help:"Talk of at least: 90s, 1m30s." placeholder:"TIME"`
	MaxTalk    *time.Duration `help:"Talk of at most." placeholder:"TIME"`
	MinWait    *time.Duration `help:"Wait of at least." placeholder:"TIME"`
	MaxWait    *time.Duration `help:"Wait of at most." placeholder:"TIME"`
	Weekday    []string       `help:"monday, tuesday, ...: the day on which the call began; several with commas." enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday" placeholder:"WORD"`
	Hour       []string       `help:"0 to 23: the hour of the day in which it began; several with commas." enum:"0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23" placeholder:"HOUR"`
	Has        []string       `help:"recording (one that the PBX told of), voicemail or fax; several with commas." enum:"recording,voicemail,fax" placeholder:"WORD"`
	Text       string         `name:"q" help:"Words of names, numbers, tags and the like, which must all be there; or the id of a call." placeholder:"TEXT"`
}

// query is the flags as the daemon is asked; zone is the daemon's.
func (f *callFlags) query(zone *time.Location) (url.Values, error) {
	q := url.Values{}
	if err := setTimes(q, f.From, f.To, zone); err != nil {
		return nil, err
	}
	for name, words := range map[string][]string{
		"direction": f.Direction, "status": f.Status, "type": f.Type, "employee": f.Employee, "department": f.Department, "queue": f.Queue,
		"line": f.Line, "source": f.Source, "trunk": f.Trunk, "number": f.Number, "has": f.Has, "weekday": f.Weekday, "hour": f.Hour,
	} {
		for _, w := range words {
			q.Add(name, w)
		}
	}
	for _, r := range []struct {
		of          string
		least, most *time.Duration
	}{{"talk", f.MinTalk, f.MaxTalk}, {"wait", f.MinWait, f.MaxWait}} {
		if r.least != nil && r.most != nil && *r.least > *r.most {
			return nil, &exitError{exitUsage, fmt.Sprintf("--min-%s %s --max-%[1]s %[3]s: no call can be both", r.of, r.least, r.most)}
		}
	}
	for name, d := range map[string]*time.Duration{"min_talk": f.MinTalk, "max_talk": f.MaxTalk, "min_wait": f.MinWait, "max_wait": f.MaxWait} {
		if d != nil {
			q.Set(name, d.String())
		}
	}
	if f.Missed != nil {
		q.Set("missed", strconv.FormatBool(*f.Missed))
	}
	for name, text := range map[string]string{"part": f.Part, "q": f.Text} {
		if text != "" {
			q.Set(name, text)
		}
	}
	return q, nil
}

// setTimes puts the flags of a period into a filter, as they were written: whose
// hours they are, the daemon knows.
func setTimes(q url.Values, from, to string, zone *time.Location) error {
	var ends [2]time.Time
	for i, t := range []struct{ name, text string }{{"from", from}, {"to", to}} {
		if t.text == "" {
			continue
		}
		told, at, err := readTime(t.text, zone)
		if err != nil {
			return &exitError{exitUsage, "--" + t.name + ": " + err.Error()}
		}
		q.Set(t.name, told)
		ends[i] = at
	}
	if from != "" && to != "" && !ends[0].Before(ends[1]) {
		return &exitError{exitUsage, fmt.Sprintf("--from %s --to %s: %v", from, to, report.ErrPeriod)}
	}
	return nil
}

// readTime reads a time as people write it, and says how the daemon is told.
func readTime(text string, zone *time.Location) (told string, at time.Time, err error) {
	switch told = strings.Replace(text, " ", "T", 1); told {
	case "today":
		told = time.Now().In(zone).Format(time.DateOnly)
	case "yesterday":
		told = time.Now().In(zone).AddDate(0, 0, -1).Format(time.DateOnly)
	}
	if at, ok := api.ReadTime(told, zone); ok {
		return told, at, nil
	}
	return "", time.Time{}, fmt.Errorf("%q is no time: want 2026-01-31, 2026-01-31T09:00, 2026-01, today, yesterday or RFC 3339", text)
}
