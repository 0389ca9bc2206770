package wire

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// verdict is what becomes of an event.
type verdict uint8

const (
	verdictKeep verdict = iota
	verdictDrop         // no rule needs it
	verdictBad          // it cannot be read; counted by kind
)

// eslAlways are the headers that say what an event is: kept of every one that
// goes on.
var eslAlways = []string{"Event-Name", "Event-Subclass"}

// thinning is the state of one event's looking through.
type thinning struct {
	need    *need  // nil: every header goes on
	known   bool   // need is decided
	custom  bool   // the name is CUSTOM: the subclass decides
	sub     []byte // the subclass, if it came before the name
	times   []bool // which needed headers have come
	others  map[string]bool
	unmet   int      // conditions whose header has not come yet
	early   [][2]int // pairs that came before the name: where key and value begin
	frame   []byte
	decoded []byte
}

func (t *thinning) reset() {
	t.need, t.known, t.custom, t.sub, t.unmet, t.others = nil, false, false, nil, 0, nil
	t.early = t.early[:0]
}

// decide looks up what is needed of the event with this name. The verdict is
// verdictKeep also as long as only the subclass can tell.
func (t *thinning) decide(f *ESL, name []byte) verdict {
	if !t.custom && foldEqual(name, "CUSTOM") {
		t.custom = true
		if t.sub == nil {
			return verdictKeep
		}
		name = t.sub
	}
	if reserved(name) {
		f.count.Bad(ReservedName)
		return verdictBad
	}
	t.known = true
	if f.needs.all() {
		t.others = make(map[string]bool)
		return verdictKeep
	}
	if t.need = f.needs.of(name); t.need == nil {
		return verdictDrop
	}
	t.unmet = t.need.conditions
	if cap(t.times) < len(t.need.headers) {
		t.times = make([]bool, len(t.need.headers))
	}
	t.times = t.times[:len(t.need.headers)]
	clear(t.times)
	return verdictKeep
}

// done is the verdict about an event that was read to its end.
func (t *thinning) done(f *ESL) verdict {
	switch {
	case !t.known && t.custom:
		return verdictDrop // a CUSTOM event without a subclass
	case !t.known:
		f.count.Bad(Headless)
		return verdictBad
	case t.unmet > 0:
		return verdictDrop
	}
	return verdictKeep
}

// wanted says whether the header with this name is needed, and as what: one
// without a condition that goes on, unless its need says something else.
func (t *thinning) wanted(f *ESL, name []byte) (h needHeader, ok bool) {
	if t.others != nil {
		switch {
		case len(name) == 0 || name[0] == '_' || bytes.ContainsAny(name, "\"\\") || !printable(name):
			return h, false
		case reserved(name):
			f.count.Bad(ReservedName)
			return h, false
		case t.others[string(name)]:
			return h, false
		}
		h.name, h.pass = string(name), true
		t.others[h.name] = true
		return h, true
	}
	i := t.need.find(name)
	if i < 0 || t.times[i] {
		return h, false // the first of a name counts
	}
	t.times[i] = true
	h = t.need.headers[i]
	if h.only != nil {
		t.unmet--
	}
	return h, true
}

// json looks through an event that came as a JSON object.
func (t *thinning) json(f *ESL, b []byte) verdict {
	s := scanner{b: b}
	s.space()
	if !s.is('{') {
		f.count.Bad(BadJSON)
		return verdictBad
	}
	for s.space(); !s.is('}'); s.space() {
		key, ok := s.text()
		s.space()
		if !ok || !s.is(':') {
			f.count.Bad(BadJSON)
			return verdictBad
		}
		s.space()
		value, ok := s.value()
		if !ok {
			f.count.Bad(BadJSON)
			return verdictBad
		}
		if v := t.pair(f, key, value); v != verdictKeep {
			return v
		}
		s.space()
		if !s.is(',') && !s.at('}') {
			f.count.Bad(BadJSON)
			return verdictBad
		}
	}
	return t.done(f)
}

// pair takes in one header of a JSON event; value is its raw text.
func (t *thinning) pair(f *ESL, key, value []byte) verdict {
	if t.known {
		return t.keep(f, key, value)
	}
	text, isText := rawText(value)
	switch {
	case isText && foldEqual(key, "Event-Name") && !t.custom:
		if v := t.decide(f, text); v != verdictKeep {
			return v
		}
	case isText && foldEqual(key, "Event-Subclass") && t.sub == nil:
		t.sub = text
		if t.custom {
			if v := t.decide(f, text); v != verdictKeep {
				return v
			}
		}
	}
	t.hold(key, value)
	if !t.known {
		return verdictKeep
	}
	return t.catchUp(f)
}

// hold and catchUp are for what comes before an event has said what it is: one
// or two headers of FreeSWITCH's own, never more than a bounded number.
func (t *thinning) hold(key, value []byte) {
	if len(t.early) < earlyMost {
		from := len(t.decoded)
		if len(t.early) == 0 {
			t.decoded, from = t.decoded[:0], 0
		}
		t.decoded = append(t.decoded, key...)
		t.early = append(t.early, [2]int{from, len(t.decoded)})
		t.decoded = append(t.decoded, value...)
	}
}

const earlyMost = 64

func (t *thinning) catchUp(f *ESL) verdict {
	for i, e := range t.early {
		end := len(t.decoded)
		if i+1 < len(t.early) {
			end = t.early[i+1][0]
		}
		if v := t.keep(f, t.decoded[e[0]:e[1]], t.decoded[e[1]:end]); v != verdictKeep {
			return v
		}
	}
	return verdictKeep
}

// keep passes on one header of an event that goes on, if it is needed.
func (t *thinning) keep(f *ESL, key, value []byte) verdict {
	h, ok := t.wanted(f, key)
	if !ok {
		return verdictKeep
	}
	if h.only != nil {
		if text, isText := rawText(value); !isText || !h.allows(text) {
			return verdictDrop
		}
	}
	if !h.pass {
		return verdictKeep
	}
	from := len(f.out)
	switch value[0] {
	case '"':
		f.out = f.clean.appendJSON(appendName(f.out, h.name), value[1:len(value)-1])
	case '[':
		f.out = append(appendName(f.out, h.name), '[')
		s := scanner{b: value, i: 1}
		for s.space(); !s.at(']'); s.space() {
			text, ok := s.text()
			if !ok {
				f.count.Bad(NotText)
				f.out = f.out[:from]
				return verdictKeep
			}
			if f.out[len(f.out)-1] != '[' {
				f.out = append(f.out, ',')
			}
			f.out = f.clean.appendJSON(f.out, text)
			s.space()
			s.is(',')
		}
		f.out = append(f.out, ']')
	default:
		f.count.Bad(NotText)
	}
	if len(f.out) > MaxMessage {
		f.out = f.out[:from]
		f.count.Bad(MessageTooLong)
	}
	return verdictKeep
}

// rawText is the inside of a JSON text, escapes as they are.
func rawText(value []byte) ([]byte, bool) {
	if len(value) < 2 || value[0] != '"' {
		return nil, false
	}
	return value[1 : len(value)-1], true
}

// plain looks through an event that came as lines of "Name: value", the values
// percent-encoded. A body behind an empty line is not needed.
func (t *thinning) plain(f *ESL, b []byte) verdict {
	if i := bytes.Index(b, []byte("\n\n")); i >= 0 {
		b = b[:i+1]
	}
	next := func(b []byte) (name, value, rest []byte) {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		name, value, _ = bytes.Cut(line, []byte(": "))
		return name, value, rest
	}
	// what it is first, then all of it: lines are cheap to go over twice
	for rest := b; len(rest) > 0 && !t.known; {
		var name, value []byte
		name, value, rest = next(rest)
		switch {
		case foldEqual(name, "Event-Name") && !t.custom:
			if v := t.decide(f, value); v != verdictKeep {
				return v
			}
		case foldEqual(name, "Event-Subclass") && t.sub == nil:
			t.sub = unpercent(nil, value)
			if t.custom {
				if v := t.decide(f, t.sub); v != verdictKeep {
					return v
				}
			}
		}
	}
	if !t.known {
		return t.done(f)
	}
	for rest := b; len(rest) > 0; {
		var name, value []byte
		name, value, rest = next(rest)
		h, ok := t.wanted(f, name)
		if !ok {
			continue
		}
		t.decoded = unpercent(t.decoded[:0], value)
		if h.only != nil && !h.allows(t.decoded) {
			return verdictDrop
		}
		if !h.pass {
			continue
		}
		from := len(f.out)
		if f.out = f.clean.appendText(appendName(f.out, h.name), t.decoded); len(f.out) > MaxMessage {
			f.out = f.out[:from]
			f.count.Bad(MessageTooLong)
		}
	}
	return t.done(f)
}

// unpercent decodes %XX; a percent sign that begins none stays. '+' is no space
// here: FreeSWITCH never writes a space so.
func unpercent(dst, p []byte) []byte {
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if v, ok := hex(p[i+1 : i+3]); ok {
				dst = append(dst, byte(v))
				i += 2
				continue
			}
		}
		dst = append(dst, p[i])
	}
	return dst
}

func hex(p []byte) (rune, bool) {
	var v rune
	for _, c := range p {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}

// scanner walks over JSON without understanding more of it than where things
// end.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

func (s *scanner) is(c byte) bool {
	if s.at(c) {
		s.i++
		return true
	}
	return false
}

// text gives the inside of a text and goes behind it.
func (s *scanner) text() ([]byte, bool) {
	if !s.is('"') {
		return nil, false
	}
	for from := s.i; ; {
		q := bytes.IndexByte(s.b[s.i:], '"')
		if q < 0 {
			return nil, false
		}
		end := s.i + q
		s.i = end + 1
		slashes := 0
		for end-slashes > from && s.b[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return s.b[from:end], true
		}
	}
}

// value goes behind a value of any kind and gives its raw text.
func (s *scanner) value() ([]byte, bool) {
	from := s.i
	if s.at('"') {
		_, ok := s.text()
		return s.b[from:s.i], ok
	}
	for depth := 0; s.i < len(s.b); {
		switch c := s.b[s.i]; c {
		case '"':
			if _, ok := s.text(); !ok {
				return nil, false
			}
			continue
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return s.b[from:s.i], s.i > from
			}
			if depth--; depth == 0 {
				s.i++
				return s.b[from:s.i], true
			}
		case ',':
			if depth == 0 {
				return s.b[from:s.i], s.i > from
			}
		}
		s.i++
	}
	return nil, false
}

// cleaner writes values as JSON texts that any reader takes: valid UTF-8 without
// control characters, no longer than a line may be.
type cleaner struct {
	count *Counters
	text  []byte
	plain []byte
}

// appendJSON appends the text whose inside, escapes and all, is raw.
func (c *cleaner) appendJSON(dst, raw []byte) []byte {
	if len(raw) <= MaxLine && simple(raw) {
		dst = append(dst, '"')
		dst = append(dst, raw...)
		return append(dst, '"')
	}
	c.text = c.unescape(c.text[:0], raw)
	return c.appendText(dst, c.text)
}

// appendText appends a text that is not escaped yet.
func (c *cleaner) appendText(dst, p []byte) []byte {
	var bad string
	if c.plain, bad = appendClean(c.plain[:0], p, MaxLine); bad != "" {
		c.count.Bad(bad)
	}
	dst = append(dst, '"')
	for _, b := range trimRune(c.plain) {
		if b == '"' || b == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, b)
	}
	return append(dst, '"')
}

// simple: printable ASCII without escapes goes on as it is.
func simple(p []byte) bool {
	for _, c := range p {
		if c < 0x20 || c > 0x7e || c == '\\' {
			return false
		}
	}
	return true
}

// escapes are JSON's one-letter ones.
const escapeLetters, escapeMeanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"

func (c *cleaner) unescape(dst, p []byte) []byte {
	for i := 0; i < len(p); i++ {
		if p[i] != '\\' {
			dst = append(dst, p[i])
			continue
		}
		if i+1 < len(p) {
			if k := strings.IndexByte(escapeLetters, p[i+1]); k >= 0 {
				dst = append(dst, escapeMeanings[k])
				i++
				continue
			}
			if r, n := unicodeEscape(p[i:]); n > 0 {
				dst = utf8.AppendRune(dst, r)
				i += n - 1
				continue
			}
		}
		c.count.Bad(BadEscape)
		dst = append(dst, '\\')
	}
	return dst
}

// unicodeEscape reads \uXXXX, or two of them that make one character.
func unicodeEscape(p []byte) (rune, int) {
	one := func(p []byte) (rune, bool) {
		if len(p) < 6 || p[0] != '\\' || p[1] != 'u' {
			return 0, false
		}
		return hex(p[2:6])
	}
	r, ok := one(p)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		if second, ok := one(p[6:]); ok {
			if both := utf16.DecodeRune(r, second); both != utf8.RuneError {
				return both, 12
			}
		}
		return utf8.RuneError, 6
	}
	return r, 6
}
