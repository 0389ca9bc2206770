package freeswitch

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"calljournal/agent/call"
)

// audit is the list of the channels that are up, asked for in the middle of a
// session while events go on: the roll counts what began, but not whose end was
// never told. Where list and facts differ twice in a row, and what was on its
// way between has come, something was lost, and a survey sets it right.
type audit struct {
	suspects []call.LegID // differed the last time: they are asked for by name
	listed   []call.LegID
	err      error
}

// ask takes the list. "show channels" may be behind, uuid_exists is not.
func (a *audit) ask(ask question) error {
	rows, err := list(ask)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.UUID != "" {
			a.listed = append(a.listed, call.LegID(r.UUID))
		}
	}
	for _, leg := range a.suspects[:min(len(a.suspects), dumpsMost)] {
		if !askable(string(leg)) {
			continue
		}
		exists, _, err := ask("api uuid_exists " + string(leg))
		if err != nil {
			return err
		}
		switch strings.TrimSpace(exists) {
		case "true":
			if !slices.Contains(a.listed, leg) {
				a.listed = append(a.listed, leg)
			}
		case "false":
			a.listed = slices.DeleteFunc(a.listed, func(l call.LegID) bool { return l == leg })
		}
	}
	return nil
}

// auditLater sets the time of the next audit: jittered, so that those of many
// links do not fall together.
func (s *session) auditLater(d time.Duration) {
	s.auditDue, s.doubtAt = s.now().Add(d-d/6+rand.N(d/3+1)), time.Time{}
}

// auditPatience times AuditConfirm is how long a doubt waits for an event that
// shows that we have heard all there was: a FreeSWITCH that says nothing for so
// long has nothing to say.
const auditPatience = 12

func (s *session) auditIsDue(now time.Time) bool {
	if s.asking || s.auditing || s.auditDue.IsZero() || now.Before(s.auditDue) {
		return false
	}
	// Events come by another connection than the list, through a queue each: what
	// the list was ahead of must be here before a doubt is put to the test.
	behind := s.seen.Time().Before(s.doubtAt.Add(s.c.cfg.AuditConfirm)) || s.c.count.QueueBytes.Load() > 0
	return s.doubtAt.IsZero() || !behind || now.Sub(s.doubtAt) >= auditPatience*s.c.cfg.AuditConfirm
}

// compare concludes an audit.
func (s *session) compare(a *audit) {
	s.auditing = false
	if a.err != nil {
		s.auditLater(s.c.cfg.AuditEvery) // the next one will do
		return
	}
	if lost := s.legs.Compare(a.listed, s.pbxTime(s.seen)); len(lost) > 0 {
		s.c.log.Warn("the PBX's list of channels is not what its events said", "session", s.number, "legs", len(lost), "leg", string(lost[0]))
		s.lost(s.legs.Loss(s.pbxTime(s.seen), s.seen))
		return
	}
	if len(s.legs.Suspects()) > 0 {
		s.doubtAt = s.now()
		s.auditDue = s.doubtAt.Add(s.c.cfg.AuditConfirm)
		return
	}
	s.auditLater(s.c.cfg.AuditEvery)
}
