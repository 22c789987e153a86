package configs

import (
	"fmt"
	"io"
	"os"
)

// Source says where a configuration comes from. The zero value is defaults
// alone.
type Source struct {
	// Path is the file; empty takes --config of Flags, and if that is empty
	// too there is no file.
	Path string
	// Data is used instead of reading Path when it is not nil; Path then only
	// names it in messages.
	Data []byte
	// Env looks a variable up, as os.LookupEnv does; nil is an empty
	// environment. An empty variable counts as unset.
	Env func(name string) (value string, ok bool)
	// Flags are those Flags bound, after parsing; nil is none.
	Flags *FlagValues
}

// Load reads, merges and validates a configuration. Flags win over the
// environment (SPILLWAY_SECTION_KEY), the environment over the file, the file
// over Consul's own variables (CONSUL_HTTP_ADDR and so on), and those over the
// defaults. The error is of type Errors, unless the file cannot be read.
func Load(src Source) (*Config, error) {
	d := &decoder{cfg: Default()}
	d.cfg.origins = map[string]Origin{}
	if src.Env != nil {
		d.consulEnvironment(src.Env)
	}
	if err := d.readFile(src); err != nil {
		return nil, err
	}
	if src.Env != nil {
		d.environment(src.Env)
	}
	if src.Flags != nil {
		d.flags(src.Flags)
	}
	// What could not be read has its default now: judging that as well would
	// report mistakes nobody made, so only the rest of the file is judged.
	d.cfg.normalize()
	errs := append(d.errs, d.cfg.check(d.errs)...)
	if len(errs) > 0 {
		return nil, errs.ordered()
	}
	return d.cfg, nil
}

func (d *decoder) readFile(src Source) error {
	path := src.Path
	if path == "" && src.Flags != nil {
		path = src.Flags.Config
	}
	if path == "" && src.Data == nil {
		return nil
	}
	data := src.Data
	if data == nil {
		var err error
		if data, err = readBounded(path); err != nil {
			return fmt.Errorf("cannot read configuration %q: %w", path, err)
		}
	}
	d.file = path
	if d.file == "" {
		d.file = "configuration"
	}
	root, errs := parseTree(data)
	for _, e := range errs {
		e.File = d.file
	}
	d.errs = append(d.errs, errs...)
	if len(errs) > 0 && root == nil {
		return errs
	}
	d.document(root)
	return nil
}

// readBounded reads a file, at most a little more than what is accepted.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1))
}

// Origin says where the value of an option comes from. The path is that of
// REFERENCE.md, with names and numbers of list elements put in:
// "upstreams.web.key", "routes[0].host".
func (c *Config) Origin(path string) Origin {
	if o, ok := c.origins[path]; ok {
		return o
	}
	return Origin{From: "default"}
}

// Warnings are what is valid but hardly meant, in the order of the file.
func (c *Config) Warnings() Errors { return c.warnings }
