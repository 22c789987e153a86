package http1

// versionLen is the length of "HTTP/1.1".
const versionLen = 8

// scanVersion checks the HTTP version at i. It returns the index after it and
// its minor number, capped at 1: a later HTTP/1.x is treated as HTTP/1.1 (RFC
// 9110 2.5). It returns 0 if b ends before the version does.
func scanVersion(b []byte, i int) (next int, minor uint8, f fault) {
	const form = "HTTP/0.0" // 0 stands for a digit
	v := b[i:]
	if len(v) > versionLen {
		v = v[:versionLen]
	}
	if string(v) == "HTTP/1.1" {
		return i + versionLen, 1, faultNone // Fast path
	}
	for k, c := range v {
		if form[k] != c && (form[k] != '0' || c < '0' || c > '9') {
			return 0, 0, faultVersion
		}
	}
	if len(v) < versionLen {
		return 0, 0, faultNone
	}
	if v[5] != '1' {
		return 0, 0, faultMajor
	}
	return i + versionLen, min(v[7]-'0', 1), faultNone
}
