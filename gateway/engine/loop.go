package engine

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"spillway/gateway/accesslog"
	"spillway/gateway/balance"
	"spillway/gateway/http1"
	"spillway/gateway/metrics"
	"spillway/gateway/route"
	"spillway/gateway/upstream"
	"spillway/internal/netloop"
)

// scratchSize is the most that one read of a socket takes in: a connection's
// share of a batch.
const scratchSize = 64 << 10

// loop is one event loop's share of the engine. Everything in it but clients
// (the count) belongs to the goroutine that runs it.
type loop struct {
	e     *Engine
	index int
	loop  *netloop.Loop
	m     metrics.Loop
	stats sync.Map // upstream name -> *metrics.Upstream, written here, read by scrapes

	clients   atomic.Int64 // connections owned or on their way here
	cfg       *Config
	log       *accesslog.Buffer
	logFields []string // request fields the log's format asks for, in lower case
	entry     accesslog.Entry
	draining  bool
	leaving   bool // idle connections close

	pools  map[*upstream.Pool]*loopPool
	byRule []*loopPool // what a rule with a fixed name leads to; nil: look up
	match  route.Match

	active []*loopPool // with requests in flight, or since the loop was last asked

	buffers   bufferPool
	in        []byte // scratch: what was just read
	out       []byte // scratch: a head or chunks being built
	body      []byte // scratch: the text of an answer of our own
	req       http1.Request
	resp      http1.Response
	rewrite   http1.RequestRewrite
	pick      balance.Request
	date      dateCache
	ids       idSource
	dirty     []*upconn // pipes with requests to be sent when the batch ends
	freeEx    *exchange
	freeUp    slab[upconn]
	freeCl    slab[client]
	acceptors map[string]*acceptor
}

func newLoop(e *Engine, index int) (*loop, error) {
	l := &loop{
		e:         e,
		index:     index,
		cfg:       e.cfg.Load(),
		pools:     map[*upstream.Pool]*loopPool{},
		in:        make([]byte, scratchSize),
		out:       make([]byte, 0, scratchSize+8<<10),
		acceptors: map[string]*acceptor{},
		ids:       newIDSource(index),
	}
	var err error
	l.loop, err = netloop.New(netloop.Options{Recovered: l.recovered, BatchEnd: l.flushPipes})
	if err != nil {
		return nil, err
	}
	l.loop.Align(e.start)
	return l, nil
}

// recovered closes the pair of connections whose event panicked.
func (l *loop) recovered(src *netloop.Source, value any, stack []byte) {
	l.m.Panics.Inc()
	l.e.panicked(value, stack)
	if src == nil {
		return
	}
	switch h := src.Handler().(type) {
	case *client:
		h.abort()
	case *upconn:
		if ex := h.ex; ex != nil && ex.c != nil {
			ex.c.abort()
		}
		if h.pipe != nil && h.Live() {
			h.breakPipe(failReset)
		}
		h.close() // also if the exchange did not know of it yet
	}
}

// configure takes a new configuration over.
func (l *loop) configure(cfg *Config) {
	l.cfg = cfg
	l.forgetNames()
	l.log, l.logFields = nil, nil
	if cfg.AccessLog != nil {
		l.log = cfg.AccessLog.Loop(l.index)
		for _, f := range cfg.LogFields {
			l.logFields = append(l.logFields, strings.ToLower(f))
		}
	}
}

// forgetNames drops what route rules were resolved to.
func (l *loop) forgetNames() {
	n := 0
	if l.cfg.Routes != nil {
		n = len(l.cfg.Routes.Rules())
	}
	l.byRule = make([]*loopPool, n)
}

// route finds the pool for a request, nil if no rule matches or the name is
// unknown. found says that a rule matched.
func (l *loop) route(host, path, method []byte) (lp *loopPool, found bool) {
	if l.cfg.Routes == nil || !l.cfg.Routes.Match(host, path, method, &l.match) {
		return nil, false
	}
	m := &l.match
	if lp = l.byRule[m.Rule]; lp != nil {
		return lp, true // Fast path.
	}
	p := l.e.opt.Set.Lookup(string(m.Upstream))
	if p == nil {
		return nil, true
	}
	lp = l.poolOf(p)
	if !strings.Contains(l.cfg.Routes.Rules()[m.Rule].Upstream, "{") {
		l.byRule[m.Rule] = lp
	}
	return lp, true
}

// poolOf returns this loop's side of a pool, made when it is first asked for.
func (l *loop) poolOf(p *upstream.Pool) *loopPool {
	if lp := l.pools[p]; lp != nil {
		return lp
	}
	lp := newLoopPool(l, p)
	l.pools[p] = lp
	return lp
}

// syncPool brings this loop's side of a pool up to its current snapshot.
func (l *loop) syncPool(p *upstream.Pool) {
	if lp := l.pools[p]; lp != nil {
		lp.update()
	}
}

func (l *loop) dropPool(p *upstream.Pool) {
	l.forgetNames()
	lp := l.pools[p]
	if lp == nil {
		return
	}
	delete(l.pools, p)
	lp.drop()
}

// statsOf returns the counters of an upstream, which outlive its pool.
func (l *loop) statsOf(name string) *metrics.Upstream {
	if v, ok := l.stats.Load(name); ok {
		return v.(*metrics.Upstream)
	}
	m := &metrics.Upstream{}
	l.stats.Store(name, m)
	return m
}

// arm sets or clears a source's deadline.
func (l *loop) arm(s *netloop.Source, d time.Duration) {
	if d <= 0 {
		l.loop.Disarm(s)
		return
	}
	l.loop.Arm(s, l.loop.Now()+int64(d))
}

func (l *loop) trusted(ip netip.Addr) bool {
	for _, p := range l.cfg.TrustedProxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// slab hands out values that never move and takes them back, in chunks, so
// that thousands of connections are a few allocations.
type slab[T any] struct{ free []*T }

const slabChunk = 32

func (s *slab[T]) get() *T {
	if len(s.free) == 0 {
		chunk := make([]T, slabChunk)
		for i := range chunk {
			s.free = append(s.free, &chunk[i])
		}
	}
	v := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	return v
}

func (s *slab[T]) put(v *T) { s.free = append(s.free, v) }
