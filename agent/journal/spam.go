package journal

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// SpamBy says what made a call spam.
type SpamBy uint8

// What makes a call spam, the stronger first.
const (
	SpamNot    SpamBy = iota
	SpamHand          // a person put the number on the list
	SpamNumber        // the number stands in the file
	SpamPrefix        // it begins with one that stands there
	SpamShort         // Rules.SpamShortCalls
)

// SpamList is the numbers and prefixes of spammers. It never changes.
type SpamList struct {
	numbers  map[string]SpamBy
	prefixes map[string]struct{}
	lengths  []int // of the prefixes, ascending
}

const (
	maxSpamEntries = 1 << 20
	maxSpamLine    = 1 << 10
)

// NewSpamList makes a list of the numbers that people named and the entries of
// the file. An entry is a number, or, if it ends with * or is no whole number,
// the digits with which one begins, its country code included. d reads numbers
// as it does those of callers.
func NewSpamList(d *Directory, byHand, file []string) *SpamList {
	s := &SpamList{numbers: map[string]SpamBy{}, prefixes: map[string]struct{}{}}
	for _, entry := range file {
		if e := d.E164(entry); e != nil {
			s.numbers[*e] = SpamNumber
			continue
		}
		if digits := strings.Map(digit, entry); digits != "" {
			s.prefixes[digits] = struct{}{}
			if i, have := slices.BinarySearch(s.lengths, len(digits)); !have {
				s.lengths = slices.Insert(s.lengths, i, len(digits))
			}
		}
	}
	for _, number := range byHand {
		if n := d.Key(number); n != "" {
			s.numbers[n] = SpamHand
		}
	}
	return s
}

// Match says why a number, as OutsideNumber writes it, is spam, and how many of
// its digits were enough to know.
func (s *SpamList) Match(number string) (by SpamBy, digits int) {
	if s == nil || number == "" {
		return SpamNot, 0
	}
	plain := strings.TrimPrefix(number, "+")
	if by := s.numbers[number]; by != SpamNot {
		return by, len(plain)
	}
	if number[0] == '=' || number[0] == '?' {
		return SpamNot, 0
	}
	for _, n := range s.lengths {
		if n > len(plain) {
			break
		}
		if _, ok := s.prefixes[plain[:n]]; ok {
			return SpamPrefix, n
		}
	}
	return SpamNot, 0
}

// ReadSpamFile reads one entry a line; # begins a comment.
func ReadSpamFile(r io.Reader) ([]string, error) {
	var entries []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxSpamLine)
	for n := 1; lines.Scan(); n++ {
		entry, _, _ := strings.Cut(lines.Text(), "#")
		entry = strings.TrimSpace(strings.TrimPrefix(entry, "\ufeff"))
		if entry == "" {
			continue
		}
		if strings.ContainsFunc(strings.TrimSuffix(entry, "*"), notOfANumber) || strings.Map(digit, entry) == "" {
			return nil, fmt.Errorf("line %d: %.40q is no number: want digits, with * at the end for a prefix", n, entry)
		}
		if len(entries) == maxSpamEntries {
			return nil, fmt.Errorf("line %d: more than %d numbers: use prefixes", n, maxSpamEntries)
		}
		entries = append(entries, entry)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("after %d numbers: %w", len(entries), err)
	}
	return entries, nil
}
