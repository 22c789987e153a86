package local_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/local"
)

// doomed is a driver in a process of its own that is killed at a step of a
// Create, or of a Delete of the machine id.
func doomed(root, step, id string) int {
	d, err := local.New(idle(root))
	if err != nil {
		return 1
	}
	d.CrashAt(func(at string) error {
		if at == step {
			return unix.Kill(os.Getpid(), unix.SIGKILL)
		}
		return nil
	})
	if id == "-" {
		_, err = d.Create(bg, request("doomed", "a", 2))
	} else {
		err = d.Delete(bg, id)
	}
	fmt.Fprintln(os.Stderr, "it was not killed:", err)
	return 2
}

// killAt runs doomed.
func killAt(t *testing.T, root, step, id string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "/proc/self/exe", doomedWord, root, step, id).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("killed at %q: %v, %s", step, err, out)
	}
}

func TestACreateKilledAtAnyStepIsCompletedByItsToken(t *testing.T) {
	for _, step := range []string{"intent", "record", "switch", "cgroup", "init", "link"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			root := newRoot(t)
			killAt(t, root, step, "-")
			d := newDriver(t, idle(root))
			before := map[string]int{}
			for _, m := range list(t, d) {
				before[m.ID] = d.InitPID(m.ID)
			}
			ms := create(t, d, request("doomed", "a", 2))
			if len(ms) != 2 || ms[0].ID == ms[1].ID {
				t.Fatalf("got %v", ms)
			}
			for _, m := range ms {
				if m.State != cloud.Running {
					t.Errorf("%s is %s %s", m.ID, m.State, m.Reason)
				}
				if pid := before[m.ID]; pid != 0 && pid != d.InitPID(m.ID) {
					t.Errorf("%s was started twice", m.ID)
				}
				reachable(t, m.Address)
			}
			if got := list(t, d); len(got) != 2 {
				t.Errorf("listed %v", got)
			}
		})
	}
}

func TestACreateKilledAtAnyStepIsUndoneByDelete(t *testing.T) {
	for _, step := range []string{"record", "switch", "cgroup", "init", "link"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			root := newRoot(t)
			killAt(t, root, step, "-")
			d := newDriver(t, idle(root))
			ms := list(t, d)
			if len(ms) != 1 {
				t.Fatalf("listed %v, want the first of the batch", ms)
			}
			remove(t, d, ms[0].ID)
			nothingLeft(t, root)
		})
	}
}

func TestAListGoesOnWithACreateThatWasKilled(t *testing.T) {
	for _, step := range []string{"record", "cgroup", "init", "link"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			root := newRoot(t)
			killAt(t, root, step, "-")
			d := newDriver(t, idle(root))
			if ms := list(t, d); len(ms) != 1 || ms[0].State != cloud.Running {
				t.Fatalf("listed %v", ms)
			}
		})
	}
}

func TestADeleteKilledAtAnyStepIsCompletedByItsRepetition(t *testing.T) {
	for _, step := range []string{"delete", "kill", "cgroup-removed"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			root := newRoot(t)
			d := newDriver(t, idle(root))
			m := create(t, d, request("doomed", "a", 1))[0]
			killAt(t, root, step, m.ID)
			if got := list(t, d); len(got) != 1 || got[0].State != cloud.Deleting {
				t.Errorf("listed %v", got)
			}
			remove(t, d, m.ID)
			nothingLeft(t, root)
			again := create(t, d, request("doomed", "a", 1))
			if len(again) != 1 || again[0].ID != m.ID || again[0].State != cloud.Deleted {
				t.Errorf("its token made %v", again)
			}
			nothingLeft(t, root)
		})
	}
}

func TestMachinesOutliveTheirDriver(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	killAt(t, root, "link", "-")
	d := newDriver(t, idle(root))
	ms := list(t, d)
	if len(ms) != 1 || d.InitPID(ms[0].ID) == 0 {
		t.Fatalf("listed %v", ms)
	}
	reachable(t, ms[0].Address)
}
