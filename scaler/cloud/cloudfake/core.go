// Package cloudfake is the front of public clouds, for tests: it speaks the
// wire formats of EC2 and others and passes what it is asked on to a
// cloud.Driver, a simulated cloud or engines on this computer. So a real
// driver, its signing and its error codes are tried without an account, and
// whatever the cloud behind does (no stock, quotas, list lag, throttling, lost
// answers) arrives in the code and the shape of the cloud it plays.
//
// A Server is opened once for a cloud behind; each wire is a listener of its
// own, opened by the method of that cloud (EC2, ...), which tells its URL. The
// file core.go has what wires share: the listeners, outages, counting, doubt.
// A wire keeps what only its protocol knows, such as credentials, page tokens
// or an order of states, and never machines: those are behind.
//
// Only tests import it. Its goroutines are those of net/http/httptest and end
// with Close. It is safe for concurrent use.
package cloudfake

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"spillway/scaler/cloud"
)

// Options are what differs from test to test. The zero value is a faultless
// front on the system's clock.
type Options struct {
	// Now is the cloud's clock: what signatures, tokens and credentials are
	// dated by; nil: the system's.
	Now func() time.Time
	// Faults strike calls on their way to the cloud behind; a simulated cloud
	// has more of its own.
	Faults []cloud.Fault
	// PageSize is the most machines on one page of a list; 0: the wire's own.
	PageSize int
}

// Server is one account at a cloud, in front of d.
type Server struct {
	d       cloud.Driver
	options Options

	mu        sync.Mutex
	listeners map[string]*httptest.Server
	calls     map[string]int
	down      time.Time // nothing is served until then
}

// New opens a server that is closed at the end of the test.
func New(t testing.TB, d cloud.Driver, o Options) *Server {
	s := Open(d, o)
	t.Cleanup(s.Close)
	return s
}

// Open opens a server for whoever has no test at hand; Close it.
func Open(d cloud.Driver, o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{
		d: cloud.Faults(d, o.Faults...), options: o,
		listeners: map[string]*httptest.Server{}, calls: map[string]int{},
	}
}

// Close ends all listeners. Requests that are being served end first.
func (s *Server) Close() {
	s.mu.Lock()
	open := s.listeners
	s.listeners = map[string]*httptest.Server{}
	s.mu.Unlock()
	for _, l := range open {
		l.Close()
	}
}

// Down makes every wire answer nothing but its own "unavailable" for d.
func (s *Server) Down(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = s.now().Add(d)
}

// Calls counts the requests that arrived, refused ones too, by wire and the
// protocol's own name of the call: "ec2 RunInstances".
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// count notes a request; wires call it once for each.
func (s *Server) count(wire, call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[wire+" "+call]++
}

func (s *Server) now() time.Time { return s.options.Now() }

func (s *Server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Before(s.down)
}

// refusal writes an error in the form of a wire. It is never given doubt.
type refusal func(w http.ResponseWriter, r *http.Request, err *cloud.Error)

// handler is a wire's part of serving one request: it writes the answer, or
// returns the error that answers. It must not have written anything then.
type handler func(w http.ResponseWriter, r *http.Request) error

// listen opens a wire's listener, or finds the one that is open, and tells its
// URL, without a slash at its end.
func (s *Server) listen(wire string, h handler, refuse refusal) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listeners[wire]
	if l == nil {
		l = httptest.NewServer(s.serve(h, refuse))
		s.listeners[wire] = l
	}
	return l.URL
}

func (s *Server) serve(h handler, refuse refusal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.isDown() {
			refuse(w, r, &cloud.Error{Kind: cloud.Transient, Err: errDown})
			return
		}
		// A cloud goes on with what it was asked even if who asked has gone.
		if err := h(w, r.WithContext(context.WithoutCancel(r.Context()))); err != nil {
			s.fail(w, r, err, refuse)
		}
	})
}

var errDown = errors.New("the service is unavailable")

// fail answers an error. Doubt has no answer: the connection is cut, as it is
// when an answer gets lost.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error, refuse refusal) {
	var typed *cloud.Error
	if !errors.As(err, &typed) {
		typed = &cloud.Error{Kind: cloud.Transient, Err: err}
	}
	if typed.Kind == cloud.Ambiguous {
		panic(http.ErrAbortHandler)
	}
	refuse(w, r, typed)
}

// page cuts a list that begins at offset into a page and tells where the next
// one begins; 0: there is none.
func page[T any](all []T, offset, size int) (part []T, next int) {
	if offset < 0 || offset > len(all) {
		return nil, 0
	}
	part = all[offset:]
	if size > 0 && len(part) > size {
		return part[:size], offset + size
	}
	return part, 0
}

// pageSize is the size of a page: what the caller wants, within what this
// server grants.
func (s *Server) pageSize(wanted, most int) int {
	if s.options.PageSize > 0 {
		most = s.options.PageSize
	}
	if wanted > 0 && wanted < most {
		return wanted
	}
	return most
}

// stopper is the cloud behind as one that stops machines.
func (s *Server) stopper(op string) (cloud.Stopper, error) {
	if stopper, ok := s.d.(cloud.Stopper); ok {
		return stopper, nil
	}
	return nil, &cloud.Error{Kind: cloud.Invalid, Op: op, Err: errors.New("the cloud behind cannot stop machines")}
}
