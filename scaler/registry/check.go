package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// MaxWeight is the largest weight a gateway takes.
const MaxWeight = 65535

// normal returns the registration with defaults filled in and the cluster in
// its meta, or why it cannot be registered.
func normal(r Registration, cluster string) (Registration, error) {
	at, err := netip.ParseAddrPort(r.Address)
	switch {
	case r.ID == "" || strings.Contains(r.ID, "/"):
		return r, fmt.Errorf("%w: id %q", ErrInvalid, r.ID)
	case r.Service == "" || strings.Contains(r.Service, "/"):
		return r, fmt.Errorf("%w: service %q", ErrInvalid, r.Service)
	case err != nil || at.Port() == 0:
		return r, fmt.Errorf("%w: address %q is not ip:port", ErrInvalid, r.Address)
	case r.Check.HTTP != "" && !strings.HasPrefix(r.Check.HTTP, "/"):
		return r, fmt.Errorf("%w: the check's path %q is not absolute", ErrInvalid, r.Check.HTTP)
	}
	r.Weight = min(max(r.Weight, 1), MaxWeight)
	if r.Check.Interval <= 0 {
		r.Check.Interval = DefaultInterval
	}
	if r.Check.Timeout <= 0 {
		r.Check.Timeout = min(r.Check.Interval, DefaultTimeout)
	}
	r.Check.TCP = r.Check.HTTP == ""
	r.Meta = maps.Clone(r.Meta)
	if r.Meta == nil {
		r.Meta = map[string]string{}
	}
	r.Meta[MetaCluster] = cluster
	delete(r.Meta, MetaSpec)
	r.Meta[MetaSpec] = hash(r)
	return r, nil
}

// hash identifies all of a registration.
func hash(r Registration) string {
	b, err := json.Marshal(r)
	if err != nil {
		panic("BUG: cannot encode a registration: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// probe runs the check of an instance once, from here.
func probe(ctx context.Context, r Registration) error {
	ctx, cancel := context.WithTimeout(ctx, r.Check.Timeout)
	defer cancel()
	if r.Check.HTTP == "" {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.Address)
		if err == nil {
			c.Close()
		}
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Address+r.Check.HTTP, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answered %s", r.Check.HTTP, resp.Status)
	}
	return nil
}

// seconds writes a duration as Consul reads it.
func seconds(d time.Duration) string { return d.String() }
