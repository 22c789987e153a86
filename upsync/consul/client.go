// Package consul watches Consul: it keeps one blocking query open for each
// thing watched and hands decoded sets to a handler whenever they differ from
// the set before. It also keeps a process itself registered (Register).
//
// It owns how Consul is reached (addresses, TLS, tokens, failover), how often
// it is asked (pacing, backoff, the budget of sockets), what its indexes mean,
// and how its answers are decoded and bounded. It never decides whether an
// answer is to be believed: it reports what is suspicious about it
// (Observation) and leaves the judgement to its caller. A read that fails, is
// cut short or is too large has no effect at all.
//
// Goroutines: Client.Run runs one for each address, which probes it. Watch
// runs on its caller's and calls the handler there; Register runs on its
// caller's.
package consul

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
)

// Client is one Consul as seen through one or more addresses. It is safe for
// use by several goroutines.
type Client struct {
	cfg     Config
	env     Env
	timing  timing
	reach   *reach
	sockets *sockets
	watches atomic.Int64

	mu        sync.Mutex
	token     string
	tokenFile string // identity of the file the token was read from
	said      map[string]string
}

// New prepares a client. It reads certificates and the token file, and asks
// nothing.
func New(cfg Config, env Env) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Client{
		cfg: fromEnvironment(cfg).withDefaults(), env: env, timing: defaultTiming(), said: map[string]string{},
	}
	if c.env.Now == nil {
		c.env.Now = time.Now
	}
	if c.env.Rand == nil {
		c.env.Rand = rand.Float64
	}
	if c.env.Log == nil {
		c.env.Log = slog.Default()
	}
	c.sockets = newSockets(c.cfg.MaxSockets)
	if err := c.readToken(); err != nil {
		return nil, err
	}
	eps, err := newEndpoints(c.cfg)
	if err != nil {
		return nil, err
	}
	c.reach = newReach(eps, c.logReach)
	return c, nil
}

// fromEnvironment fills what is not set from the variables Consul's own tools
// read.
func fromEnvironment(cfg Config) Config {
	def := api.DefaultConfig()
	if len(cfg.Addresses) == 0 {
		addr := def.Address
		if def.Scheme == "https" && !strings.Contains(addr, "://") {
			addr = "https://" + addr
		}
		cfg.Addresses = []string{addr}
	}
	if cfg.Token == "" && cfg.TokenFile == "" {
		cfg.Token, cfg.TokenFile = def.Token, def.TokenFile
	}
	if cfg.Namespace == "" {
		cfg.Namespace = def.Namespace
	}
	if cfg.Partition == "" {
		cfg.Partition = def.Partition
	}
	return cfg
}

func newEndpoints(cfg Config) ([]*endpoint, error) {
	var addrs []address
	allowed := map[string]bool{}
	for _, s := range cfg.Addresses {
		a, err := parseAddress(s)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, a)
		allowed[a.scheme+"://"+canonicalHost(&url.URL{Scheme: a.scheme, Host: a.host})] = true
	}
	var eps []*endpoint
	for _, a := range addrs {
		ep, err := newEndpoint(cfg, a, allowed)
		if err != nil {
			return nil, err
		}
		eps = append(eps, ep)
	}
	return eps, nil
}

// Run probes the addresses until ctx ends; without it an address that failed
// never comes back. When it returns, every request in flight is cancelled.
func (c *Client) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, ep := range c.reach.eps {
		wg.Go(func() { c.attend(ctx, ep) })
	}
	wg.Wait()
	c.reach.close()
}

// AddressState is what is known of one configured address.
type AddressState struct {
	Address string
	Up      bool
	Error   string // why it is or was down
}

// Addresses returns the state of each configured address, in their order.
func (c *Client) Addresses() []AddressState {
	c.reach.mu.Lock()
	defer c.reach.mu.Unlock()
	var states []AddressState
	for _, ep := range c.reach.eps {
		s := AddressState{Address: ep.name, Up: ep.up}
		if ep.lastDown != nil {
			s.Error = ep.lastDown.Error()
		}
		states = append(states, s)
	}
	return states
}

// currentToken returns the token to send, read again if its file changed. A
// file that cannot be read leaves the last one in use.
func (c *Client) currentToken() string {
	if err := c.readToken(); err != nil {
		c.complain("token", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

func (c *Client) readToken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.TokenFile == "" {
		c.token = c.cfg.Token
		return nil
	}
	stamp := stampFiles([]string{c.cfg.TokenFile})
	if stamp == c.tokenFile {
		return nil
	}
	b, err := os.ReadFile(c.cfg.TokenFile)
	if err != nil {
		return fmt.Errorf("cannot read token file %q: %w", c.cfg.TokenFile, err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return fmt.Errorf("token file %q is empty", c.cfg.TokenFile)
	}
	c.token, c.tokenFile = token, stamp
	return nil
}

// complain logs an error of a kind once for as long as it stays the same; nil
// says that it is over.
func (c *Client) complain(kind string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	was := c.said[kind]
	c.said[kind] = text
	c.mu.Unlock()
	if err != nil && was != text {
		c.env.Log.Error("consul: "+kind, "error", err)
	}
}

func (c *Client) logReach(up bool, name string, why error) {
	if up {
		c.env.Log.Info("consul answers again", "address", name, "after", why)
		return
	}
	c.env.Log.Warn("consul does not answer; what is known keeps serving", "address", name, "error", why)
}

// isSick finds out whether an error of the server (5xx) is one of the query or
// of the server as a whole, such as a lost leader. A sick server is taken as
// one that cannot be reached, so that all watches are released when it
// recovers.
func (c *Client) isSick(ctx context.Context, life context.Context, why error) bool {
	for _, ep := range c.reach.eps {
		if up, l := c.reach.state(ep); l != life || !up {
			continue
		}
		if err := c.probe(ctx, ep); err != nil && ctx.Err() == nil {
			c.reach.suspect(ep, life, why)
			return true
		}
		return false
	}
	return true
}
