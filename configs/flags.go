package configs

import (
	"reflect"
	"strconv"

	"github.com/spf13/pflag"
)

// FlagValues are the command line's options. Only those given count.
type FlagValues struct {
	// Config is the path of the file, "" if none was given.
	Config string

	fs     *pflag.FlagSet
	listen []string
	loops  int
	admin  string
	consul string
}

// Flags binds --config, --listen, --loops, --admin and --consul to fs. Parse
// fs, then give the result to Load.
func Flags(fs *pflag.FlagSet) *FlagValues {
	f := &FlagValues{fs: fs}
	fs.StringVarP(&f.Config, "config", "c", "", "configuration `FILE` (YAML or JSON)")
	fs.StringSliceVar(&f.listen, "listen", nil, "`ADDRESS` to accept clients on, may be repeated; overrides gateway.listen")
	fs.IntVar(&f.loops, "loops", 0, "number of event loops, 0: one for each CPU; overrides gateway.loops")
	fs.StringVar(&f.admin, "admin", "", "`ADDRESS` of the administrative server, or off; overrides admin.listen")
	fs.StringVar(&f.consul, "consul", "", "`ADDRESS` of Consul; overrides consul.address")
	return f
}

// flags lays the options of the command line over the configuration.
func (d *decoder) flags(f *FlagValues) {
	values := []struct {
		name, path string
		parts      []string
	}{
		{"listen", "gateway.listen", f.listen},
		{"loops", "gateway.loops", []string{strconv.Itoa(f.loops)}},
		{"admin", "admin.listen", []string{f.admin}},
		{"consul", "consul.address", []string{f.consul}},
	}
	for _, fl := range values {
		if !f.fs.Changed(fl.name) {
			continue
		}
		eachLeaf(d.root, "", func(path string, fd field, v reflect.Value) {
			from := Origin{From: "--" + fl.name, rank: rankFlag}
			switch {
			case path != fl.path:
			case v.Kind() == reflect.Slice:
				d.textList(fl.parts, v, fd.rules, path, from)
			default:
				d.textScalar(fl.parts[0], v, fd.rules, path, path, from)
			}
		})
	}
}
