package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"spillway/gateway/accesslog"
	"spillway/gateway/http1"
	"spillway/gateway/metrics"
	"spillway/gateway/route"
	"spillway/gateway/upstream"
	"spillway/internal/netloop"
)

// Options are fixed for the life of an Engine.
type Options struct {
	// Loops is the number of event loops, at least 1.
	Loops int
	// Set holds the upstreams routes name. Attach each of its pools.
	Set *upstream.Set
	// Log gets what an operator should see; nothing is logged per request.
	Log *slog.Logger
	// Changed, if set, is told of each change of a pool before a loop is. It
	// runs on the goroutine that applied the change and must not block.
	Changed func(p *upstream.Pool)
	// Applied, if set, is told when the last loop serves from a snapshot, and
	// how long after Pool.Apply that was. It runs on a loop and must not block.
	Applied func(p *upstream.Pool, s *upstream.Snapshot, took time.Duration)
	// Fatal is called when so many panics were recovered that going on would
	// be a lie. Default: the process exits with status 1.
	Fatal func(reason string)
}

// Config is what a reload may change. It is immutable once published.
type Config struct {
	Routes *route.Table
	Limits http1.Limits
	// MaxBody bounds a request body in bytes, 0 is no bound (413).
	MaxBody int64
	// MaxConns bounds client connections over all loops, MaxConnsPerAddr
	// those of one address; 0 is no bound.
	MaxConns, MaxConnsPerAddr int
	// KeepaliveRequests is how many requests a client connection serves, 0 is
	// no bound.
	KeepaliveRequests int
	Timeouts          Timeouts
	// TrustedProxies are the peers whose forwarding fields are believed.
	TrustedProxies []netip.Prefix
	// XForwarded, Forwarded, Via, RequestID: see http1.RequestRewrite.
	XForwarded, Forwarded, RequestID bool
	Via                              string
	// AnswerHalfClosed serves a client that sent FIN behind a complete
	// request; without it the request is cancelled, as nginx does.
	AnswerHalfClosed bool
	// AccessLog may be nil. LogFields are the request fields its format asks
	// for (accesslog.Format.Headers).
	AccessLog *accesslog.Logger
	LogFields []string
}

// Timeouts of the client side; 0 is none.
type Timeouts struct {
	Header time.Duration // for a whole request head, from its first byte
	Body   time.Duration // between two reads of a body
	Idle   time.Duration // between two requests of a connection
	Send   time.Duration // between two writes of an answer
	Tunnel time.Duration // without traffic in an upgraded connection
	Linger time.Duration // reading on after a refusal, default 2 s
	// Expect is how long a server may take to say 100 before the gateway
	// says it, so that the client sends its body. Default 1 s.
	Expect time.Duration
	// MinBodyRate is the least bytes per second of a body, 0 is no floor. It
	// is looked at every 5 s, on what came since the last time, and not for
	// what comes within BodyGrace of the request's head. Default 10 s.
	MinBodyRate int64
	BodyGrace   time.Duration
}

// Engine runs the loops.
type Engine struct {
	opt   Options
	start time.Time
	cfg   atomic.Pointer[Config]
	loops []*loop

	active  atomic.Int64 // client connections, all loops
	perAddr addrCount

	mu        sync.Mutex
	listeners map[string]*listener
	running   sync.WaitGroup
	started   bool
	panics    atomic.Int64
}

type listener struct {
	addr string // as configured
	file *os.File
	at   net.Addr
}

// New returns an engine whose loops exist and do not run yet.
func New(o Options) (*Engine, error) {
	if o.Loops < 1 {
		return nil, fmt.Errorf("cannot start engine: loops is %d, want at least 1", o.Loops)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Fatal == nil {
		o.Fatal = func(reason string) {
			o.Log.Error("giving up", "reason", reason)
			os.Exit(1)
		}
	}
	e := &Engine{opt: o, start: time.Now(), listeners: map[string]*listener{}}
	e.cfg.Store(&Config{})
	for i := range o.Loops {
		l, err := newLoop(e, i)
		if err != nil {
			return nil, fmt.Errorf("cannot start loop %d: %w", i, err)
		}
		e.loops = append(e.loops, l)
	}
	return e, nil
}

// Start runs the loops.
func (e *Engine) Start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		return
	}
	e.started = true
	for _, l := range e.loops {
		e.running.Add(1)
		go func() {
			defer e.running.Done()
			l.loop.Run()
		}()
	}
}

// Publish makes cfg what new requests are served by. Requests under way
// finish by what they began with. When it returns on a running engine no loop
// writes to the access log of the configuration before.
func (e *Engine) Publish(cfg *Config) {
	e.cfg.Store(cfg)
	e.wait(func(l *loop) { l.configure(cfg) })
}

// Attach makes the loops follow a pool. Call it once for each pool of the
// set, before or after Start.
func (e *Engine) Attach(p *upstream.Pool) {
	p.Notify(e.poolChanged)
	e.each(func(l *loop) { l.forgetNames() })
}

// Detach tells the loops that a pool left the set: its idle connections
// close, and requests under way finish.
func (e *Engine) Detach(p *upstream.Pool) {
	p.Notify(nil)
	e.each(func(l *loop) { l.dropPool(p) })
}

// poolChanged runs on the goroutine that applied the change.
func (e *Engine) poolChanged(p *upstream.Pool) {
	snap, began := p.Load(), time.Now()
	if e.opt.Changed != nil {
		e.opt.Changed(p)
	}
	var left atomic.Int32
	left.Store(int32(len(e.loops)))
	e.each(func(l *loop) {
		l.syncPool(p)
		if left.Add(-1) == 0 && e.opt.Applied != nil {
			e.opt.Applied(p, snap, time.Since(began))
		}
	})
}

func (e *Engine) each(f func(*loop)) {
	for _, l := range e.loops {
		l.loop.Post(func() { f(l) })
	}
}

// Listen opens a listening socket, "host:port" or "unix:/path", and has all
// loops accept from it. Listening twice on one address is no error.
func (e *Engine) Listen(addr string) (net.Addr, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ln := e.listeners[addr]; ln != nil {
		return ln.at, nil
	}
	f, at, err := netloop.Listen(addr)
	if err != nil {
		return nil, err
	}
	e.adopt(&listener{addr: addr, file: f, at: at})
	return at, nil
}

// ListenFile accepts from a listening socket opened elsewhere (socket
// activation). The engine owns f from then on.
func (e *Engine) ListenFile(addr string, f *os.File) error {
	fl, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("cannot use inherited socket for %q: %w", addr, err)
	}
	defer fl.Close()
	if f, err = netloop.Unpolled(f); err != nil {
		return fmt.Errorf("cannot use inherited socket for %q: %w", addr, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.adopt(&listener{addr: addr, file: f, at: fl.Addr()})
	return nil
}

func (e *Engine) adopt(ln *listener) {
	e.listeners[ln.addr] = ln
	fd := int32(ln.file.Fd())
	syscall.SetNonblock(int(fd), true) // Fd has made it blocking
	e.each(func(l *loop) { l.accept(ln.addr, fd) })
}

// Unlisten stops accepting on an address: what the kernel has queued is
// accepted first.
func (e *Engine) Unlisten(addr string) {
	e.mu.Lock()
	ln := e.listeners[addr]
	delete(e.listeners, addr)
	e.mu.Unlock()
	if ln == nil {
		return
	}
	e.wait(func(l *loop) { l.stopAccept(addr) })
	ln.file.Close()
}

// wait runs f on every loop and returns when all have. Loops that do not run
// yet are not waited for.
func (e *Engine) wait(f func(*loop)) {
	e.mu.Lock()
	started := e.started
	e.mu.Unlock()
	if !started {
		e.each(f)
		return
	}
	var wg sync.WaitGroup
	wg.Add(len(e.loops))
	e.each(func(l *loop) { defer wg.Done(); f(l) })
	wg.Wait()
}

// Drain makes every answer from now on end its connection; the engine goes
// on accepting.
func (e *Engine) Drain() {
	e.each(func(l *loop) { l.draining = true })
}

// Shutdown accepts what is queued, closes the listeners and idle connections,
// and lets requests under way finish until ctx ends; then it cuts what is
// left. It returns the number of connections cut.
func (e *Engine) Shutdown(ctx context.Context) (cut int) {
	e.Drain()
	e.mu.Lock()
	var addrs []string
	for a := range e.listeners {
		addrs = append(addrs, a)
	}
	started := e.started
	e.mu.Unlock()
	for _, a := range addrs {
		e.Unlisten(a)
	}
	if !started {
		return 0
	}
	e.each(func(l *loop) { l.closeIdle() })
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for e.active.Load() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	cut = int(e.active.Load())
	e.each(func(l *loop) { l.abortAll() })
	for _, l := range e.loops {
		l.loop.Stop()
	}
	e.running.Wait()
	return cut
}

// Active is the number of client connections.
func (e *Engine) Active() int { return int(e.active.Load()) }

// Now is the engine's clock: what times on upstream.Server are counted in.
func (e *Engine) Now() int64 { return int64(time.Since(e.start)) + 1 }

// LoopMetrics returns each loop's counters.
func (e *Engine) LoopMetrics() []*metrics.Loop {
	all := make([]*metrics.Loop, len(e.loops))
	for i, l := range e.loops {
		all[i] = &l.m
	}
	return all
}

// UpstreamMetrics calls yield for each upstream that was asked for, with the
// counters of every loop that served it. Counters are kept when a pool leaves
// and comes back.
func (e *Engine) UpstreamMetrics(yield func(name string, per []*metrics.Upstream)) {
	byName := map[string][]*metrics.Upstream{}
	for _, l := range e.loops {
		l.stats.Range(func(k, v any) bool {
			byName[k.(string)] = append(byName[k.(string)], v.(*metrics.Upstream))
			return true
		})
	}
	for name, per := range byName {
		yield(name, per)
	}
}

// maxPanics is how many recovered panics the engine takes before it gives up.
const maxPanics = 100

func (e *Engine) panicked(value any, stack []byte) {
	n := e.panics.Add(1)
	e.opt.Log.Error("panic in event loop", "value", fmt.Sprint(value), "count", n, "stack", string(stack))
	if n >= maxPanics {
		e.opt.Fatal(fmt.Sprintf("%d panics", n))
	}
}

// addrCount counts connections by client address. It is used only when a cap
// per address is configured, and only at accept and close.
type addrCount struct {
	mu sync.Mutex
	n  map[netip.Addr]int
}

func (a *addrCount) add(ip netip.Addr, limit int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n == nil {
		a.n = map[netip.Addr]int{}
	}
	if a.n[ip] >= limit {
		return false
	}
	a.n[ip]++
	return true
}

func (a *addrCount) done(ip netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n[ip]--; a.n[ip] <= 0 {
		delete(a.n, ip)
	}
}
