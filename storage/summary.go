package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"calljournal/agent/call"
)

// A summary is what queries know of a call without reading its record: some
// sixty bytes, in order of time. It is made from the record alone, so that the
// whole index can be made again.
//
//	seq, direction, status, flags, durations..., words..., numbers..., lasted,
//	cost, from, to, names...
//
// Everything is a uvarint but the texts, which are length and bytes. A word is
// its number in the table of words, shifted left over what it is of the call. A
// party is 1 + its place among the numbers, or, after the last of these, a text.
type summary struct {
	seq       uint64
	direction uint64 // 1 + index in directions, 0: another
	status    uint64 // 1 + index in statuses, 0: another
	flags     uint64
	durations [durationCount]uint64 // 1 + zigzag milliseconds, 0: unknown
	words     []uint64              // word<<wordShift | wordOf...
	numbers   [][]byte
	lasted    uint64    // from the start to the end: 1 + zigzag milliseconds, 0: unknown
	cost      uint64    // 1 + zigzag millionths, 0: none
	parties   [2][]byte // from, to: by what they are sorted
	names     [][]byte  // of callers, in small letters: for Query.Text
}

// The order of all of these is in the file: only append.
var (
	directions = []string{call.Inbound, call.Outbound, call.Internal}
	statuses   = []string{
		call.StatusAnswered, call.StatusAbandoned, call.StatusNoAnswer, call.StatusBusy, call.StatusRejected,
		call.StatusFailed, call.StatusVoicemail, call.StatusFax, call.StatusSelfService,
	}
	callTypes = []string{"unique", "repeat", "target", "callback", "called_back", "came_back", "lost", "short", "spam"}
)

const (
	flagCut        = 1 << iota // not everything fits in here: the record decides
	flagMissed                 //
	flagRecording              //
	flagVoicemail              //
	flagFax                    //
	flagOriginated             //
	flagDoubtful               // quality is not complete
	flagTypes                  // the first of callTypes, one bit each
)

const (
	durationWait = iota
	durationTotalWait
	durationIVR
	durationQueue
	durationRing
	durationTalk
	durationHold
	durationTotal
	durationCount
)

const (
	wordOfExtension = iota
	wordOfEmployee
	wordOfDepartment
	wordOfQueue
	wordOfLine
	wordOfTrunk
	wordOfSource
	wordOfOther // what only Query.Text finds
	wordShift   = 3
)

const (
	maxSummaryNumbers = 16
	maxSummaryWords   = 64
	maxNumberBytes    = 48
	maxSummaryNames   = 4
	maxNameBytes      = 96
)

// wordAs is word n in what it is of a call.
func wordAs(n, of uint64) uint64 { return n<<wordShift | of }

func indexOf(list []string, s string) uint64 { return uint64(slices.Index(list, s) + 1) }

// summarise makes the summary of a record. word gives the number of a word, or 0
// if there is none to be had.
func summarise(r *call.Record, seq uint64, word func(string) uint64) summary {
	s := summary{seq: seq, direction: indexOf(directions, r.Direction), status: indexOf(statuses, r.Status)}
	set := func(flag uint64, on bool) {
		if on {
			s.flags |= flag
		}
	}
	set(flagMissed, r.Missed)
	set(flagRecording, len(r.Recordings) > 0)
	set(flagVoicemail, r.Voicemail != nil)
	set(flagFax, r.Fax != nil)
	set(flagOriginated, r.Origin == call.OriginOriginated)
	set(flagDoubtful, r.Quality != call.QualityComplete)
	for _, t := range r.Types {
		if i := slices.Index(callTypes, t); i >= 0 {
			set(flagTypes<<i, true)
		}
	}
	for i, ms := range [durationCount]*int64{
		r.WaitMs, r.TotalWaitMs, r.IVRMs, r.QueueMs, r.RingMs, r.TalkMs, r.HoldMs, r.TotalMs,
	} {
		if ms != nil {
			s.durations[i] = zigzag(*ms)
		}
	}
	addWord := func(of uint64, text *string) {
		if text == nil || *text == "" {
			return
		}
		n := word(*text)
		switch w := wordAs(n, of); {
		case n == 0 || len(s.words) >= maxSummaryWords:
			s.flags |= flagCut
		case !slices.Contains(s.words, w):
			s.words = append(s.words, w)
		}
	}
	for _, p := range []*call.Party{&r.From, &r.To} {
		addWord(wordOfExtension, p.Extension)
		addWord(wordOfEmployee, p.Employee)
		addWord(wordOfDepartment, p.Department)
	}
	for i := range r.Legs {
		l := &r.Legs[i]
		addWord(wordOfExtension, l.Extension)
		addWord(wordOfEmployee, l.Employee)
		addWord(wordOfDepartment, l.Department)
	}
	for i := range r.Queues {
		addWord(wordOfQueue, &r.Queues[i])
	}
	if r.Line != nil {
		addWord(wordOfLine, &r.Line.Number)
		addWord(wordOfLine, r.Line.Name)
		addWord(wordOfSource, r.Line.Source)
	}
	addWord(wordOfTrunk, r.Trunk)
	addWord(wordOfOther, r.Account)
	for i := range r.Tags {
		addWord(wordOfOther, &r.Tags[i])
	}
	eachNumber(r, s.addNumber)
	for _, p := range []*call.Party{&r.From, &r.To} {
		if p.Name != nil {
			s.addName(*p.Name)
		}
	}
	if r.EndedAt != 0 {
		s.lasted = zigzag((int64(r.EndedAt.Ms()) - int64(r.StartedAt.Ms())) / 1000)
	}
	if r.Cost != nil {
		if millionths, ok := amount(r.Cost.Amount); ok {
			s.cost = zigzag(millionths)
		}
	}
	s.parties = [2][]byte{partyText(&r.From), partyText(&r.To)}
	return s
}

// zigzag makes small numbers of small ones, below zero as well, and none of them 0.
func zigzag(n int64) uint64 { return 1 + (uint64(n)<<1 ^ uint64(n>>63)) }

func unzigzag(u uint64) (n int64, known bool) {
	if u == 0 {
		return 0, false
	}
	return int64((u-1)>>1) ^ -int64((u-1)&1), true
}

// partyText is what calls are sorted by: of one caller all stand together,
// however his number was written.
func partyText(p *call.Party) []byte {
	for _, text := range []*string{p.E164, p.Number, p.Extension} {
		if text != nil && *text != "" {
			return []byte((*text)[:min(len(*text), maxNumberBytes)])
		}
	}
	return nil
}

// amount reads a decimal as millionths. What it cannot hold is cut.
func amount(decimal string) (millionths int64, ok bool) {
	digits, negative := strings.CutPrefix(decimal, "-")
	whole, part, _ := strings.Cut(digits, ".")
	if whole+part == "" || strings.Trim(whole+part, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+(part + "000000")[:6], 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	if n > maxAmount {
		n = maxAmount
	}
	if negative {
		n = -n
	}
	return n, true
}

const maxAmount = 1 << 60

// addName keeps a name as it is looked for.
func (s *summary) addName(name string) {
	text := []byte(strings.ToLower(name))
	switch {
	case len(text) == 0 || indexOfText(s.names, text) >= 0 || indexOfText(s.numbers, text) >= 0:
	case len(text) > maxNameBytes || len(s.names) >= maxSummaryNames:
		s.flags |= flagCut
	default:
		s.names = append(s.names, text)
	}
}

// eachNumber gives every number of a call that is not also an extension.
func eachNumber(r *call.Record, give func(string)) {
	one := func(number, extension *string) {
		if number != nil && *number != "" && (extension == nil || *extension != *number) {
			give(*number)
		}
	}
	for _, p := range []*call.Party{&r.From, &r.To} {
		one(p.E164, nil)
		one(p.Number, p.Extension)
	}
	if r.Line != nil {
		one(&r.Line.Number, nil)
	}
	for i := range r.Legs {
		one(r.Legs[i].Number, r.Legs[i].Extension)
	}
}

// addNumber keeps a number, unless it is part of one that is kept already.
func (s *summary) addNumber(number string) {
	if len(number) > maxNumberBytes {
		s.flags |= flagCut
		return
	}
	text := []byte(number)
	for i, have := range s.numbers {
		if bytes.Contains(have, text) {
			return
		}
		if bytes.Contains(text, have) {
			s.numbers[i] = text
			return
		}
	}
	if len(s.numbers) >= maxSummaryNumbers {
		s.flags |= flagCut
		return
	}
	s.numbers = append(s.numbers, text)
}

func (s *summary) append(b []byte) []byte {
	b = s.beginning(b)
	b = binary.AppendUvarint(b, s.lasted)
	b = binary.AppendUvarint(b, s.cost)
	for _, p := range s.parties {
		if i := indexOfText(s.numbers, p); i >= 0 || len(p) == 0 {
			b = binary.AppendUvarint(b, uint64(i+1))
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(s.numbers)+1))
		b = appendBytes(b, p)
	}
	return appendTexts(b, s.names)
}

// beginning is what the first summaries consisted of.
func (s *summary) beginning(b []byte) []byte {
	b = binary.AppendUvarint(b, s.seq)
	b = binary.AppendUvarint(b, s.direction)
	b = binary.AppendUvarint(b, s.status)
	b = binary.AppendUvarint(b, s.flags)
	for _, d := range s.durations {
		b = binary.AppendUvarint(b, d)
	}
	b = binary.AppendUvarint(b, uint64(len(s.words)))
	for _, w := range s.words {
		b = binary.AppendUvarint(b, w)
	}
	return appendTexts(b, s.numbers)
}

func indexOfText(texts [][]byte, text []byte) int {
	return slices.IndexFunc(texts, func(t []byte) bool { return bytes.Equal(t, text) })
}

func appendTexts(b []byte, texts [][]byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(texts)))
	for _, text := range texts {
		b = appendBytes(b, text)
	}
	return b
}

// parse reads what append wrote, into s, whose slices it uses again. The texts
// share memory with b. What follows is a later version's and no concern of this
// one; what is missing after the numbers an earlier one did not know.
func (s *summary) parse(b []byte) error {
	p := parts{b: b}
	s.seq, s.direction, s.status, s.flags = p.uvarint(), p.uvarint(), p.uvarint(), p.uvarint()
	for i := range s.durations {
		s.durations[i] = p.uvarint()
	}
	s.words = s.words[:0]
	for n := p.uvarint(); !p.bad && n > 0; n-- {
		s.words = append(s.words, p.uvarint())
	}
	s.numbers = p.list(s.numbers[:0])
	s.lasted, s.cost, s.parties, s.names = 0, 0, [2][]byte{}, s.names[:0]
	if !p.bad && len(p.b) == 0 {
		s.flags |= flagCut
		return nil
	}
	s.lasted, s.cost = p.uvarint(), p.uvarint()
	for i := range s.parties {
		switch k := p.uvarint(); {
		case k == 0:
		case k <= uint64(len(s.numbers)):
			s.parties[i] = s.numbers[k-1]
		case k == uint64(len(s.numbers))+1:
			s.parties[i] = p.bytes()
		default:
			p.bad = true
		}
	}
	s.names = p.list(s.names)
	if p.bad {
		return fmt.Errorf("%w: summary ends too early", ErrDamaged)
	}
	return nil
}

// words is the table of the words that many summaries share: employees, queues,
// lines. It is small, because a company is, and kept in memory.
type words struct {
	number map[string]uint64
	text   []string // text[n-1] is word n
}

const (
	maxWords     = 1 << 17 // beyond it, a summary refers to its record
	maxWordBytes = 200
)

func (w *words) add(text string) uint64 {
	if n, ok := w.number[text]; ok {
		return n
	}
	if len(w.text) >= maxWords || len(text) > maxWordBytes {
		return 0
	}
	w.text = append(w.text, text)
	n := uint64(len(w.text))
	w.number[text] = n
	return n
}

// forget takes back the words after the first n.
func (w *words) forget(n int) {
	for _, text := range w.text[n:] {
		delete(w.number, text)
	}
	w.text = w.text[:n]
}
