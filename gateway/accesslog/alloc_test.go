//go:build !race

package accesslog

import (
	"testing"
)

// TestLogAllocatesNothing covers each format, a line with escapes and a ring
// that is full.
func TestLogAllocatesNothing(t *testing.T) {
	for _, format := range []string{"combined", "json", "$uri $args $upstream_response_time $http_user_agent $host $request_id $msec"} {
		l := start("x", mustCompile(t, format), 1, &memory{fail: 0})
		e := entry()
		e.Target = []byte("/a/../b%20\"?c")
		e.Headers = [][]byte{[]byte("http://r/"), []byte("Mozilla/5.0 \xff")}
		b := l.Loop(0)
		b.Log(&e) // the scratch buffers grow once
		if n := testing.AllocsPerRun(5000, func() { b.Log(&e) }); n != 0 {
			t.Errorf("%s: %v allocations a line", format, n)
		}
		closeLog(t, l)
	}
}

func BenchmarkLog(b *testing.B) {
	for _, format := range []string{"combined", "json"} {
		b.Run(format, func(b *testing.B) {
			l := start("x", mustCompile(b, format), 1, &memory{fail: 0})
			e := entry()
			e.Headers = [][]byte{nil, []byte("Mozilla/5.0 (X11; Linux x86_64)")}
			b.ReportAllocs()
			for b.Loop() {
				l.Loop(0).Log(&e)
			}
			closeLog(b, l)
		})
	}
}
