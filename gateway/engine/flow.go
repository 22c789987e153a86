package engine

import (
	"context"
	"fmt"
	"sync/atomic"

	"spillway/gateway/signals"
	"spillway/gateway/upstream"
)

// told is what a loop last told of an upstream's flow.
type told struct {
	flow signals.Flow
	area uint64
}

// arrive counts the exchange as in flight at its upstream, from its request's
// arrival on.
func (ex *exchange) arrive() {
	ex.inFlow = true
	lp := ex.lp
	lp.flow.Begin(ex.times.start)
	if !lp.active {
		lp.active = true
		lp.l.active = append(lp.l.active, lp)
	}
}

// leave ends the exchange's part in the flow at now, once: the servers are
// done with it, though the client may lag.
func (ex *exchange) leave(now int64, failed bool) {
	if !ex.inFlow {
		return
	}
	ex.inFlow = false
	f := &ex.lp.flow
	f.Complete(now, failed)
	if !ex.tunnel {
		f.Took(now - ex.times.start)
	}
}

// refused is leave for an exchange that no server was asked for.
func (ex *exchange) refused() {
	if ex.inFlow {
		ex.inFlow = false
		ex.lp.flow.Refuse(ex.l.loop.Clock())
	}
}

// answered counts an answer of a server.
func (lp *loopPool) answered(s *server) {
	if s.answers == 0 {
		lp.served = append(lp.served, s)
	}
	s.answers++
}

// sample tells what was counted since it was last called.
func (l *loop) sample() signals.Tally {
	now := l.loop.Clock()
	t := signals.Tally{Parts: make([]signals.Part, 0, len(l.active))}
	stay := l.active[:0]
	for _, lp := range l.active {
		part, idle := lp.tell(now)
		t.Parts = append(t.Parts, part)
		for i, s := range lp.served {
			t.Servers = append(t.Servers, signals.Served{Upstream: lp.pool.Name, Addr: s.Addr, Answers: s.answers})
			s.answers, lp.served[i] = 0, nil
		}
		lp.served = lp.served[:0]
		if lp.active = !idle; lp.active {
			stay = append(stay, lp)
		}
	}
	clear(l.active[len(stay):])
	l.active = stay
	return t
}

// tell is the upstream's part of a sample. idle says that nothing is in flight
// and nothing arrived: until something does there is nothing to tell.
func (lp *loopPool) tell(now int64) (part signals.Part, idle bool) {
	area := lp.flow.Area(now)
	part = signals.Part{Upstream: lp.pool.Name, Counts: lp.flow.Since(&lp.told.flow), Area: area - lp.told.area}
	lp.told = told{lp.flow, area}
	return part, part.Counts.Arrivals == 0 && lp.flow.InFlight() == 0
}

// adopted lists what the loop picks from, or will when it is asked to: a pool
// that it has not used yet is taken as it is now, because it can only be newer
// when it is. A pool that left the set counts until its last request is over,
// which may be tried again.
func (l *loop) adopted(pools []*upstream.Pool, wanted func(string) bool) []signals.Adoption {
	var all []signals.Adoption
	add := func(p *upstream.Pool, snap *upstream.Snapshot) {
		if wanted(p.Name) {
			all = append(all, signals.Adoption{Pool: p, Snapshot: snap})
		}
	}
	for p, lp := range l.pools {
		add(p, lp.snap)
	}
	for _, p := range pools {
		if l.pools[p] == nil {
			add(p, p.Load())
		}
	}
	for _, lp := range l.active {
		if lp.left && lp.flow.InFlight() > 0 {
			add(lp.pool, lp.snap)
		}
	}
	return all
}

// Sample has every loop tell what it counted since it was last asked. One
// goroutine may call it.
func (e *Engine) Sample(ctx context.Context) ([]signals.Tally, error) {
	tallies := make([]signals.Tally, len(e.loops))
	err := e.ask(ctx, func(l *loop) { tallies[l.index] = l.sample() })
	if err != nil {
		return nil, err // a loop that comes late writes to what nobody reads
	}
	return tallies, nil
}

// Adopted has every loop tell which snapshots of the upstreams that are wanted
// it picks servers from. A server that none of them has, or only as down, gets
// no new request from then on, unless a later snapshot has it.
func (e *Engine) Adopted(ctx context.Context, wanted func(upstream string) bool) ([]signals.Adoption, error) {
	pools := e.opt.Set.All()
	each := make([][]signals.Adoption, len(e.loops))
	if err := e.ask(ctx, func(l *loop) { each[l.index] = l.adopted(pools, wanted) }); err != nil {
		return nil, err
	}
	var all []signals.Adoption
	for _, one := range each {
		all = append(all, one...)
	}
	return all, nil
}

// ask runs f on every loop and returns when all have, or with ctx.
func (e *Engine) ask(ctx context.Context, f func(*loop)) error {
	var left atomic.Int32
	left.Store(int32(len(e.loops)))
	done := make(chan struct{})
	e.each(func(l *loop) {
		f(l)
		if left.Add(-1) == 0 {
			close(done)
		}
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot ask the event loops: %w", ctx.Err())
	}
}
