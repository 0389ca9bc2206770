package asterisk

import (
	"time"

	"calljournal/agent/call"
)

// start is when the PBX's process began, to the second: what tells one process
// from the next.
type start struct {
	at   call.Moment // zero: it did not say
	sure bool        // else it is the local time of a place unknown, read as ours
}

// startOf puts together what the PBX said: CoreStartupDate and -Time, which are
// in its own time zone, and the Uptime of FullyBooted, which a user without the
// class system does not get. Uptime alone is good to a second or two; with both,
// the zone is known to the quarter of an hour. sameZone says that the PBX runs on
// this machine.
func startOf(settings string, booted call.Moment, sameZone bool) start {
	local, err := time.ParseInLocation("2006-01-02 15:04:05", settings, time.Local)
	switch {
	case err != nil && booted == 0:
		return start{}
	case err != nil:
		return start{call.MomentOf(booted.Time().Truncate(time.Second)), true}
	case booted == 0:
		return start{call.MomentOf(local), sameZone}
	}
	return start{call.MomentOf(local.Add(booted.Time().Sub(local).Round(15 * time.Minute))), true}
}

// sameProcess is how far apart two starts of one process may be told. They are
// whole seconds from different sources, and Uptime is counted by a clock that
// NTP may set in between. A process that really is another within that time costs
// nothing but the word for it: the list of the channels says what is gone.
const sameProcess = 30 * time.Second

// is tells whether two starts are that of one process. If only one of them is
// sure, the zone is left out of account.
func (a start) is(b start) bool {
	apart := a.at.Sub(b.at).Abs()
	if a.sure != b.sure {
		const zones = 15 * time.Minute
		apart = min(apart%zones, zones-apart%zones)
	}
	return apart <= sameProcess
}

// moment is the start as far as it is sure, else zero.
func (a start) moment() call.Moment {
	if !a.sure {
		return 0
	}
	return a.at
}

// restarted takes note of a start and tells whether it is that of another
// process than the Connector knew.
func (c *Connector) restarted(now start) bool {
	before, gone := c.started, c.stopping
	c.stopping = false
	switch {
	case now.at == 0:
		return gone
	case before.at == 0:
		c.started = now
		return gone
	case !now.is(before):
		c.started = now
		return true
	}
	if now.sure && !before.sure {
		c.started = now
	}
	return false
}
