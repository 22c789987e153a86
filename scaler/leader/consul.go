package leader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"spillway/scaler/ledger"
)

// Config of an election in Consul.
type Config struct {
	// Key of the lock, outside of the ledger's prefix.
	Key string
	// Address at which this scaler's API answers; published in the lock.
	Address string
	// Name of this scaler, for a person who looks at sessions.
	Name string
	// TTL of the session, from 10 s (Consul's least, unless its session_ttl_min
	// says otherwise) to 24 h. Default 10 s. Consul may take twice as long to
	// notice a dead leader.
	TTL time.Duration
	// LockDelay is how long Consul gives the lock to nobody after a session
	// ended badly. Default 5 s (Consul's own is 15 s).
	LockDelay time.Duration
	// Margin before the session can have ended at which a leader that could not
	// renew steps down; calls under way have that long to end. Default 2 s.
	Margin time.Duration
	// Observe is called from Run whenever the state has changed. It must not
	// block.
	Observe func(State)
	Now     func() time.Time // default time.Now
	Log     *slog.Logger     // default slog.Default()
}

func (c Config) withDefaults() Config {
	if c.TTL == 0 {
		c.TTL = 10 * time.Second
	}
	if c.LockDelay == 0 {
		c.LockDelay = 5 * time.Second
	}
	if c.Margin == 0 {
		c.Margin = 2 * time.Second
	}
	if c.Observe == nil {
		c.Observe = func(State) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Consul is an election by a lock in Consul's KV.
type Consul struct {
	cfg     Config
	kv      *api.KV
	session *api.Session

	mu    sync.Mutex
	lease lease
	// leader is the address in the lock, published by whoever holds it.
	leader string
	said   State // last given to Observe
	// retired: this candidate removed the lock and does not stand again.
	retired bool
}

// NewConsul returns a candidate. It asks nothing before Run.
func NewConsul(client *api.Client, cfg Config) (*Consul, error) {
	cfg = cfg.withDefaults()
	switch {
	case cfg.Key == "":
		return nil, errors.New("cannot elect a leader: no key")
	case cfg.Margin >= cfg.TTL/2:
		return nil, fmt.Errorf("cannot elect a leader with a margin of %v: it is half the TTL or more", cfg.Margin)
	}
	return &Consul{cfg: cfg, kv: client.KV(), session: client.Session()}, nil
}

// published is the lock's value.
type published struct {
	Address string `json:"address"`
	Name    string `json:"name"`
}

func (c *Consul) value() []byte {
	b, _ := json.Marshal(published{c.cfg.Address, c.cfg.Name}) // two strings
	return b
}

// State implements Elector.
func (c *Consul) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state()
}

// Fence implements Elector.
func (c *Consul) Fence() (ledger.Fence, bool) {
	s := c.State()
	return s.Fence, s.Leading
}

func (c *Consul) state() State {
	s := State{Leading: c.lease.leads(c.cfg.Now()), Leader: c.leader, Since: c.said.Since}
	if s.Leading {
		s.Fence, s.Leader = c.lease.fence, c.cfg.Address
	}
	return s
}

// note changes what is known and tells the observer if that changed the state.
func (c *Consul) note(change func(*Consul)) {
	c.mu.Lock()
	change(c)
	s := c.state()
	changed := s != c.said
	if changed {
		s.Since = c.cfg.Now()
		c.said = s
	}
	c.mu.Unlock()
	if changed {
		c.cfg.Log.Info("election", "leading", s.Leading, "leader", s.Leader, "lock_index", s.Fence.Index)
		c.cfg.Observe(s)
	}
}

// Verify implements Elector by a consistent read of the lock.
func (c *Consul) Verify(ctx context.Context) error {
	s := c.State()
	if !s.Leading {
		return fenced("the lease is over")
	}
	pair, _, err := c.read(ctx, 0, 0)
	switch {
	case err != nil:
		return fmt.Errorf("cannot verify the lead: %w", err)
	case !holds(pair, s.Fence):
		return fenced("the lock is not ours")
	case !c.State().Leading:
		return fenced("the lease ended meanwhile")
	}
	return nil
}

// Remove ends the election for good: it deletes the lock, which must be ours,
// and this candidate does not stand again. It is for a cluster of which nothing
// shall be left. Another candidate that still runs would make the lock anew.
func (c *Consul) Remove(ctx context.Context) error {
	fence, leads := c.Fence()
	if !leads {
		return fenced("the lease is over")
	}
	c.retire(true)
	ok, answer, _, err := c.kv.Txn(api.KVTxnOps{
		{Verb: api.KVCheckSession, Key: fence.Key, Session: fence.Session},
		{Verb: api.KVDelete, Key: fence.Key},
	}, (&api.QueryOptions{}).WithContext(ctx))
	switch {
	case err != nil:
		c.retire(false)
		return fmt.Errorf("cannot remove the lock %q: %w", fence.Key, err)
	case !ok:
		c.retire(false)
		return fmt.Errorf("cannot remove the lock %q: %s", fence.Key, reasons(answer.Errors))
	}
	c.note(func(c *Consul) { c.lease, c.leader = lease{}, "" })
	return nil
}

func reasons(errs api.TxnErrors) string {
	whats := []string{"Consul rolled back"}
	for _, e := range errs {
		whats = append(whats, e.What)
	}
	return strings.Join(whats, "; ")
}

func (c *Consul) retire(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = yes
}

// holds tells that a lock is held under a fence.
func holds(pair *api.KVPair, f ledger.Fence) bool {
	return pair != nil && pair.Session == f.Session && pair.LockIndex == f.Index
}

// read reads the lock consistently; with an index it waits for a change. No
// lock and no error: nobody has ever led.
func (c *Consul) read(ctx context.Context, index uint64, wait time.Duration) (*api.KVPair, uint64, error) {
	q := &api.QueryOptions{RequireConsistent: true, WaitIndex: index, WaitTime: wait}
	pair, meta, err := c.kv.Get(c.cfg.Key, q.WithContext(ctx))
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read the lock %q: %w", c.cfg.Key, err)
	}
	return pair, meta.LastIndex, nil
}
