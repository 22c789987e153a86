package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The tests run real Docker Engines, each in network, mount, uts and pid
// namespaces of its own, so that nothing of the host changes: its firewall
// sees none of their rules, and the end of the namespace's first process ends
// everything in it. They need root and dockerd.

// bringUp is the first process of an engine's namespaces. It waits until the
// test has put a network interface there, and starts the engine again
// whenever it ends. It reaps what containers leave behind.
const bringUp = `
dir=$1 ip=$2
ip link set lo up
read wired
ip addr add $ip/30 dev eth0
ip link set eth0 up
echo 1 > /proc/sys/net/ipv4/ip_forward
mkdir -p $dir/run
while :; do
  rm -rf $dir/run/docker.pid $dir/exec
  dockerd --config-file $dir/daemon.json --data-root $dir/data --exec-root $dir/exec --pidfile $dir/run/docker.pid \
    -H unix://$dir/run/docker.sock --bip 172.30.0.1/24 --default-address-pool base=172.31.0.0/16,size=24 \
    --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent $3 --userland-proxy=false --ip6tables=false \
    --storage-driver overlay2 </dev/null >>$dir/log 2>&1 &
  wait $!
done
`

// machine is a host with an engine.
type machine struct {
	name, dir string
	ip, host  string // its address, and ours on the link to it
	cgroup    string
	cmd       *exec.Cmd
	done      chan struct{}
	mu        sync.Mutex
}

// alone keeps other tests that ask for it from the machine until the end of
// this one.
func (m *machine) alone(t *testing.T) {
	m.mu.Lock()
	t.Cleanup(m.mu.Unlock)
}

// machines are started by the tests that need them first and ended by
// TestMain.
var machines struct {
	sync.Mutex
	all map[string]*machine
	err map[string]error
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, m := range machines.all {
		if err := m.end(); err != nil {
			fmt.Fprintln(os.Stderr, "left over:", err)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// useMachine returns a running machine that tests of one name share.
func useMachine(t *testing.T, name string) *machine {
	t.Helper()
	machines.Lock()
	defer machines.Unlock()
	if machines.all == nil {
		machines.all, machines.err = map[string]*machine{}, map[string]error{}
	}
	if machines.all[name] == nil && machines.err[name] == nil {
		m, err := startMachine(name, len(machines.all))
		machines.all[name], machines.err[name] = m, err
		if m == nil {
			delete(machines.all, name)
		}
	}
	if err := machines.err[name]; err != nil {
		t.Fatalf("cannot start an engine (this needs root and dockerd): %v", err)
	}
	return machines.all[name]
}

func startMachine(name string, n int) (*machine, error) {
	dir, err := os.MkdirTemp("", "engine-")
	if err != nil {
		return nil, err
	}
	net := os.Getpid()%4096*16 + 4*n // of 10.216.0.0/14's addresses, by fours
	m := &machine{
		name: name, dir: dir, cgroup: fmt.Sprintf("/spillway-docker-test-%d-%d", os.Getpid(), n), done: make(chan struct{}),
		host: fmt.Sprintf("10.217.%d.%d", net/256, net%256+1), ip: fmt.Sprintf("10.217.%d.%d", net/256, net%256+2),
	}
	config := fmt.Sprintf(`{"labels": ["idc=lab", "ip=%s"], "insecure-registries": ["10.216.0.0/14"], "shutdown-timeout": 1}`, m.ip)
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), []byte(config), 0o600); err != nil {
		return m, err
	}
	return m, m.start()
}

func (m *machine) start() error {
	m.cmd = exec.Command("unshare", "--net", "--mount", "--propagation", "private", "--uts", "--pid", "--fork", "--kill-child",
		"--mount-proc", "sh", "-c", bringUp, "sh", m.dir, m.ip, m.cgroup)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	wired, err := m.cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	go func() {
		m.cmd.Wait()
		close(m.done)
	}()
	if err := m.wire(); err != nil {
		return err
	}
	fmt.Fprintln(wired)
	return m.await()
}

// wire puts one end of a virtual cable into the machine's network namespace,
// once there is one.
func (m *machine) wire() error {
	pid := strconv.Itoa(m.cmd.Process.Pid)
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	err = poll(10*time.Second, func() error {
		if theirs, err := os.Readlink("/proc/" + pid + "/ns/net"); err != nil || theirs == own {
			return errors.New("no namespace yet")
		}
		return nil
	})
	link := "swt" + pid
	for _, args := range [][]string{
		{"link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid},
		{"addr", "add", m.host + "/30", "dev", link},
		{"link", "set", link, "up"},
	} {
		if err == nil {
			var out []byte
			if out, err = exec.Command("ip", args...).CombinedOutput(); err != nil {
				err = fmt.Errorf("ip %v: %w: %s", args, err, out)
			}
		}
	}
	return err
}

func (m *machine) socket() string { return filepath.Join(m.dir, "run", "docker.sock") }

func (m *machine) engine() Engine { return Engine{ID: m.name, Host: "unix://" + m.socket()} }

// await waits until the engine answers.
func (m *machine) await() error {
	x := New(Options{Trip: 1 << 30})
	defer x.Close()
	err := poll(30*time.Second, func() error { return x.Ping(context.Background(), m.engine()) })
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(m.dir, "log"))
		err = fmt.Errorf("%w: %s", err, text[max(0, len(text)-3000):])
	}
	return err
}

// daemon is the engine's process, as the host sees it.
func (m *machine) daemon(t *testing.T) *os.Process {
	t.Helper()
	for _, child := range children(m.cmd.Process.Pid) { // the shell
		for _, pid := range children(child) {
			if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.TrimSpace(string(name)) == "dockerd" {
				p, err := os.FindProcess(pid)
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
		}
	}
	t.Fatal("there is no dockerd")
	return nil
}

func children(pid int) (pids []int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, field := range strings.Fields(string(b)) {
		n, _ := strconv.Atoi(field)
		pids = append(pids, n)
	}
	return pids
}

// freeze stops the engine's process, as an overloaded machine does: it takes
// connections and does not answer. It goes on at the end of the test.
func (m *machine) freeze(t *testing.T) (thaw func()) {
	t.Helper()
	d := m.daemon(t)
	var once sync.Once
	thaw = func() { once.Do(func() { d.Signal(syscall.SIGCONT) }) }
	if err := d.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(thaw)
	eventually(t, "it stops", func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.Pid))
		if err == nil && !bytes.Contains(stat, []byte(") T ")) {
			err = fmt.Errorf("is %s", stat)
		}
		return err
	})
	return thaw
}

// end kills the machine and sees that nothing of it is left.
func (m *machine) end() error {
	if m == nil || m.cmd == nil || m.cmd.Process == nil {
		return nil
	}
	m.cmd.Process.Kill()
	<-m.done
	err := poll(10*time.Second, m.removeCgroups)
	mounts, _ := os.ReadFile("/proc/self/mounts")
	if bytes.Contains(mounts, []byte(m.dir)) {
		err = errors.Join(err, fmt.Errorf("mounts below %s", m.dir))
	}
	// Folders of network namespaces may be busy until the kernel is done.
	return errors.Join(err, poll(10*time.Second, func() error { return os.RemoveAll(m.dir) }))
}

// removeCgroups removes the directories, the deepest first, once the kernel
// has seen the last process go.
func (m *machine) removeCgroups() error {
	roots, _ := filepath.Glob("/sys/fs/cgroup/*" + m.cgroup)
	more, _ := filepath.Glob("/sys/fs/cgroup" + m.cgroup)
	var failed error
	for _, root := range append(roots, more...) {
		var dirs []string
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			failed = errors.Join(failed, syscall.Rmdir(dirs[i]))
		}
	}
	return failed
}

func poll(limit time.Duration, f func() error) error {
	end := time.Now().Add(limit)
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		err := f()
		if err == nil || time.Now().After(end) {
			tick.Stop()
			return err
		}
	}
}

// eventually fails the test unless f succeeds within a time that is no measure
// of anything.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	if err := poll(30*time.Second, f); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want one that is %q", err, want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// buffer can be written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) shows(text string) error {
	if s := b.String(); !strings.Contains(s, text) {
		return fmt.Errorf("%q is not in %q", text, s)
	}
	return nil
}

var _ io.Writer = (*buffer)(nil)
