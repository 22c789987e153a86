package cloud

import (
	"math"
	"time"
)

// Bucket is a token bucket: full at first, refilled at Limit.Rate a second up
// to Limit.Burst. Providers pace requests by it, and so do we. It is not safe
// for concurrent use.
type Bucket struct {
	limit  Limit
	tokens float64 // below zero: promised to those who wait
	at     time.Time
}

// NewBucket returns a full bucket.
func NewBucket(l Limit, now time.Time) *Bucket {
	return &Bucket{limit: l, tokens: float64(l.Burst), at: now}
}

// slack is what rounding may take from a bucket, in tokens: without it, who
// waits as long as he was told is refused for another nanosecond.
const slack = 1e-6

// TryTake takes n tokens if they are there. If not it takes none and tells how
// long it is until they are; for more than Burst, until the bucket is full.
func (b *Bucket) TryTake(n int, now time.Time) (wait time.Duration, ok bool) {
	b.refill(now)
	need := math.Min(float64(n), float64(b.limit.Burst))
	if b.tokens >= need-slack {
		b.tokens -= float64(n)
		return 0, true
	}
	return b.until(need), false
}

// Reserve takes n tokens now and tells how long the caller must wait until it
// may use them.
func (b *Bucket) Reserve(n int, now time.Time) time.Duration {
	b.refill(now)
	b.tokens -= float64(n)
	if b.tokens >= 0 {
		return 0
	}
	return b.until(0)
}

// Return gives back tokens that were reserved and not used.
func (b *Bucket) Return(n int) {
	b.tokens = math.Min(b.tokens+float64(n), float64(b.limit.Burst))
}

func (b *Bucket) refill(now time.Time) {
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = math.Min(b.tokens+passed.Seconds()*b.limit.Rate, float64(b.limit.Burst))
		b.at = now
	}
}

// until is the time until the bucket holds level tokens. It is rounded up: a
// caller that waits so long finds them.
func (b *Bucket) until(level float64) time.Duration {
	if b.limit.Rate <= 0 {
		return math.MaxInt64
	}
	ns := math.Ceil((level - b.tokens) / b.limit.Rate * 1e9)
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}
