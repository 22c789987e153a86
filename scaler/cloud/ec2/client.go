package ec2

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// client speaks the Query protocol with one service: a form goes there, signed,
// and XML comes back. It neither retries nor waits: the wrappers do.
type client struct {
	service, version string
	endpoint         *url.URL
	region           string
	http             *http.Client
	signer           *v4.Signer
	keys             *vault // nil: requests are not signed
	now              func() time.Time
}

// maxAnswer bounds what is read of an answer. A page of 1,000 instances is
// about 6 MiB.
const maxAnswer = 64 << 20

// apiError is a refusal by the service.
type apiError struct {
	Status        int
	Code, Message string
	RequestID     string
	RetryAfter    time.Duration
}

func (e *apiError) Error() string {
	s := e.Code + ": " + e.Message
	if e.Code == "" {
		s = "an answer without a code"
	}
	return fmt.Sprintf("%s (HTTP %d, request %s)", s, e.Status, e.RequestID)
}

// lostError is a call whose answer nobody has. Sent: the request may have
// arrived.
type lostError struct {
	sent bool
	err  error
}

func (e *lostError) Error() string { return "no answer: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// call makes one call and reads its answer into answer, a pointer to a struct
// of XML. Errors are *apiError, *lostError or those of the credentials. Where
// the keys have expired on the way, it looks for new ones, once: such a refusal
// has done nothing.
func (c *client) call(ctx context.Context, action string, form url.Values, answer any) error {
	err := c.once(ctx, action, form, answer)
	var refused *apiError
	if c.keys != nil && errors.As(err, &refused) && expired[refused.Code] && c.keys.drop() {
		return c.once(ctx, action, form, answer)
	}
	return err
}

// expired are the codes of keys that have had their time.
var expired = map[string]bool{"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true}

func (c *client) once(ctx context.Context, action string, form url.Values, answer any) error {
	if err := ctx.Err(); err != nil {
		return &lostError{err: err}
	}
	r, err := c.request(ctx, action, form)
	if err != nil {
		return err
	}
	sent := &atomic.Bool{}
	trace := &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}
	resp, err := c.http.Do(r.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		return &lostError{sent: sent.Load(), err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &lostError{sent: true, err: err}
	}
	if resp.StatusCode != http.StatusOK {
		return parseError(resp, body)
	}
	if err := xml.Unmarshal(body, answer); err != nil {
		return &lostError{sent: true, err: fmt.Errorf("cannot read the answer to %s: %w", action, err)}
	}
	return nil
}

// request is the form, signed.
func (c *client) request(ctx context.Context, action string, form url.Values) (*http.Request, error) {
	full := url.Values{"Action": {action}, "Version": {c.version}}
	for k, v := range form {
		full[k] = v
	}
	body := full.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint.String(), strings.NewReader(body))
	if err != nil {
		return nil, &lostError{err: err}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("User-Agent", "spillway")
	if c.keys == nil {
		return r, nil
	}
	k, err := c.keys.get(ctx)
	if err != nil {
		return nil, &credentialsError{err}
	}
	sum := sha256.Sum256([]byte(body))
	if err := c.signer.SignHTTP(ctx, k.signing(), r, hex.EncodeToString(sum[:]), c.service, c.region, c.now()); err != nil {
		return nil, &lostError{err: fmt.Errorf("cannot sign: %w", err)}
	}
	return r, nil
}

// errorAnswer is the refusal of EC2 (Response/Errors/Error) and that of other
// services (ErrorResponse/Error).
type errorAnswer struct {
	EC2        []errorItem `xml:"Errors>Error"`
	Other      []errorItem `xml:"Error"`
	RequestID  string      `xml:"RequestID"`
	RequestID2 string      `xml:"RequestId"`
}

type errorItem struct {
	Code    string `xml:"Code"`
	Message string `xml:"Message"`
}

func parseError(resp *http.Response, body []byte) *apiError {
	e := &apiError{Status: resp.StatusCode}
	var a errorAnswer
	if xml.Unmarshal(body, &a) == nil {
		for _, item := range append(a.EC2, a.Other...) {
			e.Code, e.Message = item.Code, item.Message
			break
		}
		e.RequestID = a.RequestID + a.RequestID2
	}
	if seconds, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s"); err == nil && seconds > 0 {
		e.RetryAfter = seconds
	}
	return e
}
