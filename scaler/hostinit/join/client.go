package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ErrRefused is in the chain of an error that asking again will not mend.
var ErrRefused = errors.New("refused for good")

// Client is a machine's side. It is safe for concurrent use once Join has
// succeeded or Resume was called; only then the other calls are answered.
type Client struct {
	url        string
	http       *http.Client
	credential string
}

// callTimeout is how long one call may take.
const callTimeout = 10 * time.Second

// NewClient returns a client of the scaler at url ("https://host:port"), whose
// certificate is signed by ca (PEM).
func NewClient(address string, ca []byte) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("cannot phone home to %q: want https://host:port", address)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("cannot phone home: no certificate of the scaler's authority")
	}
	return &Client{
		url: strings.TrimSuffix(address, "/"),
		http: &http.Client{
			Timeout:   callTimeout,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConns: 1},
		},
	}, nil
}

// Join sends a request. Errors that wrap ErrRefused are final.
func (c *Client) Join(ctx context.Context, q Request) (*Answer, error) {
	a := &Answer{}
	if err := c.call(ctx, "/v1/join", q, a); err != nil {
		return nil, fmt.Errorf("cannot join: %w", err)
	}
	c.Resume(q.InstanceID, a.Secret)
	return a, nil
}

// Resume makes the client that of a machine that has joined before, by the
// secret it was given.
func (c *Client) Resume(machine, secret string) { c.credential = machine + ":" + secret }

// Stage reports a stage.
func (c *Client) Stage(ctx context.Context, r Report) error {
	if err := c.call(ctx, "/v1/stage", r, nil); err != nil {
		return fmt.Errorf("cannot report stage %q: %w", r.Name, err)
	}
	return nil
}

// Renew says that the machine lives and what it has reached; nil says that the
// scaler lives.
func (c *Client) Renew(ctx context.Context, r Renewal) error {
	if err := c.call(ctx, "/v1/lease", r, nil); err != nil {
		return fmt.Errorf("cannot renew the lease: %w", err)
	}
	return nil
}

func (c *Client) call(ctx context.Context, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	if c.credential != "" {
		q.Header.Set("Authorization", "Bearer "+c.credential)
	}
	r, err := c.http.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	switch {
	case err != nil:
		return err
	case r.StatusCode == http.StatusBadRequest || r.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrRefused, bytes.TrimSpace(answer))
	case r.StatusCode >= 300:
		return fmt.Errorf("status %d: %s", r.StatusCode, bytes.TrimSpace(answer))
	case into != nil:
		return json.Unmarshal(answer, into)
	}
	return nil
}
