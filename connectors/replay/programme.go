package replay

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
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
		for _, n := range t.Recording.outsideNumbers() {
			c := random.IntN(clients)
			t.Numbers[n] = fmt.Sprintf("%s%07d", n[:3], (c+1)*404_207%10_000_000)
		}
		return t, true
	}, nil
}

var notDigit = regexp.MustCompile(`\D`)

// expected is what of a recording's Expect tells who is in it.
type expected struct {
	Calls []struct {
		Direction    any `json:"direction"`
		From         any `json:"from"`
		To           any `json:"to"`
		AnsweredBy   any `json:"answered_by"`
		LastTalkedBy any `json:"last_talked_by"`
	} `json:"calls"`
}

func (r *Recording) expected() (e expected) {
	if len(r.Expect) > 0 {
		_ = json.Unmarshal(r.Expect, &e) // nothing is known then
	}
	return e
}

// outsideNumbers gives the last ten digits of the numbers of those outside, as
// far as it is known what the recording holds.
func (r *Recording) outsideNumbers() []string {
	var out []string
	for _, c := range r.expected().Calls {
		number, _ := c.From.(string)
		if c.Direction == "outbound" {
			number, _ = c.To.(string)
		}
		if d := notDigit.ReplaceAllString(number, ""); len(d) >= 10 && c.Direction != "internal" {
			out = append(out, d[len(d)-10:])
		}
	}
	return distinct(out)
}

// Extensions gives the short numbers that called or answered, as far as it is
// known what the recording holds.
func (r *Recording) Extensions() []string {
	var out []string
	for _, c := range r.expected().Calls {
		for _, v := range []any{c.From, c.AnsweredBy, c.LastTalkedBy} {
			if s, _ := v.(string); len(s) >= 2 && len(s) <= 5 && !notDigit.MatchString(s) {
				out = append(out, s)
			}
		}
	}
	return distinct(out)
}

// Lines gives the company's numbers that were called from outside, as far as it
// is known what the recording holds.
func (r *Recording) Lines() []string {
	var out []string
	for _, c := range r.expected().Calls {
		if s, _ := c.To.(string); c.Direction == "inbound" && len(s) >= 10 {
			out = append(out, s)
		}
	}
	return distinct(out)
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
