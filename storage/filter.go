package storage

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// filter is a Query made ready to be asked of columns, of summaries and of
// records. All three give the same answer, but that columns may say "perhaps".
type filter struct {
	from, to   int64 // of started_at
	directions uint64
	statuses   uint64 // bits, by number; bit 0 is what no word stands for
	required   uint64 // flags that must be set
	forbidden  uint64 // flags that must not
	types, has uint64 // flags of which one must be set; 0: any call
	talk, wait bounds
	hours      *Hours
	words      []wordChoice
	terms      []term
	record     func(*call.Record) bool
	none       bool     // there is no such call
	part       bool     // the record decides
	textual    bool     // words or terms: a summary with flagCut cannot answer
	digits     [][]byte // if nothing but digits is asked for as text: where no word has them, one is in the summary as it is written
}

type bounds struct{ least, most int32 } // least 0: unknown will do too

// wordChoice is words of which a call must have one.
type wordChoice []uint64

// term is a text that must be in a call.
type term struct {
	texts []string   // any of them
	lower bool       // texts are in small letters, and names count as well as numbers
	words wordChoice // words with one of the texts in them
	num   uint64     // of the call whose id it is; 0: of none
}

// The words of Query.Has.
var hasFlags = map[string]uint64{"recording": flagRecording, "voicemail": flagVoicemail, "fax": flagFax}

func (d *DB) newFilter(q *Query) (filter, error) {
	f := filter{from: math.MinInt64, to: math.MaxInt64, talk: bounds{0, math.MaxInt32}, wait: bounds{0, math.MaxInt32}, hours: q.Hours}
	if q.From != 0 {
		f.from = int64(q.From)
	}
	if q.To != 0 {
		f.to = int64(q.To)
	}
	f.directions = f.choice(q.Direction, directions)
	f.statuses = f.choice(q.Status, statuses)
	if q.Missed != nil {
		if *q.Missed {
			f.required |= flagMissed
		} else {
			f.forbidden |= flagMissed
		}
	}
	for _, t := range q.Type {
		if i := slices.Index(callTypes, t); i >= 0 {
			f.types |= flagTypes << i
		}
	}
	for _, what := range q.Has {
		f.has |= hasFlags[what]
	}
	f.none = f.none || len(q.Type) > 0 && f.types == 0 || len(q.Has) > 0 && f.has == 0
	for _, b := range []struct {
		bound *time.Duration
		into  *int32
	}{{q.MinTalk, &f.talk.least}, {q.MaxTalk, &f.talk.most}, {q.MinWait, &f.wait.least}, {q.MaxWait, &f.wait.most}} {
		if b.bound != nil {
			*b.into = 1 + clamp(b.bound.Milliseconds()) // as a column has it
		}
	}
	if q.MaxTalk != nil {
		f.talk.least = max(f.talk.least, 1)
	}
	if q.MaxWait != nil {
		f.wait.least = max(f.wait.least, 1)
	}
	terms := q.terms()
	if len(terms) > maxTerms {
		return f, fmt.Errorf("a text of more than %d words: %w", maxTerms, ErrQuery)
	}
	d.mu.RLock()
	for _, c := range []struct {
		asked []string
		of    []uint64
	}{
		{q.Employee, []uint64{wordOfEmployee, wordOfExtension}}, {q.Department, []uint64{wordOfDepartment}},
		{q.Queue, []uint64{wordOfQueue}}, {q.Line, []uint64{wordOfLine}}, {q.Source, []uint64{wordOfSource}}, {q.Trunk, []uint64{wordOfTrunk}},
	} {
		if len(c.asked) > 0 {
			f.words = append(f.words, d.words.choice(c.asked, c.of))
		}
	}
	if numbers := q.numbers(); len(numbers) > 0 {
		t := term{texts: numbers}
		t.words = d.words.having(t.texts, func(of uint64) bool { return of == wordOfExtension }, func(s string) string { return s })
		f.terms = append(f.terms, t)
	}
	for _, text := range terms {
		t := term{texts: []string{strings.ToLower(plainNumber(text))}, lower: true}
		t.words = d.words.having(t.texts, func(uint64) bool { return true }, strings.ToLower)
		f.terms = append(f.terms, t)
	}
	d.mu.RUnlock()
	if err := d.findIDs(terms, f.terms); err != nil {
		return f, err
	}
	f.textual = len(f.words)+len(f.terms) > 0
	if len(f.terms) == 1 && f.terms[0].num == 0 {
		for _, text := range f.terms[0].texts {
			if strings.Trim(text, "0123456789") != "" {
				f.digits = nil
				break
			}
			f.digits = append(f.digits, []byte(text))
		}
	}
	f.part = q.Part != "" && len(q.Employee)+len(q.Department) > 0
	asked := *q
	f.record = func(r *call.Record) bool { return asked.Matches(r) }
	return f, nil
}

const maxTerms = 16

// findIDs sees whether a word of Query.Text is the id of a call.
func (d *DB) findIDs(words []string, terms []term) error {
	if len(words) == 0 {
		return nil
	}
	terms = terms[len(terms)-len(words):]
	return d.view(func(tx *bolt.Tx) error {
		for i, id := range words {
			key := idKey(id)
			v := inCalls.of(tx).Get(key)
			if v == nil {
				continue
			}
			r, err := d.codec.decodeRef(key, v)
			if err != nil {
				return damagedAt(inCalls, key, err)
			}
			terms[i].num = r.num
		}
		return nil
	})
}

// choice makes bits of the words that are asked for.
func (f *filter) choice(asked, of []string) uint64 {
	if len(asked) == 0 {
		return math.MaxUint64
	}
	var bits uint64
	for _, word := range asked {
		bits |= 1 << indexOf(of, word)
	}
	bits &^= 1
	f.none = f.none || bits == 0
	return bits
}

// choice gives words by what they say and what they are of a call.
func (w *words) choice(asked []string, of []uint64) wordChoice {
	c := wordChoice{}
	for _, text := range asked {
		if n, ok := w.number[text]; ok {
			for _, o := range of {
				c = append(c, wordAs(n, o))
			}
		}
	}
	return c
}

// having gives the words in which one of the texts is.
func (w *words) having(texts []string, of func(uint64) bool, written func(string) string) wordChoice {
	c := wordChoice{}
	for i, text := range w.text {
		text = written(text)
		if slices.ContainsFunc(texts, func(part string) bool { return strings.Contains(text, part) }) {
			for o := range uint64(1) << wordShift {
				if of(o) {
					c = append(c, wordAs(uint64(i+1), o))
				}
			}
		}
	}
	return c
}

// plainNumber takes the punctuation out of a number as people write it.
func plainNumber(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789+ ().-/", r) }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" ().-/", r) {
			return -1
		}
		return r
	}, s)
}

// numbers are what Number asks for, without punctuation.
func (q *Query) numbers() []string {
	return slices.DeleteFunc(mapped(q.Number, plainNumber), func(n string) bool { return n == "" })
}

// terms are the words of Text; punctuation alone is none.
func (q *Query) terms() []string {
	return slices.DeleteFunc(strings.Fields(q.Text), func(w string) bool { return plainNumber(w) == "" })
}

func mapped(list []string, f func(string) string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = f(s)
	}
	return out
}

// Matches says whether a record is asked for.
func (q *Query) Matches(r *call.Record) bool {
	oneOf := func(asked []string, has ...*string) bool {
		return len(asked) == 0 || slices.ContainsFunc(has, func(s *string) bool { return s != nil && *s != "" && slices.Contains(asked, *s) })
	}
	if q.From != 0 && r.StartedAt < q.From || q.To != 0 && r.StartedAt >= q.To ||
		len(q.Direction) > 0 && !slices.Contains(q.Direction, r.Direction) ||
		len(q.Status) > 0 && !slices.Contains(q.Status, r.Status) ||
		q.Missed != nil && *q.Missed != r.Missed {
		return false
	}
	if len(q.Type) > 0 && !slices.ContainsFunc(r.Types, func(t string) bool { return slices.Contains(q.Type, t) }) {
		return false
	}
	if len(q.Has) > 0 && !slices.ContainsFunc(q.Has, func(what string) bool {
		return what == "recording" && len(r.Recordings) > 0 || what == "voicemail" && r.Voicemail != nil || what == "fax" && r.Fax != nil
	}) {
		return false
	}
	within := func(ms *int64, least, most *time.Duration) bool {
		return least == nil && most == nil || ms != nil &&
			(least == nil || clamp(*ms) >= clamp(least.Milliseconds())) && (most == nil || clamp(*ms) <= clamp(most.Milliseconds()))
	}
	if !within(r.TalkMs, q.MinTalk, q.MaxTalk) || !within(r.WaitMs, q.MinWait, q.MaxWait) || q.Hours != nil && !q.Hours.has(r.StartedAt) {
		return false
	}
	var extensions, people, departments, queues, lines []*string
	add := func(extension, employee, department *string) {
		extensions = append(extensions, extension)
		people = append(people, extension, employee)
		departments = append(departments, department)
	}
	add(r.From.Extension, r.From.Employee, r.From.Department)
	add(r.To.Extension, r.To.Employee, r.To.Department)
	for i := range r.Legs {
		add(r.Legs[i].Extension, r.Legs[i].Employee, r.Legs[i].Department)
	}
	for i := range r.Queues {
		queues = append(queues, &r.Queues[i])
	}
	var source *string
	if r.Line != nil {
		lines = append(lines, &r.Line.Number, r.Line.Name)
		source = r.Line.Source
	}
	if !oneOf(q.Employee, people...) || !oneOf(q.Department, departments...) || !oneOf(q.Queue, queues...) ||
		!q.hadPart(r) || !oneOf(q.Line, lines...) || !oneOf(q.Source, source) || !oneOf(q.Trunk, r.Trunk) {
		return false
	}
	if n := q.numbers(); len(n) > 0 && !slices.ContainsFunc(n, func(part string) bool { return recordHasNumber(r, part) }) {
		return false
	}
	texts := slices.Concat(people, departments, queues, lines, []*string{source, r.Trunk, r.Account, r.From.Name, r.To.Name})
	for i := range r.Tags {
		texts = append(texts, &r.Tags[i])
	}
	eachNumber(r, func(n string) { texts = append(texts, &n) })
	for _, word := range q.terms() {
		part := strings.ToLower(plainNumber(word))
		if word != r.ID && !slices.ContainsFunc(texts, func(s *string) bool { return s != nil && *s != "" && strings.Contains(strings.ToLower(*s), part) }) {
			return false
		}
	}
	return true
}

// hadPart says whether those who are asked for had the part that is asked for.
func (q *Query) hadPart(r *call.Record) bool {
	if q.Part == "" {
		return true
	}
	if len(q.Employee) > 0 {
		return journal.HadPart(r, q.Part, journal.ByEmployee, q.Employee)
	}
	return len(q.Department) == 0 || journal.HadPart(r, q.Part, journal.ByDepartment, q.Department)
}

func recordHasNumber(r *call.Record, part string) bool {
	found := false
	eachNumber(r, func(n string) { found = found || strings.Contains(n, part) })
	for _, e := range []*string{r.From.Extension, r.To.Extension} {
		found = found || e != nil && strings.Contains(*e, part)
	}
	for i := range r.Legs {
		e := r.Legs[i].Extension
		found = found || e != nil && strings.Contains(*e, part)
	}
	return found
}
