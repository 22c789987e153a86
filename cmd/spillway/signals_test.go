package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slowBackend answers when it is told to, and tells when it was asked.
func slowBackend(t *testing.T) (addr string, asked, release chan struct{}) {
	t.Helper()
	asked, release = make(chan struct{}, 16), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
		io.WriteString(w, "late")
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), asked, release
}

func serveSlow(t *testing.T, options, backend string) *sut {
	return serveConfig(t, fmt.Sprintf("gateway: {%s}\nupstreams:\n  web: {servers: [%q]}\nroutes:\n  - upstream: web\n", options, backend))
}

// inFlight sends a request and returns once the backend has it.
func inFlight(t *testing.T, g *sut, asked chan struct{}) <-chan answer {
	t.Helper()
	got := make(chan answer, 1)
	go func() {
		a, err := g.ask("", "/")
		if err != nil {
			a.body = err.Error()
		}
		got <- a
	}()
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatal("the backend was not asked")
	}
	return got
}

func TestTermAndQuitLetRequestsFinish(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(fmt.Sprint(sig), func(t *testing.T) {
			t.Parallel()
			addr, asked, release := slowBackend(t)
			g := serveSlow(t, "shutdown_timeout: 60s", addr)
			idle, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer idle.Close()
			got := inFlight(t, g, asked)
			g.signal(sig)
			g.logged("shutting down")
			if n, err := idle.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("an idle connection: %d bytes, %v, want its end", n, err)
			}
			eventually(t, "closed listener", func() error {
				c, err := net.Dial("tcp", g.addr)
				if err != nil {
					return nil
				}
				c.Close()
				return errors.New("still accepts")
			})
			close(release)
			if a := <-got; a.status != http.StatusOK || a.body != "late" {
				t.Errorf("the request in flight got %d %q", a.status, a.body)
			}
			if code := g.exit(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestTermCutsWhatPassesTheDeadline(t *testing.T) {
	t.Parallel()
	addr, asked, _ := slowBackend(t)
	g := serveSlow(t, "shutdown_timeout: 50ms", addr)
	got := inFlight(t, g, asked)
	g.signal(syscall.SIGTERM)
	if code := g.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if a := <-got; a.status == http.StatusOK {
		t.Errorf("the request got %d %q", a.status, a.body)
	}
	if cut := fmt.Sprint(g.find("ended")["connections_cut"]); cut != "1" {
		t.Errorf("%s connections cut, want 1", cut)
	}
}

func TestASecondTermEndsAtOnce(t *testing.T) {
	t.Parallel()
	addr, asked, _ := slowBackend(t)
	g := serveSlow(t, "shutdown_timeout: 10m", addr)
	inFlight(t, g, asked)
	g.signal(syscall.SIGQUIT)
	g.logged("shutting down")
	g.signal(syscall.SIGTERM)
	if code := g.exit(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

func TestDrainingIsSaidBeforeTheListenersClose(t *testing.T) {
	t.Parallel()
	reg, consul := startRegistry(t)
	a := namedBackend(t, "a")
	reg.PutKV("upstreams/web/"+a, nil)
	g := serveConfig(t, followConsul(consul, webFromKV+"gateway: {shutdown_delay: 1h}\n"))
	g.ready()
	eventually(t, "blocking query", func() error {
		if reg.Blocked("/v1/kv/") == 0 {
			return errors.New("no query waits")
		}
		return nil
	})
	if got, err := g.ask("", "/"); err != nil || got.body != "a" {
		t.Fatalf("%v, %v", got, err)
	}
	g.signal(syscall.SIGTERM)
	eventually(t, "unreadiness", func() error {
		if got := g.ops("/-/ready"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "draining") {
			return fmt.Errorf("%d %s", got.status, got.body)
		}
		return nil
	})
	eventually(t, "end of the polls", func() error {
		if n := reg.InFlight(); n > 0 {
			return fmt.Errorf("%d requests to Consul", n)
		}
		return nil
	})
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatalf("it accepts no more: %v", err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("while draining: %v, %v", resp, err)
	}
	g.signal(syscall.SIGINT)
	if code := g.exit(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

func TestTheServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	a := namedBackend(t, "a")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	said, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: t.TempDir() + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	file := t.TempDir() + "/spillway.yaml"
	writeFile(t, file, fmt.Sprintf("gateway: {listen: %q}\nadmin: {listen: off}\nupstreams:\n  web: {servers: [%q]}\nroutes:\n  - upstream: web\n", ln.Addr(), a))
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, bin, "gateway", "--config", file)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "NOTIFY_SOCKET="+said.LocalAddr().String())
	cmd.ExtraFiles = []*os.File{socket}
	g := &sut{process: launch(t, cmd), addr: ln.Addr().String(), file: file}
	told := func(want string) {
		t.Helper()
		said.SetReadDeadline(time.Now().Add(patience))
		buf := make([]byte, 1024)
		n, err := said.Read(buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), want) {
			t.Errorf("told %q, %v, want %q", buf[:n], err, want)
		}
	}
	told("READY=1")
	ln.Close() // the gateway has the socket now
	g.served("", "/", "a")
	g.signal(syscall.SIGHUP)
	told("RELOADING=1\nMONOTONIC_USEC=")
	told("READY=1")
	g.served("", "/", "a")
	g.signal(syscall.SIGTERM)
	told("STOPPING=1")
	if code := g.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestProcessorsForTheLoopsAndOneMore(t *testing.T) {
	t.Parallel()
	g := serveConfig(t, "upstreams:\n  web: {servers: [\"127.0.0.1:1\"]}\nroutes:\n  - upstream: web\n", "--loops", "3")
	metrics := g.ops("/metrics").body
	for _, line := range []string{"go_sched_gomaxprocs_threads 4\n", `spillway_loop_connections{loop="2"}`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no %q in /metrics", line)
		}
	}
}
