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
	if len(args) == 0 || args[0] != "scale" {
		return t.misuse("demo: say what to show: scale")
	}
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
	if code, done := t.parse(fs, args[1:], 0); done {
		return code
	}
	o.Out = t.out
	var err error
	if o.Self, err = os.Executable(); err != nil {
		fmt.Fprintln(t.err, "spillway demo:", err)
		return exitFailure
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo.Run(ctx, o); err != nil {
		fmt.Fprintln(t.err, "spillway demo:", err)
		return exitFailure
	}
	return exitOK
}
