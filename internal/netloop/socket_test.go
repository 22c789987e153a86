package netloop

import (
	"bytes"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// listen opens a listening socket and its descriptor as loops want it.
func listen(t *testing.T, addr string) (int32, net.Addr) {
	t.Helper()
	f, at, err := Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fd := int32(f.Fd())
	if err := syscall.SetNonblock(int(fd), true); err != nil {
		t.Fatal(err)
	}
	return fd, at
}

// acceptor counts what it accepts and closes it.
func acceptor(t *testing.T, lfd int32, got chan<- netip.AddrPort) *probe {
	return &probe{ready: func(Events) {
		for {
			fd, peer, e := Accept(lfd)
			if e == syscall.EAGAIN {
				return
			}
			if e != 0 {
				t.Error("accept:", e)
				return
			}
			CloseNow(fd)
			got <- peer
		}
	}}
}

// Two loops share a listening socket: every connection is accepted once, also
// after one of them has ended, and the socket is nobody's to close but ours.
func TestSharedListener(t *testing.T) {
	lfd, at := listen(t, "127.0.0.1:0")
	got := make(chan netip.AddrPort, 1000)
	stays := start(t, Options{})
	leaves, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); leaves.Run() }()
	for _, l := range []*Loop{stays, leaves} {
		a := acceptor(t, lfd, got)
		on(t, l, func() {
			if err := l.AddListener(&a.Source, lfd, a); err != nil {
				t.Error(err)
			}
		})
	}
	dial := func(n int) {
		want := map[string]bool{}
		for range n {
			c, err := net.Dial("tcp", at.String())
			if err != nil {
				t.Fatal(err)
			}
			want[c.LocalAddr().String()] = true
			defer c.Close()
		}
		for range n {
			peer := get(t, got).String()
			if !want[peer] {
				t.Errorf("accepted %s, which nobody or another dialled", peer)
			}
			delete(want, peer)
		}
	}
	dial(50)
	leaves.Stop()
	wait(t, ended)
	dial(50)
}

func TestListenAndAcceptAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	for _, c := range []struct{ listen, network, peer string }{
		{"127.0.0.1:0", "tcp4", "127.0.0.1"},
		{"[::1]:0", "tcp6", "::1"},
		{"[::]:0", "tcp4", "127.0.0.1"}, // v4-mapped, unmapped
		{"unix:" + path, "unix", ""},
	} {
		t.Run(c.listen, func(t *testing.T) {
			lfd, at := listen(t, c.listen)
			to := at.String()
			if tcp, ok := at.(*net.TCPAddr); ok && c.network == "tcp4" {
				to = net.JoinHostPort("127.0.0.1", tcp.AddrPort().String()[strings.LastIndexByte(tcp.AddrPort().String(), ':')+1:])
			}
			got := make(chan netip.AddrPort, 1)
			l := start(t, Options{})
			a := acceptor(t, lfd, got)
			on(t, l, func() {
				if err := l.AddListener(&a.Source, lfd, a); err != nil {
					t.Error(err)
				}
			})
			conn, err := net.Dial(c.network, to)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			peer := get(t, got)
			if c.peer == "" {
				if peer.IsValid() {
					t.Errorf("peer of a unix socket is %v", peer)
				}
				return
			}
			if peer.String() != conn.LocalAddr().String() || peer.Addr().String() != c.peer {
				t.Errorf("peer %v, want %v", peer, conn.LocalAddr())
			}
		})
	}
}

// A unix socket file nobody listens on is replaced, one in use is not, and a
// file that is no socket never is.
func TestListenUnixFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.sock")
	f, _, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a socket in use was taken over: %v", err)
	}
	f.Close()
	if f, _, err = Listen("unix:" + path); err != nil {
		t.Fatal("a stale socket file is in the way:", err)
	}
	f.Close()
	plain := filepath.Join(dir, "file")
	if err := os.WriteFile(plain, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Listen("unix:" + plain); err == nil {
		t.Error("a file was replaced by a socket")
	}
	if b, err := os.ReadFile(plain); err != nil || string(b) != "data" {
		t.Errorf("the file is now %q, %v", b, err)
	}
}

func TestListenErrors(t *testing.T) {
	before := openFiles(t)
	for _, addr := range []string{"127.0.0.1", "127.0.0.1:99999", "unix:/no/such/dir/s", "nohost.invalid:0"} {
		if f, _, err := Listen(addr); err == nil {
			f.Close()
			t.Errorf("listens on %q", addr)
		}
	}
	if after := openFiles(t); !maps.Equal(before, after) {
		t.Errorf("open before %v\nafter %v", before, after)
	}
}

// Connect reaches TCP and unix sockets, and tells of refusal at once or
// through the event, without leaking a descriptor.
func TestConnect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "unix:" + path} {
		t.Run(addr, func(t *testing.T) {
			f, at, err := Listen(addr)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			ap, file := netip.AddrPort{}, ""
			if tcp, ok := at.(*net.TCPAddr); ok {
				ap = tcp.AddrPort()
			} else {
				file = at.String()
			}
			to := MakeSockaddr(ap, file)
			fd, e := Connect(&to)
			if e != 0 && e != syscall.EINPROGRESS {
				t.Fatal(e)
			}
			l := start(t, Options{})
			up := make(chan syscall.Errno, 1)
			p := &probe{}
			p.ready = func(ev Events) {
				if ev&Writable != 0 && cap(up) > len(up) {
					up <- SocketError(p.FD())
				}
			}
			on(t, l, func() { add(t, l, p, fd) })
			if e := get(t, up); e != 0 {
				t.Error(e)
			}
			if SelfConnected(fd, &to) {
				t.Error("taken for connected to itself")
			}
		})
	}
}

func TestConnectRefused(t *testing.T) {
	f, at, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	l := start(t, Options{})
	before := openFiles(t)
	to := MakeSockaddr(at.(*net.TCPAddr).AddrPort(), "")
	fd, e := Connect(&to)
	if e == syscall.EINPROGRESS {
		got := make(chan syscall.Errno, 1)
		closed := make(chan struct{})
		p := &probe{closed: func() { close(closed) }}
		p.ready = func(ev Events) {
			if !ev.Ended() {
				return
			}
			got <- SocketError(p.FD())
			l.Close(&p.Source)
		}
		on(t, l, func() { add(t, l, p, fd) })
		e = get(t, got)
		wait(t, closed)
	}
	if e != syscall.ECONNREFUSED {
		t.Errorf("got %v", e)
	}
	noFile := MakeSockaddr(netip.AddrPort{}, filepath.Join(t.TempDir(), "none"))
	if _, e := Connect(&noFile); e != syscall.ENOENT {
		t.Errorf("no socket file: got %v", e)
	}
	if after := openFiles(t); !maps.Equal(before, after) {
		t.Errorf("open before %v\nafter %v", before, after)
	}
}

// A socket bound to a port that dials the same port is connected to itself.
func TestSelfConnected(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Connect(fd, sa); err != nil {
		t.Fatal(err)
	}
	port := uint16(sa.(*syscall.SockaddrInet4).Port)
	to := MakeSockaddr(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port), "")
	if !SelfConnected(int32(fd), &to) {
		t.Error("not noticed")
	}
	other := MakeSockaddr(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port^1), "")
	if SelfConnected(int32(fd), &other) {
		t.Error("a connection to another port is taken for one to itself")
	}
}

// SendTwo writes both parts in order, whichever is empty, and reports what a
// full socket took.
func TestSendTwo(t *testing.T) {
	for _, c := range []struct{ a, b string }{{"head", "body"}, {"head", ""}, {"", "body"}, {"", ""}} {
		x, y := pair(t)
		n, e := SendTwo(x, []byte(c.a), []byte(c.b))
		if e != 0 || n != len(c.a)+len(c.b) {
			t.Errorf("%q %q: sent %d, %v", c.a, c.b, n, e)
		}
		var got [16]byte
		if n > 0 {
			n, _ = Recv(y, got[:])
		}
		if string(got[:n]) != c.a+c.b {
			t.Errorf("%q %q: received %q", c.a, c.b, got[:n])
		}
		CloseNow(x)
		CloseNow(y)
	}
	x, y := pair(t)
	defer CloseNow(x)
	big := bytes.Repeat([]byte("x"), 8<<20)
	n, e := SendTwo(x, []byte("head"), big)
	if e != 0 || n <= 4 || n >= len(big) {
		t.Errorf("a full socket took %d, %v", n, e)
	}
	if n, e = SendTwo(x, []byte("head"), big); e != syscall.EAGAIN || n != 0 {
		t.Errorf("a socket that is full took %d, %v", n, e)
	}
	CloseNow(y)
	if _, e = SendTwo(x, []byte("head"), big); e != syscall.EPIPE {
		t.Errorf("a socket without a peer: %v", e)
	}
	if _, e = Send(x, big); e != syscall.EPIPE {
		t.Errorf("a socket without a peer: %v", e)
	}
}

// ResetOnClose makes the peer see a reset, ShutdownWrite an end of stream.
func TestEndsOfAConnection(t *testing.T) {
	for _, reset := range []bool{true, false} {
		lfd, at := listen(t, "127.0.0.1:0")
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		var fd int32
		for {
			var e syscall.Errno
			if fd, _, e = Accept(lfd); e == 0 {
				break
			}
		}
		if reset {
			ResetOnClose(fd)
			CloseNow(fd)
		} else {
			ShutdownWrite(fd)
		}
		c.SetReadDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
		if (err == io.EOF) == reset || err == nil {
			t.Errorf("reset %v: the peer sees %v", reset, err)
		}
		c.Close()
		if !reset {
			CloseNow(fd)
		}
	}
}
