package access

import (
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// unmasked are the fields, by their JSON names, that hold the program's own names
// of things, by which they are asked for again.
func unmasked(field string) bool {
	switch field {
	case "id", "pbx_ids", "healed_by", "call_id", "call_ids", "cursor", "agent", "pbx", "extension":
		return true
	}
	return false
}

// Mask gives a deep copy of v in which no text shows a whole telephone number.
// It looks at every text, not at the fields that should hold numbers: names of
// channels and files, the caller's name and the causes hold them too.
func Mask[T any](v T) T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	out.Set(masked(reflect.ValueOf(&v).Elem()))
	return out.Interface().(T)
}

func masked(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		out.SetString(MaskText(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(masked(v.Elem()))
		}
	case reflect.Interface:
		if !v.IsNil() {
			out.Set(masked(v.Elem()))
		}
	case reflect.Struct:
		out.Set(v) // and what is not exported, as in time.Time
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.IsExported() && !unmasked(name) {
				out.Field(i).Set(masked(v.Field(i)))
			}
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			out.Index(i).Set(masked(v.Index(i)))
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for it := v.MapRange(); it.Next(); {
				out.SetMapIndex(masked(it.Key()), masked(it.Value()))
			}
		}
	default:
		out.Set(v)
	}
	return out
}

const (
	leastMasked = 6 // digits: shorter ones are extensions and public services
	shownFirst  = 4
	shownLast   = 4
	hidden      = 3 // at least
)

// MaskText replaces the middle of every telephone number in s: +74951230101
// becomes +7495***0101, 1230101 becomes ***0101. A number is six or more digits
// with no more than the usual punctuation between them.
func MaskText(s string) string {
	var out strings.Builder
	var digits []int // where the digits of a run stand
	done, end, gap := 0, 0, 0
	flush := func() {
		if n := len(digits); n >= leastMasked {
			last := shownLast
			if n < shownLast+hidden {
				last = 2
			}
			first := min(shownFirst, max(0, n-last-hidden))
			out.WriteString(s[done:digits[first]])
			out.WriteString("***")
			done = digits[n-last]
		}
		digits, gap = digits[:0], 0
	}
	for at := 0; at < len(s); at = end {
		r, size := utf8.DecodeRuneInString(s[at:])
		end = at + size
		switch {
		case unicode.IsDigit(r):
			digits, gap = append(digits, at), 0
		case len(digits) > 0 && gap < 3 && (unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune("-().\u00ad\u2010\u2011\u2012\u2013", r)):
			gap++
		default:
			flush()
		}
	}
	flush()
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}
