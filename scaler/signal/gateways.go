package signal

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Gateway is where a gateway's admin API is.
type Gateway struct {
	ID    string
	Admin string // http://ip:port
}

// Options of Gateways. Find is required; the others have defaults.
type Options struct {
	// Find returns the registered gateways. While it fails the last good list
	// stays in use.
	Find func(ctx context.Context) ([]Gateway, error)
	// Upstreams to ask for; none is all.
	Upstreams []string
	// Token is asked for every request; "" sends none.
	Token func() string
	// Interval between two rounds (1 s), Timeout of a request (800 ms), Parallel
	// requests at most (32).
	Interval, Timeout time.Duration
	Parallel          int
	// Client makes the requests (one of its own without proxy, redirects and
	// compression).
	Client *http.Client
	Now    func() time.Time // time.Now
	Log    *slog.Logger     // slog.Default
}

func (o *Options) setDefaults() {
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 800 * time.Millisecond
	}
	if o.Parallel <= 0 {
		o.Parallel = 32
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

// Gateways reads the signals of all registered gateways. It is safe for
// concurrent use.
type Gateways struct {
	opt    Options
	caller caller

	mu        sync.Mutex
	found     bool // Find has answered once
	peers     map[string]*peer
	upstreams map[string]*series
	census    *census // nil: to be made anew
}

// NewGateways returns a source that knows nothing until Run or Poll is called.
func NewGateways(opt Options) *Gateways {
	opt.setDefaults()
	return &Gateways{opt: opt, caller: newCaller(opt.Client, opt.Token), peers: map[string]*peer{}, upstreams: map[string]*series{}}
}

// Run polls each Interval until ctx ends.
func (g *Gateways) Run(ctx context.Context) {
	tick := time.NewTicker(g.opt.Interval)
	defer tick.Stop()
	for {
		g.Poll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Poll reads every gateway once and looks up who is registered, at the same
// time. It returns when all have answered or timed out.
func (g *Gateways) Poll(ctx context.Context) {
	var wg sync.WaitGroup
	if g.knows() {
		wg.Go(func() { g.find(ctx) })
	} else {
		g.find(ctx)
	}
	slots := make(chan struct{}, g.opt.Parallel)
	for _, r := range g.requests() {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			g.read(ctx, r)
		})
	}
	wg.Wait()
}

func (g *Gateways) knows() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.found
}

// find looks up who is registered.
func (g *Gateways) find(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.opt.Timeout)
	defer cancel()
	list, err := g.opt.Find(ctx)
	if err != nil {
		g.opt.Log.Debug("gateways not looked up", "err", err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.found, g.census = true, nil
	now := g.opt.Now().Unix()
	listed := map[string]bool{}
	for _, gw := range list {
		listed[gw.ID] = true
		g.join(gw, now)
	}
	for id, p := range g.peers {
		if !listed[id] && p.left == 0 {
			// Nothing is missing of what it did not serve any more.
			p.left = min(now, max(p.newest, p.joined)) + 1
			g.opt.Log.Info("gateway left", "gateway", id)
		}
		if p.left != 0 && now-p.left > keep {
			delete(g.peers, id)
		}
	}
}

// join notes that a gateway is registered; mu is held.
func (g *Gateways) join(gw Gateway, now int64) {
	gw.Admin = strings.TrimSuffix(gw.Admin, "/")
	p := g.peers[gw.ID]
	switch {
	case p == nil:
		g.peers[gw.ID] = &peer{id: gw.ID, admin: gw.Admin, joined: now}
		g.opt.Log.Info("gateway found", "gateway", gw.ID, "admin", gw.Admin)
		return
	case p.left != 0:
		// It is back. Whatever it did meanwhile, nobody expected it to tell.
		p.left, p.joined, p.first = 0, now, now
	}
	if p.admin != gw.Admin {
		p.admin, p.since = gw.Admin, 0
	}
}

// request is one gateway to be read.
type request struct {
	id, url string
}

// requests are those of one round.
func (g *Gateways) requests() []request {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []request
	for id, p := range g.peers {
		if p.left != 0 {
			continue
		}
		q := url.Values{"upstream": g.opt.Upstreams}
		if p.since > 0 {
			q.Set("since", strconv.FormatInt(p.since, 10))
		}
		list = append(list, request{id, p.admin + "/api/v1/signals?" + q.Encode()})
	}
	return list
}

// read asks one gateway and enters its answer.
func (g *Gateways) read(ctx context.Context, r request) {
	ctx, cancel := context.WithTimeout(ctx, g.opt.Timeout)
	defer cancel()
	asked := g.opt.Now()
	a, err := g.get(ctx, r.url)
	received := g.opt.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.peers[r.id]
	if p == nil || p.left != 0 {
		return
	}
	if err != nil {
		if p.failed == nil && ctx.Err() != context.Canceled {
			g.opt.Log.Warn("gateway not read", "gateway", r.id, "err", err)
		}
		p.failed = err
		return
	}
	p.take(a, asked, received, g.enter)
	g.census = nil
}

// enter adds a second to its upstream; mu is held.
func (g *Gateways) enter(upstream string, t int64, s *secondAnswer) {
	u := g.upstreams[upstream]
	if u == nil {
		u = &series{}
		g.upstreams[upstream] = u
	}
	u.add(t, s)
}

func (g *Gateways) get(ctx context.Context, url string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for signals: %w", err)
	}
	resp, err := g.caller.do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot read signals: status %d", resp.StatusCode)
	}
	return decodeAnswer(resp.Body)
}
