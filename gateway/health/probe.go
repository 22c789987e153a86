package health

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"spillway/gateway/upstream"
)

// Result is the outcome of a probe.
type Result struct {
	Good bool
	// What tells people what was found: "200 in 3ms", "connection refused".
	What string
}

// Probe asks the server at addr ("10.0.0.1:80", "unix:/run/app.sock") how it
// is, in the way c says, and returns within c.Timeout or when ctx ends. Each
// probe has a connection of its own: whether one can be made is half of the
// question.
func Probe(ctx context.Context, c *upstream.Check, addr string) Result {
	ctx, stop := context.WithTimeout(ctx, c.Timeout)
	defer stop()
	began := time.Now()
	var what string
	var err error
	switch c.Kind {
	case upstream.CheckHTTP:
		what, err = probeHTTP(ctx, c, addr)
	case upstream.CheckGRPC:
		what, err = probeGRPC(ctx, c, addr)
	default:
		what, err = probeTCP(ctx, c, addr)
	}
	if err != nil {
		return Result{What: plain(err, c.Timeout)}
	}
	return Result{true, fmt.Sprintf("%s in %s", what, round(time.Since(began)))}
}

// plain is an error in the words of people.
func plain(err error, limit time.Duration) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Sprintf("nothing within %s", limit)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the answer"
	}
	text := err.Error()
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "..."
	}
	return text
}

// dial connects to the server, at the port that c names if it names one.
func dial(ctx context.Context, c *upstream.Check, addr string) (net.Conn, error) {
	var d net.Dialer
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return d.DialContext(ctx, "unix", path)
	}
	if c.Port != 0 {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		addr = net.JoinHostPort(host, strconv.Itoa(c.Port))
	}
	return d.DialContext(ctx, "tcp", addr)
}

// connect is dial with the deadline of ctx on what follows.
func connect(ctx context.Context, c *upstream.Check, addr string) (net.Conn, func(), error) {
	conn, err := dial(ctx, c, addr)
	if err != nil {
		return nil, nil, err
	}
	if t, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(t); err != nil {
			conn.Close()
			return nil, nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return conn, func() { stop(); conn.Close() }, nil
}

func probeTCP(ctx context.Context, c *upstream.Check, addr string) (string, error) {
	_, end, err := connect(ctx, c, addr)
	if err != nil {
		return "", err
	}
	end()
	return "connected", nil
}

// bodyLimit is how far into an answer its text is looked for, headLimit how
// long its head may be.
const (
	bodyLimit = 64 << 10
	headLimit = 64 << 10
)

func probeHTTP(ctx context.Context, c *upstream.Check, addr string) (string, error) {
	req, err := request(c, addr)
	if err != nil {
		return "", err
	}
	conn, end, err := connect(ctx, c, addr)
	if err != nil {
		return "", err
	}
	defer end()
	if err := req.Write(conn); err != nil {
		return "", err
	}
	resp, err := readAnswer(bufio.NewReader(io.LimitReader(conn, headLimit+bodyLimit)), req)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", err
	}
	defer resp.Body.Close()
	if !goodStatus(c.Status, resp.StatusCode) {
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	if c.Body == "" {
		return strconv.Itoa(resp.StatusCode), nil
	}
	return findBody(resp, c.Body)
}

// request is what an HTTP probe sends.
func request(c *upstream.Check, addr string) (*http.Request, error) {
	req, err := http.NewRequest(c.Method, "http://localhost"+c.Path, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Host = hostOf(c, addr)
	req.Header.Set("User-Agent", "spillway-health")
	for name, value := range c.Headers {
		req.Header.Set(name, value)
	}
	req.Close = true
	return req, nil
}

// hostOf is the Host of a probe's request.
func hostOf(c *upstream.Check, addr string) string {
	switch {
	case c.Host != "":
		return c.Host
	case strings.HasPrefix(addr, "unix:"):
		return "localhost"
	}
	if at, err := netip.ParseAddrPort(addr); err == nil && at.Addr().Zone() != "" { // means nothing to the server
		return netip.AddrPortFrom(at.Addr().WithZone(""), at.Port()).String()
	}
	return addr
}

// readAnswer reads the final answer.
func readAnswer(r *bufio.Reader, req *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, req)
		if err != nil || resp.StatusCode >= 200 {
			return resp, err
		}
	}
}

func goodStatus(good []upstream.StatusRange, code int) bool {
	for _, r := range good {
		if r.First <= code && code <= r.Last {
			return true
		}
	}
	return len(good) == 0 && code >= 200 && code < 400
}

func findBody(resp *http.Response, want string) (string, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit))
	if bytes.Contains(body, []byte(want)) {
		return strconv.Itoa(resp.StatusCode), nil
	}
	if err != nil {
		return "", err
	}
	return "", fmt.Errorf("status %d without %q in the body", resp.StatusCode, want)
}
