package machine

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// settling is a machine that keeps one file, on a host of its own directory.
func settling(t *testing.T, hold float64) (m *Machine, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "etc", "resolv.conf")
	m = &Machine{
		c:     Config{Files: []File{{Path: path, Text: "nameserver 10.0.0.2\n", Mode: "0640"}}, Hold: hold},
		h:     Host{Now: time.Now, Log: slog.New(slog.DiscardHandler)},
		procs: newProcesses(),
	}
	return m, path
}

func TestFilesAreKeptUntilTheyStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, path := settling(t, 5)
		start := time.Now()
		// The cloud's agent rewrites the file three and six seconds after the boot.
		for _, after := range []time.Duration{3500 * time.Millisecond, 6500 * time.Millisecond} {
			time.AfterFunc(after, func() {
				if err := os.WriteFile(path, []byte("cloud\n"), 0o600); err != nil {
					t.Error(err)
				}
			})
		}
		if err := m.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 12*time.Second {
			t.Errorf("settled after %v, want 5 s after the last change was seen", took)
		}
		text, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if string(text) != "nameserver 10.0.0.2\n" || err != nil || statErr != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("the file is %q, %v, %v", text, err, info.Mode())
		}
	})
}

func TestAFileThatNeverStaysIsALateMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, path := settling(t, 5)
		go func() {
			for {
				select {
				case <-t.Context().Done():
					return
				case <-time.After(900 * time.Millisecond):
					os.Remove(path)
				}
			}
		}()
		late, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := m.settle(late); err == nil || !strings.Contains(err.Error(), "does not settle: "+path) {
			t.Errorf("error %v", err)
		}
	})
}

func TestFilesOfOthersAreLeftAlone(t *testing.T) {
	m, path := settling(t, 0)
	m.h.Owns = []string{"/etc"}
	if err := m.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file outside of what the machine owns was written")
	}
	for path, own := range map[string]bool{"/etc/x": true, "/etc/../usr/x": false, "/etcetera": false, "/usr/bin/x": false} {
		if m.owns(path) != own {
			t.Errorf("%q: %v", path, !own)
		}
	}
}

func TestDaemonJSONAndFlagsOfTheEngine(t *testing.T) {
	m := &Machine{h: Host{Dir: "/m", Socket: "/m/run/docker.sock", Address: "10.0.0.7", Engine: []string{"dockerd", "--x"}}}
	m.engine = engine{m: m}
	bare := []string{"dockerd", "--x", "--config-file", "/m/daemon.json", "-H", "unix:///m/run/docker.sock"}
	if got := m.engine.args(); !slices.Equal(got, bare) {
		t.Errorf("before it has joined: %q", got)
	}
	m.engine.joined = true
	want := append(bare, "-H", "tcp://10.0.0.7:2376", "--tlsverify", "--tlscacert", "/m/tls/ca.pem", "--tlscert", "/m/tls/cert.pem", "--tlskey", "/m/tls/key.pem")
	if got := m.engine.args(); !slices.Equal(got, want) {
		t.Errorf("after: %q", got)
	}
}
