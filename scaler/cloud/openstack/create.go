package openstack

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"spillway/scaler/cloud"
)

// Create implements cloud.Driver. The answer to a batch names the batch; its
// machines are listed by that. If that fails, they are there all the same:
// Ambiguous.
func (d *Driver) Create(ctx context.Context, r cloud.CreateRequest) ([]cloud.Machine, error) {
	if err := d.checkRequest(&r); err != nil {
		return nil, err
	}
	nova, err := d.session.nova(ctx, cloud.OpCreate)
	if err != nil {
		return nil, err
	}
	flavor, err := d.flavors.id(ctx, nova, r.Type)
	if err != nil {
		return nil, err
	}
	c := newCall(ctx, cloud.OpCreate, r.Type+" in "+r.Zone)
	result := servers.Create(c.ctx, nova, d.order(&r, flavor), d.hints())
	if result.Err != nil {
		err := c.typed(result.Err)
		if cloud.KindOf(err) == cloud.Invalid {
			d.flavors.forget(r.Type) // it may have been made anew under its name
		}
		return nil, err
	}
	var made struct {
		ReservationID string `json:"reservation_id"`
		Server        struct {
			ID string `json:"id"`
		} `json:"server"`
	}
	err = result.Result.ExtractInto(&made) // the whole answer, not what is under "server"
	switch {
	case err == nil && made.Server.ID != "":
		return []cloud.Machine{d.ordered(&r, made.Server.ID)}, nil
	case err == nil && made.ReservationID != "":
		return d.reserved(ctx, nova, &r, made.ReservationID)
	}
	return nil, &cloud.Error{Kind: cloud.Ambiguous, Op: cloud.OpCreate, What: c.what, Err: cmp.Or(err, errNoServer)}
}

var errNoServer = errors.New("an answer without a server")

func (d *Driver) checkRequest(r *cloud.CreateRequest) error {
	if err := r.Check(d.Describe()); err != nil {
		return err
	}
	if r.Spot {
		return failure(cloud.Invalid, cloud.OpCreate, "spot", "OpenStack has no spot machines")
	}
	if _, wanted := d.options.kind(r.Type, r.Zone); !wanted {
		return failure(cloud.Invalid, cloud.OpCreate, "type", fmt.Sprintf("%s in %q is not configured", r.Type, r.Zone))
	}
	for k, v := range r.Tags {
		if k == "" || k == zoneKey || len(k) > metadataMax || len(v) > metadataMax {
			return failure(cloud.Invalid, cloud.OpCreate, "tags", fmt.Sprintf("%q cannot be metadata: its key or value is empty, reserved or longer than %d", k, metadataMax))
		}
	}
	return nil
}

// order is the body of the request.
func (d *Driver) order(r *cloud.CreateRequest, flavor string) batch {
	o := &d.options
	drive := true
	b := batch{many: r.Count > 1, keyName: o.KeyName, CreateOpts: servers.CreateOpts{
		Name: batchName(r), ImageRef: o.Image, FlavorRef: flavor, AvailabilityZone: r.Zone, SecurityGroups: o.SecurityGroups,
		Networks: "auto", Metadata: metadata(r), Tags: serverTags(r.Tags), ConfigDrive: &drive, Min: 1, Max: r.Count,
	}}
	if len(r.UserData) > 0 {
		// Encoded here: gophercloud takes what looks like base64 for base64.
		b.UserData = []byte(base64.StdEncoding.EncodeToString(r.UserData))
	}
	if len(o.Networks) > 0 {
		var networks []servers.Network
		for _, id := range o.Networks {
			networks = append(networks, servers.Network{UUID: id})
		}
		b.Networks = networks
	}
	if o.VolumeGB > 0 {
		b.ImageRef = ""
		b.BlockDevice = []servers.BlockDevice{{
			SourceType: servers.SourceImage, UUID: o.Image, DestinationType: servers.DestinationVolume,
			VolumeSize: o.VolumeGB, DeleteOnTermination: true,
		}}
	}
	return b
}

func (d *Driver) hints() servers.SchedulerHintOptsBuilder {
	if d.options.ServerGroup == "" {
		return nil
	}
	return servers.SchedulerHintOpts{Group: d.options.ServerGroup}
}

// batch adds to gophercloud's options what they lack.
type batch struct {
	servers.CreateOpts
	many    bool
	keyName string
}

// ToServerCreateMap implements servers.CreateOptsBuilder.
func (b batch) ToServerCreateMap() (map[string]any, error) {
	body, err := b.CreateOpts.ToServerCreateMap()
	if err != nil {
		return nil, err
	}
	server, ok := body["server"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("cannot write the request: %T", body["server"])
	}
	if b.keyName != "" {
		server["key_name"] = b.keyName
	}
	if b.many {
		server["return_reservation_id"] = true
	}
	return body, nil
}

// ordered is a machine of which no more is known than its id.
func (d *Driver) ordered(r *cloud.CreateRequest, id string) cloud.Machine {
	tags := maps.Clone(r.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	return cloud.Machine{ID: id, Name: batchName(r), Type: r.Type, Zone: r.Zone, State: cloud.Pending, Tags: tags}
}

// reservation asks for the machines of one batch.
type reservation string

// ToServerListQuery implements servers.ListOptsBuilder.
func (id reservation) ToServerListQuery() (string, error) {
	return "?" + url.Values{"reservation_id": {string(id)}, "limit": {strconv.Itoa(pageSize)}}.Encode(), nil
}

func (d *Driver) reserved(ctx context.Context, nova *gophercloud.ServiceClient, r *cloud.CreateRequest, id string) ([]cloud.Machine, error) {
	made, err := d.list(ctx, nova, reservation(id), nil)
	if err == nil && len(made) == 0 {
		err = fmt.Errorf("no server of it is listed")
	}
	if err != nil {
		return nil, &cloud.Error{Kind: cloud.Ambiguous, Op: cloud.OpCreate, What: "reservation " + id, Err: err}
	}
	return made, nil
}

// batchName is the slot's name for one machine and the order's for several, to
// which Nova adds a number.
func batchName(r *cloud.CreateRequest) string {
	if order := r.Tags[cloud.TagOrder]; r.Count > 1 && order != "" {
		return order
	}
	return r.Names[0]
}

const (
	// metadataMax is the most characters of a key or value.
	metadataMax = 255
	// tagMax is the most characters of a server tag.
	tagMax = 60
	// zoneKey tells the zone of a server that Nova has placed nowhere yet.
	zoneKey = "spillway-zone"
)

func metadata(r *cloud.CreateRequest) map[string]string {
	all := maps.Clone(r.Tags)
	if all == nil {
		all = map[string]string{}
	}
	all[zoneKey] = r.Zone
	return all
}

// serverTags are the tags that List asks for. What does not fit is left out:
// metadata decide.
func serverTags(tags map[string]string) (all []string) {
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if key != cloud.TagCluster && key != cloud.TagPool && key != cloud.TagOrder {
			continue
		}
		if tag := key + "=" + tags[key]; len(tag) <= tagMax && !strings.ContainsAny(tag, "/,") {
			all = append(all, tag)
		}
	}
	return all
}
