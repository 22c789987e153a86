package peers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"spillway/internal/process"
)

const (
	startTimeout = 15 * time.Second
	stopTimeout  = 2 * time.Second
)

// startProcess runs argv on the processors of a taskset list, which replaces
// itself by the program. What it prints goes to a file in dir.
func startProcess(name, dir, cpus string, argv, env []string) (*process.Process, error) {
	return process.Start(name, dir, append([]string{"taskset", "-c", cpus}, argv...), env)
}

// waitReady asks url until it answers with the backend's own body, which also
// proves that the proxy passes answers on unchanged.
func waitReady(ctx context.Context, p *process.Process, url string) error {
	return p.Wait(ctx, url, func(ctx context.Context) error { return fetch(ctx, url) })
}

// fetch asks once, on a connection of its own.
func fetch(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("cannot ask %q: %w", url, err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask %q: %w", url, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return fmt.Errorf("cannot read the answer of %q: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK || string(body) != bodyOf(bodySize) {
		return fmt.Errorf("%q answers %d with %d bytes, not the backend's body", url, resp.StatusCode, len(body))
	}
	return nil
}

// findProgram looks in PATH and where Debian keeps servers. No program at all is
// found, too.
func findProgram(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if strings.ContainsRune(name, '/') {
		_, err := os.Stat(name)
		return name, err
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	path := "/usr/sbin/" + name
	_, err := os.Stat(path)
	return path, err
}
