package configs

import (
	"strconv"
)

// ScalerHetzner is a project of Hetzner Cloud, and what its machines are made
// of. Kinds are the provider's offerings; sizes and prices are asked for.
type ScalerHetzner struct {
	// URL of the API; empty is HCLOUD_ENDPOINT, else the vendor's.
	Endpoint string `yaml:"endpoint"`
	// File of the API token (read and write). Empty: HCLOUD_TOKEN, else the
	// context of ~/.config/hcloud/cli.toml (or HCLOUD_CONFIG).
	TokenFile string `yaml:"token_file"`
	// Context of that file; empty is HCLOUD_CONTEXT, else the active one.
	Context string `yaml:"context"`
	// Name of a system image (debian-13), or the id of a snapshot.
	Image string `yaml:"image"`
	// Ids of SSH keys put on machines.
	SSHKeys []string `yaml:"ssh_keys"`
	// Ids of firewalls that guard them.
	Firewalls []string `yaml:"firewalls"`
	// Id of a private network they are in and are reached by; 0 reaches them by
	// their public IPv4 address.
	Network int `yaml:"network" min:"0"`
	// Machines have no public address; the network must lead out.
	NoPublicAddress bool `yaml:"no_public_address"`
	// Requests an hour that the project is allowed, for everything that uses
	// it; 0 is 3600.
	RequestsHour int `yaml:"requests_hour" min:"0"`
}

func (k *scalerChecker) hetzner(path string, h *ScalerHetzner) {
	k.required(path+".image", h.Image, "the name of an image, or the id of a snapshot")
	k.numbers(path+".ssh_keys", h.SSHKeys)
	k.numbers(path+".firewalls", h.Firewalls)
	if h.NoPublicAddress && h.Network == 0 {
		k.fail(path+".no_public_address", "true", "a network too: machines could not be reached", "")
	}
}

// numbers checks ids of a provider that counts.
func (k *scalerChecker) numbers(path string, ids []string) {
	for i, id := range ids {
		if n, err := strconv.ParseInt(id, 10, 64); err != nil || n <= 0 {
			k.fail(item(path, i), strconv.Quote(id), "an id, which is a number", "")
		}
	}
}
