package asterisk

import (
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

func (s *session) auditIsDue(now time.Time) bool {
	if s.audit != nil && now.Sub(s.audit.asked) >= s.Link.AnswerWithin {
		s.audit = nil // no answer: the next one will do
		s.auditDue = s.NextAudit()
	}
	return s.survey == nil && s.audit == nil && !s.auditDue.IsZero() && now.After(s.auditDue)
}

// markAudit is what stands before the number of an audit, in ActionIDs and in a
// recording.
const markAudit = "audit"

func (s *session) askAudit() {
	s.audits++
	s.audit = &audit{asked: s.Now(), id: markAudit + strconv.Itoa(s.audits)}
	s.Link.Record(wire.Asked, s.tag+" "+s.audit.id, time.Now())
	if s.Line != nil {
		_ = s.Line.Send(action("CoreShowChannels", s.tag+s.audit.id)) // else the line ends
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
	if loss, lost := s.Compare(a.listed, s.pbxTime(s.Seen)); lost {
		s.Send(loss)
		s.ask()
		return
	}
	if len(s.Roll.Suspects()) > 0 {
		s.auditDue = s.Now().Add(s.Link.AuditConfirm)
		return
	}
	s.auditDue = s.NextAudit()
}
