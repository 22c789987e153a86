package hetzner

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"

	"spillway/scaler/cloud"
)

// codes sort the refusals of the API ("Errors", and "Server actions" of each
// call). What is not here is judged by its status (kindOf).
var codes = map[hcloud.ErrorCode]cloud.Kind{
	hcloud.ErrorCodeResourceUnavailable:   cloud.NoCapacity,
	hcloud.ErrorCodePlacementError:        cloud.NoCapacity,
	hcloud.ErrorCodeNoSpaceLeftInLocation: cloud.NoCapacity,
	hcloud.ErrorCodeNoSubnetAvailable:     cloud.NoCapacity,
	hcloud.ErrorCodeResourceLimitExceeded: cloud.Quota,
	hcloud.ErrorCodeRateLimitExceeded:     cloud.RateLimited,
	hcloud.ErrorCodeUnauthorized:          cloud.Auth,
	hcloud.ErrorCodeForbidden:             cloud.Auth,
	"token_readonly":                      cloud.Auth,
	hcloud.ErrorCodeNotFound:              cloud.NotFound,
	hcloud.ErrorCodeLocked:                cloud.Transient,
	hcloud.ErrorCodeResourceLocked:        cloud.Transient,
	hcloud.ErrorCodeProtected:             cloud.Transient, // until a person lifts it
	hcloud.ErrorCodeConflict:              cloud.Transient, // "please retry": it was not done
	hcloud.ErrorCodeMaintenance:           cloud.Transient,
	"unavailable":                         cloud.Transient, // 503: it was not taken
	hcloud.ErrorCodeInvalidInput:          cloud.Invalid,
	hcloud.ErrorCodeJSONError:             cloud.Invalid,
	hcloud.ErrorCodeInvalidServerType:     cloud.Invalid,
	hcloud.ErrorUnsupportedError:          cloud.Invalid,
	hcloud.ErrorDeprecatedAPIEndpoint:     cloud.Invalid,
}

// call is one request on its way.
type call struct {
	ctx  context.Context
	op   string
	what string
	now  func() time.Time
	sent atomic.Bool // a connection was there: it may have arrived
}

func (d *Driver) call(ctx context.Context, op, what string) *call {
	c := &call{op: op, what: what, now: d.options.Now}
	c.ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { c.sent.Store(true) },
	})
	return c
}

// typed makes an error of the client one of ours.
func (c *call) typed(answer *hcloud.Response, err error) error {
	var refused hcloud.Error
	if errors.As(err, &refused) {
		return c.refusal(answer, refused)
	}
	status := 0
	if answer != nil && answer.Response != nil {
		status = answer.StatusCode
	}
	out := &cloud.Error{Kind: cloud.Transient, Op: c.op, What: c.what, Err: err}
	if (c.sent.Load() || status != 0) && c.writes() {
		out.Kind = cloud.Ambiguous
	}
	if errors.Is(err, hcloud.ErrStatusCode) {
		out.Kind = c.kindOf("", status)
	}
	if out.Kind == cloud.RateLimited {
		out.After = c.after(answer)
	}
	return out
}

func (c *call) refusal(answer *hcloud.Response, refused hcloud.Error) error {
	status := 0
	if answer != nil && answer.Response != nil {
		status = answer.StatusCode
	}
	out := &cloud.Error{Kind: c.kindOf(refused.Code, status), Op: c.op, What: c.what, Err: refused}
	switch out.Kind {
	case cloud.RateLimited:
		out.After = c.after(answer)
	case cloud.Quota, cloud.Auth, cloud.Invalid:
		out.What = cmp.Or(field(refused), string(refused.Code), c.what)
	}
	return out
}

// field is what an invalid_input is about.
func field(e hcloud.Error) string {
	if d, ok := e.Details.(hcloud.ErrorDetailsInvalidInput); ok && len(d.Fields) > 0 {
		return d.Fields[0].Name
	}
	return ""
}

// kindOf judges by the code and then by the status: a server's error may have
// come after the work was done. What an order does not find is a part of it.
func (c *call) kindOf(code hcloud.ErrorCode, status int) cloud.Kind {
	kind, known := codes[code]
	switch {
	case known && kind == cloud.NotFound && c.op != cloud.OpDelete:
		return cloud.Invalid
	case known:
		return kind
	case status == http.StatusTooManyRequests:
		return cloud.RateLimited
	case status == http.StatusServiceUnavailable:
		return cloud.Transient
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return cloud.Auth
	case status/100 == 4 && code != "":
		return cloud.Invalid
	case c.writes():
		return cloud.Ambiguous
	}
	return cloud.Transient
}

func (c *call) writes() bool {
	w := cloud.Call{Op: c.op}
	return w.Writes()
}

// minWait is the wait after a 429 that says nothing better.
const minWait = time.Second

// after is how long a project that has no request left waits for the next one.
// RateLimit-Reset tells when all of them are back ("Rate limiting"): the time
// until then, shared out among them.
func (c *call) after(answer *hcloud.Response) time.Duration {
	if answer == nil || answer.Response == nil {
		return minWait
	}
	if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	limit := answer.Meta.Ratelimit
	missing := limit.Limit - limit.Remaining
	if missing <= 0 || limit.Reset.IsZero() {
		return minWait
	}
	return max(minWait, limit.Reset.Sub(c.now())/time.Duration(missing))
}
