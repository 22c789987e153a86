//go:build !no_openstack

package main

import (
	"spillway/configs"
	"spillway/scaler/cloud"
	"spillway/scaler/cloud/openstack"
)

// newOpenStack is a provider on an OpenStack cloud.
func newOpenStack(name string, p *configs.ScalerProvider) (cloud.Driver, error) {
	c := &p.OpenStack
	o := openstack.Options{
		Name: name, Cloud: c.Cloud, CloudsFile: c.CloudsFile, Region: c.Region, Image: c.Image, Arch: c.Arch, VolumeGB: c.VolumeGB,
		Networks: c.Networks, AddressNetwork: c.AddressNetwork, SecurityGroups: c.SecurityGroups, KeyName: c.KeyName,
		ServerGroup: c.ServerGroup, MaxBatch: c.MaxBatch, StopFree: c.StopFree, ListLag: c.ListLag,
	}
	for _, k := range p.Offerings {
		o.Kinds = append(o.Kinds, openstack.Kind{
			Type: k.Type, Zones: k.Zones, PriceHour: k.PriceHour, Quantum: k.Quantum, Units: k.Units, MaxPPS: k.MaxPPS,
		})
	}
	return openstack.New(o)
}
