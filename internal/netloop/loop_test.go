package netloop

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// Functions of one poster run in the order they were posted, all of them,
// each once, on one goroutine, whatever else posts and wakes.
func TestMailboxKeepsOrder(t *testing.T) {
	const posters, each = 16, 2000
	l := start(t, Options{})
	var next [posters]int // written on the loop only: the race detector watches
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				l.Post(func() {
					if next[p] != i {
						t.Errorf("poster %d: got %d, want %d", p, i, next[p])
					}
					next[p] = i + 1
				})
				if i%64 == 0 {
					l.Wake()
				}
			}
		})
	}
	wg.Wait()
	on(t, l, func() {
		for p, n := range next {
			if n != each {
				t.Errorf("poster %d: %d of %d ran", p, n, each)
			}
		}
	})
}

// A post always wakes a loop that waits: one post after the other, each sent
// when the loop has nothing to do, so a lost wake-up would cost a second.
func TestPostWakes(t *testing.T) {
	l := start(t, Options{})
	ran := make(chan struct{})
	for range 2000 {
		l.Post(func() { ran <- struct{}{} })
		wait(t, ran)
	}
	if now := l.Clock(); now > int64(patience) {
		t.Errorf("2000 posts took %d ms: wake-ups are lost", now/1e6)
	}
}

// What is posted from the loop itself runs too, in a later batch.
func TestPostFromTheLoop(t *testing.T) {
	l := start(t, Options{})
	done := make(chan struct{})
	n := 0
	var again func()
	again = func() {
		if n++; n == 100 {
			close(done)
			return
		}
		l.Post(again)
	}
	l.Post(again)
	wait(t, done)
}

// Posts and wake-ups after the loop has ended reach nothing: not even the
// descriptor number that was the loop's.
func TestPostAfterStop(t *testing.T) {
	l, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	wake := l.wake
	done := make(chan struct{})
	go func() { defer close(done); l.Run() }()
	l.Stop()
	wait(t, done)
	var fds []int32 // one of them gets the number of the loop's eventfd
	for range 8 {
		a, b := pair(t)
		fds = append(fds, a, b)
	}
	defer func() {
		for _, fd := range fds {
			CloseNow(fd)
		}
	}()
	if !slices.Contains(fds, wake) {
		t.Fatalf("descriptor %d is not taken again: %v", wake, fds)
	}
	l.Post(func() { t.Error("ran after the end") })
	l.Wake()
	var b [8]byte
	for _, fd := range fds {
		if n, _ := Recv(fd, b[:]); n != 0 {
			t.Errorf("a wake-up of the ended loop was written to descriptor %d", fd)
		}
	}
}

// The ready list runs in order, each entry once, and what is added meanwhile
// waits for the next batch.
func TestReadyList(t *testing.T) {
	var batches atomic.Int64
	l := start(t, Options{BatchEnd: func() { batches.Add(1) }})
	type turn struct{ who, batch int64 }
	var turns []turn
	var ps [3]*probe
	done := make(chan struct{})
	on(t, l, func() {
		for i := range ps {
			p := &probe{}
			ps[i] = p
			fd, other := pair(t)
			t.Cleanup(func() { CloseNow(other) })
			add(t, l, p, fd)
			left := 3
			p.ready = func(ev Events) {
				if ev != 0 {
					return
				}
				turns = append(turns, turn{int64(i), batches.Load()})
				if left--; left > 0 {
					l.Again(&p.Source)
					l.Again(&p.Source) // twice is once
				} else if i == 2 {
					close(done)
				}
			}
		}
		for _, p := range ps {
			l.Again(&p.Source)
		}
	})
	wait(t, done)
	on(t, l, func() {
		if len(turns) != 9 {
			t.Fatalf("%d turns, want 9: %v", len(turns), turns)
		}
		for i, tu := range turns {
			if tu.who != int64(i%3) || tu.batch != turns[0].batch+int64(i/3) {
				t.Errorf("turn %d: %+v, want source %d in batch +%d", i, tu, i%3, i/3)
			}
		}
	})
}

// A source that is closed while it stands on the ready list gets no turn.
func TestReadyListForgetsTheClosed(t *testing.T) {
	l := start(t, Options{})
	on(t, l, func() {
		var ps [3]*probe
		for i := range ps {
			fd, other := pair(t)
			t.Cleanup(func() { CloseNow(other) })
			ps[i] = &probe{}
			add(t, l, ps[i], fd)
		}
		ps[0].ready = func(ev Events) {
			if ev == 0 {
				l.Close(&ps[1].Source)
				l.Close(&ps[1].Source)
				l.Remove(&ps[1].Source)
				l.Again(&ps[1].Source)
				l.Arm(&ps[1].Source, 1)
			}
		}
		ps[1].ready = func(ev Events) {
			if ev == 0 {
				t.Error("a closed source got a turn")
			}
		}
		ps[1].expired = func(int64) { t.Error("a closed source expired") }
		for _, p := range ps {
			l.Again(&p.Source)
		}
	})
	on(t, l, func() {
		if l.readyN != 0 || l.wheel.count != 0 {
			t.Errorf("%d ready, %d deadlines left", l.readyN, l.wheel.count)
		}
	})
}

// The descriptor of a closed source stays taken until the batch ends, so that
// a late event of the batch cannot meet another connection.
func TestLateEventsReachNobody(t *testing.T) {
	l := start(t, Options{})
	const n = 40
	var hit [n]int
	var ps, heirs [n]*probe
	others := make([]int32, n)
	on(t, l, func() {
		for i := range n {
			fd, other := pair(t)
			others[i] = other
			ps[i] = &probe{}
			add(t, l, ps[i], fd)
		}
	})
	on(t, l, func() {}) // the first EPOLLOUT is through
	on(t, l, func() {
		old := map[int32]bool{}
		for i, p := range ps {
			old[p.FD()] = true
			p.ready = func(Events) {
				hit[i]++
				for k, q := range ps { // the first to be served ends all others
					if k != i && q.Live() {
						l.Close(&q.Source)
						fd, other := pair(t)
						if old[fd] {
							t.Errorf("descriptor %d was given away within the batch", fd)
						}
						CloseNow(other)
						heirs[k] = &probe{ready: func(ev Events) {
							if ev&Readable != 0 && ev&HangUp == 0 {
								t.Error("a new connection got an old one's event")
							}
						}}
						add(t, l, heirs[k], fd)
					}
				}
			}
		}
		for _, fd := range others {
			if _, e := Send(fd, []byte("x")); e != 0 {
				t.Fatal(e)
			}
		}
	})
	on(t, l, func() {})
	on(t, l, func() {
		total := 0
		for _, h := range hit {
			total += h
		}
		if total != 1 {
			t.Errorf("%d sources were served, want the first only", total)
		}
	})
	for _, fd := range others {
		CloseNow(fd)
	}
}

// A source may be added again once Closed was called; its generation differs.
func TestSourceIsUsedAgain(t *testing.T) {
	l := start(t, Options{})
	closed := make(chan uint32, 100)
	p := &probe{}
	p.closed = func() { closed <- p.gen }
	seen := map[uint32]bool{}
	for range 50 {
		fd, other := pair(t)
		on(t, l, func() {
			add(t, l, p, fd)
			if p.FD() != fd || !p.Live() || p.Handler() != Handler(p) {
				t.Error("not as it was added")
			}
			l.Arm(&p.Source, l.Now()+int64(patience))
			l.Close(&p.Source)
			if p.Live() {
				t.Error("closed and live")
			}
		})
		gen := get(t, closed)
		if seen[gen] {
			t.Fatalf("generation %d came twice", gen)
		}
		seen[gen] = true
		CloseNow(other)
	}
	on(t, l, func() {
		if p.FD() != -1 || p.Handler() != nil || l.wheel.count != 0 {
			t.Error("something is left of a closed source")
		}
	})
}

// Sources marked First are served before the others of their batch.
func TestFirstComesFirst(t *testing.T) {
	l := start(t, Options{})
	const n = 64
	var order []int
	others := make([]int32, n)
	on(t, l, func() {
		for i := range n {
			fd, other := pair(t)
			others[i] = other
			p := &probe{}
			add(t, l, p, fd)
			p.First(i%4 == 3)
			p.ready = func(ev Events) {
				if ev&Readable != 0 {
					order = append(order, i)
				}
			}
		}
	})
	on(t, l, func() {})
	on(t, l, func() {
		for _, fd := range others {
			Send(fd, []byte("x"))
		}
	})
	on(t, l, func() {})
	on(t, l, func() {
		if len(order) != n {
			t.Fatalf("%d events, want %d", len(order), n)
		}
		for at, i := range order {
			if (i%4 == 3) != (at < n/4) {
				t.Fatalf("order %v", order)
			}
		}
	})
	for _, fd := range others {
		CloseNow(fd)
	}
}

// A source that becomes First, or stops being First, while the batch is
// handed out gets its event once.
func TestFirstChangesInMidBatch(t *testing.T) {
	l := start(t, Options{})
	const n = 12
	var got [n]int
	var ps [n]*probe
	others := make([]int32, n)
	on(t, l, func() {
		for i := range n {
			fd, other := pair(t)
			others[i] = other
			ps[i] = &probe{}
			add(t, l, ps[i], fd)
			ps[i].First(i%2 == 0)
			ps[i].ready = func(ev Events) {
				if ev&Readable == 0 {
					return
				}
				got[i]++
				for k, p := range ps {
					p.First((i+k)%3 == 0)
				}
			}
		}
	})
	on(t, l, func() {})
	on(t, l, func() {
		for _, fd := range others {
			Send(fd, []byte("x"))
		}
	})
	on(t, l, func() {})
	on(t, l, func() {
		for i, k := range got {
			if k != 1 {
				t.Errorf("source %d got %d events, want 1", i, k)
			}
		}
	})
	for _, fd := range others {
		CloseNow(fd)
	}
}

// At most CloseBudget descriptors close a batch, all in the end.
func TestCloseBudget(t *testing.T) {
	const n, budget = 50, 7
	inBatch, worst, total := 0, 0, 0
	done := make(chan struct{})
	l := start(t, Options{CloseBudget: budget, BatchEnd: func() { worst, inBatch = max(worst, inBatch), 0 }})
	on(t, l, func() {
		for range n {
			fd, other := pair(t)
			CloseNow(other)
			p := &probe{closed: func() {
				inBatch++
				if total++; total == n {
					close(done)
				}
			}}
			add(t, l, p, fd)
			l.Close(&p.Source)
		}
	})
	wait(t, done)
	on(t, l, func() {}) // its batch has ended
	on(t, l, func() {
		if worst > budget || len(l.dying) != 0 {
			t.Errorf("%d closed in a batch, want at most %d; %d are left", worst, budget, len(l.dying))
		}
	})
}

// Stop closes every descriptor of the loop and tells every handler.
func TestStopClosesAll(t *testing.T) {
	before := openFiles(t)
	l, err := New(Options{CloseBudget: 2})
	if err != nil {
		t.Fatal(err)
	}
	var others []int32
	closed := 0
	for range 20 {
		fd, other := pair(t)
		others = append(others, other)
		add(t, l, &probe{closed: func() { closed++ }}, fd)
	}
	done := make(chan struct{})
	go func() { defer close(done); l.Run() }()
	l.Stop()
	wait(t, done)
	for _, fd := range others {
		CloseNow(fd)
	}
	if closed != 20 {
		t.Errorf("%d handlers were told, want 20", closed)
	}
	if after := openFiles(t); !maps.Equal(before, after) {
		t.Errorf("open before %v\nafter %v", before, after)
	}
}

// Remove leaves the descriptor open, and the source may be added again.
func TestRemoveLeavesOpen(t *testing.T) {
	l := start(t, Options{})
	fd, other := pair(t)
	defer CloseNow(other)
	events := make(chan Events, 10)
	p := &probe{ready: func(ev Events) { events <- ev }}
	on(t, l, func() {
		add(t, l, p, fd)
		l.Remove(&p.Source)
		if p.Live() {
			t.Error("removed and live")
		}
		if _, e := Send(fd, []byte("x")); e != 0 {
			t.Error("not open any more:", e)
		}
		add(t, l, p, fd)
	})
	if ev := get(t, events); ev&Writable == 0 {
		t.Errorf("got %x", ev)
	}
}

// A source without a descriptor can be removed and closed as any other.
func TestAfterEndsLikeOthers(t *testing.T) {
	l := start(t, Options{})
	closed := make(chan struct{})
	on(t, l, func() {
		p, q := &probe{}, &probe{closed: func() { close(closed) }}
		for _, s := range []*probe{p, q} {
			s.expired = func(int64) { t.Error("fired after its end") }
			l.After(&s.Source, s, l.Now()+1)
		}
		l.Remove(&p.Source)
		l.Close(&q.Source)
		if p.Live() || q.Live() || l.wheel.count != 0 {
			t.Error("still there")
		}
	})
	wait(t, closed)
}

// Each meets all sources and may close them.
func TestEach(t *testing.T) {
	l := start(t, Options{})
	on(t, l, func() {
		for range 10 {
			fd, other := pair(t)
			t.Cleanup(func() { CloseNow(other) })
			add(t, l, &probe{}, fd)
		}
		n := 0
		l.Each(func(h Handler) { n++; l.Close(&h.(*probe).Source) })
		if n != 10 {
			t.Errorf("met %d", n)
		}
		l.Each(func(Handler) { t.Error("a closed source is met") })
	})
}
