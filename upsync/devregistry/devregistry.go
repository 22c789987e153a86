// Package devregistry is an in-memory development registry that speaks the
// Consul HTTP endpoints Spillway uses: KV with CAS, locks and recurse,
// transactions, sessions, catalog, health, the agent's registrations, and
// blocking queries with Consul's index semantics.
//
// It serves `spillway dev` and is the fault injector of the tests: a Fault
// stands between the network and the registry, a Server can refuse, partition
// and come back on the same port, a Snapshot can be restored. What it answers
// is held against real Consul 1.19.2 by the differential tests of the package.
//
// It is no registry for production: one node, no persistence, no replication.
// Every answer carries X-Spillway-Dev-Registry and the start is logged as what
// it is.
//
// Goroutines: one for each TCP or HTTP health check that is registered, and
// those of net/http. TTLs, lock delays and tombstones run on timers of the
// Clock. Registry.Close ends them all.
package devregistry

import (
	"log/slog"
	"sync"
	"time"
)

// Header is set on every answer, so that a development registry is never
// mistaken for Consul.
const Header = "X-Spillway-Dev-Registry"

// Version is the Consul version whose behaviour is followed.
const Version = "1.19.2"

// Options of a Registry; the zero value is ready for use.
type Options struct {
	// Clock drives waits, TTLs, lock delays and tombstones. Default: WallClock.
	Clock Clock
	// Logger gets the start and stop of servers and the checks that change.
	// Default: slog.Default.
	Logger *slog.Logger
	// Node is the name of the registry's own node, to which agent
	// registrations belong. Default "dev".
	Node string
	// Datacenter the registry says it is. Queries for another get Consul's
	// 500 "No path to datacenter". Default "dc1".
	Datacenter string
	// WaitJitter is the largest part of a blocking query's wait added to it,
	// as Consul adds wait/16 to spread clients: 16 means 1/16. Default 16;
	// negative adds none.
	WaitJitter int
	// NoStreaming answers blocking health queries as an agent without the
	// streaming backend does. By default they carry the streaming backend's
	// headers, with X-Consul-KnownLeader: false (hashicorp/consul#9776).
	NoStreaming bool
	// Tokens turn ACLs on: a request needs a token of this map, or what the
	// token "" (anonymous) allows. Nil: everything is allowed.
	Tokens map[string]Policy
	// LogSize bounds the request log. Default 65,536 entries; the counters
	// go on.
	LogSize int
}

func (o *Options) setDefaults() {
	if o.Clock.Now == nil {
		o.Clock = WallClock()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Node == "" {
		o.Node = "dev"
	}
	if o.Datacenter == "" {
		o.Datacenter = "dc1"
	}
	if o.WaitJitter == 0 {
		o.WaitJitter = 16
	}
	if o.LogSize == 0 {
		o.LogSize = 65536
	}
}

// Registry is the state of one development registry and its fault injector.
// All methods are safe for concurrent use.
//
// Lock order: mu, then watch.mu. The log and the fault have locks of their
// own that are never held while another is taken.
type Registry struct {
	opts Options
	log  requestLog

	mu     sync.RWMutex // guards state, timers, checkers, tokens
	state  state
	timers map[string]*timer // by name, see setTimer
	probes map[string]*probe // by check id, of the registry's own node
	tokens map[string]Policy
	closed bool

	watch   watchers
	probing sync.WaitGroup // the goroutines of probes

	faultMu sync.Mutex
	fault   FaultFunc
}

// state is everything a snapshot holds. Rows are immutable: a change replaces
// the pointer, so a copy of the tables is a snapshot.
type state struct {
	index    uint64 // of the last write, as raft's
	kv       kvTables
	catalog  catalogTables
	sessions table[*Session]
	// sessionIndex is the index of the last change of the session table.
	sessionIndex uint64
	lockDelays   map[string]time.Time
}

// firstIndex is where the first write lands: a fresh Consul has spent about
// this many on its own bookkeeping.
const firstIndex = 10

// New returns a registry that has its own node and the service "consul".
func New(o Options) *Registry {
	o.setDefaults()
	r := &Registry{opts: o, tokens: o.Tokens}
	r.log.limit = o.LogSize
	r.timers = make(map[string]*timer)
	r.probes = make(map[string]*probe)
	r.watch.init()
	r.state = r.emptyState(firstIndex)
	return r
}

func (r *Registry) emptyState(index uint64) state {
	s := state{index: index, lockDelays: make(map[string]time.Time)}
	s.kv.init()
	s.catalog.init()
	s.index++
	s.bootstrap(r.opts.Node, r.opts.Datacenter)
	return s
}

// Close ends every check, timer and blocked query. A registry that is closed
// still answers plain reads.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	for id := range r.probes {
		r.stopProbeLocked(id)
	}
	for _, t := range r.timers {
		t.stop()
	}
	clear(r.timers)
	r.mu.Unlock()
	r.probing.Wait()
	r.watch.abandon()
}

// Index returns the index of the last write.
func (r *Registry) Index() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.state.index
}

// write runs one change under the lock at the next index and wakes the
// watches of the topics it touched.
func (r *Registry) write(change func(s *state, t *touched) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writeLocked(change)
}

func (r *Registry) writeLocked(change func(s *state, t *touched) error) error {
	t := &touched{}
	r.state.index++
	err := change(&r.state, t)
	r.watch.notify(t)
	r.armTimers(t)
	return err
}
