package ec2

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"spillway/scaler/cloud"
)

// Create implements cloud.Driver: one RunInstances for the whole batch, of
// which EC2 may grant a part.
func (d *Driver) Create(ctx context.Context, r cloud.CreateRequest) ([]cloud.Machine, error) {
	if err := r.Check(d.Describe()); err != nil {
		return nil, err
	}
	if _, err := d.options.kind(&r); err != nil {
		return nil, err
	}
	var a reservation
	if err := d.api.call(ctx, "RunInstances", d.runForm(&r), &a); err != nil {
		return nil, typed(cloud.OpCreate, r.Type+" in "+r.Zone, err)
	}
	if len(a.Instances) == 0 {
		return nil, &cloud.Error{Kind: cloud.Ambiguous, Op: cloud.OpCreate, Err: errors.New("an answer without instances")}
	}
	made := d.machines(a, nil)
	for _, m := range made {
		d.recent.add(m.ID)
	}
	return made, nil
}

// runForm depends on the request and the configuration alone: the same order
// gives the same form, for EC2 takes a token with another form for a mistake.
func (d *Driver) runForm(r *cloud.CreateRequest) url.Values {
	o := &d.options
	form := url.Values{
		"ClientToken":                       {r.Token},
		"InstanceType":                      {r.Type},
		"MinCount":                          {"1"},
		"MaxCount":                          {strconv.Itoa(r.Count)},
		"InstanceInitiatedShutdownBehavior": {"terminate"},
	}
	optional := map[string]string{"ImageId": o.Image, "KeyName": o.KeyName}
	if len(r.UserData) > 0 {
		optional["UserData"] = base64.StdEncoding.EncodeToString(r.UserData)
	}
	if o.LaunchTemplate != "" {
		optional["LaunchTemplate."+either(o.LaunchTemplate, "lt-", "LaunchTemplateId", "LaunchTemplateName")] = o.LaunchTemplate
		optional["LaunchTemplate.Version"] = o.LaunchTemplateVersion
	}
	if o.InstanceProfile != "" {
		optional["IamInstanceProfile."+either(o.InstanceProfile, "arn:", "Arn", "Name")] = o.InstanceProfile
	}
	for k, v := range optional {
		if v != "" {
			form.Set(k, v)
		}
	}
	if r.Spot {
		form.Set("InstanceMarketOptions.MarketType", "spot")
		form.Set("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time")
		form.Set("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate")
	}
	d.placeForm(form, r.Zone)
	tagForm(form, r)
	return form
}

func either(value, prefix, with, without string) string {
	if strings.HasPrefix(value, prefix) {
		return with
	}
	return without
}

// placeForm says where, and in which networks. A public address is asked for
// with the interface, which then holds subnet and groups.
func (d *Driver) placeForm(form url.Values, zone string) {
	o := &d.options
	subnet, groups := o.Subnets[zone], "SecurityGroupId."
	switch {
	case subnet != "" && o.PublicAddress:
		const first = "NetworkInterface.1."
		groups = first + groups
		form.Set(first+"DeviceIndex", "0")
		form.Set(first+"SubnetId", subnet)
		form.Set(first+"AssociatePublicIpAddress", "true")
	case subnet != "":
		form.Set("SubnetId", subnet)
	default:
		form.Set("Placement.AvailabilityZone", zone)
	}
	for i, g := range o.SecurityGroups {
		form.Set(groups+strconv.Itoa(i+1), g)
	}
}

// tagForm puts the tags on machines, their volumes and their spot requests.
func tagForm(form url.Values, r *cloud.CreateRequest) {
	tags := maps.Clone(r.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[nameTag] = batchName(r)
	resources := []string{"instance", "volume"}
	if r.Spot {
		resources = append(resources, "spot-instances-request")
	}
	for i, resource := range resources {
		spec := "TagSpecification." + strconv.Itoa(i+1) + "."
		form.Set(spec+"ResourceType", resource)
		for j, key := range slices.Sorted(maps.Keys(tags)) {
			tag := spec + "Tag." + strconv.Itoa(j+1) + "."
			form.Set(tag+"Key", key)
			form.Set(tag+"Value", tags[key])
		}
	}
}

// batchName is the slot's name for one machine and the order's for several.
func batchName(r *cloud.CreateRequest) string {
	if order := r.Tags[cloud.TagOrder]; r.Count > 1 && order != "" {
		return order
	}
	return r.Names[0]
}
