package consul

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// readError is a failed read with the word it is counted under.
type readError struct {
	reason string
	err    error
}

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// redirectError refuses a redirect.
type redirectError struct{ why string }

func (e *redirectError) Error() string { return e.why }

// Reason is the word a failed read is counted under: "unreachable",
// "forbidden", "rate_limited", "server_error", "status", "redirect", "slow",
// "too_large", "decode" or "apply".
func Reason(err error) string {
	var e *readError
	if errors.As(err, &e) {
		return e.reason
	}
	return "unreachable"
}

// decode reads the answer into the decoder's staged set, and counts the time
// that took without the time spent waiting for bytes.
func (w *watch) decode(ctx context.Context, cancel context.CancelCauseFunc, resp *http.Response) (changed bool, err error) {
	began := time.Now()
	if resp.StatusCode == http.StatusNotFound && w.q.Kind == KV && resp.Header.Get("X-Consul-Index") != "" {
		return w.dec.absent(), nil
	}
	if resp.StatusCode != http.StatusOK {
		e := statusError(resp)
		return false, &readError{statusReason(e.Code), e}
	}
	if ct := resp.Header.Get("Content-Type"); strings.HasPrefix(ct, "text/html") {
		return false, &readError{"decode", fmt.Errorf("answer is %s: this is no Consul", ct)}
	}
	body := newSteady(resp.Body, func() { cancel(errSlow) })
	defer body.stop()
	r, err := w.plain(resp, body)
	if err == nil {
		changed, err = w.dec.decode(r)
	}
	w.pace.spent(time.Since(began) - body.idle)
	if err != nil {
		return false, bodyError(ctx, err)
	}
	return changed, nil
}

func statusReason(code int) string {
	switch {
	case code == http.StatusForbidden || code == http.StatusUnauthorized:
		return "forbidden"
	case code == http.StatusTooManyRequests:
		return "rate_limited"
	case code >= 500:
		return "server_error"
	}
	return "status"
}

func bodyError(ctx context.Context, err error) error {
	var large *TooLarge
	switch {
	case errors.As(err, &large):
		return &readError{"too_large", err}
	case context.Cause(ctx) != nil:
		return &readError{"slow", context.Cause(ctx)}
	}
	return &readError{"decode", fmt.Errorf("cannot decode answer: %w", err)}
}

// plain undoes a compression nobody asked for; the bound holds for what comes
// out too.
func (w *watch) plain(resp *http.Response, body io.Reader) (io.Reader, error) {
	if resp.Header.Get("Content-Encoding") != "gzip" {
		return body, nil
	}
	z, err := gzip.NewReader(body)
	if err != nil {
		return nil, err
	}
	return &boundedBody{ReadCloser: z, left: w.c.cfg.MaxBytes, max: w.c.cfg.MaxBytes}, nil
}

// steady ends a body that comes more slowly than a sick network would bring
// it: after a grace of seconds, less than 32 KiB a second.
type steady struct {
	io.Reader
	timer *time.Timer
	start time.Time
	n     int64
	set   time.Time
	idle  time.Duration // spent waiting for bytes
}

const (
	steadyGrace = 3 * time.Second
	steadyRate  = 32 << 10
)

func newSteady(r io.Reader, slow func()) *steady {
	now := time.Now()
	return &steady{Reader: r, timer: time.AfterFunc(steadyGrace, slow), start: now, set: now.Add(steadyGrace)}
}

func (s *steady) stop() { s.timer.Stop() }

// Read implements io.Reader. The timer is moved only when there is a second to
// gain.
func (s *steady) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := s.Reader.Read(p)
	s.idle += time.Since(began)
	s.n += int64(n)
	due := s.start.Add(steadyGrace + time.Duration(float64(s.n)/steadyRate*float64(time.Second)))
	if due.Sub(s.set) > time.Second {
		s.set = due
		s.timer.Reset(time.Until(due))
	}
	return n, err
}

// fail reports a failed read and waits as long as its kind asks for. Data and
// index stay.
func (w *watch) fail(ctx context.Context, err error) {
	w.fails++
	w.after, w.block = true, false
	reason := Reason(err)
	if w.h.Failed != nil {
		w.h.Failed(reason, err)
	}
	var status *StatusError
	errors.As(err, &status)
	t := &w.c.timing
	switch reason {
	case "unreachable":
		// The next read waits for the address to come back. If that was no
		// help the last time, the fault is in this read.
		if w.fails > 1 {
			sleep(ctx, t.backoff(w.fails-1, w.c.env.Rand()))
		}
	case "forbidden":
		w.c.complain("access denied", fmt.Errorf("%s %q: %w", w.q.Kind, w.q.Name, err))
		w.awaitToken(ctx)
	case "rate_limited":
		w.c.sockets.lower(w.c.env.Now())
		sleep(ctx, max(status.RetryAfter, t.backoff(w.fails+1, w.c.env.Rand())))
	case "server_error":
		if w.c.isSick(ctx, w.life, err) {
			return // the next read waits for the address to recover
		}
		sleep(ctx, max(status.RetryAfter, t.backoff(w.fails, w.c.env.Rand())))
	default:
		sleep(ctx, t.backoff(w.fails, w.c.env.Rand()))
	}
}

// tokenPoll is how often a changed token is looked for while the one in use is
// refused.
const tokenPoll = 500 * time.Millisecond

// awaitToken waits before a refused token is tried again. A new token is
// tried within a second.
func (w *watch) awaitToken(ctx context.Context) {
	was := w.c.currentToken()
	until := w.c.env.Now().Add(w.c.timing.forbidden)
	for ctx.Err() == nil && w.c.env.Now().Before(until) && w.c.currentToken() == was {
		sleep(ctx, min(tokenPoll, w.c.timing.forbidden))
	}
}
