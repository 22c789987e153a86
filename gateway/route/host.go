package route

import (
	"bytes"
	"slices"
	"strings"
)

// maxName is the most bytes of a DNS name (RFC 1035, 2.3.4, as text).
const maxName = 253

// hosts lists the rules that may fit a host, in the order of the file. Each
// list is whole: it holds the rules of the host itself, those of wildcards
// over it, and those for any host.
type hosts struct {
	exact map[string][]int32
	wild  map[string][]int32 // by what follows the star: ".example.com"
	any   []int32
}

func newHosts(rules []Rule) hosts {
	own := map[string][]int32{} // rules by their Host
	for i := range rules {
		own[rules[i].Host] = append(own[rules[i].Host], int32(i))
	}
	h := hosts{exact: map[string][]int32{}, wild: map[string][]int32{}, any: own[""]}
	for host := range own {
		if host == "" {
			continue
		}
		if suffix, ok := strings.CutPrefix(host, "*"); ok {
			h.wild[suffix] = covering(own, host)
		} else {
			h.exact[host] = covering(own, host)
		}
	}
	return h
}

// covering returns the rules whose host is that host or covers it.
func covering(own map[string][]int32, host string) []int32 {
	all := slices.Concat(own[host], own[""])
	for rest := host; ; {
		at := strings.IndexByte(rest[1:], '.')
		if at < 0 {
			break
		}
		rest = rest[1+at:]
		if "*"+rest != host {
			all = append(all, own["*"+rest]...)
		}
	}
	slices.Sort(all)
	return all
}

// lookup returns the rules for a normalised host: the list of the host, else
// of the longest wildcard over it, else of any.
func (h *hosts) lookup(host []byte) []int32 {
	if list, ok := h.exact[string(host)]; ok {
		return list
	}
	if len(h.wild) == 0 || !wellFormed(host) {
		return h.any
	}
	for rest := host; ; {
		at := bytes.IndexByte(rest, '.')
		if at < 0 {
			return h.any
		}
		if list, ok := h.wild[string(rest[at:])]; ok {
			return list
		}
		rest = rest[at+1:]
	}
}

// wellFormed reports whether a star may match in the host: no label is empty,
// and the name is one that can exist, which bounds the lookups.
func wellFormed(host []byte) bool {
	return len(host) > 0 && len(host) <= maxName && host[0] != '.' && !bytes.Contains(host, []byte(".."))
}

// normalHost returns the host of a request without port and final dot, in
// lower case. It copies only if it must.
func (m *Match) normalHost(host []byte) []byte {
	host = bytes.TrimSuffix(withoutPort(host), []byte("."))
	upper := slices.IndexFunc(host, isUpper)
	if upper < 0 {
		return host
	}
	m.host = append(m.host[:0], host...)
	for i := upper; i < len(m.host); i++ {
		if isUpper(m.host[i]) {
			m.host[i] += 'a' - 'A'
		}
	}
	return m.host
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

func withoutPort(host []byte) []byte {
	if len(host) > 0 && host[0] == '[' {
		return host[:bytes.IndexByte(host, ']')+1] // none: no rule has that host
	}
	if at := bytes.IndexByte(host, ':'); at >= 0 {
		return host[:at]
	}
	return host
}
