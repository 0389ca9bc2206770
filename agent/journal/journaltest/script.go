package journaltest

import (
	"fmt"
	"slices"
	"time"

	"calljournal/agent/call"
)

// script plays one call: it moves along its time and notes what happens.
type script struct {
	*generator
	r         *call.Record
	start, at time.Time
	answered  time.Time
	legs      int
}

func ptr[T any](v T) *T { return &v }

func (s *script) record() *call.Record {
	pbx, kind := "main", "asterisk"
	uid := fmt.Sprintf("%d.%d", s.start.Unix(), s.n)
	if s.one(3) {
		pbx, kind = "branch", "freeswitch"
		uid = fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", s.rnd.Uint32(), s.rnd.IntN(1<<16), s.rnd.IntN(1<<12), s.rnd.IntN(1<<12), s.n)
	}
	return &call.Record{
		ID: pbx + ":" + uid, Rev: 1, Agent: "office-1", PBX: pbx, PBXKind: kind, PBXIDs: []string{uid},
		Origin: call.OriginDialled, StartedAt: moment(s.start), Quality: call.QualityComplete,
		Queues: []string{}, Legs: []call.Leg{}, Transfers: []call.Transfer{}, Timeline: []call.Span{},
		Recordings: []call.Recording{}, Types: []string{}, Tags: []string{}, Doubts: []string{},
	}
}

// pass lets time go by with the caller in one state.
func (s *script) pass(kind string, ms int64, party string) {
	from := s.at
	s.at = s.at.Add(time.Duration(ms) * time.Millisecond)
	if ms == 0 {
		return
	}
	span := call.Span{Kind: kind, From: moment(from), To: moment(s.at)}
	if party != "" {
		span.Party = &party
	}
	s.r.Timeline = append(s.r.Timeline, span)
}

// leg begins a leg now.
func (s *script) leg(role, number, ext string) *call.Leg {
	s.legs++
	l := call.Leg{Channel: fmt.Sprintf("PJSIP/%s-%08x", role, s.n*8+s.legs), Role: role, StartedAt: moment(s.at), Number: ptr(number), TalkMs: ptr(int64(0)), Result: "no_answer"}
	if ext != "" {
		l.Extension = &ext
	}
	s.r.Legs = append(s.r.Legs, l)
	return &s.r.Legs[len(s.r.Legs)-1]
}

// ring rings phones for ms and says how it ended for each but taken.
func (s *script) ring(exts []string, ms int64, queue, result string, taken int) {
	first := len(s.r.Legs)
	for _, x := range exts {
		l := s.leg(call.RolePhone, x, x)
		l.RingingAt = moment(s.at)
		if queue != "" {
			l.Queue = ptr(queue)
		}
	}
	if s.r.RingingAt == 0 {
		s.r.RingingAt = moment(s.at)
	}
	if queue != "" {
		s.pass("queue", ms, queue)
	} else {
		s.pass("ring", ms, exts[0])
	}
	for i := range exts {
		l := &s.r.Legs[first+i]
		l.RingMs, l.EndedAt, l.Result = ptr(ms), moment(s.at), result
		if i == taken {
			l.AnsweredAt, l.Result = moment(s.at), "answered"
		}
	}
}

// talk connects the caller with the last taken phone, or trunk.
func (s *script) talk(l *call.Leg, who string, ms int64) {
	if s.answered.IsZero() {
		s.answered = s.at
		s.r.AnsweredAt = moment(s.at)
		s.r.AnsweredBy = &who
		s.r.RingMs = l.RingMs
	}
	s.r.LastTalkedBy = &who
	l.TalkMs = ptr(*l.TalkMs + ms)
	*s.r.Legs[0].TalkMs += ms
	if hold := ms / 5; ms > 20_000 && s.one(6) {
		s.pass("talk", ms-2*hold, who)
		s.pass("hold", hold, who)
		s.pass("talk", hold, who)
	} else {
		s.pass("talk", ms, who)
	}
	l.EndedAt = moment(s.at)
}

// end closes the record and adds its times up.
func (s *script) end(status, endedBy string) {
	r := s.r
	r.Status, r.EndedBy, r.EndedAt = status, &endedBy, moment(s.at)
	r.Legs[0].EndedAt, r.Legs[0].Result = r.EndedAt, "answered"
	until := r.EndedAt
	if r.AnsweredAt != 0 {
		until = r.AnsweredAt
	}
	sum := map[string]int64{}
	for _, p := range r.Timeline {
		ms := p.To.Sub(p.From).Milliseconds()
		sum[p.Kind] += ms
		if p.From < until {
			sum["before "+p.Kind] += ms
		}
	}
	total := r.EndedAt.Sub(r.StartedAt).Milliseconds()
	talk := sum["talk"] + sum["hold"]
	r.TotalMs, r.TalkMs, r.HoldMs, r.TotalWaitMs = ptr(total), ptr(talk), ptr(sum["hold"]), ptr(total-talk)
	r.WaitMs = ptr(until.Sub(r.StartedAt).Milliseconds())
	r.IVRMs, r.QueueMs = ptr(sum["before ivr"]), ptr(sum["before queue"])
	if r.AnsweredAt == 0 {
		r.RingMs = nil
		if r.RingingAt != 0 {
			r.RingMs = ptr(sum["ring"] + sum["queue"])
		}
	}
	r.Cause = &call.Cause{Q850: 16, Text: "Normal Clearing"}
	if r.Direction == call.Inbound {
		switch status {
		case call.StatusAbandoned, call.StatusNoAnswer, call.StatusBusy, call.StatusRejected, call.StatusFailed, call.StatusVoicemail:
			r.Missed = true
		}
	}
}

func (s *script) someone() string { return extension(s.rnd.IntN(employees)) }

func (s *script) party(number string) call.Party {
	p := call.Party{Number: ptr(s.written(number))}
	if s.one(5) {
		p.Name = ptr(firstNames[s.rnd.IntN(len(firstNames))])
	}
	if s.o.Hostile > 0 && s.one(s.o.Hostile) {
		p.Name = ptr(s.generator.hostile[s.rnd.IntN(len(s.generator.hostile))])
		if s.one(3) {
			p.Number = ptr(s.generator.hostile[s.rnd.IntN(len(s.generator.hostile))])
		}
	}
	return p
}

func (s *script) inbound(number string) {
	r := s.r
	r.Direction = call.Inbound
	r.From = s.party(number)
	if s.one(40) {
		r.From = call.Party{}
		if s.one(2) {
			r.From.Number = ptr("anonymous")
		}
	}
	line := lineNumber(s.rnd.IntN(7)) // one of them is not configured
	r.To = call.Party{Number: &line}
	r.Line = &call.Line{Number: line}
	r.Trunk = ptr([]string{"trunk-provider", "trunk-second"}[s.rnd.IntN(2)])
	caller := ""
	if r.From.Number != nil {
		caller = *r.From.Number
	}
	s.leg(call.RoleCaller, caller, "")
	s.pass("wait", s.rnd.Int64N(300), "")
	if s.percent(45) {
		r.PBXAnsweredAt = moment(s.at)
		s.pass("ivr", 1+s.ms(9000), "")
		switch n := s.rnd.IntN(100); {
		case n < 5:
			r.AbandonedIn = ptr("ivr")
			s.end(call.StatusAbandoned, "caller")
			s.missed(number)
			return
		case n < 9:
			s.end(call.StatusSelfService, "pbx")
			return
		case n < 10:
			r.Fax = &call.FaxEntry{Direction: "received", Pages: ptr(int64(1 + s.rnd.IntN(4))), Result: ptr("success")}
			s.end(call.StatusFax, "caller")
			return
		}
	}
	switch n := s.rnd.IntN(100); {
	case n < 45:
		s.queue(number)
	case n < 75:
		s.group(number, 2+s.rnd.IntN(4))
	default:
		s.group(number, 1)
	}
}

// missed plans what follows, unless it was too short to be noticed.
func (s *script) missed(number string) { s.follow(number, s.at) }

// queue rings members one after the other until one answers.
func (s *script) queue(number string) {
	q := queueNames[s.rnd.IntN(len(queueNames))]
	s.r.Queues = []string{q}
	s.pass("queue", s.ms(20_000), q)
	for round := 0; ; round++ {
		switch n := s.rnd.IntN(100); {
		case n < 60:
			s.ring([]string{s.someone()}, s.ms(6000), q, "", 0)
			s.conversation()
			return
		case n < 70 || round == 5:
			s.r.AbandonedIn = ptr("queue")
			s.ring([]string{s.someone()}, s.ms(5000), q, "cancelled", -1)
			s.end(call.StatusAbandoned, "caller")
			s.missed(number)
			return
		case n < 75:
			s.pass("queue", s.ms(10_000), q)
			s.end(call.StatusNoAnswer, "pbx")
			s.missed(number)
			return
		}
		s.ring([]string{s.someone()}, 15_000, q, "no_answer", -1)
	}
}

// group rings several phones at once, or one.
func (s *script) group(number string, phones int) {
	var exts []string
	for len(exts) < phones {
		if x := s.someone(); !slices.Contains(exts, x) {
			exts = append(exts, x)
		}
	}
	switch n := s.rnd.IntN(100); {
	case n < 68:
		taken := s.rnd.IntN(len(exts))
		s.ring(exts, s.ms(7000), "", "answered_elsewhere", taken)
		s.conversation()
		return
	case n < 84:
		s.ring(exts, s.ms(9000), "", "cancelled", -1)
		s.r.AbandonedIn = ptr("ring")
		s.end(call.StatusAbandoned, "caller")
	case n < 90:
		s.ring(exts, 30_000, "", "no_answer", -1)
		s.end(call.StatusNoAnswer, "pbx")
	case n < 94:
		s.ring(exts, 20_000, "", "no_answer", -1)
		s.pass("voicemail", s.ms(15_000), exts[0])
		s.r.Voicemail = &call.VoicemailEntry{Mailbox: exts[0]}
		s.end(call.StatusVoicemail, "caller")
	case n < 97:
		for _, x := range exts {
			s.leg(call.RolePhone, x, x).Result = "busy"
		}
		s.pass("wait", s.ms(800), "")
		s.end(call.StatusBusy, "pbx")
	default:
		for _, x := range exts {
			s.leg(call.RolePhone, x, x).Result = "failed"
		}
		s.pass("wait", s.ms(400), "")
		s.end(call.StatusFailed, "pbx")
	}
	s.missed(number)
}

// conversation goes on from the phone that was taken, to the end of the call.
func (s *script) conversation() {
	var taken *call.Leg
	for i := range s.r.Legs {
		if l := &s.r.Legs[i]; l.Role == call.RolePhone && l.Result == "answered" {
			taken = l
		}
	}
	s.talk(taken, *taken.Extension, s.ms(95_000))
	if s.percent(8) {
		s.transfer(*taken.Extension)
	}
	if s.percent(30) {
		s.r.Recordings = []call.Recording{{File: ptr(fmt.Sprintf("%d.wav", s.n)), StartedAt: s.r.AnsweredAt}}
	}
	by := "caller"
	if s.one(2) {
		by = "callee"
	}
	s.end(call.StatusAnswered, by)
}

// transfer sends the caller on to a colleague, who mostly answers.
func (s *script) transfer(by string) {
	to := s.someone()
	if to == by {
		return
	}
	t := call.Transfer{Type: "blind", By: &by, To: &to, At: moment(s.at), Answered: ptr(false)}
	if s.percent(85) {
		s.ring([]string{to}, s.ms(5000), "", "", 0)
		s.talk(&s.r.Legs[len(s.r.Legs)-1], to, s.ms(70_000))
		t.Answered = ptr(true)
	} else {
		s.ring([]string{to}, s.ms(9000), "", "cancelled", -1)
	}
	s.r.Transfers = append(s.r.Transfers, t)
}

func (s *script) outbound(number string, originated bool) {
	r, who := s.r, s.someone()
	r.Direction = call.Outbound
	if originated {
		r.Origin = call.OriginOriginated
	}
	r.From = call.Party{Number: &who, Extension: &who}
	r.To = s.party(number)
	r.Trunk = ptr("trunk-provider")
	s.leg(call.RoleCaller, who, who)
	s.pass("wait", s.rnd.Int64N(900), "")
	l := s.leg(call.RoleTrunk, *r.To.Number, "")
	l.RingingAt = moment(s.at)
	r.RingingAt = l.RingingAt
	ring := s.ms(11_000)
	s.pass("ring", ring, *r.To.Number)
	l.RingMs, l.EndedAt = &ring, moment(s.at)
	switch n := s.rnd.IntN(100); {
	case n < 64:
		l.AnsweredAt, l.Result = moment(s.at), "answered"
		s.talk(l, *r.To.Number, s.ms(80_000))
		s.end(call.StatusAnswered, "callee")
	case n < 80:
		l.Result = "cancelled"
		r.AbandonedIn = ptr("ring")
		s.end(call.StatusAbandoned, "caller")
	case n < 90:
		s.end(call.StatusNoAnswer, "pbx")
	case n < 96:
		l.Result = "busy"
		s.end(call.StatusBusy, "pbx")
	default:
		l.Result = "failed"
		s.end(call.StatusFailed, "pbx")
	}
}

func (s *script) internal() {
	r, from, to := s.r, s.someone(), s.someone()
	if from == to {
		to = extension(employees)
	}
	r.Direction = call.Internal
	r.From, r.To = call.Party{Number: &from, Extension: &from}, call.Party{Number: &to, Extension: &to}
	s.leg(call.RoleCaller, from, from)
	s.pass("wait", s.rnd.Int64N(200), "")
	if s.percent(70) {
		s.ring([]string{to}, s.ms(5000), "", "", 0)
		s.talk(&r.Legs[1], to, s.ms(40_000))
		s.end(call.StatusAnswered, "caller")
		return
	}
	s.ring([]string{to}, s.ms(12_000), "", "cancelled", -1)
	r.AbandonedIn = ptr("ring")
	s.end(call.StatusAbandoned, "caller")
}
