package wire

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
