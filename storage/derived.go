package storage

import (
	"fmt"
	"hash/maphash"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// derived compares what is derived from the records, histories, missed calls and
// totals, with the records. It keeps sums, not values: a journal may be large.
type derived struct {
	tail    tail
	seed    maphash.Seed
	touches [2]uint64 // sums of hashes: as the records say, as they stand there
	missing [2]uint64
	counts  [2]counted
}

// counted are the marks of the cells of one count, by day.
type counted struct {
	zone         *time.Location // nil: there are none that could be compared
	calls, cells map[journal.Day]uint64
}

func (d *derived) begin(t tail) {
	d.tail, d.seed = t, maphash.MakeSeed()
	var z zones
	z.add(time.Local)
	for i, c := range t.Counts {
		d.counts[i] = counted{z.find(c), map[journal.Day]uint64{}, map[journal.Day]uint64{}}
	}
}

func (d *derived) sum(key, value []byte) uint64 {
	return maphash.Bytes(d.seed, key) * (1 | maphash.Bytes(d.seed, value))
}

// plain is a touch as the record says it.
func (d *derived) plain(key []byte, t journal.Touch) uint64 {
	t.Verdict.Rules, t.Verdict.SpamBy, t.Verdict.SpamDigits = 0, journal.SpamNot, 0
	return d.sum(key, appendTouch(nil, &t))
}

// call takes in the newest record of a call.
func (d *derived) call(r *call.Record, num uint64) {
	is := touchOf(r, num)
	key := is.key()
	d.touches[0] += d.plain(key, is.is)
	if is.is.Verdict.Open() {
		key := openKey(&is.is, num)
		d.missing[0] += d.sum(key, sealPlace(key, is.history, &is.is))
	}
	for i, c := range d.tail.Counts {
		if x := &d.counts[i]; x.zone != nil && c.covers(r.StartedAt, num) {
			day, mark := journal.MarkOf(r, journal.NewCalendar(x.zone), c.rules())
			x.calls[day] += mark
		}
	}
}

func (d *derived) touch(codec *codec, key, value []byte) error {
	_, t, err := codec.decodeTouch(key, value)
	if err == nil {
		d.touches[1] += d.plain(key, t)
	}
	return err
}

func (d *derived) missed(codec *codec, key, value []byte) error {
	_, err := codec.decodePlace(key, value)
	if err == nil {
		d.missing[1] += d.sum(key, value)
	}
	return err
}

func (d *derived) cell(codec *codec, key, value []byte) error {
	var cell journal.Cell
	gen, k, err := codec.decodeCell(key, value, &cell)
	if err != nil {
		return err
	}
	for i, c := range d.tail.Counts {
		if c.Gen == gen {
			d.counts[i].cells[k.Day] += cell.Mark(k)
		}
	}
	return nil
}

// compare says what is not derived from the records.
func (d *derived) compare(bad func(where, what string)) {
	if d.tail.Counts[0].Gen != 0 { // else they are still being made
		if d.touches[0] != d.touches[1] {
			bad(inTouches.String(), "not those of the records")
		}
		if d.missing[0] != d.missing[1] {
			bad(inMissed.String(), "not the calls that were missed and are open")
		}
	}
	for i := range d.counts {
		x := &d.counts[i]
		if x.zone == nil {
			continue
		}
		for day, mark := range x.calls {
			if x.cells[day] != mark {
				bad(fmt.Sprintf("%s %s", inCells, day), "not what the calls of that day add up to")
			}
			delete(x.cells, day)
		}
		for day, mark := range x.cells {
			if mark != 0 {
				bad(fmt.Sprintf("%s %s", inCells, day), "there are no calls on that day")
			}
		}
	}
}
