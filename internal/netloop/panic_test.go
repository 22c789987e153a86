package netloop

import (
	"bytes"
	"testing"
)

// recovery is what Options.Recovered was told.
type recovery struct {
	src   *Source
	value any
	stack []byte
}

func startRecovering(t *testing.T) (*Loop, <-chan recovery) {
	t.Helper()
	told := make(chan recovery, 100)
	return start(t, Options{Recovered: func(src *Source, v any, stack []byte) {
		told <- recovery{src, v, bytes.Clone(stack)}
	}}), told
}

// A panic costs the source or function it happened in, nothing else of the
// batch, and the loop goes on.
func TestPanics(t *testing.T) {
	for _, c := range []struct {
		name string
		// provoke makes the second of three sources panic; each reports to did.
		provoke func(t *testing.T, l *Loop, ps []*probe, others []int32, did func(i int))
	}{
		{"ready", func(t *testing.T, l *Loop, ps []*probe, others []int32, did func(int)) {
			on(t, l, func() {}) // the first EPOLLOUT is through
			on(t, l, func() {
				for i, p := range ps {
					p.ready = func(Events) { did(i) }
					Send(others[i], []byte("x"))
				}
			})
		}},
		{"ready list", func(t *testing.T, l *Loop, ps []*probe, _ []int32, did func(int)) {
			on(t, l, func() {
				for i, p := range ps {
					p.ready = func(ev Events) {
						if ev == 0 {
							did(i)
						}
					}
					l.Again(&p.Source)
				}
			})
		}},
		{"first", func(t *testing.T, l *Loop, ps []*probe, others []int32, did func(int)) {
			on(t, l, func() {})
			on(t, l, func() {
				for i, p := range ps {
					p.First(true)
					p.ready = func(Events) { did(i) }
					Send(others[i], []byte("x"))
				}
			})
		}},
		{"expired", func(t *testing.T, l *Loop, ps []*probe, _ []int32, did func(int)) {
			on(t, l, func() {
				for i, p := range ps {
					p.expired = func(int64) { did(i) }
					l.Arm(&p.Source, l.Now())
				}
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, told := startRecovering(t)
			ps := []*probe{{}, {}, {}}
			others := make([]int32, len(ps))
			done := make(chan int, 100)
			on(t, l, func() {
				for i, p := range ps {
					var fd int32
					fd, others[i] = pair(t)
					add(t, l, p, fd)
				}
			})
			c.provoke(t, l, ps, others, func(i int) {
				done <- i
				if i == 1 {
					panic("handler")
				}
			})
			seen := map[int]bool{}
			for range ps {
				seen[get(t, done)] = true
			}
			if len(seen) != len(ps) {
				t.Errorf("served: %v", seen)
			}
			r := get(t, told)
			if r.src != &ps[1].Source || r.value != "handler" || !bytes.Contains(r.stack, []byte("TestPanics")) {
				t.Errorf("told of %p %v, want %p; stack %s", r.src, r.value, &ps[1].Source, r.stack)
			}
			on(t, l, func() {})
			for _, fd := range others {
				CloseNow(fd)
			}
		})
	}
}

// A posted function that panics takes no other with it.
func TestPanicInPost(t *testing.T) {
	l, told := startRecovering(t)
	ran := make(chan int, 10)
	hold := make(chan struct{})
	l.Post(func() { <-hold })
	for i := range 4 {
		l.Post(func() {
			ran <- i
			if i%2 == 1 {
				panic(i)
			}
		})
	}
	close(hold)
	for i := range 4 {
		if got := get(t, ran); got != i {
			t.Errorf("function %d ran, want %d", got, i)
		}
	}
	for _, want := range []int{1, 3} {
		if r := get(t, told); r.src != nil || r.value != want {
			t.Errorf("told of %v in %v, want %d in none", r.value, r.src, want)
		}
	}
}

// Recovered may close the source that panicked.
func TestRecoveredCloses(t *testing.T) {
	var l *Loop
	l, err := New(Options{Recovered: func(src *Source, _ any, _ []byte) { l.Close(src) }})
	if err != nil {
		t.Fatal(err)
	}
	fd, other := pair(t)
	defer CloseNow(other)
	closed := make(chan struct{})
	p := &probe{ready: func(Events) { panic("at once") }, closed: func() { close(closed) }}
	add(t, l, p, fd)
	run(t, l)
	wait(t, closed)
}

// The deadlines behind one whose handler panicked do not wait for others.
func TestPanicInExpiredDelaysNobody(t *testing.T) {
	l, err := New(Options{Recovered: func(*Source, any, []byte) {}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p := &probe{expired: func(int64) { panic("each time") }}
		l.After(&p.Source, p, 1)
	}
	l.now = 2 * tick
	l.runTimers()
	if ms := l.timeout(); ms != 0 || l.wheel.count != 2 {
		t.Errorf("waits %d ms with %d deadlines passed", ms, l.wheel.count)
	}
	l.stopped = true
	l.Run()
}
