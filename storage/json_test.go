package storage

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"calljournal/agent/call"
)

// madeUp gives a value of any type of the record made-up contents: every field of
// it, also those that are added later.
func madeUp(t *rapid.T, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 0 && rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			madeUp(t, v.Elem(), depth-1)
		}
	case reflect.Slice:
		if n := rapid.IntRange(-1, 2).Draw(t, "length"); n >= 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				madeUp(t, v.Index(i), depth-1)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			madeUp(t, v.Field(i), depth)
		}
	case reflect.String:
		v.SetString(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "101", "Анна", "<b>&\u2028", "\"\\", "\xff\x00", "\ufffd", "日本 €"})).Draw(t, "text"))
	case reflect.Int64, reflect.Int:
		// Moments are within the years that a time in JSON can have.
		v.SetInt(rapid.Int64Range(-60_000_000_000_000_000, 250_000_000_000_000_000).Draw(t, "number"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "number"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "truth"))
	default:
		t.Fatalf("a %v in a record is new: madeUp and shapeOf must know it", v.Type())
	}
}

func newTestCodec(t testing.TB) *codec {
	t.Helper()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is written straight from the file is what decoding and encoding makes.
func TestEntryJSON_SameAsTheLongWay(t *testing.T) {
	c := newTestCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		e := Entry{Seq: rapid.Uint64().Draw(t, "seq"), Op: rapid.SampledFrom([]string{OpCall, OpGap, OpDelete}).Draw(t, "op")}
		madeUp(t, reflect.ValueOf(&e.At).Elem(), 1)
		switch e.Op {
		case OpCall:
			e.Call = new(call.Record)
			madeUp(t, reflect.ValueOf(e.Call).Elem(), 6)
		case OpGap:
			e.Gap = new(call.Gap)
			madeUp(t, reflect.ValueOf(e.Gap).Elem(), 6)
		case OpDelete:
			e.ID, e.Into = rapid.String().Draw(t, "id"), rapid.String().Draw(t, "into")
		}
		key := numberKey(e.Seq)
		v, err := c.encodeEntry(key, &e, rapid.Uint64Range(0, 1000).Draw(t, "num"))
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := c.decodeEntry(key, v)
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(entryText(back))
		if err != nil {
			t.Fatal(err)
		}
		payload, _, err := c.unsealInto(nil, kindEntry, key, v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.shapes.appendEntry([]byte("before"), e.Seq, payload)
		if err != nil {
			t.Fatalf("went the long way: %v", err)
		}
		if string(got) != "before"+string(want) {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// A record of a version that had fewer fields gets null where they are missing;
// one with more, or in another order, goes the long way, and comes out right.
func TestEntryJSON_OtherVersions(t *testing.T) {
	c := newTestCodec(t)
	key := numberKey(7)
	r, _ := newOffice(1).call()
	text, err := c.enc.Marshal(&storedEntry{At: 1, Op: opCall, Num: 1, Call: r})
	if err != nil {
		t.Fatal(err)
	}
	fewer, err := cbor.CTAP2EncOptions().EncMode() // keys in order
	if err != nil {
		t.Fatal(err)
	}
	entry := func(change func(record map[any]any)) []byte {
		var m map[any]any
		if err := cbor.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		change(m[uint64(4)].(map[any]any))
		b, err := fewer.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, payload := range map[string][]byte{
		"fewer fields": entry(func(m map[any]any) {
			for _, k := range []uint64{8, 11, 18, 23, 33, 46} {
				delete(m, k)
			}
		}),
		"more fields":  entry(func(m map[any]any) { m[uint64(900)] = "of later" }),
		"another type": entry(func(m map[any]any) { m[uint64(12)] = nil }),
	} {
		v := c.sealPacked(kindEntry, key, payload, c.records)
		e, _, err := c.decodeEntry(key, v)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want, err := json.Marshal(entryText(e))
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := c.appendEntry(nil, nil, key, v)
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
}

// Whatever bytes there are, nothing is written that is no JSON.
func FuzzEntryJSON(f *testing.F) {
	c := newTestCodec(f)
	r, _ := newOffice(1).call()
	for _, e := range []Entry{{Op: OpCall, Call: r}, {Op: OpGap, Gap: &call.Gap{PBX: "main", From: 1}}, {Op: OpDelete, ID: "a", Into: "b"}} {
		v, err := c.encodeEntry(numberKey(1), &e, 1)
		if err != nil {
			f.Fatal(err)
		}
		payload, err := c.unseal(kindEntry, numberKey(1), v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		b, err := c.shapes.appendEntry(nil, 1, payload)
		if err == nil && !json.Valid(b) {
			t.Errorf("%x: %s", payload, b)
		}
	})
}

func TestFeedJSON(t *testing.T) {
	d, err := Open(filepath.Join(t.TempDir(), "journal.db"), Options{Agent: "office", NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	o := newOffice(1)
	var b Batch
	for range 100 {
		r, _ := o.call()
		b.Entries = append(b.Entries, Entry{Op: OpCall, Call: r})
	}
	if err := d.Commit(&b); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ after, limit, size, want int }{
		{0, 1000, 1 << 20, 100}, {0, 7, 1 << 20, 7}, {90, 1000, 1 << 20, 100}, {50, 1000, 1, 51}, {100, 1000, 1 << 20, 100}, {0, 3, 1 << 20, 3},
	} {
		text, p, err := d.FeedJSON([]byte("["), uint64(tt.after), tt.limit, tt.size)
		if err != nil || p.Next != uint64(tt.want) || p.Head != 100 || p.Oldest != 1 {
			t.Fatalf("%+v: %+v, %v", tt, p, err)
		}
		plain, err := d.Feed(uint64(tt.after), tt.want-tt.after)
		if err != nil {
			t.Fatal(err)
		}
		want := []entryText{}
		for _, e := range plain.Entries[:tt.want-tt.after] {
			want = append(want, entryText(e))
		}
		whole, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if string(text)+"]" != string(whole) {
			t.Errorf("%+v: %s", tt, text)
		}
	}
	if _, _, err := d.FeedJSON(nil, 101, 1, 1); fmt.Sprint(err) == "<nil>" {
		t.Error("beyond the end there is something")
	}
}

// BenchmarkFeedJSON is the reading side of GET /v1/sync.
func BenchmarkFeedJSON(b *testing.B) {
	d, err := Open(filepath.Join(b.TempDir(), "journal.db"), Options{Agent: "office", NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	o := newOffice(1)
	const calls = 10_000
	var batch Batch
	for range calls {
		r, _ := o.call()
		batch.Entries = append(batch.Entries, Entry{Op: OpCall, Call: r})
	}
	if err := d.Commit(&batch); err != nil {
		b.Fatal(err)
	}
	var buf []byte
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n = 0
		for after := uint64(0); after < calls; {
			text, p, err := d.FeedJSON(buf[:0], after, calls, 64<<10)
			if err != nil {
				b.Fatal(err)
			}
			after, buf, n = p.Next, text, n+len(text)
		}
	}
	b.SetBytes(int64(n))
	b.ReportMetric(float64(calls)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
