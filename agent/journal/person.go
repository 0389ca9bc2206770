package journal

import (
	"strings"

	"calljournal/agent/call"
)

// Person is a number to be found wherever a record may hold it: as a party, as
// what was dialled, in names of channels and files.
type Person struct {
	directory *Directory
	key       string
	tail      string // the last digits of the number: what has not these has not the number
	known     map[string]bool
}

// tailDigits are those that every way of writing a number has in common.
const tailDigits = 6

// NewPerson makes a Person of a number as Directory.Key gives it.
func NewPerson(d *Directory, key string) *Person {
	p := &Person{directory: d, key: key, known: map[string]bool{}}
	if key != "" && key[0] != '=' {
		p.tail = strings.Map(digit, key)
		p.tail = p.tail[max(0, len(p.tail)-tailDigits):]
	}
	return p
}

// In says whether the number has any part in a call.
func (p *Person) In(r *call.Record) bool {
	if OutsideNumber(r) == p.key {
		return true
	}
	for _, n := range []*string{r.From.E164, r.From.Number, r.To.E164, r.To.Number, r.AnsweredBy, r.LastTalkedBy, r.Trunk, r.From.Name, r.To.Name} {
		if n != nil && p.is(*n) {
			return true
		}
	}
	for i := range r.Legs {
		l := &r.Legs[i]
		if l.Number != nil && p.is(*l.Number) || p.is(l.Channel) {
			return true
		}
	}
	for i := range r.Transfers {
		t := &r.Transfers[i]
		if t.To != nil && p.is(*t.To) || t.By != nil && p.is(*t.By) {
			return true
		}
	}
	for i := range r.Timeline {
		if who := r.Timeline[i].Party; who != nil && p.is(*who) {
			return true
		}
	}
	for i := range r.Recordings {
		if f := r.Recordings[i].File; f != nil && p.is(*f) {
			return true
		}
	}
	return false
}

// is says whether a text is the number or has it among its digits.
func (p *Person) is(text string) bool {
	if p.tail == "" {
		return plainNumber(text) == p.key
	}
	if !strings.Contains(text, p.tail) && !strings.ContainsAny(text, " -.()") {
		return false
	}
	if p.number(text) {
		return true
	}
	for run := range strings.FieldsFuncSeq(text, func(r rune) bool { return r != '+' && (r < '0' || r > '9') }) {
		if strings.HasSuffix(run, p.tail) && (p.number(run) || p.number("+"+strings.TrimLeft(run, "+"))) {
			return true
		}
	}
	return false
}

// number says whether a text is the number, written in one way or another.
func (p *Person) number(text string) bool {
	if len(text) > maxNumber {
		return false
	}
	is, ok := p.known[text]
	if !ok {
		is = p.directory.Key(text) == p.key
		if len(p.known) < 10_000 {
			p.known[text] = is
		}
	}
	return is
}
