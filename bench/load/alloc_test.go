//go:build !race

package load

import (
	"bytes"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"spillway/internal/netloop"
)

// TestSteadyStateAllocatesNothing counts the allocations of a whole run against
// a server on a loop, which allocates nothing either: what is left must not grow
// with the number of requests.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	addr := serveLoop(t)
	for name, cfg := range map[string]Config{
		"closed":    {Duration: 300 * time.Millisecond},
		"open":      {Curve: Constant(20_000, 300*time.Millisecond)},
		"pipelined": {Duration: 300 * time.Millisecond, Pipeline: 8},
		"templates": {Duration: 300 * time.Millisecond, Requests: []Request{{Path: "/{id}", Expect: Expect{Contains: "hello"}}}},
	} {
		cfg.Addr, cfg.Connections, cfg.Lanes = addr, 8, 1
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res := do(t, cfg)
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; n > 1000+res.Answered/100 {
			t.Errorf("%s: %d allocations for %d requests", name, n, res.Answered)
		}
	}
}

// serveLoop answers every read with one answer for each request in it.
func serveLoop(t *testing.T) netip.AddrPort {
	t.Helper()
	file, at, err := netloop.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	loop, err := netloop.New(netloop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := &loopServer{loop: loop}
	if err := loop.AddListener(&l.source, int32(file.Fd()), l); err != nil {
		t.Fatal(err)
	}
	makeRoom(2)
	done := make(chan struct{})
	go func() { loop.Run(); close(done) }()
	t.Cleanup(func() { loop.Stop(); <-done; file.Close() })
	return netip.MustParseAddrPort(at.String())
}

// loopServer is a server on an event loop: its listener, and its connections.
type loopServer struct {
	source netloop.Source
	loop   *netloop.Loop
	conn   bool
	buf    [16 << 10]byte
}

func (s *loopServer) Ready(netloop.Events) {
	if s.conn {
		s.answer()
		return
	}
	if fd, _, errno := netloop.Accept(s.source.FD()); errno == 0 {
		c := &loopServer{loop: s.loop, conn: true}
		if err := s.loop.Add(&c.source, fd, c); err != nil {
			syscall.Close(int(fd))
		}
	}
}

func (s *loopServer) Expired(int64) {}
func (s *loopServer) Closed()       {}

// answer relies on requests arriving whole: they are small and sent at once.
func (s *loopServer) answer() {
	n, errno := netloop.Recv(s.source.FD(), s.buf[:])
	switch {
	case errno == syscall.EAGAIN:
		return
	case n <= 0:
		s.loop.Close(&s.source)
		return
	}
	for range bytes.Count(s.buf[:n], headEnd) {
		netloop.Send(s.source.FD(), []byte(ok))
	}
}
