package consul

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// timing are the intervals of a client; tests shorten them.
type timing struct {
	probe      time.Duration // between probes of an address that is down
	probeLimit time.Duration // how long one may take
	live       time.Duration // between checks that the address in use answers
	liveLimit  time.Duration
	release    time.Duration // over which waiting watches are spread on return
	backoffMin time.Duration // of a watch whose reads fail
	backoffMax time.Duration
	forbidden  time.Duration // between tries with a token that is refused
	answer     time.Duration // for the head of an answer that does not block
	slack      time.Duration // over wait + wait/16
	poll       time.Duration // least interval of a watch that polls
	register   time.Duration // between looks at an own registration
}

func defaultTiming() timing {
	return timing{
		probe: 500 * time.Millisecond, probeLimit: 500 * time.Millisecond,
		live: time.Second, liveLimit: time.Second, release: 200 * time.Millisecond,
		backoffMin: 250 * time.Millisecond, backoffMax: 5 * time.Second, forbidden: 30 * time.Second,
		answer: 10 * time.Second, slack: 10 * time.Second, poll: time.Second,
		register: 10 * time.Second,
	}
}

const dialTimeout = 450 * time.Millisecond

// reach knows which addresses answer, for all watches of a client at once.
//
//	      a request failed, or
//	      two checks in a row             the probe failed too
//	up --------------------> suspected --------------------> down
//	 ^                           |                        probed every 500 ms
//	 |  the probe was answered   |                             |
//	 +---------------------------+-----------------------------+
//
// A suspected address gets no new requests, those in flight go on: the agent
// may only have closed one connection. When it is down, or missed its checks,
// they are cancelled.
// Watches use the first address that is up; while there is none they wait,
// and none of them asks.
type reach struct {
	mu   sync.Mutex
	eps  []*endpoint
	open chan struct{} // closed while an address is up
	log  func(up bool, name string, err error)
	wake map[*endpoint]chan struct{} // tells the prober that its address went down
}

func newReach(eps []*endpoint, log func(bool, string, error)) *reach {
	r := &reach{eps: eps, open: make(chan struct{}), log: log, wake: map[*endpoint]chan struct{}{}}
	close(r.open)
	for _, ep := range eps {
		ep.life, ep.kill = context.WithCancel(context.Background())
		r.wake[ep] = make(chan struct{}, 1)
	}
	return r
}

// pick returns the first address that is up. Without one it returns a channel
// that is closed when there is.
func (r *reach) pick() (*endpoint, context.Context, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ep := range r.eps {
		if ep.up {
			return ep, ep.life, nil
		}
	}
	return nil, nil, r.open
}

// await waits for an address that is up.
func (r *reach) await(ctx context.Context) (*endpoint, error) {
	for {
		ep, _, open := r.pick()
		if ep != nil {
			return ep, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no address of consul answers: %w", ctx.Err())
		case <-open:
		}
	}
}

// suspect takes ep out of use until it was probed. life names the life the failure belongs to: a
// late failure of an earlier one says nothing about this one.
func (r *reach) suspect(ep *endpoint, life context.Context, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !ep.up || ep.life != life {
		return
	}
	ep.up, ep.lastDown = false, why
	if !r.anyUp() {
		r.open = make(chan struct{})
	}
	select {
	case r.wake[ep] <- struct{}{}:
	default:
	}
}

// down gives ep up: what is in flight is cancelled.
func (r *reach) down(ep *endpoint, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ep.life.Err() == nil {
		ep.kill()
		r.log(false, ep.name, why)
	}
	ep.lastDown = why
}

func (r *reach) up(ep *endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ep.up {
		return
	}
	first := !r.anyUp()
	ep.up = true
	if ep.life.Err() != nil {
		ep.life, ep.kill = context.WithCancel(context.Background())
		r.log(true, ep.name, ep.lastDown)
	}
	if first {
		close(r.open)
	}
}

// close ends every life for good.
func (r *reach) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ep := range r.eps {
		ep.kill()
		ep.close()
	}
}

func (r *reach) anyUp() bool {
	for _, ep := range r.eps {
		if ep.up {
			return true
		}
	}
	return false
}

// state reports whether ep is up, and its life.
func (r *reach) state(ep *endpoint) (up bool, life context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return ep.up, ep.life
}

// why is the last failure of the preferred address.
func (r *reach) why() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.eps[0].lastDown; err != nil {
		return err
	}
	return errNoAnswer
}

// attend probes and checks one address until ctx ends.
func (c *Client) attend(ctx context.Context, ep *endpoint) {
	misses := 0
	for ctx.Err() == nil {
		up, life := c.reach.state(ep)
		if !up {
			misses = 0
			began := time.Now()
			err := c.probe(ctx, ep)
			if err == nil {
				c.reach.up(ep)
				continue
			}
			c.reach.down(ep, err)
			sleep(ctx, c.timing.probe-time.Since(began))
			continue
		}
		select {
		case <-ctx.Done():
		case <-c.reach.wake[ep]:
		case <-time.After(c.timing.live >> (4 * misses)):
			misses = c.checkLive(ctx, ep, life, misses)
		}
	}
}

// checkLive notices a peer that is silent: a blocking query would only end at
// its deadline, minutes later. Any answer will do; an address that is not in
// use is left alone.
func (c *Client) checkLive(ctx context.Context, ep *endpoint, life context.Context, misses int) int {
	if in, _, _ := c.reach.pick(); in != ep || c.watches.Load() == 0 {
		return 0
	}
	_, err := c.leader(ctx, ep, c.timing.liveLimit)
	if err == nil || ctx.Err() != nil {
		return 0
	}
	if misses++; misses >= 2 {
		// What is in flight may have been swallowed: do not wait for it.
		err = fmt.Errorf("no answer to %d checks: %w", misses, err)
		c.reach.suspect(ep, life, err)
		c.reach.down(ep, err)
	}
	return misses
}

// probe returns nil if the address can serve: it answers and knows a leader.
// A server that just started has no leader, and no data either.
func (c *Client) probe(ctx context.Context, ep *endpoint) error {
	resp, err := c.leader(ctx, ep, c.timing.probeLimit)
	switch {
	case err != nil:
		return err
	case resp.code >= 500:
		return &StatusError{Code: resp.code, Message: resp.body}
	case resp.code == http.StatusOK && resp.body == `""`:
		return fmt.Errorf("no cluster leader")
	}
	return nil
}

type leaderAnswer struct {
	code int
	body string
}

// leader asks for the leader's address: the cheapest read there is, and one
// that needs no token.
func (c *Client) leader(ctx context.Context, ep *endpoint, limit time.Duration) (leaderAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, hc, err := ep.clients()
	if err != nil {
		c.complain("tls", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ep.base+"/v1/status/leader", nil)
	if err != nil {
		return leaderAnswer{}, err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return leaderAnswer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	return leaderAnswer{resp.StatusCode, strings.TrimSpace(string(b))}, err
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
