package ec2_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/cloudtest"
	"spillway/scaler/cloud/ec2"
	"spillway/scaler/cloud/local"
	"spillway/scaler/hostinit/machine"
)

// initWord makes the test's own program the first one of a machine.
const initWord = "init-without-engine"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == initWord {
		if err := idle(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// idle is a machine that does nothing until it is told to end.
func idle(dir string) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGTERM)
	in, err := local.Enter(dir)
	if err != nil {
		return err
	}
	err = in.Connect(context.Background(), func(ctx context.Context, program string, args ...string) error {
		return exec.CommandContext(ctx, program, args...).Run()
	})
	if err != nil {
		return err
	}
	<-told
	return in.End(machine.EndedAsked)
}

// The suite once more, with machines of this computer behind the protocol:
// real processes, real time, and another cloud's ideas of states and tokens.
func TestSuiteWithLocalMachines(t *testing.T) {
	t.Parallel()
	cloudtest.Run(t, cloudtest.Setup{
		New: func(t *testing.T) cloudtest.Account {
			wire := cloudfake.New(t, localCloud(t), cloudfake.Options{}).EC2(cloudfake.EC2Options{})
			env := wire.Env()
			d, err := ec2.New(ec2.Options{
				Region: "us-east-1", Getenv: func(name string) string { return env[name] }, Image: "ami-0abcdef1234567890",
				Kinds: []ec2.Kind{{Type: "tiny", PriceHour: 0.01}}, ListLag: time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			return cloudtest.Account{Driver: d}
		},
		Boot: time.Minute, End: time.Minute, Batch: 2, Many: 3,
	})
}

func localCloud(t *testing.T) *local.Driver {
	t.Helper()
	root, err := os.MkdirTemp("/var/tmp", "ec2-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := local.Sweep(context.Background(), root); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d, err := local.New(local.Options{
		Root: root, Init: []string{self, initWord},
		Offerings: []cloud.Offering{
			{Type: "tiny", Zone: "a", CPU: 1, Memory: 64 << 20, Units: 1, PriceHour: 0.01},
			{Type: "tiny", Zone: "b", CPU: 1, Memory: 64 << 20, Units: 1, PriceHour: 0.01},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
