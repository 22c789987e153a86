// Package balance chooses which server of an upstream gets a request.
//
// Its measure is nginx 1.22: round_robin, least_conn, hash and
// hash_consistent choose the servers nginx chooses for the same servers, keys
// and outcomes, which recorded choices of nginx assert (testdata). The package
// owns only what choosing needs to remember (running weights, hash rings);
// what is known of a server (in flight, failures) sits on upstream.Server and
// is shared by all loops. It does no I/O, reads no clock and starts no
// goroutine.
//
// The policies that nginx has not (peak_ewma, weighted_least_request, maglev,
// hash_bounded) cite what they follow.
//
// A Picker belongs to one event loop. Prepare builds what is costly (a hash
// ring) once a snapshot, on the goroutine that applies it, so that loops only
// swap it in.
package balance

import (
	"fmt"
	"strings"

	"spillway/gateway/upstream"
)

// The policies, as a configuration names them.
const (
	RoundRobin     = "round_robin"     // smooth weighted round robin
	LeastConn      = "least_conn"      // fewest in flight for its weight
	RandomTwo      = "random_two"      // the better of two drawn by weight
	Hash           = "hash"            // key modulo weights, nginx "hash KEY"
	HashConsistent = "hash_consistent" // ketama ring, nginx "hash KEY consistent"
	PeakEWMA       = "peak_ewma"       // the better of two by latency and requests in flight
	Maglev         = "maglev"          // lookup table of equal parts
	HashBounded    = "hash_bounded"    // hash_consistent, no server far above its part

	WeightedLeastRequest = "weighted_least_request" // round robin by weight for requests in flight
)

// Request is what a choice depends on.
type Request struct {
	// Now is the engine's clock in nanoseconds.
	Now int64
	// Key is hashed by the hash policies. Without a key they go round robin,
	// as nginx does.
	Key []byte
	// Tried are the servers this request has been sent to already, in order.
	// They are not chosen again.
	Tried []*upstream.Server
	// Prefer is chosen, whatever the policy, if it may be and is a primary.
	// Slow start does not keep from it those who know it. nil is none.
	Prefer *upstream.Server

	pick  uint64 // counts the picks of a picker
	waits bool   // a server that starts slowly let this pick pass
	spare bool   // and may be chosen all the same: there is no other
}

// Picker chooses servers for one loop. It is not safe for use by several
// goroutines.
type Picker interface {
	// Update makes snap the set to choose from. Running weights of servers
	// that stay are kept, unless their weight changed.
	Update(snap *upstream.Snapshot)
	// Pick returns the server for r, a pointer into the snapshot's Entries,
	// or nil when none is available and untried. Backups are chosen only when
	// no primary is. Pick allocates nothing. It does not count the request:
	// the caller adds it to Inflight before the next Pick and takes it off at
	// the end.
	Pick(r *Request) *upstream.Entry
	// Report tells the outcome of an attempt at e, which may be of an earlier
	// snapshot. A failure counts against max_fails and lowers the server's
	// share until it has proved itself, as nginx has it. The only server of a
	// pool is never disabled, so its failures are not counted. An attempt
	// that ended for another reason (the client left) is no failure.
	Report(e *upstream.Entry, failed bool, now int64)
}

// Observer is a Picker that wants to know how long answers take.
type Observer interface {
	// Observe tells that the head of an answer of e arrived at now, latency
	// nanoseconds after its server was picked. e may be of an earlier
	// snapshot. It allocates nothing.
	Observe(e *upstream.Entry, latency, now int64)
}

// Policies lists the names New knows, the default first.
func Policies() []string {
	return []string{
		RoundRobin, LeastConn, RandomTwo, Hash, HashConsistent,
		PeakEWMA, WeightedLeastRequest, Maglev, HashBounded,
	}
}

// New returns a picker of that policy for loop (from 0) of loops. Loops start
// at different servers, so that a few requests on many loops spread; with one
// loop the order is nginx's.
func New(policy string, loop, loops int) (Picker, error) {
	return Tuned(policy, upstream.Tuning{}, loop, loops)
}

// Tuned is New for a policy that is told something.
func Tuned(policy string, t upstream.Tuning, loop, loops int) (Picker, error) {
	if loop < 0 || loop >= loops {
		return nil, fmt.Errorf("cannot balance for loop %d of %d", loop, loops)
	}
	c := newChooser(policy, t)
	if c == nil {
		return nil, fmt.Errorf("unknown balance policy %q: want one of %s", policy, strings.Join(Policies(), ", "))
	}
	p := picker{servers: newServers(loop, loops), chooser: c}
	p.subset = subsetOf(policy, t)
	if o, ok := c.(Observer); ok {
		return &observing{picker: p, Observer: o}, nil
	}
	return &p, nil
}

// newChooser returns what sets the policy apart, nil if there is none of that
// name.
func newChooser(policy string, t upstream.Tuning) chooser {
	switch policy {
	case RoundRobin:
		return roundRobin{}
	case LeastConn:
		return leastConn{}
	case RandomTwo:
		return newRandomTwo()
	case Hash:
		return &hash{}
	case HashConsistent:
		return &hashConsistent{}
	case PeakEWMA:
		return newPeakEWMA(t.Decay)
	case WeightedLeastRequest:
		return newLeastRequest(t.Bias)
	case Maglev:
		return &maglev{}
	case HashBounded:
		return newHashBounded(t.Bound)
	}
	return nil
}

// Keyed reports whether the policy chooses by Request.Key.
func Keyed(policy string) bool {
	switch policy {
	case Hash, HashConsistent, Maglev, HashBounded:
		return true
	}
	return false
}

// Prepare returns what builds Snapshot.Prepared for that policy, nil if the
// policy prepares nothing. Set it as Settings.Prepare.
func Prepare(policy string) func(*upstream.Snapshot) any {
	switch policy {
	case HashConsistent, HashBounded:
		return func(snap *upstream.Snapshot) any { return newRing(snap) }
	case Maglev:
		return func(snap *upstream.Snapshot) any { return newTable(snap) }
	}
	return nil
}

// chooser is the part of a picker that differs between policies.
type chooser interface {
	// update is called after the groups of s were rebuilt from snap.
	update(s *servers, snap *upstream.Snapshot)
	// choose returns a usable peer of g or nil. It has accounted for the
	// choice in the running weights.
	choose(g *group, r *Request) *peer
}

// picker is every policy: it owns what they have in common, which is all but
// the choice within a group.
type picker struct {
	servers
	chooser chooser
	picks   uint64
}

// observing is a picker whose chooser observes.
type observing struct {
	picker
	Observer
}

// Update implements Picker.
func (p *picker) Update(snap *upstream.Snapshot) {
	p.rebuild(snap)
	p.chooser.update(&p.servers, snap)
}

// Pick implements Picker.
func (p *picker) Pick(r *Request) *upstream.Entry {
	if p.only != nil {
		return p.pickOnly(r)
	}
	p.picks++
	r.pick = p.picks
	if r.Prefer != nil {
		if e := p.pickPreferred(r); e != nil {
			return e
		}
	}
	if e := p.pickAny(&p.primary, r); e != nil {
		return e
	}
	if e := p.pickAny(&p.others, r); e != nil {
		return e
	}
	return p.pickAny(&p.backup, r)
}

// pickAny picks from g, if need be one whose turn it is not.
func (p *picker) pickAny(g *group, r *Request) *upstream.Entry {
	r.waits, r.spare = false, false
	e := p.pickFrom(g, r)
	if e == nil && r.waits {
		r.spare = true
		e = p.pickFrom(g, r)
	}
	return e
}

func (p *picker) pickFrom(g *group, r *Request) *upstream.Entry {
	for len(g.peers) > 0 {
		c := p.chooser.choose(g, r)
		if c == nil {
			return nil
		}
		// Another loop may have sent the probe of a failed server since it
		// was found usable; then it is no longer, and the choice is repeated.
		if c.entry.Picked(&c.entry.Spec, r.Now) {
			return c.entry
		}
	}
	return nil
}

// pickPreferred picks the server that is preferred, nil if it may not be.
func (p *picker) pickPreferred(r *Request) *upstream.Entry {
	c := p.find(r.Prefer)
	if c == nil || c.entry.Spec.Backup {
		return nil
	}
	r.spare = true
	if !c.usable(r) || !c.entry.Picked(&c.entry.Spec, r.Now) {
		return nil
	}
	return c.entry
}

// pickOnly picks the server of a pool that has but one: failures do not
// disable it, as there is nowhere else to go (nginx: peers->single).
func (p *picker) pickOnly(r *Request) *upstream.Entry {
	e := p.only
	switch {
	case e.Spec.Down, e.Standing().Barred(), tried(r.Tried, e.Server):
		return nil
	case e.Spec.MaxConns > 0 && e.Inflight.Load() >= int64(e.Spec.MaxConns):
		return nil
	}
	return e
}

// Report implements Picker.
func (p *picker) Report(e *upstream.Entry, failed bool, now int64) {
	switch {
	case !failed:
		e.Succeeded()
	case p.only == nil:
		e.Failed(&e.Spec, now)
		if c := p.find(e.Server); c != nil {
			c.lower()
		}
	}
}
