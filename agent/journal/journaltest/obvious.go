package journaltest

import (
	"cmp"
	"slices"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// What follows says the same as the package journal, once more, in the plainest
// way: for each call it looks at all calls. It shares no code with what it judges, but for
// OutsideNumber and the list of spammers, which have tests of their own.

// Verdict is what a record should say.
type Verdict struct {
	Types    []string
	Missed   bool
	HealedBy string
}

// VerdictOf is what a record says.
func VerdictOf(r *call.Record) Verdict {
	v := Verdict{Types: r.Types, Missed: r.Missed}
	if r.HealedBy != nil {
		v.HealedBy = *r.HealedBy
	}
	return v
}

// Equal says that both say the same.
func (v Verdict) Equal(o Verdict) bool {
	return slices.Equal(v.Types, o.Types) && v.Missed == o.Missed && v.HealedBy == o.HealedBy
}

// Verdicts judges calls as they stand at now, by id.
func Verdicts(calls []*call.Record, r journal.Rules, spam *journal.SpamList, now call.Moment) map[string]Verdict {
	byNumber := map[string][]*call.Record{}
	for _, c := range calls {
		n := journal.OutsideNumber(c)
		if n == "" {
			n = "alone " + c.ID
		}
		byNumber[n] = append(byNumber[n], c)
	}
	out := map[string]Verdict{}
	for n, same := range byNumber {
		known := n != "alone "+same[0].ID
		missed := map[string]bool{}
		for _, a := range same {
			missed[a.ID] = obviouslyMissed(a, same, r, spam, n, known)
		}
		for _, a := range same {
			out[a.ID] = obviousOne(a, same, missed, r, spam, n, known, now)
		}
	}
	return out
}

func earlier(a, b *call.Record) bool {
	return a.StartedAt < b.StartedAt || a.StartedAt == b.StartedAt && a.ID < b.ID
}

func ms(p *int64) time.Duration {
	if p == nil {
		return -1
	}
	return time.Duration(*p) * time.Millisecond
}

func spokenWith(c *call.Record) bool { return c.Status == "answered" && c.AnsweredAt != 0 }

func obviouslyShort(a *call.Record, r journal.Rules) bool {
	return a.Direction == "inbound" && a.Status == "abandoned" && ms(a.TotalMs) >= 0 && ms(a.TotalMs) < r.ShortAbandon
}

func obviouslySpam(a *call.Record, same []*call.Record, r journal.Rules, spam *journal.SpamList, number string, known bool) bool {
	if a.Direction != "inbound" || !known {
		return false
	}
	if by, _ := spam.Match(number); by != journal.SpamNot {
		return true
	}
	brief := func(c *call.Record) bool {
		return c.Direction == "inbound" && ms(c.TotalMs) >= 0 && ms(c.TotalMs) < r.ShortAbandon
	}
	if r.SpamShortCalls == 0 || !brief(a) {
		return false
	}
	n := 0
	for _, b := range same {
		if brief(b) && (b == a || earlier(b, a)) && a.StartedAt.Sub(b.StartedAt) < time.Hour {
			n++
		}
	}
	return n >= r.SpamShortCalls
}

func obviouslyMissed(a *call.Record, same []*call.Record, r journal.Rules, spam *journal.SpamList, number string, known bool) bool {
	if a.Direction != "inbound" || obviouslyShort(a, r) || obviouslySpam(a, same, r, spam, number, known) {
		return false
	}
	return slices.Contains([]string{"abandoned", "no_answer", "busy", "rejected", "failed", "voicemail"}, a.Status)
}

// obviousHealer is the call in which the number of a was next spoken with in time.
func obviousHealer(a *call.Record, same []*call.Record, r journal.Rules) *call.Record {
	var best *call.Record
	for _, b := range same {
		if !spokenWith(b) || b.AnsweredAt < a.StartedAt || b.Direction == "internal" {
			continue
		}
		if best == nil || b.AnsweredAt < best.AnsweredAt || b.AnsweredAt == best.AnsweredAt && b.ID < best.ID {
			best = b
		}
	}
	if best == nil || best.AnsweredAt.Sub(a.EndedAt) > r.LostWindow {
		return nil
	}
	return best
}

func obviousOne(a *call.Record, same []*call.Record, missed map[string]bool, r journal.Rules, spam *journal.SpamList, number string, known bool, now call.Moment) Verdict {
	v := Verdict{Types: []string{}, Missed: missed[a.ID]}
	if a.Direction == "inbound" && known {
		t := "unique"
		for _, b := range same {
			if b.Direction == "inbound" && earlier(b, a) && (r.UniqueDepth == 0 || a.StartedAt.Sub(b.StartedAt) <= r.UniqueDepth) {
				t = "repeat"
			}
		}
		v.Types = append(v.Types, t)
	}
	if spokenWith(a) && ms(a.TalkMs) >= r.TargetMinTalk {
		v.Types = append(v.Types, "target")
	}
	if a.Direction == "outbound" {
		for _, m := range same {
			if !missed[m.ID] || a.StartedAt < m.EndedAt || a.StartedAt.Sub(m.EndedAt) > r.LostWindow {
				continue
			}
			if h := obviousHealer(m, same, r); h == nil || a.StartedAt <= h.AnsweredAt {
				v.Types = append(v.Types, "callback")
				break
			}
		}
	}
	if v.Missed {
		switch h := obviousHealer(a, same, r); {
		case h != nil && h.Direction == "outbound":
			v.Types, v.HealedBy = append(v.Types, "called_back"), h.ID
		case h != nil:
			v.Types, v.HealedBy = append(v.Types, "came_back"), h.ID
		case now.Sub(a.EndedAt) > r.LostWindow:
			v.Types = append(v.Types, "lost")
		}
	}
	if obviouslyShort(a, r) {
		v.Types = append(v.Types, "short")
	}
	if obviouslySpam(a, same, r, spam, number, known) {
		v.Types = append(v.Types, "spam")
	}
	return v
}

// ---- figures

// attendance is what an employee, or a department, had to do with a call.
type attendance struct {
	took, rang, made bool
	ring, talk       int64
}

func attended(r *call.Record, mine func(*call.Leg) bool) attendance {
	a := attendance{ring: -1}
	longest := func(legs []int64) int64 {
		if len(legs) == 0 {
			return -1
		}
		return slices.Max(legs)
	}
	var tookRing, otherRing []int64
	tookPhone := false
	for i := range r.Legs {
		l := &r.Legs[i]
		if l.Extension == nil || !mine(l) {
			continue
		}
		own := l.Role == "caller" || r.From.Extension != nil && *r.From.Extension == *l.Extension
		took := r.Status == "answered" && l.Result == "answered" && (*l.TalkMs > 0 || own ||
			r.AnsweredBy != nil && *r.AnsweredBy == *l.Extension || r.LastTalkedBy != nil && *r.LastTalkedBy == *l.Extension)
		if own {
			a.made = true
		}
		if took {
			a.took = true
			a.talk += *l.TalkMs
		}
		if l.Role == "phone" && !own {
			if l.Result != "failed" {
				a.rang = true
			}
			tookPhone = tookPhone || took
			if l.RingMs != nil && took {
				tookRing = append(tookRing, *l.RingMs)
			} else if l.RingMs != nil {
				otherRing = append(otherRing, *l.RingMs)
			}
		}
	}
	a.ring = longest(otherRing)
	if tookPhone {
		a.ring = longest(tookRing)
	}
	return a
}

// obviousRow counts calls for one group. mine is nil for groups of whole calls.
func obviousRow(calls []*call.Record, mine func(*call.Leg) bool, level time.Duration, zone *time.Location) journal.Row {
	var out journal.Row
	var wait, ring, talk []int64
	inTime, uniqueTarget := int64(0), int64(0)
	for _, r := range calls {
		a := attendance{took: r.Status == "answered", rang: true, made: true, ring: -1}
		if r.RingMs != nil {
			a.ring = *r.RingMs
		}
		if r.TalkMs != nil {
			a.talk = *r.TalkMs
		}
		if mine != nil {
			a = attended(r, mine)
			if a.rang && !a.took && !a.made && r.Status == "answered" {
				out.Elsewhere++
				continue
			}
			if !a.rang && !a.took && !a.made {
				continue
			}
		}
		is := func(name string) bool { return slices.Contains(r.Types, name) }
		count := func(n *int64, when bool) {
			if when {
				*n++
			}
		}
		in := r.Direction == "inbound"
		answered := r.Status == "answered"
		missed := r.Missed && a.rang
		left := func(where string) bool { return missed && r.AbandonedIn != nil && *r.AbandonedIn == where }
		count(&out.Calls, true)
		count(&out.Inbound, in)
		count(&out.Answered, in && answered)
		count(&out.Missed, missed)
		count(&out.AbandonedIVR, left("ivr"))
		count(&out.AbandonedQueue, left("queue"))
		count(&out.AbandonedRing, left("ring"))
		count(&out.Voicemail, missed && r.Status == "voicemail")
		count(&out.Short, is("short"))
		count(&out.Spam, is("spam"))
		count(&out.Outbound, r.Direction == "outbound")
		count(&out.OutboundAnswered, r.Direction == "outbound" && answered)
		count(&out.Internal, r.Direction == "internal")
		count(&out.InternalAnswered, r.Direction == "internal" && answered)
		count(&out.Unique, is("unique"))
		count(&out.Repeat, is("repeat"))
		count(&out.Target, in && is("target"))
		count(&uniqueTarget, in && is("target") && is("unique"))
		count(&out.Callbacks, is("callback"))
		count(&out.Reached, is("callback") && answered)
		count(&out.CalledBack, is("called_back"))
		count(&out.CameBack, is("came_back"))
		count(&out.Lost, is("lost"))
		if in && answered || missed {
			wait = append(wait, *r.WaitMs)
			count(&inTime, answered && time.Duration(*r.WaitMs)*time.Millisecond <= level)
		}
		if a.ring >= 0 {
			ring = append(ring, a.ring)
		}
		if answered && a.took {
			talk = append(talk, a.talk)
		}
		if in {
			t := r.StartedAt.Time().In(zone)
			out.Load[(int(t.Weekday())+6)%7][t.Hour()]++
		}
	}
	out.Open = out.Missed - out.CalledBack - out.CameBack - out.Lost
	out.WaitAverage, out.WaitLongest, out.WaitP90, _ = describe(wait)
	out.RingAverage, out.RingLongest, out.RingP90, _ = describe(ring)
	out.TalkAverage, out.TalkLongest, out.TalkP90, out.TalkTotal = describe(talk)
	out.ServiceLevel = journal.Ratio{Part: inTime, Of: out.Answered + out.Missed}
	out.AnswerRate = journal.Ratio{Part: out.Answered, Of: out.Inbound}
	out.TargetRate = journal.Ratio{Part: uniqueTarget, Of: out.Unique}
	out.FirstCallShare = journal.Ratio{Part: out.Unique, Of: out.Unique + out.Repeat}
	out.CalledBackShare = journal.Ratio{Part: out.CalledBack, Of: out.Missed}
	return out
}

func describe(values []int64) (average, longest, p90 *int64, total int64) {
	if len(values) == 0 {
		return nil, nil, nil, 0
	}
	slices.Sort(values)
	for _, v := range values {
		total += v
	}
	n := int64(len(values))
	a, l := (2*total+n)/(2*n), values[n-1]
	rank := n * 9 / 10
	if n*9%10 != 0 {
		rank++
	}
	p := min(Rounded(values[rank-1]), l)
	return &a, &l, &p, total
}

// Rounded cuts a duration to seven binary digits and puts it into the
// middle of what all begins with them.
func Rounded(v int64) int64 {
	step := int64(1)
	for v/step >= 128 {
		step *= 2
	}
	return v/step*step + step/2
}

// Forgive lets a longest of got that is only a bound be one, for the percentile
// too: rows of a Sheet that is Unsure.
func Forgive(got, want []journal.Row) {
	for i := range got {
		if i >= len(want) {
			return
		}
		g, w := &got[i], &want[i]
		for _, p := range []struct{ longest, p90, want **int64 }{
			{&g.WaitLongest, &g.WaitP90, &w.WaitLongest}, {&g.RingLongest, &g.RingP90, &w.RingLongest}, {&g.TalkLongest, &g.TalkP90, &w.TalkLongest},
		} {
			if *p.longest != nil && *p.want != nil && **p.longest > **p.want {
				p90 := min(**p.p90, **p.want)
				*p.longest, *p.p90 = *p.want, &p90
			}
		}
	}
}

// obviousGroups are the names of a record's groups.
func obviousGroups(r *call.Record, by journal.By) []string {
	one := func(p *string) []string {
		if p == nil {
			return nil
		}
		return []string{*p}
	}
	var names []string
	switch by {
	case journal.ByNothing:
		return []string{""}
	case journal.ByDirection:
		return []string{r.Direction}
	case journal.ByLine:
		if r.Line != nil {
			names = []string{r.Line.Number}
		}
	case journal.BySource:
		if r.Line != nil {
			names = one(r.Line.Source)
		}
	case journal.ByTrunk:
		names = one(r.Trunk)
	case journal.ByQueue:
		names = r.Queues
	case journal.ByEmployee:
		for i := range r.Legs {
			names = append(names, employeeOf(&r.Legs[i])...)
		}
	case journal.ByDepartment:
		for i := range r.Legs {
			if r.Legs[i].Extension != nil {
				names = append(names, one(r.Legs[i].Department)...)
			}
		}
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

func employeeOf(l *call.Leg) []string {
	switch {
	case l.Employee != nil:
		return []string{*l.Employee}
	case l.Extension != nil:
		return []string{*l.Extension}
	}
	return nil
}

// Rows counts all groups. layout says which step of time a call is in, in a zone.
func Rows(calls []*call.Record, by journal.By, layout string, level time.Duration, zone *time.Location) []journal.Row {
	type key struct{ at, group string }
	in := map[key][]*call.Record{}
	for _, r := range calls {
		for _, g := range obviousGroups(r, by) {
			k := key{r.StartedAt.Time().In(zone).Format(layout), g}
			in[k] = append(in[k], r)
		}
	}
	var rows []journal.Row
	for k, of := range in {
		var mine func(*call.Leg) bool
		switch by {
		case journal.ByEmployee:
			mine = func(l *call.Leg) bool { return slices.Contains(employeeOf(l), k.group) }
		case journal.ByDepartment:
			mine = func(l *call.Leg) bool { return l.Department != nil && *l.Department == k.group }
		}
		row := obviousRow(of, mine, level, zone)
		row.At, row.Group = k.at, k.group
		if row.Calls > 0 || row.Elsewhere > 0 {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b journal.Row) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Group, b.Group)) })
	return rows
}
