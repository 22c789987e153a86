package hostinit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"spillway/scaler/hostinit/join"
	"spillway/scaler/hostinit/machine"
)

// Layer is one layer of a profile: what is common to all machines, to those of
// a provider, or to those of a role. Lists of a layer come after those of the
// layer it builds on; texts and entries of maps replace them.
type Layer struct {
	// Base is the layer this one builds on; empty: none.
	Base string
	// Packages for the machine's package manager, Commands for its shell.
	// Machines of the local driver run neither: their programs are this
	// computer's.
	Packages, Commands []string
	// Files to write and to keep.
	Files []File
	// DNS and NTP are name and time servers, kept against a cloud's agent.
	DNS, NTP []string
	// Routes are "CIDR via ADDRESS", kept likewise.
	Routes []string
	Labels map[string]string // of the engine
	// Mirrors of registries, the nearest first.
	Mirrors []string
	// DockerVersion that must run ("28.5" takes 28.5.1); empty: any.
	DockerVersion string
	// DockerOptions is more of the engine's daemon.json, as JSON.
	DockerOptions string
	// Images to pull before the machine is settled.
	Images []string
	// Deadlines of stages in seconds; see machine.Stages.
	Deadlines map[string]float64
	// Hold is how many seconds what is kept must have stayed; 0: as the base.
	Hold float64
	// ID and Address are commands that print the machine's id, as its cloud
	// lists it, and the address others reach it by.
	ID, Address string
}

// File is a file on the machine. After is a command for the shell that makes a
// change known.
type File struct {
	Path, Text string
	Mode       string // octal; empty is 0644
	After      string
}

// Profile is all layers of one name, put together by Resolve.
type Profile struct {
	Name string
	Layer
	options map[string]any // of DockerOptions, merged
}

// Resolve puts the layers of a profile together, from the base up. An unknown
// or circular base, a route or options that cannot be read are errors.
func Resolve(layers map[string]Layer, name string) (*Profile, error) {
	var chain []string
	for at := name; at != ""; at = layers[at].Base {
		if _, ok := layers[at]; !ok {
			return nil, fmt.Errorf("cannot resolve profile %q: no layer %q", name, at)
		}
		if slices.Contains(chain, at) {
			return nil, fmt.Errorf("cannot resolve profile %q: %s -> %s is a circle", name, strings.Join(chain, " -> "), at)
		}
		chain = append(chain, at)
	}
	slices.Reverse(chain)
	p := &Profile{Name: name, options: map[string]any{}}
	p.ID, p.Address = defaultID, defaultAddress
	for _, at := range chain {
		if err := p.add(layers[at]); err != nil {
			return nil, fmt.Errorf("cannot resolve profile %q: layer %q: %w", name, at, err)
		}
	}
	return p, nil
}

// What cloud-init knows on every cloud, and the address packets leave from.
const (
	defaultID      = "cloud-init query instance_id"
	defaultAddress = "ip -4 route get 192.0.2.1 | sed -n 's/.* src \\([0-9.]*\\).*/\\1/p'"
)

func (p *Profile) add(l Layer) error {
	for _, r := range l.Routes {
		if err := machine.CheckRoute(r); err != nil {
			return err
		}
	}
	if l.DockerOptions != "" {
		var options map[string]any
		if err := json.Unmarshal([]byte(l.DockerOptions), &options); err != nil {
			return fmt.Errorf("cannot read the engine's options: %w", err)
		}
		maps.Copy(p.options, options)
	}
	for _, list := range []struct{ into, more *[]string }{
		{&p.Packages, &l.Packages},
		{&p.Commands, &l.Commands},
		{&p.DNS, &l.DNS},
		{&p.NTP, &l.NTP},
		{&p.Routes, &l.Routes},
		{&p.Mirrors, &l.Mirrors},
		{&p.Images, &l.Images},
	} {
		*list.into = appendNew(*list.into, *list.more)
	}
	for _, text := range []struct{ into, other *string }{
		{&p.DockerVersion, &l.DockerVersion}, {&p.ID, &l.ID}, {&p.Address, &l.Address},
	} {
		if *text.other != "" {
			*text.into = *text.other
		}
	}
	if l.Hold > 0 {
		p.Hold = l.Hold
	}
	p.Labels = merged(p.Labels, l.Labels)
	p.Deadlines = merged(p.Deadlines, l.Deadlines)
	return p.addFiles(l.Files)
}

// appendNew appends what is not there yet.
func appendNew(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func merged[V any](base, more map[string]V) map[string]V {
	all := map[string]V{}
	maps.Copy(all, base)
	maps.Copy(all, more)
	return all
}

// addFiles appends files; one of a path that is there replaces it.
func (p *Profile) addFiles(files []File) error {
	for _, f := range files {
		if !strings.HasPrefix(f.Path, "/") {
			return fmt.Errorf("cannot keep file %q: its path does not begin with /", f.Path)
		}
		i := slices.IndexFunc(p.Files, func(have File) bool { return have.Path == f.Path })
		if i < 0 {
			p.Files = append(p.Files, f)
		} else {
			p.Files[i] = f
		}
	}
	return nil
}

// Engine is what an engine of this profile is given when its machine joins.
// Labels are those of the machine, beside the profile's.
func (p *Profile) Engine(labels map[string]string) join.Config {
	return join.Config{Labels: merged(p.Labels, labels), Mirrors: slices.Clone(p.Mirrors), Options: maps.Clone(p.options)}
}

// kept are the files the machine keeps, those of name and time servers
// included.
func (p *Profile) kept() []machine.File {
	var files []machine.File
	if len(p.DNS) > 0 {
		files = append(files, machine.File{Path: "/etc/resolv.conf", Text: lines("nameserver ", p.DNS)})
	}
	if len(p.NTP) > 0 {
		files = append(files, machine.File{
			Path: "/etc/systemd/timesyncd.conf.d/spillway.conf", Text: "[Time]\nNTP=" + strings.Join(p.NTP, " ") + "\n",
			After: "systemctl try-restart systemd-timesyncd || true",
		})
	}
	for _, f := range p.Files {
		files = append(files, machine.File{Path: f.Path, Text: f.Text, Mode: f.Mode, After: f.After})
	}
	return files
}

func lines(prefix string, list []string) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(prefix + s + "\n")
	}
	return b.String()
}
