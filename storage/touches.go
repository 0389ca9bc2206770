package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// touchKey is where the touch of a call is kept. A history is a stretch of keys
// for each way, each in order of time, so that the inbound calls before and
// after a moment are found at once.
func touchKey(history string, way journal.Way, started call.Moment, num uint64) []byte {
	return binary.BigEndian.AppendUint64(momentKey(wayKey(history, way), started), num)
}

func wayKey(history string, way journal.Way) []byte {
	k := make([]byte, 0, len(history)+18)
	k = append(k, byte(len(history)))
	k = append(k, history...)
	return append(k, byte(way))
}

// openKey puts open missed calls in the order in which they will be lost.
func openKey(t *journal.Touch, num uint64) []byte {
	return binary.BigEndian.AppendUint64(momentKey(make([]byte, 0, 16), t.Left), num)
}

const (
	touchMissable = 1 << iota
	touchAbandoned
	touchMissed
	touchSpoken
)

// appendTouch writes what the key of a touch does not say.
func appendTouch(b []byte, t *journal.Touch) []byte {
	flags := byte(0)
	for flag, on := range map[byte]bool{touchMissable: t.Missable, touchAbandoned: t.Abandoned, touchMissed: t.Verdict.Missed, touchSpoken: t.Spoken != 0} {
		if on {
			flags |= flag
		}
	}
	b = append(b, flags)
	b = appendBytes(b, t.ID)
	if t.Spoken != 0 {
		b = binary.AppendVarint(b, int64(t.Spoken-t.Started))
	}
	b = binary.AppendVarint(b, int64(t.Left-t.Started))
	b = binary.AppendVarint(b, t.TotalMs)
	b = binary.AppendVarint(b, t.TalkMs)
	v := &t.Verdict
	b = binary.AppendUvarint(b, uint64(v.Types))
	b = binary.AppendUvarint(b, uint64(v.Rules))
	b = append(b, byte(v.SpamBy), v.SpamDigits)
	return appendBytes(b, v.HealedBy)
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// parts takes a value apart that is made of numbers and texts.
type parts struct {
	b   []byte
	bad bool
}

func (p *parts) uvarint() uint64 {
	if len(p.b) > 0 && p.b[0] < 0x80 { // most are
		v := p.b[0]
		p.b = p.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(p.b)
	return v * p.skip(n)
}

func (p *parts) varint() int64 {
	v, n := binary.Varint(p.b)
	return v * int64(p.skip(n))
}

func (p *parts) byte() byte {
	if len(p.b) == 0 {
		p.bad = true
		return 0
	}
	c := p.b[0]
	p.b = p.b[1:]
	return c
}

func (p *parts) text() string { return string(p.bytes()) }

// bytes shares memory with the value.
func (p *parts) bytes() []byte {
	n := p.uvarint()
	if n > uint64(len(p.b)) {
		p.bad, p.b = true, nil
		return nil
	}
	s := p.b[:n:n]
	p.b = p.b[n:]
	return s
}

// list reads texts behind those in into.
func (p *parts) list(into [][]byte) [][]byte {
	for n := p.uvarint(); !p.bad && n > 0; n-- {
		into = append(into, p.bytes())
	}
	return into
}

// skip gives 1 if there were n bytes of something, 0 if there was nothing.
func (p *parts) skip(n int) uint64 {
	if n <= 0 {
		p.bad, p.b = true, nil
		return 0
	}
	p.b = p.b[n:]
	return 1
}

func (c *codec) encodeTouch(key []byte, t *journal.Touch) []byte {
	return seal(kindTouch, key, appendTouch(nil, t))
}

// decodeTouch reads a touch, of which the key says history, way and beginning.
func (c *codec) decodeTouch(key, value []byte) (history string, t journal.Touch, err error) {
	if len(key) < 18 || int(key[0]) != len(key)-18 {
		return "", t, fmt.Errorf("%w: no key of a touch", ErrDamaged)
	}
	payload, err := c.unseal(kindTouch, key, value)
	if err != nil {
		return "", t, err
	}
	n := 1 + int(key[0])
	t.Way = journal.Way(key[n])
	t.Started = momentOf(key[n+1:])
	p := parts{b: payload}
	flags := p.byte()
	t.Missable, t.Abandoned, t.Verdict.Missed = flags&touchMissable != 0, flags&touchAbandoned != 0, flags&touchMissed != 0
	t.ID = p.text()
	if flags&touchSpoken != 0 {
		t.Spoken = t.Started + call.Moment(p.varint())
	}
	t.Left = t.Started + call.Moment(p.varint())
	t.TotalMs, t.TalkMs = p.varint(), p.varint()
	t.Verdict.Types = journal.Types(p.uvarint())
	t.Verdict.Rules = uint32(p.uvarint())
	t.Verdict.SpamBy, t.Verdict.SpamDigits = journal.SpamBy(p.byte()), p.byte()
	t.Verdict.HealedBy = p.text()
	if p.bad {
		return "", t, fmt.Errorf("%w: touch ends too early", ErrDamaged)
	}
	return string(key[1:n]), t, nil
}

func momentOf(key []byte) call.Moment {
	return call.Moment(binary.BigEndian.Uint64(key) ^ (1 << 63))
}

func sealPlace(key []byte, history string, t *journal.Touch) []byte {
	b := appendBytes(nil, history)
	b = binary.AppendVarint(b, int64(t.Started))
	return seal(kindPlace, key, appendBytes(b, t.ID))
}

func (c *codec) decodePlace(key, value []byte) (journal.Place, error) {
	payload, err := c.unseal(kindPlace, key, value)
	if err != nil {
		return journal.Place{}, err
	}
	p := parts{b: payload}
	place := journal.Place{History: p.text(), Started: call.Moment(p.varint()), ID: p.text()}
	if p.bad || len(key) != 16 {
		return place, fmt.Errorf("%w: a missed call ends too early", ErrDamaged)
	}
	return place, nil
}

// touch is where a call is kept in the index of histories: what it touches, and
// what stands there.
type touch struct {
	history string
	is      journal.Touch
	num     uint64
}

// touchOf is what storage itself knows of a record. Its verdict is that of the
// record; by which rules it was given only the engine knows (Batch.Moves).
func touchOf(r *call.Record, num uint64) touch {
	history, t := journal.TouchOf(r)
	return touch{history, t, num}
}

func (t *touch) key() []byte { return touchKey(t.history, t.is.Way, t.is.Started, t.num) }

// without gives the keys that a call no longer has.
func (t *touch) without(put func(in bucket, key, value []byte)) {
	put(inTouches, t.key(), nil)
	if t.is.Verdict.Open() {
		put(inMissed, openKey(&t.is, t.num), nil)
	}
}

func (t *touch) with(c *codec, put func(in bucket, key, value []byte)) {
	key := t.key()
	put(inTouches, key, c.encodeTouch(key, &t.is))
	if t.is.Verdict.Open() {
		key := openKey(&t.is, t.num)
		put(inMissed, key, sealPlace(key, t.history, &t.is))
	}
}

// Past lets fn look at the histories of numbers as they are committed, all at
// one moment. A panic of fn is no damage: it goes on to the caller, with the
// stack that it had.
func (d *DB) Past(fn func(journal.Past) error) error {
	var fault any
	err := d.view(func(tx *bolt.Tx) error {
		defer func() {
			if p := recover(); p != nil {
				fault = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
		}()
		return fn(past{d, tx})
	})
	if fault != nil {
		panic(fault)
	}
	if err != nil {
		return &Error{Op: "read histories of", Path: d.path, Err: err}
	}
	return nil
}

// past is the journal in one transaction. Each of its methods looks out for
// damage by itself: fn's own faults are none.
type past struct {
	d  *DB
	tx *bolt.Tx
}

func (p past) Call(id string) (rec *call.Record, err error) {
	defer recoverDamage(&err)
	r, err := p.d.ref(p.tx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return p.d.record(inFeed.of(p.tx), r.seq)
}

func (p past) Touches(history string, from, to call.Moment) (touches []journal.Touch, err error) {
	defer recoverDamage(&err)
	runs := 0
	c := inTouches.of(p.tx).Cursor()
	for _, way := range []journal.Way{journal.Inside, journal.Came, journal.Went} {
		prefix := wayKey(history, way)
		before := len(touches)
		end := string(momentKey(slices.Clone(prefix), to))
		for k, v := c.Seek(momentKey(prefix, from)); k != nil && string(k) < end; k, v = c.Next() {
			_, t, err := p.d.codec.decodeTouch(k, v)
			if err != nil {
				return nil, damagedAt(inTouches, k, err)
			}
			touches = append(touches, t)
		}
		if len(touches) > before {
			runs++
		}
	}
	// Where two begin together the key has their order of appearance, the history
	// that of their ids.
	less := func(a, b journal.Touch) int { return a.Compare(&b) }
	if runs > 1 || !slices.IsSortedFunc(touches, less) {
		slices.SortFunc(touches, less)
	}
	return touches, nil
}

func (p past) InboundBefore(history string, at call.Moment) (began call.Moment, ok bool, err error) {
	defer recoverDamage(&err)
	prefix := wayKey(history, journal.Came)
	k, _ := seekBelow(inTouches.of(p.tx).Cursor(), momentKey(slices.Clone(prefix), at))
	began, ok = beganAt(prefix, k)
	return began, ok, nil
}

func (p past) InboundAfter(history string, at call.Moment) (began call.Moment, ok bool, err error) {
	defer recoverDamage(&err)
	prefix := wayKey(history, journal.Came)
	k, _ := inTouches.of(p.tx).Cursor().Seek(momentKey(slices.Clone(prefix), at+1))
	began, ok = beganAt(prefix, k)
	return began, ok, nil
}

func beganAt(prefix, k []byte) (call.Moment, bool) {
	if len(k) != len(prefix)+16 || string(k[:len(prefix)]) != string(prefix) {
		return 0, false
	}
	return momentOf(k[len(prefix):]), true
}

func (p past) Overdue(before call.Moment, limit int) (places []journal.Place, err error) {
	defer recoverDamage(&err)
	c := inMissed.of(p.tx).Cursor()
	for k, v := c.First(); k != nil && len(places) < limit; k, v = c.Next() {
		if len(k) == 16 && momentOf(k) >= before {
			break
		}
		place, err := p.d.codec.decodePlace(k, v)
		if err != nil {
			return nil, damagedAt(inMissed, k, err)
		}
		places = append(places, place)
	}
	return places, nil
}

// Touch gives what the history of its number keeps of a call, with the verdict
// and by which rules it was given, or ErrNotFound.
func (d *DB) Touch(id string) (history string, t journal.Touch, err error) {
	err = d.view(func(tx *bolt.Tx) error {
		r, err := d.ref(tx, id)
		if err != nil {
			return err
		}
		rec, err := d.record(inFeed.of(tx), r.seq)
		if err != nil {
			return err
		}
		is := touchOf(rec, r.num)
		key := is.key()
		v := inTouches.of(tx).Get(key)
		if v == nil {
			return ErrNotFound
		}
		if history, t, err = d.codec.decodeTouch(key, v); err != nil {
			return damagedAt(inTouches, key, err)
		}
		return nil
	})
	if err != nil {
		return "", journal.Touch{}, fmt.Errorf("history of call %.200q: %w", id, err)
	}
	return history, t, nil
}
