package leader

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"spillway/scaler/ledger"
)

// candidateOf makes this program a candidate: the address of Consul, and the
// lock.
const candidateOf = "SPILLWAY_TEST_CANDIDATE_OF"

func TestMain(m *testing.M) {
	flag.Parse()
	if addr, key, ok := strings.Cut(os.Getenv(candidateOf), " "); ok {
		if err := candidate(addr, key, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if commonStarted != nil {
		commonStarted.end()
	}
	os.Exit(code)
}

// candidate runs for the lead, tells of each state, and answers each line it
// reads with the state at that moment.
func candidate(addr, key string, in io.Reader, out io.Writer) error {
	client, err := ledger.ConsulConfig{Address: addr}.Client()
	if err != nil {
		return err
	}
	tell := func(word string, s State) {
		fmt.Fprintf(out, "%s %t %s %d\n", word, s.Leading, s.Fence.Session, s.Fence.Index)
	}
	c, err := NewConsul(client, Config{
		Key: key, Address: "child", TTL: *ttl, LockDelay: *lockDelay, Margin: *ttl / 5,
		Observe: func(s State) { tell("state", s) },
	})
	if err != nil {
		return err
	}
	go func() {
		for lines := bufio.NewScanner(in); lines.Scan(); {
			tell("asked", c.State())
		}
		os.Exit(0)
	}()
	return c.Run(context.Background())
}

// child is a candidate in a process of its own.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.Writer
	lines *bufio.Scanner
}

func (a *agent) spawn() *child {
	a.t.Helper()
	cmd := exec.Command(os.Args[0], "-ttl", ttl.String(), "-lockdelay", lockDelay.String())
	cmd.Env = append(os.Environ(), candidateOf+"="+a.addr+" "+a.t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return &child{a.t, cmd, in, bufio.NewScanner(out)}
}

// next is the next state told under a word.
func (c *child) next(word string) State {
	c.t.Helper()
	for c.lines.Scan() {
		f := strings.Split(c.lines.Text(), " ")
		if f[0] == word {
			index, _ := strconv.ParseUint(f[3], 10, 64)
			return State{Leading: f[1] == "true", Fence: ledger.Fence{Key: c.t.Name(), Session: f[2], Index: index}}
		}
	}
	c.t.Fatalf("the candidate ended: %v", c.lines.Err())
	return State{}
}

func (c *child) leads() State {
	c.t.Helper()
	for {
		if s := c.next("state"); s.Leading {
			return s
		}
	}
}

func TestTakesOverFromALeaderThatWasKilled(t *testing.T) {
	t.Parallel()
	a := useAgent(t)
	leader := a.spawn()
	old := leader.leads().Fence
	follower := a.run("second")
	follower.until("knows the leader", func(s State) bool { return s.Leader == "child" })

	killed := time.Now()
	leader.cmd.Process.Kill()
	s := follower.until("leads", leads)
	took := time.Since(killed)
	t.Logf("takeover after a kill: %v (TTL %v, lock delay %v)", took.Round(time.Millisecond), *ttl, *lockDelay)
	// Consul ends a session after up to twice its TTL; the rest is for a busy
	// machine.
	if most := 2**ttl + *lockDelay + *ttl + 3*time.Second; took > most {
		t.Errorf("took %v, more than %v", took, most)
	}
	store := ledger.NewConsul(a.api, "ledger/"+t.Name())
	if _, err := store.Commit(t.Context(), old, []ledger.Op{{Key: "x"}}); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("a write of the dead leader that arrives late: %v", err)
	}
	if _, err := store.Commit(t.Context(), s.Fence, []ledger.Op{{Key: "x"}}); err != nil {
		t.Errorf("a write of the new leader: %v", err)
	}
}

func TestLeaderThatWasFrozenKnowsAtOnceThatItIsNone(t *testing.T) {
	t.Parallel()
	a := useAgent(t)
	leader := a.spawn()
	leader.leads()
	follower := a.run("second")
	leader.cmd.Process.Signal(syscall.SIGSTOP)
	follower.until("leads", leads)
	fmt.Fprintln(leader.in) // waits in the pipe, to be answered first thing
	leader.cmd.Process.Signal(syscall.SIGCONT)
	if s := leader.next("asked"); s.Leading {
		t.Errorf("the frozen leader believes in its lead: %+v", s)
	}
	if s := follower.State(); !s.Leading {
		t.Errorf("the new leader lost its lead: %+v", s)
	}
}
