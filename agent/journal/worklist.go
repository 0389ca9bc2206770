package journal

import (
	"cmp"
	"slices"

	"calljournal/agent/call"
)

// What became of a missed caller.
const (
	StateOpen       = "open"      // nobody has tried yet
	StateAttempted  = "attempted" // called, and not spoken with
	StateCalledBack = "called_back"
	StateCameBack   = "came_back"
	StateLost       = "lost"
)

// MissedCaller is a line of the worklist: a number whose calls were missed, one
// after the other, and what became of them together.
type MissedCaller struct {
	Number     *string      `json:"number"`
	E164       *string      `json:"e164"`
	Name       *string      `json:"name"`
	State      string       `json:"state" enum:"open,attempted,called_back,came_back,lost"`
	Calls      []MissedCall `json:"calls" doc:"oldest first"`
	Attempts   int          `json:"attempts" doc:"calls to the number while it was open, also the one that was answered"`
	AttemptAt  call.Moment  `json:"attempt_at" doc:"the last of them"`
	HealedBy   *string      `json:"healed_by"`
	HealedAt   call.Moment  `json:"healed_at" doc:"when the number was next spoken with"`
	HealedInMs *int64       `json:"healed_in_ms" doc:"from the end of the first missed call to that; 0 if it was still waiting then"`
	LostAt     call.Moment  `json:"lost_at" doc:"when it is lost, unless it is spoken with by then"`
}

// MissedCall is one of the calls.
type MissedCall struct {
	ID        string      `json:"id"`
	StartedAt call.Moment `json:"started_at"`
	EndedAt   call.Moment `json:"ended_at"`
	Status    string      `json:"status"`
	Line      *call.Line  `json:"line"`
	Queues    []string    `json:"queues"`
	Asked     []Asked     `json:"asked" doc:"whose phones were called: who should have answered"`
}

// Asked is somebody who should have answered.
type Asked struct {
	Extension  string  `json:"extension"`
	Employee   *string `json:"employee"`
	Department *string `json:"department"`
}

// Worklist puts missed calls together by caller and by what became of them, the
// latest caller first. Calls that are not missed are left out.
func (e *Engine) Worklist(past Past, missed []*call.Record) ([]MissedCaller, error) {
	histories := map[string][]*call.Record{}
	for _, r := range missed {
		if r.Missed {
			h := historyOf(r)
			histories[h] = append(histories[h], r)
		}
	}
	callers := []MissedCaller{}
	for h, calls := range histories {
		slices.SortFunc(calls, func(a, b *call.Record) int {
			return cmp.Or(cmp.Compare(a.StartedAt, b.StartedAt), cmp.Compare(a.ID, b.ID))
		})
		for from := 0; from < len(calls); {
			to := from + 1
			for to < len(calls) && fate(calls[to]) == fate(calls[from]) {
				to++
			}
			m, err := e.missedCaller(past, h, calls[from:to])
			if err != nil {
				return nil, err
			}
			callers = append(callers, m)
			from = to
		}
	}
	slices.SortFunc(callers, func(a, b MissedCaller) int {
		x, y := a.Calls[len(a.Calls)-1], b.Calls[len(b.Calls)-1]
		return cmp.Or(cmp.Compare(y.StartedAt, x.StartedAt), cmp.Compare(x.ID, y.ID))
	})
	return callers, nil
}

// fate is what became of a missed call.
func fate(r *call.Record) string {
	switch t := TypesOf(r.Types); {
	case r.HealedBy != nil:
		return StateCalledBack + " " + *r.HealedBy // or came back: the call decides
	case t.Has(Lost):
		return StateLost
	}
	return StateOpen
}

func (e *Engine) missedCaller(past Past, history string, calls []*call.Record) (MissedCaller, error) {
	first, last := calls[0], calls[len(calls)-1]
	m := MissedCaller{
		Number: last.From.Number, E164: last.From.E164, Name: last.From.Name,
		State: StateOpen, HealedBy: last.HealedBy,
	}
	left, lastLeft := touchOf(first).Left, touchOf(last).Left
	m.LostAt = e.settings.Rules.deadline(lastLeft)
	touches, err := past.Touches(history, first.StartedAt.Add(-longestWait), m.LostAt+1)
	if err != nil {
		return MissedCaller{}, err
	}
	if m.HealedBy != nil {
		if i := slices.IndexFunc(touches, func(t Touch) bool { return t.ID == *m.HealedBy }); i >= 0 {
			m.HealedAt = touches[i].Spoken
			in := max(0, m.HealedAt.Sub(left).Milliseconds())
			m.HealedInMs = &in
		}
	}
	for i := range touches {
		t := &touches[i]
		if t.Verdict.Types.Has(Callback) && t.Started >= left && (m.HealedAt == 0 || t.Started <= m.HealedAt) {
			m.Attempts++
			m.AttemptAt = t.Started
		}
	}
	switch types := TypesOf(last.Types); {
	case types.Has(CalledBack):
		m.State = StateCalledBack
	case types.Has(CameBack):
		m.State = StateCameBack
	case types.Has(Lost):
		m.State = StateLost
	case m.Attempts > 0:
		m.State = StateAttempted
	}
	for _, r := range calls {
		c := MissedCall{ID: r.ID, StartedAt: r.StartedAt, EndedAt: r.EndedAt, Status: r.Status, Line: r.Line, Queues: list(r.Queues), Asked: []Asked{}}
		for i := range r.Legs {
			l := &r.Legs[i]
			if l.Role == call.RolePhone && l.Extension != nil &&
				!slices.ContainsFunc(c.Asked, func(a Asked) bool { return a.Extension == *l.Extension }) {
				c.Asked = append(c.Asked, Asked{*l.Extension, l.Employee, l.Department})
			}
		}
		m.Calls = append(m.Calls, c)
	}
	return m, nil
}
