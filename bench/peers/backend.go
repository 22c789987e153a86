package peers

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"spillway/internal/netloop"
)

// bodySize is the size of the answer's body in all comparisons.
const bodySize = 127

var (
	backendBody   = strings.Repeat("spillway ", bodySize/9+1)[:bodySize]
	backendAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
		strconv.Itoa(bodySize) + "\r\n\r\n" + backendBody)
)

// headEnd ends each request: the clients here send no bodies.
var headEnd = []byte("\r\n\r\n")

// backend answers every request with the same bytes. It shares its processor
// with wrk, so it does the least a server can: one read, a search for the end
// of the head, one write.
type backend struct {
	loop *netloop.Loop
	buf  [16 << 10]byte
}

// serveBackend listens on the addresses and runs until a TERM or INT.
func serveBackend(addrs []string) error {
	loop, err := netloop.New(netloop.Options{})
	if err != nil {
		return fmt.Errorf("cannot start the backend: %w", err)
	}
	b := &backend{loop: loop}
	for _, addr := range addrs {
		f, _, err := netloop.Listen(addr)
		if err != nil {
			return fmt.Errorf("cannot start the backend: %w", err)
		}
		defer f.Close()
		l := &listener{backend: b}
		if err := loop.AddListener(&l.source, int32(f.Fd()), l); err != nil {
			return fmt.Errorf("cannot start the backend: %w", err)
		}
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-end
		loop.Stop()
	}()
	loop.Run()
	return nil
}

type listener struct {
	source  netloop.Source
	backend *backend
}

func (l *listener) Ready(netloop.Events) {
	fd, _, errno := netloop.Accept(l.source.FD())
	if errno != 0 {
		return // taken back by the client; the next event brings the next one
	}
	netloop.NoDelay(fd)
	c := &served{backend: l.backend}
	if err := l.backend.loop.Add(&c.source, fd, c); err != nil {
		syscall.Close(int(fd))
	}
}

func (l *listener) Expired(int64) {}
func (l *listener) Closed()       {}

// served is one connection of the backend.
type served struct {
	source  netloop.Source
	backend *backend
	matched int // bytes of headEnd that ended the last read
}

func (c *served) Ready(ev netloop.Events) {
	b := c.backend
	n, errno := netloop.Recv(c.source.FD(), b.buf[:])
	if errno == syscall.EAGAIN {
		return
	}
	if n <= 0 || !c.answer(b.buf[:n]) {
		b.loop.Close(&c.source)
		return
	}
	if ev.Ended() || n == len(b.buf) {
		b.loop.Again(&c.source) // there is more to read and no event will say so
	}
}

func (c *served) Expired(int64) {}
func (c *served) Closed()       {}

// answer sends an answer for each request that ends in data. It gives up on a
// peer that does not read what it asked for.
func (c *served) answer(data []byte) bool {
	for range c.requestsIn(data) {
		n, errno := netloop.Send(c.source.FD(), backendAnswer)
		if errno != 0 || n != len(backendAnswer) {
			return false
		}
	}
	return true
}

// requestsIn counts the heads that end in data; an end may be spread over
// several reads.
func (c *served) requestsIn(data []byte) int {
	// Fast path: one whole request a read.
	if at := bytes.Index(data, headEnd); c.matched == 0 && at >= 0 && at == len(data)-len(headEnd) {
		return 1
	}
	count := 0
	for _, ch := range data {
		switch {
		case ch == headEnd[c.matched]:
			c.matched++
		case ch == '\r':
			c.matched = 1
		default:
			c.matched = 0
		}
		if c.matched == len(headEnd) {
			c.matched = 0
			count++
		}
	}
	return count
}
