package journal

import (
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
	Times      int          `json:"times" doc:"how many calls were missed; 1000 stands for more"`
	FirstAt    call.Moment  `json:"first_at" doc:"when the first of them began"`
	LastAt     call.Moment  `json:"last_at" doc:"when the last of them began"`
	Calls      []MissedCall `json:"calls" doc:"the last 20 of them, oldest first"`
	Attempts   int          `json:"attempts" doc:"calls to the number while it was open, also the one that was answered"`
	AttemptAt  call.Moment  `json:"attempt_at" doc:"the last of them"`
	HealedBy   *string      `json:"healed_by" doc:"the call in which the number was next spoken with"`
	HealedAt   call.Moment  `json:"healed_at" doc:"when that was"`
	HealedInMs *int64       `json:"healed_in_ms" doc:"from the end of the first missed call to that; 0 if it was still waiting then"`
	HealedWith *Asked       `json:"healed_with" doc:"who spoke with the number"`
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

// Asked is an employee who should have answered, or who did.
type Asked struct {
	Extension  string  `json:"extension"`
	Employee   *string `json:"employee"`
	Department *string `json:"department"`
}

// OpenSince is a moment before which no open missed call began, if the one that
// ended first began at the given one.
func OpenSince(began call.Moment) call.Moment { return began.Add(-longestWait) }

const (
	mostTimes = 1000
	mostCalls = 20
)

// Worklist puts missed calls together by caller and by what became of them.
type Worklist struct {
	Rules Rules
	// Until is what the list knows of: calls that began later have no part in it,
	// so that its pages fit together while calls arrive.
	Until call.Moment
}

// Caller gives the line of which r is the last call, or nil: r was not missed, or
// the same caller was missed again before anybody spoke with him, and that call
// has the line. seen says which of the calls whoever asks may see; nil: all.
//
// Whoever goes through all missed calls, the newest first, so gets the whole
// list, each caller once.
func (w Worklist) Caller(past Past, r *call.Record, seen func(*call.Record) bool) (*MissedCaller, error) {
	history, t := TouchOf(r)
	if !t.Verdict.Missed || r.StartedAt >= w.Until || seen != nil && !seen(r) {
		return nil, nil
	}
	after, err := past.Touches(history, t.Started, min(w.Rules.deadline(t.Left)+1, w.Until))
	if err != nil {
		return nil, err
	}
	for i := range after {
		if n := &after[i]; n.Compare(&t) > 0 && n.Verdict.Missed {
			if w.together(&t, n) {
				return nil, nil
			}
			break
		}
	}
	missed, err := w.missed(past, history, t)
	if err != nil {
		return nil, err
	}
	return w.line(past, history, missed, r, seen)
}

// together says that a call missed later, b, belongs to the line of a: nobody had
// spoken with the caller yet, and he was not lost.
func (w Worklist) together(a, b *Touch) bool {
	return a.Verdict.HealedBy == b.Verdict.HealedBy && a.Verdict.Types.Has(Lost) == b.Verdict.Types.Has(Lost) &&
		b.Started <= w.Rules.deadline(a.Left)
}

// missed gives the calls of the line that ends with last, newest first.
func (w Worklist) missed(past Past, history string, last Touch) ([]Touch, error) {
	line, below := []Touch{last}, last.Started+1
	for len(line) < mostTimes {
		first := &line[len(line)-1]
		from := first.Started.Add(-w.Rules.LostWindow - longestWait)
		if from >= below {
			break
		}
		before, err := past.Touches(history, from, below)
		if err != nil {
			return nil, err
		}
		below = from
		for _, t := range slices.Backward(before) {
			if !t.Verdict.Missed || t.Compare(first) >= 0 {
				continue
			}
			if !w.together(&t, first) || len(line) == mostTimes {
				return line, nil
			}
			line = append(line, t)
			first = &line[len(line)-1]
		}
	}
	return line, nil
}

func (w Worklist) line(past Past, history string, missed []Touch, last *call.Record, seen func(*call.Record) bool) (*MissedCaller, error) {
	first, newest := &missed[len(missed)-1], &missed[0]
	m := &MissedCaller{
		Number: last.From.Number, E164: last.From.E164, Name: last.From.Name, State: StateOpen,
		Times: len(missed), FirstAt: first.Started, LastAt: newest.Started,
		HealedBy: last.HealedBy, LostAt: w.Rules.deadline(newest.Left), Calls: []MissedCall{},
	}
	if err := w.tries(past, history, first, m); err != nil {
		return nil, err
	}
	switch types := newest.Verdict.Types; {
	case types.Has(CalledBack):
		m.State = StateCalledBack
	case types.Has(CameBack):
		m.State = StateCameBack
	case types.Has(Lost):
		m.State = StateLost
	case m.Attempts > 0:
		m.State = StateAttempted
	}
	for _, t := range slices.Backward(missed[:min(len(missed), mostCalls)]) {
		r := last
		if t.ID != last.ID {
			var err error
			if r, err = past.Call(t.ID); err != nil {
				return nil, err
			}
		}
		if r != nil && (seen == nil || seen(r)) {
			m.Calls = append(m.Calls, missedCall(r))
		}
	}
	return m, nil
}

// tries fills in who tried to reach the caller, and who spoke with him.
func (w Worklist) tries(past Past, history string, first *Touch, m *MissedCaller) error {
	touches, err := past.Touches(history, first.Started.Add(-longestWait), m.LostAt+1)
	if err != nil {
		return err
	}
	if m.HealedBy != nil {
		if i := slices.IndexFunc(touches, func(t Touch) bool { return t.ID == *m.HealedBy }); i >= 0 {
			m.HealedAt = touches[i].Spoken
			in := max(0, m.HealedAt.Sub(first.Left).Milliseconds())
			m.HealedInMs = &in
			r, err := past.Call(*m.HealedBy)
			if err != nil {
				return err
			}
			m.HealedWith = spokeWith(r)
		}
	}
	for i := range touches {
		t := &touches[i]
		if t.Verdict.Types.Has(Callback) && t.Started >= first.Left && (m.HealedAt == 0 || t.Started <= m.HealedAt) {
			m.Attempts++
			m.AttemptAt = t.Started
		}
	}
	return nil
}

// spokeWith is the employee who spoke with the outside number of a call first.
func spokeWith(r *call.Record) *Asked {
	switch {
	case r == nil:
	case r.Direction == call.Outbound && r.From.Extension != nil:
		return &Asked{*r.From.Extension, r.From.Employee, r.From.Department}
	case r.Direction == call.Inbound && r.AnsweredBy != nil:
		for i := range r.Legs {
			if l := &r.Legs[i]; l.Extension != nil && *l.Extension == *r.AnsweredBy {
				return &Asked{*l.Extension, l.Employee, l.Department}
			}
		}
	}
	return nil
}

func missedCall(r *call.Record) MissedCall {
	c := MissedCall{ID: r.ID, StartedAt: r.StartedAt, EndedAt: r.EndedAt, Status: r.Status, Line: r.Line, Queues: list(r.Queues), Asked: []Asked{}}
	for i := range r.Legs {
		l := &r.Legs[i]
		if l.Role == call.RolePhone && l.Extension != nil &&
			!slices.ContainsFunc(c.Asked, func(a Asked) bool { return a.Extension == *l.Extension }) {
			c.Asked = append(c.Asked, Asked{*l.Extension, l.Employee, l.Department})
		}
	}
	return c
}
