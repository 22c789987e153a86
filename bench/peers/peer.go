package peers

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// conf holds the configurations the peers run with, and wrk's script.
//
//go:embed conf
var conf embed.FS

// place is what a peer is told: where to listen, where to forward. The
// templates in conf/ see its fields.
type place struct {
	Listen   string   // address of the proxy
	Admin    string   // address of its admin interface, if it has one
	Backends []string // addresses to forward to
	Dir      string   // directory for its files
	Config   string   // path of the rendered template, if it has one
	Consul   string   // address of the registry, if the run has one
	Workers  int      // processes, threads or loops of the proxy
}

// definition says how one peer is started.
type definition struct {
	name     string
	program  string // looked up in PATH; a path if it holds a slash; empty: none, see direct
	template string // file in conf/, or a path if external
	external bool
	args     func(place) []string
	env      []string
	workers  int // 0: 1
}

// definitions of all known proxies, in the order of a round.
func definitions(o *Options) []definition {
	return []definition{
		{
			name: Baseline, program: "nginx", template: "conf/nginx.conf.tmpl",
			args: func(p place) []string { return []string{"-p", p.Dir, "-e", "stderr", "-c", p.Config} },
		},
		{
			name: "haproxy", program: "haproxy", template: "conf/haproxy.cfg.tmpl",
			args: func(p place) []string { return []string{"-db", "-f", p.Config} },
		},
		{
			name: "caddy", program: "caddy", template: "conf/caddy.json.tmpl", env: []string{"GOMAXPROCS=1"},
			args: func(p place) []string { return []string{"run", "--config", p.Config} },
		},
		ours("fasthttp", o.Self),
		ours("nethttp", o.Self),
		spillway("spillway", o.Spillway, "conf/spillway.yaml.tmpl", false),
	}
}

// bounds are what no proxy can beat: bytes moved without being read, and no
// proxy at all.
func bounds(o *Options) []definition {
	return []definition{ours(forwarderName, o.Self), {name: "direct"}}
}

// ours is a proxy that this package implements; GOMAXPROCS is one as the others
// have one worker.
func ours(kind string, self []string) definition {
	return definition{
		name: kind, program: self[0], env: []string{"GOMAXPROCS=1"},
		args: func(p place) []string {
			return serveArgs(self[1:], kind, []string{p.Listen}, p.Backends)
		},
	}
}

func spillway(name, binary, file string, external bool) definition {
	return definition{
		name: name, program: binary, template: file, external: external,
		args: func(p place) []string { return []string{"gateway", "--config", p.Config} },
	}
}

// serveArgs are the arguments that make Command run one of our own servers.
func serveArgs(self []string, kind string, listen, backends []string) []string {
	args := append([]string{}, self...)
	args = append(args, "serve", kind, "--listen", strings.Join(listen, ","))
	if len(backends) > 0 {
		args = append(args, "--backends", strings.Join(backends, ","))
	}
	return args
}

// selected returns the peers of a run and the names of those left out because
// their program is missing. A missing program that was asked for is an error.
func selected(o *Options) (chosen []definition, missing []string, err error) {
	known := append(definitions(o), bounds(o)...)
	byName := map[string]definition{}
	var names []string
	for _, d := range known {
		byName[d.name] = d
		names = append(names, d.name)
	}
	wanted := o.Peers
	if len(wanted) == 0 {
		wanted = names
	}
	for _, name := range wanted {
		d, ok := byName[name]
		if !ok {
			return nil, nil, fmt.Errorf("cannot compare %q: one of %s", name, strings.Join(names, ", "))
		}
		d.program, err = findProgram(d.program)
		switch {
		case err == nil:
			chosen = append(chosen, d)
		case len(o.Peers) > 0:
			return nil, nil, fmt.Errorf("cannot compare %q: %w (make deps installs nginx, HAProxy and wrk)", name, err)
		default:
			missing = append(missing, name)
		}
	}
	if o.Features {
		features, err := featureVariants(o.Spillway)
		if err != nil {
			return nil, nil, err
		}
		chosen = append(chosen, features...)
	}
	for _, v := range o.Variants {
		chosen = append(chosen, spillway(variantMark+v.Name, o.Spillway, v.Template, true))
	}
	return chosen, missing, nil
}

// variantMark begins the names of peers that are Spillway in another
// configuration; their rows say what that costs.
const variantMark = "+"

// featureVariants are the configurations in conf/features, one a file.
func featureVariants(binary string) ([]definition, error) {
	files, err := conf.ReadDir("conf/features")
	if err != nil {
		return nil, fmt.Errorf("cannot list the features: %w", err)
	}
	var features []definition
	for _, f := range files {
		name := variantMark + strings.TrimSuffix(f.Name(), ".yaml.tmpl")
		features = append(features, spillway(name, binary, "conf/features/"+f.Name(), false))
	}
	return features, nil
}

// source is the text of the peer's configuration template.
func (d *definition) source() ([]byte, error) {
	read := conf.ReadFile
	if d.external {
		read = os.ReadFile
	}
	text, err := read(d.template)
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration of %s: %w", d.name, err)
	}
	return text, nil
}

// configure writes the peer's configuration and returns the completed place.
func (d *definition) configure(p place) (place, error) {
	if d.template == "" {
		return p, nil
	}
	text, err := d.source()
	if err != nil {
		return p, err
	}
	t, err := template.New(d.name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return p, fmt.Errorf("cannot read configuration of %s: %w", d.name, err)
	}
	p.Config = filepath.Join(p.Dir, d.name+"-"+strings.TrimSuffix(filepath.Base(d.template), ".tmpl"))
	f, err := os.Create(p.Config)
	if err != nil {
		return p, fmt.Errorf("cannot write configuration of %s: %w", d.name, err)
	}
	defer f.Close()
	if err := t.Execute(f, p); err != nil {
		return p, fmt.Errorf("cannot write configuration of %s: %w", d.name, err)
	}
	return p, f.Close()
}

// hash identifies the configuration template in a report, so that two reports
// can be told to be comparable.
func (d *definition) hash() string {
	text, err := d.source()
	if err != nil || d.template == "" {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
