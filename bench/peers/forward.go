package peers

import (
	"fmt"
	"net/netip"
	"syscall"

	"spillway/internal/netloop"
)

// forwarder moves bytes between a client connection and one to a backend, and
// knows nothing of HTTP: what it takes is the floor under any proxy that reads
// and writes each request and each answer once. It does not balance requests,
// only connections, and adds no field.
type forwarder struct {
	loop     *netloop.Loop
	backends []netloop.Sockaddr
	turn     int
	buf      [64 << 10]byte
}

// serveForward runs the forwarder until a TERM or INT.
func serveForward(listen string, backends []string) error {
	loop, err := netloop.New(netloop.Options{})
	if err != nil {
		return fmt.Errorf("cannot start the forwarder: %w", err)
	}
	f := &forwarder{loop: loop}
	for _, b := range backends {
		addr, err := netip.ParseAddrPort(b)
		if err != nil {
			return fmt.Errorf("cannot forward to %q: %w", b, err)
		}
		f.backends = append(f.backends, netloop.MakeSockaddr(addr, ""))
	}
	file, _, err := netloop.Listen(listen)
	if err != nil {
		return fmt.Errorf("cannot start the forwarder: %w", err)
	}
	defer file.Close()
	l := &entrance{forwarder: f}
	if err := loop.AddListener(&l.source, int32(file.Fd()), l); err != nil {
		return fmt.Errorf("cannot start the forwarder: %w", err)
	}
	stopOnSignal(loop)
	loop.Run()
	return nil
}

// entrance accepts the clients of a forwarder.
type entrance struct {
	source    netloop.Source
	forwarder *forwarder
}

func (e *entrance) Ready(netloop.Events) {
	fd, _, errno := netloop.Accept(e.source.FD())
	if errno == 0 {
		e.forwarder.join(fd)
	}
}

func (e *entrance) Expired(int64) {}
func (e *entrance) Closed()       {}

// join connects a client with the next backend.
func (f *forwarder) join(client int32) {
	netloop.NoDelay(client)
	to := &f.backends[f.turn]
	f.turn = (f.turn + 1) % len(f.backends)
	server, errno := netloop.Connect(to)
	if errno != 0 && errno != syscall.EINPROGRESS {
		netloop.CloseNow(client)
		return
	}
	a, b := &end{forwarder: f}, &end{forwarder: f}
	a.other, b.other = b, a
	if err := f.loop.Add(&a.source, client, a); err != nil {
		netloop.CloseNow(client)
		netloop.CloseNow(server)
		return
	}
	if err := f.loop.Add(&b.source, server, b); err != nil {
		netloop.CloseNow(server)
		f.loop.Close(&a.source)
	}
}

// end is one of two joined connections. It reads nothing while the other has
// bytes waiting.
type end struct {
	source    netloop.Source
	forwarder *forwarder
	other     *end
	ended     bool   // the peer's FIN has been announced
	waiting   []byte // for this connection to take
}

func (e *end) Expired(int64) {}
func (e *end) Closed()       {}

func (e *end) Ready(ev netloop.Events) {
	e.ended = e.ended || ev.Ended()
	if len(e.waiting) > 0 {
		if !e.give(nil) {
			e.part()
			return
		}
		if len(e.waiting) == 0 {
			e.other.pump() // it was held up
		}
	}
	e.pump()
}

// pump reads once and passes it on.
func (e *end) pump() {
	if !e.source.Live() || len(e.other.waiting) > 0 {
		return
	}
	f := e.forwarder
	n, errno := netloop.Recv(e.source.FD(), f.buf[:])
	switch {
	case errno == syscall.EAGAIN:
	case errno != 0 || n == 0 || !e.other.give(f.buf[:n]):
		e.part()
	case len(e.other.waiting) == 0 && (e.ended || n == len(f.buf)):
		f.loop.Again(&e.source)
	}
}

// give sends what waits and then b. It is false if the connection broke.
func (e *end) give(b []byte) bool {
	if len(e.waiting) > 0 {
		e.waiting = append(e.waiting, b...)
		b = e.waiting
	}
	n, errno := netloop.Send(e.source.FD(), b)
	if errno == syscall.EAGAIN || errno == syscall.ENOTCONN { // still connecting
		n, errno = 0, 0
	}
	if errno != 0 {
		return false
	}
	e.waiting = append(e.waiting[:0], b[n:]...)
	return true
}

// part ends both connections.
func (e *end) part() {
	for _, c := range []*end{e, e.other} {
		if c.source.Live() {
			e.forwarder.loop.Close(&c.source)
		}
	}
}
