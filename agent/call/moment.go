package call

import (
	"fmt"
	"time"
)

// Moment is a point in time as microseconds since the Unix epoch, UTC. Zero
// means unknown. A number rather than a time.Time: facts are compared, stored
// and subtracted by the million, and a wall clock is all a PBX ever gives.
type Moment int64

// MomentOf converts; the zero time gives the zero Moment.
func MomentOf(t time.Time) Moment {
	if t.IsZero() {
		return 0
	}
	return Moment(t.UnixMicro())
}

// Time converts back; the zero Moment gives the zero time.
func (m Moment) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(m)).UTC()
}

// Add shifts m by d; an unknown moment stays unknown.
func (m Moment) Add(d time.Duration) Moment {
	if m == 0 {
		return 0
	}
	return m + Moment(d.Microseconds())
}

// Sub is the time from o to m.
func (m Moment) Sub(o Moment) time.Duration { return time.Duration(m-o) * time.Microsecond }

// Ms cuts m down to the whole millisecond, the resolution of a record. All
// durations of a record are differences of such moments, so that they add up.
func (m Moment) Ms() Moment { return m - ((m%1000)+1000)%1000 }

const momentLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes RFC 3339 in UTC with milliseconds, or null.
func (m Moment) MarshalJSON() ([]byte, error) {
	if m == 0 {
		return []byte("null"), nil
	}
	b := make([]byte, 0, len(momentLayout)+2)
	b = append(b, '"')
	b = m.Ms().Time().AppendFormat(b, momentLayout)
	return append(b, '"'), nil
}

// UnmarshalJSON reads what MarshalJSON writes, and any RFC 3339 time.
func (m *Moment) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*m = 0
		return nil
	}
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return fmt.Errorf("time %.40q is not a string: want RFC 3339 or null", b)
	}
	t, err := time.Parse(time.RFC3339Nano, string(b[1:len(b)-1]))
	if err != nil {
		return fmt.Errorf("time %.40q: want RFC 3339, as 2026-01-31T09:00:00.000Z", b)
	}
	*m = MomentOf(t)
	return nil
}
