package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"spillway/gateway/upstream"
)

// backend is a small server that says who it is.
type backend struct {
	name, addr string
	http       *fasthttp.Server
}

// backendHeader names the backend in each of its answers.
const backendHeader = "X-Backend"

func startBackend(name, addr string) (*backend, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	b := &backend{name: name, addr: ln.Addr().String()}
	b.http = &fasthttp.Server{
		Name: "spillway-dev",
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.Set(backendHeader, b.name)
			fmt.Fprintf(ctx, "hello from %s at %s\n", b.name, b.addr)
		},
	}
	go b.http.Serve(ln) // ends with close
	return b, nil
}

func (b *backend) close() {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	b.http.ShutdownWithContext(ctx)
}

// display prints one line for each change of the servers, and now and then
// one with where the load's requests went.
type display struct {
	w       io.Writer
	changes chan string

	mu     sync.Mutex
	names  map[string]string // backends by address
	counts map[string]int    // answers by backend since the last line
	failed int
}

func newDisplay(w io.Writer) *display {
	return &display{w: w, changes: make(chan string, 256), names: map[string]string{}, counts: map[string]int{}}
}

func (d *display) name(addr, name string) { d.names[addr] = name }

// live runs on a loop of the engine: it hands the line over and never waits.
func (d *display) live(p *upstream.Pool, s *upstream.Snapshot, _ time.Duration) {
	select {
	case d.changes <- d.describe(p, s):
	default:
	}
}

func (d *display) describe(p *upstream.Pool, s *upstream.Snapshot) string {
	var servers []string
	for i := range s.Entries {
		e := &s.Entries[i]
		text := e.Addr
		if name := d.names[e.Addr]; name != "" {
			text = name
		}
		if e.Spec.Down {
			servers = append(servers, text+" down")
			continue
		}
		servers = append(servers, fmt.Sprintf("%s weight %d", text, e.Spec.Weight))
	}
	slices.Sort(servers)
	return fmt.Sprintf("%s now has: %s", p.Name, strings.Join(servers, ", "))
}

// countEvery is the time between two lines of counts.
const countEvery = 5 * time.Second

// run prints until ctx ends.
func (d *display) run(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case line := <-d.changes:
			d.print(line)
		case <-tick.C:
			d.print(d.takeCounts())
		}
	}
}

func (d *display) print(line string) {
	if line != "" {
		fmt.Fprintf(d.w, "%s  %s\n", time.Now().Format("15:04:05.000"), line)
	}
}

func (d *display) count(backend string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ok {
		d.counts[backend]++
	} else {
		d.failed++
	}
}

// takeCounts is the line of counts, "" if nothing was sent.
func (d *display) takeCounts() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.counts) == 0 && d.failed == 0 {
		return ""
	}
	var parts []string
	for name, n := range d.counts {
		parts = append(parts, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(parts)
	line := fmt.Sprintf("requests in %.0f s: %s; %d failed", countEvery.Seconds(), strings.Join(parts, ", "), d.failed)
	d.counts, d.failed = map[string]int{}, 0
	return line
}

// load sends a few requests a second through the gateway, one at a time.
func (d *devEnv) load(ctx context.Context, gateway string, rate int) {
	client := &fasthttp.HostClient{Addr: gateway, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.show.count(ask(client, "http://"+gateway+"/"))
		}
	}
}

// ask sends one request and says who answered.
func ask(client *fasthttp.HostClient, url string) (backend string, ok bool) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(url)
	if err := client.Do(req, resp); err != nil || resp.StatusCode() != fasthttp.StatusOK {
		return "", false
	}
	return string(resp.Header.Peek(backendHeader)), true
}
