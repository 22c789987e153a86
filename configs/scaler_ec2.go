package configs

import (
	"fmt"
	"strconv"
	"strings"
)

// ScalerEC2 is an account in a region of Amazon EC2, and what its machines are
// made of. Kinds and on-demand prices are the provider's offerings.
type ScalerEC2 struct {
	// Region, such as eu-central-1.
	Region string `yaml:"region"`
	// URL of the API; empty is that of the region.
	Endpoint string `yaml:"endpoint"`
	// Profile of the shared credentials and config files. Empty: environment,
	// then AWS_PROFILE or default, then the container's or machine's role.
	Profile string `yaml:"profile"`
	// Role to assume with those credentials.
	RoleARN string `yaml:"role_arn"`
	// External id that the role asks for.
	ExternalID string `yaml:"external_id"`
	// Launch template, by id (lt-...) or name. What else is given here takes
	// the place of what it says.
	LaunchTemplate string `yaml:"launch_template"`
	// Its version: a number, $Default or $Latest.
	LaunchTemplateVersion string `yaml:"launch_template_version"`
	// Image (ami-...); required without a launch template.
	Image string `yaml:"image"`
	// Subnet of each zone. Only these zones are used; empty is all zones, with
	// the default subnets or the launch template's.
	Subnets map[string]string `yaml:"subnets"`
	// Ids of security groups (sg-...).
	SecurityGroups []string `yaml:"security_groups"`
	// Name of the key pair put on machines.
	KeyName string `yaml:"key_name"`
	// Instance profile, by name or ARN, whose role machines get.
	InstanceProfile string `yaml:"instance_profile"`
	// Machines get a public address and are reached by it; otherwise they are
	// reached by their private one.
	PublicAddress bool `yaml:"public_address"`
}

func (k *scalerChecker) ec2(path string, e *ScalerEC2) {
	k.required(path+".region", e.Region, "a region, such as eu-central-1")
	if e.Image == "" && e.LaunchTemplate == "" {
		k.fail(path+".image", "neither image nor launch_template", "one of them", "")
	}
	if e.LaunchTemplateVersion != "" && e.LaunchTemplate == "" {
		k.fail(path+".launch_template_version", strconv.Quote(e.LaunchTemplateVersion), "a launch_template too", "")
	}
	for _, g := range e.SecurityGroups {
		if !strings.HasPrefix(g, "sg-") {
			k.fail(path+".security_groups", strconv.Quote(g), "an id such as sg-0123456789abcdef0", "")
		}
	}
	for zone, subnet := range e.Subnets {
		if !strings.HasPrefix(subnet, "subnet-") {
			k.fail(fmt.Sprintf("%s.subnets.%s", path, zone), strconv.Quote(subnet), "an id such as subnet-0123456789abcdef0", "")
		}
	}
}
