package peers

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// changer tells a running proxy of a change of servers, in one of the ways that
// people use.
type changer interface {
	// apply returns when the change was handed over; when the proxy acts on it
	// is what the run measures.
	apply(ctx context.Context, c change) error
}

// way is a proxy together with how it is told of changes.
type way struct {
	definition
	registry bool // it follows Consul
	make     func(*study, subject) changer
}

// reloadGap is the least time between two reloads: what tools that rewrite
// configurations wait for further changes (consul-template's "wait").
const reloadGap = 500 * time.Millisecond

// ways in the order of a run.
func ways(o *Options) []way {
	base := definitions(o)
	nginx, haproxy := base[0], base[1]
	nginx.name = "nginx, reload"
	api := haproxy
	api.name, api.template = "haproxy, runtime API", "conf/haproxy-api.cfg.tmpl"
	haproxy.name = "haproxy, reload"
	haproxy.args = func(p place) []string { return []string{"-W", "-f", p.Config} } // a master that can reload
	return []way{
		{
			spillway("spillway, Consul", o.Spillway, "conf/spillway-consul.yaml.tmpl", false), true,
			func(s *study, _ subject) changer { return s.consul },
		},
		{nginx, false, func(_ *study, p subject) changer { return &reloader{nginx, p, syscall.SIGHUP, time.Time{}} }},
		{api, false, func(_ *study, p subject) changer { return &slots{addr: p.at.Admin} }},
		{haproxy, false, func(_ *study, p subject) changer { return &reloader{haproxy, p, syscall.SIGUSR2, time.Time{}} }},
	}
}

// apply of a registry writes or deletes one key.
func (r *registry) apply(ctx context.Context, c change) error {
	if c.added != "" {
		return r.put(ctx, c.added)
	}
	return r.remove(ctx, c.removed)
}

// reloader rewrites the configuration and signals the master process. Changes
// within reloadGap of the last reload are left to the next one.
type reloader struct {
	definition
	peer   subject
	signal syscall.Signal
	last   time.Time
}

func (r *reloader) apply(_ context.Context, c change) error {
	if time.Since(r.last) < reloadGap {
		return nil
	}
	at := r.peer.at
	at.Backends = c.servers
	if _, err := r.configure(at); err != nil {
		return err
	}
	if err := syscall.Kill(r.peer.pid, r.signal); err != nil {
		return fmt.Errorf("cannot reload %s: %w", r.name, err)
	}
	r.last = time.Now()
	return nil
}

// slots gives addresses to the free servers of an HAProxy, see
// conf/haproxy-api.cfg.tmpl.
type slots struct {
	addr string
	used [32]string // the address in each slot
}

func (s *slots) apply(ctx context.Context, c change) error {
	if c.removed != "" {
		i := slices.Index(s.used[:], c.removed)
		if i < 0 {
			return fmt.Errorf("cannot take out %q: it is in no slot", c.removed)
		}
		s.used[i] = ""
		return s.command(ctx, fmt.Sprintf("set server backends/slot%d state maint", i+1))
	}
	i := slices.Index(s.used[:], "")
	if i < 0 {
		return fmt.Errorf("cannot add %q: all slots are taken", c.added)
	}
	s.used[i] = c.added
	host, port, _ := strings.Cut(c.added, ":")
	return s.command(ctx, fmt.Sprintf("set server backends/slot%d addr %s port %s; set server backends/slot%d state ready", i+1, host, port, i+1))
}

// command sends one line and reads the answer to its end: HAProxy closes then.
func (s *slots) command(ctx context.Context, line string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("cannot reach HAProxy's runtime API: %w", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(startTimeout))
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return fmt.Errorf("cannot use HAProxy's runtime API: %w", err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return fmt.Errorf("cannot use HAProxy's runtime API: %w", err)
	}
	if text := strings.TrimSpace(string(answer)); text != "" && !strings.Contains(text, "changed") && !strings.Contains(text, "no need to change") {
		return fmt.Errorf("cannot use HAProxy's runtime API: %q answers %q", line, text)
	}
	return nil
}
