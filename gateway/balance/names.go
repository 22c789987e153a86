package balance

import (
	"strings"

	"spillway/gateway/upstream"
)

// nameSet is the primaries of a snapshot as the keyed policies see them: by
// name. There is more than one server of a name if a hostname resolved to
// several addresses.
type nameSet struct {
	names   []string // each once
	weights []int64  // of each name: its heaviest server's
	nameOf  []int    // index into names of each primary, in snapshot order
}

func newNames(snap *upstream.Snapshot) nameSet {
	var l nameSet
	index := map[string]int{}
	for i := range snap.Entries {
		spec := &snap.Entries[i].Spec
		if spec.Backup {
			continue
		}
		name := serverName(spec)
		n, known := index[name]
		if !known {
			n = len(l.names)
			index[name] = n
			l.names, l.weights = append(l.names, name), append(l.weights, 0)
		}
		l.nameOf = append(l.nameOf, n)
		l.weights[n] = max(l.weights[n], 1, int64(spec.Weight))
	}
	return l
}

// peers returns the peers of each name; g are the primaries of the same
// snapshot.
func (l *nameSet) peers(g *group) [][]*peer {
	named := make([][]*peer, len(l.names))
	for i, c := range g.order {
		n := l.nameOf[i]
		named[n] = append(named[n], c)
	}
	return named
}

// serverName is the server as nginx's configuration would name it: by
// hostname if it has one, which keeps keys in place when its address changes.
func serverName(spec *upstream.Spec) string {
	if spec.Host == "" {
		return spec.Addr
	}
	if at := strings.LastIndexByte(spec.Addr, ':'); at >= 0 {
		return spec.Host + spec.Addr[at:]
	}
	return spec.Host
}

func splitName(name string) (host, port string) {
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		return path, ""
	}
	if at := strings.LastIndexByte(name, ':'); at >= 0 {
		return name[:at], name[at+1:]
	}
	return name, ""
}
