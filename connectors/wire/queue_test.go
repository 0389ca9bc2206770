package wire

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The queue against a model: what comes out is what went in, in order, each
// message whole; a loss is stated once, where it was; nothing is kept beyond the
// limit.
func TestQueue(t *testing.T) {
	state := func(dst []byte, g Gap) []byte {
		return fmt.Appendf(dst, "<gap %d-%d %d>", g.From, g.To, g.Count)
	}
	rapid.Check(t, func(t *rapid.T) {
		var count Counters
		limit := rapid.SampledFrom([]int{100, 1000, 3 * chunkBytes}).Draw(t, "limit")
		q := newQueue(limit, state, &count)
		var in, lost []string
		var out strings.Builder
		var chunk []byte
		seen := int64(0)
		pull := func() {
			if q.bytes > 0 || q.ended {
				if chunk = q.pull(chunk); chunk != nil {
					out.Write(chunk)
				}
			}
		}
		expect := func() { // what was lost is stated in its place
			if len(lost) > 0 {
				in = append(in, fmt.Sprintf("<gap %s-%s %d>", lost[0], lost[len(lost)-1], len(lost)))
				lost = nil
			}
		}
		steps := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 300).Draw(t, "steps")
		for _, step := range steps {
			if step == 0 {
				pull()
				if q.gap.Count == 0 {
					expect()
				}
				continue
			}
			seen++
			msg := fmt.Sprintf("[%d%s]", seen, strings.Repeat("x", step*limit/20))
			before := count.Lost.Load()
			q.push([]byte(msg), seen)
			q.flush()
			if count.Lost.Load() > before {
				lost = append(lost, fmt.Sprint(seen))
			} else {
				in = append(in, msg)
			}
			if q.bytes > limit+64 { // a stated loss may go over it
				t.Fatalf("%d bytes in a queue of %d", q.bytes, limit)
			}
			held := 0
			for _, c := range q.chunks {
				held += cap(c)
			}
			if held > limit+2*chunkBytes {
				t.Fatalf("%d bytes held for a queue of %d", held, limit)
			}
		}
		expect()
		q.end([]byte("[end]"))
		for chunk = q.pull(chunk); chunk != nil; chunk = q.pull(chunk) {
			out.Write(chunk)
		}
		if want := strings.Join(in, "") + "[end]"; out.String() != want {
			t.Fatalf("got %.500q\nwant %.500q", out.String(), want)
		}
		if n := count.QueueBytes.Load(); n != 0 {
			t.Fatalf("%d bytes said to wait in an empty queue", n)
		}
	})
}
