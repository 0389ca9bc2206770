package transport

import (
	"container/list"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// Listener accepts TCP connections, but holds no more than a number of them at a
// time. When it is full, a new one takes the place of an idle one: of the address
// that has the most connections, the one that has been idle for the longest time.
// So connections that do nothing keep nobody out.
//
// The http.Server that serves it must have its ConnState hook set to ConnState:
// only the server knows what is idle.
type Listener struct {
	net.Listener
	slots  chan struct{} // one for each connection that is open
	idled  chan struct{} // something may be idle now
	closed chan struct{}
	close  func() error

	mu   sync.Mutex
	from map[string]*visitor // by origin; those without a connection are not there
	at   map[net.Conn]*list.Element
}

// visitor is who has connections open.
type visitor struct {
	open int
	idle list.List // of net.Conn, the longest idle first
}

// Listen opens address for at most most connections, with TLS if files names a
// certificate.
func Listen(address string, files Files, most int, log *slog.Logger) (*Listener, error) {
	secure, err := ServerTLS(files, log)
	if err != nil {
		return nil, err
	}
	inner, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	l := &Listener{
		Listener: inner, slots: make(chan struct{}, most), idled: make(chan struct{}, 1), closed: make(chan struct{}),
		from: map[string]*visitor{}, at: map[net.Conn]*list.Element{},
	}
	l.close = sync.OnceValue(func() error {
		close(l.closed)
		return inner.Close()
	})
	l.Listener = counted{inner, l}
	if secure != nil {
		l.Listener = tls.NewListener(l.Listener, secure)
	}
	return l, nil
}

// Close ends Accept. Connections stay.
func (l *Listener) Close() error { return l.close() }

// ConnState is the hook for http.Server.
func (l *Listener) ConnState(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.from[origin(c.RemoteAddr().String())]
	if v == nil {
		return // closed already
	}
	if e, ok := l.at[c]; ok {
		v.idle.Remove(e)
		delete(l.at, c)
	}
	if state != http.StateNew && state != http.StateIdle {
		return
	}
	l.at[c] = v.idle.PushBack(c)
	select {
	case l.idled <- struct{}{}:
	default:
	}
}

// evict closes an idle connection. What is closed is the socket itself: a TLS
// connection would first try to say goodbye.
func (l *Listener) evict() {
	l.mu.Lock()
	var most *visitor
	for _, v := range l.from {
		if v.idle.Len() > 0 && (most == nil || v.open > most.open) {
			most = v
		}
	}
	var c net.Conn
	if most != nil {
		c = most.idle.Remove(most.idle.Front()).(net.Conn)
		delete(l.at, c)
	}
	l.mu.Unlock()
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if c != nil {
		_ = c.Close()
	}
}

// enter counts a connection that has a slot.
func (l *Listener) enter(c net.Conn) net.Conn {
	from := origin(c.RemoteAddr().String())
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.from[from]
	if v == nil {
		v = &visitor{}
		l.from[from] = v
	}
	v.open++
	return &slotted{Conn: c, free: sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if v.open--; v.open == 0 {
			for e := v.idle.Front(); e != nil; e = e.Next() {
				delete(l.at, e.Value.(net.Conn))
			}
			delete(l.from, from)
		}
		<-l.slots
	})}
}

// counted is the listener beneath TLS, where the sockets are.
type counted struct {
	net.Listener
	l *Listener
}

func (a counted) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l := a.l
	for {
		select {
		case l.slots <- struct{}{}:
			return l.enter(c), nil
		default:
		}
		l.evict()
		select {
		case l.slots <- struct{}{}:
			return l.enter(c), nil
		case <-l.idled:
		case <-l.closed:
			c.Close()
			return nil, net.ErrClosed
		}
	}
}

// slotted gives its slot back when it is closed.
type slotted struct {
	net.Conn
	free func()
}

func (c *slotted) Close() error {
	defer c.free()
	return c.Conn.Close()
}
