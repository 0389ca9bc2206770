package replay

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Track is one recording's place in a programme.
type Track struct {
	Recording *Recording
	At        time.Duration // when in the programme the recording begins
	Round     uint32        // see Rewrite
	Numbers   map[string]string
}

// Programme gives the tracks one after the other, in the order of their At;
// false: that was all.
type Programme func() (Track, bool)

// Once is the programme of one recording as it is.
func Once(r *Recording) Programme {
	done := false
	return func() (Track, bool) {
		if done {
			return Track{}, false
		}
		done = true
		return Track{Recording: r}, true
	}
}

// clients is how many callers a Loop has: few enough that they call again.
const clients = 24

// Loop is a programme without end: the recordings in changing order, one every
// so often whether the one before has ended or not, each time with new ids and
// with the outside numbers of another of a few clients. The same seed gives the
// same programme. Recordings with breaks are left out.
func Loop(recordings []*Recording, every time.Duration, seed uint64) (Programme, error) {
	recordings = slices.DeleteFunc(slices.Clone(recordings), func(r *Recording) bool { return len(r.Cuts) > 0 })
	if len(recordings) == 0 {
		return nil, fmt.Errorf("make a programme: no recordings without breaks")
	}
	random := rand.New(rand.NewPCG(seed, seed))
	var round uint32
	var left []*Recording
	return func() (Track, bool) {
		if len(left) == 0 {
			left = slices.Clone(recordings)
			random.Shuffle(len(left), func(i, k int) { left[i], left[k] = left[k], left[i] })
		}
		t := Track{Recording: left[0], At: time.Duration(round) * every, Round: round + 1, Numbers: map[string]string{}}
		left, round = left[1:], round+1
		for _, n := range outsideNumbers(t.Recording.Expect) {
			c := random.IntN(clients)
			t.Numbers[n] = fmt.Sprintf("%s%07d", n[:3], (c+1)*404_207%10_000_000)
		}
		return t, true
	}, nil
}

var notDigit = regexp.MustCompile(`\D`)

// outsideNumbers gives the last ten digits of the numbers of those outside, as
// far as it is known what the recording holds.
func outsideNumbers(expect []byte) []string {
	var e struct {
		Calls []struct {
			Direction, From, To any
		} `json:"calls"`
	}
	if len(expect) == 0 || json.Unmarshal(expect, &e) != nil {
		return nil
	}
	var out []string
	for _, c := range e.Calls {
		var number any
		switch c.Direction {
		case "inbound":
			number = c.From
		case "outbound":
			number = c.To
		}
		s, _ := number.(string)
		if d := notDigit.ReplaceAllString(s, ""); len(d) >= 10 {
			if d = d[len(d)-10:]; !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Extensions gives what the recording's own calls name as employees: short
// numbers that called, were called or answered.
func (r *Recording) Extensions() []string {
	var e struct {
		Calls []map[string]any `json:"calls"`
	}
	if len(r.Expect) == 0 || json.Unmarshal(r.Expect, &e) != nil {
		return nil
	}
	var out []string
	for _, c := range e.Calls {
		for _, field := range []string{"from", "answered_by", "last_talked_by"} {
			s, _ := c[field].(string)
			if len(s) >= 2 && len(s) <= 5 && strings.Trim(s, "0123456789") == "" && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	slices.Sort(out)
	return out
}
