package call

import "time"

// clockSlack is how far the stamps of a PBX may stray without its clock having
// stepped: messages wait in queues, and some state what happened a moment ago.
const clockSlack = 3 * time.Second

// aheadOf is by how much a fact's stamp was ahead of its arrival: less than zero,
// by as much as it was late, if the clocks agree. False: nobody stamped it.
func aheadOf(e *Event) (d time.Duration, stamped bool) {
	if e.At == 0 || e.Seen == 0 || e.Kind > LegSeen {
		return 0, false
	}
	return e.At.Sub(e.Seen), true
}

// follow keeps the most that a stamp of this link was ahead of its arrival: what
// came without waiting. A call begins with it (Event.Ahead), or its first message,
// if that was late, would make the next ones look as if the clock had been set.
func (t *Tracker) follow(e *Event) {
	d, stamped := aheadOf(e)
	if stamped && e.Kind != LegSeen && (t.ahead == 0 || d > t.ahead) {
		t.ahead = d
	}
}

// steppedAt finds the first fact of a call that shows that a clock was set while
// the call was up: the PBX's, or this machine's. Nothing else makes a PBX stamp a
// message later after its arrival than it has ever done, or earlier than what it
// said before: waiting makes a message arrive late, but not out of its time. Only
// FreeSWITCH's last word on a leg, when all is done with it, has the time of its
// end. A step back over less than the PBX was silent cannot be told from a wait.
func steppedAt(facts []Event) (n uint64, stepped bool) {
	var ahead time.Duration // the most that a stamp was ahead of its arrival; zero: not known yet
	var latest, listed Moment
	for i := range facts {
		e := &facts[i]
		d, stamped := aheadOf(e)
		switch {
		case !stamped:
			continue
		case e.Kind == LegSeen:
			listed = e.Seen
		case e.Seen == listed:
			continue // what a list tells of the past
		}
		if e.Ahead != 0 { // a call begins here: the first of them, or one that was joined with it
			d = max(d, e.Ahead)
			if latest == 0 {
				ahead = e.Ahead
			}
		}
		late := e.Kind == LegEnded && e.History != nil && d < ahead-clockSlack
		if latest != 0 && (ahead != 0 && d > ahead+clockSlack || e.At < latest.Add(-clockSlack) && !late) {
			return e.N, true
		}
		if late {
			continue
		}
		if ahead == 0 || d > ahead {
			ahead = d
		}
		latest = max(latest, e.At)
	}
	return 0, false
}
