package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"spillway/scaler/api"
	"spillway/scaler/cloud"
	"spillway/scaler/cloud/local"
	"spillway/scaler/docker"
)

// newEngine is a machine of the local driver with an engine that answers. It
// is gone without a trace when the test ends.
func newEngine(t *testing.T) (*docker.Engines, docker.Engine) {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.MkdirTemp("/tmp", "spc-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		if err := local.Sweep(ctx, root); err != nil {
			t.Errorf("cannot sweep: %v", err)
		}
	})
	d, err := local.New(local.Options{
		Root: root, Init: []string{bin, "machine-init"},
		Offerings: []cloud.Offering{{Type: "small", Zone: "a", CPU: 0.5, Memory: 512 << 20, Units: 0.5}},
	})
	if err != nil {
		t.Fatal(err)
	}
	machines, err := d.Create(t.Context(), cloud.CreateRequest{Token: "t", Type: "small", Zone: "a", Count: 1, Names: []string{"vm-1"}, Tags: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	engines := docker.New(docker.Options{Trip: 1 << 30})
	t.Cleanup(engines.Close)
	e := docker.Engine{ID: "vm-1", Host: "unix://" + d.Socket(machines[0].ID)}
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for limit := time.After(patience); engines.Ping(t.Context(), e) != nil; {
		select {
		case <-pause.C:
		case <-limit:
			t.Fatalf("the engine does not answer: %v", engines.Ping(t.Context(), e))
		}
	}
	return engines, e
}

// startProbe runs a container whose program shows what terminal it has.
func startProbe(t *testing.T, engines *docker.Engines, e docker.Engine) {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir+"/probe", "../../scaler/docker/testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the probe: %v: %s", err, out)
	}
	binary, err := os.Open(dir + "/probe")
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	var image bytes.Buffer
	if err := docker.ScratchImage(&image, "ctl-test/probe:1", binary, []string{"/probe"}); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "probe.tar")
	if err := os.WriteFile(archive, image.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := engines.Image(t.Context(), e, "ctl-test/probe:1", []string{"file:" + archive}); err != nil {
		t.Fatal(err)
	}
	spec := docker.Spec{Name: "web-1", Image: "ctl-test/probe:1", Command: []string{"deaf"}, Labels: map[string]string{docker.LabelCluster: "ctl-test"}}
	if _, err := engines.Ensure(t.Context(), e, spec); err != nil {
		t.Fatal(err)
	}
}

// From the keys of a person's terminal to the terminal of a command in a
// container on another machine, and back.
func TestCtlExecIntoAContainer(t *testing.T) {
	engines, e := newEngine(t)
	startProbe(t, engines, e)
	address := serveCtl(t, &ctlBackend{exec: func(ctx context.Context, r api.ExecRequest, s api.Streams) (int, error) {
		return engines.Exec(ctx, e, r.Instance, docker.ExecSpec{Command: r.Command, TTY: r.TTY, In: s.In, Out: s.Out, Err: s.Err, Resize: s.Resize})
	}})
	p := openPTY(t)
	p.resize(t, 100, 30)
	cmd := p.start(t, address, "exec", "web-1", "/probe", "terminal")
	p.expect(t, "[100x30]")
	p.resize(t, 132, 43)
	p.expect(t, "[132x43]")
	p.press(t, "k\r")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("ended with %v, want the exit code 3; shown %q", err, p.screen())
	}
	p.expect(t, "read k")

	code, out, stderr := typedTo(address, nil, "exec", "-T", "web-1", "/probe", "exit", "9")
	if code != 9 {
		t.Errorf("without a terminal: exit code %d, %q, %q", code, out, stderr)
	}
}
