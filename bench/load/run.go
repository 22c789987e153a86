package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"spillway/internal/netloop"
)

// Limits of a run.
const (
	MaxConnections = 100_000
	MaxPipeline    = 1024
	MaxDuration    = 24 * time.Hour
)

// Config describes a run.
type Config struct {
	Addr        netip.AddrPort // where to connect
	Host        string         // the Host field of requests without one
	TLS         *tls.Config    // nil: plain
	Requests    []Request      // none: GET /
	Connections int            // kept open, or used at once; 0: 1
	Lanes       int            // event loops; 0: one for each processor
	Pipeline    int            // requests on a connection at once; 0: 1
	Fresh       bool           // a connection a request
	Curve       *Curve         // nil: closed loop
	Arrivals    Arrivals
	Duration    time.Duration // measured; the curve's length less Warmup if there is a curve
	Warmup      time.Duration // before it; sent, but not measured
	Timeout     time.Duration // of a handshake, and of an answer from its sending; 0: 10s
	Seed        uint64        // of everything random
	// Progress is told of each second when it is complete, on a goroutine of
	// the run.
	Progress func(Second)
}

// run is a run under way.
type run struct {
	cfg      Config
	addr     *netloop.Sockaddr
	plan     *plan
	repeated []byte // the only request, Pipeline times
	fresh    bool
	timeout  int64
	length   time.Duration // warm-up included
	epoch    time.Time     // of all loop times
	origin   int64

	collector *collector
	ready     chan error
	workers   []worker
	steer     sync.Mutex // guards curve, which changes with SetRate
	curve     *Curve
}

// worker is what makes load: the lanes, or all connections with TLS.
type worker interface {
	prepare()           // connect, then report on run.ready
	work()              // until all answers are there
	post(func())        // run something where the other methods run
	begin(origin int64) // by post
	cut(now int64)      // by post
	follow(*Curve)      // by post
	stop()              // from any goroutine, before begin
	measured() *measure // after work
}

// measure is what a worker has found.
type measure struct {
	rec        *recorder
	use        threadUse
	lastAnswer int64
}

// Control steers a run that is under way. Its methods may be called from any
// goroutine.
type Control struct {
	run atomic.Pointer[run]
}

// ErrNotRunning is returned by Control before the run has begun.
var ErrNotRunning = errors.New("not running")

// SetRate changes the rate of an open loop from now to its end.
func (c *Control) SetRate(rate float64) error {
	r := c.run.Load()
	switch {
	case r == nil:
		return fmt.Errorf("cannot change the rate: %w", ErrNotRunning)
	case r.cfg.Curve == nil:
		return fmt.Errorf("cannot change the rate of a closed loop")
	case !(rate >= 0 && rate <= MaxRate):
		return fmt.Errorf("cannot plan %g requests a second: at most %d", rate, MaxRate)
	}
	r.setRate(rate)
	return nil
}

// Elapsed is the time since the end of the warm-up, negative before it.
func (c *Control) Elapsed() time.Duration {
	r := c.run.Load()
	if r == nil {
		return 0
	}
	return time.Duration(r.clock()-r.origin) - r.cfg.Warmup
}

// Do runs until the duration is over and every answer is there or timed out, or
// ctx is done (the result then covers the time until that). control may be nil.
// It returns an error if there is nothing to measure: bad configuration, or no
// connection at all.
func Do(ctx context.Context, cfg Config, control *Control) (*Result, error) {
	r, err := newRun(cfg)
	if err != nil {
		return nil, err
	}
	makeRoom(r.lanes())
	var working sync.WaitGroup
	for _, w := range r.workers {
		working.Go(w.work)
	}
	if err := r.prepare(ctx); err != nil {
		r.stopWorkers()
		working.Wait()
		return nil, err
	}
	go r.collector.collect()
	r.begin(control)
	stop := context.AfterFunc(ctx, r.cut)
	working.Wait()
	stop()
	close(r.collector.seconds)
	<-r.collector.stopped
	return r.result(), nil
}

// makeRoom keeps the lanes from starving the other goroutines of the process:
// while a lane waits in the kernel it holds on to a processor of the Go
// scheduler, which takes it away only after milliseconds. The number is raised
// and stays so.
func makeRoom(lanes int) {
	if want := lanes + runtime.NumCPU(); runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
}

func newRun(cfg Config) (*run, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, fresh: cfg.Fresh, timeout: int64(cfg.Timeout), epoch: time.Now(), curve: cfg.Curve}
	r.length = cfg.Warmup + cfg.Duration
	addr := netloop.MakeSockaddr(cfg.Addr, "")
	r.addr = &addr
	var err error
	if r.plan, err = compile(cfg.Requests, cfg.Host, cfg.Fresh, cfg.Seed); err != nil {
		return nil, err
	}
	if m := r.plan.single(); m != nil {
		for range cfg.Pipeline {
			r.repeated = append(r.repeated, m.text.text...)
		}
	}
	r.ready = make(chan error, r.lanes())
	r.collector = newCollector(r.lanes(), r.length, r.plannedIn, cfg.Progress)
	return r, r.addWorkers()
}

func (r *run) addWorkers() error {
	if r.cfg.TLS != nil {
		r.workers = append(r.workers, newSecure(r))
		return nil
	}
	for i := range r.lanes() {
		l, err := newLane(r, i)
		if err != nil {
			return err
		}
		r.workers = append(r.workers, l)
	}
	return nil
}

// lanes is the number of workers.
func (r *run) lanes() int {
	if r.cfg.TLS != nil {
		return 1
	}
	return r.cfg.Lanes
}

// complete fills defaults and refuses what makes no sense.
func (c *Config) complete() error {
	c.Connections, c.Pipeline = max(c.Connections, 1), max(c.Pipeline, 1)
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Curve != nil {
		c.Duration = c.Curve.Length() - c.Warmup
	}
	if c.Lanes == 0 {
		c.Lanes = runtime.NumCPU()
	}
	c.Lanes = min(c.Lanes, c.Connections)
	switch {
	case !c.Addr.IsValid():
		return fmt.Errorf("cannot run without an address")
	case c.Connections > MaxConnections:
		return fmt.Errorf("cannot keep %d connections: at most %d", c.Connections, MaxConnections)
	case c.Pipeline > MaxPipeline:
		return fmt.Errorf("cannot pipeline %d requests: at most %d", c.Pipeline, MaxPipeline)
	case c.Fresh && c.Pipeline > 1:
		return fmt.Errorf("cannot pipeline with a connection a request")
	case c.TLS != nil && c.Pipeline > 1:
		return fmt.Errorf("cannot pipeline over TLS")
	case c.Duration <= 0 || c.Warmup < 0 || c.Warmup+c.Duration > MaxDuration:
		return fmt.Errorf("cannot run for %v: above 0, at most %v", c.Duration, MaxDuration)
	case c.Timeout < time.Millisecond:
		return fmt.Errorf("cannot use a timeout of %v: at least 1ms", c.Timeout)
	}
	if c.Curve != nil {
		return c.Curve.check()
	}
	return nil
}

// clock is the time that all workers share.
func (r *run) clock() int64 { return int64(time.Since(r.epoch)) + 1 }

// plannedIn is how many requests the schedule has for a measured second.
func (r *run) plannedIn(index int) float64 {
	r.steer.Lock()
	defer r.steer.Unlock()
	if r.curve == nil {
		return 0
	}
	from := r.cfg.Warmup + time.Duration(index)*time.Second
	return r.curve.Hits(from+time.Second) - r.curve.Hits(from)
}

// prepare connects. It fails if no connection at all can be made.
func (r *run) prepare(ctx context.Context) error {
	for _, w := range r.workers {
		w.post(w.prepare)
	}
	var refused error
	connected := false
	for range r.workers {
		select {
		case err := <-r.ready:
			if err == nil {
				connected = true
			} else {
				refused = err
			}
		case <-ctx.Done():
			return fmt.Errorf("cannot connect to %s: %w", r.cfg.Addr, ctx.Err())
		}
	}
	if !connected {
		return fmt.Errorf("cannot connect to %s: %w", r.cfg.Addr, refused)
	}
	return nil
}

// startDelay leaves the workers time to hear when the run begins.
const startDelay = 2 * time.Millisecond

func (r *run) begin(control *Control) {
	r.origin = r.clock() + int64(startDelay)
	for _, w := range r.workers {
		w.post(func() { w.begin(r.origin) })
	}
	if control != nil {
		control.run.Store(r)
	}
}

func (r *run) stopWorkers() {
	for _, w := range r.workers {
		w.stop()
	}
}

func (r *run) cut() {
	for _, w := range r.workers {
		w.post(func() { w.cut(r.clock()) })
	}
}
