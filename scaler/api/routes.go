package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// handler serves these paths:
//
//	GET   /-/healthy /-/ready               of this process; open to anyone
//	GET   /metrics                          of this process
//	GET   /api/v1/status                    and the rest is answered by the leader
//	GET   /api/v1/apps/{app}/why            ?at=2026-03-01T12:00:00Z
//	GET   /api/v1/plan
//	GET   /api/v1/nodes
//	GET   /api/v1/instances                 ?app=NAME
//	GET   /api/v1/instances/{id}/logs       ?tail=N&follow=true
//	GET   /api/v1/audit                     ?limit=N, of this process
//	POST  /api/v1/apps/{app}/scale          {"delta":2,"ttl":"1h"}
//	POST  /api/v1/apps/{app}/pause          {"ttl":"1h"}; {app} may be -, for all
//	POST  /api/v1/apps/{app}/resume
//	POST  /api/v1/nodes/{id}/{action}       cordon, drain, undrain, replace
//	POST  /api/v1/instances/{id}/exec       Upgrade: spillway-stream
//	POST  /api/v1/run                       Upgrade: spillway-stream
func (s *Server) handler(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "healthy") })
	mux.HandleFunc("GET /-/ready", s.ready)
	if metrics != nil {
		mux.Handle("GET /metrics", s.reading(metrics.ServeHTTP))
	}
	mux.Handle("GET /api/v1/audit", s.reading(s.audited))
	for path, read := range map[string]http.HandlerFunc{
		"status": s.status, "apps/{app}/why": s.why, "plan": s.plan, "nodes": s.nodes,
		"instances": s.instances, "instances/{id}/logs": s.logs,
	} {
		mux.Handle("GET /api/v1/"+path, s.reading(s.leading(read)))
	}
	for path, write := range map[string]writer{
		"apps/{app}/scale": s.scale, "apps/{app}/pause": s.pause, "apps/{app}/resume": s.resume,
		"nodes/{id}/{action}": s.node, "instances/{id}/exec": s.exec, "run": s.run,
	} {
		mux.Handle("POST /api/v1/"+path, s.writing(write))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { nothing(mux, w, r) })
	return s.rescued(mux)
}

// nothing answers what no handler takes: 405 if it is taken under another
// method, 404 otherwise.
func nothing(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	for _, method := range [...]string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "/" {
			w.Header().Set("Allow", method)
			fail(w, failure{"method_not_allowed", http.StatusMethodNotAllowed, "this path takes " + method})
			return
		}
	}
	fail(w, failure{"not_found", http.StatusNotFound, "nothing is served at " + r.URL.Path})
}

// rescued answers 500 if a handler panics, and goes on.
func (s *Server) rescued(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			s.log.Error("API handler panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			fail(w, failure{"internal", http.StatusInternalServerError, "a bug, see the log"})
		}()
		next.ServeHTTP(w, r)
	})
}

// reading lets those in who may read.
func (s *Server) reading(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.mayRead(r) {
			unauthorized(w)
			return
		}
		next(w, r)
	})
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	fail(w, failure{"unauthorized", http.StatusUnauthorized, "send Authorization: Bearer TOKEN with the scaler's token"})
}

// leading passes on what this process may answer, and sends clients to the
// leader otherwise.
func (s *Server) leading(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if self, _ := s.backend.Leader(); !self {
			s.redirect(w, r)
			return
		}
		next(w, r)
	}
}

func (s *Server) redirect(w http.ResponseWriter, r *http.Request) {
	self, leader := s.backend.Leader()
	if self || leader == "" {
		w.Header().Set("Retry-After", "1")
		fail(w, failureOf(fmt.Errorf("%w, and no leader is known", ErrNotLeader)))
		return
	}
	w.Header().Set("Location", strings.TrimSuffix(leader, "/")+r.URL.RequestURI())
	fail(w, failure{"not_leader", http.StatusTemporaryRedirect, "the leader is " + leader})
}

// answer writes v, or what kept it from being there.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, v any, err error) (status int, detail string) {
	switch {
	case errors.Is(err, ErrNotLeader):
		s.redirect(w, r)
		return http.StatusTemporaryRedirect, err.Error()
	case err != nil:
		f := failureOf(err)
		fail(w, f)
		return f.Code, f.Detail
	}
	reply(w, http.StatusOK, v)
	return http.StatusOK, ""
}

// writer serves a write. It returns what goes into the audit log.
type writer func(w http.ResponseWriter, r *http.Request, by string) (status int, detail string)

// writing lets those in who may write, takes the request down in the audit
// log before and after, and reads its body.
func (s *Server) writing(next writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.mayWrite(w, r) {
			return
		}
		if self, _ := s.backend.Leader(); !self {
			s.redirect(w, r) // the leader audits it
			return
		}
		body, ok := readBody(w, r)
		if !ok {
			return
		}
		e, err := s.audit.begin(AuditEntry{
			By: claimed(r), From: r.RemoteAddr, What: r.Method + " " + r.URL.Path, Body: masked(body),
		})
		if err != nil {
			s.log.Error("write refused", "error", err)
			fail(w, failure{"audit_failed", http.StatusServiceUnavailable, err.Error()})
			return
		}
		status, detail := next(w, r.WithContext(context.WithValue(r.Context(), bodyKey{}, body)), e.By)
		s.took(e, status, detail)
	})
}

// bodyKey is where writing keeps the body it read.
type bodyKey struct{}

// readBody reads a body within its limits of size and time, or answers why not.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(readTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = control.SetReadDeadline(time.Time{})
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		fail(w, failure{"too_large", http.StatusRequestEntityTooLarge, fmt.Sprintf("a body has at most %d bytes", maxBody)})
	case err != nil:
		fail(w, failure{"no_body", http.StatusBadRequest, "cannot read body: " + err.Error()})
	}
	return body, err == nil
}

func (s *Server) mayWrite(w http.ResponseWriter, r *http.Request) bool {
	set, ok := s.token.check(r)
	if ok {
		return true
	}
	s.log.Warn("write refused", "token", set, "from", r.RemoteAddr, "by", claimed(r), "what", r.Method+" "+r.URL.Path)
	w.Header().Set("Connection", "close") // whatever the body is
	if set {
		unauthorized(w)
	} else {
		fail(w, failure{"writes_disabled", http.StatusForbidden, "no token is configured, so nothing can be changed"})
	}
	return false
}

// took takes the end of a write down; it happened, so a log that cannot
// be written is only told.
func (s *Server) took(e AuditEntry, status int, detail string) {
	if err := s.audit.end(e, status, detail); err != nil {
		s.log.Error(err.Error())
	}
}

// userField names the person behind a request. It is what the client says:
// whoever has the token can say anything.
const userField = "Spillway-User"

func claimed(r *http.Request) string {
	if by := r.Header.Get(userField); by != "" {
		return by[:min(len(by), 128)]
	}
	return "unknown"
}

// decode reads the body a write was sent into v; none is {}.
func decode(r *http.Request, v any) error {
	body, _ := r.Context().Value(bodyKey{}).([]byte)
	if len(body) == 0 {
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: cannot read body: %w", ErrInvalid, err)
	}
	if dec.More() {
		return fmt.Errorf("%w: cannot read body: more than one value", ErrInvalid)
	}
	return nil
}
