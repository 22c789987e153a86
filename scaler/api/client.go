package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ClientOptions say whom to ask, and as whom.
type ClientOptions struct {
	// Address is "host:port", a URL, or "unix:/path"; "" is DefaultListen. Any
	// scaler of the cluster will do: it sends the client to the leader.
	Address string
	Token   string
	// User is who asks, for the audit log.
	User string
	// TLS is used for https:// addresses.
	TLS *tls.Config
	// Timeout of one request that is no stream; 0 is 30 s.
	Timeout time.Duration
}

// Client asks a scaler. It is safe for concurrent use. Errors of the server
// are of type *Error.
type Client struct {
	options ClientOptions
	base    *url.URL
	http    *http.Client
}

// maxHops is how many redirects are followed: a leader may change meanwhile.
const maxHops = 3

// NewClient returns a client; it connects when it is asked something.
func NewClient(o ClientOptions) (*Client, error) {
	if o.Address == "" {
		o.Address = DefaultListen
	}
	if o.Timeout == 0 {
		o.Timeout = answerTimeout
	}
	c := &Client{options: o}
	var err error
	if c.base, err = baseOf(o.Address); err != nil {
		return nil, err
	}
	c.http = &http.Client{
		Transport: &http.Transport{DialContext: c.dial, TLSClientConfig: o.TLS, MaxIdleConns: 4, IdleConnTimeout: idleTimeout},
		// Redirects are followed by hand: net/http would not send the token on.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func baseOf(address string) (*url.URL, error) {
	if strings.HasPrefix(address, "unix:") {
		return &url.URL{Scheme: "http", Host: "localhost"}, nil
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read address: %w", err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", strings.Trim(u.Path, "/") != "":
		return nil, fmt.Errorf("address %q is neither host:port, http://host:port, https://host:port nor unix:/path", address)
	}
	return u, nil
}

func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if path, ok := strings.CutPrefix(c.options.Address, "unix:"); ok && address == "localhost:80" {
		return d.DialContext(ctx, "unix", path)
	}
	return d.DialContext(ctx, network, address)
}

// hop moves a request to where a redirect says. A token that went out over TLS
// does not go on without it.
func hop(from *url.URL, answer *http.Response) (*url.URL, error) {
	to, err := from.Parse(answer.Header.Get("Location"))
	if err != nil {
		return nil, fmt.Errorf("cannot follow redirect: %w", err)
	}
	if to.Scheme != from.Scheme || to.Host == "" {
		return nil, fmt.Errorf("cannot follow redirect from %s to %s", from.Scheme, to.Redacted())
	}
	return to, nil
}

func (c *Client) request(ctx context.Context, method string, at *url.URL, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.options.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.options.Token)
	}
	if c.options.User != "" {
		r.Header.Set(userField, c.options.User)
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// send sends a request to whoever leads. The caller closes the body of the
// answer, which is a success.
func (c *Client) send(ctx context.Context, method, path string, body []byte, do func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	at, err := c.base.Parse(path)
	if err != nil {
		return nil, err
	}
	for range maxHops {
		r, err := c.request(ctx, method, at, body)
		if err != nil {
			return nil, err
		}
		answer, err := do(r)
		if err != nil {
			return nil, fmt.Errorf("cannot reach the scaler: %w", err)
		}
		switch {
		case answer.StatusCode == http.StatusTemporaryRedirect:
			answer.Body.Close()
			if at, err = hop(at, answer); err != nil {
				return nil, err
			}
		case answer.StatusCode/100 == 2, answer.StatusCode == http.StatusSwitchingProtocols:
			return answer, nil
		default:
			defer answer.Body.Close()
			return nil, errorOf(answer)
		}
	}
	return nil, fmt.Errorf("cannot find the leader: %d redirects", maxHops)
}

func errorOf(answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	var f failure
	if json.Unmarshal(text, &f) != nil || f.Error == "" {
		return &Error{Status: answer.StatusCode}
	}
	f.Code = answer.StatusCode
	return f.asError()
}

// call asks, with a body of JSON if there is one, and reads the answer into to.
func (c *Client) call(ctx context.Context, method, path string, body, to any) error {
	ctx, stop := context.WithTimeout(ctx, c.options.Timeout)
	defer stop()
	var text []byte
	if body != nil {
		text = encoded(body)
	}
	answer, err := c.send(ctx, method, path, text, c.http.Do)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(to); err != nil {
		return fmt.Errorf("cannot read the scaler's answer: %w", err)
	}
	return nil
}

// Status asks for the scaler at a glance.
func (c *Client) Status(ctx context.Context) (v Status, err error) {
	return v, c.call(ctx, http.MethodGet, "/api/v1/status", nil, &v)
}

// Why asks for the decision of an app in effect at that time, the last one if
// it is zero.
func (c *Client) Why(ctx context.Context, app string, at time.Time) (v Why, err error) {
	path := "/api/v1/apps/" + url.PathEscape(app) + "/why"
	if !at.IsZero() {
		path += "?at=" + url.QueryEscape(at.Format(time.RFC3339))
	}
	return v, c.call(ctx, http.MethodGet, path, nil, &v)
}

// Plan asks what a tick would do now.
func (c *Client) Plan(ctx context.Context) (v Plan, err error) {
	return v, c.call(ctx, http.MethodGet, "/api/v1/plan", nil, &v)
}

// Nodes lists the machines.
func (c *Client) Nodes(ctx context.Context) (v []Node, err error) {
	return v, c.call(ctx, http.MethodGet, "/api/v1/nodes", nil, &v)
}

// Ps lists the containers of an app, or all ("").
func (c *Client) Ps(ctx context.Context, app string) (v []Instance, err error) {
	path := "/api/v1/instances"
	if app != "" {
		path += "?app=" + url.QueryEscape(app)
	}
	return v, c.call(ctx, http.MethodGet, path, nil, &v)
}

// Audit lists the last writes that the asked process answered.
func (c *Client) Audit(ctx context.Context, limit int) (v []AuditEntry, err error) {
	return v, c.call(ctx, http.MethodGet, "/api/v1/audit?limit="+strconv.Itoa(limit), nil, &v)
}

// Scale asks for more or fewer instances until r.TTL has passed; 0 is an hour.
func (c *Client) Scale(ctx context.Context, r ScaleRequest) (v Override, err error) {
	return v, c.call(ctx, http.MethodPost, "/api/v1/apps/"+url.PathEscape(r.App)+"/scale", scaleBody{r, ttlText(r.TTL)}, &v)
}

// Pause stops changes of an app, or of all (""), until r.TTL has passed; 0 is
// an hour.
func (c *Client) Pause(ctx context.Context, r PauseRequest) (v Override, err error) {
	return v, c.call(ctx, http.MethodPost, "/api/v1/apps/"+appSegment(r.App)+"/pause", pauseBody{r, ttlText(r.TTL)}, &v)
}

// Resume ends Pause and Scale of an app, or of all ("").
func (c *Client) Resume(ctx context.Context, r ResumeRequest) error {
	return c.call(ctx, http.MethodPost, "/api/v1/apps/"+appSegment(r.App)+"/resume", r, new(struct{}))
}

// NodeAction cordons, drains, un-drains or replaces a machine.
func (c *Client) NodeAction(ctx context.Context, r NodeRequest) (v Node, err error) {
	path := "/api/v1/nodes/" + url.PathEscape(r.ID) + "/" + url.PathEscape(r.Action)
	return v, c.call(ctx, http.MethodPost, path, r, &v)
}

func ttlText(ttl time.Duration) string {
	if ttl == 0 {
		return ""
	}
	return ttl.String()
}

func appSegment(app string) string {
	if app == "" {
		return "-"
	}
	return url.PathEscape(app)
}

// Logs copies the output of a container until it ends, or ctx does.
func (c *Client) Logs(ctx context.Context, r LogsRequest, out io.Writer) error {
	path := fmt.Sprintf("/api/v1/instances/%s/logs?tail=%d&follow=%t", url.PathEscape(r.Instance), r.Tail, r.Follow)
	answer, err := c.send(ctx, http.MethodGet, path, nil, c.http.Do)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(out, answer.Body); err != nil && ctx.Err() == nil {
		return fmt.Errorf("cannot read logs to their end: %w", err)
	}
	return nil
}

// upgrade sends a request on a connection of its own and returns that once it
// is a stream.
func (c *Client) upgrade(ctx context.Context, path string, body any) (net.Conn, *bufio.Reader, error) {
	var conn net.Conn
	var reader *bufio.Reader
	_, err := c.send(ctx, http.MethodPost, path, encoded(body), func(r *http.Request) (*http.Response, error) {
		if conn != nil {
			conn.Close() // of the process that sent us on
		}
		var err error
		if conn, err = c.connect(ctx, r.URL); err != nil {
			return nil, err
		}
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", streamProtocol)
		_ = conn.SetDeadline(time.Now().Add(c.options.Timeout))
		if err := r.Write(conn); err != nil {
			return nil, err
		}
		reader = bufio.NewReader(conn)
		return http.ReadResponse(reader, r)
	})
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return nil, nil, err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, reader, nil
}

func (c *Client) connect(ctx context.Context, at *url.URL) (net.Conn, error) {
	port := at.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[at.Scheme]
	}
	conn, err := c.dial(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil || at.Scheme != "https" {
		return conn, err
	}
	config := c.options.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName = at.Hostname()
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}
