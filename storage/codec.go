package storage

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/s2"

	"calljournal/agent/call"
)

// A value in the file is
//
//	format(1) kind(1) payload crc32c(4)
//
// The sum covers bucket kind, key and payload, so that a value that got under
// another key, as when one page is written over another, is found as well. Kind
// and key also tell salvage what an orphaned page holds.
const (
	formatPlain byte = 1 // payload as it is
	formatDict1 byte = 2 // payload compressed with S2 and the first dictionary of its kind
)

const (
	kindSchema   byte = 'a'
	kindJournal  byte = 'j'
	kindAgent    byte = 'n'
	kindTail     byte = 't'
	kindSalvaged byte = 'v'
	kindEntry    byte = 'e'
	kindRef      byte = 'r'
	kindWhy      byte = 'w'
	kindSummary  byte = 'y'
	kindWord     byte = 'o'
	kindFact     byte = 'f'
	kindState    byte = 's'
	kindGap      byte = 'g'
	kindConsumer byte = 'c'
	kindTouch    byte = 'h'
	kindPlace    byte = 'm'
	kindCell     byte = 'd'
)

const (
	sealBytes = 2 + 4
	maxValue  = 64 << 20 // bounds what a decoder can be made to allocate
)

// The dictionaries hold what records and facts have in common, which makes a
// record of 900 bytes one of 300. A released dictionary never changes: what was
// compressed with it needs it for ever.
var (
	//go:embed dictionary/record.1
	recordDictionary1 []byte
	//go:embed dictionary/facts.1
	factsDictionary1 []byte
)

// codec turns values into bytes and back. It is safe for concurrent use.
type codec struct {
	enc            cbor.UserBufferEncMode
	dec            cbor.DecMode
	records, facts *s2.Dict
	buffers        sync.Pool
	shapes         shapes
}

func newCodec() (*codec, error) {
	enc, err := cbor.EncOptions{}.UserBufferEncMode()
	if err != nil {
		return nil, fmt.Errorf("set up the record encoder: %w", err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  16,
		MaxArrayElements: 1 << 20,
		MaxMapPairs:      1 << 16,
		// A PBX passes on whatever bytes a caller's name has. They were kept once
		// and must come back; the checksum, not UTF-8, tells damage.
		UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("set up the record decoder: %w", err)
	}
	c := &codec{
		enc: enc, dec: dec,
		records: s2.MakeDict(recordDictionary1, nil),
		facts:   s2.MakeDict(factsDictionary1, nil),
		buffers: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
	if c.shapes, err = newShapes(); err != nil {
		return nil, fmt.Errorf("set up the writer of JSON: %w", err)
	}
	if c.records == nil || c.facts == nil {
		return nil, errors.New("set up the record encoder: a dictionary is too short")
	}
	return c, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(key, sealed []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, sealed)
}

// seal makes a value of a payload.
func seal(kind byte, key, payload []byte) []byte {
	return sealAs(formatPlain, kind, key, payload)
}

func sealAs(format, kind byte, key, payload []byte) []byte {
	v := make([]byte, 0, len(payload)+sealBytes)
	v = append(v, format, kind)
	v = append(v, payload...)
	return binary.LittleEndian.AppendUint32(v, sum(key, v))
}

// reseal moves a value to another key.
func reseal(key, value []byte) []byte {
	v := append(make([]byte, 0, len(value)), value[:len(value)-4]...)
	return binary.LittleEndian.AppendUint32(v, sum(key, v))
}

// sealPacked is seal with compression, where that helps.
func (c *codec) sealPacked(kind byte, key, payload []byte, dict *s2.Dict) []byte {
	b := c.borrow()
	defer c.giveBack(b)
	most := s2.MaxEncodedLen(len(payload))
	b.Grow(most)
	packed := dict.Encode(b.AvailableBuffer()[:most], payload)
	if len(packed) >= len(payload) {
		return seal(kind, key, payload)
	}
	return sealAs(formatDict1, kind, key, packed)
}

// checkSum says whether a value is as it was written.
func checkSum(key, value []byte) error {
	if len(value) < sealBytes || len(value) > maxValue {
		return fmt.Errorf("%w: a value of %d bytes", ErrDamaged, len(value))
	}
	body := value[:len(value)-4]
	if sum(key, body) != binary.LittleEndian.Uint32(value[len(body):]) {
		return fmt.Errorf("%w: wrong checksum", ErrDamaged)
	}
	return nil
}

// unseal gives the payload of a value. It may share memory with value, which is
// valid only as long as the transaction.
func (c *codec) unseal(kind byte, key, value []byte) ([]byte, error) {
	payload, _, err := c.unsealInto(nil, kind, key, value)
	return payload, err
}

// unsealInto is unseal with memory for what must be unpacked; it is given back,
// perhaps larger.
func (c *codec) unsealInto(scratch []byte, kind byte, key, value []byte) (payload, used []byte, err error) {
	if err := checkSum(key, value); err != nil {
		return nil, scratch, err
	}
	body := value[:len(value)-4]
	if body[1] != kind {
		return nil, scratch, fmt.Errorf("%w: kind %q where %q belongs", ErrDamaged, body[1], kind)
	}
	switch body[0] {
	case formatPlain:
		return body[2:], scratch, nil
	case formatDict1:
		dict := c.records
		if kind == kindWhy {
			dict = c.facts
		}
		if n, err := s2.DecodedLen(body[2:]); err != nil || n > maxValue {
			return nil, scratch, fmt.Errorf("%w: packed value of unknown or absurd length", ErrDamaged)
		}
		b, err := dict.Decode(scratch[:cap(scratch)], body[2:])
		if err != nil {
			return nil, scratch, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return b, b, nil
	}
	// The sum is right, so these bytes were written so: by a later version.
	return nil, scratch, fmt.Errorf("format %d: %w", body[0], ErrVersion)
}

// borrow gives an empty buffer, to be given back.
func (c *codec) borrow() *bytes.Buffer {
	b := c.buffers.Get().(*bytes.Buffer)
	b.Reset()
	return b
}

func (c *codec) giveBack(b *bytes.Buffer) {
	if b.Cap() <= 1<<20 { // one giant must not stay for ever
		c.buffers.Put(b)
	}
}

// pack makes a value of v, compressed if there is a dictionary for it.
func (c *codec) pack(kind byte, key []byte, v any, dict *s2.Dict) ([]byte, error) {
	b := c.borrow()
	defer c.giveBack(b)
	if err := c.enc.MarshalToBuffer(v, b); err != nil {
		return nil, err
	}
	return c.packed(kind, key, b.Bytes(), dict)
}

// packed makes a value of a payload of any size.
func (c *codec) packed(kind byte, key, payload []byte, dict *s2.Dict) ([]byte, error) {
	switch {
	case len(payload) > maxValue-sealBytes:
		return nil, fmt.Errorf("%d bytes, the limit is %d", len(payload), maxValue-sealBytes)
	case dict != nil:
		return c.sealPacked(kind, key, payload, dict), nil
	}
	return seal(kind, key, payload), nil
}

func (c *codec) unmarshal(payload []byte, v any) error {
	if err := c.dec.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

func (c *codec) unpack(kind byte, key, value []byte, v any) error {
	payload, err := c.unseal(kind, key, value)
	if err != nil {
		return err
	}
	return c.unmarshal(payload, v)
}

// decodeSchema reads what all versions must be able to read.
func (c *codec) decodeSchema(value []byte) (uint64, error) {
	payload, err := c.unseal(kindSchema, keySchema, value)
	if err != nil {
		return 0, err
	}
	n, size := binary.Uvarint(payload)
	if size <= 0 || n == 0 {
		return 0, fmt.Errorf("%w: no schema version", ErrDamaged)
	}
	return n, nil
}

const (
	opCall uint8 = 1 + iota
	opGap
	opDelete
)

// storedEntry is an Entry in the file. Its Seq is the key.
type storedEntry struct {
	At   call.Moment  `cbor:"1,keyasint"`
	Op   uint8        `cbor:"2,keyasint"`
	Num  uint64       `cbor:"3,keyasint,omitempty"` // of the call, under which its Why is kept
	Call *call.Record `cbor:"4,keyasint,omitempty"`
	Gap  *call.Gap    `cbor:"5,keyasint,omitempty"`
	ID   string       `cbor:"6,keyasint,omitempty"`
	Into string       `cbor:"7,keyasint,omitempty"`
}

func (c *codec) encodeEntry(key []byte, e *Entry, num uint64) ([]byte, error) {
	s := storedEntry{At: e.At, Num: num, ID: e.ID, Into: e.Into}
	switch e.Op {
	case OpCall:
		s.Op, s.Call = opCall, e.Call
	case OpGap:
		s.Op, s.Gap = opGap, e.Gap
	case OpDelete:
		s.Op = opDelete
	}
	return c.pack(kindEntry, key, &s, c.records)
}

func (c *codec) decodeEntry(key, value []byte) (Entry, uint64, error) {
	var s storedEntry
	if len(key) != 8 {
		return Entry{}, 0, fmt.Errorf("%w: key of %d bytes", ErrDamaged, len(key))
	}
	if err := c.unpack(kindEntry, key, value, &s); err != nil {
		return Entry{}, 0, err
	}
	e := Entry{Seq: binary.BigEndian.Uint64(key), At: s.At, ID: s.ID, Into: s.Into}
	switch {
	case s.Op == opCall && s.Call != nil:
		e.Op, e.Call = OpCall, s.Call
	case s.Op == opGap && s.Gap != nil:
		e.Op, e.Gap = OpGap, s.Gap
	case s.Op == opDelete:
		e.Op = OpDelete
	default:
		return Entry{}, 0, fmt.Errorf("%w: entry without what it is about", ErrDamaged)
	}
	return e, s.Num, nil
}

func (c *codec) encodeFact(key []byte, e *call.Event) ([]byte, error) {
	b := c.borrow()
	defer c.giveBack(b)
	payload, err := appendEvent(b.AvailableBuffer(), c.enc, e)
	if err != nil {
		return nil, err
	}
	b.Write(payload) // what has grown stays
	return c.packed(kindFact, key, payload, nil)
}

func (c *codec) decodeFact(key, value []byte) (call.Event, error) {
	var e call.Event
	err := c.unpack(kindFact, key, value, &e)
	return e, err
}

func (c *codec) encodeWhy(key []byte, w Why) ([]byte, error) {
	b := c.borrow()
	defer c.giveBack(b)
	payload, err := appendWhy(b.AvailableBuffer(), c.enc, &w)
	if err != nil {
		return nil, err
	}
	b.Write(payload)
	return c.packed(kindWhy, key, payload, c.facts)
}

func (c *codec) decodeWhy(key, value []byte) (*Why, error) {
	var w Why
	if err := c.unpack(kindWhy, key, value, &w); err != nil {
		return nil, err
	}
	var last call.Event
	for i := range w.Facts {
		e := &w.Facts[i]
		e.At += last.At
		e.Seen += e.At
		e.Session += last.Session
		e.Seq += last.Seq
		e.N += last.N
		last = *e
	}
	return &w, nil
}
