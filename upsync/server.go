package upsync

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"spillway/gateway/upstream"
	"spillway/upsync/consul"
)

// ParseServer reads one server in nginx's words: "ADDR [weight=N]
// [max_fails=N] [fail_timeout=T] [max_conns=N] [down] [backup]", with or
// without "server " in front and ";" behind. ADDR is IP:port, [IPv6]:port,
// host:port or unix:/path; without a port it is 80. Of a hostname, which is
// not resolved here, Host is set and Addr is "host:port".
func ParseServer(line string) (upstream.Spec, error) {
	return parseServer(line, staticDefaults())
}

// staticDefaults is a server of which nothing is said.
func staticDefaults() upstream.Spec {
	return upstream.Spec{
		Weight:      upstream.DefaultWeight,
		MaxFails:    upstream.DefaultMaxFailsStatic,
		FailTimeout: upstream.DefaultFailTimeout,
		WeightFrom:  "default",
	}
}

// parseServer reads one server; s is what holds where the line says nothing.
func parseServer(line string, s upstream.Spec) (upstream.Spec, error) {
	words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(line), ";"))
	if len(words) > 0 && words[0] == "server" {
		words = words[1:]
	}
	if len(words) == 0 {
		return s, fmt.Errorf("no server in %q", line)
	}
	var err error
	if s.Addr, s.Host, err = parseServerAddr(words[0]); err != nil {
		return s, err
	}
	for _, w := range words[1:] {
		if err := parseParameter(&s, w); err != nil {
			return s, err
		}
	}
	return s, nil
}

func parseServerAddr(s string) (addr, host string, err error) {
	if strings.HasPrefix(s, "unix:") {
		addr, err = upstream.ParseAddr(s)
		return addr, "", err
	}
	if _, _, err := net.SplitHostPort(s); err != nil {
		bare := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
		s = net.JoinHostPort(bare, "80")
	}
	return consul.ParseHostPort(s)
}

func parseParameter(s *upstream.Spec, word string) (err error) {
	name, value, has := strings.Cut(word, "=")
	number := func(least, most int) (n int) {
		n, err = strconv.Atoi(value)
		if err != nil || n < least || n > most || value[0] == '+' {
			err = fmt.Errorf("invalid %s %q: want a number from %d to %d", name, value, least, most)
		}
		return n
	}
	const most = 1<<31 - 1
	switch {
	case word == "down":
		s.Down, s.DownWhy = true, "config"
	case word == "backup":
		s.Backup = true
	case !has:
		err = unknownParameter(word)
	case name == "weight":
		s.Weight, s.WeightFrom = number(1, consul.MaxWeight), "config"
	case name == "max_fails":
		s.MaxFails = number(0, most)
	case name == "max_conns":
		s.MaxConns = number(0, most)
	case name == "fail_timeout":
		s.FailTimeout, err = failTimeout(value)
	default:
		err = unknownParameter(word)
	}
	return err
}

func unknownParameter(word string) error {
	return fmt.Errorf("unknown parameter %q: want weight=, max_fails=, fail_timeout=, max_conns=, down or backup", word)
}

// ParseServers reads a list of servers, one a line. Empty lines, and what
// follows a '#', are ignored. The error names the line.
func ParseServers(text string) ([]upstream.Spec, error) {
	return parseServers(text, staticDefaults())
}

func parseServers(text string, defaults upstream.Spec) ([]upstream.Spec, error) {
	var specs []upstream.Spec
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		s, err := parseServer(line, defaults)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		specs = append(specs, s)
	}
	return specs, nil
}

// failTimeout reads nginx's times in seconds, and fractions as Go writes
// them ("1.5s", "500ms"): nobody but Consul's entries has to be as nginx has
// it.
func failTimeout(value string) (time.Duration, error) {
	t, err := consul.ParseSeconds(value)
	if err == nil {
		return t, nil
	}
	if t, durErr := time.ParseDuration(value); durErr == nil && t >= 0 {
		return t, nil
	}
	return 0, err
}
