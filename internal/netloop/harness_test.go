package netloop

import (
	"os"
	"syscall"
	"testing"
	"time"
)

const patience = 10 * time.Second

// probe is a handler made of functions.
type probe struct {
	Source
	ready   func(Events)
	expired func(int64)
	closed  func()
}

func (p *probe) Ready(ev Events) {
	if p.ready != nil {
		p.ready(ev)
	}
}

func (p *probe) Expired(now int64) {
	if p.expired != nil {
		p.expired(now)
	}
}

func (p *probe) Closed() {
	if p.closed != nil {
		p.closed()
	}
}

// start runs a loop until the test ends.
func start(t *testing.T, o Options) *Loop {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, l)
	return l
}

func run(t *testing.T, l *Loop) {
	done := make(chan struct{})
	go func() { defer close(done); l.Run() }()
	t.Cleanup(func() { l.Stop(); wait(t, done) })
}

// on runs f on the loop and returns when it is done.
func on(t *testing.T, l *Loop, f func()) {
	t.Helper()
	done := make(chan struct{})
	l.Post(func() { defer close(done); f() })
	wait(t, done)
}

func wait(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain")
	}
}

func get[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain")
	}
	return v
}

// pair returns two connected non-blocking sockets.
func pair(t *testing.T) (a, b int32) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return int32(fds[0]), int32(fds[1])
}

func add(t *testing.T, l *Loop, p *probe, fd int32) {
	t.Helper()
	if err := l.Add(&p.Source, fd, p); err != nil {
		t.Fatal(err)
	}
}

// openFiles returns what each descriptor of the process is.
func openFiles(t *testing.T) map[string]string {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]string{}
	for _, e := range dir {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open[e.Name()] = to
		}
	}
	return open
}
