package load

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestTry(t *testing.T) {
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					if line == "\r\n" {
						c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
					}
				}
			}()
		}
	}()
	addr := netip.MustParseAddrPort(ln.Addr().String())
	for _, cfg := range []Config{
		{Addr: addr, Connections: 10, Duration: time.Second},
		{Addr: addr, Connections: 10, Curve: Constant(5000, time.Second)},
		{Addr: addr, Connections: 10, Curve: Constant(5000, time.Second), Arrivals: Poisson},
		{Addr: addr, Connections: 10, Curve: Constant(5000, time.Second), Fresh: true},
		{Addr: addr, Connections: 10, Duration: time.Second, Fresh: true},
		{Addr: addr, Connections: 10, Duration: time.Second, Pipeline: 8},
	} {
		res, err := Do(context.Background(), cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(res.Sent, res.Answered, res.Unsent, res.Errors, res.Status, res.Planned, res.Achieved, res.Elapsed,
			"corr", res.Corrected.Quantile(0.5), res.Corrected.Quantile(0.99), "raw", res.Raw.Quantile(0.99), "lag", res.Lag.Quantile(0.5), res.Lag.Quantile(0.99), res.Lag.Max(), res.Connections, res.Workers, res.Invalid(0))
		t.Log(res.Timeline)
	}
}
