package route

import "bytes"

// normalPath returns the path without dot segments (RFC 3986, 5.2.4), also
// those written with %2e, so that "/a/../b" cannot pass for something below
// "/a". Nothing leads above the root. Empty segments stay, and so does all
// other percent-encoding. It copies only if there is a dot segment.
func (m *Match) normalPath(path []byte) []byte {
	switch {
	case len(path) == 0:
		return slash
	case path[0] != '/' || !hasDotSegment(path):
		return path // also "*" of OPTIONS
	}
	m.path = appendWithoutDots(m.path[:0], path)
	return m.path
}

var slash = []byte("/")

func hasDotSegment(path []byte) bool {
	for more := true; more; {
		var segment []byte
		segment, path, more = bytes.Cut(path, slash)
		if dots(segment) > 0 {
			return true
		}
	}
	return false
}

// appendWithoutDots appends the normalised path, which starts with a slash,
// to the empty out.
func appendWithoutDots(out, path []byte) []byte {
	for rest, more := path[1:], true; more; {
		var segment []byte
		segment, rest, more = bytes.Cut(rest, slash)
		switch dots(segment) {
		case 0:
			out = append(append(out, '/'), segment...)
			continue
		case 2:
			out = out[:max(0, bytes.LastIndexByte(out, '/'))]
		}
		if !more {
			out = append(out, '/') // "/a/." and "/a/b/.." are "/a/"
		}
	}
	return out
}

// dots returns 1 or 2 if the segment is "." or "..", in any encoding, else 0.
func dots(segment []byte) int {
	n := 0
	for ; len(segment) > 0; n++ {
		switch {
		case n == 2:
			return 0
		case segment[0] == '.':
			segment = segment[1:]
		case len(segment) >= 3 && segment[0] == '%' && segment[1] == '2' && segment[2]|0x20 == 'e':
			segment = segment[3:]
		default:
			return 0
		}
	}
	return n
}
