package peers

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

// usage is the CPU time that a process tree has used so far.
type usage struct {
	user, system time.Duration         // from stat: 10 ms units, ended threads included
	threads      map[int]time.Duration // from schedstat: nanoseconds, living threads only
}

// spent is CPU time between two readings.
type spent struct {
	user, system time.Duration
}

func (s spent) total() time.Duration { return s.user + s.system }

// readUsage adds up the process and its descendants.
func readUsage(root int) (usage, error) {
	u := usage{threads: map[int]time.Duration{}}
	pids, err := processTree(root)
	if err != nil {
		return u, err
	}
	for _, pid := range pids {
		st, err := readStat(pid)
		if err != nil {
			continue // a child that has just ended
		}
		u.user += st.user
		u.system += st.system
		readThreads(pid, u.threads)
	}
	return u, nil
}

// since returns what was spent after the earlier reading. The total comes from
// the scheduler in nanoseconds if no thread ended in between, else from the
// coarser sums, which remember ended threads. How it divides into user and
// system time is known to 10 ms in either case.
func (u usage) since(before usage) spent {
	s := spent{user: u.user - before.user, system: u.system - before.system}
	exact, ok := u.exactSince(before)
	coarse := s.total()
	if !ok || coarse <= 0 {
		return s
	}
	s.user = time.Duration(float64(exact) * float64(s.user) / float64(coarse))
	s.system = exact - s.user
	return s
}

func (u usage) exactSince(before usage) (time.Duration, bool) {
	for tid := range before.threads {
		if _, ok := u.threads[tid]; !ok {
			return 0, false
		}
	}
	var sum time.Duration
	for tid, t := range u.threads {
		sum += t - before.threads[tid]
	}
	return sum, len(u.threads) > 0
}

// readThreads adds the on-CPU time of each thread of a process. A thread that
// ends meanwhile is left out, and a kernel without schedstat gives none: since
// then uses the coarse sums.
func readThreads(pid int, into map[int]time.Duration) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			continue
		}
		tid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		into[tid] = time.Duration(ns)
	}
}

// stat is what we read of /proc/PID/stat (proc(5)).
type stat struct {
	parent       int
	user, system time.Duration
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, fmt.Errorf("cannot read the CPU time of process %d: %w", pid, err)
	}
	return parseStat(text)
}

// parseStat reads fields 4, 14 and 15. The second field, the program's name in
// parentheses, may contain anything, so fields are counted from its end.
func parseStat(text []byte) (stat, error) {
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return stat{}, fmt.Errorf("cannot read process state %q", text)
	}
	var n [3]int64
	for i, at := range []int{1, 11, 12} {
		v, err := strconv.ParseInt(string(fields[at]), 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("cannot read process state %q: %w", text, err)
		}
		n[i] = v
	}
	const tick = time.Second / userHZ
	return stat{parent: int(n[0]), user: time.Duration(n[1]) * tick, system: time.Duration(n[2]) * tick}, nil
}

// processTree lists a process and its descendants.
func processTree(root int) ([]int, error) {
	if _, err := readStat(root); err != nil {
		return nil, err
	}
	children, err := childrenByParent()
	if err != nil {
		return nil, err
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

func childrenByParent() (map[int][]int, error) {
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
	return children, nil
}

// readRSS adds up the resident memory of the tree, in bytes. Pages shared
// between its processes count more than once.
func readRSS(root int) (int64, error) {
	pids, err := processTree(root)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue // a child that has just ended
		}
		var size, resident int64
		if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
			return 0, fmt.Errorf("cannot read the memory of process %d: %w", pid, err)
		}
		sum += resident * int64(os.Getpagesize())
	}
	return sum, nil
}

// coreTime is one processor's time in /proc/stat, in ticks.
type coreTime struct {
	idle, total int64
}

// readCore reads the line of one processor; iowait counts as idle.
func readCore(cpu int) (coreTime, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return coreTime{}, fmt.Errorf("cannot read processor times: %w", err)
	}
	return parseCore(string(text), cpu)
}

func parseCore(text string, cpu int) (coreTime, error) {
	name := "cpu" + strconv.Itoa(cpu)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 9 || f[0] != name {
			continue
		}
		var c coreTime
		for i, s := range f[1:9] { // user nice system idle iowait irq softirq steal
			v, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return coreTime{}, fmt.Errorf("cannot read processor times %q: %w", line, err)
			}
			c.total += v
			if i == 3 || i == 4 {
				c.idle += v
			}
		}
		return c, nil
	}
	return coreTime{}, fmt.Errorf("cannot read processor times: no line %q", name)
}

// busySince is the share of the time in which the processor did anything.
func (c coreTime) busySince(before coreTime) float64 {
	total := c.total - before.total
	if total <= 0 {
		return 0
	}
	return 1 - float64(c.idle-before.idle)/float64(total)
}
