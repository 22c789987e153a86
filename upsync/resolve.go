package upsync

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"spillway/gateway/upstream"
)

// resolver knows the addresses of hostnames. It asks again every five seconds
// and keeps what it had when an answer fails, so no update ever waits for
// DNS: a name seen for the first time serves as soon as it is resolved.
type resolver struct {
	lookup  func(ctx context.Context, host string) ([]netip.Addr, error)
	inUse   func() map[string]bool
	changed func(hosts map[string]bool)
	every   time.Duration

	mu    sync.Mutex
	hosts map[string]*hostname
	kick  chan struct{}
}

type hostname struct {
	addrs []netip.Addr
	err   error
	asked bool
}

const (
	resolveEvery   = 5 * time.Second
	resolveLimit   = 3 * time.Second
	resolveAtOnce  = 16
	maxHostResults = 256
)

func newResolver(s *Syncer) *resolver {
	return &resolver{
		lookup: s.opts.Resolve, inUse: s.hostsInUse, changed: s.rehost, every: resolveEvery,
		hosts: map[string]*hostname{}, kick: make(chan struct{}, 1),
	}
}

// expand replaces each server named by a host with one for each address of
// the host. A host that was never resolved gives none yet.
func (r *resolver) expand(specs []upstream.Spec) []upstream.Spec {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]upstream.Spec, 0, len(specs))
	for _, s := range specs {
		if s.Host == "" {
			out = append(out, s)
			continue
		}
		h := r.hosts[s.Host]
		if h == nil {
			h = &hostname{}
			r.hosts[s.Host] = h
			select {
			case r.kick <- struct{}{}:
			default:
			}
		}
		port := portOf(s.Addr)
		for _, a := range h.addrs {
			one := s
			one.Addr = a.String() + port
			if a.Is6() {
				one.Addr = "[" + a.String() + "]" + port
			}
			out = append(out, one)
		}
	}
	return out
}

// portOf is ":port" of an address.
func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':'):] }

// failure is why a host has no address, nil if it has or was not asked yet.
func (r *resolver) failure(host string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.hosts[host]; h != nil && len(h.addrs) == 0 {
		return h.err
	}
	return nil
}

// run resolves until ctx ends.
func (r *resolver) run(ctx context.Context) {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
			r.resolve(ctx, r.unasked())
		case <-tick.C:
			r.resolve(ctx, r.keep(r.inUse()))
		}
	}
}

// unasked are the hosts that were never asked for.
func (r *resolver) unasked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name, h := range r.hosts {
		if !h.asked {
			names = append(names, name)
		}
	}
	return names
}

// keep forgets the hosts that are not in use and returns the others.
func (r *resolver) keep(inUse map[string]bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name, h := range r.hosts {
		if h.asked && !inUse[name] {
			delete(r.hosts, name)
			continue
		}
		names = append(names, name)
	}
	return names
}

// resolve asks for names side by side and reports those that changed.
func (r *resolver) resolve(ctx context.Context, names []string) {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		changed = map[string]bool{}
		slots   = make(chan struct{}, resolveAtOnce)
	)
	for _, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if r.ask(ctx, name) {
				mu.Lock()
				defer mu.Unlock()
				changed[name] = true
			}
		})
	}
	wg.Wait()
	if len(changed) > 0 && ctx.Err() == nil {
		r.changed(changed)
	}
}

// ask resolves one name and reports whether its addresses changed.
func (r *resolver) ask(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	addrs, err := r.lookup(ctx, name)
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hosts[name]
	if h == nil {
		return false
	}
	h.asked, h.err = true, err
	if err != nil || len(addrs) == 0 || len(addrs) > maxHostResults || slices.Equal(addrs, h.addrs) {
		return false
	}
	h.addrs = addrs
	return true
}

// rehost applies the upstreams again that use one of hosts.
func (s *Syncer) rehost(hosts map[string]bool) {
	for _, m := range s.all() {
		m.rehost(hosts)
	}
}

// hostsInUse are the hostnames any upstream has servers by.
func (s *Syncer) hostsInUse() map[string]bool {
	hosts := map[string]bool{}
	for _, m := range s.all() {
		m.mu.Lock()
		for i := range m.serving {
			if h := m.serving[i].Host; h != "" {
				hosts[h] = true
			}
		}
		m.mu.Unlock()
	}
	return hosts
}
