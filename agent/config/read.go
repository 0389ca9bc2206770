package config

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// findings is what reading a file has found before its values are looked at.
type findings struct {
	places   map[string]place
	problems []Problem
	// dropped are the paths of what was left out because of a problem: what else is
	// said of them follows from that.
	dropped []string
}

// readTOML reads a file into a copy of start, and what is wrong with its keys and
// types. A value of the wrong type, or under an unknown key, is left out, so that the
// rest can be looked at too. No places: it is no TOML, and the copy is of no use.
func readTOML[T any](data []byte, start T) (T, findings) {
	data, problem := plainText(data)
	if problem != nil {
		return start, findings{problems: []Problem{*problem}}
	}
	l := layoutOf[T]()
	c := start
	strict := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	err := strict.Decode(&c)
	if err == nil {
		return c, findings{places: index(data)}
	}
	var tree map[string]any
	if broken := toml.Unmarshal(data, &tree); broken != nil {
		return start, findings{problems: l.decodeProblems(broken, data)}
	}
	s := sieve{layout: l, findings: findings{places: index(data)}}
	s.table(tree, l.root, "")
	rest, unwritten := toml.Marshal(tree)
	c = start
	if len(s.problems) == 0 || unwritten != nil || toml.Unmarshal(rest, &c) != nil { // it objects to something else
		return start, findings{problems: append(s.problems, l.decodeProblems(err, data)...)}
	}
	return c, s.findings
}

// byPlace is the order of the file; what stands nowhere comes last.
func byPlace(a, b Problem) int {
	nowhere := func(p Problem) int {
		if p.Line == 0 {
			return 1
		}
		return 0
	}
	return cmp.Or(nowhere(a)-nowhere(b), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Key, b.Key))
}

// plainText is data without the mark that editors of Windows put before UTF-8.
func plainText(data []byte) ([]byte, *Problem) {
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return nil, &Problem{Text: "is UTF-16: save it as UTF-8"}
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

// sieve takes out of a decoded file what does not fit its layout.
type sieve struct {
	layout
	findings
}

func (s *sieve) drop(path string, line, column int, text string) {
	s.problems = append(s.problems, Problem{line, column, itemNumber.ReplaceAllString(path, ""), text})
	s.dropped = append(s.dropped, path)
}

// dropUnknown points at the key, dropValue at what it has for a value.
func (s *sieve) dropUnknown(path, text string) {
	at := s.where(path)
	s.drop(path, at.line, at.column, text)
}

func (s *sieve) dropValue(path string, t reflect.Type) {
	at := s.where(path)
	s.drop(path, at.valueLine, at.valueColumn, "wrong type: want "+wantedOf(t, itemNumber.ReplaceAllString(path, "")))
}

// where is the place of a key; of a table without a header of its own, that of the first
// key in it.
func (s *sieve) where(path string) place {
	first, found := s.places[path]
	if found || len(s.problems) > 10*maxShown { // the search is long, and nobody will see what it finds
		return first
	}
	for at, p := range s.places {
		below := strings.HasPrefix(at, path+".") || strings.HasPrefix(at, path+"[")
		if below && (!found || p.line < first.line || p.line == first.line && p.column < first.column) {
			first, found = p, true
		}
	}
	if cut := strings.LastIndexAny(path, ".["); !found && cut > 0 {
		return s.where(path[:cut])
	}
	return first
}

func (s *sieve) table(values map[string]any, t reflect.Type, at string) {
	for key, value := range values {
		here := join(at, key)
		f, ok := fieldLike(t, key)
		if !ok {
			text, meant := s.unknownKey(strings.Split(itemNumber.ReplaceAllString(here, ""), "."))
			s.dropUnknown(here, text)
			if meant != "" {
				s.dropped = append(s.dropped, join(at, meant))
			}
			delete(values, key)
			continue
		}
		if s.value(value, f, here) {
			continue
		}
		s.dropValue(here, f)
		delete(values, key)
		if _, many := value.([]any); !many && isText(f) { // what goes with it would say that it is missing
			values[key] = fmt.Sprint(value)
		}
	}
}

// value says whether a value fits a type; of tables, what does not fit is taken out.
func (s *sieve) value(value any, t reflect.Type, at string) bool {
	switch x := value.(type) {
	case map[string]any:
		switch {
		case t.Kind() == reflect.Slice && isTable(t.Elem()): // go-toml takes [pbx] for the only element of a list
			s.table(x, t.Elem(), at)
			return true
		case isTable(t):
			s.table(x, t, at)
			return true
		case t.Kind() != reflect.Map:
			return false
		}
		for key, item := range x {
			if !s.value(item, t.Elem(), join(at, key)) {
				s.dropValue(join(at, key), t.Elem())
				delete(x, key)
			}
		}
		return true
	case []any:
		if t.Kind() != reflect.Slice {
			return false
		}
		for i, item := range x {
			if _, table := item.(map[string]any); table != isTable(t.Elem()) || !s.value(item, t.Elem(), fmt.Sprintf("%s[%d]", at, i)) {
				return false
			}
		}
		return true
	case string:
		return isText(t)
	case int64:
		return t.Kind() == reflect.Int || t.Kind() == reflect.Int64
	case bool:
		return t.Kind() == reflect.Bool || t == reflect.TypeFor[*bool]()
	}
	return false // a fraction or a date: no key wants one
}

func isText(t reflect.Type) bool {
	return t.Kind() == reflect.String || t.Kind() == reflect.Struct && !isTable(t)
}

// fieldLike is field as go-toml finds it: capitals do not count.
func fieldLike(t reflect.Type, name string) (reflect.Type, bool) {
	if f, ok := field(t, name); ok {
		return f, true
	}
	return field(t, strings.ToLower(name))
}

// consequence says whether a problem at key follows from what was left out.
func (f *findings) consequence(key string) bool {
	return slices.ContainsFunc(f.dropped, func(path string) bool {
		rest, ok := strings.CutPrefix(key, path)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// byteName is how go-toml names the first byte of what it does not expect.
var byteName = regexp.MustCompile(`U\+00[89A-F][0-9A-F] '[^']*'`)

const curly = "“”„‟«»‘’‚‛"

// syntaxText is what is wrong with the TOML at a place, the letter named whole.
func syntaxText(text string, data []byte, line, column int) string {
	lines := bytes.Split(data, []byte("\n"))
	if line < 1 || line > len(lines) || column < 1 || column > len(lines[line-1])+1 {
		return text
	}
	if r, n := utf8.DecodeRune(lines[line-1][column-1:]); n > 1 {
		text = byteName.ReplaceAllLiteralString(text, fmt.Sprintf("%#U", r))
		if strings.ContainsRune(curly, r) {
			return text + `: quotes are written "`
		}
	}
	if last, _ := utf8.DecodeLastRune(bytes.TrimSpace(lines[line-1])); strings.ContainsRune(curly, last) {
		return fmt.Sprintf(`%s: the line ends in %#U, and quotes are written "`, text, last)
	}
	return text
}
