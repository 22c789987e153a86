package scaler

import (
	"context"
	"sync"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
)

// renamed gives the machines of a cloud that numbers them the ids by which the
// simulated cloud behind, and so the test's world, knows them: those of the
// same name.
type renamed struct {
	cloud.Driver
	behind *sim.Cloud

	mu      sync.Mutex
	numbers map[string]string // by the id behind
}

func rename(d cloud.Driver, behind *sim.Cloud) cloud.Driver {
	return &renamed{Driver: d, behind: behind, numbers: map[string]string{}}
}

// Offerings are billed by the second: an hour that is paid is kept to its end,
// and a case of the matrix ends before.
func (r *renamed) Offerings(ctx context.Context) ([]cloud.Offering, error) {
	all, err := r.Driver.Offerings(ctx)
	for i := range all {
		all[i].Quantum = 0
	}
	return all, err
}

func (r *renamed) Create(ctx context.Context, q cloud.CreateRequest) ([]cloud.Machine, error) {
	made, err := r.Driver.Create(ctx, q)
	return r.translated(made), err
}

func (r *renamed) List(ctx context.Context, tags map[string]string) ([]cloud.Machine, error) {
	found, err := r.Driver.List(ctx, tags)
	return r.translated(found), err
}

func (r *renamed) Delete(ctx context.Context, id string) error {
	r.mu.Lock()
	number := r.numbers[id]
	r.mu.Unlock()
	return r.Driver.Delete(ctx, number)
}

func (r *renamed) translated(machines []cloud.Machine) []cloud.Machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := map[string]string{}
	for _, h := range r.behind.Hosts() {
		if h.State != cloud.Deleted {
			ids[h.Name] = h.ID
		}
	}
	for i := range machines {
		m := &machines[i]
		if id := ids[m.Name]; id != "" {
			r.numbers[id], m.ID = m.ID, id
		}
	}
	return machines
}
