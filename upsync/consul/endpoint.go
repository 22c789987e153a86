package consul

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// address is one configured address of Consul, taken apart.
type address struct {
	scheme string // "http", "https" or "unix"
	host   string // host:port as it stands in requests and in dialing; the path of a unix socket
	prefix string // path prefix of a reverse proxy, without a trailing slash
}

func (a address) String() string { return a.scheme + "://" + a.host + a.prefix }

// parseAddress reads the forms Config.Addresses allows.
func parseAddress(s string) (address, error) {
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		if path == "" {
			return address{}, fmt.Errorf("invalid consul address %q: want unix:///path", s)
		}
		return address{scheme: "unix", host: path}, nil
	}
	full := s
	if !strings.Contains(s, "://") {
		full = "http://" + s
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return address{}, fmt.Errorf("invalid consul address %q: want host:port, http://, https:// or unix:///path", s)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "8500", "https": "8501"}[u.Scheme])
	}
	return address{scheme: u.Scheme, host: host, prefix: strings.TrimSuffix(u.Path, "/")}, nil
}

// endpoint is one address with its own connections. Whether it is up is the
// client's to say (see reach).
type endpoint struct {
	addr address
	name string // what operators see
	base string // scheme://host/prefix of requests

	mu      sync.Mutex
	build   func() (*api.Client, *http.Client, error)
	stamp   string // identity of the TLS files the clients were built from
	files   []string
	api     *api.Client
	http    *http.Client
	badFile string // the stamp that could not be loaded, so that it is tried once

	// Guarded by reach.mu.
	up       bool
	life     context.Context // ends when the endpoint goes down
	kill     context.CancelFunc
	lastDown error
}

// newEndpoint prepares the clients of one address. allowed are the hosts a
// redirect may lead to.
func newEndpoint(cfg Config, addr address, allowed map[string]bool) (*endpoint, error) {
	e := &endpoint{addr: addr, name: addr.String(), base: addr.String(), up: true}
	if addr.scheme == "unix" {
		e.base = "http://localhost"
	}
	tls := tlsConfig(cfg.TLS)
	if addr.scheme == "https" {
		e.files = tlsFiles(tls)
	}
	e.build = func() (*api.Client, *http.Client, error) { return buildClients(cfg, addr, tls, allowed) }
	e.stamp = stampFiles(e.files)
	var err error
	if e.api, e.http, err = e.build(); err != nil {
		return nil, fmt.Errorf("cannot prepare consul client for %s: %w", e.name, err)
	}
	return e, nil
}

// clients returns the connections to use now. TLS files that changed are read
// first; while the new ones cannot be used the old ones stay and the error
// says why.
func (e *endpoint) clients() (*api.Client, *http.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.files) == 0 {
		return e.api, e.http, nil
	}
	stamp := stampFiles(e.files)
	if stamp == e.stamp || stamp == e.badFile {
		return e.api, e.http, nil
	}
	a, h, err := e.build()
	if err != nil {
		e.badFile = stamp
		return e.api, e.http, fmt.Errorf("cannot use changed TLS files for %s: %w", e.name, err)
	}
	old := e.http
	e.api, e.http, e.stamp, e.badFile = a, h, stamp, ""
	old.CloseIdleConnections()
	return a, h, nil
}

func (e *endpoint) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.http.CloseIdleConnections()
}

// buildClients makes the API client of an address and the plain client below
// it: one transport, one set of connections.
func buildClients(cfg Config, addr address, tls api.TLSConfig, allowed map[string]bool) (*api.Client, *http.Client, error) {
	tr := newTransport(addr)
	if addr.scheme == "https" {
		if err := checkCertificate(tls); err != nil {
			return nil, nil, err
		}
		var err error
		if tr.TLSClientConfig, err = api.SetupTLSConfig(&tls); err != nil {
			return nil, nil, err
		}
	}
	hc := &http.Client{Transport: boundedTransport{tr, cfg.MaxBytes}, CheckRedirect: redirectWithin(allowed)}
	conf := api.DefaultConfig()
	conf.Transport, conf.HttpClient = tr, hc
	conf.Scheme, conf.Address, conf.PathPrefix = addr.scheme, addr.host, addr.prefix
	if addr.scheme == "unix" {
		conf.Scheme, conf.Address = "http", "localhost"
	}
	conf.Token, conf.TokenFile = cfg.Token, "" // a token file is ours to re-read
	conf.Datacenter, conf.Namespace, conf.Partition = cfg.Datacenter, cfg.Namespace, cfg.Partition
	ac, err := api.NewClient(conf)
	return ac, hc, err
}

// newTransport dials fast, notices a dead peer within about ten seconds and
// speaks HTTP/2 where TLS negotiates it.
func newTransport(addr address) *http.Transport {
	d := &net.Dialer{
		Timeout: dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3,
		},
	}
	dial := d.DialContext
	if addr.scheme == "unix" {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", addr.host) }
	}
	return &http.Transport{
		DialContext:         dial,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // compressing 11 MB costs a local agent more than it saves
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
		ReadBufferSize:      32 << 10,
	}
}

// redirectWithin follows redirects to configured addresses only: a token must
// not leave for a host an answer names.
func redirectWithin(allowed map[string]bool) func(*http.Request, []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if len(via) > 3 {
			return &redirectError{"redirected more than 3 times"}
		}
		if !allowed[req.URL.Scheme+"://"+canonicalHost(req.URL)] {
			return &redirectError{fmt.Sprintf("redirected to %s://%s, which is no configured address", req.URL.Scheme, req.URL.Host)}
		}
		return nil
	}
}

// canonicalHost is host:port with the port spelled out.
func canonicalHost(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	host := u.Hostname()
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return net.JoinHostPort(strings.ToLower(host), port)
}
