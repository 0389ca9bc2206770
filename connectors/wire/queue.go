package wire

import "sync"

// DefaultQueueBytes is how much may wait between the socket and the package.
const DefaultQueueBytes = 64 << 20

const chunkBytes = 64 << 10

// queue keeps whole messages between the reading goroutine and the pump, up to
// a limit in bytes. It never makes its writer wait: what finds no room is lost,
// and the loss is stated in band, at the place where the messages would have
// been, as soon as a quarter of the room is free again. The pause keeps a reader
// that is just too slow from being told of a thousand losses of one message.
type queue struct {
	limit int
	state func(dst []byte, g Gap) []byte // Framer.Gap
	count *Counters

	mu     sync.Mutex
	wake   sync.Cond // something to pull, or ended
	chunks [][]byte  // each but the last is full
	spare  []byte    // what the pump gave back
	bytes  int
	gap    Gap // not yet stated while Count > 0
	ended  bool
}

func newQueue(limit int, state func([]byte, Gap) []byte, count *Counters) *queue {
	if limit <= 0 {
		limit = DefaultQueueBytes
	}
	q := &queue{limit: limit, state: state, count: count}
	q.wake.L = &q.mu
	return q
}

// push takes in a whole message, or counts it as lost. It does not wake the
// pump: flush does, once for all messages of a read.
func (q *queue) push(msg []byte, seen int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gap.Count > 0 || q.bytes+len(msg) > q.limit {
		if q.gap.Count == 0 {
			q.gap = Gap{From: seen, Reason: "queue full"}
		}
		q.gap.To = seen
		q.gap.Count++
		q.count.Lost.Add(1)
		return
	}
	q.add(msg)
}

// add appends bytes; messages run on from one chunk into the next, so that the
// memory in use is never far from q.bytes.
func (q *queue) add(p []byte) {
	q.bytes += len(p)
	for len(p) > 0 {
		last := len(q.chunks) - 1
		if last < 0 || len(q.chunks[last]) == cap(q.chunks[last]) {
			fresh := q.spare
			if q.spare = nil; fresh == nil {
				fresh = make([]byte, 0, chunkBytes)
			}
			q.chunks = append(q.chunks, fresh)
			last++
		}
		c := q.chunks[last]
		n := min(len(p), cap(c)-len(c))
		q.chunks[last] = append(c, p[:n]...)
		p = p[n:]
	}
	q.count.QueueBytes.Store(int64(q.bytes))
}

func (q *queue) flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes > 0 {
		q.wake.Signal()
	}
}

// end states what is still to be stated of a loss, then the end of the stream.
func (q *queue) end(last []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stateGap()
	q.add(last)
	q.ended = true
	q.wake.Broadcast()
}

func (q *queue) stateGap() {
	if q.gap.Count > 0 {
		g := q.gap
		q.gap = Gap{}
		q.add(q.state(nil, g))
	}
}

// pull waits for bytes and gives the oldest chunk; done is what pull gave
// before, which is used again. It gives nil when the stream has ended and
// nothing is left.
func (q *queue) pull(done []byte) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if done != nil {
		q.spare = done[:0]
	}
	for len(q.chunks) == 0 && !q.ended {
		q.wake.Wait()
	}
	if len(q.chunks) == 0 {
		return nil
	}
	c := q.chunks[0]
	q.chunks[0] = nil
	q.chunks = q.chunks[1:]
	if len(q.chunks) == 0 {
		q.chunks = nil // or the array behind it would grow for ever
	}
	q.bytes -= len(c)
	q.count.QueueBytes.Store(int64(q.bytes))
	if q.bytes <= q.limit/4*3 {
		q.stateGap()
	}
	return c
}
