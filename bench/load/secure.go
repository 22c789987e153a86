package load

import (
	"crypto/tls"
	"sync"
	"syscall"
	"time"
)

// secure makes load over TLS: crypto/tls wants a goroutine for each connection.
// It costs more processor time a request than a lane does, and the goroutines
// share one schedule and one recorder behind a lock.
type secure struct {
	run      *run
	config   *tls.Config
	prepared chan struct{} // the connections were tried
	ended    chan struct{} // work is over

	mu         sync.Mutex
	rec        recorder
	pacer      *Pacer
	mixAt      int
	nextID     uint64
	origin     int64
	end        int64
	lastAnswer int64
	changed    chan struct{} // closed when schedule or end change
	started    chan struct{} // closed by begin and stop
	conns      []*secureConn
	before     syscall.Rusage
	use        threadUse
}

func newSecure(r *run) *secure {
	s := &secure{
		run: r, config: r.cfg.TLS.Clone(), changed: make(chan struct{}), started: make(chan struct{}), ended: make(chan struct{}), prepared: make(chan struct{}),
	}
	if s.config.ClientSessionCache == nil {
		s.config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	s.config.NextProtos = []string{"http/1.1"}
	s.rec.second.latency = r.collector.spare()
	for range r.cfg.Connections {
		s.conns = append(s.conns, &secureConn{secure: s, known: make([]known, len(r.plan.messages)), buf: make([]byte, bufferSize)})
	}
	return s
}

// prepare opens the connections, some at a time, and reports.
func (s *secure) prepare() {
	if s.run.fresh {
		close(s.prepared)
		s.run.ready <- nil
		return
	}
	go s.connect()
}

func (s *secure) connect() {
	defer close(s.prepared)
	var opening sync.WaitGroup
	turns := make(chan struct{}, maxOpening)
	for _, c := range s.conns {
		turns <- struct{}{}
		opening.Go(func() {
			c.dial()
			<-turns
		})
	}
	opening.Wait()
	var refused error
	for _, c := range s.conns {
		if c.tls != nil {
			s.run.ready <- nil
			return
		}
		refused = c.err
	}
	s.run.ready <- refused
}

// post runs f at once: what needs the lock takes it.
func (s *secure) post(f func()) { f() }

func (s *secure) begin(origin int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.origin, s.end = origin, origin+int64(s.run.length)
	s.rec.measured = origin + int64(s.run.cfg.Warmup)
	s.rec.kinds, s.rec.failed = [kinds]uint64{}, 0
	if c := s.run.cfg.Curve; c != nil {
		s.pacer = c.Pacer(s.run.cfg.Arrivals, 0, 1, s.run.cfg.Seed)
	}
	syscall.Getrusage(syscall.RUSAGE_SELF, &s.before)
	close(s.started)
}

func (s *secure) stop() { close(s.started) }

func (s *secure) cut(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now < s.end {
		s.end = max(now, s.rec.measured+1)
		s.tell()
	}
}

func (s *secure) follow(c *Curve) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pacer != nil {
		s.pacer.Follow(c)
		s.tell()
	}
}

// tell wakes the goroutines that wait for a request to be due.
func (s *secure) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *secure) work() {
	<-s.started
	<-s.prepared
	if s.origin == 0 {
		s.closeAll()
		return
	}
	var working sync.WaitGroup
	for _, c := range s.conns {
		working.Go(c.work)
	}
	var rolling sync.WaitGroup
	rolling.Go(s.roll)
	working.Wait()
	close(s.ended)
	rolling.Wait()
	s.closeAll()
	s.finish()
}

// closeAll ends what is still open.
func (s *secure) closeAll() {
	for _, c := range s.conns {
		c.close()
	}
}

// finish hands over the last second and counts what was never sent.
func (s *secure) finish() {
	var after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	s.use = threadUse{
		user:   time.Duration(after.Utime.Nano() - s.before.Utime.Nano()),
		system: time.Duration(after.Stime.Nano() - s.before.Stime.Nano()),
	}
	s.rec.ended = s.end
	for s.pacer != nil {
		at, more := s.pacer.Due()
		if due := s.origin + int64(at); !more || due >= s.end {
			break
		} else {
			s.rec.left(due, s.end)
		}
		s.pacer.Advance()
	}
	s.publish()
}

func (s *secure) measured() *measure {
	return &measure{rec: &s.rec, use: s.use, lastAnswer: s.lastAnswer}
}

// roll hands over each second when it is past, but for the last.
func (s *secure) roll() {
	at := s.rec.measured + int64(time.Second)
	for {
		select {
		case <-s.ended:
			return
		case <-time.After(time.Duration(at - s.run.clock())):
		}
		s.mu.Lock()
		if at < s.end {
			s.publish()
		}
		s.mu.Unlock()
		at += int64(time.Second)
	}
}

func (s *secure) publish() {
	sec := s.rec.second
	s.rec.second = second{index: sec.index + 1, latency: s.run.collector.spare()}
	s.run.collector.seconds <- sec
}

// next waits until a request is due and takes it; false at the end of the run.
func (s *secure) next() (flight, bool) {
	free := s.run.clock()
	for {
		s.mu.Lock()
		now := s.run.clock()
		due, wait := s.dueAt(now)
		if due >= s.end || now >= s.end+int64(s.tail()) {
			s.mu.Unlock()
			return flight{}, false
		}
		if wait <= 0 {
			f := s.take(due, now, free)
			s.mu.Unlock()
			return f, true
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-changed:
		}
	}
}

// tail is how long after the end a request that was due before may leave.
func (s *secure) tail() time.Duration {
	if s.pacer == nil {
		return 0
	}
	return sendTail
}

// dueAt is when the next request is due and how long that is from now.
func (s *secure) dueAt(now int64) (due int64, wait time.Duration) {
	if s.pacer == nil {
		return max(now, s.origin), time.Duration(s.origin - now)
	}
	at, more := s.pacer.Due()
	if !more {
		return s.end, 0
	}
	due = s.origin + int64(at)
	return due, time.Duration(due - now)
}

func (s *secure) take(due, now, free int64) flight {
	f := flight{planned: due, sent: now, lag: now - max(due, free), id: s.nextID, message: s.run.plan.mix[s.mixAt]}
	s.nextID++
	s.mixAt = (s.mixAt + 1) % len(s.run.plan.mix)
	if s.pacer != nil {
		s.pacer.Advance()
	}
	s.rec.launched(due)
	return f
}
