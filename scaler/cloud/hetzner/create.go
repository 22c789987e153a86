package hetzner

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"

	"spillway/scaler/cloud"
)

// hostname is what the API takes for a name: that of a host (RFC 1123).
var hostname = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)

// Create implements cloud.Driver: one server.
func (d *Driver) Create(ctx context.Context, r cloud.CreateRequest) ([]cloud.Machine, error) {
	if err := d.checkRequest(&r); err != nil {
		return nil, err
	}
	tags, err := labels(cloud.OpCreate, r.Tags)
	if err != nil {
		return nil, err
	}
	c := d.call(ctx, cloud.OpCreate, r.Type+" in "+r.Zone)
	made, answer, err := d.api.Server.Create(c.ctx, d.order(&r, tags))
	if hcloud.IsError(err, hcloud.ErrorCodeUniquenessError) {
		return d.whoHas(ctx, &r)
	}
	if err != nil {
		return nil, c.typed(answer, err)
	}
	if made.Server == nil || made.Server.ID == 0 {
		return nil, failure(cloud.Ambiguous, cloud.OpCreate, "", "an answer without a server")
	}
	return []cloud.Machine{d.machine(made.Server)}, nil
}

func (d *Driver) checkRequest(r *cloud.CreateRequest) error {
	if err := r.Check(d.Describe()); err != nil {
		return err
	}
	switch {
	case r.Spot:
		return failure(cloud.Invalid, cloud.OpCreate, "spot", "Hetzner Cloud has no spot machines")
	case len(r.Names[0]) > 63 || !hostname.MatchString(r.Names[0]):
		return failure(cloud.Invalid, cloud.OpCreate, "name", fmt.Sprintf("%q is no name for a host", r.Names[0]))
	case !d.options.sells(r.Type, r.Zone):
		return failure(cloud.Invalid, cloud.OpCreate, "type", fmt.Sprintf("%s in %q is not configured", r.Type, r.Zone))
	}
	return nil
}

func (d *Driver) order(r *cloud.CreateRequest, labels map[string]string) hcloud.ServerCreateOpts {
	o := &d.options
	opts := hcloud.ServerCreateOpts{
		Name: r.Names[0], ServerType: &hcloud.ServerType{Name: r.Type}, Location: &hcloud.Location{Name: r.Zone},
		Image: o.image(), Labels: labels, UserData: string(r.UserData),
	}
	for _, id := range o.SSHKeys {
		opts.SSHKeys = append(opts.SSHKeys, &hcloud.SSHKey{ID: id})
	}
	for _, id := range o.Firewalls {
		opts.Firewalls = append(opts.Firewalls, &hcloud.ServerCreateFirewall{Firewall: hcloud.Firewall{ID: id}})
	}
	if o.Network != 0 {
		opts.Networks = []*hcloud.Network{{ID: o.Network}}
	}
	if o.NoPublicAddress {
		opts.PublicNet = &hcloud.ServerCreatePublicNet{}
	}
	return opts
}

// whoHas returns the server that bears the name if it is of the same order: the
// answer to an earlier request that got lost. As long as that server cannot be
// seen, it may be ours.
func (d *Driver) whoHas(ctx context.Context, r *cloud.CreateRequest) ([]cloud.Machine, error) {
	name := r.Names[0]
	server, _, err := d.api.Server.GetByName(ctx, name)
	if err != nil {
		return nil, &cloud.Error{Kind: cloud.Ambiguous, Op: cloud.OpCreate, What: name, Err: err}
	}
	if server == nil {
		return nil, failure(cloud.Ambiguous, cloud.OpCreate, name, "the name is taken by a server that is not listed")
	}
	m := d.machine(server)
	same := map[string]string{}
	for _, tag := range []string{cloud.TagCluster, cloud.TagOrder} {
		if value, ok := r.Tags[tag]; ok {
			same[tag] = value
		}
	}
	if _, ordered := same[cloud.TagOrder]; !ordered || !m.HasTags(same) {
		return nil, failure(cloud.Invalid, cloud.OpCreate, "name", fmt.Sprintf("%q is the name of server %s of another order", name, m.ID))
	}
	return []cloud.Machine{m}, nil
}

// sells reports whether the type is wanted in a zone. What there is, is for the
// vendor to tell.
func (o *Options) sells(typ, zone string) bool {
	_, ok := o.kind(typ, zone)
	return ok
}

func (o *Options) kind(typ, zone string) (Kind, bool) {
	if len(o.Kinds) == 0 {
		return Kind{Type: typ}, true
	}
	i := slices.IndexFunc(o.Kinds, func(k Kind) bool {
		return k.Type == typ && (len(k.Zones) == 0 || slices.Contains(k.Zones, zone))
	})
	if i < 0 {
		return Kind{}, false
	}
	return o.Kinds[i], true
}

func failure(kind cloud.Kind, op, what, text string) error {
	return &cloud.Error{Kind: kind, Op: op, What: what, Err: errors.New(text)}
}
