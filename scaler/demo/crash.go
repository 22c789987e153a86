package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"spillway/bench/report"
)

// CrashOptions of a run in which the scaler is killed again and again.
type CrashOptions struct {
	Self     string        // path of spillway
	Consul   string        // path of consul
	Dir      string        // for everything that is written; "" a temporary one, removed at the end
	Rate     float64       // requests a second, all the time
	Machines int           // bought, and given back, in each round
	Rounds   int           // each kills a scaler before and after every kind of step
	Absent   time.Duration // how long there is no scaler at all; 0 leaves that out
	Out      io.Writer
}

// DefaultCrash is the run of `make crash-matrix`: about four minutes.
func DefaultCrash() CrashOptions {
	return CrashOptions{Rate: 50, Machines: 2, Rounds: 2, Absent: time.Minute}
}

// brisk is the pace of a run with many restarts. What a dead leader held is
// free at once, because who killed it also ends its session.
func brisk() pace {
	return pace{
		Min: machineCPU, Lead: 2 * time.Second, Slow: 5 * time.Second, Window: 5 * time.Second, Hold: 5 * time.Second,
		LockDelay: 100 * time.Millisecond,
	}
}

// Crash kills the scaler by SIGKILL at every step of buying machines and of
// giving them back, wipes its ledger, and leaves it away, all under load. It
// returns an error if anything was lost, doubled, forgotten or failed.
func Crash(ctx context.Context, o CrashOptions) (err error) {
	w, err := open(ctx, &Options{
		Self: o.Self, Consul: o.Consul, Dir: o.Dir, Target: 150 * time.Millisecond, Work: 500 * time.Microsecond, Out: o.Out,
		pace: brisk(),
	})
	if err != nil {
		return err
	}
	defer func() {
		if e := w.close(); err == nil {
			err = e
		}
	}()
	c := newCrasher(w, &o)
	fmt.Fprintf(o.Out, "machines, gateway, Consul and scaler run; the app serves %g requests a second.\n", o.Rate)
	r, err := c.play(ctx)
	if err != nil {
		return err
	}
	v := judgeCrash(&o, r, c.seen)
	c.seen.write(o.Out)
	v.write(o.Out)
	return v.err()
}

// play loads the gateway through all of the trial.
func (c *crasher) play(ctx context.Context) (*report.Report, error) {
	load, err := c.world.load("--rate", fmt.Sprint(c.o.Rate), "--duration", "30m", "--connections", "16")
	if err != nil {
		return nil, err
	}
	defer load.process.Stop(stopGrace)
	if err := c.trial(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		c.seen.broken = append(c.seen.broken, err.Error()+c.tails())
	}
	r, err := load.end() // before the app ends
	if err != nil {
		return nil, err
	}
	if err := c.down(ctx); err != nil {
		c.seen.left = append(c.seen.left, err.Error())
	}
	c.seen.left = append(c.seen.left, c.leftovers(ctx)...)
	c.seen.tokens = c.tokenFaults()
	return r, nil
}

// trial is what happens, in order. The end of each part is the starting point of
// the next one, so the first failure ends it.
func (c *crasher) trial(ctx context.Context) error {
	for n := range c.o.Rounds {
		if err := c.reach(ctx, buying(), c.o.Machines); err != nil {
			return err
		}
		if n == 0 {
			if err := c.wipe(ctx); err != nil {
				return err
			}
		}
		if n == 0 && c.o.Absent > 0 {
			if err := c.absent(ctx); err != nil {
				return err
			}
		}
		if err := c.reach(ctx, givingBack(), 0); err != nil {
			return err
		}
	}
	return nil
}
