package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startDemoApp returns the process and its address.
func startDemoApp(t *testing.T, args ...string) (*process, string) {
	t.Helper()
	p := runSpillway(t, append([]string{"demo-app", "--listen", "127.0.0.1:0", "--id", "app-1"}, args...)...)
	said := regexp.MustCompile(`listening on (\S+)`)
	var addr string
	eventually(t, "the app listens", func() error {
		m := said.FindStringSubmatch(p.stdout())
		if m == nil {
			return fmt.Errorf("it said %q", p.stdout())
		}
		addr = m[1]
		return nil
	})
	return p, addr
}

func TestDemoAppUsesTheCPUItIsTold(t *testing.T) {
	p, addr := startDemoApp(t, "--work", "2ms", "--drain", "1ms")
	client := &http.Client{Timeout: patience}
	const requests = 200
	for range requests {
		resp, err := client.Get("http://" + addr + "/any")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "app-1\n" || resp.Header.Get("X-Instance") != "app-1" || resp.Close {
			t.Fatalf("answered %q, %v", body, resp.Header)
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != exitOK || !strings.Contains(p.stdout(), fmt.Sprintf("%d requests served", requests)) {
		t.Errorf("exit code %d, it said %q", code, p.stdout())
	}
	const least = requests * 2 * time.Millisecond
	used := p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	if used < least || used > 4*least {
		t.Errorf("used %v of CPU for %d requests of 2ms", used, requests)
	}
}

func TestDemoAppFinishesWhatIsInFlight(t *testing.T) {
	p, addr := startDemoApp(t, "--work", "1ms", "--drain", "300ms")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	ask := func(path string) *http.Response {
		t.Helper()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: app\r\n\r\n", path)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		io.Copy(io.Discard, resp.Body)
		return resp
	}
	if resp := ask("/healthz"); resp.StatusCode != http.StatusOK || resp.Close {
		t.Errorf("health is %d, close %t", resp.StatusCode, resp.Close)
	}
	p.signal(syscall.SIGTERM)
	eventually(t, "it drains", func() error {
		resp, err := http.Get("http://" + addr + "/healthz")
		if err != nil {
			t.Fatal(err) // it accepts while it drains
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("health is %d", resp.StatusCode)
		}
		return nil
	})
	if resp := ask("/"); resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("while it drains, a request is answered %d, close %t", resp.StatusCode, resp.Close)
	}
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d: %s", code, p.stderr())
	}
}

func TestDemoAppRefusesNonsense(t *testing.T) {
	for _, args := range [][]string{{"--work", "-1s"}, {"--work", "1m"}, {"extra"}, {"--nothing"}} {
		if code := runSpillway(t, append([]string{"demo-app"}, args...)...).exit(); code != exitUsage {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
	if code := runSpillway(t, "demo-app", "--listen", "256.0.0.1:80").exit(); code != exitFailure {
		t.Errorf("a bad address: exit code %d", code)
	}
}
