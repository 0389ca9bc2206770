package replay

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	// outQueue is how many messages wait for a client that reads slowly; then
	// the whole PBX waits for it.
	outQueue = 4096
	// writeTimeout is how long the PBX waits for a client before it drops it.
	writeTimeout = 5 * time.Second
)

// conn is one client. What is given to send goes out whole and in order.
type conn struct {
	net  net.Conn
	chop int
	rand *rand.Rand

	out     chan []byte
	gone    chan struct{} // nothing more will be written
	ended   chan struct{} // nothing more will be sent
	left    chan struct{} // nothing more will be read
	endOnce sync.Once

	// What the protocol knows of the client; the Server's lock guards it.
	session any
	// held, if not nil, collects what is sent until release.
	held []byte
}

func newConn(nc net.Conn, chop int, seed uint64) *conn {
	return &conn{net: nc, chop: chop, rand: rand.New(rand.NewPCG(seed, 0)), out: make(chan []byte, outQueue),
		gone: make(chan struct{}), ended: make(chan struct{}), left: make(chan struct{})}
}

// send queues data; a client that is gone loses it.
func (c *conn) send(data []byte) {
	if c.held != nil {
		c.held = append(c.held, data...)
		return
	}
	select {
	case c.out <- data:
	case <-c.gone:
	case <-c.ended:
	}
}

// release sends in one piece what was held back.
func (c *conn) release() {
	if data := c.held; data != nil {
		c.held = nil
		c.send(data)
	}
}

// finish lets everything that is queued go out, then closes.
func (c *conn) finish() { c.endOnce.Do(func() { close(c.ended) }) }

// closeWhole ends the sending side, and waits for the client to take all that was
// sent and close: what it has not read is lost to it when we close on a question
// of its own that we have not read.
func (c *conn) closeWhole() {
	c.finish()
	patience := time.NewTimer(writeTimeout)
	defer patience.Stop()
	select {
	case <-c.left:
	case <-patience.C:
	}
}

// drop breaks the connection off.
func (c *conn) drop() {
	if t, ok := c.net.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.net.Close()
}

// writeAll writes until finish or until the client is gone.
func (c *conn) writeAll() {
	defer close(c.gone)
	defer c.endSending()
	for {
		select {
		case data := <-c.out:
			if c.write(data) != nil {
				return
			}
			continue
		default:
		}
		select {
		case data := <-c.out:
			if c.write(data) != nil {
				return
			}
		case <-c.ended:
			if len(c.out) == 0 {
				return
			}
		}
	}
}

// endSending closes the one direction; serve closes the other.
func (c *conn) endSending() {
	if t, ok := c.net.(*net.TCPConn); ok && t.CloseWrite() == nil {
		return
	}
	_ = c.net.Close()
}

func (c *conn) write(data []byte) error {
	_ = c.net.SetWriteDeadline(time.Now().Add(writeTimeout))
	if c.chop == 0 {
		_, err := c.net.Write(data)
		return err
	}
	for len(data) > 0 {
		n := min(1+c.rand.IntN(c.chop), len(data))
		if _, err := c.net.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
