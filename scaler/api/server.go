// Package api is the scaler's own HTTP API: what people and programs ask of a
// running scaler, and the client they ask it with.
//
// The server shows and changes a Backend, which the controller is, and adds
// what is the same for every request: who may (a token for every write, and
// for every read that does not come from the machine itself), that the leader
// answers (other processes send the client there), limits on sizes and times,
// and an audit log of every write with who asked, from where, for what, and
// what became of it. Exec and Run turn their connection into a stream of
// frames (frame.go) that carries a terminal.
//
// It decides nothing: it knows neither sizes nor machines. Handlers run on the
// goroutines of net/http; a stream has one more, which reads what the client
// types.
package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// DefaultListen is where the server listens if nothing else is said.
const DefaultListen = "127.0.0.1:9911"

// Limits of what a client may send and how long an answer may take.
const (
	maxHead       = 16 << 10
	maxBody       = 64 << 10
	headTimeout   = 5 * time.Second
	readTimeout   = 15 * time.Second // of a body
	idleTimeout   = 60 * time.Second
	answerTimeout = 30 * time.Second // of the backend
	writeTimeout  = 30 * time.Second // of one piece of output
	partTimeout   = 5 * time.Second  // for the client to see the end of a stream
)

// Options say where and how to serve.
type Options struct {
	// Listen is "host:port" or "unix:/path"; "" is DefaultListen.
	Listen string
	// TLS, if set, is what connections are served with.
	TLS *tls.Config
	// Token must come with every write, and with every read that is not from
	// this machine, as "Authorization: Bearer TOKEN". Without one those are
	// refused.
	Token string
	// TokenFile holds it instead, and is read again when it changes.
	TokenFile string
	// ReadToken, if set, is needed for every read (it, or Token), from this
	// machine as well.
	ReadToken string
	Backend   Backend
	// Metrics is served at /metrics; nil serves nothing there.
	Metrics http.Handler
	// Audit gets a line of JSON for each write, before and after; one that
	// cannot be written refuses the request. nil keeps the last ones in memory
	// alone.
	Audit io.Writer
	// Log gets what goes wrong; nil is slog.Default.
	Log *slog.Logger
	// Now is the clock of the audit log; nil is time.Now.
	Now func() time.Time
}

// Server is a listening API server.
type Server struct {
	backend Backend
	token   *tokenSource
	read    *tokenSource
	audit   *auditLog
	log     *slog.Logger
	ln      net.Listener
	http    *http.Server
	// ctx ends when Shutdown begins, and with it every stream.
	ctx     context.Context
	end     context.CancelFunc
	streams sync.WaitGroup
}

// New returns a server that listens already; Serve answers.
func New(o Options) (*Server, error) {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	token, err := newTokenSource(o.Token, o.TokenFile, o.Log)
	if err != nil {
		return nil, err
	}
	ln, err := listen(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for the scaler's API on %q: %w", o.Listen, err)
	}
	if o.TLS != nil {
		ln = tls.NewListener(ln, o.TLS)
	}
	read, _ := newTokenSource(o.ReadToken, "", o.Log)
	s := &Server{
		backend: o.Backend, token: token, read: read,
		audit: &auditLog{out: o.Audit, now: o.Now}, log: o.Log, ln: ln,
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s.handler(o.Metrics),
		ReadHeaderTimeout: headTimeout,
		WriteTimeout:      2 * answerTimeout, // streams and logs set their own
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		// HTTP/2 has no connections that could be turned into streams.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	return s, nil
}

// listen opens a TCP or unix socket. A unix socket whose owner is gone is
// replaced; only the owner and its group may connect.
func listen(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return net.Listen("tcp", address)
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("%q is served by another process", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return ln, os.Chmod(path, 0o660)
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Serve answers until Shutdown; then it returns nil.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot serve the scaler's API: %w", err)
	}
	return nil
}

// Shutdown stops listening, ends streams, and waits for what is under way
// until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.end()
	err := s.http.Shutdown(ctx)
	done := make(chan struct{})
	go func() {
		s.streams.Wait()
		close(done)
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
