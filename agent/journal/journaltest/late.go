package journaltest

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"calljournal/agent/call"
)

// Late makes the calls of Generate as a journal gets to know of them: some later
// than others, one in twenty corrected once more, up to a quarter of the journal
// later, and a few that turn out to be part of others and are no more. A record
// that is nil is of such a call.
func Late(o Options) iter.Seq2[string, *call.Record] {
	return func(yield func(string, *call.Record) bool) {
		rnd := rand.New(rand.NewPCG(o.Seed, 0x6c617465))
		type news struct {
			at int
			id string
			r  *call.Record
		}
		var queue []news
		i := 0
		far := max(1, o.Calls/4)
		for r := range Generate(o) {
			i++
			if rnd.IntN(20) == 0 {
				queue = append(queue, news{i + rnd.IntN(far), r.ID, corrected(rnd, r)})
			}
			if rnd.IntN(200) == 0 {
				queue = append(queue, news{i + rnd.IntN(far), r.ID, nil})
			}
			if rnd.IntN(50) == 0 {
				queue = append(queue, news{i + rnd.IntN(200), r.ID, r})
			} else if !yield(r.ID, r) {
				return
			}
			for k := 0; k < len(queue); {
				n := queue[k]
				if n.at > i {
					k++
					continue
				}
				queue = slices.Delete(queue, k, k+1)
				if !yield(n.id, n.r) {
					return
				}
			}
		}
		for _, n := range queue {
			if !yield(n.id, n.r) {
				return
			}
		}
	}
}

// corrected is a later revision of a call: the tracker learned something.
func corrected(rnd *rand.Rand, was *call.Record) *call.Record {
	c := *was
	r := &c
	r.Legs = slices.Clone(was.Legs)
	if was.Line != nil {
		line := *was.Line
		r.Line = &line
	}
	shift := time.Duration(rnd.IntN(60_000)) * time.Millisecond
	switch rnd.IntN(5) {
	case 0: // it was answered, or was not
		if r.Status == call.StatusAnswered {
			r.Status, r.AnsweredAt, r.AnsweredBy, r.LastTalkedBy = call.StatusNoAnswer, 0, nil, nil
			r.TalkMs = new(int64)
		} else {
			r.Status, r.AnsweredAt = call.StatusAnswered, r.StartedAt
			talk := *r.TotalMs
			r.TalkMs = &talk
		}
	case 1: // it took longer, or shorter
		for _, p := range []**int64{&r.WaitMs, &r.TalkMs, &r.RingMs} {
			if *p != nil {
				v := **p * int64(rnd.IntN(200)) / 100
				*p = &v
			}
		}
	case 2: // it was at another time
		for _, m := range []*call.Moment{&r.StartedAt, &r.AnsweredAt, &r.EndedAt} {
			*m = m.Add(-shift)
		}
	case 3: // the number was known late
		n := fmt.Sprintf("7916%07d", rnd.IntN(10_000_000))
		r.From.Number = &n
	case 4:
		r.Status = call.StatusAbandoned
		r.AnsweredAt = 0
		total := int64(rnd.IntN(8000))
		r.TotalMs, r.EndedAt = &total, r.StartedAt.Add(time.Duration(total)*time.Millisecond)
	}
	return r
}
