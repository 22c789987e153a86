// Package balance chooses which server of an upstream gets a request.
//
// Its measure is nginx 1.22: round_robin, least_conn, hash and
// hash_consistent choose the servers nginx chooses for the same servers, keys
// and outcomes, which recorded answers of nginx assert (testdata). The package
// owns only what choosing needs to remember (running weights, hash rings);
// what is known of a server (in flight, failures) sits on upstream.Server and
// is shared by all loops. It does no I/O, reads no clock and starts no
// goroutine.
//
// A Picker belongs to one event loop. Prepare builds what is costly (a hash
// ring) once a snapshot on the goroutine that applies it, so that loops only
// swap it in.
package balance

import (
	"fmt"
	"slices"
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
)

// Request is what a choice depends on.
type Request struct {
	// Now is the engine's clock in nanoseconds.
	Now int64
	// Key is hashed by the hash policies. An empty key falls back to round
	// robin, as nginx has it.
	Key []byte
	// Tried are the servers this request has been sent to already. They are
	// not chosen again.
	Tried []*upstream.Server
}

// Picker chooses servers for one loop. It is not safe for use by several
// goroutines.
type Picker interface {
	// Update makes snap the set to choose from. Running weights of servers
	// that stay are kept, unless their weight changed.
	Update(snap *upstream.Snapshot)
	// Pick returns the server for r, a pointer into the snapshot's Entries,
	// or nil when none is available and untried. Backups are chosen only when
	// no primary is. The caller counts Inflight and reports the outcome.
	// Pick allocates nothing.
	Pick(r *Request) *upstream.Entry
	// Report tells the outcome of an attempt at e, which may be of an earlier
	// snapshot. A failure counts against max_fails and lowers the server's
	// share of round robin until it has proved itself, as nginx does. A pool
	// of one server is never disabled, so nothing is counted for it.
	Report(e *upstream.Entry, failed bool, now int64)
}

// Policies lists the names New knows, the default first.
func Policies() []string {
	return []string{RoundRobin, LeastConn, RandomTwo, Hash, HashConsistent}
}

// New returns a picker of that policy for loop (from 0) of loops. Loops start
// at different servers, so that few requests on many loops spread; with one
// loop the order is nginx's.
func New(policy string, loop, loops int) (Picker, error) {
	if !slices.Contains(Policies(), policy) {
		return nil, fmt.Errorf("unknown balance policy %q: want one of %s", policy, strings.Join(Policies(), ", "))
	}
	return nil, fmt.Errorf("balance policy %q is not built yet", policy)
}

// Prepare returns what builds Snapshot.Prepared for that policy, nil if the
// policy prepares nothing. Set it as Settings.Prepare.
func Prepare(policy string) func(*upstream.Snapshot) any {
	return nil
}
