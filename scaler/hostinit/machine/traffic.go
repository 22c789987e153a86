package machine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// chain is where requests are counted, in the machine's own netfilter.
const chain = "SPILLWAY-LEASE"

// meter counts what reaches the machine from outside: packets with content,
// sent by whoever opened the connection, to any port but the engine's, and not
// from those that check health. Answers to what the machine itself asks for,
// keep-alive probes and checks are no requests.
type meter struct {
	run      func(ctx context.Context, argv ...string) (string, error)
	device   string
	checkers []string
}

// setUp writes the rules.
func (m *meter) setUp(ctx context.Context) error {
	rules := [][]string{
		{"-N", chain},
		{"-A", chain, "-p", "tcp", "--dport", "2376", "-j", "RETURN"},
	}
	for _, c := range m.checkers {
		rules = append(rules, []string{"-A", chain, "-s", c, "-j", "RETURN"})
	}
	rules = append(rules,
		[]string{"-A", chain, "-m", "conntrack", "--ctdir", "ORIGINAL", "-m", "length", "--length", "61:", "-m", "comment", "--comment", "requests"},
		[]string{"-A", "PREROUTING", "-i", m.device, "-j", chain},
	)
	for _, rule := range rules {
		if _, err := m.run(ctx, append([]string{"iptables", "-w", "5", "-t", "mangle"}, rule...)...); err != nil {
			return fmt.Errorf("cannot count requests: %w", err)
		}
	}
	return nil
}

// count is how many such packets there were.
func (m *meter) count(ctx context.Context) (uint64, error) {
	text, err := m.run(ctx, "iptables", "-w", "5", "-t", "mangle", "-L", chain, "-n", "-v", "-x")
	if err != nil {
		return 0, fmt.Errorf("cannot count requests: %w", err)
	}
	return parseCount(text)
}

// parseCount finds the packets of the counting rule in what iptables prints.
func parseCount(text string) (uint64, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if strings.Contains(line, "/* requests */") && len(fields) > 1 {
			return strconv.ParseUint(fields[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("cannot count requests: no rule in %q", text)
}
