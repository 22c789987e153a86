package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"spillway/gateway/admin"
)

// upstreamVerbs are the verbs that ask a gateway, not a scaler. What they
// order lies on top of the registry and ends by itself.
func upstreamVerbs() []ctlVerb {
	return []ctlVerb{
		{"upstreams", "[NAME]", "gateway: the upstreams, or the servers of one", (*ctl).upstreams},
		{"explain", "NAME", "gateway: of each server whether it gets requests, and why not", (*ctl).explain},
		{"drain", "NAME SERVER [--ttl 1h]", "gateway: no new requests; what is under way finishes", serverVerb("drain")},
		{"maint", "NAME SERVER [--ttl 1h]", "gateway: the same, told as maintenance", serverVerb("maint")},
		{"ready", "NAME SERVER", "gateway: take drain, maint and weight back", serverVerb("ready")},
		{"weight", "NAME SERVER N [--ttl 1h]", "gateway: another weight", serverVerb("weight")},
		{"freeze", "NAME [--ttl 1h]", "gateway: apply no change of the registry", wholeVerb("freeze")},
		{"unfreeze", "NAME", "gateway: apply what the registry says again", wholeVerb("unfreeze")},
		{"rollback", "NAME [--ttl 1h]", "gateway: the servers before the last change, frozen", wholeVerb("rollback")},
		{"history", "NAME", "gateway: the last decisions about its servers", (*ctl).upstreamHistory},
		{"top", "", "gateway: rate, latency, errors of each upstream, each second", (*ctl).top},
	}
}

// gatewayFlags is flags for verbs that ask a gateway: its address has a
// variable of its own, for both are asked from one shell.
func (c *ctl) gatewayFlags() *pflag.FlagSet {
	fs := c.flags()
	f := fs.Lookup("address")
	f.Usage = "`ADDRESS` of a gateway's admin server: host:port, http(s)://host:port or unix:/path ($SPILLWAY_CTL_GATEWAY)"
	f.DefValue = c.variable("GATEWAY", admin.DefaultListen)
	c.address = f.DefValue
	fs.StringVar(&c.address, "gateway", c.address, "the same as --address")
	return fs
}

// gatewayClient asks a gateway's admin server.
type gatewayClient struct {
	base  url.URL
	token string
	http  *http.Client
}

func (c *ctl) gatewayClient() (*gatewayClient, error) {
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: tlsConfig}
	g := &gatewayClient{token: token, http: &http.Client{Timeout: c.timeout, Transport: transport}}
	if path, ok := strings.CutPrefix(c.address, "unix:"); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		g.base = url.URL{Scheme: "http", Host: "localhost"}
		return g, nil
	}
	address := c.address
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("address %q is neither host:port, http://host:port, https://host:port nor unix:/path", c.address)
	}
	g.base = url.URL{Scheme: u.Scheme, Host: u.Host}
	return g, nil
}

// askGateway asks with f until a signal ends it.
func (c *ctl) askGateway(f func(ctx context.Context, g *gatewayClient) error) int {
	g, err := c.gatewayClient()
	if err != nil {
		return c.fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := f(ctx, g); err != nil && ctx.Err() == nil {
		return c.fail(err)
	}
	return exitOK
}

// maxAnswer bounds what is read of one answer: 100 000 servers fit.
const maxAnswer = 256 << 20

// get reads a JSON answer into v; path is written with its escapes.
func (g *gatewayClient) get(ctx context.Context, path string, v any) error {
	return g.do(ctx, http.MethodGet, path, nil, v)
}

func (g *gatewayClient) do(ctx context.Context, method, path string, body []byte, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, g.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if g.token != "" {
		req.Header.Set("Authorization", "Bearer "+g.token)
	}
	resp, err := g.http.Do(req)
	if err != nil {
		var failure *url.Error
		if errors.As(err, &failure) {
			err = failure.Err
		}
		return fmt.Errorf("cannot ask the gateway at %s: %w", g.base.Host, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("cannot read the gateway's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return refused(resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("cannot read the gateway's answer: %w", err)
	}
	return nil
}

// refused is what the gateway said that is not 200.
func refused(status int, text []byte) error {
	var said struct{ Error, Detail string }
	if json.Unmarshal(text, &said) != nil || said.Detail == "" {
		return fmt.Errorf("the gateway answered %d", status)
	}
	return fmt.Errorf("the gateway answered %d %s: %s", status, said.Error, said.Detail)
}

func upstreamPath(name string) string { return "/api/v1/upstreams/" + url.PathEscape(name) }

// orderFlags are those of verbs that order something.
type orderFlags struct {
	ttl    *time.Duration
	reason *string
}

func newOrderFlags(fs *pflag.FlagSet) orderFlags {
	return orderFlags{fs.Duration("ttl", time.Hour, "how long it holds"), fs.String("reason", "", "why, for the audit log and whoever looks")}
}

func serverVerb(action string) func(c *ctl, args []string) int {
	return func(c *ctl, args []string) int {
		fs := c.gatewayFlags()
		of := newOrderFlags(fs)
		n := 2
		if action == "weight" {
			n = 3
		}
		if code, done := c.parse(fs, args, n, n); done {
			return code
		}
		weight := 0
		if action == "weight" {
			var err error
			if weight, err = strconv.Atoi(fs.Arg(2)); err != nil || weight < 1 || weight > 65535 {
				return c.wrong("weight %q is not 1 to 65535", fs.Arg(2))
			}
		}
		return c.order(fs.Arg(0), action, fs.Arg(1), weight, of)
	}
}

func wholeVerb(action string) func(c *ctl, args []string) int {
	return func(c *ctl, args []string) int {
		fs := c.gatewayFlags()
		of := newOrderFlags(fs)
		if code, done := c.parse(fs, args, 1, 1); done {
			return code
		}
		return c.order(fs.Arg(0), action, "", 0, of)
	}
}

func (c *ctl) order(name, action, server string, weight int, of orderFlags) int {
	if *of.ttl < time.Second {
		return c.wrong("ttl %v is less than 1s", *of.ttl)
	}
	body, err := json.Marshal(map[string]any{
		"server": server, "weight": weight, "ttl": of.ttl.String(), "by": c.user, "reason": *of.reason,
	})
	if err != nil {
		panic("BUG: cannot encode an order: " + err.Error())
	}
	return c.askGateway(func(ctx context.Context, g *gatewayClient) error {
		var done admin.Done
		if err := g.do(ctx, http.MethodPost, upstreamPath(name)+"/"+action, body, &done); err != nil {
			return err
		}
		return c.show(done, func(w io.Writer) { printDone(w, &done) })
	})
}
