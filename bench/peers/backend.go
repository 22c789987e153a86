package peers

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"spillway/internal/netloop"
)

// answerKind chooses the backend's answer. It is the first byte of the target
// behind the slash; any other byte means small.
type answerKind byte

// The answers. Their targets are "/", "/4k", "/100k" and "/?".
const (
	small  answerKind = ' ' // bodySize bytes
	medium answerKind = '4' // 4 KiB
	large  answerKind = '1' // 100 KiB
	seen   answerKind = '?' // what the backend itself has seen, see backend.seen
)

// bodySize is the size of the small body.
const bodySize = 127

// bodySizes are the bodies that comparisons know, by the target that asks for
// them.
var bodySizes = map[string]int{"/": bodySize, "/4k": 4 << 10, "/100k": 100 << 10}

// bodyOf is the body of that size.
func bodyOf(size int) string { return strings.Repeat("spillway ", size/9+1)[:size] }

func answerWith(body string) []byte {
	return []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

// asleep is how long an address must have had no request for the next one to be
// told as its first. It is far above the gap between two requests to a server
// that is in use, and far below the time for which a change takes one out.
const asleep = 150 * time.Millisecond

// maxWakes bounds what is remembered of first requests.
const maxWakes = 1 << 16

// backend answers every request from bytes made before. It shares its processor
// with the load generator, so it does the least a server can: one read, a
// search for the ends of heads, one write.
type backend struct {
	loop     *netloop.Loop
	answers  [256][]byte // by answerKind; nil: small
	accepted uint64
	wakes    strings.Builder // "ADDRESS UNIX-NANOSECONDS" lines
	awake    int             // lines in wakes
	in       [64 << 10]byte
	out      []byte
}

// serveBackend listens on the addresses and runs until a TERM or INT.
func serveBackend(addrs []string) error {
	loop, err := netloop.New(netloop.Options{})
	if err != nil {
		return fmt.Errorf("cannot start the backend: %w", err)
	}
	b := newBackend(loop)
	for _, addr := range addrs {
		f, _, err := netloop.Listen(addr)
		if err != nil {
			return fmt.Errorf("cannot start the backend: %w", err)
		}
		defer f.Close()
		l := &listener{backend: b, addr: addr}
		if err := loop.AddListener(&l.source, int32(f.Fd()), l); err != nil {
			return fmt.Errorf("cannot start the backend: %w", err)
		}
	}
	stopOnSignal(loop)
	loop.Run()
	return nil
}

func newBackend(loop *netloop.Loop) *backend {
	b := &backend{loop: loop}
	b.answers[small] = answerWith(bodyOf(bodySize))
	b.answers[medium] = answerWith(bodyOf(4 << 10))
	b.answers[large] = answerWith(bodyOf(100 << 10))
	return b
}

// stopOnSignal ends a loop at TERM or INT.
func stopOnSignal(loop *netloop.Loop) {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-end
		loop.Stop()
	}()
}

// answer is what a request gets, given the byte behind "GET /".
func (b *backend) answer(kind byte) []byte {
	switch a := b.answers[kind]; {
	case a != nil:
		return a
	case answerKind(kind) == seen:
		return b.seen()
	}
	return b.answers[small]
}

// seen answers with the number of connections accepted and the first requests
// at each address after a quiet time:
//
//	accepted 12
//	127.0.0.1:4001 1700000000000000000
func (b *backend) seen() []byte {
	return answerWith("accepted " + strconv.FormatUint(b.accepted, 10) + "\n" + b.wakes.String())
}

// listener is one address of the backend.
type listener struct {
	source  netloop.Source
	backend *backend
	addr    string
	last    int64 // loop time of the last request
}

func (l *listener) Ready(netloop.Events) {
	fd, _, errno := netloop.Accept(l.source.FD())
	if errno != 0 {
		return // taken back by the client; the next event brings the next one
	}
	netloop.NoDelay(fd)
	l.backend.accepted++
	c := &served{backend: l.backend, at: l}
	if err := l.backend.loop.Add(&c.source, fd, c); err != nil {
		netloop.CloseNow(fd)
	}
}

func (l *listener) Expired(int64) {}
func (l *listener) Closed()       {}

// used notes that requests have come.
func (l *listener) used() {
	b := l.backend
	now := b.loop.Now()
	if now-l.last > int64(asleep) && b.awake < maxWakes {
		fmt.Fprintf(&b.wakes, "%s %d\n", l.addr, time.Now().UnixNano())
		b.awake++
	}
	l.last = now
}
