package call

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// AppendText writes a text as encoding/json does. Most need no escape; the rest
// is left to it.
func AppendText[T string | []byte](b []byte, s T) []byte {
	before := len(b)
	b = append(b, '"')
	b = append(b, s...)
	if harmless(b[before+1:]) {
		return append(b, '"')
	}
	j, err := json.Marshal(string(s))
	if err != nil {
		return append(b[:before], `""`...)
	}
	return append(b[:before], j...)
}

// harmless says that a text stands for itself in JSON: no quotes, backslashes
// and control characters, none of the letters that HTML or JavaScript would take
// for their own (U+2028 and U+2029 begin with 0xE2), nor U+FFFD, and whole UTF-8.
func harmless(s []byte) bool {
	ascii := true
	for _, c := range s {
		if c >= utf8.RuneSelf {
			if c == 0xE2 || c == 0xEF {
				return false
			}
			ascii = false
		} else if special[c] {
			return false
		}
	}
	return ascii || utf8.Valid(s)
}

// special are the ASCII characters that encoding/json escapes.
var special = func() (t [utf8.RuneSelf]bool) {
	for c := range t {
		t[c] = c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f
	}
	return t
}()

// AppendJSON writes what MarshalJSON does.
func (m Moment) AppendJSON(b []byte) []byte {
	if m == 0 {
		return append(b, "null"...)
	}
	t := m.Ms().Time()
	year, month, day := t.Date()
	if year < 1000 || year > 9999 {
		j, err := m.MarshalJSON()
		if err != nil {
			return append(b, "null"...)
		}
		return append(b, j...)
	}
	hour, minute, second := t.Clock()
	b = append(b, '"')
	b = strconv.AppendInt(b, int64(year), 10)
	b = two(append(b, '-'), int(month))
	b = two(append(b, '-'), day)
	b = two(append(b, 'T'), hour)
	b = two(append(b, ':'), minute)
	b = two(append(b, ':'), second)
	ms := t.Nanosecond() / 1_000_000
	b = append(b, '.', byte('0'+ms/100))
	b = two(b, ms%100)
	return append(b, 'Z', '"')
}

func two(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }
