package peers

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// keyPrefix is where servers are in Consul, see conf/spillway-consul.yaml.tmpl.
const keyPrefix = "bench/servers/"

// registry is a real Consul agent for development: one node, nothing on disk.
type registry struct {
	addr   string
	client *http.Client
}

// startRegistry starts Consul beside the generator and the backend, and fills
// it with the first servers.
func (l *lab) startRegistry(ctx context.Context, binary string) (*registry, error) {
	program, err := findProgram(binary)
	if err != nil {
		return nil, fmt.Errorf("cannot start Consul: %w (make consul builds it)", err)
	}
	addrs, err := freeAddrs(3)
	if err != nil {
		return nil, err
	}
	p, err := startProcess("consul", l.dir, ownCPUs(l.clientCPU), []string{
		program, "agent", "-dev", "-log-level", "error", "-node", "bench", "-bind", "127.0.0.1",
		"-http-port", portOf(addrs[0]), "-server-port", portOf(addrs[1]), "-serf-lan-port", portOf(addrs[2]),
		"-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1",
	}, nil)
	if err != nil {
		return nil, err
	}
	l.processes = append(l.processes, p)
	r := &registry{addr: addrs[0], client: &http.Client{Timeout: 5 * time.Second}}
	err = p.Wait(ctx, "Consul", func(ctx context.Context) error {
		for _, server := range l.backends { // fails until it has a leader
			if err := r.put(ctx, server); err != nil {
				return err
			}
		}
		return nil
	})
	l.registry = r.addr
	return r, err
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

func (r *registry) put(ctx context.Context, server string) error {
	return r.do(ctx, http.MethodPut, server)
}

func (r *registry) remove(ctx context.Context, server string) error {
	return r.do(ctx, http.MethodDelete, server)
}

func (r *registry) do(ctx context.Context, method, server string) error {
	url := "http://" + r.addr + "/v1/kv/" + keyPrefix + server
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(""))
	if err != nil {
		return fmt.Errorf("cannot ask Consul: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask Consul: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<12))
	if err != nil {
		return fmt.Errorf("cannot read Consul's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != "true" {
		return fmt.Errorf("cannot change %q in Consul: %s %q", server, resp.Status, body)
	}
	return nil
}
