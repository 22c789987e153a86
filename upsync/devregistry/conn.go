package devregistry

import (
	"net"
	"sync"
)

// listener wraps what it accepts.
type listener struct {
	net.Listener
	server *Server
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	wrapped := &conn{Conn: c, server: l.server, gone: make(chan struct{})}
	l.server.mu.Lock()
	l.server.conns[wrapped] = struct{}{}
	l.server.mu.Unlock()
	return wrapped, nil
}

// conn is a connection that falls silent in a partition.
type conn struct {
	net.Conn
	server *Server
	once   sync.Once
	gone   chan struct{}
}

// pass waits out a partition, or the end of the connection.
func (c *conn) pass() {
	silent := c.server.silence()
	if silent == nil {
		return
	}
	select {
	case <-silent:
	case <-c.gone:
	}
}

// Read hands over what came in only once a partition is over.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.pass()
	return n, err
}

// Write keeps what is to go out until a partition is over.
func (c *conn) Write(b []byte) (int, error) {
	c.pass()
	return c.Conn.Write(b)
}

// Close closes the connection once and forgets it.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		close(c.gone)
		c.server.mu.Lock()
		delete(c.server.conns, c)
		c.server.mu.Unlock()
		err = c.Conn.Close()
	})
	return err
}

// reset closes with a RST instead of a FIN.
func (c *conn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
