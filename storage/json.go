package storage

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"calljournal/agent/call"
)

// A central server that was away for long asks for a million records, and wants
// them as JSON. They lie in the file as CBOR, with the same fields in the same
// order: this writes one as the other, without making a Record in between. What
// it does not expect, as records of other versions, goes the long way.

// errLongWay: the value must be decoded and encoded.
var errLongWay = errors.New("not as this version writes it")

// shape is how a Go type looks in CBOR and in JSON. It is made from the type, so
// that a field that is added to a record needs nothing here.
type shape struct {
	kind   shapeKind
	fields []fieldShape // of a struct, in order
	item   *shape       // of a list
}

type shapeKind uint8

const (
	shapeText shapeKind = iota
	shapeInt
	shapeUint
	shapeBool
	shapeMoment
	shapeList
	shapeStruct
)

// fieldShape is a field of a struct. missing is what it is in JSON where CBOR
// does not have it.
type fieldShape struct {
	key     uint64
	name    []byte // with quotes and colon, and the comma before
	missing []byte
	shape   *shape
}

// shapeOf makes the shape of a type of a record; a pointer is what it points to,
// or null.
func shapeOf(t reflect.Type) (*shape, error) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[call.Moment]():
		return &shape{kind: shapeMoment}, nil
	case t.Kind() == reflect.String:
		return &shape{kind: shapeText}, nil
	case t.Kind() == reflect.Int64 || t.Kind() == reflect.Int:
		return &shape{kind: shapeInt}, nil
	case t.Kind() == reflect.Uint64:
		return &shape{kind: shapeUint}, nil
	case t.Kind() == reflect.Bool:
		return &shape{kind: shapeBool}, nil
	case t.Kind() == reflect.Slice:
		item, err := shapeOf(t.Elem())
		return &shape{kind: shapeList, item: item}, err
	case t.Kind() == reflect.Struct:
		return structShape(t)
	}
	return nil, fmt.Errorf("%v has no shape", t)
}

func structShape(t reflect.Type) (*shape, error) {
	s := &shape{kind: shapeStruct}
	// Of a type that writes itself, as call.Cause, zero tells what is missing.
	zero, err := json.Marshal(reflect.Zero(t).Interface())
	if err != nil {
		return nil, err
	}
	var zeros map[string]json.RawMessage
	if err := json.Unmarshal(zero, &zeros); err != nil {
		return nil, fmt.Errorf("%v is no object: %w", t, err)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		tag := strings.Split(f.Tag.Get("cbor"), ",")
		key, err := strconv.ParseUint(tag[0], 10, 64)
		if err != nil || len(s.fields) > 0 && key <= s.fields[len(s.fields)-1].key {
			return nil, fmt.Errorf("%v.%s has no number after that of the field before", t, f.Name)
		}
		missing, ok := zeros[name]
		if !ok {
			return nil, fmt.Errorf("%v.%s is not always in JSON", t, f.Name)
		}
		of, err := shapeOf(f.Type)
		if err != nil {
			return nil, err
		}
		text := call.AppendText(nil, name)
		if i > 0 {
			text = append([]byte{','}, text...)
		}
		s.fields = append(s.fields, fieldShape{key, append(text, ':'), missing, of})
	}
	return s, nil
}

// CBOR as this package writes it: definite lengths, no tags, no floats.
const (
	majorUint  = 0
	majorNeg   = 1
	majorText  = 3
	majorList  = 4
	majorMap   = 5
	majorOther = 7

	otherFalse = 20
	otherTrue  = 21
	otherNull  = 22
)

// head reads the head of the next item.
func head(c []byte) (major byte, n uint64, rest []byte, err error) {
	if len(c) == 0 {
		return 0, 0, nil, errLongWay
	}
	major, info := c[0]>>5, c[0]&31
	c = c[1:]
	switch {
	case info < 24:
		return major, uint64(info), c, nil
	case major == majorOther:
		return 0, 0, nil, errLongWay // a float, or something unassigned
	case info == 24 && len(c) >= 1:
		return major, uint64(c[0]), c[1:], nil
	case info == 25 && len(c) >= 2:
		return major, uint64(binary.BigEndian.Uint16(c)), c[2:], nil
	case info == 26 && len(c) >= 4:
		return major, uint64(binary.BigEndian.Uint32(c)), c[4:], nil
	case info == 27 && len(c) >= 8:
		return major, binary.BigEndian.Uint64(c), c[8:], nil
	}
	return 0, 0, nil, errLongWay
}

// append writes the CBOR item that c begins with as JSON, and gives what follows
// it. After an error b is as long as it was, but for what is beyond its length.
func (s *shape) append(b, c []byte) (out, rest []byte, err error) {
	major, n, rest, err := head(c)
	if err != nil {
		return b, nil, err
	}
	if major == majorOther && n == otherNull {
		return append(b, "null"...), rest, nil
	}
	switch {
	case s.kind == shapeText && major == majorText:
		if n > uint64(len(rest)) {
			return b, nil, errLongWay
		}
		return call.AppendText(b, rest[:n]), rest[n:], nil
	case (s.kind == shapeInt || s.kind == shapeUint) && major == majorUint:
		return strconv.AppendUint(b, n, 10), rest, nil
	case s.kind == shapeInt && major == majorNeg && n < 1<<63:
		return strconv.AppendInt(b, -1-int64(n), 10), rest, nil
	case s.kind == shapeMoment && major == majorUint && n < 1<<63:
		return call.Moment(n).AppendJSON(b), rest, nil
	case s.kind == shapeMoment && major == majorNeg && n < 1<<63:
		return call.Moment(-1 - int64(n)).AppendJSON(b), rest, nil
	case s.kind == shapeBool && major == majorOther && n == otherFalse:
		return append(b, "false"...), rest, nil
	case s.kind == shapeBool && major == majorOther && n == otherTrue:
		return append(b, "true"...), rest, nil
	case s.kind == shapeList && major == majorList:
		b = append(b, '[')
		for i := range n {
			if i > 0 {
				b = append(b, ',')
			}
			if b, rest, err = s.item.append(b, rest); err != nil {
				return b, nil, err
			}
		}
		return append(b, ']'), rest, nil
	case s.kind == shapeStruct && major == majorMap:
		return s.appendFields(b, rest, n)
	}
	return b, nil, errLongWay
}

// appendFields writes the n fields of a map, and those that it does not have.
func (s *shape) appendFields(b, c []byte, n uint64) (out, rest []byte, err error) {
	b = append(b, '{')
	next := 0
	for range n {
		major, key, rest, err := head(c)
		if err != nil {
			return b, nil, err
		}
		for next < len(s.fields) && s.fields[next].key < key {
			b = append(append(b, s.fields[next].name...), s.fields[next].missing...)
			next++
		}
		if major != majorUint || next == len(s.fields) || s.fields[next].key != key {
			return b, nil, errLongWay
		}
		b = append(b, s.fields[next].name...)
		if b, c, err = s.fields[next].shape.append(b, rest); err != nil {
			return b, nil, err
		}
		next++
	}
	for ; next < len(s.fields); next++ {
		b = append(append(b, s.fields[next].name...), s.fields[next].missing...)
	}
	return append(b, '}'), c, nil
}

// shapes are those of what an entry holds.
type shapes struct{ record, gap *shape }

func newShapes() (s shapes, err error) {
	if s.record, err = shapeOf(reflect.TypeFor[call.Record]()); err != nil {
		return s, err
	}
	s.gap, err = shapeOf(reflect.TypeFor[call.Gap]())
	return s, err
}

// appendEntry writes the payload of an entry as GET /v1/sync shows it.
func (s shapes) appendEntry(b []byte, seq uint64, c []byte) ([]byte, error) {
	major, n, c, err := head(c)
	if err != nil || major != majorMap {
		return b, errLongWay
	}
	b = strconv.AppendUint(append(b, `{"seq":`...), seq, 10)
	text := shape{kind: shapeText}
	last, op := uint64(0), uint64(0)
	for range n {
		major, key, rest, err := head(c)
		if err != nil || major != majorUint || key <= last {
			return b, errLongWay
		}
		last, c = key, rest
		switch key {
		case 1:
			at := shape{kind: shapeMoment}
			b, c, err = at.append(append(b, `,"at":`...), c)
		case 2:
			major, op, c, err = head(c)
			if err != nil || major != majorUint {
				return b, errLongWay
			}
			switch op {
			case uint64(opCall):
				b = append(b, `,"op":"call"`...)
			case uint64(opGap):
				b = append(b, `,"op":"gap"`...)
			case uint64(opDelete):
				b = append(b, `,"op":"delete"`...)
			default:
				return b, errLongWay
			}
		case 3: // the number of the call is ours
			major, _, c, err = head(c)
			if major != majorUint {
				return b, errLongWay
			}
		case 4:
			b, c, err = s.record.append(append(b, `,"call":`...), c)
		case 5:
			b, c, err = s.gap.append(append(b, `,"gap":`...), c)
		case 6:
			b, c, err = text.append(append(b, `,"id":`...), c)
		case 7:
			b, c, err = text.append(append(b, `,"into":`...), c)
		default:
			return b, errLongWay
		}
		if err != nil {
			return b, err
		}
	}
	if len(c) > 0 || last < 2 || op == 0 {
		return b, errLongWay
	}
	return append(b, '}'), nil
}

// entryText is an entry in JSON, the long way.
type entryText struct {
	Seq  uint64       `json:"seq"`
	At   call.Moment  `json:"at"`
	Op   string       `json:"op"`
	Call *call.Record `json:"call,omitempty"`
	Gap  *call.Gap    `json:"gap,omitempty"`
	ID   string       `json:"id,omitempty"`
	Into string       `json:"into,omitempty"`
}

// appendEntry writes a value of the feed as GET /v1/sync shows it. scratch is
// memory for the value as it is unpacked; what it has become is given back.
func (c *codec) appendEntry(b, scratch, key, value []byte) (out, used []byte, err error) {
	if len(key) != 8 {
		return b, scratch, fmt.Errorf("%w: key of %d bytes", ErrDamaged, len(key))
	}
	payload, scratch, err := c.unsealInto(scratch, kindEntry, key, value)
	if err != nil {
		return b, scratch, err
	}
	before := len(b)
	if b, err = c.shapes.appendEntry(b, binary.BigEndian.Uint64(key), payload); err == nil {
		return b, scratch, nil
	}
	b = b[:before]
	e, _, err := c.decodeEntry(key, value)
	if err != nil {
		return b, scratch, err
	}
	text, err := json.Marshal(entryText(e))
	if err != nil {
		return b, scratch, fmt.Errorf("entry %d: %w", e.Seq, err)
	}
	return append(b, text...), scratch, nil
}
