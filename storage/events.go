package storage

import (
	"encoding/binary"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"calljournal/agent/call"
)

// Facts are by far most of what is written: some twenty for each call, twice.
// What cbor would write of one after looking at its type is written here straight
// away, to the byte; rare parts are left to cbor. Reading is left to cbor, which
// distrusts what it reads.

// cbor's major types.
const (
	cborUint     = 0 << 5
	cborNegative = 1 << 5
	cborText     = 3 << 5
	cborArray    = 4 << 5
	cborMap      = 5 << 5
	cborTrue     = 7<<5 | 21
)

func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, cborText, uint64(len(s))), s...)
}

// fields is a struct on its way into b: a map of the fields that are not empty.
type fields struct {
	b     []byte
	begin int
	count int
}

func beginFields(b []byte) fields { return fields{append(b, 0), len(b), 0} }

// end writes how many fields there were before them.
func (f *fields) end() []byte {
	f.b[f.begin] = cborMap | byte(f.count)
	if f.count > 23 {
		f.b[f.begin] = cborMap | 24
		f.b = slices.Insert(f.b, f.begin+1, byte(f.count))
	}
	return f.b
}

func (f *fields) key(key uint64) {
	f.count++
	f.b = appendHead(f.b, cborUint, key)
}

func (f *fields) text(key uint64, s string) {
	if s != "" {
		f.key(key)
		f.b = appendText(f.b, s)
	}
}

func (f *fields) uint(key, n uint64) {
	if n != 0 {
		f.key(key)
		f.b = appendHead(f.b, cborUint, n)
	}
}

func (f *fields) int(key uint64, n int64) {
	if n < 0 {
		f.key(key)
		f.b = appendHead(f.b, cborNegative, uint64(^n))
		return
	}
	f.uint(key, uint64(n))
}

func (f *fields) flag(key uint64, is bool) {
	if is {
		f.key(key)
		f.b = append(f.b, cborTrue)
	}
}

// rare leaves a value to cbor.
func (f *fields) rare(key uint64, enc cbor.EncMode, v any) error {
	b, err := enc.Marshal(v)
	if err != nil {
		return err
	}
	f.key(key)
	f.b = append(f.b, b...)
	return nil
}

func appendEvent(b []byte, enc cbor.EncMode, e *call.Event) ([]byte, error) {
	f := beginFields(b)
	f.uint(1, e.Session)
	f.uint(2, e.Seq)
	f.uint(3, e.N)
	f.int(4, int64(e.At))
	f.int(5, int64(e.Seen))
	f.uint(6, uint64(e.Kind))
	f.text(7, string(e.Leg))
	f.text(8, string(e.Peer))
	f.text(9, e.Link)
	f.text(10, e.Channel)
	f.text(11, e.Endpoint)
	f.flag(12, e.Local)
	f.flag(13, e.Originated)
	f.uint(14, uint64(e.State))
	f.text(15, e.Number)
	f.text(16, e.CallerName)
	f.text(17, e.Dialled)
	f.text(18, e.Context)
	f.text(19, e.Account)
	f.text(20, e.Bridge)
	f.text(21, e.Bridge2)
	f.uint(22, uint64(e.BridgeKind))
	f.text(23, string(e.Swap))
	f.text(24, e.Queue)
	f.text(25, e.Result)
	f.text(26, e.By)
	f.uint(27, uint64(e.App))
	f.text(28, e.Data)
	f.text(29, e.File)
	f.int(30, e.DurationMs)
	f.int(31, int64(e.Pages))
	f.int(32, int64(e.From))
	f.int(33, int64(e.Members))
	f.text(34, e.PeerChannel)
	f.text(35, e.PeerLink)
	if c := e.Cause; c != nil {
		f.key(36)
		cause := beginFields(f.b)
		cause.int(1, int64(c.Q850))
		cause.text(2, c.Text)
		cause.int(3, int64(c.SIP))
		f.b = cause.end()
	}
	if e.Transfer != nil {
		if err := f.rare(37, enc, e.Transfer); err != nil {
			return nil, err
		}
	}
	if e.History != nil {
		if err := f.rare(38, enc, e.History); err != nil {
			return nil, err
		}
	}
	if len(e.Live) > 0 {
		if err := f.rare(39, enc, e.Live); err != nil {
			return nil, err
		}
	}
	f.text(40, e.Connected)
	f.text(41, e.Doubt)
	f.int(42, int64(e.Ahead))
	return f.end(), nil
}

// appendWhy writes moments and numbers as steps from the fact before: the facts
// of one call follow each other closely, and a stamp is the largest thing in them.
func appendWhy(b []byte, enc cbor.EncMode, w *Why) (_ []byte, err error) {
	f := beginFields(b)
	if len(w.Reasons) > 0 {
		f.key(1)
		f.b = appendHead(f.b, cborArray, uint64(len(w.Reasons)))
		for i := range w.Reasons {
			f.b = appendReason(f.b, &w.Reasons[i])
		}
	}
	if len(w.Facts) > 0 {
		f.key(2)
		f.b = appendHead(f.b, cborArray, uint64(len(w.Facts)))
		last := &call.Event{}
		for i := range w.Facts {
			e := &w.Facts[i]
			step := *e
			step.At, step.Seen = e.At-last.At, e.Seen-e.At
			step.Session, step.Seq, step.N = e.Session-last.Session, e.Seq-last.Seq, e.N-last.N
			if f.b, err = appendEvent(f.b, enc, &step); err != nil {
				return nil, err
			}
			last = e
		}
	}
	return f.end(), nil
}

func appendReason(b []byte, r *call.Reason) []byte {
	f := beginFields(b)
	f.key(1) // these two are written even when they are empty
	f.b = appendText(f.b, r.Field)
	f.key(2)
	f.b = appendText(f.b, r.Rule)
	if len(r.Facts) > 0 {
		f.key(3)
		f.b = appendHead(f.b, cborArray, uint64(len(r.Facts)))
		for _, n := range r.Facts {
			f.b = appendHead(f.b, cborUint, n)
		}
	}
	return f.end()
}
