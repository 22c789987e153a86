// Package admin serves the operator's side of the gateway: liveness and
// readiness, metrics, nginx-upsync's upstream_show, a JSON API, profiles, and
// the few writes that need a token.
//
// It owns an HTTP server of its own, apart from the data plane, and knows the
// rest of the gateway only through the functions in Views, which its handlers
// call on the server's goroutines. A GET never changes anything. A write is
// refused without the configured token, also from loopback; requests under a
// foreign host name are refused on loopback, so that no web page can reach it
// by rebinding its name.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// DefaultListen is where the server listens if nothing else is said.
const DefaultListen = "127.0.0.1:9901"

// Limits of what a client may send and how long it may take. They are far
// above what the API needs.
const (
	maxHead      = 16 << 10
	maxBody      = 64 << 10
	maxConns     = 256
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = 60 * time.Second
)

// Options say where and how to serve.
type Options struct {
	// Listen is "host:port" or "unix:/path"; "" is DefaultListen.
	Listen string
	// Token is what writes must carry as "Authorization: Bearer TOKEN".
	// Without one every write is refused.
	Token string
	// TokenFile is a file that holds it instead, read again when it changes.
	TokenFile string
	// ReadToken, if set, is needed (it, or Token) for everything but
	// /-/healthy, /-/ready and /ping.
	ReadToken string
	// Views is what is shown.
	Views Views
	// Log gets what goes wrong; nil is slog.Default.
	Log *slog.Logger
}

// Server is a listening admin server.
type Server struct {
	views     Views
	writeAuth token
	tokenFile *tokenFile // instead of writeAuth, nil without one
	readAuth  token
	log       *slog.Logger
	ln        net.Listener
	// local says that only the machine itself can connect over TCP, which is
	// when a browser on it can be made to.
	local  bool
	routes map[string]route
	pprof  fasthttp.RequestHandler
	http   *fasthttp.Server
}

// New returns a server that listens already; Serve answers.
func New(o Options) (*Server, error) {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	var file *tokenFile
	if o.TokenFile != "" {
		var err error
		if file, err = openTokenFile(o.TokenFile, o.Log); err != nil {
			return nil, err
		}
	}
	ln, err := listen(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for admin on %q: %w", o.Listen, err)
	}
	s := &Server{
		views: o.Views, writeAuth: newToken(o.Token), readAuth: newToken(o.ReadToken), tokenFile: file,
		log: o.Log, ln: ln, local: isLoopback(ln.Addr()), pprof: profiles(),
	}
	s.routes = s.table()
	s.http = &fasthttp.Server{
		Handler:               s.handle,
		ErrorHandler:          s.badRequest,
		NoDefaultServerHeader: true,
		ReadBufferSize:        maxHead,
		MaxRequestBodySize:    maxBody,
		Concurrency:           maxConns,
		ReadTimeout:           readTimeout,
		WriteTimeout:          writeTimeout,
		IdleTimeout:           idleTimeout,
		CloseOnShutdown:       true,
		Logger:                printer{o.Log},
	}
	if !s.local && ln.Addr().Network() != "unix" && o.ReadToken == "" {
		o.Log.Warn("admin is reachable from other machines and can be read without a token", "listen", ln.Addr().String())
	}
	return s, nil
}

// listen opens a TCP or unix socket. A unix socket whose owner is gone is
// replaced, one that still answers is not; only the owner and its group may
// connect.
func listen(address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return net.Listen("tcp", address)
	}
	if fi, err := os.Lstat(path); err == nil && fi.Mode()&os.ModeSocket != 0 {
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close()
			return nil, errors.New("another process answers on this socket")
		}
		_ = os.Remove(path)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Serve answers until Shutdown, also one that came first.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.ln); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("cannot serve admin on %q: %w", s.ln.Addr(), err)
	}
	return nil
}

// Shutdown stops listening and waits for the requests that are being
// answered, at most until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	// fasthttp knows the listener only once Serve runs, so it is closed here
	// too: a Serve that comes late ends at once.
	defer s.ln.Close()
	if err := s.http.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("cannot end admin requests in time: %w", err)
	}
	return nil
}

// handle answers one request. A panic in a view is that request's alone.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic in admin request", "path", string(ctx.Path()), "panic", v, "stack", string(debug.Stack()))
			ctx.Response.Reset()
			fail(ctx, fasthttp.StatusInternalServerError, "internal", "the request failed; see the log")
		}
	}()
	h := &ctx.Response.Header
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if s.local && !localName(ctx.Host()) {
		fail(ctx, fasthttp.StatusForbidden, "foreign_host",
			"admin listens on loopback and answers only under an IP address or localhost")
		return
	}
	r, ok := s.find(string(ctx.Path()), ctx.IsPost())
	if !ok {
		fail(ctx, fasthttp.StatusNotFound, "not_found", "no such path; GET / lists them")
		return
	}
	if !s.allow(ctx, r) {
		if r.access == write {
			s.noteRefused(ctx)
		}
		return
	}
	r.serve(ctx)
}

// badRequest answers what fasthttp could not read.
func (s *Server) badRequest(ctx *fasthttp.RequestCtx, err error) {
	var small *fasthttp.ErrSmallBuffer
	var netErr net.Error
	switch {
	case errors.As(err, &small):
		fail(ctx, fasthttp.StatusRequestHeaderFieldsTooLarge, "head_too_large", fmt.Sprintf("a request head may have %d bytes", maxHead))
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		fail(ctx, fasthttp.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("a request body may have %d bytes", maxBody))
	case errors.As(err, &netErr) && netErr.Timeout():
		fail(ctx, fasthttp.StatusRequestTimeout, "timeout", "the request did not arrive in time")
	default:
		fail(ctx, fasthttp.StatusBadRequest, "bad_request", "the request is no valid HTTP")
	}
}

// printer gives fasthttp's messages to the log.
type printer struct{ log *slog.Logger }

func (p printer) Printf(format string, args ...any) {
	p.log.Warn("admin: " + strings.TrimSpace(fmt.Sprintf(format, args...)))
}
