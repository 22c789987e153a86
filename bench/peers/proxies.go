package peers

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// idlePerBackend is how many connections to one backend our own peers keep, as
// many as nginx is told to.
const idlePerBackend = 512

// serveFasthttp is the proxy that a Go team writes first: fasthttp on both
// sides, backends in turn, X-Forwarded-For, hop-by-hop headers removed.
func serveFasthttp(listen string, backends []string) error {
	clients := make([]*fasthttp.HostClient, len(backends))
	for i, addr := range backends {
		clients[i] = &fasthttp.HostClient{
			Addr:                     addr,
			MaxConns:                 idlePerBackend,
			MaxIdleConnDuration:      5 * time.Minute,
			NoDefaultUserAgentHeader: true,
		}
	}
	var turn atomic.Uint64
	server := &fasthttp.Server{
		NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			client := clients[turn.Add(1)%uint64(len(clients))]
			forwardFasthttp(ctx, client)
		},
	}
	return server.ListenAndServe(listen)
}

func forwardFasthttp(ctx *fasthttp.RequestCtx, client *fasthttp.HostClient) {
	ctx.Request.Header.Del("Connection")
	ctx.Request.Header.Set("X-Forwarded-For", ctx.RemoteIP().String())
	if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
		ctx.Error("bad gateway", fasthttp.StatusBadGateway)
		return
	}
	ctx.Response.Header.Del("Connection")
}

// serveNetHTTP is the standard library's ReverseProxy with idle connections
// kept and copy buffers reused.
func serveNetHTTP(listen string, backends []string) error {
	targets := make([]*url.URL, len(backends))
	for i, addr := range backends {
		targets[i] = &url.URL{Scheme: "http", Host: addr}
	}
	var turn atomic.Uint64
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			host := r.In.Host
			r.SetURL(targets[turn.Add(1)%uint64(len(targets))])
			r.Out.Host = host
			r.SetXForwarded()
		},
		// Without a pool it allocates 32 KiB for each answer it copies.
		BufferPool: &bufferPool{},
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxIdleConnsPerHost: idlePerBackend,
			IdleConnTimeout:     5 * time.Minute,
			DisableCompression:  true,
		},
	}
	server := &http.Server{Addr: listen, Handler: proxy, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// bufferPool lends ReverseProxy the buffers it copies bodies with.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }

// serve runs one of our own servers until it fails or is ended by a signal.
func serve(kind string, listen, backends []string) error {
	if len(listen) == 0 {
		return fmt.Errorf("cannot serve %q: no address to listen on", kind)
	}
	if kind != "backend" && len(backends) == 0 {
		return fmt.Errorf("cannot serve %q: no backend", kind)
	}
	switch kind {
	case "backend":
		return serveBackend(listen)
	case "forward":
		return serveForward(listen[0], backends)
	case "fasthttp":
		return serveFasthttp(listen[0], backends)
	case "nethttp":
		return serveNetHTTP(listen[0], backends)
	}
	return fmt.Errorf("cannot serve %q: one of backend, fasthttp, forward, nethttp", kind)
}
