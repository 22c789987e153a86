package configs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ScalerAliyun is an account in a region of Alibaba Cloud ECS, and what its
// machines are made of. Kinds are the provider's offerings; a price_hour of 0
// is asked for.
type ScalerAliyun struct {
	// Region, such as cn-hangzhou.
	Region string `yaml:"region"`
	// URL of the API; empty is that of the region.
	Endpoint string `yaml:"endpoint"`
	// URL of STS, for role_arn; empty is that of the region.
	STSEndpoint string `yaml:"sts_endpoint"`
	// Profile of the credentials file. Empty: environment, then
	// ALIBABA_CLOUD_PROFILE or default of ~/.alibabacloud/credentials, then
	// the RAM role of this machine.
	Profile string `yaml:"profile"`
	// Role to assume with those credentials.
	RoleARN string `yaml:"role_arn"`
	// External id that the role asks for.
	ExternalID string `yaml:"external_id"`
	// Launch template, by id (lt-...). What else is given here takes the place
	// of what it says.
	LaunchTemplate string `yaml:"launch_template"`
	// Image (m-..., or the id of a public one); required without a launch
	// template.
	Image string `yaml:"image"`
	// vSwitch of each zone. Only these zones are used.
	VSwitches map[string]string `yaml:"vswitches"`
	// Ids of security groups (sg-...).
	SecurityGroups []string `yaml:"security_groups"`
	// Name of the key pair put on machines.
	KeyPair string `yaml:"key_pair"`
	// RAM role that machines get.
	RAMRole string `yaml:"ram_role"`
	// Category of the system disk, such as cloud_essd; empty is what ECS
	// chooses.
	DiskType string `yaml:"disk_type"`
	// GiB of the system disk; 0 is what ECS chooses.
	DiskGiB int `yaml:"disk_gib" min:"0"`
	// Above 0 machines get a public address with so much bandwidth, and are
	// reached by it; otherwise they are reached by their private one.
	PublicMbit int `yaml:"public_mbit" min:"0" max:"200"`
	// A machine's metadata is told only to those who take a token first. Its
	// image needs cloud-init 23.2.2 or later, or it never gets its user data.
	HardenedMetadata bool `yaml:"hardened_metadata"`
	// Most that an hour of a spot machine may cost; 0 takes the market's price.
	SpotLimit float64 `yaml:"spot_limit" min:"0"`
	// The cloud releases machines by itself so long after they were made or
	// renewed (AutoReleaseTime). Every running scaler renews them when half of
	// it is over; if none runs for longer than that, machines that serve end
	// too. At least 24h; 0 is off.
	ReleaseAfter time.Duration `yaml:"release_after" min:"0"`
}

const leastReleaseAfter = 24 * time.Hour

func (k *scalerChecker) aliyun(path string, a *ScalerAliyun) {
	k.required(path+".region", a.Region, "a region, such as cn-hangzhou")
	if a.Image == "" && a.LaunchTemplate == "" {
		k.fail(path+".image", "neither image nor launch_template", "one of them", "")
	}
	if len(a.VSwitches) == 0 {
		k.fail(path+".vswitches", "no vSwitch", "one for each zone to use", "")
	}
	for _, zone := range slices.Sorted(maps.Keys(a.VSwitches)) {
		if v := a.VSwitches[zone]; !strings.HasPrefix(v, "vsw-") {
			k.fail(fmt.Sprintf("%s.vswitches.%s", path, zone), strconv.Quote(v), "an id such as vsw-bp1abcdef", "")
		}
	}
	for _, g := range a.SecurityGroups {
		if !strings.HasPrefix(g, "sg-") {
			k.fail(path+".security_groups", strconv.Quote(g), "an id such as sg-bp1abcdef", "")
		}
	}
	if a.ReleaseAfter != 0 && a.ReleaseAfter < leastReleaseAfter {
		k.fail(path+".release_after", formatDuration(a.ReleaseAfter), "0, or at least 24h: shorter ends machines that serve while a scaler is away", "")
	}
}
