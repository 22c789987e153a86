package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Health registers instances as services of one Consul agent, which runs their
// checks and keeps them over its restarts, maintenance included. It is safe
// for use by several goroutines.
//
// Sources: https://developer.hashicorp.com/consul/api-docs/agent/service and
// .../health.
type Health struct{ client }

var (
	_ Registry = (*Health)(nil)
	_ Batcher  = (*Health)(nil)
)

// NewHealth prepares a registry and asks nothing.
func NewHealth(c Config) (*Health, error) {
	base, err := newClient(c)
	return &Health{base}, err
}

// Register implements Registry. A new instance is critical until its first
// check has passed. Nothing ever deregisters it for being critical.
func (h *Health) Register(ctx context.Context, r Registration) error {
	ctx, cancel := h.bounded(ctx)
	defer cancel()
	r, err := normal(r, h.cfg.Cluster)
	if err == nil {
		err = h.register(ctx, r)
	}
	return wrap("register", r.Service, r.ID, err)
}

func (h *Health) register(ctx context.Context, r Registration) error {
	known, _, err := h.api.Agent().Service(r.ID, h.plain(ctx))
	if err != nil && code(err) != http.StatusNotFound {
		return err
	}
	return h.put(ctx, r, known)
}

// put registers unless it is known as it is. An agent that is told the same
// thing again would run the check anew.
func (h *Health) put(ctx context.Context, r Registration, known *api.AgentService) error {
	if known != nil {
		if known.Meta[MetaCluster] != h.cfg.Cluster {
			return ErrForeign
		}
		if known.Meta[MetaSpec] == r.Meta[MetaSpec] && known.Service == r.Service {
			return nil
		}
	}
	status := api.HealthCritical
	if known != nil {
		status = h.status(ctx, r.ID)
	}
	opts := api.ServiceRegisterOpts{}.WithContext(ctx)
	return h.api.Agent().ServiceRegisterOpts(service(r, status), opts)
}

// status is what an instance's check says now, so that a change of its weight
// does not turn it critical.
func (h *Health) status(ctx context.Context, id string) string {
	checks, err := h.api.Agent().ChecksWithFilterOpts("", h.plain(ctx))
	if err != nil || checks[checkID(id)] == nil {
		return api.HealthCritical
	}
	return checks[checkID(id)].Status
}

func checkID(id string) string { return "service:" + id }

// service is a registration in Consul's words. Warning has the least weight
// there is: 0 would take an instance out that only asks for less.
func service(r Registration, status string) *api.AgentServiceRegistration {
	host, portText, _ := net.SplitHostPort(r.Address)
	port, _ := strconv.Atoi(portText)
	check := &api.AgentServiceCheck{
		CheckID: checkID(r.ID), Name: "spillway", Status: status,
		Interval: seconds(r.Check.Interval), Timeout: seconds(r.Check.Timeout),
	}
	if r.Check.HTTP == "" {
		check.TCP = r.Address
	} else {
		check.HTTP = "http://" + r.Address + r.Check.HTTP
	}
	return &api.AgentServiceRegistration{
		ID: r.ID, Name: r.Service, Address: host, Port: port, Tags: r.Tags, Meta: r.Meta,
		Weights: &api.AgentWeights{Passing: r.Weight, Warning: 1}, Check: check,
	}
}

// Drain implements Registry.
func (h *Health) Drain(ctx context.Context, service, id, why string) error {
	return h.change(ctx, "drain", service, id, func(ctx context.Context) error {
		return h.api.Agent().EnableServiceMaintenanceOpts(id, why, h.plain(ctx))
	}, func(ctx context.Context) error {
		_, err := h.missing(ctx, service, id)
		return err
	})
}

// Undrain implements Registry.
func (h *Health) Undrain(ctx context.Context, service, id string) error {
	return h.change(ctx, "undrain", service, id, func(ctx context.Context) error {
		return h.api.Agent().DisableServiceMaintenanceOpts(id, h.plain(ctx))
	}, func(ctx context.Context) error {
		if _, err := h.missing(ctx, service, id); err != nil {
			return err
		}
		return ErrNotFound
	})
}

// Deregister implements Registry.
func (h *Health) Deregister(ctx context.Context, service, id string) error {
	return h.change(ctx, "deregister", service, id, func(ctx context.Context) error {
		return h.api.Agent().ServiceDeregisterOpts(id, h.plain(ctx))
	}, func(ctx context.Context) error {
		return h.forget(ctx, service, id)
	})
}

// change does something to an instance of ours, or what is to be done when
// our agent has none of that id.
func (h *Health) change(ctx context.Context, what, service, id string, do, absent func(context.Context) error) error {
	ctx, cancel := h.bounded(ctx)
	defer cancel()
	known, _, err := h.api.Agent().Service(id, h.plain(ctx))
	switch {
	case err == nil && known.Meta[MetaCluster] != h.cfg.Cluster:
		err = ErrForeign
	case err == nil:
		err = do(ctx)
	}
	if code(err) == http.StatusNotFound {
		err = absent(ctx)
	}
	return wrap(what, service, id, err)
}

// forget removes what the catalog still lists of an instance that our agent
// does not know: its data was lost, and so will never correct the catalog.
func (h *Health) forget(ctx context.Context, service, id string) error {
	node, err := h.missing(ctx, service, id)
	if err != nil || node == "" {
		return err
	}
	_, err = h.api.Catalog().Deregister(
		&api.CatalogDeregistration{Node: node, ServiceID: id, Namespace: h.cfg.Namespace}, (&api.WriteOptions{}).WithContext(ctx))
	return err
}

// missing is asked about an instance that our agent does not know. It returns
// our agent's node if the catalog lists it there nevertheless, "" if nobody
// lists it, and ErrElsewhere if another agent has it.
func (h *Health) missing(ctx context.Context, service, id string) (node string, err error) {
	found, meta, err := h.api.Health().Service(service, "", false, h.query(ctx, ""))
	if err == nil {
		err = whole(meta)
	}
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(found, func(e *api.ServiceEntry) bool { return e.Service.ID == id })
	if i < 0 {
		return "", nil
	}
	if found[i].Service.Meta[MetaCluster] != h.cfg.Cluster {
		return "", ErrForeign
	}
	own, err := h.nodeName(ctx)
	if err != nil {
		return "", err
	}
	if node := found[i].Node.Node; node != own {
		return "", fmt.Errorf("%w: that of node %q", ErrElsewhere, node)
	}
	return own, nil
}

// nodeName is the name of our agent. It is asked each time: the address may
// lead to another agent by now.
func (h *Health) nodeName(ctx context.Context) (string, error) {
	var self struct {
		Config struct{ NodeName string }
	}
	if _, err := h.api.Raw().Query("/v1/agent/self", &self, h.plain(ctx)); err != nil {
		return "", err
	}
	return self.Config.NodeName, nil
}

// Entries implements Registry.
func (h *Health) Entries(ctx context.Context, service string) ([]Entry, error) {
	ctx, cancel := h.bounded(ctx)
	defer cancel()
	filter := fmt.Sprintf("Service.Meta[%q] == %q", MetaCluster, h.cfg.Cluster)
	found, meta, err := h.api.Health().Service(service, "", false, h.query(ctx, filter))
	if err == nil {
		err = whole(meta)
	}
	if err != nil {
		return nil, wrap("list", service, "", err)
	}
	entries := make([]Entry, 0, len(found))
	for _, e := range found {
		if e.Service.Meta[MetaCluster] == h.cfg.Cluster {
			entries = append(entries, entryOf(e))
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.ID, b.ID) })
	return entries, nil
}

func entryOf(e *api.ServiceEntry) Entry {
	out := Entry{Passing: true, Registration: Registration{
		ID: e.Service.ID, Service: e.Service.Service, Address: addressOf(e),
		Weight: e.Service.Weights.Passing, Tags: e.Service.Tags, Meta: e.Service.Meta,
	}}
	for _, c := range e.Checks {
		switch {
		case c.CheckID == api.NodeMaint || strings.HasPrefix(c.CheckID, api.ServiceMaintPrefix):
			out.Draining = true
		case c.Status != api.HealthPassing && c.Status != api.HealthWarning:
			out.Passing, out.Output = false, c.CheckID+": "+cut(c.Output)
		}
	}
	return out
}

func addressOf(e *api.ServiceEntry) string {
	host := e.Service.Address
	if host == "" {
		host = e.Node.Address
	}
	return net.JoinHostPort(host, strconv.Itoa(e.Service.Port))
}

// cut keeps what a person needs of a check's output.
func cut(output string) string {
	const limit = 200
	output = strings.TrimSpace(output)
	if len(output) > limit {
		return strings.ToValidUTF8(output[:limit], "") + "..."
	}
	return output
}
