package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

// Spread is how durations are spread: their count, sum and longest exactly, and
// how many fell into each slot of a scale, for percentiles. Spreads can be added
// up and taken apart again.
//
// Up to 127 ms a slot is one millisecond. Above, each power of two has 64 slots,
// so that the middle of a slot is off by at most 1/128 of what is in it.
type Spread struct {
	Count   int64
	Sum     int64
	Longest int64
	// Unsure: the longest was taken out, and what is the longest now is not known;
	// Longest is a bound for it.
	Unsure bool
	slots  []slot  // ascending, none with n = 0
	dense  []int32 // in place of slots, by their number, once there are many
}

type slot struct {
	at uint16
	n  int32
}

const (
	slotsPerOctave = 64
	longestKept    = 1 << 40 // milliseconds: 34 years
	slotNumbers    = 34*slotsPerOctave + 2*slotsPerOctave
	// denseFrom is how many slots make it worth to have room for all: a row of a
	// year has a thousand, one of a day a few dozen.
	denseFrom = 160
)

func slotOf(ms int64) uint16 {
	shift := max(0, bits.Len64(uint64(ms))-7)
	return uint16(shift*slotsPerOctave) + uint16(ms>>shift)
}

// middle is the duration that stands for all of a slot.
func (s slot) middle() int64 {
	shift := max(0, int(s.at)/slotsPerOctave-1)
	low := int64(int(s.at)-shift*slotsPerOctave) << shift
	if shift == 0 {
		return low
	}
	return low + 1<<(shift-1)
}

// last is the longest duration of a slot.
func (s slot) last() int64 {
	shift := max(0, int(s.at)/slotsPerOctave-1)
	return int64(int(s.at)-shift*slotsPerOctave+1)<<shift - 1
}

// Rounded is the duration that stands for ms in a percentile, unless the longest
// of all is shorter.
func Rounded(ms int64) int64 { return slot{at: slotOf(min(ms, longestKept))}.middle() }

// Add counts one duration; what is negative is none.
func (s *Spread) Add(ms int64) {
	if ms < 0 {
		return
	}
	ms = min(ms, longestKept)
	s.Count++
	s.Sum += ms
	if ms >= s.Longest {
		s.Longest, s.Unsure = ms, false
	}
	s.fill(slotOf(ms), 1)
}

func (s *Spread) fill(at uint16, n int32) {
	if s.dense != nil {
		s.dense[at] += n
		return
	}
	i, ok := slices.BinarySearchFunc(s.slots, at, func(x slot, at uint16) int { return cmp.Compare(x.at, at) })
	if !ok {
		s.slots = slices.Insert(s.slots, i, slot{at, n})
		s.densify(0)
		return
	}
	if s.slots[i].n += n; s.slots[i].n == 0 {
		s.slots = slices.Delete(s.slots, i, i+1)
	}
}

// densify makes room for all slots if there are, or will be, many.
func (s *Spread) densify(more int) {
	if s.dense != nil || len(s.slots)+more < denseFrom {
		return
	}
	s.dense = make([]int32, slotNumbers)
	for _, x := range s.slots {
		s.dense[x.at] = x.n
	}
	s.slots = nil
}

// each gives the slots in order.
func (s *Spread) each(yield func(slot) bool) {
	for _, x := range s.slots {
		if !yield(x) {
			return
		}
	}
	for at, n := range s.dense {
		if n != 0 && !yield(slot{uint16(at), n}) {
			return
		}
	}
}

// Merge adds all that o counted.
func (s *Spread) Merge(o *Spread) {
	if o.Count == 0 {
		return
	}
	s.Count += o.Count
	s.Sum += o.Sum
	switch {
	case o.Longest > s.Longest, o.Longest == s.Longest && !o.Unsure:
		s.Longest, s.Unsure = o.Longest, o.Unsure
	}
	s.mergeSlots(o, 1)
}

// Replace takes out what removed counted, which must have been added before, and
// adds what added counted.
func (s *Spread) Replace(removed, added *Spread) {
	s.Merge(added)
	if removed.Count == 0 {
		return
	}
	s.Count -= removed.Count
	s.Sum -= removed.Sum
	s.mergeSlots(removed, -1)
	switch {
	case s.Count == 0:
		s.Longest, s.Unsure = 0, false
	case removed.Longest == s.Longest && added.Longest != s.Longest:
		s.Unsure = true
	}
	if s.Unsure {
		top := slot{}
		for x := range s.each {
			top = x
		}
		s.Longest = min(s.Longest, top.last())
	}
}

func (s *Spread) mergeSlots(o *Spread, sign int32) {
	if o.dense != nil {
		s.densify(denseFrom)
	} else {
		s.densify(len(o.slots))
	}
	if s.dense != nil || len(o.slots) <= 2 {
		for x := range o.each {
			s.fill(x.at, sign*x.n)
		}
		return
	}
	missing, i := 0, 0
	for _, x := range o.slots {
		for i < len(s.slots) && s.slots[i].at < x.at {
			i++
		}
		if i == len(s.slots) || s.slots[i].at != x.at {
			missing++
		}
	}
	// From the end, each slot goes to where it belongs, and none is overwritten
	// before it has moved.
	from := len(s.slots) - 1
	s.slots = slices.Grow(s.slots, missing)[:len(s.slots)+missing]
	to, k := len(s.slots)-1, len(o.slots)-1
	for k >= 0 {
		x := o.slots[k]
		switch {
		case from >= 0 && s.slots[from].at > x.at:
			s.slots[to] = s.slots[from]
			from--
		case from >= 0 && s.slots[from].at == x.at:
			s.slots[to] = slot{x.at, s.slots[from].n + sign*x.n}
			from, k = from-1, k-1
		default:
			s.slots[to] = slot{x.at, sign * x.n}
			k--
		}
		to--
	}
	if sign < 0 {
		s.slots = slices.DeleteFunc(s.slots, func(x slot) bool { return x.n == 0 })
	}
}

// Percentile is the smallest duration that at least p of a hundred do not
// exceed, rounded, but to no more than the longest; nil if there are none.
func (s *Spread) Percentile(p int64) *int64 {
	rank := (s.Count*p + 99) / 100
	for x := range s.each {
		if rank -= int64(x.n); rank <= 0 {
			ms := min(x.middle(), s.Longest)
			return &ms
		}
	}
	return nil
}

// Average is nil if there are none.
func (s *Spread) Average() *int64 {
	if s.Count == 0 {
		return nil
	}
	ms := (s.Sum + s.Count/2) / s.Count
	return &ms
}

func (s *Spread) longest() *int64 {
	if s.Count == 0 {
		return nil
	}
	ms := s.Longest
	return &ms
}

var errCell = errors.New("a cell of statistics ends too early, or says what cannot be")

func (s *Spread) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(s.Count))
	if s.Count == 0 {
		return b
	}
	longest := uint64(s.Longest) << 1
	if s.Unsure {
		longest |= 1
	}
	b = binary.AppendUvarint(b, uint64(s.Sum))
	b = binary.AppendUvarint(b, longest)
	n := 0
	for range s.each {
		n++
	}
	b = binary.AppendUvarint(b, uint64(n))
	at := uint16(0)
	for x := range s.each {
		// Most slots of a day hold one call: then its number is left out.
		step := uint64(x.at-at) << 1
		if x.n == 1 {
			b = binary.AppendUvarint(b, step)
		} else {
			b = binary.AppendUvarint(b, step|1)
			b = binary.AppendVarint(b, int64(x.n))
		}
		at = x.at
	}
	return b
}

// parse reads what append wrote, into slots that it uses again.
func (s *Spread) parse(r *reader) {
	*s = Spread{Count: int64(r.next()), slots: s.slots[:0]}
	if s.Count == 0 {
		return
	}
	s.Sum = int64(r.next())
	longest := r.next()
	s.Longest, s.Unsure = int64(longest>>1), longest&1 != 0
	at, total := uint64(0), int64(0)
	for n := r.next(); n > 0 && !r.bad; n-- {
		step := r.next()
		x := slot{n: 1}
		if step&1 != 0 {
			x.n = int32(r.signed())
		}
		if at += step >> 1; at >= slotNumbers {
			r.bad = true
			return
		}
		x.at = uint16(at)
		total += int64(x.n)
		s.slots = append(s.slots, x)
	}
	r.bad = r.bad || total != s.Count
}

// reader takes numbers off a value.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) next() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) signed() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}
