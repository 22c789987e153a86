//go:build !race

package scaler

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/sim"
	"spillway/scaler/policy"
)

// TestThousandMachines grows from nothing to 1,000 machines with 5,000
// instances under the request limits of a cloud. The time it takes is that of
// the cloud's API and of the boots; what the controller adds is the time of a
// tick.
func TestThousandMachines(t *testing.T) {
	t.Run("ec2", func(t *testing.T) { growTo(t, sim.EC2(), 1000, 5000) })
	if os.Getenv("SPILLWAY_CRASH_MATRIX") != "" {
		t.Run("aliyun", func(t *testing.T) { growTo(t, sim.Aliyun(), 1000, 5000) })
	}
}

func growTo(t *testing.T, p sim.Provider, machines, instances int) {
	p.Latency = sim.Dist{}
	p.Offerings = nil
	for _, zone := range []string{"a", "b", "c"} {
		p.Offerings = append(p.Offerings, cloud.Offering{
			Type: "c8", Zone: zone, CPU: 5, Memory: 16 << 30, Units: 5, Arch: "amd64", PriceHour: 0.4, Available: true,
		})
	}
	rate := float64(instances) * 70
	w := newWorld(t, func(at time.Duration) float64 {
		if at < 30*time.Second {
			return 10
		}
		return rate
	}, func(w *world) {
		w.provider = &p
		w.set.Pools[1].Max = machines
		a := &w.set.Apps[0]
		a.Pools = a.Pools[1:]
		a.Policy.Max, a.Policy.Min = float64(instances), 1
		a.Policy.Up = policy.Step{Share: 1000, Units: 10000, Period: time.Minute}
		a.Policy.GrowthCap = 1
	})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w.control.spent = threadTime
	longest, total, ticks, slow := time.Duration(0), time.Duration(0), 0, 0
	var ordered, served time.Duration
	for range 1200 {
		w.run(time.Second)
		think := w.control.ticks.think
		longest, total, ticks = max(longest, think), total+think, ticks+1
		if think > 50*time.Millisecond {
			slow++
		}
		at := w.clock.Now().Sub(w.begun)
		if ordered == 0 && len(w.cloud.Running()) >= machines {
			ordered = at
		}
		if len(w.gates.serving) >= instances {
			served = at
			break
		}
	}
	t.Logf("%d machines asked for %v after the spike, %d instances serve %v after it; think: %v the longest tick, %v the mean of %d",
		len(w.cloud.Running()), ordered-30*time.Second, len(w.gates.serving), served-30*time.Second, longest, total/time.Duration(ticks), ticks)
	// A collection of garbage may fall on a tick, so one is forgiven.
	if slow > 1 {
		t.Errorf("%d ticks thought for more than 50 ms of processor time, the longest for %v", slow, longest)
	}
	if served == 0 {
		w.fail("%d instances serve after 20 minutes: %v", len(w.gates.serving), w.summary())
	}
	if n := len(w.cloud.Running()); n > machines {
		w.fail("%d machines are rented, want at most %d", n, machines)
	}
}

// threadTime is the processor time of this thread: other processes do not count.
func threadTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
