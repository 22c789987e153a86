package consul

import (
	"fmt"
	"log/slog"
	"time"
)

// Defaults of Config. They are chosen for a local agent with its default
// limits; each may be changed for a client.
const (
	DefaultWait       = 5 * time.Minute
	DefaultMaxStale   = 10 * time.Second
	DefaultMaxBytes   = 64 << 20
	DefaultMaxEntries = 200_000
	DefaultMaxSockets = 150
	DefaultReads      = 10
)

// Consistency modes of discovery reads, as Consul names them.
const (
	Stale      = "stale"      // any server answers, also without a leader; the default
	Default    = "default"    // the leader answers
	Consistent = "consistent" // the leader answers after it asked a quorum
)

// Config says how Consul is reached and read. The zero value reads the local
// agent, with what CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN and the other
// variables of Consul's own tools say.
type Config struct {
	// Addresses are the agents or servers to ask, in order of preference:
	// "host:port", "http://host:port", "https://host:port" or "unix:///path".
	// The next is used while the one before cannot be reached.
	Addresses []string
	// Token is an ACL token. TokenFile names a file that holds one; it wins
	// over Token and is read again when it changes.
	Token     string
	TokenFile string
	// Datacenter, Namespace and Partition apply to every read; empty leaves
	// them to the agent.
	Datacenter string
	Namespace  string
	Partition  string
	// Consistency is Stale, Default or Consistent; empty is Stale.
	Consistency string
	// MaxStale is the age of a stale answer above which it is suspected and
	// read again from the leader, 0 is DefaultMaxStale.
	MaxStale time.Duration
	// TLS applies to addresses with the scheme https.
	TLS TLS
	// Wait is how long a blocking query hangs, 0 is DefaultWait; Consul
	// allows at most ten minutes. Each query varies it by a tenth.
	Wait time.Duration
	// Reads is how many reads a second one watch makes at most, and how many
	// at once after a pause; 0 is DefaultReads. More follow churn faster and
	// cost Consul that much more: a set that changes 100 times a second is
	// followed within 60 ms at 10, within 2 ms at 100.
	Reads int
	// MaxBytes bounds one answer, MaxEntries the entries in it; an answer
	// that is larger is an error and nothing of it is used. 0 is the default.
	MaxBytes   int64
	MaxEntries int
	// MaxSockets bounds the requests in flight of all watches. Watches that
	// find no room poll instead of blocking. 0 is DefaultMaxSockets.
	MaxSockets int
}

// TLS says how the agent is verified and who we are. Files are read again
// when they change. Empty fields are left to CONSUL_CACERT and the like.
type TLS struct {
	CAFile, CAPath     string
	CertFile, KeyFile  string
	ServerName         string
	InsecureSkipVerify bool
}

// Env is what a client needs of the outside. Zero fields are the real thing.
type Env struct {
	// Now is the clock that paces and ages.
	Now func() time.Time
	// Rand returns a number in [0,1); it spreads retries and waits.
	Rand func() float64
	// Log takes what an operator must see.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Consistency == "" {
		c.Consistency = Stale
	}
	if c.MaxStale <= 0 {
		c.MaxStale = DefaultMaxStale
	}
	if c.Wait <= 0 {
		c.Wait = DefaultWait
	}
	if c.Reads <= 0 {
		c.Reads = DefaultReads
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MaxEntries <= 0 {
		c.MaxEntries = DefaultMaxEntries
	}
	if c.MaxSockets <= 0 {
		c.MaxSockets = DefaultMaxSockets
	}
	return c
}

// Validate reports the first setting that cannot be meant.
func (c Config) Validate() error {
	switch c.Consistency {
	case "", Stale, Default, Consistent:
	default:
		return fmt.Errorf("unknown consistency %q: want %q, %q or %q", c.Consistency, Stale, Default, Consistent)
	}
	if c.Wait < 0 || c.Wait > 10*time.Minute {
		return fmt.Errorf("invalid wait %v: want at most 10m", c.Wait)
	}
	for _, a := range c.Addresses {
		if _, err := parseAddress(a); err != nil {
			return err
		}
	}
	return nil
}
