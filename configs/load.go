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
	c := Default()
	d := newDecoder(c, &c.book, envPrefix)
	if err := d.read(src); err != nil {
		return nil, err
	}
	if src.Flags != nil {
		d.flags(src.Flags)
	}
	// What could not be read has its default now: judging that as well would
	// report mistakes nobody made, so only the rest of the file is judged.
	c.normalize()
	errs := append(d.errs, c.check(d.errs)...)
	if len(errs) > 0 {
		return nil, errs.ordered()
	}
	return c, nil
}

// read lays Consul's variables, the file and the environment over the
// defaults.
func (d *decoder) read(src Source) error {
	if src.Env != nil {
		d.consulEnvironment(src.Env)
	}
	if err := d.readFile(src); err != nil {
		return err
	}
	if src.Env != nil {
		d.environment(src.Env)
	}
	return nil
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
