package load

import (
	"slices"
	"syscall"
	"time"

	"spillway/internal/netloop"
)

const (
	// readSize takes a head and a small body; the rest of large ones is
	// skipped in the kernel.
	readSize   = 16 << 10
	bufferSize = maxHead + readSize

	// minSleep is the shortest time a lane sleeps until the next request is
	// due: above 40,000 requests a second they leave in small groups, because
	// waking up costs more than sending.
	minSleep = 25 * time.Microsecond

	// sendTail is how long after the end of the run a request may still leave
	// that was due before, so that a late wake-up loses none.
	sendTail = 50 * time.Millisecond

	// maxOpening bounds the handshakes of a lane under way at the start: a
	// full accept queue costs a second's retransmission.
	maxOpening = 32
)

// lane is one event loop with its share of the connections and of the schedule.
//
//	set up: connect all -> report ready
//	run:    from origin to end
//	drain:  until all answers are there or timed out -> stop the loop
type lane struct {
	run   *run
	index int
	loop  *netloop.Loop
	rec   recorder
	conns []*conn
	free  queue
	pacer *Pacer // nil: closed loop

	known   []known // by message
	mixAt   int
	nextID  uint64
	buf     []byte
	scratch []byte

	inflight   int
	unsettled  int // connections that have not been tried yet
	toOpen     []*conn
	lastErrno  syscall.Errno
	lastAnswer int64

	begun, draining, finished bool
	origin, end               int64
	secondEnds                int64
	clock                     alarm // wakes the loop for requests that are due
	armed                     int64
	pulse                     alarm // wakes the loop every second and at the end
	timerFD                   int32

	useBefore, use threadUse
}

// alarm is a source whose only purpose is that a batch runs; everything is done
// when the batch ends.
type alarm struct {
	source netloop.Source
}

func (a *alarm) Ready(netloop.Events) {}
func (a *alarm) Expired(int64)        {}
func (a *alarm) Closed()              {}

func newLane(r *run, index int) (*lane, error) {
	l := &lane{run: r, index: index, known: make([]known, len(r.plan.messages)), buf: make([]byte, bufferSize)}
	var err error
	if l.loop, err = netloop.New(netloop.Options{BatchEnd: l.batchEnd, CloseBudget: -1}); err != nil {
		return nil, err
	}
	l.loop.Align(r.epoch)
	if l.timerFD, err = openTimer(); err != nil {
		return nil, err
	}
	if err := l.loop.Add(&l.clock.source, l.timerFD, &l.clock); err != nil {
		return nil, err
	}
	for i := index; i < r.cfg.Connections; i += r.lanes() {
		l.conns = append(l.conns, &conn{lane: l, flights: make([]flight, r.cfg.Pipeline)})
	}
	l.free.ring = make([]*conn, len(l.conns))
	l.mixAt = index * len(r.plan.mix) / r.lanes()
	l.nextID = uint64(index)
	l.rec.second.latency = r.collector.spare()
	return l, nil
}

// setUp opens the connections. With a connection a request there is nothing to
// open before the first request.
func (l *lane) setUp() {
	if l.run.fresh {
		l.run.ready <- nil
		return
	}
	l.unsettled = len(l.conns)
	l.toOpen = slices.Clone(l.conns)
	for range maxOpening {
		l.openNext()
	}
}

func (l *lane) openNext() {
	if len(l.toOpen) > 0 {
		c := l.toOpen[0]
		l.toOpen = l.toOpen[1:]
		c.dial(l.loop.Clock())
	}
}

// settled counts the first outcome of each connection.
func (l *lane) settled(c *conn) {
	if c.tried {
		return
	}
	c.tried = true
	if l.unsettled--; l.unsettled == 0 {
		l.report()
		return
	}
	l.openNext()
}

// report tells the run that the connections stand, or why none does.
func (l *lane) report() {
	if !slices.ContainsFunc(l.conns, func(c *conn) bool { return c.state == open }) {
		l.run.ready <- l.lastErrno
		return
	}
	l.run.ready <- nil
}

// begin fixes the time at which the lane starts to send.
func (l *lane) begin(origin int64) {
	l.useBefore = readThreadUse()
	l.rec.kinds, l.rec.failed = [kinds]uint64{}, 0 // those of the set-up were tried again
	l.origin, l.end = origin, origin+int64(l.run.length)
	l.rec.measured = origin + int64(l.run.cfg.Warmup)
	l.secondEnds = l.rec.measured + int64(time.Second)
	if c := l.run.cfg.Curve; c != nil {
		l.pacer = c.Pacer(l.run.cfg.Arrivals, l.index, l.run.lanes(), l.run.cfg.Seed)
	}
	armTimer(l.timerFD, time.Duration(origin-l.loop.Clock()))
	l.beat()
}

// start gives all connections something to do.
func (l *lane) start(now int64) {
	l.begun = true
	for _, c := range l.conns {
		c.freed = now
		if c.state == open || (l.run.fresh && c.state == off) {
			l.available(c, now)
		}
	}
}

// over reports whether no more requests are to be sent, whenever they were due.
func (l *lane) over(now int64) bool {
	if l.pacer != nil {
		now -= int64(sendTail)
	}
	return l.finished || (l.origin > 0 && now >= l.end)
}

// available tells that a connection may have room: a closed loop fills it, an
// open loop remembers it.
func (l *lane) available(c *conn, now int64) {
	if !l.begun || !l.usable(c) || c.room() == 0 || l.over(now) {
		return
	}
	if l.pacer == nil {
		l.fill(c, now)
		return
	}
	if !c.queued {
		if c.count == 0 && c.freed < c.dialed {
			c.freed = now // it was not there before
		}
		c.queued = true
		l.free.push(c)
	}
}

// stir makes another batch follow at once.
func (l *lane) stir() { l.loop.Again(&l.clock.source) }

// usable reports whether a request can be put on a connection: it is open, or
// is to be opened for it.
func (l *lane) usable(c *conn) bool {
	return c.state == open || (c.state == off && l.run.fresh && c.source.Deadline() == 0)
}

// fill sends as many requests as a connection has room for, at once.
func (l *lane) fill(c *conn, now int64) {
	l.scratch = l.scratch[:0]
	n := c.room()
	batch := l.run.repeated // Fast path: all requests are the same bytes.
	for range n {
		m := l.compose(c, now, now, 0)
		if l.run.repeated == nil {
			l.scratch = m.text.append(l.scratch, c.lastID())
		}
	}
	if batch != nil {
		batch = batch[:n*len(l.run.plan.messages[0].text.text)]
	} else {
		batch = l.scratch
	}
	l.ship(c, batch, now)
}

// compose picks the next request of the mix and puts it on the connection.
func (l *lane) compose(c *conn, planned, now, lag int64) *message {
	index := l.run.plan.mix[l.mixAt]
	if l.mixAt++; l.mixAt == len(l.run.plan.mix) {
		l.mixAt = 0
	}
	c.push(flight{planned: planned, sent: now, lag: lag, id: l.nextID, message: index})
	l.nextID += uint64(l.run.lanes())
	return &l.run.plan.messages[index]
}

func (c *conn) lastID() uint64 { return c.lane.nextID - uint64(c.lane.run.lanes()) }

// ship writes requests, opening the connection first if there is none.
func (l *lane) ship(c *conn, b []byte, now int64) {
	if !c.write(b, now) {
		return
	}
	if c.state == off {
		c.dial(now)
		return
	}
	c.watch(now)
}

// pump sends what is due while there are connections with room. Nothing that is
// due is lost: the pacer stands still until a connection comes free.
func (l *lane) pump(now int64) {
	for {
		at, more := l.pacer.Due()
		due := l.origin + int64(at)
		if !more || due >= l.end {
			return
		}
		if due > now {
			if now = l.loop.Clock(); due > now {
				l.sleepUntil(due, now)
				return
			}
		}
		c := l.take()
		if c == nil {
			return
		}
		l.pacer.Advance()
		l.sendOne(c, due, now)
		now = l.loop.Clock()
	}
}

// sendOne sends the request that is due. The lag is what we were late since
// both the request was due and the connection had room.
func (l *lane) sendOne(c *conn, due, now int64) {
	m := l.compose(c, due, now, now-max(due, c.freed))
	b := m.text.text
	if len(m.text.gaps) > 0 {
		l.scratch = m.text.append(l.scratch[:0], c.lastID())
		b = l.scratch
	}
	l.ship(c, b, now)
	l.available(c, now)
}

// take returns the connection that has had room for longest, nil if none has.
func (l *lane) take() *conn {
	for {
		c := l.free.pop()
		if c == nil {
			return nil
		}
		c.queued = false
		if l.usable(c) && c.room() > 0 {
			return c
		}
	}
}

func (l *lane) sleepUntil(due, now int64) {
	due = max(due, now+int64(minSleep))
	if l.armed > now && l.armed <= due {
		return // it wakes us in time, perhaps a little early
	}
	l.armed = due
	armTimer(l.timerFD, time.Duration(due-now))
}

// queue is a ring of connections, each in it at most once.
type queue struct {
	ring        []*conn
	head, count int
}

func (q *queue) push(c *conn) {
	q.ring[(q.head+q.count)%len(q.ring)] = c
	q.count++
}

func (q *queue) pop() *conn {
	if q.count == 0 {
		return nil
	}
	c := q.ring[q.head]
	q.head = (q.head + 1) % len(q.ring)
	q.count--
	return c
}
