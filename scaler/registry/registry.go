// Package registry tells Consul what serves: it registers instances with
// checks that a Consul agent runs, takes them out of rotation, and removes
// them. It also finds the gateways. A dead scaler turns nothing critical,
// because no check is fed by it.
//
// There are two, for the two ways gateways read their upstreams. Health
// registers services with the agent of the site; Drain is Consul's maintenance
// mode. KV writes the keys that nginx-upsync reads, with "down":1 for Drain,
// and notes in an index beside them which of the keys are whose. Neither ever
// touches what carries another cluster's name, or none.
//
// A gateway's guards hold removals back that look like an accident. They do
// not doubt the removal of a server that is down: so an instance that was
// drained before it is deregistered leaves at once, which is what is meant by
// announcing it.
//
// The package keeps no state and starts no goroutine that outlives a call.
package registry

import (
	"context"
	"time"
)

// Registration of one instance.
type Registration struct {
	ID      string // Instance.ID
	Service string // Consul service, or the upstream of the KV source
	Address string // ip:port
	// Weight is its share of requests beside the others, 1 to 65535. Consul
	// does not take 0; to send an instance nothing, Drain it.
	Weight int
	Tags   []string
	Meta   map[string]string
	Check  Check
}

// Check is run by the Consul agent of the site. No instance is without: the
// zero Check is one of the port.
type Check struct {
	HTTP     string // path; "" checks the port alone
	TCP      bool
	Interval time.Duration // 0: DefaultInterval
	Timeout  time.Duration // 0: the interval, at most DefaultTimeout
}

// What a Check means that does not say.
const (
	DefaultInterval = 2 * time.Second
	DefaultTimeout  = 2 * time.Second
)

// Keys of Registration.Meta that the scaler sets. The first is set by this
// package.
const (
	MetaCluster = "spillway_cluster"
	MetaApp     = "spillway_app"
	MetaMachine = "spillway_machine"
	// MetaSpec is a hash of the registration.
	MetaSpec = "spillway_spec"
)

// Entry is a registered instance. Its Check is not known from Health.
type Entry struct {
	Registration
	// Passing: gateways would send it requests but for a drain. The KV source
	// has no checks: there it is true of every entry.
	Passing  bool
	Draining bool   // maintenance, or down in the KV source
	Output   string // of the check that fails
}

// Gateway is a registered gateway.
type Gateway struct {
	ID    string
	Admin string // http://ip:port
}

// Registry is where gateways learn of servers. Every call is idempotent, and
// one whose answer was lost can be repeated.
type Registry interface {
	// Register makes the instance known. One that is known as it is is left
	// alone, and one that is draining goes on draining.
	Register(ctx context.Context, r Registration) error
	// Drain takes an instance out of rotation: maintenance (health source), or
	// down in its key (KV source). It also announces the removal. An instance
	// that is not registered is out of rotation.
	Drain(ctx context.Context, service, id, why string) error
	// Undrain brings it back; ErrNotFound if it is not registered.
	Undrain(ctx context.Context, service, id string) error
	// Deregister removes it; one that is not registered is no error.
	Deregister(ctx context.Context, service, id string) error
	// Entries of a service that carry our cluster, passing or not.
	Entries(ctx context.Context, service string) ([]Entry, error)
	Gateways(ctx context.Context) ([]Gateway, error)
}

// Batcher is a Registry that registers many at once, faster than one by one.
// An error names each that failed; the others are registered.
type Batcher interface {
	RegisterAll(ctx context.Context, all []Registration) error
}
