package wire

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Names that the AMI framer puts into the stream. See the package's text.
const (
	AMISeen   = "CJ-Seen"
	AMIGap    = "CJ-Gap"
	AMIFrom   = "CJ-From"
	AMITo     = "CJ-To"
	AMICount  = "CJ-Count"
	AMIReason = "CJ-Reason"
	AMIEnd    = "CJ-End"
)

// amiAlways are the headers that identify and order a message: kept of every
// event that goes on.
var amiAlways = []string{"ActionID", "Timestamp", "EventList", "ListItems"}

// AMI is the Framer of Asterisk's manager interface: lines of "Name: value",
// ended by LF or CR LF, up to an empty line.
//
// Most of the stream is decided by a message's first line, the event's name:
// what no rule needs is then only looked through for its end.
type AMI struct {
	needs needs
	count *Counters
	seen  int64

	part []byte // the beginning of a line whose end has not come yet
	long bool   // that line is longer than MaxLine; the rest of it is cut

	state   amiState
	need    *need          // of the event in hand; nil keeps every header
	out     []byte         // the message in hand as it goes on
	head    []byte         // lines that came before the one that says what it is
	size    int            // bytes of the message in hand
	headers int            // its lines
	full    bool           // it has reached a limit; the rest of it is cut
	times   []int          // how often each needed header has come
	others  map[string]int // the same by lower-cased name where all are kept
	unmet   int            // conditions whose header has not come yet
	faults  []string       // of the message in hand, while conditions are unmet
}

type amiState uint8

const (
	amiBetween  amiState = iota // nothing of a message yet
	amiUnknown                  // lines, but neither Event nor Response
	amiKeeping                  //
	amiSkipping                 // no rule needs it
)

// NewAMI gives the framer for one session. With nil for needed every message and
// every header goes on.
func NewAMI(needed Needed, count *Counters) *AMI {
	return &AMI{needs: newNeeds(needed, amiAlways), count: count}
}

// Feed implements Framer.
func (f *AMI) Feed(p []byte, seen int64, out func(msg []byte)) {
	f.seen = seen
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			f.hold(p)
			return
		}
		line := p[:i]
		p = p[i+1:]
		if len(f.part) > 0 {
			f.hold(line)
			line = f.part
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		switch {
		case len(line) == 0:
			f.finish(out)
		case f.state != amiSkipping && !f.full:
			f.line(line)
			if f.unmet > 0 && f.headers == 1 {
				p = p[f.lookAhead(p):]
			}
		}
		f.part, f.long = f.part[:0], false
	}
}

// lookAhead looks for the end of a message whose event has just been read, and
// gives where it is if the whole message is there and does not meet its
// condition; else 0, and the message is taken in line by line. Of what a user
// with every class gets, two thirds are VarSet: they end here, or nearly all.
func (f *AMI) lookAhead(p []byte) int {
	if f.need.conditions != 1 {
		return 0
	}
	h := &f.need.headers[f.need.condition]
	first := h.name[0] | 0x20
	met, decided := false, false
	for at := 0; ; {
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			return 0
		}
		line := p[at : at+i]
		at += i + 1
		if i <= 1 && (i == 0 || line[0] == '\r') {
			if met {
				return 0
			}
			f.state = amiSkipping
			return at - i - 1 // the empty line itself ends it
		}
		if !decided && line[0]|0x20 == first {
			if name, value := splitHeader(line); foldEqual(name, h.name) {
				if n := len(value); n > 0 && value[n-1] == '\r' {
					value = value[:n-1]
				}
				met, decided = h.allows(value), true
			}
		}
	}
}

// hold keeps the beginning of a line, up to one byte more than a line may have:
// the CR of its end.
func (f *AMI) hold(p []byte) {
	room := MaxLine + 1 - len(f.part)
	if len(p) > room {
		p = p[:room]
		f.long = true
	}
	f.part = append(f.part, p...)
}

// line takes in one line that is neither empty nor to be skipped.
func (f *AMI) line(b []byte) {
	if f.long || len(b) > MaxLine {
		f.bad(LineTooLong)
		b = trimRune(b[:min(len(b), MaxLine)])
	}
	f.size += len(b) + 2
	f.headers++
	if f.size > MaxMessage || f.headers > MaxHeaders {
		f.cut()
		return
	}
	name, value := splitHeader(b)
	if len(name) == 0 {
		f.bad(NoColon)
		return
	}
	switch {
	case f.state == amiKeeping:
		f.header(name, value)
	case foldEqual(name, "Event"):
		f.begin(name, value, f.wanted(value))
	case foldEqual(name, "Response"):
		f.begin(name, value, true)
	default:
		f.state = amiUnknown
		f.head = append(append(f.head, b...), '\n')
	}
}

// bad counts what is malformed, of a message with conditions only if it meets
// them: nobody looks at the others so closely.
func (f *AMI) bad(kind string) {
	if f.unmet > 0 {
		f.faults = append(f.faults, kind)
	} else {
		f.count.Bad(kind)
	}
}

func (f *AMI) cut() {
	f.full = true
	if f.headers > MaxHeaders {
		f.bad(TooManyHeaders)
	} else {
		f.bad(MessageTooLong)
	}
}

// wanted looks up what is needed of an event.
func (f *AMI) wanted(event []byte) bool {
	if reserved(event) {
		f.bad(ReservedName)
		return false
	}
	if f.needs.all() {
		return true
	}
	f.need = f.needs.of(event)
	return f.need != nil
}

// begin decides about the message in hand, then catches up on what came of it
// before the line that says what it is.
func (f *AMI) begin(name, value []byte, wanted bool) {
	if !wanted {
		f.state = amiSkipping
		return
	}
	f.state = amiKeeping
	f.write(canonical(name), 1, value)
	if f.need != nil {
		f.unmet = f.need.conditions
		f.times = slices.Grow(f.times[:0], len(f.need.headers))[:len(f.need.headers)]
		clear(f.times)
	} else {
		f.others = map[string]int{strings.ToLower(string(name)): 1}
	}
	head := f.head
	for len(head) > 0 && f.state == amiKeeping {
		line, rest, _ := bytes.Cut(head, []byte("\n"))
		head = rest
		f.header(splitHeader(line))
	}
}

func canonical(name []byte) string {
	if len(name) == len("Event") {
		return "Event"
	}
	return "Response"
}

// header takes one header of a message that goes on.
func (f *AMI) header(name, value []byte) {
	if f.need == nil {
		f.any(name, value)
		return
	}
	i := f.need.find(name)
	if i < 0 {
		if reserved(name) {
			f.bad(ReservedName)
		}
		return
	}
	h := &f.need.headers[i]
	f.times[i]++
	if h.only != nil && f.times[i] == 1 {
		if !h.allows(value) {
			f.state = amiSkipping
			return
		}
		if f.unmet--; f.unmet == 0 {
			for _, kind := range f.faults {
				f.count.Bad(kind)
			}
			f.faults = f.faults[:0]
		}
	}
	if h.pass {
		f.write(h.name, f.times[i], value)
	}
}

// any takes a header of a message whose headers all go on: an answer.
func (f *AMI) any(name, value []byte) {
	if reserved(name) || bytes.IndexByte(name, '#') >= 0 {
		f.bad(ReservedName)
		return
	}
	clean, _ := appendClean(nil, name, MaxLine/2)
	key := strings.ToLower(string(clean))
	f.others[key]++
	f.write(string(clean), f.others[key], value)
}

// write appends one header: the n-th of its name. The whole line stays within
// MaxLine also after unreadable bytes have grown into U+FFFD.
func (f *AMI) write(name string, n int, value []byte) {
	from := len(f.out)
	f.out = append(f.out, name...)
	if n > 1 {
		f.out = append(f.out, '#')
		f.out = strconv.AppendInt(f.out, int64(n), 10)
	}
	f.out = append(f.out, ": "...)
	room := MaxLine - (len(f.out) - from)
	var bad string
	if f.out, bad = appendClean(f.out, value, room); bad != "" {
		f.bad(bad)
	}
	f.out = append(f.out, "\r\n"...)
	if len(f.out) > MaxMessage {
		f.out = f.out[:from]
		f.full = true
		f.bad(MessageTooLong)
	}
}

// finish ends the message in hand at an empty line.
func (f *AMI) finish(out func(msg []byte)) {
	switch f.state {
	case amiBetween:
		if f.headers > 0 {
			f.count.Messages.Add(1)
			f.count.Bad(Headless)
		}
	case amiUnknown:
		f.count.Messages.Add(1)
		f.count.Bad(Headless)
	case amiSkipping:
		f.count.Messages.Add(1)
		f.count.Thinned.Add(1)
	case amiKeeping:
		f.count.Messages.Add(1)
		if f.unmet > 0 {
			f.count.Thinned.Add(1)
			break
		}
		f.out = append(f.out, AMISeen+": "...)
		f.out = strconv.AppendInt(f.out, f.seen, 10)
		f.out = append(f.out, "\r\n\r\n"...)
		out(f.out)
	}
	f.state, f.need, f.out, f.head = amiBetween, nil, f.out[:0], f.head[:0]
	f.size, f.headers, f.full, f.others, f.unmet, f.faults = 0, 0, false, nil, 0, f.faults[:0]
}

// Gap implements Framer.
func (f *AMI) Gap(dst []byte, g Gap) []byte {
	dst = append(dst, "Event: "+AMIGap+"\r\n"+AMIFrom+": "...)
	dst = strconv.AppendInt(dst, g.From, 10)
	dst = append(dst, "\r\n"+AMITo+": "...)
	dst = strconv.AppendInt(dst, g.To, 10)
	dst = append(dst, "\r\n"+AMICount+": "...)
	dst = strconv.AppendUint(dst, g.Count, 10)
	dst = append(dst, "\r\n"+AMIReason+": "+g.Reason+"\r\n"+AMISeen+": "...)
	dst = strconv.AppendInt(dst, g.To, 10)
	return append(dst, "\r\n\r\n"...)
}

// End implements Framer.
func (f *AMI) End(dst []byte) []byte {
	if f.headers > 0 || f.state != amiBetween || len(f.part) > 0 {
		f.count.Bad(Unfinished)
	}
	return append(dst, "Event: "+AMIEnd+"\r\n\r\n"...)
}

// splitHeader takes a line apart; name is empty if it is no header.
func splitHeader(b []byte) (name, value []byte) {
	colon := bytes.IndexByte(b, ':')
	if colon < 0 {
		return nil, nil
	}
	name, value = b[:colon], b[colon+1:]
	for len(name) > 0 && name[len(name)-1] == ' ' {
		name = name[:len(name)-1]
	}
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	return name, value
}

// trimRune drops a rune at the end that was cut in the middle.
func trimRune(b []byte) []byte {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}

// appendClean appends p as valid UTF-8 without control characters, at most most
// bytes of it. It says what was wrong with p, if anything.
func appendClean(dst, p []byte, most int) ([]byte, string) {
	if printable(p) {
		if len(p) > most {
			return append(dst, p[:most]...), LineTooLong
		}
		return append(dst, p...), ""
	}
	bad := ""
	for from := len(dst); len(p) > 0; {
		r, n := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && n == 1:
			bad = BadUTF8
		case r == '\t':
			r = ' '
		case r < 0x20 || 0x7f <= r && r < 0xa0:
			r = utf8.RuneError
			if bad == "" {
				bad = ControlChar
			}
		}
		if len(dst)-from+utf8.RuneLen(r) > most {
			return dst, LineTooLong
		}
		dst = utf8.AppendRune(dst, r)
		p = p[n:]
	}
	return dst, bad
}

func printable(p []byte) bool {
	for _, c := range p {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}
