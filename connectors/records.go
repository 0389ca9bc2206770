package connectors

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"calljournal/agent/call"
)

// Records reads what a PBX writes of its calls into facts of the kind
// call.Reported. It goes through them in their order, because one may tell how
// another is to be read (the time zone).
type Records interface {
	// Read reads one record: a line of a file, or a whole file of a folder. seen
	// is when it was read. Some state nothing (a heading): then the event has no
	// Kind. It fails with ErrUnfinished if the record goes on in the next line,
	// with ErrNoID if it does not say whose it is, else because it is not readable.
	Read(record []byte, seen call.Moment) (call.Event, error)
}

// What can be wrong with a record, for errors.Is.
var (
	ErrUnfinished = errors.New("the record goes on in the next line")
	ErrNoID       = errors.New("the record does not name its channel's unique id")
)

// LongestText is how many bytes of a value in a record are kept: names and
// numbers come from outside.
const LongestText = 512

// Text is what is kept of a value in a record: valid UTF-8 of at most LongestText
// bytes, cut before a letter.
func Text(value string) string {
	value = strings.ToValidUTF8(value, "\uFFFD") // which may be longer
	if len(value) <= LongestText {
		return value
	}
	end := LongestText
	for !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
}

// Stamp reads a local time as both PBXs write it, time.DateTime. One of a year in
// which no PBX wrote it (0000, 9999) is none: what is computed from it would
// overflow.
func Stamp(s string, zone *time.Location) (at time.Time, ok bool) {
	at, err := time.ParseInLocation(time.DateTime, s, zone)
	return at, err == nil && at.Year() >= 1980 && at.Year() < 2200
}

// IsStamp finds the columns with times.
func IsStamp(s string) bool {
	_, ok := Stamp(s, time.UTC)
	return ok
}
