package journal

import "calljournal/agent/call"

// A mark is a number by which cells are compared with the calls that they count,
// without counting those again: it is a sum over everything that is counted,
// modulo 2^64, each count weighed by what it counts and where. So the marks of
// the calls of a day add up to those of the cells of that day, in any order. A
// longest is no sum: it has no part in this.

// Mark is the mark of a cell that belongs to k.
func (c *Cell) Mark(k Key) (mark uint64) {
	at := placeOf(k)
	for i, n := range c.n {
		mark += uint64(n) * at.weight(weighsCount, uint64(i))
	}
	for hour, n := range c.hours {
		mark += uint64(n) * at.weight(weighsHour, uint64(hour))
	}
	for i, s := range []*Spread{&c.wait, &c.ring, &c.talk} {
		of := uint64(i)
		mark += uint64(s.Count)*at.weight(weighsNumber, of) + uint64(s.Sum)*at.weight(weighsSum, of)
		for x := range s.each {
			mark += uint64(int64(x.n)) * at.weight(weighsSlot, of<<32|uint64(x.at))
		}
	}
	return mark
}

// MarkOf is the mark that one call adds to the cells of its day.
func MarkOf(r *call.Record, c Calendar, rules Rules) (day Day, mark uint64) {
	day, hour := c.Day(r.StartedAt)
	for _, s := range shares(r, rules) {
		at := placeOf(Key{s.group, day})
		for i := range counts {
			if s.has(i) {
				mark += at.weight(weighsCount, uint64(i))
			}
		}
		if s.has(countInbound) {
			mark += at.weight(weighsHour, uint64(hour))
		}
		for i, ms := range []int64{s.wait, s.ring, s.talk} {
			if ms < 0 {
				continue
			}
			of, ms := uint64(i), min(ms, longestKept)
			mark += at.weight(weighsNumber, of) + uint64(ms)*at.weight(weighsSum, of) +
				at.weight(weighsSlot, of<<32|uint64(slotOf(ms)))
		}
	}
	return day, mark
}

// What a weight is for.
const (
	weighsCount = iota
	weighsHour
	weighsNumber
	weighsSum
	weighsSlot
)

// place is a Key as a number.
type place uint64

func placeOf(k Key) place {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(k.Name) {
		h = (h ^ uint64(k.Name[i])) * 1099511628211
	}
	return place(mix(h ^ mix(uint64(k.By)<<32|uint64(uint32(k.Day)))))
}

func (p place) weight(of, which uint64) uint64 { return mix(uint64(p) ^ mix(of<<56|which)) }

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
