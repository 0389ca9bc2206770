package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

// CallFilter says which calls are meant, everywhere in the same words. A
// parameter that may be given several times means any of what it says; a call
// must satisfy every parameter.
type CallFilter struct {
	From       string   `query:"from" doc:"calls that began then or later: RFC 3339; or 2026-01-31 or 2026-01-31T09:00 in the time zone of the configuration, or 2026-01: the month's beginning"`
	To         string   `query:"to" doc:"calls that began before: RFC 3339"`
	Direction  []string `query:"direction,explode" doc:"inbound, outbound, internal"`
	Status     []string `query:"status,explode" doc:"answered, abandoned, no_answer, busy, rejected, failed, voicemail, fax, self_service"`
	Missed     string   `query:"missed" doc:"true: only missed calls; false: only others"`
	Type       []string `query:"type,explode" doc:"unique, repeat, target, callback, called_back, came_back, lost, short, spam"`
	Employee   []string `query:"employee,explode" doc:"name or extension of somebody who made the call, was called, or took part in it"`
	Department []string `query:"department,explode" doc:"of such an employee"`
	Part       string   `query:"part" doc:"of the employees that are asked for, or without any of the departments. counted: only the calls that statistics count in their row; answered_elsewhere: only those that rang there and another took, which are not in the row's calls"`
	Queue      []string `query:"queue,explode" doc:"one that the call waited in"`
	Line       []string `query:"line,explode" doc:"the company's number, or the name it has in the configuration"`
	Source     []string `query:"source,explode" doc:"of the line"`
	Trunk      []string `query:"trunk,explode" doc:"the endpoint that led outside"`
	Number     []string `query:"number,explode" doc:"part of any number of the call; spaces, brackets and dashes do not count, and a whole number is found however it is written: 8 916 112-20-01 as +79161122001"`
	MinTalk    string   `query:"min_talk" doc:"talk of at least: 90s, 1m30s, or seconds"`
	MaxTalk    string   `query:"max_talk" doc:"talk of at most"`
	MinWait    string   `query:"min_wait" doc:"wait of at least"`
	MaxWait    string   `query:"max_wait" doc:"wait of at most"`
	Weekday    []string `query:"weekday,explode" doc:"monday, tuesday, ...: of the day on which the call began, in the time zone of the configuration"`
	Hour       []string `query:"hour,explode" doc:"0 to 23: of that day, in which it began; 9 is from 9:00 to 10:00"`
	Has        []string `query:"has,explode" doc:"recording: one that the PBX told of, not one that is only found by its file's name; voicemail: the caller got to a mailbox; fax"`
	Text       string   `query:"q" doc:"words of which each is part of a name, number, employee, department, queue, line, source, trunk, tag or account of the call; or the id of a call"`
}

// The words of the parameters that know only some. The first ones may also be
// given with commas between them.
var filterWords = map[string][]string{
	"direction": {call.Inbound, call.Outbound, call.Internal},
	"status": {
		call.StatusAnswered, call.StatusAbandoned, call.StatusNoAnswer, call.StatusBusy, call.StatusRejected,
		call.StatusFailed, call.StatusVoicemail, call.StatusFax, call.StatusSelfService,
	},
	"type":    {"unique", "repeat", "target", "callback", "called_back", "came_back", "lost", "short", "spam"},
	"has":     {"recording", "voicemail", "fax"},
	"weekday": {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"},
	"hour":    hoursOfADay(),
}

func hoursOfADay() (hours []string) {
	for h := range 24 {
		hours = append(hours, strconv.Itoa(h))
	}
	return hours
}

const (
	maxFilterWords = 100
	maxFilterBytes = 300 // of one word
)

const wantTime = "want a time as 2026-01-31T09:00:00Z (a + must be written %2B in an address), 2026-01-31T09:00, 2026-01-31 or 2026-01"

// ReadTime reads a time of a filter: a moment, or a day or a month, which is its
// beginning. Without a zone of its own it is in zone. It takes the names of rows of
// statistics, too. False: it is no time.
func ReadTime(text string, zone *time.Location) (at time.Time, ok bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly, "2006-01"} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, true
		}
	}
	return at, false
}

// hoursOf are the hours of those days of the week; nil if all are meant.
func hoursOf(days, hours []string, zone *time.Location) *storage.Hours {
	if len(days)+len(hours) == 0 {
		return nil
	}
	out := &storage.Hours{Zone: zone}
	for d, day := range filterWords["weekday"] {
		for h, hour := range filterWords["hour"] {
			if (len(days) == 0 || slices.Contains(days, day)) && (len(hours) == 0 || slices.Contains(hours, hour)) {
				out.Of[d] |= 1 << h
			}
		}
	}
	return out
}

func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// query makes a query of the store, or an answer to what was wrong. directory
// reads numbers; nil: they are sought as they are given.
func (f *CallFilter) query(zone *time.Location, directory *journal.Directory) (q storage.Query, err error) {
	var wrong []error
	refuse := func(name, format string, args ...any) {
		wrong = append(wrong, &huma.ErrorDetail{Location: "query." + name, Message: fmt.Sprintf(format, args...)})
	}
	moment := func(name, text string) call.Moment {
		if text == "" {
			return 0
		}
		at, ok := ReadTime(text, zone)
		if !ok {
			refuse(name, "%s", wantTime)
		}
		return call.MomentOf(at)
	}
	words := func(name string, given []string) (list []string) {
		known := filterWords[name]
		for _, text := range given {
			parts := []string{text}
			if known != nil {
				parts = strings.Split(text, ",")
			}
			for _, w := range parts {
				switch {
				case w == "":
				case len(w) > maxFilterBytes:
					refuse(name, "more than %d bytes", maxFilterBytes)
				case known != nil && !slices.Contains(known, w):
					refuse(name, "%q is not known: want %s", w, strings.Join(known, ", "))
				default:
					list = append(list, w)
				}
			}
		}
		if len(list) > maxFilterWords {
			refuse(name, "more than %d of them", maxFilterWords)
		}
		return list
	}
	duration := func(name, text string) *time.Duration {
		if text == "" {
			return nil
		}
		d, err := time.ParseDuration(text)
		if seconds, plain := strconv.ParseUint(text, 10, 31); plain == nil {
			d, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil || d < 0 {
			refuse(name, "want a length of time as 90s, 1m30s, or seconds")
			return nil
		}
		return &d
	}
	q = storage.Query{
		From: moment("from", f.From), To: moment("to", f.To),
		Direction: words("direction", f.Direction), Status: words("status", f.Status), Type: words("type", f.Type), Has: words("has", f.Has),
		Employee: words("employee", f.Employee), Department: words("department", f.Department), Queue: words("queue", f.Queue),
		Line: words("line", f.Line), Source: words("source", f.Source), Trunk: words("trunk", f.Trunk), Number: words("number", f.Number),
		MinTalk: duration("min_talk", f.MinTalk), MaxTalk: duration("max_talk", f.MaxTalk), MinWait: duration("min_wait", f.MinWait), MaxWait: duration("max_wait", f.MaxWait),
		Hours: hoursOf(words("weekday", f.Weekday), words("hour", f.Hour), zone),
		Text:  f.Text,
	}
	if directory != nil {
		// A whole number is found in whichever way a record has it.
		for _, number := range q.Number {
			if national := directory.National(strings.TrimSpace(number)); national != nil {
				q.Number = append(q.Number, *national)
			}
		}
		if national := directory.National(strings.TrimSpace(f.Text)); national != nil && strings.Contains(digits(f.Text), *national) {
			q.Text = *national // a number that has the text in it has this part of it
		}
	}
	if len(f.Text) > maxFilterBytes {
		refuse("q", "more than %d bytes", maxFilterBytes)
	}
	if f.Missed != "" {
		missed, err := strconv.ParseBool(f.Missed)
		if err != nil {
			refuse("missed", "want true or false")
		}
		q.Missed = &missed
	}
	switch f.Part {
	case "":
	case journal.PartCounted, journal.PartElsewhere:
		if q.Part = f.Part; len(q.Employee)+len(q.Department) == 0 {
			refuse("part", "whose part: give an employee or a department too")
		}
	default:
		refuse("part", "%.40q is not known: want %s, %s", f.Part, journal.PartCounted, journal.PartElsewhere)
	}
	if len(wrong) > 0 {
		return q, huma.Error422UnprocessableEntity("the filter cannot be understood", wrong...)
	}
	return q, nil
}
