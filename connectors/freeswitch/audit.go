package freeswitch

import (
	"slices"
	"strings"
	"time"

	"calljournal/agent/call"
)

// audit is the list of the channels that are up, asked for in the middle of a
// session while events go on: the tally counts what began, but not whose end was
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

// auditLater: an audit has told all it could.
func (s *session) auditLater() { s.auditDue, s.doubtAt = s.NextAudit(), time.Time{} }

// How long a doubt waits, in times AuditConfirm: without any event, for a
// FreeSWITCH that says nothing for so long has nothing to say; and at the most, for
// a clock that was set back makes all that comes look late.
const (
	auditSilence  = 12
	auditPatience = 120
)

func (s *session) auditIsDue(now time.Time) bool {
	confirm := s.Link.AuditConfirm
	if !s.doubtAt.IsZero() && now.Sub(s.doubtAt) >= auditPatience*confirm {
		s.lead = s.c.ahead
		s.auditLater()
	}
	if s.asking || s.auditing || s.auditDue.IsZero() || now.Before(s.auditDue) {
		return false
	}
	if s.doubtAt.IsZero() {
		return true
	}
	// Events come by another connection than the list, through a queue at each end,
	// and may be minutes behind it: what the list was ahead of must be here before a
	// doubt is put to the test. The PBX's own stamps tell how far we have heard.
	heard := s.newest.Time().Add(-s.lead)
	silent := s.Link.Count.QueueBytes.Load() == 0 && now.Sub(s.Seen.Time()) >= auditSilence*confirm
	return !heard.Before(s.doubtAt.Add(confirm)) || silent
}

// compare concludes an audit.
func (s *session) compare(a *audit) {
	s.auditing = false
	if a.err != nil {
		s.auditLater() // the next one will do
		return
	}
	if loss, lost := s.Compare(a.listed, s.pbxTime(s.Seen)); lost {
		s.lost(loss)
		return
	}
	if len(s.Roll.Suspects()) > 0 {
		s.doubtAt = s.Now()
		s.auditDue = s.doubtAt.Add(s.Link.AuditConfirm)
		return
	}
	s.auditLater()
}
