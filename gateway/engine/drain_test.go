package engine_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What was sent before the gateway began to shut down is answered, also on
// connections it has not looked at yet: still in the queue of the listening
// socket, handed from loop to loop, or idle until just now.
func TestShutdownAnswersWhatWasSentBefore(t *testing.T) {
	t.Parallel()
	if differs(t, "it is not shut down this way") {
		return
	}
	for loops := 1; loops <= 3; loops++ {
		t.Run(fmt.Sprintf("loops=%d", loops), func(t *testing.T) {
			const conns = 400 // more than a batch of events
			b := newBackend(t, always(ok("whole")))
			p := startProxy(t, proxyConfig{Backends: []string{b.addr}, Loops: loops})
			var cs []*wire
			for range conns / 2 {
				c := p.dial()
				c.open()
				cs = append(cs, c)
			}
			for i := range conns / 2 {
				cs[i].send(get("/idle"))
				c := p.dial()
				c.send(get("/new"))
				cs = append(cs, c)
			}
			cut := make(chan int, 1)
			go func() { cut <- p.shutdown(patience) }()
			for _, c := range cs {
				m := c.answer(200)
				if string(m.Body) != "whole" {
					t.Errorf("got %q", m.Body)
				}
				c.end()
			}
			if n := <-cut; n != 0 {
				t.Errorf("%d connections were cut", n)
			}
		})
	}
}

// Clients ask on and on while the gateway shuts down at any instant. A client
// that had not been told before it sent its request is answered. That the FIN
// and the request cross on their way cannot be helped, only made rare.
func TestShutdownAtAnyInstant(t *testing.T) {
	if differs(t, "it is not shut down this way") {
		return
	}
	rng := rand.New(rand.NewPCG(testSeed(t), 0))
	var asked, crossed int64
	for range 12 {
		a, x := shutdownUnderWay(t, rng)
		asked, crossed = asked+a, crossed+x
	}
	t.Logf("%d of %d requests crossed a FIN", crossed, asked)
	if crossed*100 > asked {
		t.Errorf("%d of %d requests crossed a FIN: it closes what is not idle", crossed, asked)
	}
}

func shutdownUnderWay(t *testing.T, rng *rand.Rand) (asked, crossed int64) {
	t.Helper()
	b := newBackend(t, always(ok("whole")))
	p := startProxy(t, proxyConfig{Backends: []string{b.addr}, Loops: 1 + rng.IntN(3)})
	var s stampede
	for range 24 {
		c := p.dial()
		s.running.Go(func() { s.ask(t, c) })
	}
	s.running.Go(func() { s.knock(t, p.Addr) })
	pauseFor(t, time.Duration(rng.IntN(20_000))*time.Microsecond)
	if n := p.shutdown(patience); n != 0 {
		t.Errorf("%d connections were cut", n)
	}
	s.running.Wait()
	b.stop()
	return s.asked.Load(), s.crossed.Load()
}

// stampede is many clients that stop when they are told to.
type stampede struct {
	running        sync.WaitGroup
	asked, crossed atomic.Int64
}

// ask sends requests until the connection ends.
func (s *stampede) ask(t *testing.T, c *wire) {
	for {
		if told(c) {
			return
		}
		s.asked.Add(1)
		if c.trySend(get("/")) != nil {
			s.crossed.Add(1)
			return
		}
		c.await()
		m, err := readAnswer(c.r, "GET")
		switch {
		case err != nil && m == nil && ended(err):
			s.crossed.Add(1)
			return
		case err != nil || m.Status != 200 || string(m.Body) != "whole":
			t.Errorf("got %+v: %v", m, err)
			return
		case m.connection("close"):
			c.end()
			return
		}
	}
}

// knock connects, asks and closes until nobody accepts: connections that are
// in the queue, or on their way from loop to loop, when the gateway goes.
func (s *stampede) knock(t *testing.T, addr string) {
	for {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c := newWire(t, "client", conn.(*net.TCPConn))
		s.asked.Add(1)
		c.trySend(get("/"))
		c.await()
		if m, err := readAnswer(c.r, "GET"); err != nil {
			if m != nil || !ended(err) {
				t.Errorf("got %+v: %v", m, err)
			}
			s.crossed.Add(1)
		}
		c.close()
	}
}

// told reports whether the end of the connection is here already.
func told(c *wire) (end bool) {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return true
	}
	raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		end = n == 0 && err == nil || err != nil && err != syscall.EAGAIN
	})
	return end
}

// Drain alone closes nothing that is idle: the next answer says close.
// Pipelined requests behind an answer that did not say so are all answered.
func TestPipelineThatCrossesAShutdown(t *testing.T) {
	if differs(t, "it is not shut down this way") {
		return
	}
	release, reading := make(chan struct{}), make(chan struct{})
	b := newBackend(t, func(w *wire) {
		w.request()
		w.send(resp("200 OK", "a", "Content-Length: 2"))
		close(reading)
		w.wait(release)
		w.send("b")
		serve(func(m *message) string { return ok(m.Target) })(w)
	})
	p := front(t, b)
	c := p.dial()
	c.send(get("/1"))
	<-reading
	c.await()
	if _, err := c.r.Peek(1); err != nil { // the head is here: it said nothing of an end
		t.Fatal(err)
	}
	cut := make(chan int, 1)
	go func() { cut <- p.shutdown(patience) }()
	refuses(t, p.Addr)
	c.send(get("/2"))
	close(release)
	if m := c.answer(200); string(m.Body) != "ab" || m.connection("close") {
		t.Errorf("got %q %q", m.Head, m.Body)
	}
	if m := c.answer(200); string(m.Body) != "/2" || !m.connection("close") {
		t.Errorf("got %q %q", m.Head, m.Body)
	}
	c.end()
	if n := <-cut; n != 0 {
		t.Errorf("%d connections were cut", n)
	}
}

// refuses waits until nobody accepts at addr.
func refuses(t *testing.T, addr string) {
	t.Helper()
	for late := deadline(); ; {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
		if late() {
			t.Fatal("it goes on accepting")
		}
	}
}
