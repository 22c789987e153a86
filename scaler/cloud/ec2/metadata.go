package ec2

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

const (
	containerHost = "http://169.254.170.2"
	instanceHost  = "http://169.254.169.254"
	// tokenLife is how long a session with the machine's metadata lasts, in
	// seconds; we need it for two requests.
	tokenLife = "60"
	maxKeys   = 64 << 10
)

// metadataKeys is the answer of the container endpoint and of the machine's.
type metadataKeys struct {
	Code       string // "Success"; the machine's only
	ID         string `json:"AccessKeyId"`
	Secret     string `json:"SecretAccessKey"`
	Token      string `json:"Token"`
	Expiration string `json:"Expiration"`
}

func parseKeys(body []byte) (keys, error) {
	var m metadataKeys
	if json.Unmarshal(body, &m) != nil { // its error could quote what it read
		return keys{}, errors.New("an answer that is no JSON")
	}
	if m.Code != "" && m.Code != "Success" {
		return keys{}, fmt.Errorf("no keys: %s", m.Code)
	}
	return dated(keys{id: m.ID, secret: hide(m.Secret), session: hide(m.Token)}, m.Expiration)
}

func (c *chain) inContainer() bool {
	return c.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "" || c.env("AWS_CONTAINER_CREDENTIALS_FULL_URI") != ""
}

// container asks the agent beside the container ("Container credential
// provider", AWS SDKs and Tools Reference Guide).
func (c *chain) container(ctx context.Context) (keys, error) {
	address := containerHost + c.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
	if c.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == "" {
		address = c.env("AWS_CONTAINER_CREDENTIALS_FULL_URI")
		if !trusted(address) {
			return keys{}, fmt.Errorf("AWS_CONTAINER_CREDENTIALS_FULL_URI %q is neither https nor an agent on this computer", address)
		}
	}
	token := c.env("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if file := c.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return keys{}, fmt.Errorf("cannot read the container's token: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	var header http.Header
	if token != "" {
		header = http.Header{"Authorization": {token}}
	}
	body, err := c.ask(ctx, http.MethodGet, address, header)
	if err != nil {
		return keys{}, fmt.Errorf("container credentials: %w", err)
	}
	return parseKeys(body)
}

// trusted reports whether a token may be sent there: over TLS, or to this
// computer, or to the agents of ECS and EKS, whose addresses are link-local.
func trusted(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	if u.Scheme == "https" || u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return false
	}
	return ip.IsLoopback() || ip == netip.MustParseAddr("169.254.170.2") ||
		ip == netip.MustParseAddr("169.254.170.23") || ip == netip.MustParseAddr("fd00:ec2::23")
}

// instance asks the machine for its role's keys: a session first (IMDSv2), then
// the role's name, then the keys.
func (c *chain) instance(ctx context.Context) (keys, error) {
	host := strings.TrimSuffix(cmp.Or(c.env("AWS_EC2_METADATA_SERVICE_ENDPOINT"), instanceHost), "/")
	token, err := c.ask(ctx, http.MethodPut, host+"/latest/api/token",
		http.Header{"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": {tokenLife}})
	if err != nil {
		return keys{}, fmt.Errorf("the machine's role: %w", err)
	}
	session := http.Header{"X-Aws-Ec2-Metadata-Token": {string(token)}}
	const path = "/latest/meta-data/iam/security-credentials/"
	names, err := c.ask(ctx, http.MethodGet, host+path, session)
	if err != nil {
		return keys{}, fmt.Errorf("the machine's role: %w", err)
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(names)), "\n")
	body, err := c.ask(ctx, http.MethodGet, host+path+url.PathEscape(name), session)
	if err != nil {
		return keys{}, fmt.Errorf("the machine's role %q: %w", name, err)
	}
	return parseKeys(body)
}

// ask is one request to where keys are. Its errors hold neither headers nor
// bodies.
func (c *chain) ask(ctx context.Context, method, address string, header http.Header) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		return nil, errors.New("no such address")
	}
	for k, v := range header {
		r.Header[k] = v
	}
	resp, err := c.bare.Do(r)
	if err != nil {
		return nil, &lostError{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeys))
	if err != nil {
		return nil, &lostError{err: err}
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &apiError{Status: resp.StatusCode, Code: http.StatusText(resp.StatusCode), Message: "no keys"}
	}
	return body, nil
}
