package peers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"spillway/bench/account"
	"spillway/internal/process"
)

// backendPorts is how many addresses the one backend process listens on, so
// that a proxy has something to balance and many local ports.
const backendPorts = 4

// subject is a proxy that is running and can be measured.
type subject struct {
	name string
	pid  int // 0: there is no proxy, the load goes to the backend
	url  string
	at   place
}

// usage is what the proxy and its children have used and hold; nothing if there
// is no proxy.
func (s *subject) usage() (account.Usage, error) {
	if s.pid == 0 {
		return account.Usage{}, nil
	}
	return account.Read(s.pid)
}

// lab holds everything a run has started.
type lab struct {
	dir                 string
	self                []string // reaches Command
	proxyCPU, clientCPU int
	backends            []string // that proxies begin with
	spares              []string // further addresses, for changes
	registry            string   // address of Consul, if it runs
	processes           []*process.Process
	subjects            []subject
}

// openLab starts the backend. close ends whatever runs.
func openLab(ctx context.Context, o *Options) (*lab, error) {
	l := &lab{self: o.Self}
	if err := l.pin(o); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "spillway-peers-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a directory for the run: %w", err)
	}
	l.dir = dir
	if err := l.prepare(ctx, o); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) prepare(ctx context.Context, o *Options) error {
	// Workers of nginx run as another user when we are root.
	if err := os.Chmod(l.dir, 0o755); err != nil {
		return fmt.Errorf("cannot open %q to the proxies: %w", l.dir, err)
	}
	script, err := conf.ReadFile("conf/wrk.lua")
	if err != nil {
		return fmt.Errorf("cannot read wrk's script: %w", err)
	}
	if err := os.WriteFile(l.script(), script, 0o600); err != nil {
		return fmt.Errorf("cannot write wrk's script: %w", err)
	}
	return l.startBackend(ctx, backendPorts+o.spare)
}

func (l *lab) script() string { return filepath.Join(l.dir, "wrk.lua") }

// close ends the processes, the last started first, and removes their files.
// All are asked before the first is waited for.
func (l *lab) close() {
	for _, p := range slices.Backward(l.processes) {
		p.Ask()
	}
	for _, p := range slices.Backward(l.processes) {
		p.Stop(stopTimeout)
	}
	os.RemoveAll(l.dir)
}

// pin chooses the two processors.
func (l *lab) pin(o *Options) error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("cannot learn which processors may be used: %w", err)
	}
	var cpus []int
	for cpu := range len(allowed) * 64 {
		if allowed.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	l.proxyCPU, l.clientCPU = cpus[0], cpus[min(1, len(cpus)-1)]
	if o.ProxyCPU >= 0 {
		l.proxyCPU = o.ProxyCPU
	}
	if o.ClientCPU >= 0 {
		l.clientCPU = o.ClientCPU
	}
	for _, cpu := range []int{l.proxyCPU, l.clientCPU} {
		if !allowed.IsSet(cpu) {
			return fmt.Errorf("cannot pin to processor %d: this process may use %v", cpu, cpus)
		}
	}
	return nil
}

// startBackend starts the one backend process, on that many addresses.
func (l *lab) startBackend(ctx context.Context, ports int) error {
	addrs, err := freeAddrs(ports)
	if err != nil {
		return err
	}
	argv := append([]string{l.self[0]}, serveArgs(l.self[1:], "backend", addrs, nil)...)
	p, err := startProcess("backend", l.dir, ownCPUs(l.clientCPU), argv, []string{"GOMAXPROCS=2"})
	if err != nil {
		return err
	}
	l.processes = append(l.processes, p)
	l.backends, l.spares = addrs[:backendPorts], addrs[backendPorts:]
	return waitReady(ctx, p, "http://"+addrs[ports-1]+"/") // it listens on the others before
}

// startPeer starts a proxy and waits until it forwards.
func (l *lab) startPeer(ctx context.Context, d definition) error {
	if d.program == "" {
		l.subjects = append(l.subjects, subject{name: d.name, url: "http://" + l.backends[0] + "/"})
		return nil
	}
	addrs, err := freeAddrs(2)
	if err != nil {
		return err
	}
	dir := filepath.Join(l.dir, strings.ReplaceAll(d.name, " ", ""))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make a directory for %s: %w", d.name, err)
	}
	where, err := d.configure(place{
		Listen: addrs[0], Admin: addrs[1], Backends: l.backends, Dir: dir, Consul: l.registry, Workers: max(d.workers, 1),
	})
	if err != nil {
		return err
	}
	cpus := ownCPUs(l.proxyCPU)
	if d.workers > 1 {
		cpus = ownCPUs(l.proxyCPU, l.clientCPU)
	}
	p, err := startProcess(d.name, dir, cpus, append([]string{d.program}, d.args(where)...), d.env)
	if err != nil {
		return err
	}
	l.processes = append(l.processes, p)
	url := "http://" + where.Listen + "/"
	if err := waitReady(ctx, p, url); err != nil {
		return err
	}
	l.subjects = append(l.subjects, subject{name: d.name, pid: p.PID(), url: url, at: where})
	return nil
}

// attach adds a proxy that somebody else started; it must be pinned as the
// others are, or its figures would not compare.
func (l *lab) attach(a Attached) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.PID))
	if err != nil {
		return fmt.Errorf("cannot attach to %q: %w", a.Name, err)
	}
	want := strconv.Itoa(l.proxyCPU)
	for line := range strings.Lines(string(text)) {
		list, ok := strings.CutPrefix(line, "Cpus_allowed_list:")
		if ok && strings.TrimSpace(list) != want {
			return fmt.Errorf("cannot attach to %q: it may use processors %s; pin it: taskset -a -c -p %s %d",
				a.Name, strings.TrimSpace(list), want, a.PID)
		}
	}
	l.subjects = append(l.subjects, subject{name: a.Name, pid: a.PID, url: a.URL})
	return nil
}

// freeAddrs returns loopback addresses nobody listens on. They are free when
// looked at; a proxy that finds its port taken fails to start and says so.
func freeAddrs(n int) ([]string, error) {
	addrs := make([]string, n)
	for i := range addrs {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("cannot find a free port: %w", err)
		}
		defer ln.Close() // at the end, so that no two are the same
		addrs[i] = ln.Addr().String()
	}
	return addrs, nil
}

// programOutput is what a program says about itself, on either stream.
func programOutput(ctx context.Context, path string, args ...string) string {
	out, _ := exec.CommandContext(ctx, path, args...).CombinedOutput() // wrk -v exits 1
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(first)
}
