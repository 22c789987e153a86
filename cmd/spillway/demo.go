package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"spillway/scaler/demo"
)

// demo shows the gateway and the scaler at work on this machine.
func (t *terminal) demo(args []string) int {
	switch {
	case len(args) > 0 && args[0] == "scale":
		return t.demoScale(args[1:])
	case len(args) > 0 && args[0] == "crash":
		return t.demoCrash(args[1:])
	}
	return t.misuse("demo: say what to show: scale or crash")
}

// demoScale shows a spike and what becomes of it.
func (t *terminal) demoScale(args []string) int {
	o := demo.Default()
	fs := t.newFlags("demo scale")
	fs.StringVar(&o.Consul, "consul", "bin/consul", "`PATH` of the Consul binary (make consul builds it)")
	fs.StringVar(&o.Dir, "dir", "", "`DIRECTORY` for logs and machines, kept afterwards (default: a temporary one, removed)")
	fs.StringVar(&o.HTML, "html", "", "save the timeline as a page to `FILE`")
	fs.StringVar(&o.JSON, "json", "", "save it as JSON to `FILE`")
	fs.Float64Var(&o.Base, "base", o.Base, "requests a second before and after")
	fs.Float64Var(&o.Peak, "peak", o.Peak, "requests a second at the peak")
	fs.DurationVar(&o.Quiet, "quiet", o.Quiet, "time at the base before")
	fs.DurationVar(&o.Rise, "rise", o.Rise, "time from base to peak")
	fs.DurationVar(&o.Hold, "hold", o.Hold, "time at the peak")
	fs.DurationVar(&o.Settle, "settle", o.Settle, "time at the base after, in which everything rented is given back")
	fs.DurationVar(&o.Target, "target", o.Target, "p95 to be met")
	if code, done := t.parse(fs, args, 0); done {
		return code
	}
	return t.show(func(ctx context.Context, self string) error {
		o.Self, o.Out = self, t.out
		return demo.Run(ctx, o)
	})
}

// demoCrash shows that killing the scaler does no harm.
func (t *terminal) demoCrash(args []string) int {
	o := demo.DefaultCrash()
	fs := t.newFlags("demo crash")
	fs.StringVar(&o.Consul, "consul", "bin/consul", "`PATH` of the Consul binary (make consul builds it)")
	fs.StringVar(&o.Dir, "dir", "", "`DIRECTORY` for logs and machines, kept afterwards (default: a temporary one, removed)")
	fs.Float64Var(&o.Rate, "rate", o.Rate, "requests a second, all the time")
	fs.IntVar(&o.Machines, "machines", o.Machines, "bought, and given back, in each round")
	fs.IntVar(&o.Rounds, "rounds", o.Rounds, "each kills a scaler before and after every kind of step")
	fs.DurationVar(&o.Absent, "absent", o.Absent, "time without any scaler (0: leave that out)")
	if code, done := t.parse(fs, args, 0); done {
		return code
	}
	return t.show(func(ctx context.Context, self string) error {
		o.Self, o.Out = self, t.out
		return demo.Crash(ctx, o)
	})
}

// show plays a demonstration that a signal can end.
func (t *terminal) show(play func(ctx context.Context, self string) error) int {
	self, err := os.Executable()
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = play(ctx, self)
	}
	if err != nil {
		fmt.Fprintln(t.err, "spillway demo:", err)
		return exitFailure
	}
	return exitOK
}
