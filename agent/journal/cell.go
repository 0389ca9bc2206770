package journal

import (
	"encoding/binary"

	"calljournal/agent/call"
)

// Cell is the sum of the shares of one group on one day, or of many such sums.
// The zero Cell is empty.
type Cell struct {
	n     [counts]int64
	hours [24]int64 // inbound calls by the hour in which they began
	wait  Spread
	ring  Spread
	talk  Spread
}

// Key is where a Cell belongs.
type Key struct {
	Group
	Day Day
}

func (c *Cell) add(s *share, hour int) {
	for i := range c.n {
		c.n[i] += int64(s.kinds >> i & 1)
	}
	if s.has(countInbound) {
		c.hours[hour]++
	}
	c.wait.Add(s.wait)
	c.ring.Add(s.ring)
	c.talk.Add(s.talk)
}

// Merge adds all that o counted.
func (c *Cell) Merge(o *Cell) {
	for i := range c.n {
		c.n[i] += o.n[i]
	}
	for i := range c.hours {
		c.hours[i] += o.hours[i]
	}
	c.wait.Merge(&o.wait)
	c.ring.Merge(&o.ring)
	c.talk.Merge(&o.talk)
}

// Replace takes out what d.Removed counted and adds what d.Added counted.
func (c *Cell) Replace(d *Delta) {
	for i := range c.n {
		c.n[i] += d.Added.n[i] - d.Removed.n[i]
	}
	for i := range c.hours {
		c.hours[i] += d.Added.hours[i] - d.Removed.hours[i]
	}
	c.wait.Replace(&d.Removed.wait, &d.Added.wait)
	c.ring.Replace(&d.Removed.ring, &d.Added.ring)
	c.talk.Replace(&d.Removed.talk, &d.Added.talk)
}

// Empty says that nothing is counted here.
func (c *Cell) Empty() bool {
	return c.n == [counts]int64{}
}

// Unsure says that a longest is not known any more, because it was taken out: the
// calls of the day must be counted again if it matters.
func (c *Cell) Unsure() bool { return c.wait.Unsure || c.ring.Unsure || c.talk.Unsure }

// Append writes the cell behind b.
func (c *Cell) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(counts))
	for _, n := range c.n {
		b = binary.AppendUvarint(b, uint64(n))
	}
	hours := uint32(0)
	for i, n := range c.hours {
		if n != 0 {
			hours |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, uint64(hours))
	for _, n := range c.hours {
		if n != 0 {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	b = c.wait.append(b)
	b = c.ring.append(b)
	return c.talk.append(b)
}

// Parse reads what Append wrote, also where it knew fewer counts than today. It
// uses the memory of what was in c before.
func (c *Cell) Parse(b []byte) error {
	c.n, c.hours = [counts]int64{}, [24]int64{}
	r := reader{b: b}
	known := r.next()
	if known > 64 {
		return errCell
	}
	for i := range known {
		if n := r.next(); i < uint64(counts) {
			c.n[i] = int64(n)
		}
	}
	hours := r.next()
	for i := range c.hours {
		if hours>>i&1 != 0 {
			c.hours[i] = int64(r.next())
		}
	}
	c.wait.parse(&r)
	c.ring.parse(&r)
	c.talk.parse(&r)
	if r.bad {
		return errCell
	}
	return nil
}

// Delta is what changes in one Cell.
type Delta struct{ Added, Removed Cell }

// Deltas are the changes of many cells by many calls.
type Deltas struct {
	calendar Calendar
	rules    Rules
	Cells    map[Key]*Delta
}

// NewDeltas has no changes yet.
func NewDeltas(c Calendar, r Rules) *Deltas {
	return &Deltas{calendar: c, rules: r, Cells: map[Key]*Delta{}}
}

// Change takes in that a call was one thing and is another; either may be nil.
// What is the same in both changes nothing. Each call changes once: what is
// removed was in the cells before.
func (d *Deltas) Change(was, now *call.Record) {
	var before, after []share
	var dayBefore, dayAfter Day
	var hourBefore, hourAfter int
	if was != nil {
		before = shares(was, d.rules)
		dayBefore, hourBefore = d.calendar.Day(was.StartedAt)
	}
	if now != nil {
		after = shares(now, d.rules)
		dayAfter, hourAfter = d.calendar.Day(now.StartedAt)
	}
	sameTime := dayBefore == dayAfter && hourBefore == hourAfter
next:
	for i := range before {
		if sameTime {
			for k := range after {
				if after[k] == before[i] {
					after = append(after[:k], after[k+1:]...)
					continue next
				}
			}
		}
		d.of(before[i].group, dayBefore).Removed.add(&before[i], hourBefore)
	}
	for i := range after {
		d.of(after[i].group, dayAfter).Added.add(&after[i], hourAfter)
	}
}

func (d *Deltas) of(g Group, day Day) *Delta {
	k := Key{g, day}
	x := d.Cells[k]
	if x == nil {
		x = &Delta{}
		d.Cells[k] = x
	}
	return x
}
