//go:build !race

package netloop

import (
	"runtime"
	"testing"
)

// An event costs no allocation: reading, answering, moving the deadline, a
// turn on the ready list, and closing and adding of connections.
func TestEventsDoNotAllocate(t *testing.T) {
	l := start(t, Options{})
	fd, other := pair(t)
	defer CloseNow(other)
	buf := make([]byte, 64)
	turns := make(chan struct{}, 1)
	p := &probe{}
	p.ready = func(ev Events) {
		if ev == 0 {
			turns <- struct{}{}
			return
		}
		if n, _ := Recv(p.FD(), buf); n > 0 {
			Send(p.FD(), buf[:n])
			l.Arm(&p.Source, l.Now()+1e9)
			l.Again(&p.Source)
		}
	}
	on(t, l, func() { add(t, l, p, fd) })
	msg := []byte("ping")
	once := func() {
		Send(other, msg)
		<-turns
		Recv(other, msg)
	}
	if per := allocations(once); per > 0.1 {
		t.Errorf("%.2f allocations an event", per)
	}
}

// allocations is how many f makes. testing.AllocsPerRun would leave one
// processor, and the loop needs its own.
func allocations(f func()) float64 {
	const n = 2000
	for range 100 {
		f()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / n
}

// Adding and closing a connection costs no allocation once the loop has seen
// as many.
func TestConnectionsDoNotAllocate(t *testing.T) {
	l := start(t, Options{})
	p := &probe{}
	closed := make(chan struct{}, 1)
	p.closed = func() { closed <- struct{}{} }
	var fd int32
	open := func() {
		if err := l.Add(&p.Source, fd, p); err != nil {
			t.Error(err)
		}
		l.Close(&p.Source)
	}
	once := func() {
		var other int32
		fd, other = pair(t)
		l.Post(open)
		<-closed
		CloseNow(other)
	}
	// syscall.Socketpair makes none either.
	if per := allocations(once); per > 0.1 {
		t.Errorf("%.2f allocations a connection", per)
	}
}
