package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds what a client may announce behind a command.
const maxBody = 64 << 10

// esl is the inbound event socket of FreeSWITCH.
type esl struct {
	server   *Server
	bootedAt time.Time
	rows     []*eslRow
	bridged  map[string]string // uuid to uuid, both ways
	sequence uint64
}

// eslRow is one line of `show channels`.
type eslRow struct {
	id      string
	created int64 // seconds
	columns map[string]string
	last    *eslEvent
	room    string // of the conference it is in
}

// eslEvent is one event, decoded.
type eslEvent struct {
	headers []header
	body    []byte
}

func (e *eslEvent) get(name string) string {
	for _, h := range e.headers {
		if h.name == name {
			return h.value
		}
	}
	return ""
}

// eslSession is what is known of one client.
type eslSession struct {
	authed     bool
	subscribed bool
	all        bool
	names      []string // of events
	subclasses []string // of CUSTOM
	filters    []header
	json       bool
}

func newESL(s *Server) *esl {
	return &esl{server: s, bootedAt: s.booted(), bridged: map[string]string{}}
}

// parseFrame gives the headers of a frame by their names in lower case.
func parseFrame(m Message) headers {
	h := headers{}
	for line := range bytes.Lines(m.Raw[:len(m.Raw)-len(m.Body)]) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			h[strings.ToLower(string(name))] = strings.TrimSpace(string(value))
		}
	}
	return h
}

const (
	plainEvent = "text/event-plain"
	jsonEvent  = "text/event-json"
)

func isPlainEvent(m Message) bool { return parseFrame(m)["content-type"] == plainEvent }

func (f *esl) sort(m Message) messageKind {
	switch {
	case isPlainEvent(m):
		return isEvent
	case parseFrame(m)["content-type"] == "api/response" && bytes.HasPrefix(m.Body, []byte(`{"row_count"`)):
		return isAnswer
	}
	return isNoise
}

// parseEvent decodes the body of a text/event-plain frame.
func parseEvent(body []byte) *eslEvent {
	head, rest, _ := bytes.Cut(body, []byte("\n\n"))
	e := &eslEvent{body: rest}
	for line := range bytes.SplitSeq(head, []byte("\n")) {
		name, value, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			continue
		}
		v, err := url.PathUnescape(string(value)) // '+' is a plus: FreeSWITCH writes spaces as %20
		if err != nil {
			v = string(value)
		}
		e.headers = append(e.headers, header{string(name), v})
	}
	return e
}

// ---- the state of the PBX

// eslColumns are the columns of `show channels`, and the header of an event
// from which each is taken.
var eslColumns = []struct{ name, header string }{
	{"uuid", "Unique-ID"}, {"direction", "Call-Direction"}, {"created", ""}, {"created_epoch", ""}, {"name", "Channel-Name"}, {"state", "Channel-State"},
	{"cid_name", "Caller-Caller-ID-Name"}, {"cid_num", "Caller-Caller-ID-Number"}, {"ip_addr", "Caller-Network-Addr"},
	{"dest", "Caller-Destination-Number"}, {"application", "variable_current_application"}, {"application_data", "variable_current_application_data"},
	{"dialplan", "Caller-Dialplan"}, {"context", "Caller-Context"}, {"read_codec", "Channel-Read-Codec-Name"}, {"read_rate", "Channel-Read-Codec-Rate"},
	{"read_bit_rate", "Channel-Read-Codec-Bit-Rate"}, {"write_codec", "Channel-Write-Codec-Name"}, {"write_rate", "Channel-Write-Codec-Rate"},
	{"write_bit_rate", "Channel-Write-Codec-Bit-Rate"}, {"secure", ""}, {"hostname", "FreeSWITCH-Switchname"}, {"presence_id", "Channel-Presence-ID"},
	{"presence_data", ""}, {"accountcode", "variable_accountcode"}, {"callstate", "Channel-Call-State"}, {"callee_name", "Caller-Callee-ID-Name"},
	{"callee_num", "Caller-Callee-ID-Number"}, {"callee_direction", ""}, {"call_uuid", "Channel-Call-UUID"}, {"sent_callee_name", ""},
	{"sent_callee_num", ""}, {"initial_cid_name", ""}, {"initial_cid_num", ""}, {"initial_ip_addr", ""}, {"initial_dest", ""},
	{"initial_dialplan", ""}, {"initial_context", ""},
}

func (f *esl) begin(t *playing, part int) {
	answers := t.answers[part]
	if len(answers) == 0 && part == 0 {
		return
	}
	f.rows, f.bridged = nil, map[string]string{}
	if len(answers) == 0 {
		return
	}
	var listed struct {
		Rows []map[string]string `json:"rows"`
	}
	// The first answer of the connection; what is not text in it is no channel.
	if json.Unmarshal([]byte(t.rewrite.value(string(answers[0].Body))), &listed) != nil {
		return
	}
	for _, columns := range listed.Rows {
		created, _ := strconv.ParseInt(columns["created_epoch"], 10, 64)
		created += int64(t.rewrite.Shift.Round(time.Second) / time.Second)
		f.rows = append(f.rows, &eslRow{id: columns["uuid"], created: created, columns: columns})
	}
	for _, r := range f.rows {
		if other := r.columns["call_uuid"]; other != r.id && f.row(other) != nil {
			f.bridged[r.id], f.bridged[other] = other, r.id
		}
	}
}

func (f *esl) row(id string) *eslRow {
	i := slices.IndexFunc(f.rows, func(r *eslRow) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	return f.rows[i]
}

func (f *esl) unbridge(id string) {
	if other, ok := f.bridged[id]; ok {
		delete(f.bridged, other)
		delete(f.bridged, id)
	}
}

func (f *esl) remember(e *eslEvent) {
	kind, id := e.get("Event-Name"), e.get("Unique-ID")
	if e.get("Event-Subclass") == "conference::maintenance" {
		f.confer(f.row(id), e)
		return
	}
	if !strings.HasPrefix(kind, "CHANNEL_") || id == "" {
		return
	}
	if kind == "CHANNEL_HANGUP_COMPLETE" || kind == "CHANNEL_DESTROY" {
		f.unbridge(id)
		f.rows = slices.DeleteFunc(f.rows, func(r *eslRow) bool { return r.id == id })
		return
	}
	r := f.row(id)
	if r == nil {
		if kind != "CHANNEL_CREATE" {
			return
		}
		us, _ := strconv.ParseInt(e.get("Caller-Channel-Created-Time"), 10, 64)
		r = &eslRow{id: id, created: us / 1e6, columns: map[string]string{}}
		f.rows = append(f.rows, r)
	}
	r.last = e
	for _, c := range eslColumns {
		if v := e.get(c.header); c.header != "" && v != "" {
			r.columns[c.name] = v
		}
	}
	switch kind {
	case "CHANNEL_CREATE":
		for _, name := range []string{"cid_name", "cid_num", "ip_addr", "dest", "dialplan", "context"} {
			r.columns["initial_"+name] = r.columns[name]
		}
	case "CHANNEL_EXECUTE":
		r.columns["application"], r.columns["application_data"] = e.get("Application"), e.get("Application-Data")
	case "CHANNEL_EXECUTE_COMPLETE":
		r.columns["application"], r.columns["application_data"] = "", ""
	case "CHANNEL_BRIDGE":
		other := e.get("Other-Leg-Unique-ID")
		if other == "" {
			other = e.get("Bridge-B-Unique-ID")
		}
		f.bridged[id], f.bridged[other] = other, id
	case "CHANNEL_UNBRIDGE":
		f.unbridge(id)
	}
}

// confer is what the channel of a conference's member says of itself: the room is
// a variable of it for as long as it is in there.
func (f *esl) confer(r *eslRow, e *eslEvent) {
	if r == nil {
		return
	}
	switch e.get("Action") {
	case "add-member":
		r.room = e.get("Conference-Unique-ID")
		r.columns["application"], r.columns["application_data"] = "conference", e.get("Conference-Name")
	case "del-member":
		r.room = ""
	}
}

// coreOfLoop is the one process that a programme of many recordings has.
const coreOfLoop = "472d1cb0-c9bf-4f1d-af0e-f599111e5c76"

// coreAnew is a process that is in no recording.
const coreAnew = "0a3c1d52-7d07-4f4e-9c3a-5b1e6f2d8c90"

func (f *esl) play(t *playing, m Message) {
	e := parseEvent(m.Body)
	e.headers = t.rewrite.esl(e.headers, t.Recording.T0)
	if f.server.options.Anew {
		for i := range e.headers {
			if e.headers[i].name == "Core-UUID" {
				e.headers[i].value = coreAnew
			}
		}
	}
	if t.Round != 0 {
		// Several recordings in one stream: their counters would contradict each
		// other, and their processes would look like restarts.
		if e.get("Event-Name") == "HEARTBEAT" {
			return
		}
		f.sequence++
		for i := range e.headers {
			switch e.headers[i].name {
			case "Event-Sequence":
				e.headers[i].value = strconv.FormatUint(f.sequence, 10)
			case "Core-UUID":
				e.headers[i].value = coreOfLoop
			}
		}
	}
	f.remember(e)
	if f.server.mute(m) {
		return
	}
	var plain, asJSON []byte
	for c := range f.server.conns {
		s, ok := c.session.(*eslSession)
		if !ok || !s.wants(e) {
			continue
		}
		if s.json {
			if asJSON == nil {
				asJSON = frame(jsonEvent, e.json())
			}
			c.send(asJSON)
		} else {
			if plain == nil {
				plain = frame(plainEvent, e.plain())
			}
			c.send(plain)
		}
		c.release()
	}
}

func (s *eslSession) wants(e *eslEvent) bool {
	name := e.get("Event-Name")
	if !s.subscribed || !s.all && !slices.Contains(s.names, name) && !(name == "CUSTOM" && slices.Contains(s.subclasses, e.get("Event-Subclass"))) {
		return false
	}
	// Filters are joined by or; one that excludes wins.
	wanted := len(s.filters) == 0
	for _, flt := range s.filters {
		value, exclude := flt.value, false
		for len(value) > 0 && strings.ContainsRune("+- ", rune(value[0])) {
			value, exclude = value[1:], value[0] == '-'
		}
		if strings.EqualFold(e.get(flt.name), value) {
			if exclude {
				return false
			}
			wanted = true
		}
	}
	return wanted
}

// ---- how an event is written

func frame(kind string, body []byte) []byte {
	return append(fmt.Appendf(nil, "Content-Length: %d\nContent-Type: %s\n\n", len(body), kind), body...)
}

func (e *eslEvent) plain() []byte {
	var b []byte
	for _, h := range e.headers {
		b = append(append(b, h.name...), ": "...)
		for i := range len(h.value) {
			c := h.value[i]
			if c <= ' ' || c >= 0x7f || strings.IndexByte("\"#%&+:;<=>?@[\\]^`{|}", c) >= 0 {
				b = fmt.Appendf(b, "%%%02X", c)
			} else {
				b = append(b, c)
			}
		}
		b = append(b, '\n')
	}
	return append(append(b, '\n'), e.body...)
}

// json writes as FreeSWITCH does: bytes that are no UTF-8 go out as they are.
func (e *eslEvent) json() []byte {
	b := []byte{'{'}
	for i, h := range e.headers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSON(b, h.name), ':')
		list, isList := strings.CutPrefix(h.value, "ARRAY::")
		if !isList {
			b = appendJSON(b, h.value)
			continue
		}
		b = append(b, '[')
		for k, v := range strings.Split(list, "|:") {
			if k > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, v)
		}
		b = append(b, ']')
	}
	if len(e.body) > 0 {
		b = appendJSON(append(b, `,"_body":`...), string(e.body))
	}
	return append(b, '}')
}

func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// ---- one client

func (f *esl) serve(c *conn) error {
	f.server.mu.Lock()
	c.session = &eslSession{}
	c.send([]byte("Content-Type: auth/request\n\n"))
	f.server.mu.Unlock()
	in := bufio.NewReaderSize(c.net, maxLine)
	command, length := "", 0
	for {
		slice, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line := strings.TrimRight(string(slice), "\r\n")
		switch {
		case line != "" && command == "":
			command = line
		case line != "":
			name, value, _ := strings.Cut(line, ":")
			if strings.EqualFold(name, "Content-Length") {
				if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > maxBody {
					return errors.New("a command's body has an impossible length")
				}
			}
		case command != "":
			if _, err := io.CopyN(io.Discard, in, int64(length)); err != nil {
				return err
			}
			if !f.act(c, strings.TrimSpace(command)) {
				return nil
			}
			command, length = "", 0
		}
	}
}

func reply(text string) []byte {
	return []byte("Content-Type: command/reply\nReply-Text: " + text + "\n\n")
}

func goodbye() []byte {
	const note = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
	return fmt.Appendf(nil, "Content-Type: text/disconnect-notice\nContent-Length: %d\n\n%s", len(note), note)
}

// act does what one command asks; false: the session is over.
func (f *esl) act(c *conn, line string) bool {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	f.server.actedAt = time.Now()
	s := c.session.(*eslSession)
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch word = strings.ToLower(word); {
	case word == "exit":
		c.send(reply("+OK bye"))
		c.send(goodbye())
		return false
	case word == "auth" || word == "userauth":
		if !f.admits(word, rest) {
			c.send(reply("-ERR invalid"))
			c.send(goodbye())
			return false
		}
		s.authed = true
		c.send(reply("+OK accepted"))
		return true
	case !s.authed:
		c.send(reply("-ERR command not found"))
		return true
	}
	switch word {
	case "event", "events":
		f.subscribe(c, s, strings.Fields(rest))
	case "noevents":
		s.subscribed, s.all, s.names, s.subclasses = false, false, nil, nil
		c.send(reply("+OK no longer listening for events"))
	case "filter":
		name, value, ok := strings.Cut(rest, " ")
		switch {
		case !ok:
			c.send(reply("-ERR invalid syntax"))
		case name == "delete":
			s.filters = nil
			c.send(reply("+OK filter deleted. [" + value + "]"))
		default:
			s.filters = append(s.filters, header{name, strings.TrimSpace(value)})
			c.send(reply("+OK filter added. [" + name + "]=[" + strings.TrimSpace(value) + "]"))
		}
	case "api":
		c.send(frame("api/response", []byte(f.api(rest))))
		if strings.HasPrefix(strings.ToLower(rest), "show channels") {
			f.server.surveyed()
		}
	default:
		c.send(reply("-ERR command not found"))
	}
	return true
}

func (f *esl) admits(word, rest string) bool {
	o := f.server.options
	if word == "auth" {
		return rest == o.Secret
	}
	name, password, _ := strings.Cut(rest, ":")
	name, _, _ = strings.Cut(name, "@")
	return name == o.User && password == o.Secret
}

func (f *esl) subscribe(c *conn, s *eslSession, words []string) {
	form := "plain"
	if len(words) > 0 && slices.Contains([]string{"plain", "json", "xml"}, strings.ToLower(words[0])) {
		form, words = strings.ToLower(words[0]), words[1:]
	}
	if len(words) == 0 || form == "xml" {
		c.send(reply("-ERR no keywords supplied"))
		return
	}
	custom := false
	for _, w := range words {
		switch up := strings.ToUpper(w); {
		case up == "ALL":
			s.all = true
		case up == "CUSTOM":
			custom = true // and everything behind it is a subclass
		case custom:
			s.subclasses = append(s.subclasses, w)
		default:
			s.names = append(s.names, up)
		}
	}
	s.json, s.subscribed = form == "json", true
	if f.server.options.CoalesceLogin && f.server.paceFrom.IsZero() {
		c.held = []byte{} // until the first event
	}
	c.send(reply("+OK event listener enabled " + form))
	f.server.subscribed()
}

// ---- api

func (f *esl) api(line string) string {
	command, arg, _ := strings.Cut(line, " ")
	arg = strings.TrimSpace(arg)
	switch command {
	case "status":
		up := f.server.clock().Sub(f.bootedAt)
		return fmt.Sprintf("UP 0 years, 0 days, %d hours, %d minutes, %d seconds, 0 milliseconds, 0 microseconds\n"+
			"FreeSWITCH (Version 1.10.12-release  64bit) is ready\n243 session(s) since startup\n%d session(s) - peak 28, last 5min 8 \n"+
			"0 session(s) per Sec out of max 300, peak 11, last 5min 2 \n3000 session(s) max\nmin idle cpu 0.00/91.70\n",
			int(up.Hours()), int(up.Minutes())%60, int(up.Seconds())%60, len(f.rows))
	case "version":
		return "FreeSWITCH Version 1.10.12-release+git~20240802T210227Z~a88d069d6f~64bit (git a88d069 2024-08-02 21:02:27Z 64bit)\n"
	case "global_getvar":
		if arg == "core_uuid" && f.server.options.Anew {
			return coreAnew
		}
		return "office-pbx"
	case "show":
		words := strings.Fields(strings.ToLower(arg))
		if len(words) == 3 && words[1] == "as" && words[2] == "json" {
			switch words[0] {
			case "channels":
				return f.showChannels()
			case "calls":
				return f.showCalls()
			}
		}
		return "-USAGE: calls|channels as json\n"
	case "uuid_exists":
		return strconv.FormatBool(f.row(arg) != nil)
	case "uuid_dump":
		return f.dump(strings.Fields(arg))
	case "uuid_getvar":
		id, name, _ := strings.Cut(arg, " ")
		r := f.row(id)
		if r == nil || r.last == nil {
			return "-ERR No such channel!\n"
		}
		if v := r.last.get("variable_" + name); v != "" {
			return v
		}
		return "_undef_"
	case "hostname":
		return "office-pbx"
	}
	return "-ERR " + command + " Command not found!\n"
}

// show is a row as it is listed; the columns of another behind a prefix.
func (r *eslRow) show(prefix string, into map[string]string) {
	for _, c := range eslColumns {
		v := ""
		if r != nil {
			v = r.columns[c.name]
			switch c.name {
			case "created_epoch":
				v = strconv.FormatInt(r.created, 10)
			case "created":
				v = time.Unix(r.created, 0).Format(dateLayout)
			}
		}
		into[prefix+c.name] = v
	}
}

func listed(rows []map[string]string) string {
	answer := map[string]any{"row_count": len(rows)}
	if len(rows) > 0 {
		answer["rows"] = rows
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return "-ERR " + err.Error()
	}
	return string(b)
}

func (f *esl) showChannels() string {
	var rows []map[string]string
	for _, r := range f.rows {
		row := map[string]string{}
		r.show("", row)
		rows = append(rows, row)
	}
	return listed(rows)
}

// showCalls gives bridged pairs as one row, and what is up alone.
func (f *esl) showCalls() string {
	var rows []map[string]string
	seen := map[string]bool{}
	for _, r := range f.rows {
		other := f.row(f.bridged[r.id])
		if seen[r.id] || other == nil && r.columns["direction"] != "inbound" && r.columns["callstate"] != "ACTIVE" {
			continue
		}
		a, b := r, other
		if other != nil {
			seen[other.id] = true
			if r.columns["direction"] != "inbound" {
				a, b = other, r
			}
		}
		row := map[string]string{}
		a.show("", row)
		b.show("b_", row)
		rows = append(rows, row)
	}
	return listed(rows)
}

func (f *esl) dump(words []string) string {
	if len(words) == 0 {
		return "-USAGE: <uuid> [format]\n"
	}
	r := f.row(words[0])
	if r == nil || r.last == nil {
		return "-ERR No such channel!\n"
	}
	e := &eslEvent{headers: append([]header{{"Event-Name", "CHANNEL_DATA"}}, slices.DeleteFunc(slices.Clone(r.last.headers),
		func(h header) bool { return h.name == "Event-Name" })...)}
	if r.room != "" {
		e.headers = append(e.headers, header{"variable_conference_uuid", r.room})
	}
	if len(words) > 1 && words[1] == "json" {
		return string(e.json())
	}
	return string(e.plain())
}
