package capture

import (
	"bytes"
	"strconv"

	"calljournal/connectors/wire"
)

// cutter cuts a stream into whole messages. Unlike wire's framers it changes
// nothing: every byte that goes in comes out once, in order, whether it makes
// sense or not.
type cutter struct {
	esl  bool
	buf  []byte
	seen int // bytes of buf that were looked through
	rest int // bytes of an overlong body that are still to come
}

// mostUncut is how much without the end of a message is waited for.
const mostUncut = 1 << 20

// feed takes bytes and gives the messages that they complete. whole is false
// for a piece of what is no message of a bearable size.
func (c *cutter) feed(p []byte, out func(msg []byte, whole bool)) {
	c.buf = append(c.buf, p...)
	for len(c.buf) > 0 {
		if c.rest > 0 {
			n := min(c.rest, len(c.buf))
			c.rest -= n
			c.give(n, false, out)
			continue
		}
		n, whole := c.next()
		if n == 0 {
			return
		}
		c.give(n, whole, out)
	}
	if cap(c.buf) > 4*mostUncut {
		c.buf = nil
	}
}

// flush gives what never became a message.
func (c *cutter) flush(out func(msg []byte, whole bool)) {
	if len(c.buf) > 0 {
		c.give(len(c.buf), false, out)
	}
	c.rest = 0
}

func (c *cutter) give(n int, whole bool, out func([]byte, bool)) {
	out(c.buf[:n], whole)
	c.buf, c.seen = c.buf[n:], 0
	if len(c.buf) == 0 {
		c.buf = c.buf[:0]
	}
}

// next gives the length of the message at the head of buf; 0 if its end is not
// there yet.
func (c *cutter) next() (n int, whole bool) {
	head := 0 // length of the lines up to the empty one
	for from := c.seen; ; {
		i := bytes.IndexByte(c.buf[from:], '\n')
		if i < 0 {
			break
		}
		line := bytes.TrimSuffix(c.buf[from:from+i], []byte("\r"))
		from += i + 1
		c.seen = from
		if len(line) == 0 {
			head = from
			break
		}
	}
	if head == 0 {
		if len(c.buf) >= mostUncut {
			return len(c.buf), false
		}
		return 0, false
	}
	if !c.esl {
		return head, true
	}
	body := contentLength(c.buf[:head])
	switch {
	case body > wire.MaxBody:
		c.rest = head + body
		return 0, false
	case head+body > len(c.buf):
		c.seen = 0 // the head is looked at again when more has come: it is short
		return 0, false
	}
	return head + body, true
}

func contentLength(head []byte) int {
	for line := range bytes.Lines(head) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(bytes.TrimSpace(name), []byte("Content-Length")) {
			if n, err := strconv.Atoi(string(bytes.TrimSpace(value))); err == nil && n > 0 {
				return min(n, 1<<30) // more is too much in any case, and an int may have 32 bits
			}
		}
	}
	return 0
}
