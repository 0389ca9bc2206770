package config

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Retention is [retention]: how much is kept, and how long.
type Retention struct {
	CallsDays            int  `toml:"calls_days"`
	MaxSize              Size `toml:"max_size"`
	WaitForConsumersDays int  `toml:"wait_for_consumers_days"`

	// The PBX's own files are touched only if this is asked for.
	RecordingsDays int `toml:"recordings_days"`
	VoicemailDays  int `toml:"voicemail_days"`
}

// CallsAge is how old an entry of the journal may get; 0: any age.
func (r Retention) CallsAge() time.Duration { return days(r.CallsDays) }

// ConsumersAge is how old an entry may get while a consumer still needs it; 0:
// any age.
func (r Retention) ConsumersAge() time.Duration { return days(r.WaitForConsumersDays) }

// RecordingsAge is how old a recording may get; 0: any age.
func (r Retention) RecordingsAge() time.Duration { return days(r.RecordingsDays) }

// VoicemailAge is how old a message in a mailbox may get; 0: any age.
func (r Retention) VoicemailAge() time.Duration { return days(r.VoicemailDays) }

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

const (
	maxDays = 36500
	// A journal that may not even hold some days of calls is a slip of the pen.
	leastSize = 100e6
)

func (v *validator) retention() {
	r := v.c.Retention
	for _, d := range []struct {
		key string
		n   int
	}{{"calls_days", r.CallsDays}, {"wait_for_consumers_days", r.WaitForConsumersDays}, {"recordings_days", r.RecordingsDays}, {"voicemail_days", r.VoicemailDays}} {
		if d.n < 0 || d.n > maxDays {
			v.wrong("retention."+d.key, "%d: want days from 1 to %d, or 0 for ever", d.n, maxDays)
		}
	}
	for _, d := range []struct {
		key string
		n   int
	}{{"recordings_days", r.RecordingsDays}, {"voicemail_days", r.VoicemailDays}} {
		if d.n > 0 && r.CallsDays > 0 && d.n >= r.CallsDays {
			v.warn("retention.%s: files are found by the calls that they belong to, and calls are dropped after %d days: choose fewer days for the files, or they stay", d.key, r.CallsDays)
		}
	}
	if r.VoicemailDays > 0 && slices.ContainsFunc(v.c.PBX, func(p PBX) bool { return p.Kind == KindFreeSWITCH && p.VoicemailDir != "" }) {
		v.warn("retention.voicemail_days: FreeSWITCH keeps its messages in a database too, so that they are left alone; set message-expiry in its voicemail profile")
	}
	if s := r.MaxSize; s.bad == "" && s.Bytes > 0 && s.Bytes < leastSize {
		v.wrong("retention.max_size", `%q: want at least "100MB", or "" for no limit`, s)
	}
}

// Size is an amount of bytes written as "20GB": thousands, as disks are sold.
type Size struct {
	Bytes int64 // 0: no limit
	text  string
	bad   string // as Duration's
}

var sizeText = regexp.MustCompile(`^(\d{1,6}(?:\.\d{1,3})?) ?([MGT])B$`)

// UnmarshalText implements encoding.TextUnmarshaler; it never fails.
func (s *Size) UnmarshalText(b []byte) error {
	*s = Size{text: string(b)}
	if s.text == "" {
		return nil
	}
	m := sizeText.FindStringSubmatch(s.text)
	if m == nil {
		s.bad = s.text
		return nil
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		s.bad = s.text
		return nil
	}
	s.Bytes = int64(math.Round(n * math.Pow10(6+3*strings.Index("MGT", m[2]))))
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.text), nil }

func (s Size) String() string { return s.text }

func (v *checker) size(key string, s Size) {
	k, there := v.places[key]
	switch {
	case there && k.kind != unstable.String:
		v.wrong(key, `want an amount in quotes, as "500MB" or "20GB"`)
	case s.bad != "":
		v.wrong(key, `%q is no amount: want a number of MB, GB or TB, as "500MB" or "20GB"`, s.bad)
	}
}
