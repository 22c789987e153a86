package netloop

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Events are epoll's event bits.
type Events uint32

// The events a source can be told of.
const (
	Readable Events = syscall.EPOLLIN
	Writable Events = syscall.EPOLLOUT
	PeerFin  Events = syscall.EPOLLRDHUP // the peer has sent FIN
	HangUp   Events = syscall.EPOLLHUP
	Failed   Events = syscall.EPOLLERR
	Urgent   Events = syscall.EPOLLPRI

	edgeTriggered = 1 << 31
	exclusive     = 1 << 28
)

// Ended reports events after which reads will reach an end or an error, so
// that a short read does not mean that the socket is drained.
func (e Events) Ended() bool { return e&(PeerFin|HangUp|Failed|Urgent) != 0 }

// Handler is what a source belongs to. All methods run on the loop.
type Handler interface {
	// Ready tells what happened. Events 0 means: the source was on the ready
	// list (see Loop.Again).
	Ready(ev Events)
	// Expired tells that the deadline has passed; it is disarmed by then.
	Expired(now int64)
	// Closed tells that the descriptor is closed and the loop holds no
	// reference any more; the source may be used again.
	Closed()
}

// Source is one descriptor registered with a loop. It is embedded in the
// connection it belongs to and never moves.
type Source struct {
	h                    Handler
	readyNext, readyPrev *Source
	timerNext, timerPrev *Source
	timerTick, deadline  int64
	fd                   int32
	gen                  uint32
	onReady              bool
	first                bool
	dead                 bool
	shared               bool // a listening socket: not the loop's to close
}

// FD is the descriptor, -1 after Close.
func (s *Source) FD() int32 { return s.fd }

// Handler is what the source was added with, nil if it is not registered.
func (s *Source) Handler() Handler { return s.h }

// Live reports whether the source is registered and not closed.
func (s *Source) Live() bool { return s.h != nil && !s.dead }

// First marks sources whose events are handled before all others of a batch
// (idle upstream connections: a dead one must be known before any pick).
func (s *Source) First(on bool) { s.first = on }

// Deadline is when Expired will be called, 0 for never.
func (s *Source) Deadline() int64 { return s.deadline }

// Options of a Loop. The zero value works.
type Options struct {
	// CloseBudget is how many descriptors are closed a batch at most, so that
	// thousands of ending connections do not hold up the others. Default 16.
	// Below 0 all are closed at once, with no share of the loop's time kept
	// for others: for clients that do nothing but open and close.
	CloseBudget int
	// Recovered is told of a panic in a handler. src is the source whose
	// event it was, nil for a posted function. The loop goes on.
	Recovered func(src *Source, value any, stack []byte)
	// BatchEnd, if set, runs after each batch of events and posted functions.
	BatchEnd func()
}

// Loop is one event loop. New makes it, Run runs it.
//
//	wait -> sources marked First -> other sources -> ready list -> mailbox
//	  ^                                                              |
//	  +--- close(2), Closed() <- deadlines that passed <-------------+
type Loop struct {
	opt   Options
	ep    int
	wake  int32
	start time.Time
	now   int64

	table  []*Source // by descriptor
	events [256]syscall.EpollEvent
	wheel  wheel

	ready   Source // list head
	readyN  int
	dying   []*Source
	dyingAt int
	// closeCredit is the time closing may still take, closedAt when it was
	// last reckoned.
	closeCredit, closedAt int64
	current               *Source

	mu      sync.Mutex
	mail    []func()
	mailAlt []func()
	awake   atomic.Bool // a wake-up is on its way
	closed  bool        // Run has returned; guarded by mu
	stopped bool
}

// New returns a loop that is not running yet. Sources may be added and
// functions posted before Run.
func New(opt Options) (*Loop, error) {
	if opt.CloseBudget == 0 {
		opt.CloseBudget = 16
	}
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot create epoll: %w", err)
	}
	efd, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		syscall.Close(ep)
		return nil, fmt.Errorf("cannot create eventfd: %w", errno)
	}
	l := &Loop{opt: opt, ep: ep, wake: int32(efd), start: time.Now()}
	l.now = 1
	l.ready.readyNext, l.ready.readyPrev = &l.ready, &l.ready
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN | uint32(edgeTriggered), Fd: l.wake}
	if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, int(efd), &ev); err != nil {
		syscall.Close(ep)
		syscall.Close(int(efd))
		return nil, fmt.Errorf("cannot watch eventfd: %w", err)
	}
	return l, nil
}

// Now is the time of the current batch: monotonic nanoseconds since the loop
// was made, always above 0.
func (l *Loop) Now() int64 { return l.now }

// Clock reads the time now; use it for times that are reported.
func (l *Loop) Clock() int64 { return int64(time.Since(l.start)) + 1 }

// Align makes the loop count time from start, so that several loops and
// shared state speak of the same nanoseconds. Call it before Run.
func (l *Loop) Align(start time.Time) { l.start = start }

// Add registers a non-blocking descriptor, edge-triggered, for reading,
// writing and the peer's FIN. The loop closes it after Close.
func (l *Loop) Add(s *Source, fd int32, h Handler) error {
	return l.add(s, fd, h, uint32(Readable|Writable|PeerFin)|edgeTriggered)
}

// AddListener registers a listening socket, level-triggered; of the loops
// that share it one is woken a connection (EPOLLEXCLUSIVE). It stays open
// when the source is removed.
func (l *Loop) AddListener(s *Source, fd int32, h Handler) error {
	err := l.add(s, fd, h, uint32(Readable)|exclusive)
	s.shared = err == nil
	return err
}

func (l *Loop) add(s *Source, fd int32, h Handler, events uint32) error {
	gen := s.gen + 1
	ev := syscall.EpollEvent{Events: events, Fd: fd, Pad: int32(gen)}
	_, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(l.ep), syscall.EPOLL_CTL_ADD, uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if e != 0 {
		return e
	}
	*s = Source{h: h, fd: fd, gen: gen}
	for int(fd) >= len(l.table) {
		l.table = append(l.table, make([]*Source, max(64, len(l.table)))...)
	}
	l.table[fd] = s
	return nil
}

// After arms a source that has no descriptor: h.Expired is called at the
// deadline. The source must not be registered.
func (l *Loop) After(s *Source, h Handler, deadline int64) {
	s.h, s.fd = h, -1
	l.wheel.arm(s, deadline)
}

// Remove takes a source out of the loop and leaves its descriptor open.
func (l *Loop) Remove(s *Source) {
	if !s.Live() {
		return
	}
	if s.fd < 0 { // After: a deadline is all there is
		l.detach(s)
		s.h = nil
		return
	}
	var ev syscall.EpollEvent
	syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(l.ep), syscall.EPOLL_CTL_DEL, uintptr(s.fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	l.detach(s)
	s.h, s.fd = nil, -1
}

func (l *Loop) detach(s *Source) {
	if s.fd >= 0 && int(s.fd) < len(l.table) && l.table[s.fd] == s {
		l.table[s.fd] = nil
	}
	l.wheel.unlink(s)
	s.deadline = 0
	l.notReady(s)
}

// Close ends a source: no further event reaches it. close(2) and
// Handler.Closed follow when the batch ends, or in a later one when many end
// at once. A listening socket is removed and stays open.
func (l *Loop) Close(s *Source) {
	if !s.Live() {
		return
	}
	if s.shared {
		l.Remove(s)
		return
	}
	l.detach(s)
	s.dead = true
	l.dying = append(l.dying, s)
}

// Arm sets when Expired is called, in the time of Now. Moving a deadline
// later costs a store. A source that is closed stays disarmed.
func (l *Loop) Arm(s *Source, deadline int64) {
	if s.Live() {
		l.wheel.arm(s, deadline)
	}
}

// Disarm clears the deadline.
func (l *Loop) Disarm(s *Source) { s.deadline = 0 }

// Again puts the source on the ready list: Ready(0) is called in this batch
// or the next without a wait, because the source has work that no event will
// announce.
func (l *Loop) Again(s *Source) {
	if s.onReady || !s.Live() {
		return
	}
	s.onReady = true
	last := l.ready.readyPrev
	s.readyPrev, s.readyNext = last, &l.ready
	last.readyNext, l.ready.readyPrev = s, s
	l.readyN++
}

func (l *Loop) notReady(s *Source) {
	if !s.onReady {
		return
	}
	s.readyPrev.readyNext, s.readyNext.readyPrev = s.readyNext, s.readyPrev
	s.readyNext, s.readyPrev, s.onReady = nil, nil, false
	l.readyN--
}

// Post runs f on the loop, in order of the calls. It may be called from any
// goroutine and never blocks. After Stop f may never run.
func (l *Loop) Post(f func()) {
	l.mu.Lock()
	l.mail = append(l.mail, f)
	l.mu.Unlock()
	l.Wake()
}

// Wake makes the loop run a batch. Any goroutine may call it, also after Run
// has returned: the lock keeps it from writing to a descriptor that is closed
// and may be another's by then.
func (l *Loop) Wake() {
	if l.awake.Swap(true) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	one := uint64(1)
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(l.wake), uintptr(unsafe.Pointer(&one)), 8)
}

// Stop makes Run return after the current batch. Any goroutine may call it.
func (l *Loop) Stop() { l.Post(func() { l.stopped = true }) }

// Run handles events until Stop, on a thread of its own. When it returns all
// sources are closed.
func (l *Loop) Run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !l.stopped {
		n := l.wait()
		l.now = l.Clock()
		l.runEvents(n)
		l.runReady()
		l.runMail()
		l.runTimers()
		if l.opt.BatchEnd != nil {
			l.opt.BatchEnd()
		}
		l.buryPaced()
	}
	l.closeAll()
}

func (l *Loop) closeAll() {
	for _, s := range l.table {
		if s != nil {
			l.Close(s)
		}
	}
	for l.dyingAt < len(l.dying) { // Closed may close others
		l.bury(len(l.dying))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	closeFD(l.wake)
	closeFD(int32(l.ep))
}

// wait returns the number of events. It waits in the kernel without telling
// the Go scheduler, and tells it only once that wait was interrupted: by the
// runtime's signal, which comes after 10 ms of silence, or when the collector
// wants the loop to stop. So under load the scheduler never takes the loop's
// processor away and back (each wait announced at once, the runtime's monitor
// woke 1,100 times a second and cost 4 % of the core), and an idle loop is
// parked as any goroutine in a system call.
func (l *Loop) wait() int {
	ms := 0
	switch {
	case l.readyN > 0:
	case l.dyingAt == len(l.dying):
		ms = l.timeout()
	case l.closeCredit <= 0:
		ms = 1 // descriptors are left to close, and the share for closing is used up
	}
	r, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.ep), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), uintptr(ms), 0, 0)
	if e == 0 {
		return int(r)
	}
	if ms == 0 {
		return 0
	}
	n, err := syscall.EpollWait(l.ep, l.events[:], ms)
	if err != nil {
		return 0
	}
	return n
}

// timeout is how long to wait, in milliseconds: to the end of the tick while
// timers are linked, else a second.
func (l *Loop) timeout() int {
	switch {
	case l.wheel.pending != nil:
		return 0 // a panic cut the walk of a slot short
	case l.wheel.count == 0:
		return 1000
	}
	for k := int64(1); k <= 30; k++ { // about a second ahead
		if l.wheel.slots[(l.wheel.tick+k)&(wheelSlots-1)] != nil {
			at := (l.wheel.tick + k) << tickShift
			return int(max(at-l.now, 0)/1e6) + 1
		}
	}
	return 1000
}

// runEvents hands out a batch: First sources, then the others. A panic costs
// its own source, not the batch.
func (l *Loop) runEvents(n int) {
	for i := 0; i < n; {
		i = l.dispatch(i, n, true)
	}
	for i := 0; i < n; {
		i = l.dispatch(i, n, false)
	}
}

func (l *Loop) dispatch(i, n int, first bool) (next int) {
	next = i
	defer func() {
		if l.current != nil {
			l.recovered(recover())
		}
	}()
	for next < n {
		ev := &l.events[next]
		next++
		if ev.Fd == l.wake {
			continue
		}
		s := l.table[ev.Fd]
		if s == nil || s.gen != uint32(ev.Pad) || (first && !s.first) {
			continue
		}
		ev.Fd = l.wake // done: not again in the second pass
		l.current = s
		s.h.Ready(Events(ev.Events))
		l.current = nil
	}
	return next
}

func (l *Loop) recovered(v any) {
	s := l.current
	l.current = nil
	stack := make([]byte, 8<<10)
	stack = stack[:runtime.Stack(stack, false)]
	if l.opt.Recovered == nil {
		panic(v)
	}
	if s == &l.ready {
		s = nil // a posted function
	}
	l.opt.Recovered(s, v, stack)
}

// runReady calls the sources that stood on the list when it began; what is
// added meanwhile waits for the next batch, so that sockets get their turn.
func (l *Loop) runReady() {
	for n := l.readyN; n > 0 && l.readyN > 0; {
		n = l.readyTurn(n)
	}
}

func (l *Loop) readyTurn(n int) (left int) {
	left = n
	defer func() {
		if l.current != nil {
			l.recovered(recover())
		}
	}()
	for left > 0 && l.readyN > 0 {
		left--
		s := l.ready.readyNext
		l.notReady(s)
		l.current = s
		s.h.Ready(0)
		l.current = nil
	}
	return left
}

func (l *Loop) runMail() {
	if !l.awake.Load() {
		return
	}
	var buf uint64
	syscall.RawSyscall(syscall.SYS_READ, uintptr(l.wake), uintptr(unsafe.Pointer(&buf)), 8)
	l.awake.Store(false)
	l.mu.Lock()
	mail := l.mail
	l.mail, l.mailAlt = l.mailAlt[:0], mail
	l.mu.Unlock()
	for i := 0; i < len(mail); {
		i = l.mailTurn(mail, i)
	}
	clear(mail)
}

func (l *Loop) mailTurn(mail []func(), i int) (next int) {
	next = i
	defer func() {
		if l.current != nil {
			l.recovered(recover())
		}
	}()
	for next < len(mail) {
		f := mail[next]
		next++
		l.current = &l.ready
		f()
		l.current = nil
	}
	return next
}

func (l *Loop) runTimers() {
	defer func() {
		if l.current != nil {
			l.recovered(recover())
		}
	}()
	l.wheel.advance(l.now, l.expire)
}

func (l *Loop) expire(s *Source) {
	l.current = s
	s.h.Expired(l.now)
	l.current = nil
}

// Closing takes a third of a loop's time at most once more than a few
// descriptors wait for it: a close(2) costs 20 us of TCP, and thousands in a
// row would keep connections that live, and whatever else the processor runs,
// waiting. Connections that end one by one never notice.
const (
	closeShare  = 3                           // one part in
	closeCredit = int64(2 * time.Millisecond) // what is saved up for a burst
)

// buryPaced closes what the share for closing allows, and the budget of a
// batch.
func (l *Loop) buryPaced() {
	if l.dyingAt == len(l.dying) {
		return
	}
	if l.opt.CloseBudget < 0 {
		l.bury(len(l.dying))
		return
	}
	began := l.Clock()
	l.closeCredit = min(l.closeCredit+(began-l.closedAt)/closeShare, closeCredit)
	if l.closeCredit > 0 {
		l.bury(l.opt.CloseBudget)
		l.closedAt = l.Clock()
		l.closeCredit -= l.closedAt - began
		return
	}
	l.closedAt = began
}

// bury closes descriptors whose sources were closed, at most budget of them.
func (l *Loop) bury(budget int) {
	for l.dyingAt < len(l.dying) && budget > 0 {
		budget--
		s := l.dying[l.dyingAt]
		l.dying[l.dyingAt] = nil
		l.dyingAt++
		closeFD(s.fd)
		h := s.h
		s.h, s.fd, s.dead = nil, -1, false
		h.Closed()
	}
	if l.dyingAt == len(l.dying) {
		l.dying, l.dyingAt = l.dying[:0], 0
	}
}

// Each calls f with the handler of every registered source. f may close
// sources.
func (l *Loop) Each(f func(Handler)) {
	for _, s := range l.table {
		if s != nil && s.Live() {
			f(s.h)
		}
	}
}
