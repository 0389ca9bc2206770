package journal

import (
	"cmp"
	"slices"
	"time"

	"calljournal/agent/call"
)

// court is what verdicts depend on beside the calls.
type court struct {
	rules   Rules
	version uint32
	spam    *SpamList
	now     call.Moment
}

// judge gives the verdicts about touches, a stretch of one history in order. It
// is right for a touch if everything that began within reach of it is there, and
// the inbound call before it.
func (c *court) judge(history string, touches []Touch) []Verdict {
	verdicts := make([]Verdict, len(touches))
	for i := range verdicts {
		verdicts[i].Rules = c.version
	}
	c.firstCalls(history, touches, verdicts)
	c.talkedEnough(touches, verdicts)
	c.unwanted(history, touches, verdicts)
	c.missed(touches, verdicts)
	return verdicts
}

// firstCalls: has the number called before?
func (c *court) firstCalls(history string, touches []Touch, verdicts []Verdict) {
	if !numbered(history) {
		return
	}
	last, known := call.Moment(0), false
	for i := range touches {
		t := &touches[i]
		if t.Way != Came {
			continue
		}
		if known && (c.rules.UniqueDepth == 0 || t.Started.Sub(last) <= c.rules.UniqueDepth) {
			verdicts[i].Types |= Repeat
		} else {
			verdicts[i].Types |= Unique
		}
		last, known = t.Started, true
	}
}

func (c *court) talkedEnough(touches []Touch, verdicts []Verdict) {
	for i := range touches {
		t := &touches[i]
		if t.Spoken != 0 && time.Duration(t.TalkMs)*time.Millisecond >= c.rules.TargetMinTalk {
			verdicts[i].Types |= Target
		}
	}
}

// unwanted finds short calls and spam.
func (c *court) unwanted(history string, touches []Touch, verdicts []Verdict) {
	by, digits := c.spam.Match(history)
	var brief []call.Moment // when the brief calls of the last hour began
	for i := range touches {
		t, v := &touches[i], &verdicts[i]
		if t.Way != Came {
			continue
		}
		if t.Abandoned && t.brief(c.rules) {
			v.Types |= Short
		}
		v.SpamBy, v.SpamDigits = by, uint8(digits)
		if c.rules.SpamShortCalls > 0 && numbered(history) && t.brief(c.rules) {
			brief = append(brief, t.Started)
			for t.Started.Sub(brief[0]) >= spamSpan {
				brief = brief[1:]
			}
			if v.SpamBy == SpamNot && len(brief) >= c.rules.SpamShortCalls {
				v.SpamBy = SpamShort
			}
		}
		if v.SpamBy != SpamNot {
			v.Types |= Spam
		}
	}
}

// opening is the time in which a missed call is to be called back.
// The moment in which somebody spoke with the caller is still in it: a call may
// be answered in the moment in which it is made.
type opening struct{ from, until call.Moment } // until is no longer in it

// missed finds the missed calls, what became of them, and which calls were made
// to call back.
func (c *court) missed(touches []Touch, verdicts []Verdict) {
	var talks []*Touch
	for i := range touches {
		if touches[i].Spoken != 0 && touches[i].Way != Inside {
			talks = append(talks, &touches[i])
		}
	}
	slices.SortFunc(talks, func(a, b *Touch) int {
		return cmp.Or(cmp.Compare(a.Spoken, b.Spoken), cmp.Compare(a.ID, b.ID))
	})
	var openings []opening
	next := 0 // touches come in order of Started, so that what healed one is not before what healed the one before
	for i := range touches {
		t, v := &touches[i], &verdicts[i]
		if v.Missed = t.Missable && v.Types&(Short|Spam) == 0; !v.Missed {
			continue
		}
		deadline := c.rules.deadline(t.Left)
		open := opening{t.Left, deadline + 1}
		for next < len(talks) && talks[next].Spoken < t.Started {
			next++
		}
		switch {
		case next < len(talks) && talks[next].Spoken <= deadline:
			by := talks[next]
			v.HealedBy = by.ID
			if v.Types |= CameBack; by.Way == Went {
				v.Types ^= CameBack | CalledBack
			}
			open.until = by.Spoken + 1
		case c.now > deadline:
			v.Types |= Lost
		}
		openings = append(openings, open)
	}
	callbacks(touches, verdicts, openings)
}

// callbacks marks the calls that were made while a missed one was open.
func callbacks(touches []Touch, verdicts []Verdict, openings []opening) {
	slices.SortFunc(openings, func(a, b opening) int { return cmp.Compare(a.from, b.from) })
	until, next := call.Moment(0), 0
	for i := range touches {
		t := &touches[i]
		for next < len(openings) && openings[next].from <= t.Started {
			until = max(until, openings[next].until)
			next++
		}
		if t.Way == Went && next > 0 && t.Started < until {
			verdicts[i].Types |= Callback
		}
	}
}
