package openstack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"spillway/scaler/cloud"
)

// call is one request on its way.
type call struct {
	ctx  context.Context
	op   string
	what string
	sent atomic.Bool // a connection was there: it may have arrived
}

func newCall(ctx context.Context, op, what string) *call {
	c := &call{op: op, what: what}
	c.ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { c.sent.Store(true) },
	})
	return c
}

// typed makes an error of gophercloud one of ours.
func (c *call) typed(err error) error {
	var login *gophercloud.ErrUnableToReauthenticate
	if errors.As(err, &login) {
		return loginError(c.op, login.ErrReauth) // the request itself was refused
	}
	var refused gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &refused) {
		return c.refusal(&refused, err)
	}
	kind := cloud.Transient
	if c.sent.Load() && c.writes() {
		kind = cloud.Ambiguous
	}
	return &cloud.Error{Kind: kind, Op: c.op, What: c.what, Err: err}
}

func (c *call) refusal(refused *gophercloud.ErrUnexpectedResponseCode, err error) error {
	text := message(refused.Body)
	out := &cloud.Error{Kind: c.kindOf(refused.Actual, text), Op: c.op, What: c.what, Err: &answerError{refused.Actual, text, err}}
	switch out.Kind {
	case cloud.RateLimited:
		out.After = retryAfter(refused.ResponseHeader)
	case cloud.Quota:
		out.What = cmp.Or(overQuota(text), "quota")
	}
	return out
}

// kindOf sorts the answers of Nova ("Faults", Compute API guide): by the status,
// and by the text where one status has several meanings. A server's error may
// have come after the work was done.
func (c *call) kindOf(status int, text string) cloud.Kind {
	switch {
	case status == http.StatusTooManyRequests || status == http.StatusRequestEntityTooLarge:
		return cloud.RateLimited
	case status == http.StatusForbidden && overQuota(text) != "":
		return cloud.Quota
	case strings.Contains(text, "No valid host"):
		return cloud.NoCapacity
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return cloud.Auth
	case status == http.StatusNotFound && c.op != cloud.OpCreate:
		return cloud.NotFound
	case status == http.StatusConflict && c.op != cloud.OpCreate, status == http.StatusServiceUnavailable:
		return cloud.Transient // another task is under way; it was not taken
	case status/100 == 4:
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

// loginError sorts what Keystone says, and what comes before it does.
func loginError(op string, err error) error {
	out := &cloud.Error{Kind: cloud.Transient, Op: op, What: "login", Err: err}
	var refused gophercloud.ErrUnexpectedResponseCode
	var missing gophercloud.ErrMissingInput
	switch {
	case errors.As(err, &missing):
		out.Kind = cloud.Auth
	case errors.As(err, &refused):
		switch status := refused.Actual; {
		case status == http.StatusTooManyRequests || status == http.StatusRequestEntityTooLarge:
			out.Kind, out.After = cloud.RateLimited, retryAfter(refused.ResponseHeader)
		case status/100 == 4:
			out.Kind = cloud.Auth
		}
		out.Err = &answerError{refused.Actual, message(refused.Body), err}
	}
	return out
}

// answerError is a refusal in few words.
type answerError struct {
	status int
	text   string
	err    error
}

func (e *answerError) Error() string {
	return "status " + strconv.Itoa(e.status) + ": " + cmp.Or(e.text, http.StatusText(e.status))
}

func (e *answerError) Unwrap() error { return e.err }

// longest is how much of an answer that is no fault of Nova's is shown.
const longest = 300

// message is the text of a fault: {"forbidden": {"code": 403, "message": "..."}},
// of a proxy's {"error": "..."}, or what there is.
func message(body []byte) string {
	var faults map[string]json.RawMessage
	if json.Unmarshal(body, &faults) == nil {
		for _, raw := range faults {
			var fault struct {
				Message string `json:"message"`
			}
			if json.Unmarshal(raw, &fault) == nil && fault.Message != "" {
				return fault.Message
			}
		}
	}
	text := strings.ToValidUTF8(strings.TrimSpace(string(body)), "?")
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return text
}

// quota matches "Quota exceeded for cores, ram: Requested 4, 8192, but already
// used 20 of 20 cores", and the wording of unified limits.
var quota = regexp.MustCompile(`Quota exceeded for ([a-z_, ]+)|is over limits? for \[([^\]]*)\]|(Maximum number of [a-z ]+) exceeded`)

// overQuota is which quota it was, empty if it was none.
func overQuota(text string) string {
	m := quota.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return cmp.Or(strings.TrimSpace(cmp.Or(m[1:]...)), "quota")
}

// minWait is the wait after a refusal that names none.
const minWait = time.Second

func retryAfter(h http.Header) time.Duration {
	s, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || s < 1 {
		return minWait
	}
	return time.Duration(s) * time.Second
}

func failure(kind cloud.Kind, op, what, text string) error {
	return &cloud.Error{Kind: kind, Op: op, What: what, Err: errors.New(text)}
}
