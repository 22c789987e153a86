package docker

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// probeImage is the archive of an image with testdata/probe, built once.
var probeImage = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "probe-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir+"/probe", "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the probe: %w: %s", err, out)
	}
	binary, err := os.Open(dir + "/probe")
	if err != nil {
		return nil, err
	}
	defer binary.Close()
	var b bytes.Buffer
	err = ScratchImage(&b, probeName, binary, []string{"/probe"})
	return b.Bytes(), err
})

const probeName = "spillway-test/probe:1"

// archive is probeImage in a file, as a source of Image.
func archive(t *testing.T) string {
	t.Helper()
	content, err := probeImage()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "probe.tar")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

// world is Engines and a machine with the probe's image. Tests that share it
// run beside each other: containers take their time, but little work.
func world(t *testing.T) (*Engines, Engine) {
	t.Helper()
	t.Parallel()
	m := useMachine(t, "one")
	x := New(Options{})
	t.Cleanup(x.Close)
	if err := x.Image(t.Context(), m.engine(), probeName, []string{archive(t)}); err != nil {
		t.Fatal(err)
	}
	return x, m.engine()
}

// spec is a container of the probe, named after the test.
func spec(t *testing.T, command ...string) Spec {
	name := strings.NewReplacer("/", "_").Replace(t.Name())
	return Spec{Name: name, Image: probeName, Command: command, Stop: time.Second, Labels: map[string]string{LabelCluster: name}}
}

// run ensures a container and removes it at the end of the test.
func run(t *testing.T, x *Engines, e Engine, s Spec) Container {
	t.Helper()
	c, err := x.Ensure(t.Context(), e, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { discard(t, x, e, s.Name) })
	return c
}

func discard(t *testing.T, x *Engines, e Engine, name string) {
	t.Helper()
	if err := x.Remove(context.Background(), e, name, 0); err != nil {
		t.Error(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}
