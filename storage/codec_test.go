package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"calljournal/agent/call"
)

func mustCodec(t fataler) *codec {
	t.Helper()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// draw fills any value of the domain with anything that fits its type, so that a
// field that is added later is tested without anybody's remembering.
func draw(t *rapid.T, v reflect.Value, label string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			draw(t, v.Field(i), label+"."+v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, label+"?") {
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem(), label)
		}
	case reflect.Slice:
		if n := rapid.IntRange(0, 3).Draw(t, label+"#"); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				draw(t, v.Index(i), label)
			}
		}
	case reflect.Map:
		if rapid.Bool().Draw(t, label+"?") {
			v.Set(reflect.ValueOf(map[string]string{text(t, label): text(t, label)}))
		}
	case reflect.String:
		v.SetString(text(t, label))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, label))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, math.MinInt64, math.MaxInt64})).Draw(t, label))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Uint8().Draw(t, label)))
	case reflect.Uint64:
		v.SetUint(rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, math.MaxUint64})).Draw(t, label))
	default:
		t.Fatalf("%s is a %s: teach the test to draw it", label, v.Type())
	}
}

func drawn[T any](t *rapid.T, label string) T {
	var v T
	draw(t, reflect.ValueOf(&v).Elem(), label)
	return v
}

func TestFactsAndReasonsComeBackAsTheyWere(t *testing.T) {
	c := mustCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "key")
		w := Why{Reasons: drawn[[]call.Reason](t, "reasons"), Facts: drawn[[]call.Event](t, "facts")}
		for _, want := range w.Facts {
			v, err := c.encodeFact(key, &want)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.decodeFact(key, v); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%v\n%s", err, gocmp.Diff(want, got))
			}
		}
		v, err := c.encodeWhy(key, w)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.decodeWhy(key, v); err != nil || !reflect.DeepEqual(*got, w) {
			t.Fatalf("%v\n%s", err, gocmp.Diff(&w, got))
		}
	})
}

// What is written by hand is what cbor makes of the types, byte for byte: no
// field is forgotten, and older journals and newer ones are alike.
func TestFactsAreWrittenAsTheirTypesSay(t *testing.T) {
	c := mustCodec(t)
	bytesOf := func(t *rapid.T, v any) []byte {
		b, err := c.enc.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	rapid.Check(t, func(t *rapid.T) {
		w := Why{Reasons: drawn[[]call.Reason](t, "reasons"), Facts: drawn[[]call.Event](t, "facts")}
		for _, e := range w.Facts {
			if got, err := appendEvent(nil, c.enc, &e); err != nil || !bytes.Equal(got, bytesOf(t, e)) {
				t.Fatalf("%v\n%x\n%x", err, bytesOf(t, e), got)
			}
		}
		steps := bytesOf(t, whySteps(w))
		if got, err := appendWhy(nil, c.enc, &w); err != nil || !bytes.Equal(got, steps) {
			t.Fatalf("%v\n%x\n%x", err, steps, got)
		}
	})
}

// whySteps is what appendWhy writes, as a value.
func whySteps(w Why) *Why {
	steps := &Why{Reasons: w.Reasons, Facts: make([]call.Event, len(w.Facts))}
	var last call.Event
	for i, e := range w.Facts {
		s := e
		s.At, s.Seen = e.At-last.At, e.Seen-e.At
		s.Session, s.Seq, s.N = e.Session-last.Session, e.Seq-last.Seq, e.N-last.N
		steps.Facts[i], last = s, e
	}
	return steps
}

func TestEntriesComeBackAsTheyWere(t *testing.T) {
	c := mustCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		e := Entry{Seq: rapid.Uint64().Draw(t, "seq"), At: drawn[call.Moment](t, "at")}
		switch e.Op = rapid.SampledFrom([]string{OpCall, OpGap, OpDelete}).Draw(t, "op"); e.Op {
		case OpCall:
			e.Call = ptr(drawn[call.Record](t, "call"))
		case OpGap:
			e.Gap = ptr(drawn[call.Gap](t, "gap"))
		case OpDelete:
			e.ID, e.Into = text(t, "id"), text(t, "into")
		}
		key, num := numberKey(e.Seq), rapid.Uint64().Draw(t, "num")
		v, err := c.encodeEntry(key, &e, num)
		if err != nil {
			t.Fatal(err)
		}
		got, gotNum, err := c.decodeEntry(key, v)
		if err != nil || gotNum != num || !reflect.DeepEqual(got, e) {
			t.Fatalf("%v\n%s", err, gocmp.Diff(e, got))
		}
	})
}

// An empty list and none are different words in JSON, and a resend must have the
// same bytes.
func TestRecordKeepsEmptyAndNoneApart(t *testing.T) {
	c := mustCodec(t)
	for _, r := range []call.Record{{Queues: []string{}}, {}} {
		v, err := c.encodeEntry(numberKey(1), &Entry{Op: OpCall, Call: &r}, 1)
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := c.decodeEntry(numberKey(1), v)
		if err != nil || !reflect.DeepEqual(*e.Call, r) {
			t.Errorf("%v\n%s", err, gocmp.Diff(&r, e.Call))
		}
	}
}

// Fields are kept under numbers: each has one of its own, for ever.
func TestEveryStoredFieldHasItsNumber(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			visit(typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[typ] || strings.HasPrefix(typ.PkgPath(), "sync") {
			return
		}
		seen[typ] = true
		numbers := map[string]string{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			parts := strings.Split(f.Tag.Get("cbor"), ",")
			if f.Name == "_" && slices.Contains(parts, "toarray") {
				return // by place
			}
			if !slices.Contains(parts, "keyasint") || parts[0] == "" {
				t.Errorf("%s.%s has no cbor number", typ, f.Name)
			} else if other, taken := numbers[parts[0]]; taken {
				t.Errorf("%s.%s and %s share number %s", typ, f.Name, other, parts[0])
			}
			numbers[parts[0]] = f.Name
			visit(f.Type)
		}
	}
	for _, v := range []any{storedEntry{}, Why{}, call.Event{}, tail{}, Consumer{}, Salvaged{}} {
		visit(reflect.TypeOf(v))
	}
}

func TestSummaryComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := words{number: map[string]uint64{}}
		r := drawn[call.Record](t, "call")
		want := summarise(&r, rapid.Uint64().Draw(t, "seq"), table.add)
		b := want.append(nil)
		var got summary
		if err := got.parse(append(b, "of a later version"...)); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		earlier := len(want.beginning(nil)) // what a summary of an earlier version has
		for cut := range b {
			if err := got.parse(b[:cut]); !errors.Is(err, ErrDamaged) && cut != earlier {
				t.Fatalf("cut at %d of %d: %v", cut, len(b), err)
			}
		}
	})
}

// Any changed byte, in the value or in the key that it stands under, is found.
func TestChecksumFindsEveryChangedByte(t *testing.T) {
	c := mustCodec(t)
	r, facts := newOffice(3).call()
	key := numberKey(77)
	entry, err := c.encodeEntry(key, &Entry{Op: OpCall, Call: r}, 1)
	if err != nil {
		t.Fatal(err)
	}
	why, err := c.encodeWhy(key, Why{Reasons: reasons(), Facts: facts})
	if err != nil {
		t.Fatal(err)
	}
	for i := range entry {
		hurt := bytes.Clone(entry)
		hurt[i] ^= 1 << (i % 8)
		if _, _, err := c.decodeEntry(key, hurt); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d of %d: %v", i, len(entry), err)
		}
	}
	for i := range why {
		if _, err := c.decodeWhy(key, why[:i]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d of %d: %v", i, len(why), err)
		}
	}
	if _, _, err := c.decodeEntry(numberKey(78), entry); !errors.Is(err, ErrDamaged) {
		t.Errorf("under another key: %v", err)
	}
	if _, _, err := c.decodeEntry(key, why); !errors.Is(err, ErrDamaged) {
		t.Errorf("another kind: %v", err)
	}
}

func TestLaterFormatIsNoDamage(t *testing.T) {
	c := mustCodec(t)
	v := seal(kindEntry, numberKey(1), []byte("whatever"))
	v[0] = 9
	binary.LittleEndian.PutUint32(v[len(v)-4:], sum(numberKey(1), v[:len(v)-4]))
	if _, _, err := c.decodeEntry(numberKey(1), v); !errors.Is(err, ErrVersion) {
		t.Errorf("got %v, want ErrVersion", err)
	}
}

// What a call costs on the disk must not grow unnoticed: the sums of what a
// sample takes, before pages.
func TestSizes(t *testing.T) {
	const calls = 500
	c, o, table := mustCodec(t), newOffice(99), words{number: map[string]uint64{}}
	size := map[string]int{}
	for range calls {
		r, facts := o.call()
		entry, err := c.encodeEntry(numberKey(1), &Entry{Op: OpCall, At: r.EndedAt, Call: r}, 1)
		if err != nil {
			t.Fatal(err)
		}
		why, err := c.encodeWhy(numberKey(1), Why{Reasons: reasons(), Facts: facts})
		if err != nil {
			t.Fatal(err)
		}
		s := summarise(r, 1000, table.add)
		size["record"] += len(entry)
		size["why"] += len(why)
		size["summary"] += len(s.append(nil))
	}
	for what, limit := range map[string]int{"record": 360, "why": 660, "summary": 80} {
		if got := size[what] / calls; got > limit {
			t.Errorf("a %s takes %d bytes, more than %d", what, got, limit)
		}
	}
}

// sealed makes a value of arbitrary payload, so that the fuzzer gets past the
// checksum.
func sealed(kind byte, key, payload []byte, packed bool) []byte {
	v := seal(kind, key, payload)
	if packed {
		v[0] = formatDict1
		binary.LittleEndian.PutUint32(v[len(v)-4:], sum(key, v[:len(v)-4]))
	}
	return v
}

func FuzzRecordCodec(f *testing.F) {
	c := mustCodec(f)
	o := newOffice(5)
	key := numberKey(1)
	for range 4 {
		r, _ := o.call()
		v, err := c.encodeEntry(key, &Entry{Op: OpCall, Call: r, At: r.EndedAt}, 3)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(v[2:len(v)-4], v[0] == formatDict1)
		payload, err := c.unseal(kindEntry, key, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload, false)
	}
	f.Fuzz(func(t *testing.T, payload []byte, packed bool) {
		e, num, err := c.decodeEntry(key, sealed(kindEntry, key, payload, packed))
		if err != nil {
			return
		}
		v, err := c.encodeEntry(key, &e, num)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := c.decodeEntry(key, v)
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%v\n%s", err, gocmp.Diff(e, again))
		}
		if e.Call != nil {
			table := words{number: map[string]uint64{}}
			s := summarise(e.Call, 1, table.add)
			if err := new(summary).parse(s.append(nil)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzEventCodec(f *testing.F) {
	c := mustCodec(f)
	_, facts := newOffice(5).call()
	key := numberKey(1)
	v, err := c.encodeWhy(key, Why{Reasons: reasons(), Facts: facts})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(v[2:len(v)-4], true)
	payload, err := c.unseal(kindWhy, key, v)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload, false)
	f.Fuzz(func(t *testing.T, payload []byte, packed bool) {
		w, err := c.decodeWhy(key, sealed(kindWhy, key, payload, packed))
		if err != nil {
			return
		}
		v, err := c.encodeWhy(key, *w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.decodeWhy(key, v); err != nil {
			t.Fatal(err)
		}
	})
}
