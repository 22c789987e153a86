package openstack

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/pagination"

	"spillway/scaler/cloud"
)

// pageSize is what is asked for; Nova gives at most 1,000 unless configured.
const pageSize = 500

// List implements cloud.Driver. Nova chooses by server tags, the driver by
// metadata.
func (d *Driver) List(ctx context.Context, tags map[string]string) ([]cloud.Machine, error) {
	nova, err := d.session.nova(ctx, cloud.OpList)
	if err != nil {
		return nil, err
	}
	return d.list(ctx, nova, servers.ListOpts{Limit: pageSize, Tags: strings.Join(serverTags(tags), ",")}, tags)
}

func (d *Driver) list(ctx context.Context, nova *gophercloud.ServiceClient, opts servers.ListOptsBuilder, tags map[string]string) ([]cloud.Machine, error) {
	var found []cloud.Machine
	c := newCall(ctx, cloud.OpList, "")
	err := servers.List(nova, opts).EachPage(c.ctx, func(_ context.Context, p pagination.Page) (bool, error) {
		part, err := servers.ExtractServers(p)
		for i := range part {
			if m := d.machine(&part[i]); m.HasTags(tags) {
				found = append(found, m)
			}
		}
		return err == nil, err
	})
	if err != nil {
		return nil, c.typed(err)
	}
	return found, nil
}

// Delete implements cloud.Driver.
func (d *Driver) Delete(ctx context.Context, id string) error {
	return d.act(ctx, cloud.OpDelete, id, func(ctx context.Context, nova *gophercloud.ServiceClient) error {
		return servers.Delete(ctx, nova, id).ExtractErr()
	})
}

// Stop implements cloud.Stopper: id, disks, addresses and metadata stay, and so
// does the place on the host.
func (d *Driver) Stop(ctx context.Context, id string) error {
	return d.act(ctx, cloud.OpStop, id, func(ctx context.Context, nova *gophercloud.ServiceClient) error {
		err := servers.Stop(ctx, nova, id).ExtractErr()
		return d.unless(ctx, nova, id, err, cloud.Stopped, cloud.Stopping)
	})
}

// Start implements cloud.Stopper.
func (d *Driver) Start(ctx context.Context, id string) error {
	return d.act(ctx, cloud.OpStart, id, func(ctx context.Context, nova *gophercloud.ServiceClient) error {
		err := servers.Start(ctx, nova, id).ExtractErr()
		return d.unless(ctx, nova, id, err, cloud.Running, cloud.Pending)
	})
}

// unless forgives a conflict if the machine is in the state that was wanted.
func (d *Driver) unless(ctx context.Context, nova *gophercloud.ServiceClient, id string, err error, states ...cloud.State) error {
	if !gophercloud.ResponseCodeIs(err, http.StatusConflict) {
		return err
	}
	s, look := servers.Get(ctx, nova, id).Extract()
	if look == nil && slices.Contains(states, state(s)) {
		return nil
	}
	return err
}

func (d *Driver) act(ctx context.Context, op, id string, do func(context.Context, *gophercloud.ServiceClient) error) error {
	if id == "" || strings.ContainsAny(id, "/?#%") {
		return failure(cloud.NotFound, op, id, "no server has such an id")
	}
	nova, err := d.session.nova(ctx, op)
	if err != nil {
		return err
	}
	c := newCall(ctx, op, id)
	if err := do(c.ctx, nova); err != nil {
		return c.typed(err)
	}
	return nil
}

// states are those of "Server Concepts" (Compute API guide).
var states = map[string]cloud.State{
	"BUILD": cloud.Pending, "ACTIVE": cloud.Running, "ERROR": cloud.Failed, "UNKNOWN": cloud.Pending,
	"REBOOT": cloud.Running, "HARD_REBOOT": cloud.Running, "PASSWORD": cloud.Running, "MIGRATING": cloud.Running,
	"RESIZE": cloud.Running, "VERIFY_RESIZE": cloud.Running, "REVERT_RESIZE": cloud.Running, "REBUILD": cloud.Pending,
	"SHUTOFF": cloud.Stopped, "SUSPENDED": cloud.Stopped, "PAUSED": cloud.Stopped, "RESCUE": cloud.Stopped,
	"SHELVED": cloud.Stopped, "SHELVED_OFFLOADED": cloud.Stopped,
	"DELETED": cloud.Deleted, "SOFT_DELETED": cloud.Deleted,
}

// state is the status, or what a task is about to make of it.
func state(s *servers.Server) cloud.State {
	switch s.TaskState {
	case "deleting", "soft-deleting":
		return cloud.Deleting
	case "powering-off":
		return cloud.Stopping
	case "powering-on":
		return cloud.Pending
	}
	return cmp.Or(states[s.Status], cloud.Pending)
}

func (d *Driver) machine(s *servers.Server) cloud.Machine {
	m := cloud.Machine{
		ID: s.ID, Name: s.Name, Zone: s.AvailabilityZone, State: state(s), Address: d.address(s.Addresses),
		Created: s.Created, Tags: maps.Clone(s.Metadata),
	}
	m.Type, _ = s.Flavor["original_name"].(string)
	if m.Tags == nil {
		m.Tags = map[string]string{}
	}
	m.Zone = cmp.Or(m.Zone, m.Tags[zoneKey])
	delete(m.Tags, zoneKey)
	if m.State == cloud.Failed {
		m.Reason = cmp.Or(s.Fault.Message, "Nova does not say why")
	}
	return m
}

// address is the first fixed one of version 4 in the network that was
// configured, or else in any.
func (d *Driver) address(networks map[string]any) string {
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		if only := d.options.AddressNetwork; only != "" && only != name {
			continue
		}
		list, _ := networks[name].([]any)
		for _, entry := range list {
			a, _ := entry.(map[string]any)
			text, _ := a["addr"].(string)
			if a["OS-EXT-IPS:type"] != "floating" && strings.Contains(text, ".") {
				return text
			}
		}
	}
	return ""
}
