package configs

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ServerLine is one server as a configuration or a list of servers names it:
// the arguments of nginx's server directive.
type ServerLine struct {
	// Addr is "IPv4:port", "[IPv6]:port", "host:port" or "unix:/path". A port
	// that was not given is 80.
	Addr string
	// Hostname reports that Addr names a host that has to be resolved.
	Hostname bool
	// Weight is the share of requests relative to the other servers, at least
	// 1, which is also the default. WeightSet reports that the line gave it.
	Weight    int
	WeightSet bool
	// MaxFails and FailTimeout are -1 when the line does not say; Load puts
	// the upstream's in their place.
	MaxFails    int
	FailTimeout time.Duration
	// MaxConns bounds the requests in flight, 0 is no bound.
	MaxConns int
	// Down servers get no request, backup servers only when no other is left.
	Down, Backup bool
}

// ParseServer reads "ADDR [weight=N] [max_fails=N] [fail_timeout=T]
// [max_conns=N] [down] [backup]". nginx's form with "server" in front and ";"
// at the end is accepted. A fail_timeout without unit is in seconds.
func ParseServer(line string) (ServerLine, error) {
	words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(line), ";"))
	if len(words) > 1 && words[0] == "server" {
		words = words[1:]
	}
	if len(words) == 0 {
		return ServerLine{}, &valueError{found: strconv.Quote(line), allowed: allowedServer}
	}
	s := ServerLine{Weight: 1, MaxFails: -1, FailTimeout: -1}
	var err error
	if s.Addr, s.Hostname, err = parseServerAddr(words[0]); err != nil {
		return ServerLine{}, err
	}
	for i, w := range words[1:] {
		name, _, _ := strings.Cut(w, "=")
		if slices.ContainsFunc(words[1:1+i], func(o string) bool { n, _, _ := strings.Cut(o, "="); return n == name }) {
			return ServerLine{}, &valueError{found: fmt.Sprintf("%q twice", name), allowed: "each parameter once"}
		}
		if err := s.parseParam(w); err != nil {
			return ServerLine{}, err
		}
	}
	return s, nil
}

const (
	allowedServer = `ADDR [weight=N] [max_fails=N] [fail_timeout=T] [max_conns=N] [down] [backup]`
	allowedAddr   = `IP:port, [IPv6]:port, host:port or unix:/path`
)

// serverParams are the parameters in the order in which String writes them.
func serverParams() []string {
	return []string{"weight", "max_fails", "fail_timeout", "max_conns", "down", "backup"}
}

func (s *ServerLine) parseParam(word string) error {
	name, value, hasValue := strings.Cut(word, "=")
	flag := name == "down" || name == "backup"
	if !slices.Contains(serverParams(), name) {
		return &valueError{found: fmt.Sprintf("unknown parameter %q", name), allowed: strings.Join(serverParams(), ", "), hint: nearest(name, serverParams())}
	}
	if flag == hasValue {
		want := name + "=N"
		if flag {
			want = name
		}
		return &valueError{found: strconv.Quote(word), allowed: want}
	}
	var err error
	switch name {
	case "weight":
		s.Weight, err = parseCount(name, value, 1)
		s.WeightSet = true
	case "max_fails":
		s.MaxFails, err = parseCount(name, value, 0)
	case "max_conns":
		s.MaxConns, err = parseCount(name, value, 0)
	case "fail_timeout":
		s.FailTimeout, err = parseFailTimeout(value)
	case "down":
		s.Down = true
	case "backup":
		s.Backup = true
	}
	return err
}

// maxCount keeps sums of weights far from overflow.
const maxCount = 1 << 20

func parseCount(name, value string, low int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > maxCount {
		return 0, &valueError{found: fmt.Sprintf("%s=%s", name, value), allowed: fmt.Sprintf("%s=N with N from %d to %d", name, low, maxCount)}
	}
	return n, nil
}

// parseFailTimeout reads nginx's times in seconds ("10", "10s") and what
// durations are written like elsewhere in the configuration.
func parseFailTimeout(value string) (time.Duration, error) {
	text := value
	if _, err := strconv.ParseUint(value, 10, 32); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || value == "" || strings.HasPrefix(value, "+") {
		return 0, &valueError{found: "fail_timeout=" + value, allowed: `fail_timeout=T with T such as "10s" or "1m"`}
	}
	return d, nil
}

// parseServerAddr returns the canonical address and whether it has a hostname.
func parseServerAddr(s string) (addr string, hostname bool, err error) {
	bad := &valueError{found: strconv.Quote(s), allowed: allowedAddr}
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !validSocketPath(path) {
			return "", false, &valueError{found: strconv.Quote(s), allowed: "unix:/path of at most 107 bytes"}
		}
		return s, false, nil
	}
	host, port, ok := splitServerAddr(s)
	if !ok {
		return "", false, bad
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", false, &valueError{found: strconv.Quote(s), allowed: "a port from 1 to 65535"}
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return netip.AddrPortFrom(ip.Unmap(), uint16(n)).String(), false, nil
	}
	// "unix:80" would read as a socket.
	if strings.HasPrefix(s, "[") || !validHostname(host) || strings.EqualFold(host, "unix") {
		return "", false, bad
	}
	return strings.ToLower(host) + ":" + strconv.Itoa(int(n)), true, nil
}

// splitServerAddr separates host and port; IPv6 stands in brackets.
func splitServerAddr(s string) (host, port string, ok bool) {
	if rest, bracket := strings.CutPrefix(s, "["); bracket {
		host, port, ok = strings.Cut(rest, "]")
		if !ok || !strings.Contains(host, ":") {
			return "", "", false
		}
		if port == "" {
			return host, "80", true
		}
		port, ok = strings.CutPrefix(port, ":")
		return host, port, ok
	}
	host, port, ok = strings.Cut(s, ":")
	if !ok {
		port = "80"
	}
	return host, port, host != "" && !strings.Contains(port, ":")
}

// validHostname accepts names as resolvers do (letters, digits, dashes,
// underscores), but none that is a broken IPv4 address.
func validHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.IndexFunc(l, notHostRune) >= 0 {
			return false
		}
	}
	_, err := strconv.ParseUint(labels[len(labels)-1], 10, 64)
	return err != nil
}

func notHostRune(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

func validSocketPath(path string) bool {
	return path != "" && len(path) <= 107 && !strings.ContainsRune(path, 0)
}

// String is the line ParseServer reads back to the same value.
func (s ServerLine) String() string {
	var b strings.Builder
	b.WriteString(s.Addr)
	if s.WeightSet {
		fmt.Fprintf(&b, " weight=%d", s.Weight)
	}
	if s.MaxFails >= 0 {
		fmt.Fprintf(&b, " max_fails=%d", s.MaxFails)
	}
	if s.FailTimeout >= 0 {
		fmt.Fprintf(&b, " fail_timeout=%s", formatDuration(s.FailTimeout))
	}
	if s.MaxConns > 0 {
		fmt.Fprintf(&b, " max_conns=%d", s.MaxConns)
	}
	if s.Down {
		b.WriteString(" down")
	}
	if s.Backup {
		b.WriteString(" backup")
	}
	return b.String()
}
