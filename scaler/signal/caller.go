package signal

import (
	"fmt"
	"net/http"
	"time"
)

// caller makes requests with a token.
type caller struct {
	client *http.Client
	token  func() string
}

// newCaller fills in what is nil: a client without proxy, redirects and
// compression, which talks to known machines only, and no token.
func newCaller(client *http.Client, token func() string) caller {
	if client == nil {
		client = &http.Client{
			Transport: &http.Transport{
				MaxIdleConnsPerHost: 2,
				MaxIdleConns:        2048,
				IdleConnTimeout:     time.Minute,
				DisableCompression:  true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if token == nil {
		token = func() string { return "" }
	}
	return caller{client, token}
}

// do sends a request; the caller closes the body.
func (c *caller) do(req *http.Request) (*http.Response, error) {
	if token := c.token(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot reach %s: %w", req.URL.Host, err)
	}
	return resp, nil
}
