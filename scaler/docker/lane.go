package docker

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
)

// lane is one engine as seen from here: its connections, the calls it may
// have in flight, and its breaker. What goes wrong with an engine stays in its
// lane.
type lane struct {
	opts    *Options
	engine  Engine
	key     [sha256.Size]byte
	breaker breaker
	// Semaphores: see Options.Calls.
	calls, works, sessions chan struct{}

	proto, address string
	tls            *tls.Config // nil: plain
	transport      *http.Transport
	broken         error // why this engine cannot be called at all
	agreed         atomic.Pointer[client.Client]

	networks chan struct{} // lock: a network is looked for and made
	pulls    pulls
}

func newLane(o *Options, e Engine, key [sha256.Size]byte) *lane {
	l := &lane{
		opts: o, engine: e, key: key, calls: make(chan struct{}, o.Calls), works: make(chan struct{}, o.Works),
		sessions: make(chan struct{}, o.Sessions), networks: make(chan struct{}, 1),
	}
	l.breaker = breaker{trip: o.Trip, first: o.Pause, limit: o.MaxPause}
	l.transport = &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx) },
		MaxIdleConnsPerHost: o.Calls,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
	l.broken = l.locate()
	return l
}

// locate reads the engine's address and certificates.
func (l *lane) locate() error {
	u, err := url.Parse(l.engine.Host)
	if err != nil {
		return fmt.Errorf("%w: address %q: %w", ErrInvalid, l.engine.Host, err)
	}
	switch {
	case u.Scheme == "unix" && u.Path != "":
		l.proto, l.address = "unix", u.Path
	case u.Scheme == "tcp" && u.Port() != "":
		l.proto, l.address = "tcp", u.Host
		l.tls, err = clientTLS(l.engine, u.Hostname())
	default:
		err = fmt.Errorf("%w: address %q is neither tcp://ip:port nor unix:///path", ErrInvalid, l.engine.Host)
	}
	return err
}

// clientTLS is nil when the engine has no certificates at all.
func clientTLS(e Engine, name string) (*tls.Config, error) {
	if len(e.CA)+len(e.Cert)+len(e.Key) == 0 {
		return nil, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(e.CA) {
		return nil, fmt.Errorf("%w: its CA holds no certificate", ErrInvalid)
	}
	own, err := tls.X509KeyPair(e.Cert, e.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: its client certificate: %w", ErrInvalid, err)
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}, ServerName: name, MinVersion: tls.VersionTLS12}, nil
}

// dial connects, with the handshake: both end with ctx. The client library is
// told that the connection is plain, because it would otherwise shake hands
// for a terminal without any deadline.
func (l *lane) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Call)
	defer cancel()
	c, err := l.opts.Dial(ctx, l.proto, l.address)
	if err != nil || l.tls == nil {
		return c, err
	}
	t := tls.Client(c, l.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, &net.OpError{Op: "handshake", Net: l.proto, Err: err}
	}
	return t, nil
}

func (l *lane) close() { l.transport.CloseIdleConnections() }

// short, long and session run a call in its turn and tell the breaker how it
// went. what completes "cannot ... on engine". A short call that reaches its
// deadline speaks against the engine; the others may do so for reasons of
// their own.
func (l *lane) short(ctx context.Context, what string, do func(context.Context, *client.Client) error) error {
	return wrap(what, l.engine, l.run(ctx, l.calls, do, true))
}

func (l *lane) long(ctx context.Context, what string, do func(context.Context, *client.Client) error) error {
	return wrap(what, l.engine, l.run(ctx, l.works, do, false))
}

func (l *lane) session(ctx context.Context, what string, do func(context.Context, *client.Client) error) error {
	return wrap(what, l.engine, l.run(ctx, l.sessions, do, false))
}

func (l *lane) run(ctx context.Context, turns chan struct{}, do func(context.Context, *client.Client) error, late bool) error {
	if l.broken != nil {
		return l.broken
	}
	if err := l.await(ctx, turns); err != nil {
		return err
	}
	defer func() { <-turns }()
	trial, err := l.breaker.allow(l.opts.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDown, err)
	}
	err = l.try(ctx, do)
	l.breaker.done(l.opts.Now(), trial, judge(ctx, err, late), err)
	return err
}

// await takes a turn.
func (l *lane) await(ctx context.Context, turns chan struct{}) error {
	select {
	case turns <- struct{}{}: // Fast path
		return nil
	default:
	}
	t := time.NewTimer(l.opts.Wait)
	defer t.Stop()
	select {
	case turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return ErrBusy
	}
}

func (l *lane) try(ctx context.Context, do func(context.Context, *client.Client) error) error {
	c, err := l.client(ctx)
	if err != nil {
		return err
	}
	err = do(ctx, c)
	if isVersion(err) {
		l.agreed.CompareAndSwap(c, nil)
	}
	return err
}

// client returns a client that speaks the API version agreed with the engine:
// the highest that both know. The agreement is made once, before the first
// call, and again when the engine refuses it.
func (l *lane) client(ctx context.Context) (*client.Client, error) {
	if c := l.agreed.Load(); c != nil { // Fast path
		return c, nil
	}
	c, err := l.newClient(api.DefaultVersion)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.Ping)
	defer cancel()
	ping, err := c.Ping(ctx)
	if err != nil {
		return nil, err
	}
	switch v := ping.APIVersion; {
	case v == "":
		return nil, errors.New("what answers there is no Docker Engine")
	case versions.LessThan(v, api.DefaultVersion):
		if c, err = l.newClient(v); err != nil {
			return nil, err
		}
	}
	l.agreed.Store(c)
	return c, nil
}

func (l *lane) newClient(version string) (*client.Client, error) {
	return client.NewClientWithOpts(
		client.WithHost(l.engine.Host),
		client.WithHTTPClient(&http.Client{Transport: l.transport, CheckRedirect: client.CheckRedirect}),
		client.WithScheme("http"), // see dial
		client.WithVersion(strings.TrimPrefix(version, "v")),
		client.WithUserAgent("spillway"),
	)
}

// within bounds one request to the engine.
func within[T any](ctx context.Context, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx)
}
