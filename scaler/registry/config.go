package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// Secret does not show itself when it is printed, logged or encoded.
type Secret string

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return fmt.Sprintf("%q", s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Config says how Consul is reached and what is ours there. Address and
// Cluster are required.
type Config struct {
	// Address of the agent that runs the checks: [http[s]://]host:port or
	// unix:///path. It has to be the same one for as long as instances of ours
	// are registered with it.
	Address string
	Token   Secret
	// TokenFile holds the token instead; it is read again when it changes.
	TokenFile string
	// CA, Cert and Key are PEM; empty ones are the system's CAs and no client
	// certificate.
	CA, Cert, Key                    []byte
	Namespace, Partition, Datacenter string
	// Cluster is our name: letters, digits and ._-
	Cluster string
	// GatewayService is the name gateways register as; default
	// "spillway-gateway".
	GatewayService string
	// Timeout of one request; default 5 s.
	Timeout time.Duration
	// Workers bounds the requests that RegisterAll has in flight; default 8.
	Workers int

	// Prefix of the keys of the KV source; default "upstreams". Index is where
	// it notes whose they are, outside of Prefix; default "spillway/registry".
	Prefix, Index string
	// Probe is asked before an instance enters the KV source; default: run
	// Registration.Check once from here.
	Probe func(ctx context.Context, r Registration) error

	// Wrap, if set, is put around how requests are sent.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// client is what both registries share.
type client struct {
	cfg Config
	api *api.Client
}

func newClient(c Config) (client, error) {
	if err := c.complete(); err != nil {
		return client{}, err
	}
	tls, err := api.SetupTLSConfig(&api.TLSConfig{CAPem: c.CA, CertPEM: c.Cert, KeyPEM: c.Key})
	if err != nil {
		return client{}, fmt.Errorf("cannot use the certificates for Consul: %w", err)
	}
	base := &http.Transport{TLSClientConfig: tls, MaxIdleConnsPerHost: c.Workers, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	scheme, address := c.reach(base)
	var transport http.RoundTripper = base
	if c.TokenFile != "" {
		transport = &tokenFile{next: transport, path: c.TokenFile}
	}
	if c.Wrap != nil {
		transport = c.Wrap(transport)
	}
	consul, err := api.NewClient(&api.Config{
		Address: address, Scheme: scheme, Token: string(c.Token), Namespace: c.Namespace, Partition: c.Partition,
		Datacenter: c.Datacenter, HttpClient: &http.Client{Transport: transport},
	})
	if err != nil {
		return client{}, fmt.Errorf("cannot use Consul at %q: %w", c.Address, err)
	}
	return client{cfg: c, api: consul}, nil
}

// reach reads the address; a socket's path is dialled whatever host is asked.
func (c *Config) reach(t *http.Transport) (scheme, host string) {
	scheme, rest, found := strings.Cut(c.Address, "://")
	switch {
	case !found:
		return "http", c.Address
	case scheme == "unix":
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", rest)
		}
		return "http", "consul.invalid"
	}
	return scheme, rest
}

// complete fills in defaults and finds mistakes.
func (c *Config) complete() error {
	set(&c.GatewayService, "spillway-gateway")
	set(&c.Timeout, 5*time.Second)
	set(&c.Workers, 8)
	set(&c.Prefix, "upstreams")
	set(&c.Index, "spillway/registry")
	c.Prefix, c.Index = strings.Trim(c.Prefix, "/"), strings.Trim(c.Index, "/")
	if c.Probe == nil {
		c.Probe = probe
	}
	switch {
	case c.Address == "":
		return errors.New("cannot use Consul: no address")
	case !regexp.MustCompile(`^[a-zA-Z0-9._-]{1,128}$`).MatchString(c.Cluster):
		return fmt.Errorf("cannot use Consul: cluster %q is not a name of letters, digits and ._-", c.Cluster)
	case strings.HasPrefix(c.Index+"/", c.Prefix+"/"), strings.HasPrefix(c.Prefix+"/", c.Index+"/"):
		return fmt.Errorf("cannot use Consul: index %q and prefix %q lie in each other", c.Index, c.Prefix)
	}
	return nil
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// query options that see every write made before: a list that lags behind
// would make the scaler register or remove twice.
func (c *client) query(ctx context.Context, filter string) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true, Filter: filter}).WithContext(ctx)
}

// plain options are those for the agent's own endpoints.
func (c *client) plain(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{}).WithContext(ctx)
}

func (c *client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.cfg.Timeout)
}

// whole refuses an answer that shows less than there is.
func whole(m *api.QueryMeta) error {
	if m != nil && m.ResultsFilteredByACLs {
		return fmt.Errorf("%w: the token may not see all of it", ErrDenied)
	}
	return nil
}
