package replay

import (
	"bufio"
	"bytes"
	"crypto/md5" // the manager interface's challenge knows nothing better
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxLine bounds what a client may send in one line, as Asterisk does.
const maxLine = 8 << 10

// ami is the manager interface of Asterisk.
type ami struct {
	server   *Server
	bootedAt time.Time
	channels []*amiChannel
	bridges  []*amiBridge
	queued   []*amiQueued
	parked   []headers
	members  []headers // QueueParams and QueueMember as recorded
}

// headers are those of one message, the first of each name.
type headers map[string]string

type amiChannel struct {
	id              string
	snapshot        headers // of the last message that named it whole
	app, data       string
	bridge, dialled string
	since           time.Duration
}

type amiBridge struct {
	id       string
	snapshot headers
	channels []string
}

type amiQueued struct {
	id, queue string
	join      headers
	since     time.Duration
}

// amiSession is what is known of one client.
type amiSession struct {
	challenge  string
	user       bool
	subscribed bool
	mask       []string // empty: every class
}

func newAMI(s *Server) *ami { return &ami{server: s, bootedAt: s.booted()} }

// pair is one header to be written.
type pair struct{ name, value string }

func block(pairs ...pair) []byte {
	var b []byte
	for _, p := range pairs {
		b = append(append(append(append(b, p.name...), ": "...), p.value...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func parseAMI(raw []byte) headers {
	h := headers{}
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if _, known := h[string(name)]; ok && !known {
			h[string(name)] = strings.TrimPrefix(string(value), " ")
		}
	}
	return h
}

var amiAnswers = []string{"CoreShowChannel", "CoreShowChannelsComplete", "StatusComplete", "QueueParams", "QueueMember", "QueueEntry",
	"QueueStatusComplete", "BridgeListItem", "BridgeListComplete", "ParkedCallsComplete", "FullyBooted"}

func (a *ami) sort(m Message) messageKind {
	h := parseAMI(m.Raw)
	switch {
	case h["Event"] == "" && h["Response"] != "":
		return isNoise
	case slices.Contains(amiAnswers, h["Event"]) || strings.HasPrefix(h["ActionID"], "rec-"):
		return isAnswer
	}
	return isEvent
}

// ---- the state of the PBX, rebuilt from its own events

func (a *ami) begin(t *playing, part int) {
	var lists []headers
	for _, m := range t.answers[part] {
		lists = append(lists, parseAMI(t.rewrite.AMI(m.Raw)))
	}
	is := func(event string) func(headers) bool { return func(h headers) bool { return h["Event"] == event } }
	var members []headers
	dialled := map[string]string{}
	for _, h := range lists {
		switch h["Event"] {
		case "QueueParams", "QueueMember":
			members = append(members, h)
		case "Status":
			dialled[h["Uniqueid"]] = h["DNID"]
		case "FullyBooted":
			if up, err := strconv.Atoi(h["Uptime"]); err == nil && !a.server.options.Anew {
				a.bootedAt = a.server.clock().Add(-time.Duration(up) * time.Second)
			}
		}
	}
	if members != nil {
		a.members = members
	}
	listed := slices.ContainsFunc(lists, is("CoreShowChannelsComplete"))
	if !listed && part == 0 {
		return
	}
	a.channels, a.bridges = nil, nil // what the list does not name is gone; without one it is another process
	for _, h := range lists {
		if h["Event"] != "CoreShowChannel" {
			continue
		}
		c := &amiChannel{id: h["Uniqueid"], snapshot: h, app: h["Application"], data: h["ApplicationData"], bridge: h["BridgeId"],
			dialled: dialled[h["Uniqueid"]], since: a.server.now() - clockDuration(h["Duration"])}
		a.channels = append(a.channels, c)
		if c.bridge != "" {
			b := a.bridge(c.bridge)
			b.channels = append(b.channels, c.id)
		}
	}
}

// clockDuration reads "HH:MM:SS".
func clockDuration(s string) time.Duration {
	var h, m, sec int
	if n, _ := fmt.Sscanf(s, "%d:%d:%d", &h, &m, &sec); n != 3 {
		return 0
	}
	return time.Duration(h*3600+m*60+sec) * time.Second
}

func (a *ami) channel(id string) *amiChannel {
	i := slices.IndexFunc(a.channels, func(c *amiChannel) bool { return c.id == id })
	if i < 0 {
		return nil
	}
	return a.channels[i]
}

func (a *ami) bridge(id string) *amiBridge {
	if i := slices.IndexFunc(a.bridges, func(b *amiBridge) bool { return b.id == id }); i >= 0 {
		return a.bridges[i]
	}
	b := &amiBridge{id: id, snapshot: headers{"BridgeType": "basic", "BridgeTechnology": "simple_bridge", "BridgeCreator": "<unknown>", "BridgeName": "<unknown>"}}
	a.bridges = append(a.bridges, b)
	return b
}

func without(list []string, x string) []string {
	return slices.DeleteFunc(list, func(y string) bool { return y == x })
}

func (a *ami) remember(h headers, at time.Duration) {
	id := h["Uniqueid"]
	if h["Event"] == "Newchannel" {
		c := &amiChannel{id: id, since: at}
		if h["ChannelState"] == "4" {
			c.dialled = h["Exten"] // what a caller dialled, for good
		}
		a.channels = append(a.channels, c)
	}
	c := a.channel(id)
	if c != nil && h["Channel"] != "" && h["ChannelState"] != "" {
		c.snapshot = h
	}
	switch h["Event"] {
	case "Newexten":
		if c != nil {
			c.app, c.data = h["Application"], h["AppData"]
		}
	case "Rename":
		if c != nil && c.snapshot != nil {
			c.snapshot = maps.Clone(c.snapshot)
			c.snapshot["Channel"] = h["Newname"]
		}
	case "Hangup":
		a.channels = slices.DeleteFunc(a.channels, func(x *amiChannel) bool { return x.id == id })
		a.queued = slices.DeleteFunc(a.queued, func(q *amiQueued) bool { return q.id == id })
		a.unpark(id)
		for _, b := range a.bridges {
			b.channels = without(b.channels, id)
		}
	case "BridgeCreate", "BridgeEnter", "BridgeLeave":
		b := a.bridge(h["BridgeUniqueid"])
		b.snapshot = h
		switch {
		case h["Event"] == "BridgeEnter":
			b.channels = append(without(b.channels, id), id)
			if c != nil {
				c.bridge = b.id
			}
		case h["Event"] == "BridgeLeave":
			b.channels = without(b.channels, id)
			if c != nil && c.bridge == b.id {
				c.bridge = ""
			}
		}
	case "BridgeDestroy":
		a.bridges = slices.DeleteFunc(a.bridges, func(b *amiBridge) bool { return b.id == h["BridgeUniqueid"] })
	case "QueueCallerJoin":
		a.queued = append(a.queued, &amiQueued{id: id, queue: h["Queue"], join: h, since: at})
	case "QueueCallerLeave", "QueueCallerAbandon":
		a.queued = slices.DeleteFunc(a.queued, func(q *amiQueued) bool { return q.id == id })
	case "ParkedCall":
		a.parked = append(a.parked, h)
	case "UnParkedCall", "ParkedCallGiveUp", "ParkedCallTimeOut":
		a.unpark(h["ParkeeUniqueid"])
	}
}

func (a *ami) unpark(id string) {
	a.parked = slices.DeleteFunc(a.parked, func(h headers) bool { return h["ParkeeUniqueid"] == id })
}

func (a *ami) play(t *playing, m Message) {
	raw := t.rewrite.AMI(m.Raw)
	h := parseAMI(raw)
	a.remember(h, a.server.position)
	if e := h["Event"]; (e == "Cdr" || e == "CEL") && !a.server.options.WithCDR || a.server.mute(m) {
		return
	}
	for c := range a.server.conns {
		if s, ok := c.session.(*amiSession); ok && s.wants(h) {
			c.send(raw)
			c.release()
		}
	}
}

func (s *amiSession) wants(h headers) bool {
	if !s.subscribed || len(s.mask) == 0 {
		return s.subscribed
	}
	return slices.ContainsFunc(strings.Split(h["Privilege"], ","), func(p string) bool { return slices.Contains(s.mask, p) })
}

func (s *amiSession) setMask(words string) {
	words = strings.ToLower(strings.TrimSpace(words))
	s.mask = nil
	switch words {
	case "off", "no", "false", "0":
		s.subscribed = false
		return
	case "on", "all", "yes", "true", "1", "":
	default:
		s.mask = strings.FieldsFunc(words, func(r rune) bool { return r == ',' || r == ' ' })
	}
	s.subscribed = true
}

// ---- one client

func (a *ami) serve(c *conn) error {
	a.server.mu.Lock()
	c.session = &amiSession{}
	c.send([]byte("Asterisk Call Manager/11.0.0\r\n"))
	a.server.mu.Unlock()
	in := bufio.NewReaderSize(c.net, maxLine)
	action := headers{}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text != "" {
			if name, value, ok := strings.Cut(text, ":"); ok && len(action) < 128 {
				name = strings.ToLower(strings.TrimSpace(name))
				if _, known := action[name]; !known {
					action[name] = strings.TrimSpace(value)
				}
			}
			continue
		}
		if len(action) > 0 && !a.act(c, action) {
			return nil
		}
		action = headers{}
	}
}

// act does what one action asks; false: the session is over.
func (a *ami) act(c *conn, action headers) bool {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.server.actedAt = time.Now()
	s := c.session.(*amiSession)
	answer := func(response string, more ...pair) {
		pairs := []pair{{"Response", response}}
		if id := action["actionid"]; id != "" {
			pairs = append(pairs, pair{"ActionID", id})
		}
		c.send(block(append(pairs, more...)...))
	}
	name := strings.ToLower(action["action"])
	switch {
	case name == "challenge":
		s.challenge = strconv.Itoa(100_000_000 + rand.IntN(900_000_000))
		answer("Success", pair{"Challenge", s.challenge})
		return true
	case name == "login":
		return a.login(c, s, action, answer)
	case name == "logoff":
		answer("Goodbye", pair{"Message", "Thanks for all the fish."})
		return false
	case !s.user:
		answer("Error", pair{"Message", "Permission denied"})
		return true
	}
	list := func(message, complete string, items [][]pair) {
		answer("Success", pair{"EventList", "start"}, pair{"Message", message})
		for _, pairs := range items {
			if id := action["actionid"]; id != "" {
				pairs = slices.Insert(pairs, 1, pair{"ActionID", id})
			}
			c.send(block(pairs...))
		}
		end := []pair{{"Event", complete}}
		if id := action["actionid"]; id != "" {
			end = append(end, pair{"ActionID", id})
		}
		c.send(block(append(end, pair{"EventList", "Complete"}, pair{"ListItems", strconv.Itoa(len(items))})...))
	}
	switch name {
	case "ping":
		answer("Success", pair{"Ping", "Pong"}, pair{"Timestamp", amiStamp(a.server.clock())})
	case "coresettings":
		answer("Success", pair{"AMIversion", "11.0.0"}, pair{"AsteriskVersion", "22.10.1"}, pair{"SystemName", ""})
	case "corestatus":
		day, hour := a.bootedAt.Format(time.DateOnly), a.bootedAt.Format(time.TimeOnly)
		answer("Success", pair{"CoreStartupDate", day}, pair{"CoreStartupTime", hour}, pair{"CoreReloadDate", day}, pair{"CoreReloadTime", hour},
			pair{"CoreCurrentCalls", strconv.Itoa(len(a.channels))}, pair{"CoreProcessedCalls", "1000"})
	case "coreshowchannels":
		list("Channels will follow", "CoreShowChannelsComplete", each(a.channels, a.showChannel))
		a.server.surveyed()
	case "status":
		list("Channel status will follow", "StatusComplete", each(a.channels, a.showStatus))
	case "bridgelist":
		list("Bridge listing will follow", "BridgeListComplete", each(a.bridges, func(b *amiBridge) []pair {
			return []pair{{"Event", "BridgeListItem"}, {"BridgeUniqueid", b.id}, {"BridgeType", b.snapshot["BridgeType"]},
				{"BridgeTechnology", b.snapshot["BridgeTechnology"]}, {"BridgeCreator", b.snapshot["BridgeCreator"]},
				{"BridgeName", b.snapshot["BridgeName"]}, {"BridgeNumChannels", strconv.Itoa(len(b.channels))}}
		}))
	case "bridgeinfo":
		a.bridgeInfo(action["bridgeuniqueid"], answer, list)
	case "queuestatus":
		list("Queue status will follow", "QueueStatusComplete", a.queues())
	case "parkedcalls":
		list("Parked calls will follow", "ParkedCallsComplete", each(a.parked, func(h headers) []pair { return asPairs("ParkedCall", h) }))
	case "events":
		s.setMask(action["eventmask"])
		on := "Off"
		if s.subscribed {
			on = "On"
			a.server.subscribed()
		}
		answer("Success", pair{"Events", on})
	case "filter", "command", "originate", "redirect", "hangup", "setvar", "getvar", "listcommands":
		// What an account made for a call journal may not do.
		answer("Error", pair{"Message", "Permission denied"})
	default:
		answer("Error", pair{"Message", "Invalid/unknown command"})
	}
	return true
}

func each[T any](list []T, show func(T) []pair) [][]pair {
	var out [][]pair
	for _, x := range list {
		out = append(out, show(x))
	}
	return out
}

func amiStamp(t time.Time) string {
	us := t.UnixMicro()
	return fmt.Sprintf("%d.%06d", us/1e6, us%1e6)
}

func (a *ami) login(c *conn, s *amiSession, action headers, answer func(string, ...pair)) bool {
	o := a.server.options
	ok := action["secret"] == o.Secret
	if strings.EqualFold(action["authtype"], "md5") {
		sum := md5.Sum([]byte(s.challenge + o.Secret))
		ok = s.challenge != "" && strings.EqualFold(action["key"], hex.EncodeToString(sum[:]))
	}
	if !ok || action["username"] != o.User {
		answer("Error", pair{"Message", "Authentication failed"})
		return false
	}
	s.user = true
	s.setMask(action["events"])
	if o.CoalesceLogin && s.subscribed && a.server.paceFrom.IsZero() {
		c.held = []byte{} // until the first event
	}
	answer("Success", pair{"Message", "Authentication accepted"})
	if s.subscribed {
		up := strconv.Itoa(int(a.server.clock().Sub(a.bootedAt) / time.Second))
		c.send(block(pair{"Event", "FullyBooted"}, pair{"Privilege", "system,all"}, pair{"Uptime", up}, pair{"LastReload", up}, pair{"Status", "Fully Booted"}))
		a.server.subscribed()
	}
	return true
}

// ---- how things are written

// amiSnapshot are the headers that every mention of a channel carries.
var amiSnapshot = []string{"ChannelState", "ChannelStateDesc", "CallerIDNum", "CallerIDName", "ConnectedLineNum", "ConnectedLineName",
	"Language", "AccountCode", "Context", "Exten", "Priority", "Uniqueid", "Linkedid"}

func (a *ami) seconds(c *amiChannel) int { return max(0, int((a.server.now()-c.since)/time.Second)) }

func (a *ami) describe(event string, c *amiChannel) []pair {
	pairs := []pair{{"Event", event}, {"Channel", c.snapshot["Channel"]}}
	for _, name := range amiSnapshot {
		pairs = append(pairs, pair{name, c.snapshot[name]})
	}
	return pairs
}

func (a *ami) showChannel(c *amiChannel) []pair {
	s := a.seconds(c)
	return append(a.describe("CoreShowChannel", c), pair{"Application", c.app}, pair{"ApplicationData", c.data},
		pair{"Duration", fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)}, pair{"BridgeId", c.bridge})
}

func (a *ami) showStatus(c *amiChannel) []pair {
	kind, _, _ := strings.Cut(c.snapshot["Channel"], "/")
	return append(a.describe("Status", c), pair{"Type", kind}, pair{"DNID", c.dialled},
		pair{"EffectiveConnectedLineNum", c.snapshot["ConnectedLineNum"]}, pair{"EffectiveConnectedLineName", c.snapshot["ConnectedLineName"]},
		pair{"TimeToHangup", "0"}, pair{"BridgeID", c.bridge}, pair{"Application", c.app}, pair{"Data", c.data},
		pair{"Seconds", strconv.Itoa(a.seconds(c))})
}

func (a *ami) bridgeInfo(id string, answer func(string, ...pair), list func(string, string, [][]pair)) {
	i := slices.IndexFunc(a.bridges, func(b *amiBridge) bool { return b.id == id })
	if i < 0 {
		answer("Error", pair{"Message", "Bridge not found"})
		return
	}
	var items [][]pair
	for _, u := range a.bridges[i].channels {
		if c := a.channel(u); c != nil {
			items = append(items, a.describe("BridgeInfoChannel", c))
		}
	}
	list("Bridge channel listing will follow", "BridgeInfoComplete", items)
}

// asPairs writes recorded headers again, in the order of their names.
func asPairs(event string, h headers) []pair {
	pairs := []pair{{"Event", event}}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if name != "Event" && name != "ActionID" && name != "Privilege" && name != "Timestamp" {
			pairs = append(pairs, pair{name, h[name]})
		}
	}
	return pairs
}

func (a *ami) queues() [][]pair {
	var items [][]pair
	known := map[string]bool{}
	for _, h := range a.members {
		known[h["Queue"]] = true
		items = append(items, asPairs(h["Event"], h))
	}
	for _, q := range a.queued {
		if !known[q.queue] {
			known[q.queue] = true
			items = append(items, []pair{{"Event", "QueueParams"}, {"Queue", q.queue}, {"Max", "0"}, {"Strategy", "ringall"}})
		}
	}
	for i, q := range a.queued {
		items = append(items, []pair{{"Event", "QueueEntry"}, {"Queue", q.queue}, {"Position", strconv.Itoa(i + 1)}, {"Channel", q.join["Channel"]},
			{"Uniqueid", q.id}, {"CallerIDNum", q.join["CallerIDNum"]}, {"CallerIDName", q.join["CallerIDName"]},
			{"Wait", strconv.Itoa(int((a.server.now() - q.since) / time.Second))}, {"Priority", "0"}})
	}
	return items
}
