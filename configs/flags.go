package configs

import "github.com/spf13/pflag"

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
