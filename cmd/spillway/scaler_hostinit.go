package main

import (
	"fmt"

	"spillway/configs"
	"spillway/scaler/hostinit"
)

// scalerHostinit is `spillway scaler hostinit render`: the user-data a profile
// makes, and its hash.
func (t *terminal) scalerHostinit(args []string) int {
	fs := t.newFlags("scaler hostinit render")
	config := fs.String("config", "", "`FILE` with the scaler's configuration")
	name := fs.String("profile", "", "`NAME` of the profile")
	hash := fs.Bool("hash", false, "print the profile's hash alone")
	limit := fs.Int("max", 16<<10, "the provider's limit in `BYTES`")
	if code, done := t.parse(fs, args, 1); done {
		return code
	}
	switch {
	case fs.Arg(0) != "render":
		return t.misuse("scaler hostinit: %q is not render", fs.Arg(0))
	case *config == "":
		return t.misuse("scaler hostinit render: --config FILE is missing")
	case *name == "":
		return t.misuse("scaler hostinit render: --profile NAME is missing")
	}
	s, err := configs.LoadScaler(configs.Source{Path: *config, Env: t.env})
	if err != nil {
		return t.failLoad(err)
	}
	text, sum, err := renderHost(s, *name, *limit)
	if err != nil {
		fmt.Fprintln(t.err, err)
		return exitInvalid
	}
	if *hash {
		fmt.Fprintln(t.out, sum)
		return exitOK
	}
	fmt.Fprintf(t.out, "%s# hash %s, %d bytes without this line; token and authority are the scaler's to fill in\n", text, sum, len(text))
	return exitOK
}

// renderHost is what a machine of a profile would get, without what only a
// running scaler has: the order's token and its certificate authority.
func renderHost(s *configs.Scaler, name string, limit int) (text []byte, hash string, err error) {
	p, err := hostinit.Resolve(hostLayers(s), name)
	if err != nil {
		return nil, "", err
	}
	if text, err = p.Render(hostinit.Boot{Scaler: s.Join.Advertise, Lease: s.Timings.Lease}, limit); err != nil {
		return nil, "", err
	}
	hash, err = p.Hash()
	return text, hash, err
}

// hostLayers are the profiles of the configuration as hostinit takes them.
func hostLayers(s *configs.Scaler) map[string]hostinit.Layer {
	layers := map[string]hostinit.Layer{}
	for name, p := range s.Profiles {
		l := hostinit.Layer{
			Base: p.Base, Packages: p.Packages, Commands: p.Commands, DNS: p.DNS, NTP: p.NTP,
			Labels: p.Labels, Mirrors: p.RegistryMirrors, DockerVersion: p.DockerVersion,
			DockerOptions: p.DockerOptions, Images: p.Images, ID: p.IDCommand, Address: p.AddressCommand,
		}
		for _, f := range p.Files {
			l.Files = append(l.Files, hostinit.File{Path: f.Path, Text: f.Content, Mode: f.Mode})
		}
		layers[name] = l
	}
	return layers
}
