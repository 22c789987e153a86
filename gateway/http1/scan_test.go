package http1

import (
	"bytes"
	"testing"
)

// The scanners read eight bytes at a time. Every byte at every place, among
// neighbours that could hide it, must give what a plain loop gives.
func TestScannersAgreeWithPlainLoops(t *testing.T) {
	plain := func(b []byte, ok func(c byte) bool) int {
		for i, c := range b {
			if !ok(c) {
				return i
			}
		}
		return len(b)
	}
	text := func(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }
	visible := func(c byte) bool { return c > ' ' && c < 0x7f }
	for _, fill := range []byte{'!', 'x', '~', ' ', '\t', 0x80, 0xff} {
		for length := range 20 {
			for at := range length {
				for c := range 256 {
					b := bytes.Repeat([]byte{fill}, length)
					b[at], b[length-1] = byte(c), min(b[length-1], byte(c))
					if got, want := scanText(b, 0), plain(b, text); got != want {
						t.Fatalf("scanText(%q) = %d, want %d", b, got, want)
					}
					if got, want := scanTarget(b, 0), plain(b, visible); got != want {
						t.Fatalf("scanTarget(%q) = %d, want %d", b, got, want)
					}
				}
			}
		}
	}
}

func TestClassesMatchTheGrammar(t *testing.T) {
	const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for c := range 256 {
		in := func(set string) bool { return bytes.IndexByte([]byte(set), byte(c)) >= 0 }
		for _, tt := range []struct {
			name  string
			class uint8
			want  bool
		}{
			{"token", classToken, in(alphanumeric + "!#$%&'*+-.^_`|~")},
			{"host", classHost, in(alphanumeric + "-._~!$&'()*+;=")},
			{"hex", classHex, in("0123456789abcdefABCDEF")},
			{"text", classText, c == '\t' || c >= ' ' && c != 0x7f},
		} {
			if got := class[c]&tt.class != 0; got != tt.want {
				t.Errorf("byte %#x in class %s: %v, want %v", c, tt.name, got, tt.want)
			}
		}
	}
}

// fieldOf reads bytes of a token only by setting bit 5: no other token may
// pass for a known name.
func TestFieldNamesAreExact(t *testing.T) {
	for name, want := range map[string]FieldID{
		"HOST": FieldHost, "cOnTeNt-LeNgTh": FieldContentLength, "Transfer-Encoding": FieldTransferEncoding, "te": FieldTE,
		"Transfer_Encoding": FieldOther, "Content_Length": FieldOther, "Content-Length-": FieldOther, "X-Forwarded-For": FieldXForwardedFor,
		"X_Forwarded_For": FieldOther, "Hos": FieldOther, "Hosts": FieldOther, "Keep-Alive": FieldKeepAlive, "HTTP2-Settings": FieldHTTP2Settings,
		"Proxy-Authorization": FieldProxyAuthorization, "Proxy-Authenticate": FieldProxyAuthenticate, "X-Request-ID": FieldXRequestID,
	} {
		if got := fieldOf([]byte(name)); got != want {
			t.Errorf("%s is field %d, want %d", name, got, want)
		}
	}
}
