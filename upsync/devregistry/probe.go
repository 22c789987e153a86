package devregistry

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// probe runs one TCP or HTTP check on a goroutine of its own.
type probe struct{ cancel context.CancelFunc }

// startProbe runs a check from now on; one of the same id ends.
func (r *Registry) startProbe(c agentCheck) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopProbeLocked(c.row.CheckID)
	if c.interval == 0 || r.closed {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.probes[c.row.CheckID] = &probe{cancel}
	r.probing.Go(func() { r.runProbe(ctx, c) })
}

// stopProbeLocked tells a probe to end and does not wait: it may be about to
// take the lock the caller holds.
func (r *Registry) stopProbeLocked(id string) {
	if p := r.probes[id]; p != nil {
		p.cancel()
		delete(r.probes, id)
	}
}

func (r *Registry) runProbe(ctx context.Context, c agentCheck) {
	tick := make(chan struct{}, 1)
	for {
		status, output := c.try(ctx)
		if ctx.Err() != nil {
			return
		}
		_ = r.SetCheck(c.row.CheckID, status, output) // it may be gone by now
		stop := r.opts.Clock.AfterFunc(c.interval, func() { tick <- struct{}{} })
		select {
		case <-tick:
		case <-ctx.Done():
			stop()
			return
		}
	}
}

func (c *agentCheck) try(ctx context.Context) (status, output string) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if c.def.TCP != "" {
		return tryTCP(ctx, c.def.TCP)
	}
	return c.tryHTTP(ctx)
}

func tryTCP(ctx context.Context, address string) (status, output string) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return statusCritical, err.Error()
	}
	_ = conn.Close()
	return statusPassing, "TCP connect " + address + ": Success"
}

// outputMax bounds what is kept of an answer, Consul's CheckOutputMaxSize.
const outputMax = 4 << 10

// tryHTTP: 2xx passes, 429 warns, all else is critical.
func (c *agentCheck) tryHTTP(ctx context.Context) (status, output string) {
	method := firstOf(c.def.Method, http.MethodGet)
	req, err := http.NewRequestWithContext(ctx, method, c.def.HTTP, strings.NewReader(c.def.Body))
	if err != nil {
		return statusCritical, err.Error()
	}
	for name, values := range c.def.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	// A connection of its own each time: a check asks whether one can be had.
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: c.def.TLSSkipVerify, ServerName: c.def.TLSServerName, //nolint:gosec // the check asks for it
	}}
	client := &http.Client{Transport: tr, Timeout: c.timeout}
	resp, err := client.Do(req)
	if err != nil {
		return statusCritical, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, outputMax))
	output = fmt.Sprintf("HTTP %s %s: %s Output: %s", method, c.def.HTTP, resp.Status, body)
	switch {
	case resp.StatusCode/100 == 2:
		return statusPassing, output
	case resp.StatusCode == http.StatusTooManyRequests:
		return statusWarning, output
	}
	return statusCritical, output
}
