package call

import "regexp"

// Options is what a Tracker must know of its PBX.
type Options struct {
	Agent, PBX, PBXKind string
	// Trunks are patterns (path.Match) of channel names that lead outside.
	// Empty: found out from the legs themselves.
	Trunks []string
	// Extensions says what an employee's number looks like. Nil: ^\d{2,5}$.
	Extensions *regexp.Regexp
}

// Tracker turns the facts of one PBX into records. It has no clock, no I/O and
// no goroutine: the same facts in give the same changes out. It is not safe
// for use by several goroutines at once.
type Tracker struct {
	opts Options
}

// New gives a Tracker that knows of no calls.
func New(o Options) *Tracker { return &Tracker{opts: o} }

// Restore gives the Tracker back the facts that were kept for open calls, in
// the order of their N, as the store has them. It must come before any Apply.
func (t *Tracker) Restore(facts []Event) {}

// Apply takes one fact in and says what follows from it.
func (t *Tracker) Apply(e Event) []Change { return nil }

// Live gives the calls in progress as they look at now, oldest first.
func (t *Tracker) Live(now Moment) []Record { return nil }
