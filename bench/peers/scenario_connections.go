package peers

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"spillway/bench/account"
	"spillway/bench/peers/figures"
)

func fullConnections(o *Options) {
	o.Connections = []int{8000}
	o.Rounds, o.Duration = 3, 3*time.Second
}

func shortConnections(o *Options) {
	o.Connections = []int{100}
	o.Rounds, o.Duration = 1, 300*time.Millisecond
}

// freshConnections is how many clients open connections at once where each
// request has one of its own.
const freshConnections = 64

// Held is the memory of a proxy before and while connections idle.
type Held struct {
	Peer        string  `json:"peer"`
	Connections int     `json:"connections"`
	PSSBefore   int64   `json:"pss_before_bytes"`
	PSSHeld     int64   `json:"pss_held_bytes"`
	Bytes       float64 `json:"bytes_each"`
}

// runConnections measures what an idle connection costs, and how many
// connections a second a peer takes when each request has its own.
func runConnections(ctx context.Context, s *study) error {
	chosen, missing, err := selected(s.o)
	if err != nil {
		return err
	}
	s.missing(missing)
	if err := s.open(ctx, chosen); err != nil {
		return err
	}
	n := s.o.Connections[0]
	if room := openFiles() - 200; n > room {
		return fmt.Errorf("cannot hold %d connections: this process may open %d files (ulimit -n)", n, room+200)
	}
	var held []Held
	for _, peer := range s.subjects {
		if peer.pid == 0 {
			continue
		}
		h, err := s.hold(ctx, peer, n)
		if err != nil {
			return err
		}
		held = append(held, h)
		s.tell("%-12s %d idle connections: %.0f bytes each", peer.name, n, h.Bytes)
	}
	fresh, err := s.freshRounds(ctx)
	if err != nil {
		return err
	}
	s.result.Tables = []figures.Table{heldTable(held), freshTable(fresh)}
	s.result.Runs = barsOf(summarize(fresh), fresh, s.o.Duration.Seconds())
	s.result.Raw = map[string]any{"held": held, "fresh": fresh}
	s.note("an idle connection has had one request and its answer; bytes are the growth of the proxy's PSS (processes together), the kernel's socket buffers not counted")
	s.note("without keep-alive each request has a connection of its own (Connection: close), while connections to servers are kept; CPU includes accepting and closing. The backend never closes, so there is no figure without a proxy that does")
	return nil
}

// forwarderName is the peer that moves bytes.
const forwarderName = "forward"

// hold opens the connections, uses each once and looks at the memory.
func (s *study) hold(ctx context.Context, peer subject, n int) (Held, error) {
	h := Held{Peer: peer.name, Connections: n}
	before, err := account.Read(peer.pid)
	if err != nil {
		return h, err
	}
	conns := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range conns {
			c.(*net.TCPConn).SetLinger(0) // a reset: no TIME_WAIT stays behind
			c.Close()
		}
	}()
	addr := peer.url[len("http://") : len(peer.url)-1]
	request := []byte("GET / HTTP/1.1\r\nHost: " + addr + "\r\n\r\n")
	answer := make([]byte, 4<<10)
	for range n {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return h, fmt.Errorf("cannot hold %d connections to %s: %w", n, peer.name, err)
		}
		conns = append(conns, c)
		if err := ask(c, request, answer); err != nil {
			return h, fmt.Errorf("cannot hold %d connections to %s: %w", n, peer.name, err)
		}
	}
	after, err := account.Read(peer.pid)
	if err != nil {
		return h, err
	}
	h.PSSBefore, h.PSSHeld = before.PSS, after.PSS
	h.Bytes = float64(after.PSS-before.PSS) / float64(n)
	return h, nil
}

// ask sends one request and reads its answer, which is known to end with the
// small body.
func ask(c net.Conn, request, buf []byte) error {
	c.SetDeadline(time.Now().Add(startTimeout))
	if _, err := c.Write(request); err != nil {
		return err
	}
	body := bodyOf(bodySize)
	for n := 0; n < len(buf); {
		m, err := c.Read(buf[n:])
		if err != nil {
			return err
		}
		if n += m; n >= len(body) && string(buf[n-len(body):n]) == body {
			return nil
		}
	}
	return io.ErrShortBuffer
}

// freshRounds measures a connection a request.
func (s *study) freshRounds(ctx context.Context) ([]Sample, error) {
	var samples []Sample
	for round := 1; round <= s.o.Rounds; round++ {
		for _, peer := range s.subjects {
			if peer.pid == 0 || peer.name == forwarderName {
				continue
			}
			sample, err := s.drive(ctx, peer, loadSpec{
				URL: peer.url, Connections: freshConnections, Fresh: true, Duration: s.o.Duration,
			})
			if err != nil {
				return nil, err
			}
			sample.Round, sample.Body = round, bodySize
			samples = append(samples, sample)
			s.tell("%s", sample.line(s.o.Rounds))
		}
	}
	return samples, nil
}

func heldTable(held []Held) figures.Table {
	t := figures.Table{Title: "idle keep-alive connections", Columns: []string{"peer", "connections", "bytes each", "PSS before MiB", "PSS with them MiB"}}
	mib := func(n int64) figures.Cell { return figures.Number(float64(n)/(1<<20), 1) }
	for _, h := range held {
		t.Add(h.Peer, figures.Number(float64(h.Connections), 0), figures.Number(h.Bytes, 0), mib(h.PSSBefore), mib(h.PSSHeld))
	}
	return t
}

func freshTable(samples []Sample) figures.Table {
	t := figures.Table{
		Title: fmt.Sprintf("a connection a request, %d at once, %d-byte body", freshConnections, bodySize),
		Columns: []string{
			"peer", "CPU us/connection", "CPU by " + Baseline + "'s", "connections/s", "rate by " + Baseline + "'s", "p99 us", "errors", "core %", "limit",
		},
	}
	rows := summarize(samples)
	for i := range rows {
		r := &rows[i]
		t.Add(r.Peer, orNone(spreadCell(&r.CPU, 2)), spreadCell(r.CPURatio, 3), spreadCell(&r.Rate, 0), spreadCell(r.RateRatio, 3),
			figures.Number(r.P99US, 0), figures.Number(float64(r.Errors), 0), figures.Number(100*r.ProxyBusy, 0), figures.Text(r.verdict()))
	}
	return t
}
