// Package account says what a process and its descendants take: processor time,
// memory, context switches, descriptors, threads.
//
// Everything comes from /proc (proc(5)), as one reading at a time; a Watch takes
// readings while something runs and keeps the peaks. Processes that end between
// readings are not lost: their processor time is then their parent's, if that
// waited for them.
//
// The package starts no process and ends none. A Watch owns one goroutine, from
// Start to Stop.
package account

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// userHZ is the unit of times in /proc: Linux shows hundredths of a second to
// user space on every architecture Go runs on.
const userHZ = 100

// Usage is one reading of a process tree.
type Usage struct {
	Processes, Threads, FDs int
	User, System            time.Duration // in units of 10 ms, ended children included
	RSS                     int64         // bytes; pages shared inside the tree count more than once
	PSS                     int64         // bytes; shared pages count once; 0 if the kernel does not tell
	Voluntary, Involuntary  int64         // context switches of living threads

	onCPU map[int]time.Duration // by thread, in nanoseconds, from the scheduler
}

// Spent is what was used between two readings.
type Spent struct {
	User, System           time.Duration
	Voluntary, Involuntary int64
}

// Total is the processor time, user and system.
func (s Spent) Total() time.Duration { return s.User + s.System }

// Read takes a reading of the process and its descendants. It is an error if
// the process itself does not exist.
func Read(root int) (Usage, error) {
	u := Usage{onCPU: map[int]time.Duration{}}
	pids, err := tree(root)
	if err != nil {
		return u, err
	}
	for _, pid := range pids {
		if st, err := readStat(pid); err == nil { // a child may have just ended
			u.User += st.user
			u.System += st.system
			u.Processes++
		}
		u.addMemory(pid)
		u.addThreads(pid)
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		u.FDs += len(fds)
	}
	return u, nil
}

// Since is what was spent after an earlier reading of the same tree. The total
// comes from the scheduler, in nanoseconds, unless a thread or child has ended in
// between; how it divides into user and system time is known to 10 ms.
func (u Usage) Since(before Usage) Spent {
	s := Spent{
		User: u.User - before.User, System: u.System - before.System,
		Voluntary: max(u.Voluntary-before.Voluntary, 0), Involuntary: max(u.Involuntary-before.Involuntary, 0),
	}
	exact, ok := u.exactSince(before)
	rounding := time.Duration(2*max(u.Processes, before.Processes)) * time.Second / userHZ
	if !ok || s.Total() > exact+rounding {
		return s // a thread has ended, or a child came and went
	}
	if coarse := s.Total(); coarse > 0 {
		s.User = time.Duration(float64(exact) * float64(s.User) / float64(coarse))
	} else {
		s.User = exact / 2 // too short a time to tell
	}
	s.System = exact - s.User
	return s
}

func (u Usage) exactSince(before Usage) (time.Duration, bool) {
	for tid := range before.onCPU {
		if _, ok := u.onCPU[tid]; !ok {
			return 0, false
		}
	}
	var sum time.Duration
	for tid, t := range u.onCPU {
		sum += t - before.onCPU[tid]
	}
	return sum, len(u.onCPU) > 0
}

func (u *Usage) addMemory(pid int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return
	}
	if f := bytes.Fields(text); len(f) > 1 {
		u.RSS += number(f[1]) * int64(os.Getpagesize())
	}
	text, _ = os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	u.PSS += labelled(string(text), "Pss:") << 10
}

func (u *Usage) addThreads(pid int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		u.Threads++
		if text, err := os.ReadFile(task + "/schedstat"); err == nil {
			first, _, _ := bytes.Cut(text, []byte(" "))
			tid, _ := strconv.Atoi(filepath.Base(task))
			u.onCPU[tid] = time.Duration(number(first))
		}
		text, _ := os.ReadFile(task + "/status")
		u.Voluntary += labelled(string(text), "voluntary_ctxt_switches:")
		u.Involuntary += labelled(string(text), "nonvoluntary_ctxt_switches:")
	}
}

// labelled finds the number after a label at the start of a line.
func labelled(text, label string) int64 {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, label)
		if f := strings.Fields(rest); ok && len(f) > 0 {
			return number([]byte(f[0]))
		}
	}
	return 0
}

func number(b []byte) int64 {
	n, _ := strconv.ParseInt(string(b), 10, 64)
	return n
}

// stat is what is read of /proc/PID/stat.
type stat struct {
	parent       int
	user, system time.Duration
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, fmt.Errorf("cannot account for process %d: %w", pid, err)
	}
	return parseStat(text)
}

// parseStat reads fields 4 (parent), 14 and 16 (user), 15 and 17 (system, each
// with the children that were waited for). The second field, the program's name
// in parentheses, may contain anything, so fields are counted from its end.
func parseStat(text []byte) (stat, error) {
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("cannot read process state %q", text)
	}
	const tick = time.Second / userHZ
	return stat{
		parent: int(number(fields[1])),
		user:   time.Duration(number(fields[11])+number(fields[13])) * tick,
		system: time.Duration(number(fields[12])+number(fields[14])) * tick,
	}, nil
}

// tree lists a process and its descendants.
func tree(root int) ([]int, error) {
	if _, err := readStat(root); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if st, err := readStat(pid); err == nil { // it may have ended since
			children[st.parent] = append(children[st.parent], pid)
		}
	}
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids, nil
}
