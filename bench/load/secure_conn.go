package load

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// secureConn is one connection and its goroutine.
type secureConn struct {
	secure  *secure
	tls     *tls.Conn
	err     error
	scan    scanner
	known   []known
	buf     []byte
	in      int // bytes of an incomplete head in buf
	body    []byte
	scratch []byte
}

func (c *secureConn) work() {
	pause := firstBackoff
	for {
		f, ok := c.secure.next()
		if !ok {
			return
		}
		if c.exchange(&f) {
			pause = firstBackoff
			continue
		}
		c.close()
		time.Sleep(pause)
		pause = min(2*pause, maxBackoff)
	}
}

func (c *secureConn) close() {
	if c.tls != nil {
		c.tls.NetConn().Close() // no farewell: it could block
		c.tls = nil
	}
}

// dial opens the connection, handshake included.
func (c *secureConn) dial() bool {
	s := c.secure
	ctx, cancel := context.WithTimeout(context.Background(), s.run.cfg.Timeout)
	defer cancel()
	from := s.run.clock()
	d := tls.Dialer{NetDialer: &net.Dialer{KeepAlive: -1}, Config: s.config}
	conn, err := d.DialContext(ctx, "tcp", s.run.cfg.Addr.String())
	if c.err = err; err != nil {
		return false
	}
	c.tls, _ = conn.(*tls.Conn)
	c.scan, c.in = scanner{}, 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rec.connected(s.run.clock() - from)
	return true
}

// exchange sends one request and reads its answer.
func (c *secureConn) exchange(f *flight) bool {
	r := c.secure.run
	if c.tls == nil && !c.dial() {
		c.record(f, dialKind(c.err), false)
		return false
	}
	m := &r.plan.messages[f.message]
	c.tls.SetDeadline(r.epoch.Add(time.Duration(f.sent + r.timeout)))
	c.scratch = m.text.append(c.scratch[:0], f.id)
	if _, err := c.tls.Write(c.scratch); err != nil {
		c.record(f, readKind(err), false)
		return false
	}
	if kind, ok := c.receive(f, m); !ok {
		c.record(f, kind, false)
		return false
	}
	kind, ok := m.verdict(c.scan.answer.status, c.body, f.id, &c.scratch)
	c.record(f, kind, ok)
	if c.scan.answer.last || r.fresh {
		c.close()
	}
	return true
}

// record counts the outcome; good says that there is nothing to complain about.
func (c *secureConn) record(f *flight, kind Kind, good bool) {
	s := c.secure
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.run.clock()
	if good || kind == BadStatus || kind == BadBody {
		s.lastAnswer = now
		s.rec.answer(f, c.scan.answer.status, now)
	}
	if !good {
		s.rec.failure(f, kind, now)
	}
}

// receive reads until the answer is complete.
func (c *secureConn) receive(f *flight, m *message) (Kind, bool) {
	c.body = c.body[:0]
	for {
		n, err := c.tls.Read(c.buf[c.in:])
		done, bad := c.consume(c.buf[:c.in+n], f, m)
		switch {
		case done:
			return 0, true
		case bad:
			return Malformed, false
		case err != nil && c.scan.ended():
			c.scan.answer.last = true
			return 0, true
		case err != nil:
			return readKind(err), false
		}
	}
}

func (c *secureConn) consume(b []byte, f *flight, m *message) (done, bad bool) {
	c.in = 0
	for len(b) > 0 {
		data, n, ended, err := c.scan.next(b, &c.known[f.message], m.head)
		if err != nil {
			return false, true
		}
		if n == 0 {
			c.in = copy(c.buf, b)
			return false, false
		}
		if m.capture && len(c.body) < maxBody {
			c.body = append(c.body, data...)
		}
		if b = b[n:]; ended {
			return len(b) == 0, len(b) > 0
		}
	}
	return false, false
}

func dialKind(err error) Kind {
	var netErr net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ConnectRefused
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT):
		return ConnectTimeout
	case errors.As(err, &netErr) && errors.Is(err, syscall.ECONNRESET):
		return Reset
	}
	var opErr *net.OpError
	if errors.As(err, &opErr) && opErr.Op == "dial" {
		return ConnectFailed
	}
	return TLSFailed
}

func readKind(err error) Kind {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	}
	return Closed
}
