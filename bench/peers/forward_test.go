package peers

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// TestForwarderMovesBytesBothWays sends more than any socket buffer holds
// through a real forwarder, in both directions at once.
func TestForwarderMovesBytesBothWays(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		c, err := echo.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	self := []string{"bench", "peers"}
	argv := append([]string{os.Args[0]}, serveArgs(self, forwarderName, addrs, []string{echo.Addr().String()})...)
	p, err := startProcess(forwarderName, t.TempDir(), "0", argv, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(stopTimeout)
	var c net.Conn
	err = p.Wait(t.Context(), addrs[0], func(context.Context) error {
		c, err = net.Dial("tcp", addrs[0])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	const size = 20 << 20
	go func() {
		w := bufio.NewWriter(c)
		for i := range size {
			w.WriteByte(byte(i % 251))
		}
		w.Flush()
	}()
	r := bufio.NewReader(c)
	for i := range size {
		b, err := r.ReadByte()
		if err != nil || b != byte(i%251) {
			t.Fatalf("byte %d is %d, %v; want %d", i, b, err, i%251)
		}
	}
}

// TestBackendSendsLargeAnswersToSlowReaders pipelines more than the socket takes
// before it reads any of it.
func TestBackendSendsLargeAnswersToSlowReaders(t *testing.T) {
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	argv := append([]string{os.Args[0]}, serveArgs([]string{"bench", "peers"}, "backend", addrs, nil)...)
	p, err := startProcess("backend", t.TempDir(), "0", argv, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(stopTimeout)
	if err := waitReady(t.Context(), p, "http://"+addrs[0]+"/"); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	const count = 100
	for range count {
		io.WriteString(c, "GET /100k HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	r := bufio.NewReader(c)
	for i := range count {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != bodyOf(100<<10) {
			t.Fatalf("answer %d: %d bytes, %v", i, len(body), err)
		}
	}
}
