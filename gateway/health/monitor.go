package health

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"spillway/gateway/upstream"
)

// Options are fixed for the life of a Monitor.
type Options struct {
	// Probe asks a server; nil is Probe of this package.
	Probe func(ctx context.Context, c *upstream.Check, addr string) Result
	// Probes is how many run at a time, 0 is 64. Those that are due later wait
	// for a place.
	Probes int
	// Mute, if set, is told of each server that goes out of service because it
	// does not answer: what waits for it need not wait on. It must not block.
	Mute func(*upstream.Server)
	// Log is told of each server that goes out of service or comes back; nil
	// is slog.Default.
	Log *slog.Logger
}

// Monitor watches the servers of the pools it is told of, as far as their
// settings ask for it. Its methods are safe for use by several goroutines.
type Monitor struct {
	opt     Options
	pace    pace
	wake    chan struct{}
	results chan result

	mu       sync.Mutex
	changed  map[*upstream.Pool]bool // whether it is in the set
	suspects []*upstream.Server
	pools    map[*upstream.Pool]*pool // Run's goroutine alone changes it

	// Of Run's goroutine.
	ctx     context.Context
	agenda  agenda
	servers map[*upstream.Server]*watched
	running int
	waiting []*watched
	probing sync.WaitGroup
}

// result is a probe that came back.
type result struct {
	of *watched
	Result
}

// New returns a monitor that does nothing before Run.
func New(o Options) *Monitor {
	if o.Probe == nil {
		o.Probe = Probe
	}
	if o.Probes <= 0 {
		o.Probes = 64
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Monitor{
		opt: o, pace: newPace(), wake: make(chan struct{}, 1), results: make(chan result),
		changed: map[*upstream.Pool]bool{}, pools: map[*upstream.Pool]*pool{}, servers: map[*upstream.Server]*watched{},
	}
}

// Note tells of a pool that joined the set, or whose servers or settings
// changed. It does not block.
func (m *Monitor) Note(p *upstream.Pool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, told := m.changed[p]; told || m.pools[p] != nil || p.Settings().Guarded() {
		m.changed[p] = true
		m.rouse()
	}
}

// Left tells of a pool that is not in the set any more.
func (m *Monitor) Left(p *upstream.Pool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed[p] = false
	m.rouse()
}

// suspect is told by a loop that a tally has something to say.
func (m *Monitor) suspect(s *upstream.Server) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.suspects = append(m.suspects, s)
	m.rouse()
}

func (m *Monitor) rouse() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run watches until ctx ends; the probes under way are over then. Call it once.
func (m *Monitor) Run(ctx context.Context) {
	m.ctx = ctx
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-m.wake:
			m.attend(time.Now())
		case r := <-m.results:
			m.running--
			r.of.probed(r.Result, time.Now())
		case <-timer.C:
		}
		m.catchUp(time.Now())
		timer.Stop()
		if at, ok := m.agenda.next(); ok {
			timer.Reset(time.Until(at))
		}
	}
	m.probing.Wait()
}

// catchUp does what is due.
func (m *Monitor) catchUp(now time.Time) {
	for e := m.agenda.due(now); e != nil; e = m.agenda.due(now) {
		e.do(now)
	}
	for m.running < m.opt.Probes && len(m.waiting) > 0 {
		w := m.waiting[0]
		m.waiting[0] = nil
		m.waiting = m.waiting[1:]
		if w.queued = false; !w.gone {
			m.start(w)
		}
	}
}

// attend looks at what it was told of.
func (m *Monitor) attend(now time.Time) {
	m.mu.Lock()
	changed, suspects := m.changed, m.suspects
	m.changed, m.suspects = map[*upstream.Pool]bool{}, nil
	m.mu.Unlock()
	for p, stays := range changed {
		m.follow(p, stays, now)
	}
	for _, s := range suspects {
		if w := m.servers[s]; w != nil {
			w.suspected(now)
		}
	}
}

// follow takes over what a pool is now.
func (m *Monitor) follow(p *upstream.Pool, stays bool, now time.Time) {
	wp := m.pools[p]
	if !stays || !p.Settings().Guarded() {
		if wp != nil {
			wp.release()
			m.keep(p, nil)
		}
		return
	}
	if wp == nil {
		wp = newPool(m, p)
		m.keep(p, wp)
	}
	wp.update(now)
}

func (m *Monitor) keep(p *upstream.Pool, wp *pool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if wp == nil {
		delete(m.pools, p)
		return
	}
	m.pools[p] = wp
}

// start probes w now, or when there is room.
func (m *Monitor) start(w *watched) {
	switch {
	case w.cancel != nil || w.queued:
		return
	case m.running >= m.opt.Probes:
		w.queued = true
		m.waiting = append(m.waiting, w)
		return
	}
	ctx, cancel := context.WithCancel(m.ctx)
	w.cancel = cancel
	m.running++
	check, addr := w.check(), w.server.Addr
	m.probing.Go(func() {
		defer cancel()
		r := result{w, m.opt.Probe(ctx, check, addr)}
		select {
		case m.results <- r:
		case <-m.ctx.Done():
		}
	})
}

// Status is how the servers of an upstream were judged.
type Status struct {
	// Panic says that all servers get requests because too few are admitted.
	Panic bool
	// Good and Bad count probes, Ejections ejections by reason.
	Good, Bad uint64
	Ejections map[string]uint64
}

// Each calls yield for each upstream that is watched.
func (m *Monitor) Each(yield func(upstream string, s Status)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, wp := range m.pools {
		s := Status{Panic: p.Load().Panicking(), Good: wp.good.Load(), Bad: wp.bad.Load(), Ejections: map[string]uint64{}}
		for r := none + 1; r < reasons; r++ {
			if n := wp.ejected[r].Load(); n > 0 {
				s.Ejections[r.String()] = n
			}
		}
		yield(p.Name, s)
	}
}
