package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"spillway/scaler/cloud"
)

const (
	defaultMetadata = "http://100.100.100.200"
	rolePath        = "/latest/meta-data/ram/security-credentials/"
	// metadataTime: on machines elsewhere nothing answers at that address.
	metadataTime = 3 * time.Second
)

// machineRole takes the credentials of the RAM role of the machine that we run
// on, by the metadata service in its hardened form (a token first). role ""
// asks for its name.
func machineRole(o *Options, role string) source {
	base := o.Credentials.Metadata
	if base == "" {
		base = defaultMetadata
	}
	m := &metadata{base: strings.TrimSuffix(base, "/"), http: &http.Client{
		Timeout: metadataTime,
		// No proxy: it is this machine that is asked for.
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: metadataTime}).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return func(ctx context.Context) (Credentials, error) {
		return m.credentials(ctx, role)
	}
}

type metadata struct {
	base string
	http *http.Client
}

var errNotThere = errors.New("there is no such thing")

func (m *metadata) credentials(ctx context.Context, role string) (Credentials, error) {
	token, err := m.ask(ctx, http.MethodPut, "/latest/api/token", "X-aliyun-ecs-metadata-token-ttl-seconds", "60")
	if err != nil {
		// Nobody there: this machine is none of ECS.
		return Credentials{}, errNone
	}
	get := func(path string) ([]byte, error) {
		return m.ask(ctx, http.MethodGet, path, "X-aliyun-ecs-metadata-token", string(token))
	}
	if role == "" {
		name, err := get(rolePath)
		if errors.Is(err, errNotThere) {
			return Credentials{}, errNone
		}
		if err != nil {
			return Credentials{}, roleError(err)
		}
		role = strings.TrimSpace(string(name))
	}
	text, err := get(rolePath + url.PathEscape(role))
	if err != nil {
		return Credentials{}, roleError(err)
	}
	var answer struct {
		temporary
		Code string
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Code != "Success" {
		return Credentials{}, roleError(fmt.Errorf("the metadata service does not give the credentials of role %q", role))
	}
	return answer.credentials()
}

func roleError(err error) error {
	return &cloud.Error{Kind: cloud.Transient, What: "credentials", Err: fmt.Errorf("cannot take the RAM role of this machine: %w", err)}
}

func (m *metadata) ask(ctx context.Context, method, path, header, value string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, m.base+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set(header, value)
	a, err := m.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	switch a.StatusCode {
	case http.StatusOK:
		return io.ReadAll(io.LimitReader(a.Body, 64<<10))
	case http.StatusNotFound:
		return nil, errNotThere
	}
	return nil, fmt.Errorf("the metadata service answered %d", a.StatusCode)
}

func isTyped(err error) bool {
	var e *cloud.Error
	return errors.As(err, &e) || errors.Is(err, errNone)
}
