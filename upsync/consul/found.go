package consul

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"spillway/gateway/upstream"
)

// MaxWeight is the largest weight a registry may give one server. Consul's
// own weights end there, and a hash ring has 160 points for each unit.
const MaxWeight = 65535

// Found is one server as the registry has it.
type Found struct {
	// Key names it there: the KV key, or "service ID@node".
	Key string
	// Spec is what the entry says. Where the server is named by a hostname,
	// Host is set and Addr is "hostname:port": the caller resolves it. Addr
	// is empty if the entry names no server at all.
	Spec upstream.Spec
	// SaysMaxFails and SaysFailTimeout report whether the entry gives these, so
	// that an upstream may have defaults of its own.
	SaysMaxFails, SaysFailTimeout bool
	// Err says why the entry is bad, "" if it is not. A value that is no JSON
	// still has the Spec nginx-upsync would use: all defaults.
	Err string
	// Notes are fields that were ignored and why.
	Notes []string
}

// Usable reports whether the entry names a server.
func (f *Found) Usable() bool { return f.Spec.Addr != "" }

// Reject is an entry, or a part of one, that was not used.
type Reject struct {
	Key    string
	Reason string
}

// same reports whether two entries mean the same.
func (f *Found) same(o *Found) bool {
	return f.Key == o.Key && f.Spec == o.Spec && f.Err == o.Err && len(f.Notes) == len(o.Notes) &&
		f.SaysMaxFails == o.SaysMaxFails && f.SaysFailTimeout == o.SaysFailTimeout
}

func (f *Found) note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}

// defaultSpec is what nginx-upsync gives a server of which nothing is said.
func defaultSpec() upstream.Spec {
	return upstream.Spec{
		Weight:      upstream.DefaultWeight,
		MaxFails:    upstream.DefaultMaxFailsUpsync,
		FailTimeout: upstream.DefaultFailTimeout,
		WeightFrom:  "default",
	}
}

// ParseHostPort reads the address of a server: "IP:port", "[IPv6]:port" or
// "hostname:port". host is empty for a literal address, which is returned in
// its canonical form. Hostnames are letters, digits, '-', '_' and '.'.
func ParseHostPort(s string) (addr, host string, err error) {
	if addr, err = upstream.ParseAddr(s); err == nil {
		return addr, "", nil
	}
	h, p, splitErr := net.SplitHostPort(s)
	if splitErr != nil {
		return "", "", err
	}
	return JoinHostPort(h, p)
}

// JoinHostPort is ParseHostPort of an address and a port that came apart.
func JoinHostPort(h, p string) (addr, host string, err error) {
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil || port == 0 || p[0] == '+' {
		return "", "", fmt.Errorf("invalid port %q: want 1 to 65535", p)
	}
	if ip, err := netip.ParseAddr(h); err == nil {
		return netip.AddrPortFrom(ip.Unmap(), uint16(port)).String(), "", nil
	}
	if !validHostname(h) {
		return "", "", fmt.Errorf("invalid address %.80q: want an IP address or a hostname", h)
	}
	h = strings.ToLower(h)
	return h + ":" + strconv.Itoa(int(port)), h, nil
}

// validHostname accepts RFC 1123 names and '_', which some registries use.
// A name whose last label is a number is no name but a broken address.
func validHostname(h string) bool {
	h = strings.TrimSuffix(h, ".")
	if h == "" || len(h) > 253 {
		return false
	}
	labels := strings.Split(h, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, hostBytes) != "" {
			return false
		}
	}
	_, err := strconv.Atoi(labels[len(labels)-1])
	return err != nil
}

const hostBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// ParseSeconds reads a time in nginx's syntax with seconds as the unit of a
// bare number: "10", "10s", "1m", "1h 30m" without the space. Milliseconds
// are not allowed, as nginx has it for seconds.
func ParseSeconds(s string) (time.Duration, error) {
	bad := fmt.Errorf("invalid time %.20q: want seconds such as 10, 10s or 1m", s)
	if s == "" || len(s) > 20 {
		return 0, bad
	}
	units := map[byte]time.Duration{
		'y': 365 * 24 * time.Hour, 'M': 30 * 24 * time.Hour, 'w': 7 * 24 * time.Hour,
		'd': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second,
	}
	var total time.Duration
	last := time.Duration(1 << 62)
	for len(s) > 0 {
		n := len(s) - len(strings.TrimLeft(s, "0123456789"))
		v, err := strconv.ParseUint(s[:n], 10, 31)
		if err != nil {
			return 0, bad
		}
		unit := time.Second
		if s = s[n:]; s != "" {
			unit, s = units[s[0]], s[1:]
		}
		if unit == 0 || unit >= last || v > uint64(longestTime/unit) {
			return 0, bad
		}
		last = unit
		if total += time.Duration(v) * unit; total > longestTime {
			return 0, bad
		}
	}
	return total, nil
}

const longestTime = 10 * 365 * 24 * time.Hour
