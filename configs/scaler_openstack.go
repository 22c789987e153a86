package configs

import (
	"regexp"
	"strconv"
	"time"
)

// ScalerOpenStack is a project of an OpenStack cloud, and what its machines are
// made of. Kinds, which are flavors by name, and their prices are the
// provider's offerings. Credentials are never in this file.
type ScalerOpenStack struct {
	// Cloud of clouds.yaml; empty is OS_CLOUD, else the environment (OS_...).
	Cloud string `yaml:"cloud"`
	// That file; empty is OS_CLIENT_CONFIG_FILE, else ./clouds.yaml, then
	// ~/.config/openstack/, then /etc/openstack/.
	CloudsFile string `yaml:"clouds_file"`
	// Region; empty is that of the cloud.
	Region string `yaml:"region"`
	// Id of the image.
	Image string `yaml:"image"`
	// Architecture of the image; empty is amd64.
	Arch string `yaml:"arch"`
	// Boot from a volume of so many GB, which is deleted with the machine; 0
	// boots from the flavor's disk.
	VolumeGB int `yaml:"volume_gb" min:"0"`
	// Ids of networks; empty is the only one the project has.
	Networks []string `yaml:"networks"`
	// Name of the network machines are reached in; empty is the first by name.
	AddressNetwork string `yaml:"address_network"`
	// Names of security groups; empty is default.
	SecurityGroups []string `yaml:"security_groups"`
	// Name of the key pair put on machines.
	KeyName string `yaml:"key_name"`
	// Id of a server group, such as one of soft-anti-affinity: its machines are
	// on different hosts.
	ServerGroup string `yaml:"server_group"`
	// Most machines of one request; 0 is 10.
	MaxBatch int `yaml:"max_batch" min:"0"`
	// Stopped machines cost nothing here, so that they may be kept.
	StopFree bool `yaml:"stop_free"`
	// How long a list may lack a new machine; 0 is 30s.
	ListLag time.Duration `yaml:"list_lag" min:"0"`
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

func (k *scalerChecker) openstack(path string, o *ScalerOpenStack) {
	const wanted = "an id such as 70a599e0-31e7-49b7-b260-868f441e862b"
	k.required(path+".image", o.Image, "the id of an image")
	if o.Image != "" && !uuid.MatchString(o.Image) {
		k.fail(path+".image", strconv.Quote(o.Image), wanted, "")
	}
	if o.ServerGroup != "" && !uuid.MatchString(o.ServerGroup) {
		k.fail(path+".server_group", strconv.Quote(o.ServerGroup), wanted, "")
	}
	for i, n := range o.Networks {
		if !uuid.MatchString(n) {
			k.fail(item(path+".networks", i), strconv.Quote(n), wanted, "")
		}
	}
	if o.CloudsFile != "" && o.Cloud == "" {
		k.fail(path+".clouds_file", strconv.Quote(o.CloudsFile), "a cloud of it too", "")
	}
}
