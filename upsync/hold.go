package upsync

import (
	"context"
	"sync"
	"time"

	"spillway/upsync/consul"
)

const (
	confirmLimit = 2 * time.Second
	probeEvery   = 5 * time.Second
	probeAtOnce  = 32
)

// startDoubt settles held removals in the background; mu is held.
func (m *member) startDoubt() {
	if m.doubting || m.feed == nil {
		return
	}
	m.doubting = m.feed.goRun(func(ctx context.Context) {
		for again := true; again; {
			seq := m.settleDoubt(ctx)
			m.mu.Lock()
			// An update that came after the last look may be in doubt again.
			again = m.seq != seq && len(m.held) > 0 && !m.gone && ctx.Err() == nil
			m.doubting = again
			m.mu.Unlock()
		}
	})
}

// settleDoubt asks the registry once; if it cannot be asked, held servers are
// probed until none is left, or a new update is in doubt. It returns which
// update it looked at last.
func (m *member) settleDoubt(ctx context.Context) (seq uint64) {
	seq, ok := m.confirm(ctx)
	if ok {
		return seq
	}
	for ctx.Err() == nil && m.probeHeld(ctx, seq) {
		select {
		case <-ctx.Done():
		case <-time.After(m.s.probeEvery):
		}
	}
	return seq
}

// confirm reads the upstream's part with ?consistent and judges it, and reports
// whether that settled the doubt. A set that was delivered meanwhile may be
// newer, so then it is read again.
func (m *member) confirm(ctx context.Context) (seq uint64, ok bool) {
	for range 3 {
		m.mu.Lock()
		feed := m.feed
		seq = m.seq
		m.mu.Unlock()
		found, obs, err := feed.confirm(ctx, m)
		if err != nil {
			m.s.opts.Log.Warn("removals cannot be confirmed", "upstream", m.name, "error", err)
			m.history.fail("confirm", err, m.s.opts.Now())
			return seq, false
		}
		if m.deliverIf(seq, found, obs) {
			return seq + 1, true
		}
	}
	return seq, false
}

func (m *member) deliverIf(seq uint64, found []*consul.Found, obs consul.Observation) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return true
	}
	if m.seq != seq {
		return false
	}
	m.judge(m.assemble(found), obs)
	return true
}

// probeHeld probes the held servers, lets go of those it may, and reports
// whether some are left and nothing was delivered since seq that is in doubt
// itself.
func (m *member) probeHeld(ctx context.Context, seq uint64) bool {
	m.mu.Lock()
	held := heldAddrs(m.held)
	m.mu.Unlock()
	answers := m.s.probeAll(ctx, held)
	if ctx.Err() != nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone || len(m.held) == 0 || m.frozen() {
		return false
	}
	v := Release(m.up.Policy, m.situation(m.s.opts.Now()), answers)
	if v.Outcome == Released {
		m.settle(v, consul.Observation{Index: m.meta.Index})
	} else if v.Outcome == Refused {
		return false
	}
	return len(m.held) > 0 && m.seq == seq
}

// probeAll reports which addresses answer.
func (s *Syncer) probeAll(ctx context.Context, addrs []string) map[string]bool {
	var (
		mu      sync.Mutex
		wg      sync.WaitGroup
		slots   = make(chan struct{}, probeAtOnce)
		answers = make(map[string]bool, len(addrs))
	)
	for _, a := range addrs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := s.opts.Probe(ctx, a)
			mu.Lock()
			defer mu.Unlock()
			answers[a] = err == nil
		})
	}
	wg.Wait()
	return answers
}
