package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is where a key stands in the file, and what kind of value it has.
type place struct {
	line, column           int // of the key
	valueLine, valueColumn int
	kind                   unstable.Kind
}

// placeOf is the place of a key, and of its value where that is known: of a list it
// is not.
func placeOf(p *unstable.Parser, key unstable.Range, value *unstable.Node) place {
	at := p.Shape(key).Start
	out := place{at.Line, at.Column, at.Line, at.Column, value.Kind}
	if value.Raw.Length > 0 {
		at = p.Shape(value.Raw).Start
		out.valueLine, out.valueColumn = at.Line, at.Column
	}
	return out
}

// index finds the places of all keys, under paths such as "pbx[0].name". data
// has been decoded before, so that it is known to be TOML.
func index(data []byte) map[string]place {
	places := map[string]place{}
	tables := map[string]int{} // how many [[x]] there have been
	p := unstable.Parser{}
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = ""
			var names []string
			var at unstable.Range
			for it := e.Key(); it.Next(); {
				names = append(names, string(it.Node().Data))
				if len(names) == 1 {
					at = it.Node().Raw
				}
			}
			for i, name := range names {
				table = join(table, name)
				last := i == len(names)-1
				if last && e.Kind == unstable.ArrayTable {
					tables[table]++
				}
				if n := tables[table]; n > 0 {
					table = fmt.Sprintf("%s[%d]", table, n-1)
				}
			}
			start := p.Shape(at).Start
			places[table] = place{start.Line, start.Column, start.Line, start.Column, e.Kind}
		case unstable.KeyValue:
			indexValue(&p, places, table, e)
		}
	}
	return places
}

// indexValue takes in "a.b = value", and values inside inline tables and arrays.
func indexValue(p *unstable.Parser, places map[string]place, table string, kv *unstable.Node) {
	path := table
	var at unstable.Range
	first := true
	for it := kv.Key(); it.Next(); {
		path = join(path, string(it.Node().Data))
		if first {
			at, first = it.Node().Raw, false
		}
	}
	here := placeOf(p, at, kv.Value())
	places[path] = here
	indexChildren(p, places, path, here, kv.Value())
}

func indexChildren(p *unstable.Parser, places map[string]place, path string, at place, value *unstable.Node) {
	switch value.Kind {
	case unstable.InlineTable:
		for it := value.Children(); it.Next(); {
			indexValue(p, places, path, it.Node())
		}
	case unstable.Array:
		i := 0
		for it := value.Children(); it.Next(); i++ {
			item := fmt.Sprintf("%s[%d]", path, i)
			at.kind = it.Node().Kind
			places[item] = at
			indexChildren(p, places, item, at, it.Node())
		}
	}
}

func join(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

// layout is the keys that a kind of file may have: a struct with toml tags.
type layout struct{ root reflect.Type }

func layoutOf[T any]() layout { return layout{reflect.TypeFor[T]()} }

// tableOf is the struct that holds the keys of a table, or nil.
func (l layout) tableOf(path []string) reflect.Type {
	t := l.root
	for _, name := range path {
		f, ok := field(t, name)
		if !ok {
			return nil
		}
		t = f
		for t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if !isTable(t) {
			return nil
		}
	}
	return t
}

func field(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && f.Tag.Get("toml") == name {
			return f.Type, true
		}
	}
	return nil, false
}

func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]() && t != reflect.TypeFor[Duration]() && t != reflect.TypeFor[Size]()
}

// keysOf lists the keys of a table in the order of the contract.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && f.Tag.Get("toml") != "-" {
			keys = append(keys, f.Tag.Get("toml"))
		}
	}
	return keys
}

// unknownKey says which key was probably meant: one of the same table that
// looks like it, else one of that very name in another table, else the nearest.
// meant is the first of these.
func (l layout) unknownKey(path []string) (text, meant string) {
	name := path[len(path)-1]
	parent := l.tableOf(path[:len(path)-1])
	depth := len(path) - 1
	for parent == nil { // the table itself is unknown: it is the mistake
		depth--
		name, parent = path[depth], l.tableOf(path[:depth])
	}
	near, distance := nearest(name, keysOf(parent))
	if limit := max(2, len(name)/3); distance > limit {
		if table := l.tableWith(name); table != "" {
			return fmt.Sprintf("unknown key; did you mean %q in %s?", name, table), ""
		}
		return fmt.Sprintf("unknown key; did you mean %q?", near), ""
	}
	return fmt.Sprintf("unknown key; did you mean %q?", near), near
}

// tableWith finds the first table that has a key of this name, as "[http]".
func (l layout) tableWith(name string) string {
	var find func(t reflect.Type, path string) string
	find = func(t reflect.Type, path string) string {
		for i := range t.NumField() {
			f := t.Field(i)
			key := f.Tag.Get("toml")
			if !f.IsExported() || key == "-" {
				continue
			}
			ft, brackets := f.Type, "[%s]"
			if ft.Kind() == reflect.Slice {
				ft, brackets = ft.Elem(), "[[%s]]"
			}
			if !isTable(ft) {
				continue
			}
			here := join(path, key)
			if _, ok := field(ft, name); ok {
				return fmt.Sprintf(brackets, here)
			}
			if found := find(ft, here); found != "" {
				return found
			}
		}
		return ""
	}
	return find(l.root, "")
}

// wanted names the type of the value at path in an administrator's words.
func (l layout) wanted(path []string) string {
	if len(path) == 0 {
		return ""
	}
	parent := l.tableOf(path[:len(path)-1])
	if parent == nil {
		return ""
	}
	t, ok := field(parent, path[len(path)-1])
	if !ok {
		return ""
	}
	return wantedOf(t, strings.Join(path, "."))
}

// wantedOf is wanted of a type whose path is known.
func wantedOf(t reflect.Type, path string) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return `a length of time in quotes, as "30s"`
	case t == reflect.TypeFor[Size]():
		return `an amount in quotes, as "20GB"`
	case t.Kind() == reflect.Slice && isTable(t.Elem()):
		return "a table of its own for each: [[" + path + "]]"
	case isTable(t):
		return "a table: [" + path + "]"
	case t == reflect.TypeFor[[]int]():
		return `a list of whole numbers, as [9, 10]`
	case t.Kind() == reflect.Slice:
		return `a list of texts, as ["a", "b"]`
	case t.Kind() == reflect.Bool, t == reflect.TypeFor[*bool]():
		return "true or false, without quotes"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return "a whole number, without quotes"
	case t.Kind() == reflect.Map:
		return `a table, as { "101" = 7 }`
	}
	return "a text in quotes: " + path[strings.LastIndex(path, ".")+1:] + ` = "..."`
}

// nearest is the candidate with the fewest edits from name.
func nearest(name string, candidates []string) (string, int) {
	best, least := "", 1<<30
	for _, c := range candidates {
		if d := edits(strings.ToLower(name), c); d < least {
			best, least = c, d
		}
	}
	return best, least
}

// edits counts insertions, deletions, replacements and swaps of neighbours.
func edits(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 {
		x = x[:64]
	}
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}
