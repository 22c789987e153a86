package devregistry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Server is a registry on a port, with the faults of an agent and of the
// network between: it may stop and come back, refuse, and be partitioned.
//
//	serving --Stop--> stopped --Resume--> serving     connection refused
//	serving --Partition--> silent --Heal--> serving   packets dropped, no RST
type Server struct {
	registry *Registry
	tls      *tls.Config
	addr     string // as bound: Resume takes the same port

	mu     sync.Mutex
	http   *http.Server
	served chan struct{}
	conns  map[*conn]struct{}
	silent chan struct{} // closed on Heal; nil while not partitioned
	closed bool
}

// Start serves the registry on addr, such as "127.0.0.1:0".
func (r *Registry) Start(addr string) (*Server, error) { return r.start(addr, nil) }

// StartTLS serves with TLS and HTTP/2; the config's ClientAuth and ClientCAs
// make it mutual.
func (r *Registry) StartTLS(addr string, config *tls.Config) (*Server, error) {
	return r.start(addr, config.Clone())
}

func (r *Registry) start(addr string, config *tls.Config) (*Server, error) {
	s := &Server{registry: r, tls: config, addr: addr, conns: make(map[*conn]struct{})}
	if err := s.Resume(); err != nil {
		return nil, err
	}
	r.opts.Logger.Warn("development registry started: in-memory, not for production", "url", s.URL())
	return s, nil
}

// Addr returns the address the server is, or was, bound to.
func (s *Server) Addr() string { return s.addr }

// URL returns the base URL of the server.
func (s *Server) URL() string {
	if s.tls != nil {
		return "https://" + s.addr
	}
	return "http://" + s.addr
}

// Resume listens on the port again after Stop.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.http != nil {
		return errors.New("cannot resume a registry server that is running or closed")
	}
	ln, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", s.addr, err)
	}
	s.addr = ln.Addr().String()
	s.http = &http.Server{
		Handler: s.registry.Handler(), TLSConfig: s.tls, ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(s.registry.opts.Logger.Handler(), slog.LevelDebug),
	}
	s.served = make(chan struct{})
	go s.serve(s.http, &listener{ln, s}, s.served)
	return nil
}

func (s *Server) serve(h *http.Server, ln net.Listener, served chan struct{}) {
	defer close(served)
	if s.tls != nil {
		_ = h.ServeTLS(ln, "", "") // always http.ErrServerClosed: Stop ends it
		return
	}
	_ = h.Serve(ln)
}

// Stop closes the port and every connection, as a killed agent does. Requests
// under way end when their handlers see it.
func (s *Server) Stop() {
	s.mu.Lock()
	h, served := s.http, s.served
	s.http = nil
	s.mu.Unlock()
	if h == nil {
		return
	}
	s.closeConns() // before net/http does: TLS would say goodbye into a partition
	_ = h.Close()
	<-served
	s.closeConns()
}

// closeConns closes what net/http no longer knows: hijacked connections.
func (s *Server) closeConns() {
	for _, c := range s.open() {
		_ = c.Close()
	}
}

func (s *Server) open() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}

// Close stops the server for good and waits for the requests under way. The
// registry stays usable.
func (s *Server) Close() {
	s.Heal()
	s.Stop()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.registry.AwaitIdle(ctx)
}

// Reset closes every connection with a RST; the port stays open.
func (s *Server) Reset() {
	for _, c := range s.open() {
		c.reset()
	}
}

// Connections returns how many connections are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Partition silences the server: nothing is read or written any more on any
// connection, old or new, and none is closed, as if packets were dropped.
func (s *Server) Partition() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent == nil {
		s.silent = make(chan struct{})
	}
}

// Heal ends a partition: what waited goes through, as TCP sends again.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent != nil {
		close(s.silent)
		s.silent = nil
	}
}

func (s *Server) silence() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silent
}
