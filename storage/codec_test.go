package storage

import (
	"testing"
)

func TestSizes(t *testing.T) {
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	o := newOffice(99)
	var rec, why, sum, facts, n int
	w := words{number: map[string]uint64{}}
	for range 500 {
		r, f := o.call()
		b, _ := c.encodeEntry(numberKey(1), &Entry{Op: OpCall, At: r.EndedAt, Call: r}, 1)
		rec += len(b)
		b, _ = c.encodeWhy(numberKey(1), Why{reasons(), f})
		why += len(b)
		s := summarise(r, 1000, w.add)
		sum += len(s.append(nil))
		for i := range f {
			b, _ = c.encodeFact(numberKey(1), &f[i])
			facts += len(b)
			n++
		}
	}
	t.Log("rec", rec/500, "why", why/500, "sum", sum/500, "fact", facts/n)
}
