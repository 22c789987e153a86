package accesslog

import "bytes"

// target is a request target taken apart. All parts are slices of it.
type target struct {
	whole []byte // path and query, without scheme and authority
	path  []byte
	query []byte // without "?"
}

// splitTarget takes a target apart; a request that could not be parsed has
// none.
func splitTarget(e *Entry) target {
	if len(e.Method) == 0 {
		return target{}
	}
	t := target{whole: e.Target}
	if i := bytes.Index(t.whole, []byte("://")); i > 0 && t.whole[0] != '/' {
		rest := t.whole[i+3:]
		if i = bytes.IndexAny(rest, "/?#"); i < 0 {
			i = len(rest)
		}
		t.whole = rest[i:]
	}
	t.path = t.whole
	if i := bytes.IndexByte(t.path, '#'); i >= 0 {
		t.path = t.path[:i]
	}
	if i := bytes.IndexByte(t.path, '?'); i >= 0 {
		t.path, t.query = t.path[:i], t.path[i+1:]
	}
	return t
}

// requestURI is the target as received, without the scheme and authority of
// an absolute one.
func requestURI(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
	t := splitTarget(e)
	if len(e.Method) > 0 && (len(t.whole) == 0 || t.whole[0] == '?') {
		dst = append(dst, '/')
	}
	return append(dst, t.whole...), len(e.Method) > 0
}

// normalURI is the path as nginx's $uri has it: escapes decoded, "." and ".."
// resolved, empty segments dropped.
func normalURI(dst []byte, e *Entry, _ *renderer) ([]byte, bool) {
	if len(e.Method) == 0 {
		return dst, false
	}
	path := splitTarget(e).path
	if len(path) > 0 && path[0] != '/' {
		return append(dst, path...), true // "*", an authority
	}
	root := len(dst)
	dst = append(dst, '/')
	segment := len(dst)
	for i := 0; i < len(path); {
		c, n := unescape(path[i:])
		i += n
		if c != '/' {
			dst = append(dst, c)
			continue
		}
		if dst = closeSegment(dst, root, segment); dst[len(dst)-1] != '/' {
			dst = append(dst, '/')
		}
		segment = len(dst)
	}
	return closeSegment(dst, root, segment), true
}

// closeSegment resolves the segment dst[segment:] if it is "." or "..". It
// never goes above the slash at root.
func closeSegment(dst []byte, root, segment int) []byte {
	switch string(dst[segment:]) {
	case ".":
		return dst[:segment]
	case "..":
		if segment-1 == root {
			return dst[:segment]
		}
		parent := bytes.LastIndexByte(dst[root:segment-1], '/')
		return dst[:root+parent+1]
	}
	return dst
}

// unescape returns the byte at the start of b, decoded, and its length.
func unescape(b []byte) (c byte, n int) {
	if b[0] == '%' && len(b) >= 3 {
		hi, lo := hexDigit(b[1]), hexDigit(b[2])
		if hi >= 0 && lo >= 0 {
			return byte(hi<<4 | lo), 3
		}
	}
	return b[0], 1
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
