package freeswitch

import (
	"strconv"
	"strings"

	"calljournal/agent/call"
)

// Message is one event as go-eventsocket hands it over: a header's name, in the
// package's own spelling, to a string, or to a list where FreeSWITCH sent the
// header more than once. The package's Get panics on a list and tells two
// spellings of one name apart at random, so nothing here uses it.
type Message map[string]any

// get is a header's value by the name FreeSWITCH gives it; of several values
// the first. What is not there is "".
func (m Message) get(name string) string {
	switch v := m[spelling(name)].(type) {
	case string:
		if strings.HasPrefix(v, arrayMark) {
			return m.all(name)[0]
		}
		return v
	case []any:
		if len(v) > 0 {
			s, _ := v[0].(string)
			return s
		}
	}
	return ""
}

// arrayMark and arraySeparator are how FreeSWITCH writes several values into
// one (switch_event.h: ARRAY::a|:b), where a list is not to be had.
const (
	arrayMark      = "ARRAY::"
	arraySeparator = "|:"
)

// all is every value of a header, oldest first.
func (m Message) all(name string) []string {
	switch v := m[spelling(name)].(type) {
	case string:
		if v == "" {
			return nil
		}
		if rest, ok := strings.CutPrefix(v, arrayMark); ok {
			return strings.Split(rest, arraySeparator)
		}
		return []string{v}
	case []any:
		values := make([]string, 0, len(v))
		for _, x := range v {
			if s, ok := x.(string); ok {
				values = append(values, s)
			}
		}
		return values
	}
	return nil
}

// variable is a channel variable's value.
func (m Message) variable(name string) string { return m.get("variable_" + name) }

func (m Message) id(name string) call.LegID { return call.LegID(m.get(name)) }

// name is what the event is, as the table of needs has it: its name, or of a
// CUSTOM event its subclass.
func (m Message) name() string {
	name := m.get("Event-Name")
	if name == "CUSTOM" {
		name = m.get("Event-Subclass")
	}
	return strings.ToLower(name)
}

// latest is the last moment taken for a time at all: the year 2255. Beyond it
// is a broken header.
const latest = 1 << 53

// moment is a header in microseconds since the epoch; 0, FreeSWITCH's word for
// never, and everything absurd give the unknown moment.
func (m Message) moment(name string) call.Moment {
	us, err := strconv.ParseInt(m.get(name), 10, 64)
	if err != nil || us <= 0 || us > latest {
		return 0
	}
	return call.Moment(us)
}

// channelTime is when something happened to the channel: Created, Progress, ...
func (m Message) channelTime(what string) call.Moment {
	return m.moment("Caller-Channel-" + what + "-Time")
}

// number is a header as a whole number that is not negative.
func (m Message) number(name string) int {
	n, err := strconv.Atoi(m.get(name))
	if err != nil || n < 0 || n > 1<<30 {
		return 0
	}
	return n
}

// spellings is what go-eventsocket makes of the names that are needed, so that
// no name is recased twice.
var spellings = func() map[string]string {
	names := make(map[string]string)
	for _, need := range Needed() {
		for _, h := range need.Headers {
			names[h] = recased(h)
		}
	}
	return names
}()

func spelling(name string) string {
	if s, ok := spellings[name]; ok {
		return s
	}
	return recased(name)
}

// recased is the name as go-eventsocket spells it (its func capitalize): every
// word with one capital, but a variable only with its first letter. A name that
// begins with an underscore it leaves alone.
func recased(name string) string {
	if name == "" || name[0] == '_' {
		return name
	}
	b := []byte(strings.ToLower(name))
	if strings.HasPrefix(string(b), "variable_") && len(b) > len("variable_") {
		b[0] = 'V'
		return string(b)
	}
	up := true
	for i, c := range b {
		if up && 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
		up = !up && (c == '-' || c == '_')
	}
	return string(b)
}
