package placement

import (
	"fmt"
	"slices"
)

// hasPorts reports whether the ports a shape wants are free on a host.
func (n *node) hasPorts(s *shape) bool {
	for _, p := range s.fixed {
		if n.taken(p) {
			return false
		}
	}
	if s.chosen == 0 {
		return true
	}
	// Even if every port in use were one of those that may be given out.
	if n.managed()-len(n.host.Ports)-len(n.given)-len(s.fixed) >= s.chosen {
		return true
	}
	return n.portsLeft(s) >= s.chosen
}

func (n *node) taken(port int) bool {
	return n.host.Ports[port] || slices.Contains(n.given, uint16(port))
}

// managed is how many ports of the host may be given out.
func (n *node) managed() int {
	if n.host.PortTo <= 0 {
		return 0
	}
	return max(0, min(n.host.PortTo, 65535)-max(1, n.host.PortFrom)+1)
}

// portsLeft counts those that a shape could be given beside what it fixes.
func (n *node) portsLeft(s *shape) int {
	left := 0
	for p := range n.managed() {
		p += max(1, n.host.PortFrom)
		if !n.taken(p) && !slices.Contains(s.fixed, p) {
			left++
		}
	}
	return left
}

// give takes the ports of an ask. Which ones are chosen depends on the app and
// the ask's ID, so that a port just given back does not go to another app at
// once: some gateway may not have heard yet.
func (n *node) give(s *shape, a *Ask) map[int]int {
	wanted := a.hostPorts()
	if len(wanted) == 0 {
		return nil
	}
	ports := make(map[int]int, len(wanted))
	for _, p := range wanted {
		if p.Host != 0 {
			ports[p.Container] = p.Host
			n.given = append(n.given, uint16(p.Host))
		}
	}
	next := uint64(0)
	if s.chosen > 0 {
		next = (s.tie ^ hash(a.ID)) % uint64(n.managed())
	}
	for _, p := range wanted {
		if p.Host == 0 {
			ports[p.Container], next = n.choose(next)
		}
	}
	return ports
}

// choose takes the first free port at or after the offset from, around the end.
func (n *node) choose(from uint64) (port int, next uint64) {
	size := uint64(n.managed())
	for i := range size {
		at := (from + i) % size
		port = max(1, n.host.PortFrom) + int(at)
		if !n.taken(port) {
			n.given = append(n.given, uint16(port))
			return port, at + 1
		}
	}
	panic("BUG: a host was chosen that has no free port")
}

func (n *node) portReason(s *shape) string {
	for _, p := range s.fixed {
		if n.taken(p) {
			return fmt.Sprintf("port %d is taken", p)
		}
	}
	if n.managed() == 0 {
		return fmt.Sprintf("wants %d ports, has none to give out", s.chosen)
	}
	return fmt.Sprintf("wants %d ports, %d of %d-%d left", s.chosen, n.portsLeft(s), n.host.PortFrom, n.host.PortTo)
}
