// Package registry tells Consul what serves: it registers instances with
// checks that a Consul agent runs, takes them out of rotation, and removes
// them. It also finds the gateways. A dead scaler turns nothing critical,
// because no check is fed by it.
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
	Weight  int
	Tags    []string
	Meta    map[string]string
	Check   Check
}

// Check is run by the Consul agent of the site.
type Check struct {
	HTTP     string // path; "" with TCP set checks the port alone
	TCP      bool
	Interval time.Duration
	Timeout  time.Duration
}

// Entry is a registered instance.
type Entry struct {
	Registration
	Passing  bool
	Draining bool // maintenance, or down in the KV source
	Output   string
}

// Gateway is a registered gateway.
type Gateway struct {
	ID    string
	Admin string // http://ip:port
}

// Registry is where gateways learn of servers. Every call is idempotent.
type Registry interface {
	Register(ctx context.Context, r Registration) error
	// Drain takes an instance out of rotation: maintenance (health source), or
	// down in its key (KV source). It also announces the removal.
	Drain(ctx context.Context, service, id, why string) error
	Undrain(ctx context.Context, service, id string) error
	Deregister(ctx context.Context, service, id string) error
	// Entries of a service that carry our cluster, passing or not.
	Entries(ctx context.Context, service string) ([]Entry, error)
	Gateways(ctx context.Context) ([]Gateway, error)
}
