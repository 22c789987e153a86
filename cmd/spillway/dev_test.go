package main

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

func TestDevPrintsCurlLinesThatWork(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatalf("this test needs curl: %v", err)
	}
	p := runSpillway(t, "dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--registry", "127.0.0.1:0", "--rate", "100")
	shows := func(text string) {
		t.Helper()
		eventually(t, "output", func() error {
			if !strings.Contains(p.stdout(), text) {
				return errors.New("dev did not print " + text + ": " + p.stdout())
			}
			return nil
		})
	}
	shows("web now has: backend-1 weight 1, backend-2 weight 1, backend-3 weight 1\n")
	lines := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^  # (\S+).*\n  (curl .*)$`).FindAllStringSubmatch(p.stdout(), -1) {
		lines[m[1]] = m[2]
	}
	typed := func(what, want string) {
		t.Helper()
		out, err := exec.Command("timeout", "30", "sh", "-c", lines[what]).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %s: %v, %s, want %q", what, lines[what], err, out, want)
		}
	}
	typed("a", "hello from backend-")
	typed("add", "true")
	shows("web now has: backend-1 weight 1, backend-2 weight 1, backend-3 weight 1, backend-4 weight 1\n")
	typed("weigh", "true")
	shows("web now has: backend-1 weight 5, backend-2 weight 1, backend-3 weight 1, backend-4 weight 1\n")
	typed("drain", "true")
	shows("web now has: backend-1 weight 5, backend-2 down, backend-3 weight 1, backend-4 weight 1\n")
	typed("remove", "true")
	shows("web now has: backend-1 weight 5, backend-2 down, backend-4 weight 1\n")
	typed("see", "Backend server count: 3")
	shows("; 0 failed\n")
	if !strings.Contains(p.stdout(), "development registry") || !strings.Contains(p.stderr(), "not for production") {
		t.Error("the registry is not labelled")
	}
	p.signal(syscall.SIGINT)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestDevFallsBackToFreePorts(t *testing.T) {
	// Two at once: at least one of them finds the usual ports taken.
	for range 2 {
		p := runSpillway(t, "dev", "--rate", "0")
		eventually(t, "servers", func() error {
			if !strings.Contains(p.stdout(), "web now has: backend-1 weight 1, backend-2 weight 1, backend-3 weight 1\n") {
				return errors.New("none: " + p.stdout())
			}
			return nil
		})
	}
	p := runSpillway(t, "dev", "--registry", "256.0.0.1:1")
	if code := p.exit(); code != 1 {
		t.Errorf("an address that cannot be: exit code %d", code)
	}
}
