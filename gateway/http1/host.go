package http1

import "bytes"

// validAuthority reports whether b is a non-empty host with an optional port
// and nothing else (RFC 9110 7.2, RFC 3986 3.2). User information is refused
// (RFC 9110 4.2.4). A port may be empty, as the grammar has it.
func validAuthority(b []byte) bool {
	port, ok := splitHost(b)
	return ok && (len(port) <= 1 || validPort(port, 0))
}

// splitHost checks the host at the start of b and returns what follows it:
// nothing, or a colon and whatever is after it.
func splitHost(b []byte) (port []byte, ok bool) {
	end := 0
	if len(b) > 0 && b[0] == '[' {
		end = bytes.IndexByte(b, ']') + 1
		if end == 0 || !validIPv6(b[1:end-1]) {
			return nil, false
		}
	} else if end = scanHost(b); end == 0 {
		return nil, false
	}
	port = b[end:]
	return port, len(port) == 0 || port[0] == ':'
}

// scanHost returns the length of the registered name or IPv4 address at the
// start of b.
func scanHost(b []byte) int {
	i := 0
	for i < len(b) {
		switch {
		case class[b[i]]&classHost != 0:
			i++
		case b[i] == '%' && i+2 < len(b) && class[b[i+1]]&class[b[i+2]]&classHex != 0:
			i += 3
		default:
			return i
		}
	}
	return i
}

// validPort reports whether b is a colon and a decimal port of at least least.
func validPort(b []byte, least int64) bool {
	if len(b) < 2 || len(b) > len(":65535") {
		return false
	}
	n, ok := parseDigits(b[1:])
	return ok && n >= least && n <= 65535
}

// validIPv6 reports whether b is an IPv6 address without zone (RFC 3986
// 3.2.2). It is here because netip.ParseAddr takes a string and would
// allocate.
func validIPv6(b []byte) bool {
	gap := bytes.Index(b, []byte("::"))
	if gap < 0 {
		n, ok := countGroups(b)
		return ok && n == 8
	}
	left, okLeft := 0, true
	if gap > 0 {
		left, okLeft = countGroups(b[:gap])
		// An IPv4 address may only stand at the very end.
		okLeft = okLeft && bytes.IndexByte(b[:gap], '.') < 0
	}
	right, okRight := 0, true
	if gap+2 < len(b) {
		right, okRight = countGroups(b[gap+2:])
	}
	return okLeft && okRight && left+right < 8
}

// countGroups counts the 16-bit groups in a run without "::". A trailing IPv4
// address is two.
func countGroups(b []byte) (n int, ok bool) {
	for {
		i := bytes.IndexByte(b, ':')
		if i < 0 {
			break
		}
		if !validGroup(b[:i]) {
			return 0, false
		}
		n, b = n+1, b[i+1:]
	}
	if bytes.IndexByte(b, '.') >= 0 {
		return n + 2, validIPv4(b)
	}
	return n + 1, validGroup(b)
}

func validGroup(b []byte) bool {
	if len(b) == 0 || len(b) > 4 {
		return false
	}
	for _, c := range b {
		if class[c]&classHex == 0 {
			return false
		}
	}
	return true
}

// validIPv4 reports whether b is a dotted quad without leading zeros.
func validIPv4(b []byte) bool {
	dots := 0
	for {
		i := bytes.IndexByte(b, '.')
		octet := b
		if i >= 0 {
			octet = b[:i]
		}
		n, ok := parseDigits(octet)
		if !ok || n > 255 || len(octet) > 1 && octet[0] == '0' {
			return false
		}
		if i < 0 {
			return dots == 3
		}
		dots, b = dots+1, b[i+1:]
	}
}
