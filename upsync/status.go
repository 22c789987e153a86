package upsync

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
)

// Source is where what serves now came from.
type Source string

// The sources. SourceDump is degraded: the registry was not heard yet.
const (
	SourceNone Source = "none"
	SourceLive Source = "live"
	SourceDump Source = "dump"
)

// Decision is one judgement and what came of it. Addresses are resolved.
type Decision struct {
	At      time.Time
	Outcome Outcome
	Reason  string
	Index   uint64
	Added   []string
	Removed []string
	Changed []string
	Held    []string // still in doubt after it, as listed
	// Waiting is how many servers an update would add and remove that waits
	// because the set is frozen.
	Waiting int
	// Answered is when the head of the registry's answer arrived, zero if none
	// led to it; Served when the last loop served from the set, zero if it does
	// not yet, or nothing changed.
	Answered, Served time.Time

	version uint64 // of the snapshot, 0 if nothing changed
}

// decided fills in what a decision changed.
func decided(ch upstream.Change, d Decision) Decision {
	d.Added, d.Removed, d.Changed = ch.Added, ch.Removed, ch.Changed
	if !ch.Empty() {
		d.version = ch.Snapshot.Version
	}
	return d
}

// Status is what is known of one upstream.
type Status struct {
	Name   string
	Kind   Kind
	Place  string // the key, service or file
	Source Source
	// Degraded says the upstream is served from its dump, or nothing of its
	// source was ever had.
	Degraded bool
	// Index is the registry's, Address the one that gave it. SetAt is when the
	// set in use was read, Verified when a read last showed it to be current,
	// Since when the watch began.
	Index           uint64
	Address         string
	SetAt, Verified time.Time
	// Held are the servers in use that the registry dropped in doubt, and
	// since when.
	Held map[string]time.Time
	// Rejects are entries not used, or not wholly, of the last set, at most a
	// hundred, and hosts without an address.
	Rejects []consul.Reject
	Last    Decision
	// Errors and Decisions count, by reason and by outcome. Rejected counts
	// every entry rejected since the start, by every set.
	Errors    map[string]uint64
	Decisions map[Outcome]uint64
	Rejected  uint64
	// LastError is the last failure, "" if there was none; LastErrorAt when.
	LastError   string
	LastErrorAt time.Time
	// DumpError is why the last save failed, "" if it did not.
	DumpError string
	// Overrides are what operators said, and Durable whether it survives a
	// restart. Waiting says that a newer set waits for the end of a freeze.
	Overrides Overrides
	Durable   bool
	Waiting   bool
	// Leaving are servers that are not listed any more and until when they
	// serve; Flaps is what is held against servers that come and go, by address
	// as listed.
	Leaving map[string]time.Time
	Flaps   map[string]Penalty

	flap Flap
}

// Reuse is when a suppressed server of Flaps comes back if it flaps no more.
func (s *Status) Reuse(addr string) time.Time { return s.flap.ReuseAt(s.Flaps[addr]) }

// keptDecisions is how many decisions of an upstream are remembered.
const keptDecisions = 64

// history remembers what happened to one upstream, or to one watch.
type history struct {
	mu        sync.Mutex
	ring      []Decision // oldest first once it is full, from next
	next      int
	decisions map[Outcome]uint64
	errors    map[string]uint64
	lastError string
	errorAt   time.Time
	verified  time.Time
	index     uint64
	rejected  uint64 // guarded by the member's mu
	served    uint64 // version of the newest snapshot that all loops serve
	servedAt  time.Time
}

func (h *history) add(d Decision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.decisions == nil {
		h.decisions = map[Outcome]uint64{}
	}
	h.decisions[d.Outcome]++
	if d.version != 0 && d.version <= h.served {
		d.Served = h.servedAt // the loops were faster than this goroutine
	}
	if len(h.ring) < keptDecisions {
		h.ring = append(h.ring, d)
		return
	}
	h.ring[h.next] = d
	h.next = (h.next + 1) % keptDecisions
}

func (h *history) fail(reason string, err error, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.errors == nil {
		h.errors = map[string]uint64{}
	}
	h.errors[reason]++
	h.lastError, h.errorAt = err.Error(), at
}

func (h *history) verify(obs *consul.Observation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.verified, h.index = obs.At, obs.Index
}

// newest returns the decisions, newest first.
func (h *history) newest() []Decision {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := slices.Concat(h.ring[h.next:], h.ring[:h.next])
	slices.Reverse(out)
	return out
}

// Decisions returns the last decisions about an upstream, newest first; nil
// for a name that is none.
func (s *Syncer) Decisions(name string) []Decision {
	if m := s.member(name); m != nil {
		return m.history.newest()
	}
	return nil
}

// Status returns what is known of an upstream, and whether there is one of
// that name.
func (s *Syncer) Status(name string) (Status, bool) {
	m := s.member(name)
	if m == nil {
		return Status{}, false
	}
	return m.status(), true
}

// Statuses returns what is known of every upstream, in order of their names.
func (s *Syncer) Statuses() []Status {
	var all []Status
	for _, m := range s.all() {
		all = append(all, m.status())
	}
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Addresses returns the state of each address of Consul.
func (s *Syncer) Addresses() []consul.AddressState { return s.client.Addresses() }

// Degraded returns the upstreams that are served from a dump or not at all
// because their source was never heard, in order.
func (s *Syncer) Degraded() []string {
	var names []string
	for _, st := range s.Statuses() {
		if st.Degraded {
			names = append(names, st.Name)
		}
	}
	return names
}

func (s *Syncer) member(name string) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members[name]
}

func (m *member) status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := Status{
		Name: m.name, Kind: m.up.Source, Place: m.up.place(), Source: m.source,
		Degraded: m.source != SourceLive,
		Index:    m.meta.Index, Address: m.address, SetAt: m.meta.At, Verified: m.meta.At,
		Held: maps.Clone(m.held), Rejects: slices.Clone(m.rejects), Rejected: m.history.rejected,
		DumpError: m.dumpErr,
		Overrides: m.ops.said, Durable: m.up.Dump != "" && !m.ops.said.Empty(), Waiting: m.frozen() && m.latest != nil,
		Leaving: map[string]time.Time{}, Flaps: map[string]Penalty{},
		Errors: map[string]uint64{}, Decisions: map[Outcome]uint64{},
	}
	if ring := m.history.newest(); len(ring) > 0 {
		st.Last = ring[0]
	}
	for i := range m.serving {
		if host := m.serving[i].Host; host != "" {
			if err := m.s.resolver.failure(host); err != nil {
				st.Rejects = append(st.Rejects, consul.Reject{Key: m.serving[i].Addr, Reason: "cannot be resolved: " + err.Error()})
			}
		}
	}
	m.layered(&st)
	m.history.into(&st)
	if m.feed != nil {
		m.feed.history.into(&st)
	}
	return st
}

// into adds what h counted to a status; the newer error and time win.
func (h *history) into(st *Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for reason, n := range h.errors {
		st.Errors[reason] += n
	}
	for o, n := range h.decisions {
		st.Decisions[o] += n
	}
	if h.errorAt.After(st.LastErrorAt) {
		st.LastError, st.LastErrorAt = h.lastError, h.errorAt
	}
	if h.verified.After(st.Verified) {
		st.Verified, st.Index = h.verified, h.index
	}
}
