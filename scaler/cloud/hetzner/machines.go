package hetzner

import (
	"context"
	"strconv"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"

	"spillway/scaler/cloud"
)

// List implements cloud.Driver: one request for each page of 50.
func (d *Driver) List(ctx context.Context, tags map[string]string) ([]cloud.Machine, error) {
	wanted, err := labels(cloud.OpList, tags)
	if err != nil {
		return nil, err
	}
	c := d.call(ctx, cloud.OpList, "")
	opts := hcloud.ServerListOpts{ListOpts: hcloud.ListOpts{Page: 1, PerPage: maxPage, LabelSelector: selector(wanted)}, Sort: []string{"id"}}
	var found []cloud.Machine
	for opts.Page > 0 {
		servers, answer, err := d.api.Server.List(c.ctx, opts)
		if err != nil {
			return nil, c.typed(answer, err)
		}
		for _, s := range servers {
			if m := d.machine(s); m.HasTags(tags) {
				found = append(found, m)
			}
		}
		opts.Page = nextPage(answer, opts.Page)
	}
	return found, nil
}

// nextPage is 0 after the last one. A page that does not follow is not asked
// for: the list would never end.
func nextPage(answer *hcloud.Response, page int) int {
	if answer.Meta.Pagination == nil || answer.Meta.Pagination.NextPage <= page {
		return 0
	}
	return answer.Meta.Pagination.NextPage
}

// Delete implements cloud.Driver. An id that is no number is nobody's.
func (d *Driver) Delete(ctx context.Context, id string) error {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil || number <= 0 {
		return failure(cloud.NotFound, cloud.OpDelete, id, "ids of servers are numbers")
	}
	c := d.call(ctx, cloud.OpDelete, id)
	_, answer, err := d.api.Server.DeleteWithResult(c.ctx, &hcloud.Server{ID: number})
	if err != nil {
		return c.typed(answer, err)
	}
	return nil
}

// states are those of "Servers", field status. A server that cannot be made has
// none of its own: it goes, or never runs.
var states = map[hcloud.ServerStatus]cloud.State{
	hcloud.ServerStatusInitializing: cloud.Pending,
	hcloud.ServerStatusStarting:     cloud.Pending,
	hcloud.ServerStatusRebuilding:   cloud.Pending,
	hcloud.ServerStatusUnknown:      cloud.Pending,
	hcloud.ServerStatusRunning:      cloud.Running,
	hcloud.ServerStatusMigrating:    cloud.Running,
	hcloud.ServerStatusStopping:     cloud.Stopping,
	hcloud.ServerStatusOff:          cloud.Stopped,
	hcloud.ServerStatusDeleting:     cloud.Deleting,
}

func (d *Driver) machine(s *hcloud.Server) cloud.Machine {
	m := cloud.Machine{
		ID: strconv.FormatInt(s.ID, 10), Name: s.Name, State: states[s.Status],
		Address: d.address(s), Created: s.Created, Tags: tagsOf(s.Labels),
	}
	if m.State == "" {
		m.State = cloud.Pending // a status that is new to us
	}
	if s.ServerType != nil {
		m.Type = s.ServerType.Name
	}
	if s.Location != nil {
		m.Zone = s.Location.Name
	}
	return m
}

// address is the one in the configured network, or the public one.
func (d *Driver) address(s *hcloud.Server) string {
	if d.options.Network == 0 {
		if ip := s.PublicNet.IPv4.IP; !s.PublicNet.IPv4.IsUnspecified() && ip != nil {
			return ip.String()
		}
		return ""
	}
	for _, n := range s.PrivateNet {
		if n.Network != nil && n.Network.ID == d.options.Network && n.IP != nil {
			return n.IP.String()
		}
	}
	return ""
}
