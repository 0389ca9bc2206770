package web

import (
	"maps"
	"slices"
)

// reportsPage is where the report of a period is made.
type reportsPage struct {
	*selection
	Ask       []chip   // what the interface is asked, as hidden fields
	Formats   []string // the first is what most want
	Languages []option
}

func (s *Site) reports(v *visit) (any, error) {
	sel, err := v.selection("last-month")
	if err != nil {
		return nil, err
	}
	p := &reportsPage{selection: sel, Formats: []string{"pdf", "xlsx", "csv"}}
	ask := sel.Query()
	if word := sel.Period.Word; word != "" { // the report names it, and knows that it is not over
		ask.Del("from")
		ask.Del("to")
		ask.Set("period", word)
	}
	for _, name := range slices.Sorted(maps.Keys(ask)) {
		for _, value := range ask[name] {
			p.Ask = append(p.Ask, chip{Name: name, Text: value})
		}
	}
	for _, l := range s.words.all {
		p.Languages = append(p.Languages, option{l.Code, l.Name, l == v.Lang})
	}
	return p, nil
}
