package http1

import (
	"encoding/binary"
	"math/bits"
)

// Eight bytes at a time: a set high bit in the result of the expressions below
// marks a byte that is looked for. Only the lowest mark is exact, since
// borrows and carries run upwards, and only the lowest is used.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// scanText returns the index of the first byte of b from i on that cannot be
// part of a field value (a control byte other than HTAB), or len(b).
func scanText(b []byte, i int) int {
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		del := w ^ 0x7f*ones
		m := ((w-0x20*ones)&^w | (del-ones)&^del) & highs
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) / 8
		if b[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(b) && class[b[i]]&classText != 0 {
		i++
	}
	return i
}

// scanTarget returns the index of the first byte of b from i on that is not
// visible ASCII, or len(b).
func scanTarget(b []byte, i int) int {
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		m := ((w-0x21*ones)&^w | (w + ones) | w) & highs
		if m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
		i += 8
	}
	for i < len(b) && b[i] > ' ' && b[i] < 0x7f {
		i++
	}
	return i
}

// scanToken returns the index of the first byte of b from i on that cannot be
// part of a token, or len(b).
func scanToken(b []byte, i int) int {
	for i < len(b) && class[b[i]]&classToken != 0 {
		i++
	}
	return i
}

// skipSpace returns the index of the first byte of b from i on that is neither
// SP nor HTAB, or len(b).
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// trimSpace removes SP and HTAB on both sides.
func trimSpace(b []byte) []byte {
	b = b[skipSpace(b, 0):]
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// isToken reports whether b is a token.
func isToken(b []byte) bool { return len(b) > 0 && scanToken(b, 0) == len(b) }

// foldEqual reports whether b is lower in any case. b must hold token bytes
// only and lower only lower-case letters, digits and hyphens: among those,
// setting bit 5 changes nothing but the case.
func foldEqual(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// tokenEqual is foldEqual for bytes that may be no token.
func tokenEqual(b []byte, lower string) bool { return foldEqual(b, lower) && isToken(b) }

// sameName reports whether two tokens are equal but for case.
func sameName(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lowerASCII(a[i]) != lowerASCII(b[i]) {
			return false
		}
	}
	return true
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// nextElement splits the first element off a comma-separated list and trims
// it. Elements may be empty (RFC 9110 5.6.1.2).
func nextElement(list []byte) (elem, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trimSpace(list[:i]), list[i+1:]
		}
	}
	return trimSpace(list), nil
}

// parseDigits reads a decimal number of digits only. It fails on overflow.
func parseDigits(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	const most = 1<<63 - 1
	for _, c := range b {
		d := int64(c) - '0'
		if d < 0 || d > 9 || n > (most-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
