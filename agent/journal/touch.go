package journal

import (
	"cmp"
	"time"

	"calljournal/agent/call"
)

// Way is where a call led, seen from the outside number.
type Way uint8

// The ways of a call.
const (
	Inside Way = iota
	Came       // inbound
	Went       // outbound
)

// Touch is what the history of a number keeps of one call: what the verdicts
// about this and other calls rest on, whatever the rules are, and the verdict.
type Touch struct {
	ID      string
	Started call.Moment
	Spoken  call.Moment // a person first spoke with the caller; zero: nobody did
	Left    call.Moment // the caller left
	TotalMs int64       // -1: unknown
	TalkMs  int64
	Way     Way
	// Missable: by its direction and status the call is missed, unless it is short
	// or spam.
	Missable  bool
	Abandoned bool
	Verdict   Verdict
}

// TouchOf gives the touch of a record that was settled, and the history that
// keeps it. What the record does not say of its verdict, the rules that gave it
// and what made it spam, is left out.
func TouchOf(r *call.Record) (history string, t Touch) {
	t = touchOf(r)
	t.Verdict.Types, t.Verdict.Missed = TypesOf(r.Types), r.Missed
	if r.HealedBy != nil {
		t.Verdict.HealedBy = *r.HealedBy
	}
	return historyOf(r), t
}

// touchOf cuts a record down to what its history keeps.
func touchOf(r *call.Record) Touch {
	t := Touch{ID: r.ID, Started: r.StartedAt, Left: max(r.StartedAt, r.EndedAt), TotalMs: -1}
	switch r.Direction {
	case call.Inbound:
		t.Way = Came
	case call.Outbound:
		t.Way = Went
	}
	if r.TotalMs != nil {
		t.TotalMs = max(0, *r.TotalMs)
	}
	if r.Status == call.StatusAnswered && r.AnsweredAt != 0 {
		t.Spoken = min(max(r.StartedAt, r.AnsweredAt), r.StartedAt.Add(longestWait))
		if r.TalkMs != nil {
			t.TalkMs = max(0, *r.TalkMs)
		}
	}
	t.Missable = t.Way == Came && missable(r.Status)
	t.Abandoned = t.Way == Came && r.Status == call.StatusAbandoned
	if t.Missable {
		t.Left = min(t.Left, t.Started.Add(longestWait))
	}
	return t
}

func missable(status string) bool {
	switch status {
	case call.StatusAbandoned, call.StatusNoAnswer, call.StatusBusy, call.StatusRejected, call.StatusFailed, call.StatusVoicemail:
		return true
	}
	return false
}

// brief: shorter than a call that somebody meant.
func (t *Touch) brief(r Rules) bool {
	return t.Way == Came && t.TotalMs >= 0 && time.Duration(t.TotalMs)*time.Millisecond < r.ShortAbandon
}

// Compare puts touches of one history in order: by their beginning, and where
// that is the same, by id.
func (t *Touch) Compare(o *Touch) int {
	return cmp.Or(cmp.Compare(t.Started, o.Started), cmp.Compare(t.ID, o.ID))
}
