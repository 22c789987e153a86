// Package demo shows the whole loop on one machine: a real gateway, a real
// Consul, the scaler, one owned host and rented local ones, each a Docker
// Engine in namespaces of its own. Load rises tenfold and falls again; machines
// are bought, filled, drained and given back; and nothing is left over.
//
// Everything runs as processes of its own and is watched from outside, by the
// interfaces any user has: the gateway's admin API, the scaler's API, Consul,
// and the load generator's report. The verdict is a pure function of what was
// seen. It needs root and a Docker Engine's binaries.
package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"spillway/bench/report"
)

// Options of a run.
type Options struct {
	Self   string        // path of spillway
	Consul string        // path of consul
	Dir    string        // for everything that is written; "" a temporary one, removed at the end
	HTML   string        // the page; "" none
	JSON   string        // the report; "" none
	Base   float64       // requests a second before and after
	Peak   float64       // requests a second in between
	Rise   time.Duration // from Base to Peak
	Hold   time.Duration // at Peak
	Quiet  time.Duration // at Base before
	Settle time.Duration // at Base after, at most: it ends once everything rented was given back
	Target time.Duration // p95 that has to be met
	Slack  time.Duration // what meeting it again may take on top of the measured lead time
	Work   time.Duration // CPU time of a request in the app
	Out    io.Writer
	pace   pace
}

// Default is the run of `make demo-scale`: about four minutes.
func Default() Options {
	return Options{
		Base: 100, Peak: 1000, Quiet: 20 * time.Second, Rise: 20 * time.Second, Hold: 60 * time.Second, Settle: 150 * time.Second,
		Target: 150 * time.Millisecond, Slack: 10 * time.Second, Work: 500 * time.Microsecond,
		pace: calm(),
	}
}

// calm is the pace of a spike: the windows stay above twice the lead time,
// which is measured and printed.
func calm() pace {
	return pace{
		Min: machineCPU, Lead: 10 * time.Second, Slow: 10 * time.Second, Window: 30 * time.Second, Hold: 15 * time.Second,
		LockDelay: 5 * time.Second,
	}
}

// Run plays the whole story and returns an error if anything of what was
// promised does not hold.
func Run(ctx context.Context, o Options) (err error) {
	w, err := open(ctx, &o)
	if err != nil {
		return err
	}
	defer func() {
		if e := w.close(); err == nil {
			err = e
		}
	}()
	fmt.Fprintf(o.Out, "machines, gateway, Consul and scaler run; the app serves. Load: %.0f/s, then %.0f/s within %v.\n", o.Base, o.Peak, o.Rise)
	seen, r, err := w.play(ctx)
	if err != nil {
		return err
	}
	if err := w.down(ctx); err != nil {
		seen.left = append(seen.left, err.Error())
	}
	seen.left = append(seen.left, w.leftovers(ctx)...)
	return o.conclude(r, seen)
}

// conclude prints and saves what was seen and judges it.
func (o *Options) conclude(r *report.Report, s *story) error {
	v := judge(o, r, s)
	r.Watched = s.charts()
	r.Events = append(r.Events, s.events...)
	s.write(o.Out, r)
	v.write(o.Out)
	if err := save(o.HTML, r.WriteHTML); err != nil {
		return err
	}
	if err := save(o.JSON, r.WriteJSON); err != nil {
		return err
	}
	return v.err()
}
