//go:build !race

package engine_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	stormBudget  = 5 * time.Millisecond
	stormRounds  = 5
	foreignShare = 0.15 // of the machine, from which on a round tells of others
)

// Many connections closed at once are no event for the others. A crowd in a
// process of its own connects, waits and goes, several times; each time p99 of
// 64 connections is taken just before and while it goes, and the median of
// the differences counts. Rounds in which processes that are not the test's
// took the machine are repeated, up to twice as many.
func TestClosingManyConnectionsDisturbsNobody(t *testing.T) {
	others, p := childProxy(t, 2)
	crowd := startChild(t)
	others.do("start %s %d", p.Addr, 64)
	var calm, all []time.Duration
	for len(calm) < stormRounds && len(all) < 2*stormRounds {
		crowd.do("hold %s %d", p.Addr, idleConns)
		others.duration("p99") // of the crowd's arrival: not counted
		before := readCPU(t, os.Getpid(), others.cmd.Process.Pid, crowd.cmd.Process.Pid)
		quiet := window(others)
		crowd.do("drop")
		storm := window(others)
		foreign := readCPU(t, os.Getpid(), others.cmd.Process.Pid, crowd.cmd.Process.Pid).foreignSince(before)
		t.Logf("p99 of 64 connections: %v before, %v while %d closed; others had %.0f %% of the machine", quiet, storm, idleConns, 100*foreign)
		all = append(all, storm-quiet)
		if foreign < foreignShare {
			calm = append(calm, storm-quiet)
		}
		for late := deadline(); sum(p.active()) > 64 && !late(); {
			window(others)
		}
	}
	others.do("stop")
	if len(calm) < 3 {
		t.Logf("%d of %d rounds were calm: all count", len(calm), len(all))
		calm = all
	}
	slices.Sort(calm)
	rise := calm[len(calm)/2]
	t.Logf("p99 rose by %v (median of %v), budget %v", rise, calm, stormBudget)
	if rise > slack*stormBudget {
		t.Errorf("p99 rose by %v, want less than %v", rise, slack*stormBudget)
	}
}

// window measures half a second.
func window(c *child) time.Duration {
	timer := time.NewTimer(500 * time.Millisecond)
	<-timer.C
	return c.duration("p99")
}

// cpuTime is a reading of the kernel's clock ticks: of all processors, idle
// or not, and what processes had of them, ours and all.
type cpuTime struct{ total, busy, own int64 }

// foreignSince is the share of the machine that other processes had.
func (c cpuTime) foreignSince(b cpuTime) float64 {
	return float64(c.busy-b.busy-(c.own-b.own)) / float64(max(c.total-b.total, 1))
}

func readCPU(t *testing.T, pids ...int) (c cpuTime) {
	t.Helper()
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	scan(t, "/proc/stat", "cpu ", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal)
	c.busy = user + nice + system + steal
	c.total = c.busy + idle + iowait + irq + softirq
	for _, pid := range pids {
		var skip string
		var utime, stime int64
		scan(t, fmt.Sprintf("/proc/%d/stat", pid), ") ", // behind the name: state and ten more
			&skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &utime, &stime)
		c.own += utime + stime
	}
	return c
}

// scan reads what stands behind a mark in a file.
func scan(t *testing.T, file, mark string, into ...any) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), mark)
	if _, err := fmt.Sscan(rest, into...); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}
