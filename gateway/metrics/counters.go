// Package metrics owns every number the gateway reports: the counters its
// loops write (counters.go, histogram.go) and the collector that merges and
// names them when Prometheus scrapes (collector.go, names.go).
//
// A counter belongs to one loop, which alone writes it; a scrape reads it in
// place. So nothing on the request path locks, allocates, or shares a cache
// line that another loop writes. Names, labels and units exist only at scrape
// time. A series lives as long as its object: an upstream or a server that is
// gone is no longer reported.
//
// The package starts no goroutine, keeps no registry of its own and never
// decides anything from what it counts.
package metrics

import "sync/atomic"

// Counter is a count that only grows. One goroutine writes it, any may read:
// adding is therefore a plain read and one atomic store.
type Counter struct{ v atomic.Uint64 }

// Inc adds one.
func (c *Counter) Inc() { c.v.Store(c.v.Load() + 1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.v.Store(c.v.Load() + n) }

// Load returns the count.
func (c *Counter) Load() uint64 { return c.v.Load() }

// Gauge is a level that rises and falls. One goroutine writes it, any may
// read.
type Gauge struct{ v atomic.Int64 }

// Inc adds one.
func (g *Gauge) Inc() { g.v.Store(g.v.Load() + 1) }

// Dec takes one away.
func (g *Gauge) Dec() { g.v.Store(g.v.Load() - 1) }

// Add adds n, which may be negative.
func (g *Gauge) Add(n int64) { g.v.Store(g.v.Load() + n) }

// Set makes n the level.
func (g *Gauge) Set(n int64) { g.v.Store(n) }

// Load returns the level.
func (g *Gauge) Load() int64 { return g.v.Load() }

// codeSlots is how many different status codes one CodeCounts keeps apart.
// Real upstreams use fewer than ten; the bound is against one that invents
// them.
const codeSlots = 16

// CodeCounts counts by exact status code. One goroutine writes it, any may
// read. Codes take a slot in the order they first appear, so the common one
// is found at once; what comes after the slots are taken is counted together
// under code 0.
type CodeCounts struct {
	slots [codeSlots]struct {
		code atomic.Uint32
		n    Counter
	}
	other Counter
}

// Inc counts one answer with that code.
func (c *CodeCounts) Inc(code int) {
	for i := range c.slots {
		s := &c.slots[i]
		switch s.code.Load() {
		case uint32(code):
			s.n.Inc()
			return
		case 0:
			s.n.Inc() // before the code: a reader that sees the code sees a count
			s.code.Store(uint32(code))
			return
		}
	}
	c.other.Inc()
}

// Load returns the count of one code; Load(0) is that of all codes that found
// no slot.
func (c *CodeCounts) Load(code int) uint64 {
	if code == 0 {
		return c.other.Load()
	}
	for i := range c.slots {
		if c.slots[i].code.Load() == uint32(code) {
			return c.slots[i].n.Load()
		}
	}
	return 0
}

// Each calls yield for every code counted so far; code 0 stands for the codes
// that found no slot.
func (c *CodeCounts) Each(yield func(code int, n uint64)) {
	for i := range c.slots {
		code := c.slots[i].code.Load()
		if code == 0 {
			break
		}
		yield(int(code), c.slots[i].n.Load())
	}
	if n := c.other.Load(); n > 0 {
		yield(0, n)
	}
}

// RefusedReason says why a client's connection was closed unread.
type RefusedReason uint8

// Reasons to refuse a connection.
const (
	RefusedMaxConnections RefusedReason = iota // the gateway's cap on connections
	RefusedPerAddress                          // the cap per client address
	refusedReasons
)

// TimeoutKind says which timer ended a client's connection or exchange.
type TimeoutKind uint8

// Timers of the client side.
const (
	TimeoutHeader TimeoutKind = iota // the request head did not arrive in time
	TimeoutBody                      // the request body stalled or was too slow
	TimeoutIdle                      // a keep-alive connection stayed idle
	TimeoutSend                      // the client did not read its answer
	TimeoutTunnel                    // an upgraded connection stayed idle
	TimeoutLinger                    // the client kept sending after its refusal
	timeoutKinds
)

// RetryReason says why a request was tried again.
type RetryReason uint8

// Reasons to try again.
const (
	RetryError   RetryReason = iota // the connection failed
	RetryTimeout                    // the server was too slow
	RetryInvalid                    // the answer was no HTTP
	RetryStatus                     // the answer has a status that is tried elsewhere
	RetryStale                      // a reused connection was dead before a byte of the answer
	retryReasons
)

// linePad keeps two cache lines between what different loops write: the line
// itself and its neighbour, which the hardware prefetches in pairs.
type linePad [128]byte

// Loop is what one loop counts of itself and of its clients' side. Only that
// loop writes it.
type Loop struct {
	_ linePad

	// Accepted and Closed count client connections; Active is how many the
	// loop owns now. Handoffs counts those it accepted and gave to another
	// loop: the accepting loop counts Accepted and Handoffs, the owner Active
	// and Closed.
	Accepted Counter
	Closed   Counter
	Active   Gauge
	Handoffs Counter
	// Refused counts connections closed unread, by reason.
	Refused [refusedReasons]Counter
	// EMFILE counts the times accepting stopped because the process was out
	// of descriptors.
	EMFILE Counter

	// BadRequests counts requests refused by the parser, by status. They are
	// counted in Responses too.
	BadRequests CodeCounts
	// Responses counts the answers the gateway made itself (400, 404, 502,
	// ...), by status.
	Responses CodeCounts
	// Timeouts counts what the client side's timers ended.
	Timeouts [timeoutKinds]Counter
	// Canceled counts exchanges whose client left before the answer (499).
	Canceled Counter

	// TunnelsOpened counts upgraded connections, TunnelsActive those open now.
	TunnelsOpened Counter
	TunnelsActive Gauge

	// BytesIn and BytesOut are what clients sent and were sent.
	BytesIn  Counter
	BytesOut Counter

	// Panics counts panics recovered in the loop.
	Panics Counter
	// Batches counts returns of epoll_wait, Events what they brought.
	Batches Counter
	Events  Counter

	_ linePad
}

// Upstream is what one loop counts of one upstream. Only that loop writes it.
type Upstream struct {
	_ linePad

	// Requests counts the requests routed to this upstream by the status the
	// client was answered with, 502, 503, 504 and 499 of the gateway's own
	// included.
	Requests CodeCounts
	// Retries counts further attempts, by what made them necessary.
	Retries [retryReasons]Counter

	// ConnectErrors to Resets count failed attempts by how they failed.
	ConnectErrors   Counter
	ConnectTimeouts Counter
	ReadTimeouts    Counter
	SendTimeouts    Counter
	Resets          Counter // the connection broke after it was established
	Invalid         Counter // the answer was no HTTP, or broke its framing
	NoServer        Counter // no server could be picked
	// Canceled counts exchanges ended because the client left.
	Canceled Counter

	// Opened and Closed count connections to servers, Reused the requests
	// sent on one that had served before. Active connections carry an
	// exchange, Idle ones wait for one.
	Opened Counter
	Closed Counter
	Reused Counter
	Active Gauge
	Idle   Gauge

	// BytesIn is what servers sent, BytesOut what they were sent.
	BytesIn  Counter
	BytesOut Counter

	// Duration is the time from the request's first byte to the last byte of
	// the answer written to the client. UpstreamDuration is the time from the
	// pick to the last byte of the server's answer, over all tries. Overhead
	// is what the gateway itself added.
	Duration         Histogram
	UpstreamDuration Histogram
	Overhead         Histogram

	_ linePad
}
