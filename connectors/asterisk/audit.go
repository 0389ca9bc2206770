package asterisk

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/wire"
)

// audit is the list of the channels that are up, asked for in the middle of a
// session: a message that the PBX never sent us is missed by nobody else. Facts
// go on meanwhile. Where list and facts differ twice in a row, something was
// lost, and a survey sets it right.
type audit struct {
	asked  time.Time
	id     string
	listed []call.LegID
	denied bool
}

// auditLater sets the time of the next audit: jittered, so that those of many
// links do not fall together.
func (s *session) auditLater(d time.Duration) {
	s.auditDue = s.now().Add(d - d/6 + rand.N(d/3+1))
}

func (s *session) auditIsDue(now time.Time) bool {
	if s.audit != nil && now.Sub(s.audit.asked) >= s.c.cfg.AnswerWithin {
		s.audit = nil // no answer: the next one will do
		s.auditLater(s.c.cfg.AuditEvery)
	}
	return s.survey == nil && s.audit == nil && !s.auditDue.IsZero() && now.After(s.auditDue)
}

// markAudit is what stands before the number of an audit, in ActionIDs and in a
// recording.
const markAudit = "audit"

func (s *session) askAudit() {
	s.audits++
	s.audit = &audit{asked: s.now(), id: markAudit + strconv.Itoa(s.audits)}
	s.c.record(wire.Asked, s.tag+" "+s.audit.id)
	if s.line != nil {
		_ = s.line.Send(action("CoreShowChannels", s.tag+s.audit.id)) // else the line ends
	}
}

// answer takes in one message of the answer and tells whether it was the last.
func (a *audit) answer(id string, m map[string]string) bool {
	if id != a.id {
		return false
	}
	switch strings.ToLower(m["Event"]) {
	case "coreshowchannel":
		if leg := message(m).id("Uniqueid"); leg != "" {
			a.listed = append(a.listed, leg)
		}
	case "coreshowchannelscomplete":
		return true
	case "":
		a.denied = strings.EqualFold(m["Response"], "Error")
		return a.denied
	}
	return false
}

// compare concludes an audit.
func (s *session) compare() {
	a := s.audit
	s.audit = nil
	if a.denied {
		s.auditDue = time.Time{} // nor will it be allowed later
		return
	}
	if lost := s.roll.Compare(a.listed, s.pbxTime(s.seen)); len(lost) > 0 {
		s.c.log.Warn("the PBX's list of channels is not what its events said", "session", s.number, "legs", len(lost), "leg", string(lost[0]))
		s.send(s.roll.Loss(s.pbxTime(s.seen), s.seen))
		s.ask()
		return
	}
	if len(s.roll.Suspects()) > 0 {
		s.auditDue = s.now().Add(s.c.cfg.AuditConfirm)
		return
	}
	s.auditLater(s.c.cfg.AuditEvery)
}
