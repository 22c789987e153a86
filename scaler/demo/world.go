package demo

import (
	"bytes"
	"context"
	"debug/elf"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"

	"spillway/internal/process"
	"spillway/scaler/cloud"
	"spillway/scaler/cloud/local"
	"spillway/scaler/docker"
)

//go:embed conf
var conf embed.FS

const (
	image     = "spillway-demo:1"
	token     = "demo-token"
	stopGrace = 5 * time.Second
)

// world is everything that was started.
type world struct {
	o         *Options
	dir       string
	temporary bool
	processes []*process.Process
	scaler    *process.Process // nil: none was started, or it was killed
	scalers   int              // started so far
	owned     *local.Driver    // of the one owned host
	rented    *local.Driver    // looks at the machines that the scaler rents
	host      cloud.Machine
	at        addresses
	client    *http.Client
}

// addresses of what runs; they and the options are what the configuration
// templates see.
type addresses struct {
	Consul, Gateway, Admin, Scaler       string
	JoinPort                             string
	Dir, Rented, Image, ImageFile, Token string
	OwnedAddress, OwnedEngine            string
	Target, Work                         time.Duration
	pace
}

// pace is how quickly the scaler buys, gives back and takes over. The windows
// are short so that a whole story fits into minutes.
type pace struct {
	Min                      float64 // units
	Lead, Slow, Window, Hold time.Duration
	LockDelay                time.Duration
}

// open starts everything and returns once the app serves.
func open(ctx context.Context, o *Options) (*world, error) {
	w := &world{o: o, dir: o.Dir, client: &http.Client{Timeout: 3 * time.Second}}
	if err := possible(o); err != nil {
		return nil, err
	}
	if w.dir == "" {
		dir, err := os.MkdirTemp("/var/tmp", "spillway-demo-")
		if err != nil {
			return nil, fmt.Errorf("cannot make a directory: %w", err)
		}
		w.dir, w.temporary = dir, true
	} else if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make a directory: %w", err)
	}
	w.at.pace = o.pace
	if err := w.start(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// possible tells what this computer lacks for making machines.
func possible(o *Options) error {
	if os.Getuid() != 0 {
		return errors.New("cannot make machines: the demonstration needs root (namespaces, cgroups)")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		return fmt.Errorf("cannot make machines: the demonstration needs a Docker Engine's program (Debian and Ubuntu: apt-get install docker.io): %w", err)
	}
	if _, err := os.Stat(o.Consul); err != nil {
		return fmt.Errorf("cannot start Consul (make consul builds it): %w", err)
	}
	return nil
}

func (w *world) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		w.prepare, w.startConsul, w.makeImage, w.startHost, w.startGateway, w.startScaler, w.awaitApp,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare chooses addresses.
func (w *world) prepare(context.Context) error {
	addrs, err := freeAddrs(5)
	if err != nil {
		return err
	}
	_, join, _ := net.SplitHostPort(addrs[4])
	w.at = addresses{
		pace:     w.at.pace,
		JoinPort: join,
		Consul:   addrs[0], Gateway: addrs[1], Admin: addrs[2], Scaler: addrs[3],
		Dir: w.dir, Rented: filepath.Join(w.dir, "rented"), Image: image, ImageFile: filepath.Join(w.dir, "image.tar"), Token: token,
		Target: w.o.Target, Work: w.o.Work,
	}
	w.rented, err = local.New(local.Options{Root: w.at.Rented, Init: []string{w.o.Self, "machine-init"}})
	return err
}

// freeAddrs are loopback addresses nobody listens on now.
func freeAddrs(n int) ([]string, error) {
	var all []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("cannot find a free port: %w", err)
		}
		defer ln.Close()
		all = append(all, ln.Addr().String())
	}
	return all, nil
}

func (w *world) run(name string, argv ...string) (*process.Process, error) {
	p, err := process.Start(name, w.dir, argv, nil)
	if err == nil {
		w.processes = append(w.processes, p)
	}
	return p, err
}

func (w *world) startConsul(ctx context.Context) error {
	others, err := freeAddrs(2)
	if err != nil {
		return err
	}
	port := func(addr string) string {
		_, p, _ := net.SplitHostPort(addr)
		return p
	}
	p, err := w.run("consul", w.o.Consul, "agent", "-dev", "-log-level", "warn", "-node", "demo", "-bind", "127.0.0.1",
		"-http-port", port(w.at.Consul), "-server-port", port(others[0]), "-serf-lan-port", port(others[1]),
		"-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1")
	if err != nil {
		return err
	}
	return p.Wait(ctx, w.at.Consul, func(ctx context.Context) error {
		var leader string
		if err := w.get(ctx, "http://"+w.at.Consul+"/v1/status/leader", &leader); err != nil {
			return err
		}
		if leader == "" {
			return errors.New("it has no leader yet")
		}
		return nil
	})
}

// makeImage packs this program as the app's image: a file system with one file.
func (w *world) makeImage(context.Context) error {
	if err := static(w.o.Self); err != nil {
		return err
	}
	binary, err := os.Open(w.o.Self)
	if err != nil {
		return fmt.Errorf("cannot make the app's image: %w", err)
	}
	defer binary.Close()
	out, err := os.Create(w.at.ImageFile)
	if err != nil {
		return fmt.Errorf("cannot make the app's image: %w", err)
	}
	defer out.Close()
	err = docker.ScratchImage(out, image, binary, []string{"/spillway"}, "demo-app", "--listen", ":8080", "--work", w.o.Work.String())
	return errors.Join(err, out.Close())
}

// static checks that a program can run in a file system that holds nothing else.
func static(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("cannot make the app's image: %w", err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("cannot make the app's image: %q needs a dynamic linker, which an empty image has not: build it with CGO_ENABLED=0 (make build does)", program)
		}
	}
	return nil
}

// startHost makes the machine that is ours already: one of the local provider
// too, but the scaler is only told of its engine.
func (w *world) startHost(ctx context.Context) (err error) {
	w.owned, err = local.New(local.Options{
		Root:      filepath.Join(w.dir, "owned"),
		Init:      []string{w.o.Self, "machine-init"},
		Offerings: []cloud.Offering{{Type: "owned", Zone: "here", CPU: machineCPU, Memory: machineMemory, Arch: "amd64"}},
	})
	if err != nil {
		return err
	}
	made, err := w.owned.Create(ctx, cloud.CreateRequest{Token: "owned", Type: "owned", Zone: "here", Count: 1, Names: []string{"owned-1"}, Tags: map[string]string{"demo": "owned"}})
	if err != nil {
		return err
	}
	w.host = made[0]
	w.at.OwnedEngine = "unix://" + w.owned.Socket(w.host.ID)
	return w.await(ctx, 30*time.Second, "the owned host's engine answers", w.hostAnswers)
}

// hostAnswers checks the owned host and learns its address.
func (w *world) hostAnswers(ctx context.Context) error {
	all, err := w.owned.List(ctx, map[string]string{"demo": "owned"})
	if err != nil || len(all) != 1 || all[0].Address == "" {
		return fmt.Errorf("cannot see the owned host: %v %w", all, err)
	}
	w.at.OwnedAddress = all[0].Address
	engines := docker.New(docker.Options{})
	defer engines.Close()
	return engines.Ping(ctx, w.engine())
}

// engine is the owned host's.
func (w *world) engine() docker.Engine { return docker.Engine{ID: "owned", Host: w.at.OwnedEngine} }

// The machines' size.
const (
	machineCPU    = 0.25
	machineMemory = 512 << 20
)

func (w *world) startGateway(ctx context.Context) error {
	file, err := w.configure("gateway.yaml")
	if err != nil {
		return err
	}
	p, err := w.run("gateway", w.o.Self, "gateway", "--config", file)
	if err != nil {
		return err
	}
	return p.Wait(ctx, w.at.Admin, func(ctx context.Context) error {
		return w.get(ctx, "http://"+w.at.Admin+"/-/healthy", nil)
	})
}

// startScaler starts a scaler with the configuration as it shall be now, and
// returns once it leads or could.
func (w *world) startScaler(ctx context.Context) error {
	p, err := w.launchScaler()
	if err != nil {
		return err
	}
	return p.Wait(ctx, w.at.Scaler, func(ctx context.Context) error {
		return w.get(ctx, "http://"+w.at.Scaler+"/-/ready", nil)
	})
}

// launchScaler starts a scaler and waits for nothing. Each has a log of its own.
func (w *world) launchScaler(flags ...string) (*process.Process, error) {
	file, err := w.configure("scaler.yaml")
	if err != nil {
		return nil, err
	}
	w.scalers++
	name := fmt.Sprintf("scaler-%d", w.scalers)
	w.scaler, err = process.Start(name, w.dir, append([]string{w.o.Self, "scaler", "run", "--config", file}, flags...), nil)
	return w.scaler, err
}

// stopScaler asks the scaler to end.
func (w *world) stopScaler() {
	if w.scaler != nil {
		w.scaler.Stop(stopGrace)
		w.scaler = nil
	}
}

// awaitApp returns once the gateway answers with the app.
func (w *world) awaitApp(ctx context.Context) error {
	return w.await(ctx, time.Minute, "the app answers through the gateway", func(ctx context.Context) error {
		return w.get(ctx, "http://"+w.at.Gateway+"/", nil)
	})
}

// configure renders a configuration file.
func (w *world) configure(name string) (string, error) {
	t, err := template.ParseFS(conf, "conf/"+name)
	if err != nil {
		return "", fmt.Errorf("cannot read the configuration of the demonstration: %w", err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, &w.at); err != nil {
		return "", fmt.Errorf("cannot write %s: %w", name, err)
	}
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("cannot write %s: %w", name, err)
	}
	return path, nil
}

// await repeats a check every tenth of a second.
func (w *world) await(ctx context.Context, limit time.Duration, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot go on: within %v it did not come true that %s: %w%s", limit, what, err, w.tails())
		case <-tick.C:
		}
	}
}

// tails are the last lines of the processes.
func (w *world) tails() (all string) {
	for _, p := range append(w.processes, w.scaler) {
		if p != nil && p.Name != "consul" {
			all += "\n--- " + p.Name + ": " + p.Tail()
		}
	}
	return all
}

// close ends everything that was started, whatever state it is in.
func (w *world) close() error {
	w.stopScaler()
	for i := len(w.processes) - 1; i >= 0; i-- {
		w.processes[i].Stop(stopGrace)
	}
	w.processes = nil
	// What was started has to end although the run was interrupted.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := errors.Join(local.Sweep(ctx, filepath.Join(w.dir, "owned")), local.Sweep(ctx, filepath.Join(w.dir, "rented")))
	if w.temporary && err == nil {
		err = os.RemoveAll(w.dir)
	}
	return err
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 8 << 20
