package uplink

import (
	"io"
	"net"
	"sync"
)

// conn is a connection that a request was turned into. What is read may have been
// buffered before; deadlines and addresses are the socket's.
type conn struct {
	net.Conn // the socket
	both     io.ReadWriteCloser
	once     sync.Once
	closed   chan struct{}
}

func newConn(both io.ReadWriteCloser, socket net.Conn) *conn {
	return &conn{Conn: socket, both: both, closed: make(chan struct{})}
}

func (c *conn) Read(p []byte) (int, error)  { return c.both.Read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.both.Write(p) }

func (c *conn) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	return c.both.Close()
}

// single is a listener that accepts one connection, and then waits for its end.
type single struct {
	conn *conn
	mu   sync.Mutex
	gone bool
}

func (s *single) Accept() (net.Conn, error) {
	s.mu.Lock()
	first := !s.gone
	s.gone = true
	s.mu.Unlock()
	if first {
		return s.conn, nil
	}
	<-s.conn.closed
	return nil, net.ErrClosed
}

// Close closes the connection too: there will be no other.
func (s *single) Close() error { return s.conn.Close() }

func (s *single) Addr() net.Addr { return s.conn.LocalAddr() }
