package wire

import (
	"slices"
	"strings"
)

// Needed says what goes on to the protocol package: it is keyed by the
// lower-cased name of an event. An event that is not in it is dropped by its
// name alone, before anyone parses it.
type Needed map[string]EventNeed

// EventNeed is what the rules need of one event.
type EventNeed struct {
	// Headers are the names to keep, told apart without regard to case. They go
	// on in the spelling used here, whatever the PBX's version writes: a rule
	// looks up one name. What identifies and orders a message (Event, ActionID,
	// Timestamp, ...) is kept in any case.
	Headers []string
	// Only keeps the event only if each of these headers has one of the values,
	// without regard to case. The headers themselves must be in Headers as well
	// if a rule wants to read them.
	Only map[string][]string
}

// Merge gives the needs of both: what either keeps is kept. Where both know an
// event, it is kept unconditionally unless both set the same condition header.
func (n Needed) Merge(o Needed) Needed {
	all := make(Needed, len(n)+len(o))
	for name, need := range n {
		all[name] = need
	}
	for name, need := range o {
		have, ok := all[name]
		if !ok {
			all[name] = need
			continue
		}
		all[name] = EventNeed{
			Headers: append(append([]string(nil), have.Headers...), need.Headers...),
			Only:    either(have.Only, need.Only),
		}
	}
	return all
}

// either gives a condition that lets through at least what a or b lets through.
func either(a, b map[string][]string) map[string][]string {
	if len(a) != 1 || len(b) != 1 {
		return nil
	}
	for header, values := range a {
		if more, ok := b[header]; ok {
			return map[string][]string{header: append(append([]string(nil), values...), more...)}
		}
	}
	return nil
}

// nameMost is longer than the name of any event or header that a rule needs.
const nameMost = 64

// needs are a Needed made ready for looking names up without allocating.
type needs struct {
	byEvent map[string]*need // by lower-cased name; nil: everything goes on
	lower   [nameMost]byte   // a name while it is looked up
}

// need is an EventNeed made ready in the same way.
type need struct {
	headers    []needHeader
	byLength   [nameMost][]int // indexes of headers
	conditions int
	condition  int // index of the first header with one
}

// needHeader is a header that a rule needs, or that a condition is about.
type needHeader struct {
	name string
	only []string // the values that a condition allows; nil: there is none
	pass bool     // goes on; false if it is there for its condition alone
}

// newNeeds prepares needed; always are headers to keep of every event. With nil
// for needed everything goes on.
func newNeeds(needed Needed, always []string) needs {
	if needed == nil {
		return needs{}
	}
	n := needs{byEvent: make(map[string]*need, len(needed))}
	for event, need := range needed {
		n.byEvent[strings.ToLower(event)] = newNeed(need, always)
	}
	return n
}

func newNeed(e EventNeed, always []string) *need {
	n := &need{conditions: len(e.Only)}
	add := func(name string, only []string, pass bool) {
		if name == "" || len(name) >= nameMost {
			return
		}
		if i := n.find([]byte(name)); i >= 0 {
			n.headers[i].only = append(n.headers[i].only, only...)
			return
		}
		n.byLength[len(name)] = append(n.byLength[len(name)], len(n.headers))
		n.headers = append(n.headers, needHeader{name, slices.Clone(only), pass})
	}
	for _, name := range slices.Concat(always, e.Headers) {
		add(name, nil, true)
	}
	for name, values := range e.Only {
		add(name, values, false)
	}
	n.condition = slices.IndexFunc(n.headers, func(h needHeader) bool { return h.only != nil })
	return n
}

// all says that everything goes on.
func (n *needs) all() bool { return n.byEvent == nil }

// of is what is needed of an event, nil if nothing is.
func (n *needs) of(event []byte) *need {
	if len(event) > len(n.lower) {
		return nil
	}
	lower := n.lower[:len(event)]
	for i, c := range event {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return n.byEvent[string(lower)]
}

// find gives the index of a header, -1 if it is not needed. Names come in
// whatever case somebody wrote them: it does not count.
func (n *need) find(name []byte) int {
	if len(name) >= nameMost {
		return -1
	}
	for _, i := range n.byLength[len(name)] {
		if foldEqual(name, n.headers[i].name) {
			return i
		}
	}
	return -1
}

func (h *needHeader) allows(value []byte) bool {
	for _, v := range h.only {
		if foldEqual(value, v) {
			return true
		}
	}
	return false
}

// foldEqual compares without regard to ASCII case.
func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		d := s[i]
		if c == d {
			continue
		}
		if c|0x20 != d|0x20 || c|0x20 < 'a' || 'z' < c|0x20 {
			return false
		}
	}
	return true
}
