package join

import (
	"net/netip"
	"sync"
	"time"
)

// What one address may ask: a machine needs ten requests in its first minute.
const (
	limitRate  = 10.0 // a second
	limitBurst = 40.0
	limitTable = 4096 // addresses remembered
)

// limiter is a token bucket for each address.
type limiter struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[netip.Addr]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, buckets: map[netip.Addr]bucket{}}
}

// allow takes a token of an address. When too many addresses are remembered
// all are forgotten: that costs an attacker more than it gives.
func (l *limiter) allow(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b, known := l.buckets[a]
	if !known {
		if len(l.buckets) >= limitTable {
			clear(l.buckets)
		}
		b = bucket{tokens: limitBurst, at: now}
	}
	b.tokens = min(limitBurst, b.tokens+now.Sub(b.at).Seconds()*limitRate)
	b.at = now
	ok := b.tokens >= 1
	if ok {
		b.tokens--
	}
	l.buckets[a] = b
	return ok
}
