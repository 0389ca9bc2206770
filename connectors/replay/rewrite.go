package replay

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Rewrite is what of a recording's messages is changed on the way out. The zero
// Rewrite changes nothing.
type Rewrite struct {
	// Shift moves every stamp.
	Shift time.Duration
	// NoStamps leaves the Timestamp headers out, as an Asterisk without
	// timestampevents does.
	NoStamps bool
	// Round, if not zero, gives ids, bridges and serials of channels of their
	// own, so that the same recording can be played again, even overlapping
	// itself.
	Round uint32
	// Numbers replaces numbers of ten digits wherever they stand; the country's
	// prefix before them stays.
	Numbers map[string]string
}

var (
	timestampLine = []byte("Timestamp: ")
	uniqueID      = regexp.MustCompile(`\b(\d{10})\.(\d+)\b`)
	uuidPattern   = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	serial        = regexp.MustCompile(`-([0-9a-f]{8})\b`)
	tenDigits     = regexp.MustCompile(`\d{10,}`)
)

// Message rewrites one message of a recording; of FreeSWITCH's, only events.
func (w Rewrite) Message(r *Recording, m Message) []byte {
	if r.Kind == Asterisk {
		return w.AMI(m.Raw)
	}
	if !isPlainEvent(m) {
		return m.Raw
	}
	e := parseEvent(m.Body)
	e.headers = w.esl(e.headers, r.T0)
	return frame(plainEvent, e.plain())
}

// AMI rewrites one message of Asterisk.
func (w Rewrite) AMI(raw []byte) []byte {
	if !w.NoStamps && w.Shift == 0 && w.Round == 0 && len(w.Numbers) == 0 {
		return raw
	}
	out := make([]byte, 0, len(raw)+32)
	for line := range bytes.Lines(raw) {
		if stamp, ok := bytes.CutPrefix(line, timestampLine); ok {
			if !w.NoStamps {
				out = append(append(out, timestampLine...), w.stamp(string(bytes.TrimSpace(stamp)))...)
				out = append(out, "\r\n"...)
			}
			continue
		}
		out = append(out, w.value(string(line))...)
	}
	return out
}

// stamp moves "seconds.microseconds".
func (w Rewrite) stamp(s string) string {
	whole, frac, _ := strings.Cut(s, ".")
	sec, err1 := strconv.ParseInt(whole, 10, 64)
	us, err2 := strconv.ParseInt(frac, 10, 64)
	if err1 != nil || err2 != nil || len(frac) != 6 {
		return s
	}
	t := sec*1e6 + us + w.Shift.Microseconds()
	return fmt.Sprintf("%d.%06d", t/1e6, t%1e6)
}

// value replaces ids and numbers in a header.
func (w Rewrite) value(s string) string {
	if len(s) < 9 {
		return s // nothing of what is looked for is so short
	}
	if w.Round != 0 {
		s = uniqueID.ReplaceAllStringFunc(s, func(id string) string {
			epoch, seq, _ := strings.Cut(id, ".")
			n, err := strconv.ParseUint(seq, 10, 32)
			if err != nil {
				return id
			}
			return fmt.Sprintf("%s.%d", epoch, n+uint64(w.Round)*100_000)
		})
		s = uuidPattern.ReplaceAllStringFunc(s, w.uuid)
		s = serial.ReplaceAllStringFunc(s, func(x string) string {
			n, err := strconv.ParseUint(x[1:], 16, 32)
			if err != nil {
				return x
			}
			return fmt.Sprintf("-%08x", uint32(n)+w.Round<<12)
		})
	}
	if len(w.Numbers) > 0 {
		s = tenDigits.ReplaceAllStringFunc(s, func(x string) string {
			cut := len(x) - 10
			if to, ok := w.Numbers[x[cut:]]; ok {
				return x[:cut] + to
			}
			return x
		})
	}
	return s
}

// uuid gives another id, always the same one for the same id and round.
func (w Rewrite) uuid(id string) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%d %s", w.Round, id)
	return fmt.Sprintf("%08x%s", h.Sum32(), id[8:])
}

// header is one header of an ESL event, its value decoded.
type header struct{ name, value string }

const twoDays = 48 * time.Hour

var (
	writtenDate  = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`)
	historyEpoch = regexp.MustCompile(`(^|:)(\d{10}):`)
)

const (
	dateLayout = "2006-01-02 15:04:05"
	gmtLayout  = "Mon, 02 Jan 2006 15:04:05 GMT"
)

// esl rewrites the headers of one event of FreeSWITCH. Stamps are told by
// their form and by lying within two days of the recording's time.
func (w Rewrite) esl(headers []header, around time.Time) []header {
	out := make([]header, 0, len(headers))
	for _, h := range headers {
		if h.name != "Core-UUID" {
			h.value = w.value(h.value)
		}
		if w.Shift != 0 {
			h.value = w.eslStamp(h, around)
		}
		out = append(out, h)
	}
	return out
}

func (w Rewrite) eslStamp(h header, around time.Time) string {
	near := func(t time.Time) bool { d := t.Sub(around); return -twoDays < d && d < twoDays }
	switch {
	case len(h.value) == 16:
		if us, err := strconv.ParseInt(h.value, 10, 64); err == nil && near(time.UnixMicro(us)) {
			return strconv.FormatInt(us+w.Shift.Microseconds(), 10)
		}
	case len(h.value) == 10 && strings.HasSuffix(h.name, "epoch"):
		if s, err := strconv.ParseInt(h.value, 10, 64); err == nil && near(time.Unix(s, 0)) {
			return strconv.FormatInt(s+int64(w.Shift.Round(time.Second)/time.Second), 10)
		}
	case h.name == "Event-Date-GMT":
		if t, err := time.Parse(gmtLayout, h.value); err == nil {
			return t.Add(w.Shift).Format(gmtLayout)
		}
	case h.name == "Event-Date-Local" || strings.HasSuffix(h.name, "_stamp"):
		if writtenDate.MatchString(h.value) {
			if t, err := time.Parse(dateLayout, h.value); err == nil {
				return t.Add(w.Shift.Round(time.Second)).Format(dateLayout)
			}
		}
	case strings.HasPrefix(h.name, "variable_transfer_"):
		return historyEpoch.ReplaceAllStringFunc(h.value, func(x string) string {
			m := historyEpoch.FindStringSubmatch(x)
			s, err := strconv.ParseInt(m[2], 10, 64)
			if err != nil || !near(time.Unix(s, 0)) {
				return x
			}
			return m[1] + strconv.FormatInt(s+int64(w.Shift.Round(time.Second)/time.Second), 10) + ":"
		})
	}
	return h.value
}
