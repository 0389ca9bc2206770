package storage

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"calljournal/agent/call"
)

// A summary is what queries know of a call without reading its record: some
// sixty bytes, in order of time. It is made from the record alone, so that the
// whole index can be made again.
//
//	seq, direction, status, flags, durations..., words..., numbers...
//
// Everything is a uvarint but the numbers, which are length and bytes. A word is
// its number in the table of words, shifted left over what it is of the call.
type summary struct {
	seq       uint64
	direction uint64 // 1 + index in directions, 0: another
	status    uint64 // 1 + index in statuses, 0: another
	flags     uint64
	durations [durationCount]uint64 // 1 + zigzag milliseconds, 0: unknown
	words     []uint64              // word<<wordShift | wordOf...
	numbers   []string
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
	wordShift = 3
)

const (
	maxSummaryNumbers = 16
	maxSummaryWords   = 64
	maxNumberBytes    = 48
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
			s.durations[i] = 1 + uint64(*ms)<<1 ^ uint64(*ms>>63)
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
		addWord(wordOfSource, r.Line.Source)
	}
	addWord(wordOfTrunk, r.Trunk)
	eachNumber(r, s.addNumber)
	return s
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
	for i, have := range s.numbers {
		if strings.Contains(have, number) {
			return
		}
		if strings.Contains(number, have) {
			s.numbers[i] = number
			return
		}
	}
	if len(s.numbers) >= maxSummaryNumbers {
		s.flags |= flagCut
		return
	}
	s.numbers = append(s.numbers, number)
}

func (s *summary) append(b []byte) []byte {
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
	b = binary.AppendUvarint(b, uint64(len(s.numbers)))
	for _, n := range s.numbers {
		b = binary.AppendUvarint(b, uint64(len(n)))
		b = append(b, n...)
	}
	return b
}

// parse reads what append wrote, into s, whose slices it uses again. What
// follows is a later version's and no concern of this one.
func (s *summary) parse(b []byte) error {
	ok := true
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			ok = false
			return 0
		}
		b = b[n:]
		return v
	}
	s.seq, s.direction, s.status, s.flags = next(), next(), next(), next()
	for i := range s.durations {
		s.durations[i] = next()
	}
	s.words, s.numbers = s.words[:0], s.numbers[:0]
	for n := next(); ok && n > 0; n-- {
		s.words = append(s.words, next())
	}
	for n := next(); ok && n > 0; n-- {
		size := next()
		if size > uint64(len(b)) {
			ok = false
			break
		}
		s.numbers = append(s.numbers, string(b[:size]))
		b = b[size:]
	}
	if !ok {
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
