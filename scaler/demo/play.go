package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"spillway/bench/report"
	"spillway/internal/process"
	"spillway/scaler/api"
	"spillway/scaler/cloud/local"
	"spillway/scaler/docker"
)

// cluster is the scaler's name in the configuration.
const cluster = "demo"

// fall is the time from the peak back to the base.
const fall = 5 * time.Second

// schedule is the rate over time: seconds and requests a second.
func (o *Options) schedule() (csv string, total time.Duration) {
	var b strings.Builder
	at := time.Duration(0)
	point := func(after time.Duration, rate float64) {
		at += after
		fmt.Fprintf(&b, "%g,%g\n", at.Seconds(), rate)
	}
	point(0, o.Base)
	point(o.Quiet, o.Base)
	for i := 1; i <= 10; i++ { // a rate holds until the next point
		point(o.Rise/10, o.Base+(o.Peak-o.Base)*float64(i)/10)
	}
	point(o.Hold, o.Peak)
	point(fall, o.Base)
	at += o.Settle
	return b.String(), at
}

// play runs the load and watches.
func (w *world) play(ctx context.Context) (*story, *report.Report, error) {
	text, total := w.o.schedule()
	trace := filepath.Join(w.dir, "rate.csv")
	if err := os.WriteFile(trace, []byte(text), 0o600); err != nil {
		return nil, nil, fmt.Errorf("cannot write the schedule: %w", err)
	}
	load, err := w.load("--replay", trace, "--duration", total.String(), "--connections", "512")
	if err != nil {
		return nil, nil, err
	}
	defer load.process.Stop(stopGrace)
	s, err := w.watch(ctx, load.process, time.Now())
	if err != nil {
		return nil, nil, err
	}
	r, err := load.end()
	if err != nil {
		return nil, nil, err
	}
	r.Load.Schedule = fmt.Sprintf("%g/s, to %g/s within %v, for %v, and back", w.o.Base, w.o.Peak, w.o.Rise, w.o.Hold)
	if s.drained {
		r.Notes = []string{"ended after everything rented was given back"}
	}
	return s, r, nil
}

// loading is the load generator at work.
type loading struct {
	process *process.Process
	out     string
}

// load starts the load generator on the gateway.
func (w *world) load(flags ...string) (*loading, error) {
	l := &loading{out: filepath.Join(w.dir, "report.json")}
	argv := append([]string{
		w.o.Self, "bench", "run", "--url", "http://" + w.at.Gateway + "/",
		"--loops", "1", "--timeout", "30s", "--max-lag", "1s", "--quiet", "--json", l.out,
	}, flags...)
	var err error
	l.process, err = process.Start("load", w.dir, argv, nil)
	return l, err
}

// end asks the generator to end, if it has not, and reads its report.
func (l *loading) end() (*report.Report, error) {
	l.process.Ask()
	select {
	case <-l.process.Done():
	case <-time.After(loadGrace):
		return nil, fmt.Errorf("cannot end the load within %v", loadGrace)
	}
	r, err := report.ReadFile(l.out)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, l.process.Tail())
	}
	r.Load.URL = "the app, through the gateway"
	return r, nil
}

// loadGrace is above the longest a request may take.
const loadGrace = 40 * time.Second

// watch looks every second until the load ends.
func (w *world) watch(ctx context.Context, load *process.Process, began time.Time) (*story, error) {
	s := &story{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last api.Status
	for missed := 0; ; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-load.Done():
			s.end(&last)
			return s, nil
		case <-tick.C:
		}
		m, status, err := w.look(ctx, began)
		if err != nil {
			if missed++; missed > 10 {
				return nil, fmt.Errorf("cannot watch: %w%s", err, w.tails())
			}
			continue
		}
		missed, last = 0, status
		s.add(m)
		s.learn(&status)
		if r, err := w.ledger(ctx); err == nil {
			s.leads.learn(r)
		}
		if s.over(w.o) {
			load.Ask()
		}
	}
}

// overAfter is how long nothing must be rented for the run to be over.
const overAfter = 5

// over tells whether the spike is past and everything rented was given back.
func (s *story) over(o *Options) bool {
	n := len(s.moments) - overAfter
	if n < 0 || s.mostRented() == 0 || s.moments[n].at < (o.Quiet+o.Rise+o.Hold+fall).Seconds() {
		return false
	}
	for _, m := range s.moments[n:] {
		if m.rented > 0 {
			return false
		}
	}
	return true
}

// end takes the last figures.
func (s *story) end(last *api.Status) {
	s.cost = last.Spend.Day
	s.drained = len(s.moments) > 0 && s.mostRented() > 0 && s.moments[len(s.moments)-1].rented == 0
}

// learn takes the scaler's own measurement of its lead time, which it decides
// by.
func (s *story) learn(status *api.Status) {
	for _, a := range status.Apps {
		s.lead = max(s.lead, time.Duration(a.LeadMS)*time.Millisecond)
	}
}

// down ends the scaler, which leaves everything running, and then the cluster, as
// a person would.
func (w *world) down(ctx context.Context) error {
	w.stopScaler()
	p, err := w.run("down", w.o.Self, "scaler", "down", "--config", filepath.Join(w.dir, "scaler.yaml"), "--yes")
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		return fmt.Errorf("cannot end the app within a minute: %s", w.tails())
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.Err() != nil {
		return errors.Join(p.Failure(), errors.New(w.tails()))
	}
	return nil
}

// leftovers is everything of the cluster that is still there.
func (w *world) leftovers(ctx context.Context) []string {
	var left []string
	left = append(left, w.containers(ctx)...)
	left = append(left, w.registered(ctx)...)
	left = append(left, w.keys(ctx)...)
	rented, err := local.Leftovers(filepath.Join(w.dir, "rented"))
	if err != nil {
		left = append(left, err.Error())
	}
	left = append(left, rented...)
	if err := w.owned.Delete(ctx, w.host.ID); err != nil {
		left = append(left, err.Error())
	}
	owned, err := local.Leftovers(filepath.Join(w.dir, "owned"))
	if err != nil {
		left = append(left, err.Error())
	}
	return append(left, owned...)
}

// containers on the owned host.
func (w *world) containers(ctx context.Context) (left []string) {
	engines := docker.New(docker.Options{})
	defer engines.Close()
	all, err := engines.List(ctx, w.engine(), cluster)
	if err != nil {
		return []string{err.Error()}
	}
	for _, c := range all {
		left = append(left, "container "+c.Name)
	}
	return left
}

// registered services of the app.
func (w *world) registered(ctx context.Context) (left []string) {
	var services map[string]struct{ Service string }
	if err := w.get(ctx, "http://"+w.at.Consul+"/v1/agent/services", &services); err != nil {
		return []string{err.Error()}
	}
	for id, s := range services {
		if s.Service != "spillway-gateway" {
			left = append(left, "service "+id)
		}
	}
	sort.Strings(left)
	return left
}

// keys in Consul.
func (w *world) keys(ctx context.Context) (left []string) {
	var keys []string
	err := w.get(ctx, "http://"+w.at.Consul+"/v1/kv/?keys", &keys)
	if err != nil && !isStatus(err, http.StatusNotFound) {
		return []string{err.Error()}
	}
	for _, k := range keys {
		left = append(left, "key "+k)
	}
	return left
}
