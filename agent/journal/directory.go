package journal

import (
	"cmp"
	"slices"
	"strings"

	"calljournal/agent/call"

	"github.com/nyaruka/phonenumbers"
)

// Employee is who sits at an extension.
type Employee struct {
	Extension, Name, Department string
}

// Line is a number of the company, and where its callers come from.
type Line struct {
	Number, Name, Source string
}

// Directory knows the company's employees and numbers. It never changes and may
// be used by several goroutines at once.
type Directory struct {
	country   string
	employees map[string]*Employee
	lines     map[string]*Line // by E.164 if the number has one, else by its digits
}

// NewDirectory makes a Directory. country is the two letters by whose rules a
// national number is read; with "" only numbers that begin with + have an E.164.
func NewDirectory(country string, employees []Employee, lines []Line) *Directory {
	d := &Directory{country: country, employees: map[string]*Employee{}, lines: map[string]*Line{}}
	for _, e := range employees {
		d.employees[e.Extension] = &e
	}
	for _, l := range lines {
		d.lines[d.key(l.Number)] = &l
	}
	return d
}

// Employees are all of them, by their names.
func (d *Directory) Employees() []Employee {
	list := make([]Employee, 0, len(d.employees))
	for _, e := range d.employees {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b Employee) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Extension, b.Extension))
	})
	return list
}

// Lines are all of them, by their numbers.
func (d *Directory) Lines() []Line {
	list := make([]Line, 0, len(d.lines))
	for _, l := range d.lines {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b Line) int { return strings.Compare(a.Number, b.Number) })
	return list
}

// Enrich fills in what the company knows: employees and departments by their
// extensions, the line's name and source, the numbers as E.164. Doing it again
// changes nothing.
func (d *Directory) Enrich(r *call.Record) {
	d.party(&r.From)
	d.party(&r.To)
	for i := range r.Legs {
		l := &r.Legs[i]
		l.Employee, l.Department = d.employee(l.Extension)
	}
	d.line(r)
}

func (d *Directory) party(p *call.Party) {
	p.Employee, p.Department = d.employee(p.Extension)
	if p.Extension == nil && p.Number != nil {
		p.E164 = d.E164(*p.Number)
	}
}

func (d *Directory) employee(extension *string) (name, department *string) {
	if extension == nil {
		return nil, nil
	}
	e, ok := d.employees[*extension]
	if !ok {
		return nil, nil
	}
	return known(&e.Name), known(&e.Department)
}

// line names the line that the PBX said; where it did not say, an inbound call
// asked for one of the company's numbers all the same.
func (d *Directory) line(r *call.Record) {
	if r.Line == nil {
		if r.Direction != call.Inbound || r.To.Number == nil || d.lines[d.keyIn(r, *r.To.Number)] == nil {
			return
		}
		r.Line = &call.Line{Number: *r.To.Number}
	}
	r.Line.Name, r.Line.Source = nil, nil
	if l := d.lines[d.keyIn(r, r.Line.Number)]; l != nil {
		r.Line.Name, r.Line.Source = known(&l.Name), known(&l.Source)
	}
}

// keyIn is key for a number of a record whose parties are known: mostly it is the
// number that was called, and reading a number is the dearest part of Enrich.
func (d *Directory) keyIn(r *call.Record, number string) string {
	if r.To.E164 != nil && r.To.Number != nil && *r.To.Number == number {
		return *r.To.E164
	}
	return d.key(number)
}

// LineName is the name of the company's own number, "" if it has none.
func (d *Directory) LineName(number string) string {
	if l := d.lines[d.key(number)]; l != nil {
		return l.Name
	}
	return ""
}

func known(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

// key makes the ways in which one number is written equal.
func (d *Directory) key(number string) string {
	if e := d.E164(number); e != nil {
		return *e
	}
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, number)
}

// Key is a number as people write it in the form of OutsideNumber.
func (d *Directory) Key(number string) string {
	if e := d.E164(number); e != nil {
		return *e
	}
	return plainNumber(number)
}

// maxNumber is longer than any number that can be dialled: 15 digits with a
// prefix and the usual punctuation.
const maxNumber = 32

// E164 is number as the whole world dials it, or nil if that is not certain:
// an extension, a service number, a withheld or invented one.
func (d *Directory) E164(number string) *string {
	n := d.parse(number)
	if n == nil {
		return nil
	}
	e := phonenumbers.Format(n, phonenumbers.E164)
	return &e
}

// National is the part of number that stays, whether it is dialled from its own
// country or from abroad: 9161122001 of 8 916 112-20-01. It is nil where E164 is.
func (d *Directory) National(number string) *string {
	n := d.parse(number)
	if n == nil {
		return nil
	}
	national := phonenumbers.GetNationalSignificantNumber(n)
	return &national
}

func (d *Directory) parse(number string) *phonenumbers.PhoneNumber {
	if len(number) < 5 || len(number) > maxNumber || strings.ContainsFunc(number, notOfANumber) {
		return nil
	}
	if d.country == "" && number[0] != '+' {
		return nil
	}
	n, err := phonenumbers.Parse(number, d.country)
	if err != nil || !phonenumbers.IsValidNumber(n) {
		return nil
	}
	return n
}

// notOfANumber refuses letters, which the library would read as keys of a
// phone, and everything that is no punctuation of numbers.
func notOfANumber(r rune) bool { return !strings.ContainsRune("0123456789+-() .", r) }
