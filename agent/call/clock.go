package call

import "time"

// clockSlack is how far the stamps of a PBX may stray without its clock having
// stepped: messages wait in queues, and some state what happened a moment ago.
const clockSlack = 3 * time.Second

// steppedAt finds the first fact of a call that shows that a clock was set while
// the call was up: the PBX's, or this machine's. Nothing else makes a PBX stamp a
// message later after its arrival than it has ever done, or earlier than what it
// said before: waiting makes a message arrive late, but not out of its time. A
// step back over less than the PBX was silent cannot be told from such a wait.
func steppedAt(facts []Event) (n uint64, stepped bool) {
	var ahead time.Duration // the most that a stamp was ahead of its arrival
	var latest, listed Moment
	first := true
	for i := range facts {
		e := &facts[i]
		switch {
		case e.At == 0 || e.Seen == 0 || e.Kind > LegSeen:
			continue // nobody's stamp, or the tracker's own
		case e.Kind == LegSeen:
			listed = e.Seen
		case e.Seen == listed:
			continue // what a list tells of the past
		}
		d := e.At.Sub(e.Seen)
		if !first && (d > ahead+clockSlack || e.At < latest.Add(-clockSlack)) {
			return e.N, true
		}
		if first || d > ahead {
			ahead = d
		}
		first, latest = false, max(latest, e.At)
	}
	return 0, false
}
