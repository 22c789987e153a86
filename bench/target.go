package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// target is where load goes.
type target struct {
	url  string
	addr netip.AddrPort
	host string // the Host field
	path string // with the query
	tls  *tls.Config
}

// parseTarget reads a URL, looks its host up, and refuses other machines unless
// remote is set.
func parseTarget(ctx context.Context, text string, remote, insecure bool) (*target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, usageError("%q is no URL such as http://127.0.0.1:8080/path", text)
	}
	t := &target{url: text, host: u.Host, path: u.RequestURI()}
	port := uint64(80)
	if u.Scheme == "https" {
		port = 443
		t.tls = &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: insecure}
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil {
			return nil, usageError("%q is no port", p)
		}
	}
	ip, err := lookUp(ctx, u.Hostname())
	if err != nil {
		return nil, err
	}
	if !ip.IsLoopback() && !remote {
		return nil, usageError("%s is not this machine (%s): load on others needs --remote, and their consent", u.Host, ip)
	}
	t.addr = netip.AddrPortFrom(ip, uint16(port))
	return t, nil
}

func lookUp(ctx context.Context, host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return netip.Addr{}, fmt.Errorf("cannot find %q: %w", host, err)
	}
	for _, ip := range ips { // localhost may have both; servers mostly listen on v4
		if ip.Unmap().Is4() {
			return ip.Unmap(), nil
		}
	}
	return ips[0], nil
}
