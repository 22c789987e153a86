package local_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/local"
	"spillway/scaler/hostinit/machine"
)

// The test's own program stands in for others when its first argument is one
// of these.
const (
	initWord   = "init-of-a-machine"
	idleWord   = "init-without-engine"
	doomedWord = "driver-that-is-killed"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case initWord:
			os.Exit(machineInit(os.Args[2]))
		case idleWord:
			os.Exit(idleInit(os.Args[2]))
		case doomedWord:
			os.Exit(doomed(os.Args[2], os.Args[3], os.Args[4]))
		}
	}
	os.Exit(m.Run())
}

// idleInit is a machine without an engine, for tests of the driver alone.
func idleInit(dir string) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM)
	in, err := local.Enter(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err = in.Connect(context.Background(), func(ctx context.Context, program string, args ...string) error {
		return exec.CommandContext(ctx, program, args...).Run()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	<-signals
	if err := in.End(machine.EndedAsked); err != nil {
		return 1
	}
	return 0
}

// machineInit is what `spillway machine-init` does.
func machineInit(dir string) int {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, unix.SIGCHLD, unix.SIGTERM, unix.SIGINT)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	in, err := local.Enter(dir)
	if err != nil {
		log.Error(err.Error())
		return 1
	}
	c, err := machine.Parse(in.UserData)
	if err != nil {
		log.Error(err.Error())
		return 1
	}
	m, err := machine.New(c, machine.Host{
		ID: in.ID, Name: in.Name, Address: in.Address.Addr().String(), Device: local.Device, Dir: in.Dir, Socket: in.Socket,
		Engine: in.Engine, PIDFile: local.PIDFile, Owns: local.Owns(), Now: time.Now, Log: log,
		Connect: func(ctx context.Context, run func(context.Context, string, ...string) error) error {
			return in.Connect(ctx, run)
		},
	})
	if err != nil {
		log.Error(err.Error())
		return 1
	}
	reason, err := m.Run(signals)
	if err != nil {
		log.Error(err.Error())
	}
	if err := in.End(reason); err != nil {
		log.Error(err.Error())
	}
	return 0
}

// newRoot is a directory for machines, swept when the test ends; what is left
// then fails it.
func newRoot(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("/tmp", "spl-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			showLogs(t, root)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := local.Sweep(ctx, root); err != nil {
			t.Errorf("cannot sweep: %v", err)
		}
		nothingLeft(t, root)
	})
	return root
}

func showLogs(t *testing.T, root string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(root, "machines", "*", "log", "*"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		t.Logf("%s:\n%s", f, text[max(0, len(text)-3000):])
	}
}

func nothingLeft(t *testing.T, root string) {
	t.Helper()
	left, err := local.Leftovers(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range left {
		t.Errorf("left behind: %s", l)
	}
}

func options(root string) local.Options {
	return local.Options{
		Root: root,
		Init: []string{"/proc/self/exe", initWord},
		Offerings: []cloud.Offering{
			{Type: "small", Zone: "a", CPU: 0.5, Memory: 512 << 20, Units: 0.5, PriceHour: 0.01},
			{Type: "small", Zone: "b", CPU: 0.5, Memory: 512 << 20, Units: 0.5, PriceHour: 0.01},
		},
	}
}

// idle are options for machines without an engine, which boot at once.
func idle(root string) local.Options {
	o := options(root)
	o.Init = []string{"/proc/self/exe", idleWord}
	return o
}

func newDriver(t *testing.T, o local.Options) *local.Driver {
	t.Helper()
	d, err := local.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func names(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s-%d", prefix, i))
	}
	return all
}

func request(token, zone string, n int) cloud.CreateRequest {
	return cloud.CreateRequest{
		Token: token, Type: "small", Zone: zone, Count: n, Names: names(token, n),
		Tags: map[string]string{cloud.TagCluster: "test", cloud.TagOrder: token},
	}
}

func create(t *testing.T, d *local.Driver, r cloud.CreateRequest) []cloud.Machine {
	t.Helper()
	ms, err := d.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}
