package load

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// script answers the requests on one connection; n counts connections from 0.
type script func(c net.Conn, r *bufio.Reader, n int)

// serve runs a scripted server until the test ends.
func serve(t *testing.T, s script) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go accept(ln, s)
	return netip.MustParseAddrPort(ln.Addr().String())
}

func accept(ln net.Listener, s script) {
	for n := 0; ; n++ {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			s(c, bufio.NewReader(c), n)
		}()
	}
}

// always answers every request with what answer returns, until it is empty.
func always(answer func(*http.Request) string) script {
	return func(c net.Conn, r *bufio.Reader, _ int) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			text := answer(req)
			if _, err := io.WriteString(c, text); err != nil || text == "" {
				return
			}
		}
	}
}

func fixed(text string) script { return always(func(*http.Request) string { return text }) }

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// do runs and expects to be able to.
func do(t *testing.T, cfg Config) *Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	res, err := Do(ctx, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, res)
	return res
}

// checkSums holds what must be true of every result.
func checkSums(t *testing.T, r *Result) {
	t.Helper()
	var status, timeline uint64
	for _, n := range r.Status {
		status += n
	}
	for _, s := range r.Timeline {
		timeline += s.Answered
	}
	if status != r.Answered || timeline != r.Answered || r.Answered > r.Sent {
		t.Errorf("%d sent, %d answered, %d by status, %d by second", r.Sent, r.Answered, status, timeline)
	}
	if r.Raw.Count() < r.Answered || r.Raw.Max() > r.Corrected.Max() {
		t.Errorf("%d raw latencies up to %d, corrected up to %d", r.Raw.Count(), r.Raw.Max(), r.Corrected.Max())
	}
}
