package admin

import (
	"net/http"
	"time"

	"spillway/gateway/upstream"
)

// Views are the functions through which the server sees the gateway. They
// are called on many goroutines at once and must not block. One that is nil
// shows nothing.
type Views struct {
	// Ready reports whether traffic is served: listening, a first set of
	// servers applied, not draining. degraded says what is served from second
	// best, "" if nothing is; detail is a sentence for people.
	Ready func() (ready bool, degraded, detail string)
	// Pools returns the upstreams in order of their names.
	Pools func() []*upstream.Pool
	// Sync and Decisions tell of the upstream of that name; Decisions are the
	// newest first.
	Sync      func(name string) SyncInfo
	Decisions func(name string) []Decision
	// Reload reads the configuration again and returns why it was refused.
	Reload func() error
	// Config returns the configuration in effect as YAML, secrets masked.
	Config func() ([]byte, error)
	// Metrics serves /metrics.
	Metrics http.Handler
	// Now is the engine's clock in nanoseconds: failures of servers are
	// measured by it.
	Now func() int64
	// Signals returns, as JSON, what upstreams saw in the seconds that ended
	// after since (Unix milliseconds), and their servers; no names are all.
	Signals func(since int64, upstreams []string) ([]byte, error)
	// Announce is told of capacity ordered for an upstream that exists,
	// Announced what was announced for it and did not expire: nil for nothing.
	Announce  func(upstream string, ordered float64, eta time.Time)
	Announced func(upstream string) *Capacity
	// Operate carries out an order about an upstream; its error may be a
	// *Refusal. Orders returns those that hold, History the last decisions,
	// newest first.
	Operate func(upstream string, o Order) (Done, error)
	Orders  func(upstream string) Orders
	History func(upstream string) []Event
}

// Capacity is what was announced for an upstream.
type Capacity struct {
	// Ordered is how many units are to come, ETA when; ETAms is the same in
	// Unix milliseconds, as it was announced.
	Ordered float64   `json:"ordered"`
	ETA     time.Time `json:"eta"`
	ETAms   int64     `json:"eta_ms"`
}

// SyncInfo is how an upstream follows its source.
type SyncInfo struct {
	// Source is the kind of source: "static", "file", "consul-kv", ...
	Source string
	// Index is the registry's index last read, which may be ahead of the
	// snapshot's when nothing changed.
	Index uint64
	// WatchAge is how long the running read of the source has been waiting,
	// LastSuccess when the source last answered (zero: never).
	WatchAge    time.Duration
	LastSuccess time.Time
	// LastError is the last failure and LastErrorAt its time; "" if the
	// source has answered since.
	LastError   string
	LastErrorAt time.Time
	// LastDecision is the newest judgement of a server list.
	LastDecision Decision
	// Degraded says why the servers may be out of date, "" if they are not.
	Degraded string
	// Rejects are entries of the last list that are not used, or not wholly.
	Rejects []Reject
}

// Reject is one entry of a list that is not used, or not wholly.
type Reject struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

// Decision is one judgement of a list of servers.
type Decision struct {
	At time.Time `json:"at"`
	// Verdict is a word ("applied", "unchanged", "held", "refused"), Reason
	// the sentence to it.
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
	Index   uint64 `json:"index"`
	// Added, Removed and Changed are how many servers.
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Changed int `json:"changed"`
}

func (v *Views) pools() []*upstream.Pool {
	if v.Pools == nil {
		return nil
	}
	return v.Pools()
}

func (v *Views) now() int64 {
	if v.Now == nil {
		return 0
	}
	return v.Now()
}

func (v *Views) sync(name string) SyncInfo {
	if v.Sync == nil {
		return SyncInfo{}
	}
	return v.Sync(name)
}
