package aliyun

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

// Create implements cloud.Driver: one RunInstances.
//
// AutoReleaseTime is a point in time, and a token is worth one request to the
// letter. So the points are hours apart, and a token that is said to have been
// used for another request is tried with the point before too: the same
// request, asked again after the hour, gets its machines.
func (d *Driver) Create(ctx context.Context, r cloud.CreateRequest) ([]cloud.Machine, error) {
	if err := r.Check(d.Describe()); err != nil {
		return nil, err
	}
	params, err := d.runInstances(&r)
	if err != nil {
		return nil, err
	}
	ids, err := d.run(ctx, params, d.releaseTime(0))
	var e *cloud.Error
	if d.o.ReleaseAfter > 0 && errors.As(err, &e) && e.Kind == cloud.Invalid && e.What == cloud.UsedToken {
		ids, err = d.run(ctx, params, d.releaseTime(1))
	}
	if err != nil {
		return nil, err
	}
	return made(&r, ids, d.o.Now()), nil
}

func (d *Driver) run(ctx context.Context, params url.Values, release time.Time) ([]string, error) {
	if !release.IsZero() {
		params.Set("AutoReleaseTime", release.UTC().Format(time.RFC3339))
	}
	var answer struct {
		InstanceIDSets struct {
			InstanceIDSet []string `json:"InstanceIdSet"`
		} `json:"InstanceIdSets"`
	}
	if err := d.ecs.call(ctx, cloud.OpCreate, "RunInstances", params, &answer); err != nil {
		return nil, err
	}
	ids := answer.InstanceIDSets.InstanceIDSet
	if len(ids) == 0 {
		return nil, &cloud.Error{Kind: cloud.Ambiguous, Op: cloud.OpCreate, Err: errors.New("RunInstances answered without the ids of machines")}
	}
	return ids, nil
}

// made are the machines as they are right after RunInstances, which tells no
// more than their ids.
func made(r *cloud.CreateRequest, ids []string, now time.Time) []cloud.Machine {
	machines := make([]cloud.Machine, 0, len(ids))
	for _, id := range ids {
		machines = append(machines, cloud.Machine{
			ID: id, Type: r.Type, Zone: r.Zone, Spot: r.Spot, State: cloud.Pending, Created: now, Tags: maps.Clone(r.Tags),
		})
	}
	return machines
}

func (d *Driver) runInstances(r *cloud.CreateRequest) (url.Values, error) {
	vswitch := d.o.VSwitches[r.Zone]
	if vswitch == "" {
		return nil, invalid("zone", fmt.Sprintf("zone %q has no vSwitch in the configuration", r.Zone))
	}
	if err := checkTags(r.Tags); err != nil {
		return nil, err
	}
	p := url.Values{
		"RegionId": {d.o.Region}, "ZoneId": {r.Zone}, "VSwitchId": {vswitch},
		"InstanceType": {r.Type}, "InstanceChargeType": {"PostPaid"}, "IoOptimized": {"optimized"},
		"Amount": {strconv.Itoa(r.Count)}, "MinAmount": {"1"},
		"ClientToken": {r.Token}, "InstanceName": {instanceName(r.Names)},
		"SpotStrategy": {"NoSpot"},
	}
	if r.Count > 1 {
		p.Set("UniqueSuffix", "true")
	}
	if r.Spot {
		d.spot(p)
	}
	d.launch(p)
	addTags(p, r.Tags)
	if len(r.UserData) > 0 {
		p.Set("UserData", base64.StdEncoding.EncodeToString(r.UserData))
	}
	return p, nil
}

func (d *Driver) spot(p url.Values) {
	p.Set("SpotStrategy", "SpotAsPriceGo")
	if d.o.SpotLimit > 0 {
		p.Set("SpotStrategy", "SpotWithPriceLimit")
		p.Set("SpotPriceLimit", strconv.FormatFloat(d.o.SpotLimit, 'f', -1, 64))
	}
}

// launch sets what the options say of every machine.
func (d *Driver) launch(p url.Values) {
	for name, value := range map[string]string{
		"ImageId": d.o.Image, "LaunchTemplateId": d.o.LaunchTemplate, "KeyPairName": d.o.KeyPair,
		"RamRoleName": d.o.RAMRole, "SystemDisk.Category": d.o.DiskType,
	} {
		if value != "" {
			p.Set(name, value)
		}
	}
	for i, group := range d.o.SecurityGroups {
		p.Set(fmt.Sprintf("SecurityGroupIds.%d", i+1), group)
	}
	if d.o.DiskGiB > 0 {
		p.Set("SystemDisk.Size", strconv.Itoa(d.o.DiskGiB))
	}
	if d.o.Hardened {
		p.Set("HttpTokens", "required")
	}
	if d.o.PublicMbit > 0 {
		p.Set("InternetMaxBandwidthOut", strconv.Itoa(d.o.PublicMbit))
		p.Set("InternetChargeType", "PayByTraffic")
	}
}

// The limits of tags ("Tag.N.Key" of RunInstances).
const (
	maxTags     = 20
	maxTagBytes = 128
)

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalid("tags", fmt.Sprintf("%d are more than the %d of one machine", len(tags), maxTags))
	}
	for k, v := range tags {
		switch {
		case k == "" || len(k) > maxTagBytes || len(v) > maxTagBytes:
			return invalid("tags", fmt.Sprintf("%q is empty, or it or its value is longer than %d bytes", k, maxTagBytes))
		case strings.HasPrefix(k, "aliyun") || strings.HasPrefix(k, "acs:"):
			return invalid("tags", fmt.Sprintf("%q begins with what ECS keeps for itself", k))
		}
	}
	return nil
}

func addTags(p url.Values, tags map[string]string) {
	for i, k := range slices.Sorted(maps.Keys(tags)) {
		p.Set(fmt.Sprintf("Tag.%d.Key", i+1), k)
		p.Set(fmt.Sprintf("Tag.%d.Value", i+1), tags[k])
	}
}

const maxName = 120 // of 128, the rest is the suffix of ECS

// instanceName is what the names have in common: ECS numbers the machines of a
// batch by itself (UniqueSuffix), and slots are bound by id, not by name.
func instanceName(names []string) string {
	name := names[0]
	for _, n := range names[1:] {
		for !strings.HasPrefix(n, name) {
			name = name[:len(name)-1]
		}
	}
	if len(name) < 2 || !isLetter(name[0]) {
		name = "m-" + name
	}
	return name[:min(len(name), maxName)]
}

func isLetter(c byte) bool { return (c|0x20) >= 'a' && (c|0x20) <= 'z' }

func invalid(what, why string) error {
	return &cloud.Error{Kind: cloud.Invalid, Op: cloud.OpCreate, What: what, Err: errors.New(why)}
}
