package journal

import (
	"time"

	"calljournal/agent/call"
)

// Rules are what a company decides about its journal: CONTRACT.md, [rules]. They
// can be compared, so that a change of them is seen.
type Rules struct {
	// UniqueDepth is how long a number must not have called to be unique again;
	// 0 is the whole journal.
	UniqueDepth time.Duration `json:"unique_depth"`
	// TargetMinTalk is the talk from which on a call is a target.
	TargetMinTalk time.Duration `json:"target_min_talk"`
	// ShortAbandon: an abandoned inbound call that is shorter is short.
	ShortAbandon time.Duration `json:"short_abandon"`
	// LostWindow is how long after a missed call its number must be spoken with.
	LostWindow time.Duration `json:"lost_window"`
	// SpamShortCalls: of so many calls from one number in an hour, each shorter
	// than ShortAbandon, the last is spam, and so is every further one; 0: never.
	SpamShortCalls int `json:"spam_short_calls"`
	// ServiceLevel is the wait within which a call is answered in time.
	ServiceLevel time.Duration `json:"service_level"`
}

// DefaultRules are those of a configuration that says nothing.
func DefaultRules() Rules {
	return Rules{
		UniqueDepth:   30 * 24 * time.Hour,
		TargetMinTalk: 30 * time.Second,
		ShortAbandon:  5 * time.Second,
		LostWindow:    24 * time.Hour,
		ServiceLevel:  20 * time.Second,
	}
}

const (
	// spamSpan is the hour in "many short calls in an hour".
	spamSpan = time.Hour
	// longestWait bounds how far apart the beginning of a call and its answer can
	// be. Who waits longer is taken for having waited this long: so it is known
	// how far back a talk can reach.
	longestWait = 24 * time.Hour
)

// reach is how far a call is heard: what it is changes only verdicts of calls
// that began at most forward after it and at most back before it.
//
//	back:    a talk heals what was missed up to LostWindow before its answer,
//	         by a call that may have begun longestWait earlier
//	forward: a missed call makes callbacks of what is called until LostWindow
//	         after its end; whether it was missed, is healed or is spam may
//	         depend on a call that began another longestWait, or an hour, earlier
func (r Rules) reach() (back, forward time.Duration) {
	return r.LostWindow + longestWait, r.LostWindow + 2*longestWait + spamSpan
}

// deadline is until when the number of a call missed must be spoken with.
func (r Rules) deadline(left call.Moment) call.Moment { return left.Add(r.LostWindow) }
