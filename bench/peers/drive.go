package peers

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"spillway/bench/report"
)

// driving is a load of our own generator that is under way.
type driving struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	errors strings.Builder
	url    string
	began  time.Time // of what is measured, after the warm-up
}

// startLoad starts the generator on the client's processor and waits until it
// sends.
func (l *lab) startLoad(ctx context.Context, spec *loadSpec) (*driving, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("cannot describe load: %w", err)
	}
	argv := append([]string{"-c", strconv.Itoa(l.clientCPU)}, l.self...)
	d := &driving{cmd: exec.CommandContext(ctx, "taskset", append(argv, "load", string(text))...), url: spec.URL}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	d.cmd.WaitDelay = stopTimeout
	d.cmd.Stderr = &d.errors
	pipe, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start the generator: %w", err)
	}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the generator: %w", err)
	}
	d.out = bufio.NewReader(pipe)
	line, err := d.out.ReadString('\n')
	ns, isTime := strings.CutPrefix(strings.TrimSpace(line), began)
	if err != nil || !isTime {
		return nil, d.failure(ctx, fmt.Errorf("it says %q: %w", line, err))
	}
	at, err := strconv.ParseInt(ns, 10, 64)
	if err != nil {
		return nil, d.failure(ctx, err)
	}
	d.began = time.Unix(0, at)
	return d, nil
}

// failure ends the generator and says why it is of no use.
func (d *driving) failure(ctx context.Context, err error) error {
	d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	d.cmd.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("cannot load %s: %w %s", d.url, err, strings.TrimSpace(d.errors.String()))
}

// wait returns what was measured.
func (d *driving) wait(ctx context.Context) (*report.Report, error) {
	r := new(report.Report)
	if err := json.NewDecoder(d.out).Decode(r); err != nil {
		return nil, d.failure(ctx, err)
	}
	if err := d.cmd.Wait(); err != nil {
		return nil, d.failure(ctx, err)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("cannot finish the measurement of %s: %w", d.url, ctx.Err())
	}
	return r, nil
}

// runLoad makes a load from begin to end.
func (l *lab) runLoad(ctx context.Context, spec *loadSpec) (*report.Report, error) {
	d, err := l.startLoad(ctx, spec)
	if err != nil {
		return nil, err
	}
	return d.wait(ctx)
}

// drive makes a load on one subject between two readings of the clocks.
func (l *lab) drive(ctx context.Context, s subject, spec loadSpec) (Sample, error) {
	var r *report.Report
	sample, err := l.sample(s, func() (_ tally, err error) {
		r, err = l.runLoad(ctx, &spec)
		return tallyOf(r), err
	})
	sample.Connections, sample.Client, sample.report = spec.Connections, clientOwn, r
	return sample, err
}

// tallyOf is the report in the words of wrk's.
func tallyOf(r *report.Report) tally {
	if r == nil {
		return tally{}
	}
	return tally{
		Requests: int64(r.Answered), DurationUS: int64(r.Duration * 1e6),
		P50US: int64(r.Latency.Corrected.P50), P99US: int64(r.Latency.Corrected.P99), MaxUS: int64(r.Latency.Corrected.Max),
		Read: int64(r.Errors.Total),
	}
}

// ownCPUs is the list of processors in the form that taskset takes.
func ownCPUs(cpus ...int) string {
	var b strings.Builder
	for i, cpu := range cpus {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(cpu))
	}
	return b.String()
}

// openFiles is how many descriptors this process may have.
func openFiles() int {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 1024
	}
	return int(min(lim.Cur, uint64(1<<20)))
}
