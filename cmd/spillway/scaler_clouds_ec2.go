//go:build !no_ec2

package main

import (
	"spillway/configs"
	"spillway/scaler/cloud"
	"spillway/scaler/cloud/ec2"
)

// newEC2 is a provider on Amazon EC2.
func newEC2(name string, p *configs.ScalerProvider) (cloud.Driver, error) {
	o := ec2.Options{
		Name: name, Region: p.EC2.Region, Endpoint: p.EC2.Endpoint,
		Profile: p.EC2.Profile, RoleARN: p.EC2.RoleARN, ExternalID: p.EC2.ExternalID,
		Image: p.EC2.Image, LaunchTemplate: p.EC2.LaunchTemplate, LaunchTemplateVersion: p.EC2.LaunchTemplateVersion,
		Subnets: p.EC2.Subnets, SecurityGroups: p.EC2.SecurityGroups, KeyName: p.EC2.KeyName,
		InstanceProfile: p.EC2.InstanceProfile, PublicAddress: p.EC2.PublicAddress,
	}
	for _, k := range p.Offerings {
		o.Kinds = append(o.Kinds, ec2.Kind{
			Type: k.Type, Zones: k.Zones, PriceHour: k.PriceHour, Units: k.Units, MaxPPS: k.MaxPPS, Spot: k.Spot,
		})
	}
	return ec2.New(o)
}
