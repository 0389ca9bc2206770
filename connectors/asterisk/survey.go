package asterisk

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/connectors/wire"
)

// question is an action whose answer a survey takes in.
type question struct {
	action string
	list   bool // answered by events up to one named ...Complete
	first  bool // asked once a session: what it tells does not change
	quiet  bool // a right we do without: no advice if it is denied
}

// questions in the order in which they are asked. The channels come last: what
// they say is then the newest. A channel that ends or begins between two answers
// is in one of them, and its events come afterwards.
var questions = []question{
	{action: "CoreSettings", first: true},
	{action: "CoreStatus"},
	{action: "ListCommands", first: true, quiet: true},
	{action: "Ping"},
	{action: "QueueStatus", list: true},
	{action: "ParkedCalls", list: true, quiet: true}, // needs the class call, which also allows Hangup
	{action: "BridgeList", list: true},
	{action: "Status", list: true},
	{action: "CoreShowChannels", list: true},
}

// survey is the PBX being asked how things stand: at the beginning of a session,
// and again after a loss.
type survey struct {
	asked    time.Time
	open     map[string]question // by ActionID without the session's tag
	denied   []string
	answered map[string]bool

	version  string
	settings string // CoreStartupDate and -Time
	booted   call.Moment
	clock    time.Duration // the PBX's clock less ours
	clocked  bool
	commands map[string]string

	legs    map[call.LegID]*surveyed
	order   []call.LegID
	bridges map[string]call.BridgeKind
	queues  map[call.LegID]string
	parked  map[call.LegID]string // slot

	cutOff bool // the line ended before all was answered
}

// surveyed is one channel as the lists give it.
type surveyed struct {
	live call.LiveLeg
	age  time.Duration // -1: unknown
	seen call.Moment
}

// ask begins a survey, in the place of one under way.
func (s *session) ask() {
	v := &survey{
		asked: s.Now(), open: make(map[string]question), answered: make(map[string]bool),
		legs: make(map[call.LegID]*surveyed), bridges: make(map[string]call.BridgeKind),
		queues: make(map[call.LegID]string), parked: make(map[call.LegID]string),
	}
	if s.survey != nil {
		v.booted = s.survey.booted
	}
	s.survey, s.audit = v, nil
	s.surveys++
	s.Link.Record(wire.Asked, s.tag+" "+strconv.Itoa(s.surveys), time.Now())
	for i, q := range questions {
		if q.first && s.up {
			continue
		}
		id := strconv.Itoa(s.surveys) + "." + strconv.Itoa(i)
		v.open[id] = q
		if s.Line != nil && s.Line.Send(action(q.action, s.tag+id)) != nil {
			return // the line ends, and with it the survey
		}
	}
}

// answer takes in one message of an answer and tells whether it was the last.
func (v *survey) answer(id string, m map[string]string, seen call.Moment) bool {
	q, ok := v.open[id]
	if !ok {
		return false // of a survey that was given up
	}
	if event := m["Event"]; event != "" {
		if !strings.HasSuffix(strings.ToLower(event), "complete") {
			v.item(strings.ToLower(event), message(m), seen)
			return false
		}
	} else if strings.EqualFold(m["Response"], "Error") {
		if strings.Contains(strings.ToLower(m["Message"]), "permission denied") && !q.quiet {
			v.denied = append(v.denied, q.action)
		}
		delete(v.open, id)
		return len(v.open) == 0
	} else {
		v.single(q.action, m, seen)
		if q.list {
			return false
		}
	}
	v.answered[q.action] = true
	delete(v.open, id)
	return len(v.open) == 0
}

// single takes in an answer of one message.
func (v *survey) single(action string, m map[string]string, seen call.Moment) {
	switch action {
	case "CoreSettings":
		v.version = m["AsteriskVersion"]
	case "CoreStatus":
		v.settings = m["CoreStartupDate"] + " " + m["CoreStartupTime"]
	case "Ping":
		if at := message(m).stamp(); at != 0 {
			v.clock, v.clocked = at.Sub(seen), true
		}
	case "ListCommands":
		v.commands = m
	}
}

// item takes in one event of a list.
func (v *survey) item(event string, h message, seen call.Moment) {
	switch event {
	case "coreshowchannel":
		if x := v.leg(h, seen); x != nil {
			x.live.Bridge = h.get("BridgeId")
			x.application(h.get("Application"), h.get("ApplicationData"))
			if x.age < 0 {
				x.age = clockAge(h["Duration"])
			}
		}
	case "status":
		if x := v.leg(h, seen); x != nil {
			if x.live.Bridge == "" {
				x.live.Bridge = h.get("BridgeID")
			}
			if dialled := h.get("DNID"); dialled != "" {
				x.live.Dialled = dialled // Exten is where the dialplan has got to
			}
			x.application(h.get("Application"), h.get("Data"))
			if n, err := strconv.Atoi(h["Seconds"]); err == nil && n >= 0 && n < 1<<30 {
				x.age, x.seen = time.Duration(n)*time.Second, seen
			}
		}
	case "bridgelistitem":
		v.bridges[h.get("BridgeUniqueid")] = bridgeKind(h)
	case "queueentry":
		v.queues[h.id("Uniqueid")] = h.get("Queue")
	case "parkedcall":
		v.parked[h.id("ParkeeUniqueid")] = h.get("ParkingSpace")
	}
}

// leg finds or begins the channel of a list's item.
func (v *survey) leg(h message, seen call.Moment) *surveyed {
	e := h.snapshot("")
	if e.Leg == "" {
		return nil
	}
	if x := v.legs[e.Leg]; x != nil {
		// The later list knows better, but for the number dialled.
		x.live.State, x.live.Channel = e.State, e.Channel
		return x
	}
	x := &surveyed{age: -1, seen: seen, live: call.LiveLeg{
		Leg: e.Leg, Link: e.Link, Channel: e.Channel, Endpoint: e.Endpoint, Local: e.Local, State: e.State,
		Number: e.Number, CallerName: e.CallerName, Connected: h.get("ConnectedLineNum"),
		Dialled: e.Dialled, Context: e.Context, Account: e.Account,
	}}
	v.legs[e.Leg] = x
	v.order = append(v.order, e.Leg)
	return x
}

// application says what the channel is doing in the dialplan.
func (x *surveyed) application(name, data string) {
	first, _, _ := strings.Cut(data, ",")
	switch strings.ToLower(name) {
	case "":
		return
	case "queue":
		x.live.App, x.live.Data = call.AppQueue, first
	case "dial":
		x.live.App, x.live.Data = call.AppDial, first
	case "park", "parkandannounce":
		x.live.App, x.live.Data = call.AppPark, ""
	case "appdial", "appdial2", "appqueue", "bridge":
		x.live.App, x.live.Data = call.AppNone, "" // the far end of somebody's Dial
	default:
		facts := message{"Application": name, "AppData": data}.newExten()
		x.live.App, x.live.Data = call.AppOther, ""
		if len(facts) == 1 {
			x.live.App, x.live.Data = facts[0].App, facts[0].Data
		}
	}
}

// clockAge reads a Duration, HH:MM:SS; -1 if it is none.
func clockAge(text string) time.Duration {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return -1
	}
	total := 0
	for _, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || n > 1<<24 {
			return -1
		}
		total = total*60 + n
	}
	return time.Duration(total) * time.Second
}

// live gives the channels that are up. clock translates our time into the
// PBX's.
func (v *survey) live(clock func(call.Moment) call.Moment) []call.LiveLeg {
	legs := make([]call.LiveLeg, 0, len(v.order))
	halves := make(map[string]call.LegID) // Local channels by name, with ;1 or ;2
	for _, id := range v.order {
		if x := v.legs[id]; x.live.Local {
			halves[x.live.Channel] = id
		}
	}
	for _, id := range v.order {
		x := v.legs[id]
		l := x.live
		l.Created = created(id, x.age, clock(x.seen))
		l.BridgeKind = v.bridges[l.Bridge]
		if queue := v.queues[id]; queue != "" {
			l.Queue = queue
			if l.App == call.AppNone || l.App == call.AppOther {
				l.App, l.Data = call.AppQueue, queue
			}
		}
		if slot, ok := v.parked[id]; ok {
			l.App, l.Data = call.AppPark, slot
		}
		if l.Local && len(l.Channel) > 2 {
			stem, half := l.Channel[:len(l.Channel)-1], l.Channel[len(l.Channel)-1:]
			l.Peer = halves[stem+map[string]string{"1": "2", "2": "1"}[half]]
			if l.Peer == id {
				l.Peer = ""
			}
		}
		legs = append(legs, l)
	}
	return legs
}

// created is when a channel began. Its age is in whole seconds by a clock that
// has been read some time ago; its Uniqueid mostly begins with the second in
// which it was made, but can be anything that an Originate asked for. Where they
// agree, the Uniqueid is what Newchannel would have said.
func created(id call.LegID, age time.Duration, now call.Moment) call.Moment {
	text := string(id)
	if i := strings.LastIndexByte(text, '-'); i >= 0 {
		text = text[i+1:] // systemname-epoch.serial
	}
	whole, _, _ := strings.Cut(text, ".")
	epoch, err := strconv.ParseInt(whole, 10, 64)
	stamp := call.Moment(0)
	if err == nil && epoch > 1e9 && epoch < 1<<33 {
		stamp = call.Moment(epoch * 1e6)
	}
	if age < 0 {
		if stamp > now.Add(2*time.Second) {
			return 0
		}
		return stamp
	}
	began := now.Add(-age)
	if stamp != 0 && began.Sub(stamp).Abs() <= 3*time.Second {
		return stamp
	}
	return began
}

// conclude ends the survey under way with what it has, states how things stand,
// and then the facts that came meanwhile.
func (s *session) conclude() {
	v := s.survey
	s.survey = nil
	s.auditDue = s.NextAudit()
	s.advise(v)
	if v.clocked {
		s.ahead = v.clock
	}
	at := s.pbxTime(s.Seen)
	began := startOf(v.settings, v.booted, wire.Loopback(s.Link.Address))
	restarted := s.c.restarted(began)
	if began.at != 0 {
		began = s.c.started // the same process is the same moment
	}
	if !s.up {
		s.up = true
		if v.version != "" {
			s.Link.Know("Asterisk " + v.version)
		}
		s.Send(call.Event{Kind: call.LinkUp, At: at, Seen: s.Seen, From: began.moment(), Data: s.Link.Stats().PBXVersion})
	}
	if restarted {
		s.Send(call.Event{Kind: call.PBXStarted, At: at, Seen: s.Seen, From: began.moment()})
	}
	gaps, held := s.gaps, s.held
	s.gaps, s.held = nil, nil
	for _, e := range gaps {
		s.Send(e)
	}
	// Without one whole list of the channels nothing can be said of them: an
	// empty snapshot would mean that no call is up.
	if v.answered["CoreShowChannels"] || v.answered["Status"] {
		s.Send(call.Event{Kind: call.Snapshot, At: at, Seen: s.Seen, Live: v.live(s.pbxTime)})
		s.again, s.pause = time.Time{}, 0
	} else if len(v.open) > 0 && !v.cutOff {
		// Too busy to answer, not unwilling: ask again, ever more rarely, for
		// facts are held up while it is asked.
		s.pause = max(2*s.pause, 6*s.Link.AnswerWithin)
		s.again = s.Now().Add(s.pause)
	}
	for _, e := range held {
		s.Send(e)
	}
}

// dangerous are actions that nobody who only listens must be allowed, one or two
// of each class of manager.conf's write.
var dangerous = []string{"Originate", "Command", "UpdateConfig", "ModuleLoad", "DBPut", "Setvar", "Redirect", "Hangup", "AGI"}

// advise keeps the standing warnings about the user's rights.
func (s *session) advise(v *survey) {
	if v.cutOff {
		return
	}
	if len(v.denied) > 0 {
		slices.Sort(v.denied)
		s.Link.Warn(warnDenied, fmt.Sprintf("user %q may not ask %s, so calls that are up at a connect, or a restart of the PBX, may not be recognised: set write = reporting for it in manager.conf",
			s.Link.Username, strings.Join(v.denied, ", ")))
	} else {
		s.Link.Warn(warnDenied, "")
	}
	var silent []string
	for _, q := range v.open {
		silent = append(silent, q.action)
	}
	if slices.Sort(silent); len(silent) > 0 {
		s.Link.Warn(warnSilent, fmt.Sprintf("the PBX did not answer %s within %v", strings.Join(silent, ", "), s.Link.AnswerWithin))
	} else {
		s.Link.Warn(warnSilent, "")
	}
	if v.commands == nil {
		return
	}
	var may []string
	for _, name := range dangerous {
		if _, ok := v.commands[name]; ok {
			may = append(may, name)
		}
	}
	if len(may) > 0 {
		s.Link.Warn(warnRights, fmt.Sprintf("user %q may also %s: it needs nothing but read = system,call,agent,dialplan and write = reporting in manager.conf",
			s.Link.Username, strings.Join(may, ", ")))
	} else {
		s.Link.Warn(warnRights, "")
	}
}

// needed is what the rules need, and what a session itself does.
func needed() wire.Needed {
	channel := []string{"Channel", "ChannelState", "CallerIDNum", "CallerIDName", "ConnectedLineNum", "AccountCode", "Context", "Exten", "Uniqueid", "Linkedid", "Application"}
	return Needed().Merge(wire.Needed{
		"fullybooted":              {Headers: []string{"Uptime"}},
		"shutdown":                 {},
		"coreshowchannel":          {Headers: append([]string{"ApplicationData", "Duration", "BridgeId"}, channel...)},
		"coreshowchannelscomplete": {},
		"status":                   {Headers: append([]string{"Data", "DNID", "Seconds", "BridgeID"}, channel...)},
		"statuscomplete":           {},
		"bridgelistitem":           {Headers: []string{"BridgeUniqueid", "BridgeType", "BridgeTechnology", "BridgeCreator"}},
		"bridgelistcomplete":       {},
		"queueentry":               {Headers: []string{"Queue", "Uniqueid"}},
		"queuestatuscomplete":      {},
		"parkedcall":               {Headers: []string{"ParkeeUniqueid", "ParkingSpace"}},
		"parkedcallscomplete":      {},
	})
}
