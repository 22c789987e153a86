package aliyun

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"spillway/scaler/cloud"
)

// maxAnswer bounds what is read of an answer: all kinds of a region are some
// hundreds of KiB.
const maxAnswer = 32 << 20

// client speaks the RPC style of one service.
type client struct {
	endpoint string
	version  string
	http     *http.Client
	now      func() time.Time
	keys     *keyring
}

// direct is a client that follows no redirect: a signature is for one host.
func direct(c *http.Client) *http.Client {
	d := *c
	d.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &d
}

// call makes one request and decodes its answer. op is the kind of call as
// errors name it. Parameters travel in the body, because user data would be too
// long for a URL, and URLs get logged.
func (c *client) call(ctx context.Context, op, action string, params url.Values, answer any) error {
	keys, err := c.keys.get(ctx)
	if err != nil {
		return unsent(op, err)
	}
	var sent atomic.Bool
	r, err := c.request(ctx, action, params, keys, &sent)
	if err != nil {
		return &cloud.Error{Kind: cloud.Invalid, Op: op, Err: err}
	}
	a, err := c.http.Do(r)
	if err != nil {
		return unanswered(op, sent.Load(), hideURL(err))
	}
	defer a.Body.Close()
	body, err := io.ReadAll(io.LimitReader(a.Body, maxAnswer))
	if err != nil {
		return unanswered(op, true, err)
	}
	if a.StatusCode != http.StatusOK {
		e := refused(op, a, body)
		c.keys.doubt(keys, e)
		return e
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return unanswered(op, true, fmt.Errorf("cannot read the answer to %s: %w", action, err))
	}
	return nil
}

func (c *client) request(ctx context.Context, action string, params url.Values, keys Credentials, sent *atomic.Bool) (*http.Request, error) {
	// Once there is a connection the request may leave at any moment, even
	// after the call was given up.
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	body := params.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("x-acs-action", action)
	r.Header.Set("x-acs-version", c.version)
	r.Header.Set("x-acs-date", c.now().UTC().Format(time.RFC3339))
	r.Header.Set("x-acs-signature-nonce", nonce())
	if keys.token != "" {
		r.Header.Set("x-acs-security-token", string(keys.token))
	}
	sign(r.Header, r.Method, r.URL, []byte(body), keys)
	return r, nil
}

// nonce makes a repeated request a request of its own.
func nonce() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// unsent is the error of a call that was not made.
func unsent(op string, err error) error {
	var typed *cloud.Error
	if errors.As(err, &typed) {
		return &cloud.Error{Kind: typed.Kind, Op: op, What: typed.What, After: typed.After, Err: err}
	}
	return &cloud.Error{Kind: cloud.Transient, Op: op, Err: err}
}

// unanswered is the error of a call whose outcome nobody heard of: doubt, if it
// may have been received and changes anything.
func unanswered(op string, sent bool, err error) error {
	c := cloud.Call{Op: op}
	if sent && c.Writes() {
		return &cloud.Error{Kind: cloud.Ambiguous, Op: op, Err: err}
	}
	return &cloud.Error{Kind: cloud.Transient, Op: op, Err: err}
}

// hideURL takes the URL out of an error of net/http.
func hideURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// fault is what ECS answers instead of doing what it was asked.
type fault struct {
	Code      string
	Message   string
	RequestID string `json:"RequestId"`
}

const maxMessage = 300

func (f *fault) Error() string {
	m := f.Message
	if len(m) > maxMessage {
		// Those about signatures repeat the request.
		m = strings.ToValidUTF8(m[:maxMessage], "") + "..."
	}
	return fmt.Sprintf("%s: %s (request %s)", f.Code, m, f.RequestID)
}

// refused is the typed error of an answer that is not 200.
func refused(op string, a *http.Response, body []byte) *cloud.Error {
	f := &fault{}
	if json.Unmarshal(body, f) != nil || f.Code == "" {
		f = &fault{Code: "HTTP " + strconv.Itoa(a.StatusCode), Message: "the answer is not one of this API"}
	}
	e := sorted(op, a.StatusCode, f.Code)
	e.Err = f
	if e.Kind == cloud.RateLimited {
		e.After = pause(a.Header)
	}
	return e
}

// usualPause is waited where a throttled call does not say how long.
const usualPause = 5 * time.Second

// pause is how long throttled calls must wait: Retry-After, or what is left of
// the window of the user's limits (x-ratelimit-user, "..TimeLeft:1200", in ms).
func pause(h http.Header) time.Duration {
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s >= 0 {
		return time.Duration(s) * time.Second
	}
	var most time.Duration
	for _, name := range []string{"x-ratelimit-user", "x-ratelimit-user-api"} {
		for part := range strings.SplitSeq(h.Get(name), ",") {
			left, ok := strings.CutPrefix(strings.TrimSpace(part), "TimeLeft:")
			if ms, err := strconv.Atoi(left); ok && err == nil && ms >= 0 {
				most = max(most, time.Duration(ms)*time.Millisecond)
			}
		}
	}
	if most == 0 {
		return usualPause
	}
	return min(most, time.Hour)
}
