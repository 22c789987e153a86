package configs

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
	return nil, nil
}
