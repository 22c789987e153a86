package devregistry

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Request is one entry of the request log. A request that is still under way
// has Status 0 and no Duration.
type Request struct {
	Time     time.Time
	Method   string
	Path     string
	Query    string
	Token    bool // it had one
	Remote   string
	Index    string // X-Consul-Index of the answer, as sent
	Status   int
	Bytes    int64
	Blocked  bool // it waited for a change
	Duration time.Duration
	Done     bool
}

// requestLog keeps the last requests, counters by path, and who waits now.
type requestLog struct {
	mu       sync.Mutex
	limit    int
	entries  []*Request
	counts   map[string]int
	inFlight int
	waiting  map[*recorder]struct{}
	changed  chan struct{} // closed and replaced at every change
}

// recorder notes what is answered. It passes flushes and hijacks through.
type recorder struct {
	http.ResponseWriter
	log   *requestLog
	entry *Request
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	w.log.update(func() {
		if w.entry.Status == 0 {
			w.entry.Status, w.entry.Index = status, w.Header().Get("X-Consul-Index")
		}
	})
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.entry.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	w.log.mu.Lock()
	w.entry.Bytes += int64(n)
	w.log.mu.Unlock()
	return n, err
}

func (l *requestLog) begin(w http.ResponseWriter, req *http.Request, now time.Time) *recorder {
	e := &Request{
		Time: now, Method: req.Method, Path: req.URL.Path, Query: req.URL.RawQuery,
		Remote: req.RemoteAddr, Token: tokenOf(req) != Anonymous,
	}
	l.update(func() {
		if l.counts == nil {
			l.counts = make(map[string]int)
		}
		l.entries = append(l.entries, e)
		if len(l.entries) > l.limit {
			l.entries = l.entries[len(l.entries)-l.limit:]
		}
		l.inFlight++
		l.counts[e.Path]++
	})
	return &recorder{ResponseWriter: w, log: l, entry: e}
}

func (l *requestLog) end(w *recorder, now time.Time) {
	l.update(func() {
		w.entry.Done, w.entry.Duration = true, now.Sub(w.entry.Time)
		l.inFlight--
	})
}

// blocked notes that the request behind w begins (+1) or ends (-1) to wait.
func (l *requestLog) blocked(w http.ResponseWriter, by int) {
	rec := recorderOf(w)
	if rec == nil {
		return
	}
	l.update(func() {
		if l.waiting == nil {
			l.waiting = make(map[*recorder]struct{})
		}
		if by < 0 {
			delete(l.waiting, rec)
			return
		}
		rec.entry.Blocked = true
		l.waiting[rec] = struct{}{}
	})
}

// recorderOf finds the recorder below the writers that faults put around it.
func recorderOf(w http.ResponseWriter) *recorder {
	for w != nil {
		if rec, ok := w.(*recorder); ok {
			return rec
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
	return nil
}

func (l *requestLog) update(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// await returns once cond holds; cond runs with the log's lock held.
func (l *requestLog) await(ctx context.Context, cond func() bool) error {
	for {
		l.mu.Lock()
		if cond() {
			l.mu.Unlock()
			return nil
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Requests returns the log, oldest first, of paths that begin with prefix.
func (r *Registry) Requests(prefix string) []Request {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	var out []Request
	for _, e := range r.log.entries {
		if strings.HasPrefix(e.Path, prefix) {
			out = append(out, *e)
		}
	}
	return out
}

// Count returns how many requests came to paths that begin with prefix since
// the start or the last ResetLog.
func (r *Registry) Count(prefix string) int {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return r.log.count(prefix)
}

func (l *requestLog) count(prefix string) int {
	n := 0
	for path, c := range l.counts {
		if strings.HasPrefix(path, prefix) {
			n += c
		}
	}
	return n
}

// ResetLog empties the log and the counters; what is under way stays known.
func (r *Registry) ResetLog() {
	r.log.update(func() {
		r.log.entries = nil
		clear(r.log.counts)
	})
}

// InFlight returns how many requests are under way, those that wait included.
func (r *Registry) InFlight() int {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return r.log.inFlight
}

// Blocked returns how many requests wait for a change on a path that begins
// with prefix.
func (r *Registry) Blocked(prefix string) int {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	return r.log.blockedOn(prefix)
}

func (l *requestLog) blockedOn(prefix string) int {
	n := 0
	for rec := range l.waiting {
		if strings.HasPrefix(rec.entry.Path, prefix) {
			n++
		}
	}
	return n
}

// AwaitBlocked returns once at least n requests wait for a change on a path
// that begins with prefix, or with the error of ctx.
func (r *Registry) AwaitBlocked(ctx context.Context, prefix string, n int) error {
	return r.log.await(ctx, func() bool { return r.log.blockedOn(prefix) >= n })
}

// AwaitRequests returns once at least n requests came to a path that begins
// with prefix, or with the error of ctx.
func (r *Registry) AwaitRequests(ctx context.Context, prefix string, n int) error {
	return r.log.await(ctx, func() bool { return r.log.count(prefix) >= n })
}

// AwaitIdle returns once no request is under way, or with the error of ctx.
func (r *Registry) AwaitIdle(ctx context.Context) error {
	return r.log.await(ctx, func() bool { return r.log.inFlight == 0 })
}
